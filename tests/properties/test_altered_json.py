# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""node.json, found.json, kubelet.json and what kubelet keeps are read, or refused in a sentence, whatever has become of them."""

from __future__ import annotations

import json
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._kubelet.journal import Journal
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import (
    Baseline,
    read_record,
    write_record,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import (
    Rule,
    parse_configuration,
    parse_json,
    read_rules,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.pci import normal_address
from ansible_collections.accel.qat.plugins.module_utils._node.users.podresources import CHECKPOINT, CLAIMS, Given
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import read_given
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.record import Record
from ansible_collections.accel.qat.tests.properties.altered import (
    LONGEST,
    altered,
    altered_documents,
    examples,
    in_time,
    see_sentence,
)

RULES: list[t.Any] = [
    {"devices": [{"select": {"address": "0000:75:00.0"}, "services": ["sym", "dc"], "vfs": 16}, {"when_in_use": "skip"}]},
    {
        "devices": [
            {"select": {"family": ["4xxx", "420xx"], "numa_node": [0, -1]}, "services": ["asym"], "advertise": 12},
            {"select": {"index": 3, "device_id": ["0x4946", "37c8"]}, "state": "absent"},
            {"driver": "qat_vfio_pci", "attach": "vm", "when_in_use": "force"},
        ]
    },
]  # fmt: skip
_VFS: list[t.Any] = [{"driver": "vfio-pci", "driver_override": "vfio-pci"}, {"driver": None, "driver_override": None}]
RECORDS: list[t.Any] = [
    {
        "format": 1,
        "vfio_pci_loaded": False,
        "devices": {
            "0000:75:00.0": {
                "ids": "8086:4944",
                "services": ["dc", "sym"],
                "state": "up",
                "driven": True,
                "drivers_autoprobe": True,
                "vfs": _VFS * 2,
                "drivers_given": ["vfio-pci"],
            },
            "0000:b0:00.0": {
                "services": None,
                "state": None,
                "driven": False,
                "drivers_autoprobe": None,
                "vfs": [],
                "drivers_given": [],
            },
        },
    },
    {"format": 1, "vfio_pci_loaded": True, "devices": {}},
]
_UID = "5b8f1f0e-3c8e-4c43-9d0b-6a3d6a3c7f51"
_ENTRY = {
    "PodUID": _UID,
    "ContainerName": "openssl",
    "ResourceName": "qat.intel.com/sym",
    "DeviceIDs": {"0": ["0000:75:00.1", "0000:75:00.2"], "-1": ["0000:b0:02.7"]},
    "AllocResp": "CgoKA1FBVBIDMQ==",
}
CHECKPOINTS: list[t.Any] = [
    {
        "Data": {
            "PodDeviceEntries": [_ENTRY, {**_ENTRY, "ContainerName": "init"}],
            "RegisteredDevices": {"qat.intel.com/sym": ["0000:75:00.1", "0000:75:00.2"], "qat.intel.com/dc": None},
        },
        "Checksum": 2317045678,
    },
    {"Data": {"PodDeviceEntries": [{**_ENTRY, "DeviceIDs": ["0000:75:00.1"]}], "RegisteredDevices": {}}, "Checksum": 7},
    {"Data": {"PodDeviceEntries": None, "RegisteredDevices": None}, "Checksum": 0},
]
_CLAIM = {
    "ClaimUID": "f00d", "ClaimName": "two-vfs", "Namespace": "build", "PodUIDs": {_UID: {}},
    "DriverState": {"qat.intel.com": {"Devices": [{"PoolName": "n", "DeviceName": "qatvf-0000-75-00-1", "CDIDeviceIDs": None}]}},
}  # fmt: skip
CLAIM_FILES: list[t.Any] = [
    {"Data": json.dumps({"kind": "DRACheckpoint", "Entries": [_CLAIM]}), "Checksum": 1},
    {"version": "v1", "ClaimInfoStateList": [_CLAIM], "checksum": 2},
]

_ENTRY_OF_FILE: dict[str, t.Any] = {"path": ["evictionHard", "memory.available"], "found": None, "written": "1Gi"}
_FILE: dict[str, t.Any] = {
    "text": "kind: KubeletConfiguration\n",
    "whole": True,
    "written": "0d3b",
    "entries": [_ENTRY_OF_FILE],
}
_ARGUMENTS: dict[str, t.Any] = {
    "text": None, "whole": False, "written": "7c1e", "entries": [{"path": ["config-dir"], "found": None, "written": "/etc/x.d"}],
    "gives_arguments": True, "directory_made": False,
}  # fmt: skip
KUBELETS_RECORDS: list[t.Any] = [
    {"format": 1, "files": {"/var/lib/kubelet/config.yaml": _FILE, "/etc/default/kubelet": _ARGUMENTS}},
    {"format": 1, "files": {}},
]
_CHANGE: dict[str, t.Any] = {
    "path": "/var/lib/kubelet/config.yaml",
    "before": "a",
    "after": None,
    "mode": 0o600,
    "owner": [0, 0],
}
JOURNALS: list[t.Any] = [
    {"format": 1, "unit": "kubelet.service", "restart": True, "changes": [_CHANGE, {**_CHANGE, "mode": None, "owner": None}],
     "states": [{**_CHANGE, "path": "/var/lib/kubelet/cpu_manager_state"}], "written": None},
    {"format": 1, "unit": "k3s.service", "restart": False, "changes": [], "states": [], "written": {"boot": "5b8f", "at": 12.5}},
]  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

DEEP = (b'{"devices":' * 100_000, b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500)


def _of(documents: t.Sequence[t.Any]) -> st.SearchStrategy[bytes]:
    texts = [json.dumps(one, indent=indent) for one in documents for indent in (2, None)]
    return st.one_of(altered_documents(documents), altered_documents(documents), altered(texts))


@examples(1.2)
@given(_of(RULES))
def test_node_json_is_rules_or_a_sentence(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory, in_time():
        path = Path(directory) / "node.json"
        path.write_bytes(content)
        try:
            rules = read_rules(str(path), "write it")
        except ConfigurationError as refusal:
            event("refused")
            see_sentence(refusal)
            return
    event("read")
    _see_sound(rules)
    document = json.loads(content)
    assert len(rules) == len(document["devices"])
    assert parse_configuration(document) == parse_json(json.dumps(document), "again") == rules


def _see_sound(rules: t.Sequence[Rule]) -> None:
    for rule in rules:
        assert rule.state in ("present", "absent")
        assert all(number is None or (type(number) is int and number >= 0) for number in (rule.vfs, rule.advertise))
        assert all(normal_address(one) == one for one in rule.select.addresses or ())
        assert "/" not in rule.driver
        assert not rule.driver.startswith(("-", "."))


@examples(2.5)
@given(_of(RECORDS))
def test_the_record_is_read_whole_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory, in_time():
        path = Path(directory) / "found.json"
        path.write_bytes(content)
        try:
            found = read_record(str(path))
        except NodeError as refusal:
            event("refused")
            see_sentence(refusal)
            assert path.read_bytes() == content
            return
        event("read")
        assert set(found.pfs) == set(json.loads(content)["devices"])
        write_record(str(path), found)
        assert read_record(str(path)) == found


def test_the_records_that_are_altered_are_read(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    for record in RECORDS:
        path.write_text(json.dumps(record), encoding="utf-8")
        assert isinstance(read_record(str(path)), Baseline)
        assert set(read_record(str(path)).pfs) == set(record["devices"])


@pytest.mark.parametrize("kind", ["record", "journal"])
def test_what_is_kept_of_kubelets_files_is_read_whole_or_refused(kind: str) -> None:
    """Root puts these files back, and removes some."""

    # Both take a minute.
    @examples(2)
    @given(_of(KUBELETS_RECORDS if kind == "record" else JOURNALS))
    def hold(content: bytes) -> None:
        text = content.decode("utf-8", "surrogateescape")
        with in_time():
            try:
                found = Record.parse(text) if kind == "record" else Journal.parse(text, "/there")
            except ConfigurationError as refusal:
                event("refused")
                see_sentence(refusal)
                return
        event("read")
        if isinstance(found, Record):
            assert set(found.files) == set(json.loads(text)["files"])
            assert Record.parse(found.text()).text() == found.text()
            paths = list(found.files)
        else:
            assert Journal.parse(found.text(), "/again").text() == found.text()
            paths = [edit.path for edit in found.back()]
            contents = [one for edit in found.back() for one in (edit.before, edit.after) if one is not None]
            assert all(isinstance(one.encode("utf-8", "surrogateescape"), bytes) for one in contents)
        assert all(path.startswith("/") and "\0" not in path for path in paths)

    hold()


def test_what_is_kept_and_altered_is_read() -> None:
    for record in KUBELETS_RECORDS:
        assert set(Record.parse(json.dumps(record)).files) == set(record["files"])
    for journal in JOURNALS:
        found = Journal.parse(json.dumps(journal), "/there")
        assert len(list(found.back())) == len(journal["changes"]) + len(journal["states"])


@examples(2)
@given(_of(CHECKPOINTS), _of(CLAIM_FILES))
def test_what_kubelet_keeps_is_given_to_pods_or_cannot_be_read(checkpoint: bytes, claims: bytes) -> None:
    given, problem = _kept(checkpoint, claims)
    event("not read" if problem else "read")
    assert all(isinstance(part, str) for one in given for part in one)
    assert len(problem) <= LONGEST


@examples(2)
@given(altered_documents(CHECKPOINTS))
@example(b'{"Data": {"PodDeviceEntries": [{"DeviceIDs": null}], "RegisteredDevices": null}}')
def test_no_device_of_a_checkpoint_is_lost(content: bytes) -> None:
    given, problem = _kept(content, json.dumps(CLAIM_FILES[0]).encode())
    if not problem:
        named = {
            device for entry in json.loads(content)["Data"]["PodDeviceEntries"] or () for device in _devices(entry)
        }
        assert named <= {one.device for one in given}


def test_the_files_that_are_altered_are_read() -> None:
    for checkpoint in CHECKPOINTS:
        for claims in CLAIM_FILES:
            given, problem = _kept(json.dumps(checkpoint).encode(), json.dumps(claims).encode())
            assert (given[-1].device, problem) == ("0000:75:00.1", "")


def _kept(checkpoint: bytes, claims: bytes) -> tuple[tuple[Given, ...], str]:
    with tempfile.TemporaryDirectory() as root, in_time():
        for name, content in ((CHECKPOINT, checkpoint), (CLAIMS, claims)):
            path = Path(root) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        (Path(root) / "pods" / _UID).mkdir(parents=True)
        return read_given(root)


def _devices(entry: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    ids = entry["DeviceIDs"] or ()
    for devices in ids.values() if isinstance(ids, dict) else [ids]:
        for device in devices or ():
            if str(entry["PodUID"]) == _UID:
                yield device


@pytest.mark.parametrize("content", DEEP, ids=["an open object", "an open list", "a closed one"])
def test_depth_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    reads: tuple[t.Callable[[], object], ...] = (
        lambda: read_rules(str(path), "write it"),
        lambda: read_record(str(path)),
        lambda: Record.parse(content.decode()),
        lambda: Journal.parse(content.decode(), "/there"),
    )
    for read in reads:
        with pytest.raises(NodeError) as caught:
            read()
        see_sentence(caught.value)
    assert _kept(content, content)[1]
