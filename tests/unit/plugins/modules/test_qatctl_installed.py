# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole module qatctl_installed, with a program of a few lines in place of qatctl."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import stat
import subprocess
import sys
import typing as t
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.accel.qat.plugins.module_utils._host.packed import Packed, kind_of, unpack, with_code
from ansible_collections.accel.qat.plugins.modules import qatctl_installed
from ansible_collections.accel.qat.tools.checks import interpreters

SOURCES = {
    "__main__.py": b"from accel_qat_node.inside import say\nsay()\n",
    "accel_qat_node/__init__.py": b"",
    "accel_qat_node/inside.py": b'def say():\n    print("it runs" if __debug__ else "")\n',
}
KIND = importlib.util.MAGIC_NUMBER.hex()
# `make setup` brings both.
OTHER = interpreters.find("3.9" if sys.version_info >= (3, 11) else "3.11")


def output_of(command: t.Sequence[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def packed(python: str = sys.executable, **more: bytes) -> Packed:
    return Packed(
        f"#!{python} -I\n".encode(), {**SOURCES, **{f"accel_qat_node/{name}.py": text for name, text in more.items()}}
    )


class Installer:
    def __init__(self, directory: Path, output: pytest.CaptureFixture[str]) -> None:
        self.path = directory / "sbin/qatctl"
        self._sent = directory / "sent"
        self._output = output

    def run(
        self,
        wanted: Packed | None = None,
        python: str = sys.executable,
        check: bool = False,
        fails: bool = False,
        sends: bool = True,
    ) -> t.Any:
        wanted = wanted or packed(python)
        arguments = {"digest": wanted.digest, "path": str(self.path), "python": python, "_ansible_check_mode": check}
        if sends:
            self._sent.write_bytes(wanted.content())
            arguments["src"] = str(self._sent)
        with patch_module_args(arguments), pytest.raises(SystemExit) as caught:
            qatctl_installed.main()
        assert bool(caught.value.code) is fails
        return json.loads(self._output.readouterr().out)

    def changes(self, wanted: Packed | None = None, python: str = sys.executable) -> bool:
        """Ask, check, do, ask, check, do again: what the first three say, which is the same, and the others never."""
        asked = self.run(wanted, python, check=True, sends=False)["changed"]
        checked, done = (self.run(wanted, python, check=check)["changed"] for check in (True, False))
        assert asked is checked is done
        again = self.run(wanted, python, sends=False)
        assert (again["changed"], again["to_send"]) == (False, False)
        for check in (True, False):
            assert not self.run(wanted, python, check=check)["changed"]
        return bool(done)

    def installed(self) -> Packed:
        found = unpack(self.path.read_bytes())
        assert found
        return found


@pytest.fixture
def installer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installer:
    return Installer(tmp_path, capsys)


def test_installs_with_byte_code_of_the_python_that_runs_it(installer: Installer) -> None:
    assert installer.run(check=True)["changed"]
    assert not installer.path.exists()
    assert installer.changes()
    status = installer.path.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o755, os.geteuid(), os.getegid())
    assert set(installer.installed().code) == {f"{name}c" for name in SOURCES}
    assert output_of([str(installer.path)]) == "it runs\n"
    assert os.listdir(installer.path.parent) == ["qatctl"]


def test_nothing_is_written_before_the_file_is_sent(installer: Installer) -> None:
    asked = installer.run(sends=False)
    assert (asked["changed"], asked["to_send"]) == (True, True)
    assert not installer.path.parent.exists()
    installer.run()
    there = installer.path.read_bytes()
    assert installer.run(packed(more=b"1\n"), sends=False)["to_send"]
    assert installer.path.read_bytes() == there


def test_mode_and_owner_take_no_sending(installer: Installer) -> None:
    installer.run()
    installer.path.chmod(0o700)
    done = installer.run(sends=False)
    assert (done["changed"], done["to_send"]) == (True, False)
    assert stat.S_IMODE(installer.path.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "other",
    [
        Packed(b"#!/b\n", SOURCES),
        Packed(b"#!/a\n", {**SOURCES, "__main__.py": b""}),
        Packed(b"#!/a\n", {"main.py": b"", "accel_qat_node/__init__.py": b""}),
        Packed(b"#!/a\n", {**SOURCES, "accel_qat_node/more.py": b""}),
    ],
    ids=["first line", "text", "names", "one more"],
)
def test_a_digest_is_of_all_parts(other: Packed) -> None:
    assert other.digest != Packed(b"#!/a\n", SOURCES).digest
    assert Packed(b"#!/a\n", SOURCES, {"x.pyc": b"code"}).digest == Packed(b"#!/a\n", SOURCES).digest


def test_the_byte_code_is_used(installer: Installer) -> None:
    """It says something else than the source here."""
    installer.run()
    found = installer.installed()
    code = {
        **found.code,
        "accel_qat_node/inside.pyc": installer_code(installer, b'def say():\n    print("byte code")\n'),
    }
    installer.path.write_bytes(Packed(found.head, found.sources, code, KIND).content())
    assert output_of([str(installer.path)]) == "byte code\n"


def installer_code(installer: Installer, text: bytes) -> bytes:
    place = installer.path.parent.parent / "compiled"
    place.mkdir()
    return with_code(Packed(b"", {"one.py": text}), KIND, sys.executable, "/x", output_of, str(place)).code["one.pyc"]


def test_a_file_from_before_gets_its_byte_code(installer: Installer) -> None:
    installer.path.parent.mkdir()
    installer.path.write_bytes(packed().content())
    installer.path.chmod(0o755)
    assert installer.changes()
    assert installer.installed().code


@pytest.mark.parametrize("source", ["another", "more", "less"])
def test_other_sources_are_another_file(installer: Installer, source: str) -> None:
    installer.run(packed(more=b"print(1)\n"))
    wanted = {"another": packed(more=b"print(2)\n"), "more": packed(more=b"print(1)\n", most=b"1\n"), "less": packed()}
    assert installer.changes(wanted[source])
    assert installer.installed().sources == wanted[source].sources
    assert set(installer.installed().code) == {f"{name}c" for name in wanted[source].sources}


def test_code_of_another_kind_of_python_is_not_used_and_made_again(installer: Installer) -> None:
    """As after an upgrade of the distribution: until the next run the sources are what runs."""
    installer.run()
    found = installer.installed()
    code = {name: b"\x00\x01\r\n" + text[4:8] + b"damaged" for name, text in found.code.items()}
    installer.path.write_bytes(Packed(found.head, found.sources, code, KIND).content())
    assert output_of([str(installer.path)]) == "it runs\n"
    assert installer.changes()
    assert installer.installed().code["__main__.pyc"][:4] == importlib.util.MAGIC_NUMBER


def test_the_python_that_is_named_compiles(installer: Installer) -> None:
    assert OTHER
    other = str(OTHER)
    assert installer.changes(python=other)
    kind = kind_of(other, output_of)
    assert kind != KIND
    assert {code[:4].hex() for code in installer.installed().code.values()} == {kind}
    assert output_of([str(installer.path)]) == output_of([sys.executable, "-I", str(installer.path)]) == "it runs\n"
    assert installer.changes()


def test_a_python_that_is_not_there_yet_gets_the_sources(installer: Installer) -> None:
    absent = str(installer.path.parent / "python3")
    assert installer.changes(python=absent)
    assert installer.installed() == packed(absent)


def test_a_python_that_cannot_compile_gets_the_sources(installer: Installer) -> None:
    python = installer.path.parent / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\n[ "$2" = -c ] || exit 1\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert installer.changes(python=str(python))
    assert installer.installed() == replace(packed(str(python)), kind=KIND)


def test_a_file_that_does_not_compile_is_installed_as_it_is(installer: Installer) -> None:
    wanted = packed(broken=b"not a program\n")
    assert installer.changes(wanted)
    assert installer.installed() == replace(wanted, kind=KIND)


def test_an_empty_file_is_replaced(installer: Installer) -> None:
    installer.path.parent.mkdir()
    installer.path.touch()
    assert installer.changes()
    assert output_of([str(installer.path)]) == "it runs\n"


@pytest.mark.parametrize("there", [b"#!/bin/sh\n", b"#!/usr/bin/python3 -I\nPK\x05\x06"])
def test_a_program_of_others_is_refused(installer: Installer, there: bytes) -> None:
    installer.path.parent.mkdir()
    installer.path.write_bytes(there)
    for sends in (False, True):
        failed = installer.run(fails=True, sends=sends)
    assert failed["msg"] == (
        f"{installer.path}: {installer.path} is another program of this name; name ours otherwise by qat_node_qatctl_path, such as "
        "/usr/local/sbin/accel-qatctl, or remove the other one"
    )
    assert (failed["failure"]["kind"], failed["changed"]) == ("refused", False)
    assert installer.path.read_bytes() == there


def test_what_others_have_put_into_the_file_goes(installer: Installer) -> None:
    installer.run()
    with zipfile.ZipFile(installer.path, "a") as archive:
        archive.writestr("argparse.pyc", b"somebody's")
    assert installer.changes()
    assert set(installer.installed().code) == {f"{name}c" for name in SOURCES}


def test_a_damaged_file_is_replaced(installer: Installer) -> None:
    installer.run()
    whole = installer.path.read_bytes()
    installer.path.write_bytes(whole[: len(whole) // 2])
    assert installer.changes()


@pytest.mark.parametrize("mode", [0o644, 0o777, 0o4755])
def test_its_mode_is_put_right(installer: Installer, mode: int) -> None:
    installer.run()
    installer.path.chmod(mode)
    assert installer.changes()
    assert stat.S_IMODE(installer.path.stat().st_mode) == 0o755


def test_a_directory_in_the_way_is_refused(installer: Installer) -> None:
    installer.path.mkdir(parents=True)
    for sends in (False, True):
        failed = installer.run(fails=True, sends=sends)
    assert failed["msg"] == f"{installer.path}: is a directory, not a file; move it away"
    assert (failed["failure"]["kind"], failed["changed"]) == ("refused", False)


def test_a_traceback_names_the_file(installer: Installer) -> None:
    installer.run(packed(inside=b"def say():\n    raise ValueError\n"))
    done = subprocess.run([str(installer.path)], check=False, capture_output=True, text=True)
    assert f'File "{installer.path}/accel_qat_node/inside.py", line 2, in say' in done.stderr


def test_the_same_parts_are_the_same_file() -> None:
    content = packed().content()
    assert packed().content() == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
