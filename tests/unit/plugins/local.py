# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible as the controller of this machine, or of a node that is a directory of it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import typing as t
from pathlib import Path

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run, Task
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode
from ansible_collections.accel.qat.tests.lab.qat_lab.image import COMPILE_CACHE
from ansible_collections.accel.qat.tools.checks.shell import BUILD, VENV

CONNECTION: dict[str, t.Any] = {
    "ansible_connection": "local",
    # Otherwise each module takes four more processes, which make its directory and clear it away.
    "ansible_pipelining": True,
    "ansible_python_interpreter": sys.executable,
    "ansible_become": False,
}
"""The variables by which Ansible reaches this machine."""


def environment(*programs: Path) -> dict[str, str]:
    """What Ansible has in its environment besides: programs of the node go first, and modules are compiled once, not in each run."""
    startup = BUILD / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        # Python imports what has this name whenever it starts.
        (startup / "sitecustomize.py").symlink_to(COMPILE_CACHE)
    return {
        "PATH": os.pathsep.join([*map(str, programs), str(VENV / "bin"), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(startup), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "COMPILE_CACHE": str(BUILD / "compile-cache"),
    }


class OnThisMachine(Controller):
    """Runs Ansible on this machine, without root. Programs in these directories go before those of the machine."""

    def __init__(self, directory: Path, *programs: Path) -> None:
        self._directory = directory
        self._programs = programs

    def inventory(self) -> str:
        return json.dumps({"qat_nodes": {"hosts": {"node1": None}, "vars": {**CONNECTION, **self.roots()}}})

    def environment(self) -> dict[str, str]:
        return environment(*self._programs)

    def roots(self) -> dict[str, str]:
        """Where the node is, by the names of the modules' options, if it is not the machine itself."""
        return {}


class LocalController(OnThisMachine):
    """Runs Ansible on a node that is a directory."""

    def __init__(self, node: KubeletNode, directory: Path) -> None:
        super().__init__(directory, node.directory / "bin")
        self._node = node

    def roots(self) -> dict[str, str]:
        return {"root": str(self._node.root), "proc_root": str(self._node.root / "proc")}

    def config(self, *tasks: dict[str, t.Any]) -> list[Task]:
        """Run the module once for each of these; the keys with an underscore are keywords of the task."""
        run = self.play([_task("kubelet_config", {**self.roots(), **task}) for task in tasks])
        assert len(run.tasks) == len(tasks), run.output
        return run.tasks

    def quartet(self, **arguments: t.Any) -> Task:
        """Check, do, do again, check again; returns what the doing said. Check mode must have said the same, and written nothing:
        the doing has found what it had found.
        """
        check = {**arguments, "_check_mode": True, "_diff": True}
        checked, done, again, checked_again = self.config(check, {**arguments, "_diff": True}, arguments, check)
        assert (checked.outcome, done.outcome) == ("ok", "ok"), (checked.message, done.message)
        assert checked.changed
        assert done.changed
        for key in ("files", "gates", "effective", "diff", "state_files", "flavour"):
            assert checked.result.get(key) == done.result.get(key), key
        assert [again.changed, checked_again.changed] == [False, False]
        assert again.result["files"] == checked_again.result["files"] == []
        return done


def _task(module: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    keywords = {name[1:]: value for name, value in arguments.items() if name.startswith("_")}
    options = {name: value for name, value in arguments.items() if not name.startswith("_")}
    return {"name": module, f"accel.qat.{module}": options, "ignore_errors": True, **keywords}


__all__ = ["LocalController", "OnThisMachine", "Run"]
