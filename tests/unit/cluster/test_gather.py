# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook gather brings an archive of the node to the controller, and leaves nothing on the node."""

from __future__ import annotations

import json
import re
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import Site, one
from ansible_collections.accel.qat.tests.unit.cluster.test_preflight import files_below

CLUSTER: dict[str, t.Any] = {"qat_kubernetes": True, "qat_device_plugin_python": sys.executable}
ARCHIVE = r"node1-\d{8}T\d{6}Z\.tar\.gz"


def in_archive(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {name: t.cast(t.Any, archive.extractfile(name)).read().decode() for name in archive.getnames()}


def left_on_the_node(run: Run) -> bool:
    return Path(one(run, "Make a private directory on the node").result["path"]).exists()


@pytest.mark.core
def test_an_archive_is_fetched_and_nothing_else_is_changed(site: Site, tmp_path: Path) -> None:
    before = files_below(site.root)
    home = tmp_path / "made/archives"
    home.parent.mkdir()
    run = site.gather(**CLUSTER, qat_gather_directory=str(home))
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == [
        "Make the directory of archives",
        "Copy the archive to the controller",
    ]
    assert files_below(site.root) == before
    assert not left_on_the_node(run)
    (path,) = home.iterdir()
    assert re.fullmatch(ARCHIVE, path.name)
    assert (home.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    found = in_archive(path)
    assert list(found)[:2] == ["README", "index.json"]
    cluster = json.loads(found["cluster/node.json"])
    assert cluster["allocatable"]["qat.intel.com/cy"] == "2"
    assert cluster["conditions"]
    assert json.loads(found["qat/devices.json"])["devices"][0]["address"] == "0000:6b:00.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", json.loads(found["system/versions.json"])["collection"])
    missing = {entry["name"]: entry["reason"] for entry in json.loads(found["index.json"])["missing"]}
    assert missing["files/etc/accel-qat/node.json"] == "not there"
    assert {method for method, _path, _body in site.cluster.requests} == {"GET"}
    said = one(run, "Say what was gathered").result["msg"]
    assert str(path) in said[0]


def test_check_mode_says_what_it_would_gather_and_writes_nothing(site: Site, tmp_path: Path) -> None:
    home = tmp_path / "archives"
    run = site.gather("--check", qat_gather_directory=str(home))
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == []
    assert not home.exists()
    said = one(run, "Say what was gathered").result["msg"]
    assert said[0].startswith(f"would write {home}/node1-")
    assert "qat/devices.json" in said[2]
    assert "- system/hardware.json" not in said


def test_an_api_server_that_cannot_be_asked_is_noted(site: Site, tmp_path: Path) -> None:
    run = site.gather(**CLUSTER, qat_gather_directory=str(tmp_path / "a"), qat_verify_node_name="another")
    assert run.code == 0, run.output
    (path,) = (tmp_path / "a").iterdir()
    missing = {entry["name"]: entry["reason"] for entry in json.loads(in_archive(path)["index.json"])["missing"]}
    assert "another" in missing["cluster/node.json"]


def test_nodes_whose_names_differ_in_odd_characters_have_archives_of_two_names(site: Site, tmp_path: Path) -> None:
    site.nodes = {"node@1": {}, "node+1": {}, "node_1": {}}
    run = site.gather("--check", qat_gather_directory=str(tmp_path))
    assert run.code == 0, run.output
    chosen = [task.result for task in run.tasks if task.name == "Choose the name of the archive"]
    archives = [Path(result["ansible_facts"]["__qat_gather_archive"]).name.rpartition("-")[0] for result in chosen]
    assert len(set(archives)) == 3
    # Nodes come to the task in no order.
    assert sorted(re.sub("[0-9a-f]{8}$", "HASH", name) for name in archives) == ["node_1", "node_1-HASH", "node_1-HASH"]


def test_an_archive_that_cannot_be_fetched_does_not_stay_on_the_node(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    run = site.gather(qat_gather_directory=str(tmp_path / "file"))
    assert run.code != 0
    assert any(
        f"the archive cannot be had at {tmp_path}/file/node1-" in task.message
        for task in run.tasks
        if task.outcome == "failed"
    )
    assert not left_on_the_node(run)
    assert (tmp_path / "file").read_text() == "x"
