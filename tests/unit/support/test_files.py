# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what nobody but root can have put there is read through a link."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._support.files import LeftOut, read_text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("etc", "open", "etc/below"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "etc/shadow").write_text("root:x\n")
    (tmp_path / "etc/conf").write_text("a\n")
    (tmp_path / "open").chmod(0o1777)
    tmp_path.chmod(0o755)
    return tmp_path


def read(root: Path, path: str) -> str:
    return read_text(str(root), path, 100)


def test_links_that_root_has_put_there_are_followed_inside_of_the_root(root: Path) -> None:
    (root / "etc/link").symlink_to("/etc/conf")
    (root / "etc/relative").symlink_to("../etc/./conf")
    (root / "etc/up").symlink_to("../../../../etc/link")
    (root / "linked").symlink_to("etc")
    for path in ("/etc/conf", "/etc/link", "/etc/relative", "/etc/up", "/linked/link", "//etc/below/../conf"):
        assert read(root, path) == "a\n", path


@pytest.mark.parametrize(
    ("make", "path", "reason"),
    [
        (
            lambda root: (root / "open/link").symlink_to("/etc/shadow"),
            "/open/link",
            "a link, in a directory to which others",
        ),
        (
            lambda root: (root / "open/link").symlink_to("../etc/shadow"),
            "/open/link",
            "a link, in a directory to which others",
        ),
        (lambda root: (root / "open/d").symlink_to("/etc"), "/open/d/shadow", "a link, in a directory to which others"),
        (lambda root: os.link(root / "etc/shadow", root / "open/hard"), "/open/hard", "it has another name too"),
        (lambda root: os.mkfifo(root / "etc/fifo"), "/etc/fifo", "no regular file"),
        (lambda _root: None, "/etc", "no regular file"),
        (lambda root: (root / "etc/long").write_text("x" * 101), "/etc/long", "larger than 100 bytes"),
        (lambda root: (root / "etc/binary").write_bytes("secret".encode("utf-16")), "/etc/binary", "no text"),
    ],
)
def test_what_is_left_out(root: Path, make: t.Callable[[Path], object], path: str, reason: str) -> None:
    make(root)
    with pytest.raises(LeftOut, match=reason):
        read(root, path)


def test_a_directory_of_others_below_one_of_root(root: Path) -> None:
    """What is below it is not trusted either, whoever owns it."""
    (root / "open/below").mkdir(mode=0o755)
    (root / "open/below/link").symlink_to("/etc/shadow")
    with pytest.raises(LeftOut):
        read(root, "/open/below/link")
    (root / "open/below/own").write_text("b\n")
    assert read(root, "/open/below/own") == "b\n"


def test_what_is_not_there(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(root, "/etc/nothing")
    (root / "etc/circle").symlink_to("circle")
    with pytest.raises(OSError, match="symbolic links"):
        read(root, "/etc/circle")
