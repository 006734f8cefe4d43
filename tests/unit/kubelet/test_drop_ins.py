# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drop-ins are found where kubelet finds them."""

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet import drop_ins as finding
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import Proof, prove
from ansible_collections.accel.qat.plugins.module_utils._kubelet.drop_ins import drop_ins
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Request, observe
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

DIRECTORY = examples.CONFIG_DIR


def test_at_any_depth_in_kubelets_order(tmp_path: Path) -> None:
    for name in (
        "a/b/c/50.conf",
        "a/b/60.conf",
        "a.conf",
        ".hidden.conf",
        "10.conf",
        "notes.txt",
        "a/x.conf.bak",
        "b.conf.d/1.conf",
    ):
        place = tmp_path / "d" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    expected = [".hidden.conf", "10.conf", "a/b/60.conf", "a/b/c/50.conf", "a.conf", "b.conf.d/1.conf"]
    assert drop_ins(str(tmp_path), "/d") == [f"/d/{name}" for name in expected]
    assert drop_ins(str(tmp_path), "/none") == []
    assert drop_ins(str(tmp_path), "/d/10.conf") == []


def test_behind_a_link_only_where_a_slash_follows(tmp_path: Path) -> None:
    """As WalkDir of Go does, which looks at its root by lstat(2); a link above it, and one that is a file's, are followed."""
    (tmp_path / "real/d").mkdir(parents=True)
    (tmp_path / "elsewhere.conf").write_text("")
    (tmp_path / "real/d/10.conf").symlink_to(tmp_path / "elsewhere.conf")
    (tmp_path / "link").symlink_to("real/d")
    (tmp_path / "above").symlink_to("real")
    root = str(tmp_path)
    assert (drop_ins(root, "/link"), finding.is_link(root, "/link")) == ([], True)
    assert (drop_ins(root, "/link/"), finding.is_link(root, "/link/")) == (["/link/10.conf"], False)
    assert (drop_ins(root, "/above/d"), finding.is_link(root, "/above/d")) == (["/above/d/10.conf"], False)
    assert not any(finding.is_link(root, place) for place in ("/none", "/elsewhere.conf/below", "/real"))


@pytest.mark.parametrize(("slash", "linked"), [("", [DIRECTORY]), ("/", [])])
def test_the_snapshot_names_a_directory_that_is_a_link(
    make_node: t.Callable[..., KubeletNode], slash: str, linked: list[str]
) -> None:
    files = {"/srv/kubelet.conf.d/50.conf": examples.CONFIGURATION}
    node = make_node(**examples.kubeadm(flags=[f"--config-dir={DIRECTORY}{slash}"], files=files))
    (node.root / DIRECTORY[1:]).symlink_to("../../srv/kubelet.conf.d")
    found = observe(machine_of(node), str(node.root / "proc"), Request(version="1.30.1", offered=False))
    assert (found.config_dir, found.linked) == (DIRECTORY, linked)
    assert (f"{DIRECTORY}/50.conf" in found.files) is bool(slash)
    node.write("/srv/kubelet.conf.d/50.conf", examples.CONFIGURATION + "featureGates:\n  Bogus: true\n")
    with pytest.raises(RefusedError, match="Bogus"):
        prove(machine_of(node), Proof("/usr/bin/kubelet", examples.CONFIG, DIRECTORY), [], str(node.root))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_what_cannot_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (tmp_path / "d").mkdir()

    def failing(_path: str) -> t.NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(finding.os, "scandir", failing)  # type: ignore[attr-defined]
    with pytest.raises(NodeError, match="/d: cannot be read: "):
        drop_ins(str(tmp_path), "/d")


def test_the_snapshot_has_them_and_the_proof_too(make_node: t.Callable[..., KubeletNode]) -> None:
    deep = f"{DIRECTORY}/a/b/50.conf"
    node = make_node(**examples.kubeadm(flags=[f"--config-dir={DIRECTORY}"], files={deep: examples.CONFIGURATION}))
    found = observe(machine_of(node), str(node.root / "proc"), Request(version="1.30.1", offered=False))
    assert set(found.files) == {examples.CONFIG, deep, "/etc/default/kubelet"}
    node.write(deep, examples.CONFIGURATION + "featureGates:\n  Bogus: true\n")
    with pytest.raises(RefusedError, match="Bogus"):
        prove(machine_of(node), Proof("/usr/bin/kubelet", examples.CONFIG, DIRECTORY), [], str(node.root))
