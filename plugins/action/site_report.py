# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ends a run of the playbook site: reports on all nodes by one of them, and fails those that were held back."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.accel.qat.plugins.module_utils._host.edits import difference
from ansible_collections.accel.qat.plugins.module_utils._node.absence import if_there
from ansible_collections.accel.qat.plugins.module_utils._node.files import replace_file
from ansible_collections.accel.qat.plugins.plugin_utils._site_report import Row, lines, row_of


class ActionModule(ActionBase):
    """The action behind `accel.qat.site_report`. It asks nothing of the node."""

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Report where this node is the one that does so."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(  # type: ignore[no-untyped-call]
            argument_spec={"file": {"type": "path"}, "failure": {"type": "list", "elements": "str", "default": []}}
        )
        variables = task_vars or {}
        result: dict[str, t.Any] = {"changed": False}
        failures = options["failure"]
        if variables["inventory_hostname"] == _reporter(variables):
            try:
                result = self._report(variables, options["file"] or "")
            except OSError as error:
                failures = [*failures, _cannot_be_written(options["file"], error)]
        if failures:
            return {**result, "failed": True, "msg": failures[0] if len(failures) == 1 else failures}
        return result

    def _report(self, variables: dict[str, t.Any], path: str) -> dict[str, t.Any]:
        rows = _rows(variables)
        # As the action debug has it, so that the table is shown without -v.
        result: dict[str, t.Any] = {
            "changed": False,
            "msg": lines(rows),
            "nodes": rows,
            "_ansible_verbose_always": True,
        }
        if not path:
            return result
        after = json.dumps({"nodes": rows}, indent=2) + "\n"
        before = if_there(lambda: Path(path).read_text(encoding="utf-8", errors="replace"), "")
        if before != after and not self._task.check_mode:
            replace_file(os.path.abspath(path), after.encode(), 0o644)
        result["changed"] = before != after
        if self._task.diff:
            result["diff"] = difference(path, before, after)
        return result


def _cannot_be_written(path: str, error: OSError) -> str:
    return f"qat_report_file: {path} cannot be written: {error.strerror}; name a file in a directory of the controller"


def _reporter(variables: t.Mapping[str, t.Any]) -> str:
    """The node by which all are reported: the first that does not fail, else the first."""
    alive: list[str] = list(variables["ansible_play_hosts"])
    well = (name for name in alive if "__qat_held_back" not in variables["hostvars"][name])
    return next(well, alive[0])


def _rows(variables: t.Mapping[str, t.Any]) -> list[Row]:
    alive = set(variables["ansible_play_hosts"])
    hostvars = variables["hostvars"]
    return [row_of(name, hostvars[name], name in alive) for name in variables["ansible_play_hosts_all"]]
