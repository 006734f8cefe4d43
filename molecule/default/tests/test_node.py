# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine after the site playbook and a reboot: asked on the machine itself, not of Ansible."""

from __future__ import annotations

import json
from typing import Any

import pytest

testinfra_hosts = ["ansible://qat_nodes"]

DEVICES = "/sys/bus/pci/devices"
CRYPTO, COMPRESSION = "0000:6b:00.0", "0000:70:00.0"


@pytest.fixture(scope="module")
def node(host: Any) -> dict[str, Any]:
    """What qatctl reports of the machine."""
    shown: dict[str, Any] = json.loads(host.check_output("qatctl show --json"))
    return shown


def vfs(host: Any, pf: str) -> list[str]:
    """Addresses of a PF's VFs, from sysfs."""
    return sorted(host.check_output(f"readlink -f {DEVICES}/{pf}/virtfn* | xargs -n1 basename").split())


@pytest.mark.parametrize(("pf", "services"), [(CRYPTO, {"sym", "asym"}), (COMPRESSION, {"dc"})])
def test_each_pf_has_its_services(host: Any, pf: str, services: set[str]) -> None:
    assert set(host.file(f"{DEVICES}/{pf}/qat/cfg_services").content_string.strip().split(";")) == services
    assert host.file(f"{DEVICES}/{pf}/qat/state").content_string.strip() == "up"


@pytest.mark.parametrize("pf", [CRYPTO, COMPRESSION])
def test_every_vf_is_on_vfio_pci_with_its_node(host: Any, pf: str) -> None:
    found = vfs(host, pf)
    assert len(found) == 16
    drivers = host.check_output(" && ".join(f"basename $(readlink {DEVICES}/{vf}/driver)" for vf in found)).split()
    assert drivers == ["vfio-pci"] * 16
    overrides = host.check_output(" && ".join(f"cat {DEVICES}/{vf}/driver_override" for vf in found)).split()
    assert overrides == ["vfio-pci"] * 16
    groups = host.check_output(" && ".join(f"basename $(readlink {DEVICES}/{vf}/iommu_group)" for vf in found)).split()
    assert len(set(groups)) == 16
    assert set(groups) <= set(host.check_output("ls /dev/vfio").split())


def test_the_boot_applied_the_configuration_by_itself(host: Any) -> None:
    unit = dict(
        line.split("=", 1)
        for line in host.check_output(
            "systemctl show qat-node.service -p Result,ExecMainStatus,UnitFileState,Before"
        ).splitlines()
    )
    assert (unit["Result"], unit["ExecMainStatus"], unit["UnitFileState"]) == ("success", "0", "enabled")
    assert {"kubelet.service", "k3s.service", "rke2-agent.service"} <= set(unit["Before"].split())
    assert "sriov_numvfs: 0 -> 16" in host.check_output("journalctl -b -o cat -u qat-node.service")


def test_the_next_kernel_got_its_arguments(host: Any) -> None:
    assert {"intel_iommu=on", "iommu=pt"} <= set(host.file("/proc/cmdline").content_string.split())


def test_the_configuration_is_kept(host: Any, node: dict[str, Any]) -> None:
    file = host.file("/etc/accel-qat/node.json")
    assert (file.user, file.mode) == ("root", 0o644)
    rules = json.loads(file.content_string)["devices"]
    assert [rule["services"] for rule in rules] == [["dc"], ["sym", "asym"]]
    assert {device["address"]: len(device["advertised"]) for device in node["devices"]} == {CRYPTO: 16, COMPRESSION: 12}


def test_qatctl_finds_nothing_to_do(host: Any) -> None:
    assert host.run("qatctl status").rc == 0
    assert "valid" in host.check_output("qatctl validate")


def test_numa_nodes_are_those_of_the_hardware(node: dict[str, Any]) -> None:
    assert [device["numa_node"] for device in node["devices"]] == [0, 1]


def test_a_reset_of_the_device_is_repaired_without_a_daemon(host: Any) -> None:
    host.check_output(f"echo 1 > /sys/kernel/debug/qat_sim/{CRYPTO}/reset")
    host.check_output("for n in $(seq 60); do sleep 1; qatctl status > /dev/null && exit 0; done; exit 1")
    assert len(vfs(host, CRYPTO)) == 16
    # Once it is as configured nothing starts it again.
    starts = "journalctl -b -o cat -u qat-node.service | grep -c ^Starting"
    host.check_output(
        "while systemctl show -p ActiveState qat-node.service | grep -q activating; do sleep 1; done; sleep 5"
    )
    settled = host.check_output(starts)
    host.check_output("sleep 10")
    assert host.check_output(starts) == settled
