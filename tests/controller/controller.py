# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible as the controller of a machine: run a playbook, and know what each task said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.controller.playbook import run_playbook
from ansible_collections.accel.qat.tests.lab.qat_lab.inventory import inventory
from ansible_collections.accel.qat.tools.checks.shell import common_environment

if TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

REPORT = "Report on the run"
"""The last task of accel.qat.site, which is one of the run and not of a node."""

MOST_TASKS = 18
"""What accel.qat.site may take for a node without Kubernetes that is as configured. The last ones look for an exporter, and find none."""


@dataclass(frozen=True)
class Task:
    """What became of one task on one host. `outcome` is ok, skipped, failed, ignored (it failed and was to), or unreachable."""

    name: str
    outcome: str
    result: dict[str, Any]
    host: str

    @property
    def changed(self) -> bool:
        """Whether it says that it changed something."""
        return bool(self.result.get("changed"))

    @property
    def message(self) -> str:
        """The one sentence of a task that failed."""
        return str(self.result.get("msg"))


@dataclass(frozen=True)
class Run:
    """What became of a playbook: exit code, what it printed, and its tasks."""

    code: int
    output: str
    tasks: list[Task]

    def task(self, name: str) -> Task:
        """The task of this name."""
        (found,) = (task for task in self.tasks if task.name.removeprefix("accel.qat.qat_node : ") == name)
        return found


class Controller:
    """Runs Ansible on machines, from a directory of its own."""

    def __init__(self, machine: Machine, directory: Path, *others: Machine) -> None:
        self._machines = (machine, *others)
        self._directory = directory

    def inventory(self) -> str:
        """The inventory of each run, as YAML."""
        return inventory(self._machines)

    def environment(self) -> dict[str, str]:
        """What the controller has in its environment besides."""
        return {}

    def run(self, playbook: str, *options: str, **variables: Any) -> Run:
        """Run a playbook, by its path or full name."""
        hosts, record = self._directory / "hosts.yml", self._directory / "results"
        hosts.write_text(self.inventory())
        record.write_text("")
        words = ["--inventory", str(hosts), "--extra-vars", json.dumps(variables), *options, playbook]
        environment = {**common_environment(), **self.environment(), "RECORDER_FILE": str(record)}
        code, output = run_playbook(words, environment, self._directory)
        return Run(code, output, [Task(**json.loads(line)) for line in record.read_text().splitlines()])

    def play(self, tasks: list[dict[str, Any]], *options: str) -> Run:
        """Run these tasks, as root."""
        path = self._directory / "play.yml"
        # JSON is YAML.
        path.write_text(json.dumps([{"hosts": "qat_nodes", "gather_facts": False, "become": True, "tasks": tasks}]))
        return self.run(str(path), *options)
