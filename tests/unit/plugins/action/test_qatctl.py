# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that installs qatctl, and the file that it installs."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import typing as t
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.playbook.task import Task

from ansible_collections.accel.qat.plugins.action import qatctl
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA
from ansible_collections.accel.qat.tools.checks import interpreters
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

NODE_PYTHONS = [(version, found) for version in ("3.9", "3.11", "3.13") if (found := interpreters.find(version))]


class Copy:
    """The copy action, which notes what it was asked for."""

    asked: t.ClassVar[list[dict[str, t.Any]]] = []

    def __init__(self, task: Task) -> None:
        self._arguments = dict(task.args)

    def run(self, task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        content = Path(self._arguments.pop("src")).read_bytes()
        Copy.asked.append({**self._arguments, "content": content, "task_vars": task_vars})
        return {"changed": True, "dest": self._arguments["dest"]}


def act(diff: bool = False, **arguments: t.Any) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """What the action returns, and what it asked the copy action for."""
    task = Task()
    task.diff = diff
    task.args = arguments
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/unused"))
    action = qatctl.ActionModule(task, connection, None, None, None, None)  # type: ignore[arg-type]
    loader = SimpleNamespace(get=lambda _name, task, **_others: Copy(task))
    action._shared_loader_obj = SimpleNamespace(action_loader=loader)  # type: ignore[assignment]
    return action.run(task_vars={"some": "fact"}), Copy.asked.pop()


def test_copies_the_file() -> None:
    result, asked = act()
    assert result == {"changed": True, "dest": "/usr/local/sbin/qatctl"}
    assert asked == {
        "dest": "/usr/local/sbin/qatctl",
        "owner": "root",
        "group": "root",
        "mode": "0755",
        "content": qatctl.build("/usr/bin/python3"),
        "task_vars": {"some": "fact"},
    }


def test_copies_it_elsewhere_for_another_python() -> None:
    _result, asked = act(path="/opt/qatctl", python="/opt/python/bin/python3")
    assert asked["dest"] == "/opt/qatctl"
    assert asked["content"].startswith(b"#!/opt/python/bin/python3 -I\n")


def test_a_difference_names_the_file() -> None:
    result, _asked = act(diff=True)
    difference = result["diff"]
    assert difference["before_header"] == difference["after_header"] == "/usr/local/sbin/qatctl"
    assert difference["after"] == f"(qatctl {qatctl.version()})\n" != difference["before"]


def test_refuses_other_options() -> None:
    with pytest.raises(AnsibleActionFail, match="Unsupported parameters"):
        act(dest="/opt/qatctl")


def test_the_same_sources_give_the_same_file() -> None:
    """Otherwise every run of the playbook would change something."""
    assert qatctl.build("/usr/bin/python3") == qatctl.build("/usr/bin/python3")
    with zipfile.ZipFile(io.BytesIO(qatctl.build("/usr/bin/python3"))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_holds_the_engine_and_nothing_else() -> None:
    engine = CHECKOUT / "plugins/module_utils/_node"
    with zipfile.ZipFile(io.BytesIO(qatctl.build("/usr/bin/python3"))) as archive:
        names = set(archive.namelist())
        for path in engine.rglob("*.py"):
            assert archive.read(f"accel_qat_node/{path.relative_to(engine)}") == path.read_bytes()
    assert names == {"__main__.py", *(f"accel_qat_node/{path.relative_to(engine)}" for path in engine.rglob("*.py"))}


def test_the_version_is_the_collections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert qatctl.version() == yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "9.8.7"}}))
    monkeypatch.setattr(qatctl, "_COLLECTION", str(tmp_path))
    assert qatctl.version() == "9.8.7"


@pytest.fixture(scope="module", params=NODE_PYTHONS, ids=[f"on {version}" for version, _python in NODE_PYTHONS])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file where it can be called, for one of the Pythons of this machine."""
    path = tmp_path_factory.mktemp("sbin") / "qatctl"
    path.write_bytes(qatctl.build(str(request.param[1])))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def environment() -> dict[str, str]:
    """As on a node: no site packages, nothing of this checkout, no switches of Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def call(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed, *arguments], check=False, capture_output=True, text=True, env=environment(), cwd="/"
    )


def test_runs(installed: Path) -> None:
    assert call(installed, "--version").stdout == f"qatctl {qatctl.version()}\n"
    assert json.loads(call(installed, "schema").stdout) == SCHEMA


def test_takes_nothing_of_its_callers_python(installed: Path, tmp_path: Path) -> None:
    """Root calls it, also with the environment of the user that became root."""
    (tmp_path / "argparse.py").write_text("print('taken')\n")
    site = tmp_path / ".local/lib"
    for version, _python in NODE_PYTHONS:
        place = site / f"python{version}/site-packages"
        place.mkdir(parents=True)
        (place / "usercustomize.py").write_text("print('taken')\n")
    caller = {**environment(), "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONSTARTUP": str(tmp_path)}
    done = subprocess.run(
        [installed, "--version"], check=True, capture_output=True, text=True, env=caller, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == (f"qatctl {qatctl.version()}\n", "")


def test_shows_a_node(installed: Path, tmp_path: Path) -> None:
    device = tmp_path / "sys/bus/pci/devices/0000:6b:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x8086\n")
    (device / "device").write_text("0x4940\n")
    roots = ["--sysfs-root", f"{tmp_path}/sys", "--proc-root", f"{tmp_path}/proc", "--dev-root", f"{tmp_path}/dev"]
    shown = call(installed, "show", "--json", *roots)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [one["family"] for one in json.loads(shown.stdout)["devices"]] == ["4xxx"]


def test_fails_in_one_sentence(installed: Path, tmp_path: Path) -> None:
    failed = call(installed, "apply", "--config", f"{tmp_path}/node.json")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == (
        f"qatctl: {tmp_path}/node.json: there is no such file; "
        "run the role accel.qat.qat_node, or name another file with --config\n"
    )


@pytest.mark.parametrize("word", ["schema", "--help"])
def test_a_reader_who_goes_away(installed: Path, word: str) -> None:
    """`qatctl schema | head -1` ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [installed, word], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        os.close(writer)
        _out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize(
    "python", ["python3", "/usr/bin/env python3", "/usr/bin/python3\n", "/opt/a\tb", "/opt/\x1b[2J", ""]
)
def test_a_python_that_no_script_can_name_is_refused(python: str) -> None:
    with pytest.raises(AnsibleActionFail, match=r"^python: .* is no path of a Python; write an absolute path"):
        act(python=python)
    assert Copy.asked == []
