# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.node_files import NodeFiles
from qat_device_plugin import cdi
from qat_device_plugin._node.kernel import LiveKernel
from qat_device_plugin.allocation import AllocationError, Answer, answer, environment
from qat_device_plugin.catalogue import OfferedVf, Reason

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=4)
    return files


def ask(files: NodeFiles, *addresses: str, offer: list[OfferedVf] | None = None, with_cdi: bool = False) -> Answer:
    if offer is None:
        offer = [OfferedVf(address, PF, 0, "vfio-pci") for address in NodeFiles.vf_addresses(PF, 4)]
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    return answer(kernel, CY, offer, addresses, with_cdi)


def test_each_vf_has_its_node_and_all_share_one(files: NodeFiles) -> None:
    found = ask(files, "0000:6b:00.3", "0000:6b:00.1")
    assert found.nodes == ("/dev/vfio/12", "/dev/vfio/10", "/dev/vfio/vfio")


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
def test_a_vf_that_has_just_lost_its_driver(files: NodeFiles, driver: str | None, words: str) -> None:
    files.bind("0000:6b:00.1", driver)
    with pytest.raises(
        AllocationError, match=f"^0000:6b:00.1 cannot be used: it is bound to {words} instead of vfio-pci$"
    ):
        ask(files, "0000:6b:00.1")


def test_a_vf_whose_node_is_missing(files: NodeFiles) -> None:
    files.node("0000:6b:00.1").unlink()
    with pytest.raises(AllocationError, match=r"^0000:6b:00.1 cannot be used: it has no node in /dev/vfio$"):
        ask(files, "0000:6b:00.1")


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


def test_without_a_device_there_is_no_cdi_specification(tmp_path: Path) -> None:
    """One without devices is invalid."""
    directory = tmp_path / "cdi"
    cdi.write(directory, {})
    assert not directory.exists()
    cdi.write(directory, {"0000:6b:00.1": "/dev/vfio/10"})
    cdi.write(directory, {})
    assert list(directory.iterdir()) == []
