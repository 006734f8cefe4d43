# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the labels knows each that the device plugin or the rule gives, and no other."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
import yaml
from harness.node_files import NodeFiles
from qat_device_plugin import labels, nfd
from qat_device_plugin._node.devices.read import read_devices
from qat_device_plugin._node.devices.rules import parse_configuration
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin._node.users.pods import Named
from qat_device_plugin.attribution import Attribution, attributed
from qat_device_plugin.catalogue import Snapshot
from qat_device_plugin.model import Model, Scan, advance

from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import NFD_FEATURES
from ansible_collections.accel.qat.tests.unit.docs.test_pages import table, text_of
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PAGE = "docs/nfd.md"


def kinds(names: set[str]) -> set[str]:
    """What the labels are called up to the part that differs from node to node."""
    return {name.partition(".")[0] for name in names}


def of_the_plugin(directory: Path) -> set[str]:
    """The labels of a node that has everything."""
    files = NodeFiles(directory)
    files.add_pf("0000:6b:00.0", vfs=2)
    with contextlib.closing(LiveKernel(str(files.sys), str(files.proc), str(files.dev))) as kernel:
        snapshot = Snapshot(read_devices(kernel), frozenset(kernel.list("/dev/vfio")))
    model = advance(Model(), Scan(1.0, snapshot, {}), parse_configuration({"devices": [{}]}))
    return set(labels.labels_of(model, attributed(Attribution(), Named(), 1.0), 0.0))


def of_the_rule() -> set[str]:
    document = yaml.safe_load((CHECKOUT / "deploy/nfd/nodefeaturerule.yml").read_text())
    names = [name for rule in document["spec"]["rules"] for name in rule["labels"]]
    assert all(name.startswith(labels.NAMESPACE + "/") for name in names)
    return {name.partition("/")[2] for name in names}


@pytest.mark.parametrize("column", ["rule", "plugin"])
def test_labels(column: str, tmp_path: Path) -> None:
    rows = {name.partition(".")[0]: cells for name, cells in table(PAGE, "label").items()}
    said = {name for name, cells in rows.items() if cells[{"rule": 1, "plugin": 2}[column]] == "yes"}
    assert said == kinds(of_the_rule() if column == "rule" else of_the_plugin(tmp_path))
    assert {cells[1] for cells in rows.values()} | {cells[2] for cells in rows.values()} == {"yes", "no"}


def test_the_file_on_the_page_is_one_that_is_written() -> None:
    (shown,) = re.findall(r"^```\n(# \+expiry.*?)^```$", text_of(PAGE), re.MULTILINE | re.DOTALL)
    pairs = [line.partition("=") for line in shown.splitlines() if not line.startswith("#")]
    written = labels.feature_file({name.partition("/")[2]: value for name, _, value in pairs}, 1_800_003_600)
    assert written.decode().split("\n", 1)[1] == shown
    assert f"`{NFD_FEATURES}/{nfd.FILE}`" in text_of(PAGE)


def test_times_on_the_page() -> None:
    """In words: a minute, five minutes, an hour."""
    assert (nfd.QUIET_SECONDS, labels.GRACE_SECONDS, nfd.LIFE_SECONDS) == (60, 5 * 60, 60 * 60)


def test_labels_that_others_select_by_are_on_the_page(tmp_path: Path) -> None:
    known = of_the_rule() | of_the_plugin(tmp_path)
    pattern = re.escape(labels.NAMESPACE) + r"/([\w.-]*\w)"
    for place in ("examples/inventory/20_qat_nodes.yml", "docs/fleet.md", PAGE):
        used = set(re.findall(pattern, text_of(place)))
        assert used
        assert kinds(used) <= kinds(known), place
