# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
import typing as t
from pathlib import Path

import pytest
from harness.node_files import NodeFiles
from qat_device_plugin import cdi
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin.allocation import CDI_KIND, AllocationError, Answer, answer, environment
from qat_device_plugin.catalogue import OfferedVf, Reason
from qat_device_plugin.server import container_response

CY, VM_CY = "qat.intel.com/cy", "qat.intel.com/vm-cy"
PF = "0000:6b:00.0"


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=4)
    return files


def ask(
    files: NodeFiles,
    *addresses: str,
    offer: list[OfferedVf] | None = None,
    with_cdi: bool = False,
    resource: str = CY,
) -> Answer:
    if offer is None:
        offer = [OfferedVf(address, PF, 0, "vfio-pci") for address in NodeFiles.vf_addresses(PF, 4)]
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    return answer(kernel, resource, offer, addresses, with_cdi)


def test_each_vf_has_its_node_and_all_share_one(files: NodeFiles) -> None:
    found = ask(files, "0000:6b:00.3", "0000:6b:00.1")
    assert found.nodes == ("/dev/vfio/12", "/dev/vfio/10", "/dev/vfio/vfio")


@pytest.mark.parametrize("with_cdi", [False, True])
def test_a_virtual_machine_is_named_its_vfs_and_gets_no_node(files: NodeFiles, with_cdi: bool) -> None:
    found = ask(files, "0000:6b:00.3", "0000:6b:00.1", with_cdi=with_cdi, resource=VM_CY)
    assert (found.nodes, found.cdi_names) == ((), ())
    assert found.environment == environment(VM_CY, ["0000:6b:00.3", "0000:6b:00.1"])
    assert found.annotations == {"qat.intel.com/vfs": "0000:6b:00.3,0000:6b:00.1"}
    message = container_response(found)
    assert dict(message.annotations) == found.annotations
    assert (list(message.devices), list(message.mounts), list(message.cdi_devices)) == ([], [], [])
    assert ask(files, "0000:6b:00.1").annotations == {}


def test_the_node_is_the_one_of_the_moment(files: NodeFiles) -> None:
    files.set_group("0000:6b:00.1", 77)
    (files.dev / "vfio/77").touch()
    assert ask(files, "0000:6b:00.1").nodes == ("/dev/vfio/77", "/dev/vfio/vfio")


def test_a_node_without_iommu_has_another_name(files: NodeFiles) -> None:
    (files.dev / "vfio/10").rename(files.dev / "vfio/noiommu-10")
    assert ask(files, "0000:6b:00.1").nodes == ("/dev/vfio/noiommu-10", "/dev/vfio/vfio")


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("qat.intel.com/cy", "QAT_INTEL_COM_CY"),
        ("qat.intel.com/sym-dc", "QAT_INTEL_COM_SYM-DC"),
        ("qat.intel.com/generic", "QAT_INTEL_COM_GENERIC"),
        ("qat.intel.com/vm-cy", "QAT_INTEL_COM_VM-CY"),
    ],
)
def test_variables_follow_the_rule_of_each_reader(resource: str, name: str) -> None:
    assert environment(resource, ["0000:6b:00.3", "0000:6b:00.1"]) == {
        "QAT0": "0000:6b:00.3",
        "QAT1": "0000:6b:00.1",
        f"PCIDEVICE_{name}": "0000:6b:00.3,0000:6b:00.1",
        f"PCI_RESOURCE_{name}": "0000:6b:00.3,0000:6b:00.1",
    }


def test_an_unknown_vf(files: NodeFiles) -> None:
    with pytest.raises(AllocationError, match=r"^0000:6b:01.7 is not a VF of qat.intel.com/cy on this node$"):
        ask(files, "0000:6b:00.1", "0000:6b:01.7")


def test_an_unhealthy_vf(files: NodeFiles) -> None:
    sick = OfferedVf("0000:6b:00.1", PF, 0, "vfio-pci", (Reason("heartbeat", f"its PF {PF} has no heartbeat"),))
    with pytest.raises(
        AllocationError, match=r"^0000:6b:00.1 cannot be used now: its PF 0000:6b:00.0 has no heartbeat$"
    ):
        ask(files, "0000:6b:00.1", offer=[sick])


@pytest.mark.parametrize(("driver", "words"), [(None, "no driver"), ("4xxxvf", "4xxxvf")])
@pytest.mark.parametrize("resource", [CY, VM_CY])
def test_a_vf_that_has_just_lost_its_driver(files: NodeFiles, driver: str | None, words: str, resource: str) -> None:
    files.bind("0000:6b:00.1", driver)
    with pytest.raises(
        AllocationError, match=f"^0000:6b:00.1 cannot be used: it is bound to {words} instead of vfio-pci$"
    ):
        ask(files, "0000:6b:00.1", resource=resource)


@pytest.mark.parametrize("resource", [CY, VM_CY])
def test_a_vf_whose_node_is_missing(files: NodeFiles, resource: str) -> None:
    files.node("0000:6b:00.1").unlink()
    with pytest.raises(AllocationError, match=r"^0000:6b:00.1 cannot be used: it has no node in /dev/vfio$"):
        ask(files, "0000:6b:00.1", resource=resource)


def test_cdi_names_only_when_wanted(files: NodeFiles) -> None:
    assert ask(files, "0000:6b:00.1").cdi_names == ()
    assert ask(files, "0000:6b:00.1", with_cdi=True).cdi_names == ("qat.intel.com/vf=0000:6b:00.1",)


def test_the_cdi_specification_is_written_only_when_it_differs(files: NodeFiles, tmp_path: Path) -> None:
    directory = tmp_path / "cdi"
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    nodes = cdi.nodes_of(kernel, ["0000:6b:00.1", "0000:6b:00.2", "0000:99:00.1"])
    cdi.write(directory, nodes)
    (path,) = directory.iterdir()
    document = json.loads(path.read_text())
    assert path.name == "qat.intel.com-vf.json"
    assert (document["cdiVersion"], document["kind"]) == ("0.5.0", "qat.intel.com/vf")
    assert [device["name"] for device in document["devices"]] == ["0000:6b:00.1", "0000:6b:00.2"]
    assert document["devices"][0]["containerEdits"]["deviceNodes"] == [{"path": "/dev/vfio/10", "permissions": "rw"}]
    before = path.stat().st_ino
    cdi.write(directory, nodes)
    assert path.stat().st_ino == before


@pytest.mark.parametrize("kind", [CDI_KIND, *sorted(cdi.KINDS)])
def test_kinds_and_names_keep_to_the_rules_of_cdi(kind: str) -> None:
    """SPEC.md, "Kind" and "CDI Device Names"; file names must end in .json, and kinds must not share one."""
    vendor, _slash, name = kind.partition("/")
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]", vendor)
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]", name)
    (device,) = cdi.specification({"0000:6b:00.1": "/dev/vfio/10"}, kind)["devices"]
    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.:-]*[A-Za-z0-9]", device["name"])
    assert cdi.file_of(kind) == f"qat.intel.com-{name}.json"
    assert len({cdi.file_of(one) for one in (CDI_KIND, *cdi.KINDS)}) == len(cdi.KINDS) + 1


def test_each_resource_has_a_specification_of_its_own(files: NodeFiles, tmp_path: Path) -> None:
    directory = tmp_path / "cdi"
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    stale = cdi.file_of("qat.intel.com/sym-dc")
    directory.mkdir()
    for name in (stale, "qat.intel.com-mine.json", cdi.FILE):
        (directory / name).write_text("{}")
    specifications = cdi.Specifications(directory)
    offers = {CY: ["0000:6b:00.1", "0000:6b:00.2"], "qat.intel.com/dc": ["0000:6b:00.3"]}
    specifications.write(kernel, offers, by_name=False)
    assert {path.name for path in directory.iterdir()} == {
        "qat.intel.com-cy.json",
        "qat.intel.com-dc.json",
        "qat.intel.com-mine.json",
        cdi.FILE,
    }
    document = json.loads((directory / "qat.intel.com-cy.json").read_text())
    assert document["kind"] == CY
    assert [(one["name"], one["containerEdits"]["deviceNodes"]) for one in document["devices"]] == [
        (f"0000:6b:00.{number}", [{"path": f"/dev/vfio/{9 + number}", "permissions": "rw"}]) for number in (1, 2)
    ]
    assert document["containerEdits"] == {"deviceNodes": [{"path": "/dev/vfio/vfio", "permissions": "rw"}]}
    assert (directory / "qat.intel.com-cy.json").stat().st_mode & 0o777 == 0o644
    # A resource that has lost its VFs, and one with a service that nobody knows.
    specifications.write(kernel, {CY: [], "qat.intel.com/sym-Telemetry 2": ["0000:6b:00.3"]}, by_name=True)
    assert {path.name for path in directory.iterdir()} == {"qat.intel.com-mine.json", cdi.FILE}
    assert [one["name"] for one in json.loads((directory / cdi.FILE).read_text())["devices"]] == ["0000:6b:00.3"]


@pytest.mark.parametrize("content", [b"\xff", b"", b"{}\n", b"\x00" * 100, None])
def test_whatever_has_the_name_of_the_specification_is_replaced(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / cdi.FILE
    if content is None:
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes(content)
    cdi.write(tmp_path, {"0000:6b:00.1": "/dev/vfio/10"})
    assert json.loads(path.read_text())["kind"] == CDI_KIND
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", [None, "/dev/zero"])
def test_what_does_not_end_in_the_specifications_place_is_replaced(tmp_path: Path, target: str | None) -> None:
    """As a FIFO, which has an end when somebody has written to it: kubelet's calls are answered by whoever would wait for that."""
    path = tmp_path / cdi.FILE
    if target is None:
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    cdi.write(tmp_path, {"0000:6b:00.1": "/dev/vfio/10"})
    assert json.loads(path.read_text())["kind"] == CDI_KIND


@pytest.mark.parametrize("function", ["mkstemp", "fdopen", "fsync", "fchmod", "replace"])
def test_no_draft_stays_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def full(*_arguments: object, **_options: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {"0000:6b:00.1": "/dev/vfio/10"}
    cdi.write(tmp_path, before)
    text = (tmp_path / cdi.FILE).read_text()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile if function == "mkstemp" else os, function, full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                cdi.write(tmp_path, {"0000:6b:00.1": "/dev/vfio/11"})
    assert [path.name for path in tmp_path.iterdir()] == [cdi.FILE]
    assert (tmp_path / cdi.FILE).read_text() == text


def test_a_specification_that_cannot_be_written_or_removed_holds_up_no_other(files: NodeFiles, tmp_path: Path) -> None:
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    directory = tmp_path / "cdi"
    specifications = cdi.Specifications(directory)
    for resource in (CY, "qat.intel.com/asym"):  # the one is to be written, the other to be removed
        (directory / cdi.file_of(resource) / "in the way").mkdir(parents=True)
    stale = directory / cdi.file_of("qat.intel.com/sym")
    stale.write_text("{}")
    offers = {CY: ["0000:6b:00.1"], "qat.intel.com/dc": ["0000:6b:00.3"]}
    for _ in range(2):
        with pytest.raises(OSError, match="Is a directory"):
            specifications.write(kernel, offers, by_name=True)
        assert not stale.exists()
        assert {path.name for path in directory.iterdir() if path.is_file()} == {cdi.FILE, "qat.intel.com-dc.json"}
        stale.write_text("{}")  # it is tried again as a whole
    for resource in (CY, "qat.intel.com/asym"):
        (directory / cdi.file_of(resource) / "in the way").rmdir()
        (directory / cdi.file_of(resource)).rmdir()
    specifications.write(kernel, offers, by_name=True)
    assert len(list(directory.iterdir())) == 3


@pytest.mark.parametrize(("code", "raised"), [(errno.ENOENT, False), (errno.EROFS, True), (errno.EPERM, True)])
def test_a_specification_that_cannot_be_removed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, raised: bool
) -> None:
    def refuses(_path: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "unlink", refuses)
    with pytest.raises(OSError, match=os.strerror(code)) if raised else contextlib.nullcontext():
        cdi.write(tmp_path, {})


def test_without_a_device_there_is_no_cdi_specification(tmp_path: Path) -> None:
    """One without devices is invalid."""
    directory = tmp_path / "cdi"
    cdi.write(directory, {})
    assert not directory.exists()
    cdi.write(directory, {"0000:6b:00.1": "/dev/vfio/10"})
    cdi.write(directory, {})
    assert list(directory.iterdir()) == []
