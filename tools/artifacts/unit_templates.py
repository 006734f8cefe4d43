# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of a role's units, rendered without Ansible as Ansible renders them."""

from __future__ import annotations

import typing as t

import jinja2
from ansible.plugins.filter.core import FilterModule
from ansible.plugins.test.core import match

from ansible_collections.accel.qat.plugins.filter import unit_word

if t.TYPE_CHECKING:
    from pathlib import Path

UNIT_FILTERS: dict[str, t.Any] = {
    f"accel.qat.{name}": function for name, function in unit_word.FilterModule().filters().items()
}
"""The collection's own filters in these templates."""


def unit_templates(role: Path) -> jinja2.Environment:
    """Those of the role in this directory, with the filters and tests that they use. A variable that is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(role / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters.update({**FilterModule().filters(), **UNIT_FILTERS})
    environment.tests["match"] = match
    return environment
