# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which variables the collection has, and which of a host's are none of these though they look so. Ansible ignores a misspelt one."""

from __future__ import annotations

import difflib
import typing as t
from pathlib import Path

import yaml

PREFIX = "qat_"
OTHERS = "qat_variables_of_others"

PLAYBOOKS = frozenset(
    {
        "qat_bundle_directory",
        "qat_bundle_machines",
        "qat_bundle_pythons",
        "qat_drain",
        "qat_gather_directory",
        "qat_hosts",
        "qat_kubernetes",
        "qat_report_file",
        "qat_serial",
        "qat_verify",
        OTHERS,
    }
)
"""The variables of the playbooks themselves."""

FACTS = frozenset(
    {
        "qat_drain_evicted",
        "qat_drain_whole",
        "qat_kubelet_disruption",
        "qat_kubelet_result",
        "qat_node_configured",
        "qat_node_disruption",
        "qat_node_reboot_required",
        "qat_verify_result",
    }
)
"""What the roles leave to those that come after them."""


def role_variables(roles: Path) -> frozenset[str]:
    """The variables of the roles in this directory, by their argument specifications."""
    return frozenset(
        name
        for path in roles.glob("*/meta/argument_specs.yml")
        for entry_point in _load(path)["argument_specs"].values()
        for name in entry_point.get("options", ())
    )


def faults(variables: t.Iterable[str], of_roles: t.AbstractSet[str], others: t.Container[str] = ()) -> list[str]:
    """One sentence for each of the variables that looks like one of ours and is none.

    `of_roles` are the variables of the roles, `others` the names that somebody else uses.
    """
    known = of_roles | PLAYBOOKS | FACTS
    renamed = {name[len(PREFIX) :]: name for name in of_roles}  # noqa: E203
    found = []
    for name in sorted(variables):
        if name in known or name in others:
            continue
        if name in renamed:
            found.append(f"{name} is called {renamed[name]} now")
        elif name.startswith(PREFIX):
            near = difflib.get_close_matches(name, sorted(known), n=1)
            found.append(f"{name} is not a variable of accel.qat" + (f"; the nearest is {near[0]}" if near else ""))
    return found


def _load(path: Path) -> t.Any:
    # The loader in C is ten times as fast, and not everywhere.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), loader)
