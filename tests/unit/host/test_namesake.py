# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of others that has the name of ours is neither replaced nor hidden."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.installed import QATCTL, QATCTL_PACKAGE
from ansible_collections.accel.qat.plugins.module_utils._host.namesake import refuse_namesake
from ansible_collections.accel.qat.plugins.module_utils._host.packed import Packed
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError

OURS = Packed(b"#!/usr/bin/python3 -I\n", {"__main__.py": b"", f"{QATCTL_PACKAGE}/__init__.py": b""}).content()
THEIRS = b"#!/usr/bin/python3\nfrom qat_tools.qatctl import main\nmain()\n"
DEB, LOCAL = "/usr/bin/qatctl", "/usr/local/bin/qatctl"


def nobody(_command: t.Sequence[str]) -> str:
    """Neither dpkg nor rpm is there, or none knows the file."""
    return ""


def refused(place: str, path: str = QATCTL, package: str = "") -> str:
    """The sentence about the program at `place`."""
    return (
        f"{path}: {place} is another program of this name{package}; name ours otherwise by qat_node_qatctl_path, such as "
        "/usr/local/sbin/accel-qatctl, or remove the other one"
    )


class Root:
    """The directory that is a node's root."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, place: str, content: bytes) -> None:
        path = self.path / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def refusal(self, path: str = QATCTL, run: t.Callable[[t.Sequence[str]], str] = nobody) -> str:
        """What is refused, empty where nothing is."""
        try:
            refuse_namesake(path, run, str(self.path))
        except RefusedError as error:
            return str(error)
        return ""


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


@pytest.mark.parametrize("content", [OURS, OURS[: len(OURS) // 2], b""], ids=["whole", "damaged", "empty"])
@pytest.mark.parametrize("place", [QATCTL, DEB])
def test_a_file_of_ours_is_none(root: Root, place: str, content: bytes) -> None:
    root.put(place, content)
    assert root.refusal() == ""


@pytest.mark.parametrize("place", [QATCTL, DEB, LOCAL, "/usr/sbin/qatctl", "/bin/qatctl"])
def test_another_program_is_one(root: Root, place: str) -> None:
    root.put(place, THEIRS)
    assert root.refusal() == refused(place)


def test_that_of_another_name_or_elsewhere_is_none(root: Root) -> None:
    root.put(DEB, THEIRS)
    assert root.refusal("/usr/local/sbin/accel-qatctl") == ""
    assert root.refusal("/opt/accel/qatctl") == ""
    root.put("/opt/accel/qatctl", THEIRS)
    assert root.refusal("/opt/accel/qatctl") == refused("/opt/accel/qatctl", "/opt/accel/qatctl")


@pytest.mark.parametrize(
    ("command", "says", "package"),
    [
        ("dpkg", "qat-tools: /usr/bin/qatctl\n", ", of the package qat-tools"),
        ("dpkg", "qat-tools:amd64: /usr/bin/qatctl\n", ", of the package qat-tools"),
        ("dpkg", "diversion by somebody from: /usr/bin/qatctl\n", ""),
        ("rpm", "qat-tools", ", of the package qat-tools"),
        ("rpm", "file /usr/bin/qatctl is not owned by any package\n", ""),
    ],
)
def test_its_package_is_named(root: Root, command: str, says: str, package: str) -> None:
    root.put(DEB, THEIRS)
    said = root.refusal(run=lambda words: says if words[0] == command and words[-1] == DEB else "")
    assert said == refused(DEB, package=package)


def test_links_are_followed(root: Root) -> None:
    root.put("/opt/ours", OURS)
    root.put("/opt/theirs", THEIRS)
    link = root.path / DEB.lstrip("/")
    link.parent.mkdir(parents=True)
    for target, said in (("ours", ""), ("theirs", refused(DEB)), ("gone", "")):
        link.symlink_to(root.path / "opt" / target)
        assert root.refusal() == said
        link.unlink()


def test_what_is_no_file_is_no_program(root: Root) -> None:
    """Opening a FIFO would wait for whoever writes to it."""
    place = root.path / DEB.lstrip("/")
    place.mkdir(parents=True)
    os.mkfifo(root.path / "usr/qatctl")
    (root.path / "usr/sbin").mkdir()
    (root.path / "usr/sbin/qatctl").symlink_to("../qatctl")
    (root.path / "bin").write_text("a file in the place of a directory")
    assert root.refusal() == ""


def test_what_cannot_be_read_is_not_taken_for_absent(root: Root) -> None:
    place = root.path / DEB.lstrip("/")
    place.parent.mkdir(parents=True)
    place.symlink_to(place)
    with pytest.raises(NodeError, match="cannot be read: Too many levels of symbolic links"):
        root.refusal()
