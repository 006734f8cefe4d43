# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of a role's units, rendered without Ansible as Ansible renders them."""

from __future__ import annotations

import subprocess
import typing as t

import jinja2
from ansible.plugins.filter.core import FilterModule
from ansible.plugins.test.core import match

from ansible_collections.accel.qat.tests.unit_filters import UNIT_FILTERS

if t.TYPE_CHECKING:
    from pathlib import Path


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


def complaints_of_systemd(file: Path) -> list[str]:
    """What systemd says is wrong with this unit, a line each. What it says of units of the machine does not count."""
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    return [line for line in found.stderr.splitlines() if file.name in line]
