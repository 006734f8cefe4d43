# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a node and its controller stops the playbook site, what does not, and what nobody can say."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.plugin_utils._preflight import findings, lines, reasons

PF = "0000:6b:00.0"
DEVICE: dict[str, t.Any] = {
    "address": PF,
    "is_vf": False,
    "family": "4xxx",
    "model": "402xx",
    "generation": 4,
    "driver": "4xxx",
    "state": "up",
    "blocked": False,
    "vfs_total": 16,
    "rule": "devices[0]",
    "is_provisioned": True,
}
PLANNED: dict[str, t.Any] = {"steps": [], "accel_qat": {"devices": [DEVICE]}}
REFUSED = {"msg": f"{PF}: the IOMMU is off, and vfio-pci takes no device without it"}
NO_REBOOT = {"missing_now": [], "added": [], "reboot_required": False, "iommu_active": True, "changed": False}
REBOOT = {
    **NO_REBOOT,
    "missing_now": ["intel_iommu=on"],
    "reboot_required": True,
    "iommu_active": False,
    "changed": True,
}
KUBELET = {"asked": [], "flavour": "kubeadm", "kubelet_version": "1.35.1", "files": [], "effective": {}}
FILES = [
    {"name": name, "there": True, "reason": f"/lib/firmware/{name}"} for name in ("qat_402xx.bin", "qat_402xx_mmp.bin")
]
MISSING = [FILES[0], {"name": "qat_402xx_mmp.bin", "there": False, "reason": "it is not there"}]
UNSEEN = [FILES[0], {"name": "qat_402xx_mmp.bin", "there": None, "reason": "it is compressed"}]


def seen(device: t.Mapping[str, t.Any] = {}, **more: t.Any) -> dict[str, t.Any]:
    """A node on which all is well, but for this."""
    pf = {**DEVICE, **device}
    kernel = {"kernel": "6.12.0", "iommu": more.pop("iommu", True), "devices": [pf]}
    node = {
        "accel_qat": kernel,
        "cgroup": "v2",
        "drivers": [],
        "firmware": {PF: FILES},
        "qatctl": "",
        **more.pop("node", {}),
    }
    planned = {"steps": [], "accel_qat": {"devices": [pf]}}
    return {
        "kubernetes": False,
        "reboot_allowed": False,
        "asked_for": [],
        "prerequisites": node,
        "now": planned,
        "with_arguments": planned,
        "arguments": NO_REBOOT,
        **more,
    }


def states(made: dict[str, t.Any]) -> dict[str, str]:
    return {one["what"]: one["state"] for one in findings(made)}


def test_a_node_on_which_all_is_well() -> None:
    found = findings(seen())
    assert {one["state"] for one in found} == {"ok"}
    assert reasons(found) == []
    assert len(lines(found)) == len(found) + 1


def test_another_program_by_the_name_of_qatctl_stops() -> None:
    problem = "/usr/local/sbin/qatctl: /usr/bin/qatctl is another program of this name"
    assert reasons(findings(seen(node={"qatctl": problem}))) == [problem]


@pytest.mark.parametrize(
    ("device", "files", "state"),
    [
        ({}, MISSING, "ok"),  # the device runs it, wherever it came from
        ({"state": "down"}, FILES, "ok"),
        ({"state": "down"}, MISSING, "STOPS"),
        ({"state": None, "driver": None}, MISSING, "STOPS"),
        ({"state": "down"}, UNSEEN, "unknown"),
        ({"state": "down"}, [], "unknown"),
        ({"state": None, "generation": 2}, MISSING, "unknown"),
        ({"state": "down", "rule": None}, MISSING, "note"),
        ({"state": "down", "is_provisioned": False}, MISSING, "note"),
    ],
)
def test_firmware(device: dict[str, t.Any], files: list[t.Any], state: str) -> None:
    assert states(seen(device, node={"firmware": {PF: files}}))[f"firmware of {PF}"] == state


@pytest.mark.parametrize(
    ("there", "rule", "state"),
    [
        (True, "devices[0]", "ok"),
        (None, "devices[0]", "unknown"),
        (False, "devices[0]", "STOPS"),
        (False, None, "note"),
    ],
)
def test_drivers(there: bool | None, rule: str | None, state: str) -> None:
    made = seen({"rule": rule}, node={"drivers": [{"name": "4xxx", "there": there, "reason": "so it is"}]})
    assert states(made)["driver 4xxx"] == state


@pytest.mark.parametrize(
    ("more", "iommu", "arguments", "devices"),
    [
        # The kernel follows its arguments, and the IOMMU is off all the same.
        ({"now": REFUSED}, "STOPS", "ok", "STOPS"),
        ({"now": REFUSED, "with_arguments": REFUSED}, "unknown", "ok", "STOPS"),
        ({}, "ok", "ok", "ok"),
        ({"arguments": {"skipped": True}, "now": REFUSED}, "STOPS", "ok", "STOPS"),
        # What the BIOS has is seen after the reboot alone.
        ({"now": REFUSED, "arguments": REBOOT}, "unknown", "STOPS", "ok"),
        ({"now": REFUSED, "arguments": REBOOT, "reboot_allowed": True}, "unknown", "note", "ok"),
        ({"arguments": REBOOT}, "unknown", "note", "ok"),
        ({"now": REFUSED, "arguments": {"msg": "no boot loader is found"}}, "STOPS", "STOPS", "STOPS"),
    ],
)
def test_an_iommu_that_is_off(more: dict[str, t.Any], iommu: str, arguments: str, devices: str) -> None:
    found = states(seen(iommu=False, **more))
    assert (found["IOMMU"], found["kernel arguments"], found["the QAT devices"]) == (iommu, arguments, devices)


@pytest.mark.parametrize(
    ("cgroup", "kubelet", "state"),
    [
        ("v2", KUBELET, "ok"),
        ("", KUBELET, "unknown"),
        ("v1", KUBELET, "STOPS"),
        ("v1", {**KUBELET, "kubelet_version": "1.34.2"}, "ok"),
        ("v1", {**KUBELET, "kubelet_version": "1.34.2", "effective": {"failCgroupV1": True}}, "STOPS"),
        ("v1", {**KUBELET, "effective": {"failCgroupV1": False}}, "ok"),
        ("v1", {"msg": "no kubelet is found"}, "unknown"),
    ],
)
def test_cgroups(cgroup: str, kubelet: dict[str, t.Any], state: str) -> None:
    assert states(seen(kubernetes=True, kubelet=kubelet, node={"cgroup": cgroup}))["cgroups"] == state


@pytest.mark.parametrize(
    ("device", "state"), [({"blocked": True}, "unknown"), ({"vfs_total": 0}, "note"), ({"driver": None}, "note")]
)
def test_a_pf(device: dict[str, t.Any], state: str) -> None:
    assert states(seen(device))[f"PF {PF}"] == state


@pytest.mark.parametrize(("device", "state"), [({}, "ok"), ({"driver": None}, "ok"), ({"blocked": True}, "unknown")])
def test_a_vf_without_its_pf_has_no_firmware(device: dict[str, t.Any], state: str) -> None:
    found = states(seen({"is_vf": True, **device}, node={"firmware": {}}))
    assert found[f"VF {PF} without its PF"] == state
    assert not [what for what in found if what.startswith(("PF ", "firmware "))]


def test_what_was_not_looked_at_is_not_well() -> None:
    """Whether a module failed, or its task never came to pass."""
    nothing = {"kubernetes": True, "reboot_allowed": False, "asked_for": ["device_plugin", "drain", "verify"]}
    found = states({**nothing, "now": None, "with_arguments": {}, "prerequisites": {"msg": "sysfs is not mounted"}})
    assert {what for what, state in found.items() if state == "ok"} == {"names of variables"}


def test_the_controller() -> None:
    asked = ["device_plugin", "drain", "verify"]
    drain = {"missing": [], "unknown": ["create pods/eviction"]}
    made = seen(kubernetes=True, kubelet=KUBELET, asked_for=asked, device_plugin={"missing": ["no pip"]}, drain=drain)
    found = states({**made, "verify": {"missing": [], "unknown": []}})
    assert [found[what] for what in found if what.startswith(("the device plugin", "the API"))] == [
        "STOPS",
        "unknown",
        "ok",
    ]


def test_what_nodes_say_does_not_write_to_the_terminal() -> None:
    shown = lines(findings(seen({"driver": "4xxx\x1b[2J\nok  kubelet"})))
    assert all(line.isprintable() for line in shown)
    reason = lines(findings(seen(kubernetes=True, kubelet={"msg": "a\nb\x1b[2J"})))
    assert all(line.isprintable() for line in reason)
