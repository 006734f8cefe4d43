# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster.verification import checks_of, promises, table

CY, VM_CY = "qat.intel.com/cy", "qat.intel.com/vm-cy"
VF0, VF1 = "0000:6b:00.1", "0000:6b:00.2"
POD = {"namespace": "default", "name": "p", "node": "node1", "container": "test"}


def good() -> dict[str, t.Any]:
    """What the tasks find where all is well."""
    given = {"namespace": "default", "pod": "p", "container": "test", "resource": CY, "device": VF0}
    nodes = [{"address": VF0, "vfio_node": "/dev/vfio/8"}, {"address": VF1, "vfio_node": "/dev/vfio/9"}]
    met = {"name": "allocatable", "expected": 2, "found": "2", "ok": True, "reason": ""}
    return {
        "devices": {"problem": ""},
        "before": {"mismatches": []},
        "node": {"checks": [met]},
        "pod": {
            "pod": POD,
            "resources": [CY],
            "environment": {"QAT0": VF0},
            "device_nodes": ["/dev/vfio/8", "/dev/vfio/vfio"],
        },
        "during": {"pods": [given]},
        "after": {"free": {CY: [VF0, VF1]}},
        "qat": {"devices": [{"vfs": nodes}]},
    }


def reasons(**found: t.Any) -> list[str]:
    return [check["reason"] for check in checks_of(**found) if not check["ok"]]


def test_all_is_well() -> None:
    assert reasons(**good()) == []
    assert table(checks_of(**good())).splitlines() == [
        "    CHECK                             EXPECTED             FOUND",
        "ok  the QAT devices                   as configured        as configured",
        "ok  kubelet and the device plugin     agree with the node  agree with the node",
        "ok  allocatable                       2                    2",
        "ok  the test pod                      runs                 runs",
        f"ok  VF of {CY}            one                  {VF0}",
        f"ok  device node of {VF0}       /dev/vfio/8          /dev/vfio/8",
        f"ok  variable that names {VF0}  at least one         QAT0",
        f"ok  {CY} after the pod    free again           free again",
        "ok  device nodes of others            none                 none",
    ]


def test_the_exporter_is_a_row_where_it_is_wanted() -> None:
    assert reasons(**good(), exporter={"problem": ""}) == []
    assert checks_of(**good(), exporter={"problem": ""})[1]["check"] == "the exporter"
    silent = "the exporter could not be asked at 127.0.0.1:9483: Connection refused"
    assert reasons(**good(), exporter={"problem": silent}) == [silent]


ASKED = {
    "field": "topologyManagerPolicy",
    "wanted": "restricted",
    "where": "/c",
    "unsaid": "none",
    "group": "",
    "others": [],
}


def kubelets(kubelet: dict[str, t.Any], reported: dict[str, t.Any] | None = None) -> list[tuple[t.Any, ...]]:
    """The rows of kubelet's configuration."""
    node = {"checks": [], **({"kubelet": reported} if reported else {})}
    found = checks_of({"problem": ""}, kubelet=kubelet, node=node)[1:]
    return [(check["check"], check["found"], check["ok"], check["reason"]) for check in found]


NAME = "kubelet's configuration"


@pytest.mark.parametrize(
    ("kubelet", "reported", "expected"),
    [
        ({"asked": [], "files": []}, None, []),
        (
            {"asked": [ASKED], "files": []},
            {"configuration": {"topologyManagerPolicy": "restricted"}, "problem": ""},
            [(NAME, "in force", True, "")],
        ),
        (
            {"asked": [ASKED], "files": []},
            {"configuration": {}, "problem": ""},
            [
                (
                    "kubelet's topologyManagerPolicy",
                    "none",
                    False,
                    "topologyManagerPolicy is none in force and not restricted, which /c says; it may come from kubelet's own default",
                )
            ],
        ),
        (
            {"asked": [ASKED], "files": []},
            {"configuration": None, "problem": "403"},
            [(NAME, "not known", None, f"{NAME} is not verified: 403")],
        ),
        (
            {"asked": [ASKED], "files": []},
            None,
            [(NAME, "not known", None, f"{NAME} is not verified: kubelet was not asked")],
        ),
        (
            {"asked": [ASKED], "files": ["/c", "/d"]},
            {"configuration": {"topologyManagerPolicy": "restricted"}, "problem": ""},
            [(NAME, "another", False, f"{NAME} is not as configured in /c and /d; run accel.qat.site")],
        ),
        (
            {"msg": "no", "failure": {"kind": "configuration"}},
            None,
            [(NAME, "not known", None, f"{NAME} is not verified: no")],
        ),
        ({"msg": "no", "failure": {"kind": "refused"}}, None, [(NAME, "refused", False, "no")]),
        ({}, None, [(NAME, "not known", None, f"{NAME} is not verified: it cannot be read")]),
    ],
)
def test_kubelets_configuration(
    kubelet: dict[str, t.Any], reported: dict[str, t.Any] | None, expected: list[t.Any]
) -> None:
    assert kubelets(kubelet, reported) == expected


def test_what_is_not_verified_is_neither_ok_nor_failed() -> None:
    lines = table(checks_of({"problem": ""}, kubelet={}, node={"checks": []})).splitlines()
    assert lines == [
        "              CHECK                    EXPECTED       FOUND",
        "ok            the QAT devices          as configured  as configured",
        "not verified  kubelet's configuration  in force       not known",
        "",
        "- kubelet's configuration is not verified: it cannot be read",
    ]


def test_a_node_without_kubernetes() -> None:
    assert [check["check"] for check in checks_of({"problem": ""})] == ["the QAT devices"]


@pytest.mark.parametrize(
    ("where", "found", "expected"),
    [
        ("devices", {"problem": "it is down"}, ["it is down"]),
        ("before", {"mismatches": [{"kind": "a", "problem": "x"}, {"kind": "b", "problem": "y"}]}, ["x", "y"]),
        ("node", {"msg": "the API server answers 404"}, ["the API server answers 404"]),
        (
            "node",
            {"checks": [{"name": "n", "expected": 1, "found": None, "ok": False, "reason": "n is not there"}]},
            ["n is not there"],
        ),
        ("pod", {"msg": "pod default/p: it does not run"}, ["pod default/p: it does not run"]),
        (
            "during",
            {"pods": []},
            [f"kubelet says that the test pod has 0 devices of {CY}", "the test pod also sees /dev/vfio/8"],
        ),
        ("after", {"free": {CY: [VF1]}}, [f"{VF0} of {CY} is not free again after the test pod was deleted"]),
        ("after", {"free": {}}, [f"{VF0} of {CY} is not free again after the test pod was deleted"]),
    ],
)
def test_what_differs(where: str, found: t.Any, expected: list[str]) -> None:
    assert reasons(**{**good(), where: found}) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("environment", {"QAT0": VF1}, [f"no variable in the test pod names {VF0}"]),
        ("environment", {"PCIDEVICE_X": f"{VF1},{VF0}"}, []),
        (
            "device_nodes",
            ["/dev/vfio/9", "/dev/vfio/vfio"],
            [
                f"the test pod has {VF0}, and of /dev/vfio/8 and /dev/vfio/vfio it sees /dev/vfio/9, /dev/vfio/vfio",
                "the test pod also sees /dev/vfio/9",
            ],
        ),
        (
            "device_nodes",
            ["/dev/vfio/8"],
            [f"the test pod has {VF0}, and of /dev/vfio/8 and /dev/vfio/vfio it sees /dev/vfio/8"],
        ),
        ("device_nodes", [], [f"the test pod has {VF0}, and of /dev/vfio/8 and /dev/vfio/vfio it sees none"]),
    ],
)
def test_what_the_pod_sees(key: str, value: t.Any, expected: list[str]) -> None:
    found = good()
    found["pod"][key] = value
    assert reasons(**found) == expected


def for_a_vm(*device_nodes: str) -> dict[str, t.Any]:
    found = good()
    found["pod"].update(resources=[VM_CY], device_nodes=list(device_nodes))
    found["during"]["pods"][0]["resource"] = VM_CY
    found["after"] = {"free": {VM_CY: [VF0, VF1]}}
    return found


def test_a_vf_for_a_virtual_machine_has_no_node_in_the_pod() -> None:
    checks = checks_of(**for_a_vm())
    assert [check["reason"] for check in checks if not check["ok"]] == []
    (row,) = (check for check in checks if check["check"] == f"device node of {VF0}")
    assert (row["expected"], row["found"]) == ("none", "none")
    assert reasons(**for_a_vm("/dev/vfio/8", "/dev/vfio/vfio")) == [
        f"the test pod has {VF0} for a virtual machine, and its container sees /dev/vfio/8",
        "the test pod also sees /dev/vfio/vfio",
    ]


def test_a_test_pod_with_a_vf_of_either_kind() -> None:
    found = for_a_vm("/dev/vfio/9", "/dev/vfio/vfio")
    found["pod"].update(resources=[CY, VM_CY], environment={"QAT0": VF0, "PCIDEVICE_X": VF1})
    found["during"]["pods"].append({**found["during"]["pods"][0], "resource": CY, "device": VF1})
    found["after"]["free"][CY] = [VF1]
    assert reasons(**found) == []


def test_the_table_says_why() -> None:
    long = "x" * 80
    lines = table(checks_of({"problem": long})).splitlines()
    assert lines[1].startswith("FAILED  the QAT devices")
    assert lines[2:] == ["", f"- {long}"]
    long_check = {"check": long, "expected": "a\nb", "found": "", "ok": True, "reason": ""}
    assert table([long_check]).splitlines()[1] == f"ok  {'x' * 57}...  a b"


def test_what_is_promised_is_expected() -> None:
    before = {"promised": {CY: [VF0, VF1]}, "allocatable": {CY: [VF0], "qat.intel.com/dc": [], "example.com/x": ["1"]}}
    assert promises(before) == [
        {"name": f"allocatable {CY}", "query": f'status.allocatable."{CY}"', "equals": 2},
        {
            "name": "allocatable qat.intel.com/dc",
            "query": "status.allocatable.\"qat.intel.com/dc\" || '0'",
            "equals": 0,
        },
    ]
    assert promises({"promised": {}, "allocatable": None}) == []


VMS: t.Mapping[str, t.Any] = {"domains": [], "lacking": [], "problems": []}
LACKING = {"vf": VF0, "pod": "default/vm-0", "container": "guest"}


def row_of_vms(vms: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    (row,) = (check for check in checks_of({"problem": ""}, vms=vms) if check["check"] == "virtual machines of pods")
    return row


def test_virtual_machines_have_the_vfs_of_their_pods() -> None:
    assert (row_of_vms(VMS)["ok"], row_of_vms(VMS)["found"]) == (True, "have their VFs")


def test_a_pod_has_a_vf_that_its_virtual_machine_has_not() -> None:
    row = row_of_vms({**VMS, "lacking": [LACKING]})
    assert (row["ok"], row["found"]) == (False, "1 VFs are lacking")
    assert row["reason"] == (
        f"the virtual machine does not have {VF0} of the pod default/vm-0 (container guest); journalctl -u accel-qat-vm-attach says why, "
        "and docs/virtual_machines.md what to do"
    )


@pytest.mark.parametrize(
    ("vms", "reason"),
    [
        ({"reason": "libvirt is gone"}, "which VFs virtual machines have is not known: libvirt is gone"),
        (
            {**VMS, "problems": [{"reason": "kubelet", "text": "kubelet does not answer"}]},
            "which VFs pods have is not known: kubelet does not answer",
        ),
    ],
)
def test_what_virtual_machines_have_may_not_be_known(vms: t.Mapping[str, t.Any], reason: str) -> None:
    row = row_of_vms(vms)
    assert (row["ok"], row["reason"]) == (None, reason)
