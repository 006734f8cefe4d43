# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that installs qatctl, and the file that it installs."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.playbook.task import Task

from ansible_collections.accel.qat.plugins.action import qatctl
from ansible_collections.accel.qat.plugins.module_utils._host.packed import kind_of, unpack, with_code
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA
from ansible_collections.accel.qat.tests.unit.plugins.local import OnThisMachine
from ansible_collections.accel.qat.tools.checks import interpreters
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

NODE_PYTHONS = [(version, found) for version in ("3.9", "3.11", "3.13") if (found := interpreters.find(version))]


class Action(qatctl.ActionModule):
    """Notes what the node is asked for and sent, and reaches none. Its file is another one until it is sent."""

    asked: t.ClassVar[list[dict[str, t.Any]]] = []
    sent: t.ClassVar[list[t.Any]] = []
    is_there: t.ClassVar[bool] = False

    def _transfer_data(self, remote_path: str | bytes, data: str | bytes) -> str | bytes:
        assert remote_path == "/tmp/unused/qatctl"
        Action.sent.append(data)
        return remote_path

    def _fixup_perms2(self, remote_paths: t.Any, *_more: t.Any, **_others: t.Any) -> None:
        assert remote_paths == ("/tmp/unused", "/tmp/unused/qatctl")

    def _execute_module(self, *, module_name: str, module_args: t.Any, task_vars: t.Any) -> dict[str, t.Any]:  # type: ignore[override]
        assert (module_name, task_vars) == ("accel.qat.qatctl_installed", {"some": "fact"})
        Action.asked.append(dict(module_args))
        to_send = not (Action.is_there or "src" in module_args)
        return {"changed": not Action.is_there, "dest": module_args["path"], "to_send": to_send}


@pytest.fixture(autouse=True)
def no_node_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("asked", "sent"):
        monkeypatch.setattr(Action, name, [])


def act(diff: bool = False, check_mode: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
    """What the action returns."""
    task = Task()
    task.diff = diff
    task.check_mode = check_mode
    task.args = arguments
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/unused", join_path=os.path.join))
    action = Action(task, connection, None, None, None, None)  # type: ignore[arg-type]
    return action.run(task_vars={"some": "fact"})


def test_sends_the_file_to_a_node_that_has_another_one() -> None:
    assert act() == {"changed": True, "dest": "/usr/local/sbin/qatctl"}
    asked = {
        "path": "/usr/local/sbin/qatctl",
        "python": "/usr/bin/python3",
        "digest": qatctl.pack("/usr/bin/python3").digest,
    }
    assert Action.asked == [asked, {**asked, "src": "/tmp/unused/qatctl"}]
    assert Action.sent == [qatctl.build("/usr/bin/python3")]


def test_sends_nothing_to_a_node_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Action, "is_there", True)
    assert act() == {"changed": False, "dest": "/usr/local/sbin/qatctl"}
    assert (len(Action.asked), Action.sent) == (1, [])


def test_sends_nothing_in_check_mode() -> None:
    assert act(check_mode=True) == {"changed": True, "dest": "/usr/local/sbin/qatctl"}
    assert (len(Action.asked), Action.sent) == (1, [])


def test_installs_it_elsewhere_for_another_python() -> None:
    act(path="/opt/qatctl", python="/opt/python/bin/python3")
    assert [(asked["path"], asked["python"]) for asked in Action.asked] == [
        ("/opt/qatctl", "/opt/python/bin/python3")
    ] * 2
    assert Action.sent[0].startswith(b"#!/opt/python/bin/python3 -I\n")


def test_a_difference_names_the_file() -> None:
    difference = act(diff=True)["diff"]
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


def _run(command: t.Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(
    scope="module",
    params=[(*one, compiled) for one in NODE_PYTHONS for compiled in (True, False)],
    ids=[f"on {version}, {how}" for version, _python in NODE_PYTHONS for how in ("compiled", "from source")],
)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file where it can be called, for one of the Pythons of this machine."""
    _version, python, compiled = request.param
    path = tmp_path_factory.mktemp("sbin") / "qatctl"
    packed = unpack(qatctl.build(str(python)))
    assert packed
    if compiled:
        kind = kind_of(str(python), _run)
        packed = with_code(packed, kind, str(python), str(path), _run, str(tmp_path_factory.mktemp("sources")))
    path.write_bytes(packed.content())
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


def test_is_called_by_the_name_of_its_file(installed: Path, tmp_path: Path) -> None:
    other = tmp_path / "accel-qatctl"
    other.symlink_to(installed)
    assert call(other, "--version").stdout == f"accel-qatctl {qatctl.version()}\n"
    assert call(other, "--help").stdout.startswith("usage: accel-qatctl [-h] ")
    assert call(other, "apply", "--config", f"{tmp_path}/none").stderr.startswith(f"accel-qatctl: {tmp_path}/none: ")


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
        _out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize(
    "python", ["python3", "/usr/bin/env python3", "/usr/bin/python3\n", "/opt/a\tb", "/opt/\x1b[2J", ""]
)
def test_a_python_that_no_script_can_name_is_refused(python: str) -> None:
    with pytest.raises(AnsibleActionFail, match=r"^python: .* is no path of a Python; write an absolute path"):
        act(python=python)
    assert Action.asked == []


@pytest.mark.core
def test_installs_by_ansible(tmp_path: Path) -> None:
    """The real action and module, on this machine: check, do, do again, and again when its mode was changed."""
    path = tmp_path / "sbin/qatctl"
    install = {"accel.qat.qatctl": {"path": str(path), "python": sys.executable}}
    tasks: list[dict[str, t.Any]] = [
        {**install, "check_mode": True, "diff": True},
        {**install, "diff": True},
        install,
        {"ansible.builtin.command": {"argv": ["chmod", "0700", str(path)]}},
        install,
        {"ansible.builtin.command": {"argv": [str(path), "--version"]}},
    ]
    run = OnThisMachine(tmp_path).play(tasks)
    assert run.code == 0, run.output
    checked, done, again, _command, put_right, version = run.tasks
    assert [task.changed for task in (checked, done, again, put_right)] == [True, True, False, True]
    assert checked.result["diff"] == done.result["diff"]
    assert "to_send" not in {*checked.result, *done.result, *again.result}
    assert version.result["stdout"] == f"qatctl {qatctl.version()}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    installed = unpack(path.read_bytes())
    assert installed
    assert installed.code
    assert installed.digest == qatctl.pack(sys.executable).digest
