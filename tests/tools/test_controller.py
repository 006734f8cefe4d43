# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of tests are run in copies of one process, and are as far from each other as if each were a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller import playbook
from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tools.checks.shell import common_environment

CLIENT = """
import sys
from pathlib import Path
from ansible_collections.accel.qat.tests.controller import playbook
from ansible_collections.accel.qat.tools.checks.shell import common_environment
path = Path(sys.argv[1])
playbook.run_playbook(["--inventory", "hosts.yml", path.name], {**common_environment(), "RECORDER_FILE": "/dev/null"}, path.parent)
"""


class Here(Controller):
    """Ansible on the machine that the tests run on."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self._directory = directory
        self._variables = variables

    def inventory(self) -> str:
        node = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
        return json.dumps({"qat_nodes": {"hosts": {"node1": node}}})

    def environment(self) -> dict[str, str]:
        return self._variables


def look(controller: Controller) -> Run:
    text = "{{ lookup('ansible.builtin.env', 'PLACE') }} {{ lookup('ansible.builtin.pipe', 'pwd; echo $PPID') | split | join(' ') }}"
    return controller.play([{"name": "Look", "ansible.builtin.debug": {"msg": text}}])


def words_of(run: Run) -> list[str]:
    return str(run.task("Look").result["msg"]).split()


def test_each_has_its_own_environment_and_directory(tmp_path: Path) -> None:
    seen = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run = look(Here(tmp_path / name, PLACE=name))
        assert run.code == 0, run.output
        *where, process = words_of(run)
        assert where == [name, str(tmp_path / name)]
        seen.append(process)
    assert len(set(seen)) == 2
    assert "PLACE" not in os.environ
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"hosts.yml", "play.yml", "results"}


def test_a_module_is_packed_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    packed = []
    for _ in range(2):
        run = Here(tmp_path, ANSIBLE_HOME=str(home)).play([{"ansible.builtin.ping": {}}])
        assert run.code == 0, run.output
        packed.append({path: path.stat().st_mtime_ns for path in home.glob("tmp/*/ansiballz_cache/*ping*")})
    assert packed[0] == packed[1] != {}


def test_what_fails_reports_its_code_and_what_was_printed(tmp_path: Path) -> None:
    run = Here(tmp_path).play([{"name": "Refuse", "ansible.builtin.fail": {"msg": "not today"}}])
    assert (run.code, run.task("Refuse").message) == (2, "not today")
    assert "not today" in run.output
    missing = Here(tmp_path).run("not-there.yml")
    assert (missing.code, missing.tasks) == (1, [])
    assert "not-there.yml" in missing.output


def sleeping(directory: Path) -> Path:
    """A playbook that writes the numbers of two of its processes, and takes ten minutes."""
    path = directory / "sleep.yml"
    (directory / "hosts.yml").write_text(Here(directory).inventory())
    task = {"ansible.builtin.shell": "echo $$ $PPID > pids; exec sleep 600", "args": {"chdir": str(directory)}}
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    return path


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = sleeping(tmp_path)
    environment = {**common_environment(), "RECORDER_FILE": os.devnull}
    with pytest.raises(playbook.TooSlow, match=r"sleep\.yml did not end in 0\.5 seconds"):
        playbook.run_playbook(["--inventory", "hosts.yml", path.name], environment, tmp_path, seconds=0.5)
    assert playbook.run_playbook(["--version"], environment, tmp_path)[0] == 0


def test_it_ends_with_the_test_that_wanted_it(tmp_path: Path) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, sleeping(tmp_path)],
        env={**common_environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        pids = tmp_path / "pids"
        until(lambda: pids.exists() and pids.read_text().strip())
        (loaded,) = children_of(client.pid)
        processes = [loaded, *children_of(loaded), *map(int, pids.read_text().split())]
    finally:
        client.kill()
        client.wait()
    until(lambda: not [process for process in processes if Path(f"/proc/{process}").exists()])


def children_of(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def until(holds: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
