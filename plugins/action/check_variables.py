# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuses a host that has a variable which is misspelt, or has the name of an earlier release."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.accel.qat.plugins.plugin_utils._variables import OTHERS, faults, role_variables

_ROLES = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):
    """The action behind `accel.qat.check_variables`. It asks nothing of the node."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Compare the names of the host's variables with those that the collection has."""
        super().run(tmp, task_vars)
        _result, _options = self.validate_argument_spec(argument_spec={})  # type: ignore[no-untyped-call]
        variables = task_vars or {}
        others = self._templar.template(variables.get(OTHERS, []))
        if not isinstance(others, list):
            raise AnsibleActionFail(f"{OTHERS}: it is not a list; write names of variables, one an entry")
        of_roles = role_variables(_ROLES)
        found = faults(variables, of_roles, others)
        if found:
            raise AnsibleActionFail(
                f"{'; '.join(found)}; rename {'it' if len(found) == 1 else 'them'} in the inventory, "
                f"or name what somebody else uses in {OTHERS}"
            )
        return {"changed": False, "variables": sorted(of_roles & variables.keys())}
