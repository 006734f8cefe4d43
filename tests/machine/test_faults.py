# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the kernel refuses is one sentence, the PF is put back where that is possible, and nothing else is touched.

Each case is one `qatctl apply` for one PF. Afterwards another one brings the node back, so each is also a repair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.attempt import (
    BARE,
    DENYLISTED,
    FULL,
    HARDWARE,
    WITHOUT_IOMMU,
    WITHOUT_NUMA_NODE,
    WITHOUT_SRIOV,
    Rule,
    Stage,
    bus_of,
    on,
)
from ansible_collections.accel.qat.tests.machine.node import DEVICES, FAULTS, Node

AS_FOUND = "as found"
PUT_BACK = "; {pf} was put back as it was found"
STILL_AT_WORK = (
    " has not returned after 1 seconds; process PID stays in the kernel until the device lets go; nothing was put back, since the "
    "kernel still works on it"
)
NO_ROOM = (
    "writing '16' failed with ENOMEM (Cannot allocate memory), the BIOS left no memory or bus numbers for the VFs; enable SR-IOV and "
    "ARI in the BIOS, or boot with pci=realloc or pci=assign-busses"
)
IN_USE_BY_KERNEL = (
    "failed with EBUSY (Device or resource busy), the PF is in reset, or the kernel itself uses it (IPsec, dm-crypt){log}; wait for the "
    "reset to end, or stop the kernel's user, which /proc/crypto names; after a reset that failed, unbind the PF from its driver and "
    "bind it again"
)
NOT_ALLOWED = (
    "failed with EPERM (Operation not permitted), the kernel does not allow it; run as root on the host; kernel lockdown can also be "
    "the cause"
)
NO_SUCH_SERVICES = (
    "failed with EINVAL (Invalid argument), this kernel does not know this combination of services, or the device lacks what it needs; "
    "choose other services; Linux before 6.5 knows only sym;asym and dc"
)
REFUSED_BY_VFIO = (
    "writing '{vf}' failed with EINVAL (Invalid argument), vfio-pci refuses this device (the kernel says "
    '"vfio-pci: probe of {vf} failed with error -22"){others}; before Gen4, load vfio-pci with disable_denylist=1; otherwise reset the '
    "PF, and see the kernel's log; the other VFs are as wanted"
)

GENERATION = "/sys/module/intel_qat/parameters/generation"
REQUIRE_IOMMU = "/sys/module/intel_qat/parameters/require_iommu"
PROBE = "/sys/bus/pci/drivers_probe"
REBIND = f"echo {BARE} > /sys/bus/pci/drivers/4xxx/unbind; echo {BARE} > /sys/bus/pci/drivers/4xxx/bind"


VFS = on(BARE, services=["sym", "asym"])
NO_VFS = on(BARE, services=["sym", "asym"], vfs=0)
COMPRESSION = on(BARE, services=["dc"], vfs=0)
CHANGE = on(FULL, services=["dc"])


@dataclass(frozen=True)
class Case:
    """What goes wrong with what rule, what qatctl says of it, and how the rule's PF is afterwards.

    `file` is the PF's file where it happens, `faults` are switches of the simulated PF.
    """

    rule: Rule
    file: str
    sentence: str
    left: str | tuple[str, ...] = AS_FOUND
    faults: Mapping[str, int | str] = field(default_factory=dict)
    setup: str = ""
    options: str = ""
    fix: str = ""
    code: int = 1

    @property
    def pf(self) -> str:
        address: str = self.rule["select"]["address"]
        return address

    @property
    def whole_sentence(self) -> str:
        where = f"{DEVICES}/{self.pf}/{self.file}: " if self.file else ""
        return where + self.sentence.replace("{pf}", self.pf)


def numvfs(code: int | str, sentence: str, rule: Rule = VFS, left: str = AS_FOUND) -> Case:
    return Case(rule, "sriov_numvfs", sentence, left, {"fail_enable_vfs": code})


def services(code: int, sentence: str, rule: Rule = COMPRESSION) -> Case:
    return Case(rule, "qat/cfg_services", f"writing 'dc' {sentence}{PUT_BACK}", faults={"fail_services": code})


def blocked(rule: Rule, file: str, value: str, fault: str, left: str, setup: str = "") -> Case:
    return Case(rule, file, f"writing '{value}'{STILL_AT_WORK}", left, {fault: 4000}, setup, "--time-limit 1")


def refused_by_vfio(mask: str, vf: str, others: str, left: str) -> Case:
    sentence = "/sys/bus/pci/drivers/vfio-pci/bind: " + REFUSED_BY_VFIO.format(vf=vf, others=others)
    return Case(VFS, "", sentence, left, {"refuse_vfio": mask})


def missing(count: int) -> Case:
    sentence = f"the kernel made {16 - count} VFs instead of 16; see the kernel's log, and the BIOS for memory and bus numbers for VFs"
    return Case(VFS, "sriov_numvfs", sentence + PUT_BACK, faults={"missing_vfs": count})


DOWN = f"echo down > {DEVICES}/{BARE}/qat/state"
DOWN_WITHOUT_VFS = "down sym;asym, 0 of 0 VFs on vfio-pci"

CASES: dict[str, Case] = {
    # The number of VFs.
    "VFs: EBUSY": numvfs(
        "16 -1",
        "writing '16' failed with EBUSY (Device or resource busy), the PF is in reset, the kernel itself uses it, or it has VFs already; "
        "stop the kernel's user, which /proc/crypto names, and try again" + PUT_BACK,
    ),
    "VFs: EFAULT": numvfs(
        14,
        "writing '16' failed with EFAULT (Bad address), the driver has no device for this PF; see the kernel's log; the firmware may be "
        "missing" + PUT_BACK,
    ),
    "VFs: ENOMEM": numvfs(12, NO_ROOM + PUT_BACK),
    "VFs: ENOMEM after a change of services": numvfs(12, NO_ROOM + PUT_BACK, CHANGE),
    "VFs: ENOSPC": numvfs(
        28,
        "writing '16' failed with ENOSPC (No space left on device), which this step is not known to give; see the kernel's log for the "
        "device's own message" + PUT_BACK,
    ),
    "VFs: EIO": numvfs(
        5,
        "writing '16' failed with EIO (Input/output error), the PF did not take the number of VFs; see the kernel's log, and reset the "
        "device" + PUT_BACK,
    ),
    "VFs: EPERM": numvfs(1, f"writing '16' {NOT_ALLOWED}{PUT_BACK}"),
    "VFs: firmware missing": Case(
        VFS,
        "sriov_numvfs",
        "writing '16' failed with EFAULT (Bad address), the driver has no device for this PF (the kernel says "
        f'"4xxx {BARE}: Failed to load acceleration FW"); see the kernel\'s log; the firmware may be missing{PUT_BACK}',
        faults={"fail_up": 14},
    ),
    "VFs: used by the kernel": Case(
        VFS,
        "sriov_numvfs",
        "writing '16' failed with EBUSY (Device or resource busy), the PF is in reset, the kernel itself uses it, or it has VFs already "
        f'(the kernel says "4xxx {BARE}: Device busy"); stop the kernel\'s user, which /proc/crypto names, and try again{PUT_BACK}',
        faults={"kernel_users": 1},
    ),
    "VFs: Linux 6.12 without IOMMU": Case(
        on(WITHOUT_IOMMU),
        "sriov_numvfs",
        "writing '16' failed with EINVAL (Invalid argument), the driver refuses to make VFs; Linux 6.12 to 6.15 do so where the IOMMU is "
        f'off (the kernel says "4xxx {WITHOUT_IOMMU}: IOMMU should be enabled for SR-IOV to work correctly"); enable VT-d in the BIOS '
        "and boot with intel_iommu=on" + PUT_BACK,
        setup=f"echo Y > {REQUIRE_IOMMU}",
        fix=f"echo N > {REQUIRE_IOMMU}",
    ),
    "VFs: one fewer": missing(1),
    "VFs: one": missing(15),
    "VFs: none": missing(16),
    "VFs: blocked": blocked(VFS, "sriov_numvfs", "16", "delay_enable_vfs", "up sym;asym, 0 of 16 VFs on vfio-pci"),
    # The state.
    "up: firmware missing": Case(
        NO_VFS,
        "qat/state",
        "writing 'up' failed with EFAULT (Bad address), the driver could not start the device (the kernel says "
        f'"4xxx {BARE}: Failed to load acceleration FW"); see the kernel\'s log; most often the firmware is missing (package '
        "linux-firmware or firmware-misc-nonfree)",
        DOWN_WITHOUT_VFS,
        {"fail_up": 14},
        DOWN,
    ),
    "up: EIO": Case(
        NO_VFS,
        "qat/state",
        "writing 'up' failed with EIO (Input/output error), which this step is not known to give (the kernel says "
        f"\"4xxx {BARE}: Failed to load acceleration FW\"); see the kernel's log for the device's own message",
        DOWN_WITHOUT_VFS,
        {"fail_up": 5},
        DOWN,
    ),
    "up: after a reset that failed": Case(
        NO_VFS,
        "qat/state",
        "writing 'up' " + IN_USE_BY_KERNEL.format(log=""),
        DOWN_WITHOUT_VFS,
        setup=(
            f"cd {FAULTS}/{BARE}; echo 14 > fail_up; echo 1 > reset;"
            " until dmesg | tail -n 5 | grep -q 'Restart device failed'; do sleep 0.1; done"
        ),
        fix=REBIND,
    ),
    "up: blocked": blocked(NO_VFS, "qat/state", "up", "delay_up", "up sym;asym, 0 of 0 VFs on vfio-pci", DOWN),
    "down: EBUSY": Case(
        CHANGE, "qat/state", "writing 'down' " + IN_USE_BY_KERNEL.format(log=""), faults={"fail_down": 16}
    ),
    "down: used by the kernel": Case(
        on(FULL, state="absent"),
        "qat/state",
        "writing 'down' " + IN_USE_BY_KERNEL.format(log="") + PUT_BACK,
        faults={"kernel_users": 1},
    ),
    "down: any error on Linux 6.1": Case(
        CHANGE,
        "qat/state",
        "writing 'down' failed with EINVAL (Invalid argument), the driver could not change the state; see the kernel's log for the "
        "device's own message",
        faults={"fail_down": 16},
        setup=f"echo 6.1 > {GENERATION}",
        fix=f"echo 6.12 > {GENERATION}",
    ),
    "down, which removes VFs: blocked": blocked(
        CHANGE, "qat/state", "down", "delay_down", "down sym;asym, 0 of 0 VFs on vfio-pci"
    ),
    # The services.
    "services: EINVAL": services(22, NO_SUCH_SERVICES, CHANGE),
    "services: EBUSY": services(
        16, "failed with EBUSY (Device or resource busy), the PF is in reset; wait for the reset to end"
    ),
    "services: EPERM": services(1, NOT_ALLOWED),
    "services: stored, then refused": Case(
        CHANGE,
        "qat/cfg_services",
        f"writing 'dc' {NO_SUCH_SERVICES}; putting {{pf}} back failed too: {DEVICES}/{{pf}}/qat/cfg_services: writing 'sym;asym' "
        f"{NO_SUCH_SERVICES}",
        "down sym;asym, 0 of 0 VFs on vfio-pci",
        faults={"no_capabilities": 1},
    ),
    "services: a combination that Linux 6.1 does not know": Case(
        on(BARE, services=["asym", "dc"], vfs=0),
        "qat/cfg_services",
        f"writing 'asym;dc' {NO_SUCH_SERVICES}{PUT_BACK}",
        setup=f"echo 6.1 > {GENERATION}",
        fix=f"echo 6.12 > {GENERATION}",
    ),
    "services: blocked": blocked(
        COMPRESSION, "qat/cfg_services", "dc", "delay_services", "down dc, 0 of 0 VFs on vfio-pci"
    ),
    # The driver of the VFs.
    "vfio-pci refuses one VF": refused_by_vfio("0x4", "0000:70:00.3", "", "up sym;asym, 15 of 16 VFs on vfio-pci"),
    "vfio-pci refuses several VFs": refused_by_vfio(
        "0x7", "0000:70:00.1", " (and 2 more: 0000:70:00.2, 0000:70:00.3)", "up sym;asym, 13 of 16 VFs on vfio-pci"
    ),
    # Refused before the first write.
    "vfio-pci is loaded with its denylist and in use": Case(
        on(DENYLISTED),
        "",
        "0000:7a:01.0: vfio-pci refuses the device with its denylist, and it drives 0000:6b:00.1, 0000:6b:00.2, 0000:6b:00.3; set options "
        "vfio-pci disable_denylist=1 in modprobe.d and reboot, or free those devices first",
    ),
    "SR-IOV is off in the BIOS": Case(
        on(WITHOUT_SRIOV),
        "",
        "devices[0]: {pf} cannot have VFs; enable SR-IOV in the BIOS, and see that the kernel has CONFIG_PCI_IOV; in a virtual "
        "machine that was given the PF, make the VFs on its host instead",
        code=2,
    ),
    "the PF has vanished": Case(
        VFS,
        "",
        "devices[0].select.address: {pf} is not a QAT device of this node; the node's QAT devices are: 0000:6b:00.0, 0000:75:00.0, "
        "0000:7a:00.0, 0000:80:00.0, 0000:85:00.0, 0001:01:00.0",
        # The state is read after its return: like a new one, for one service or the other.
        ("up sym;asym, 0 of 0 VFs on vfio-pci", "up dc, 0 of 0 VFs on vfio-pci"),
        {"present": 0},
        code=2,
    ),
    "the PF has another driver's override": Case(
        VFS,
        "",
        "devices[0]: {pf} belongs to the driver pci-stub; give it back to 4xxx, or take it out of the configuration",
        "no driver, 0 of 0 VFs on vfio-pci",
        setup=f"cd {DEVICES}/{BARE}; echo {BARE} > driver/unbind; echo pci-stub > driver_override",
        fix=f"cd {DEVICES}/{BARE}; echo > driver_override",
    ),
    "the PF has another driver": Case(
        VFS,
        "",
        "devices[0]: {pf} belongs to the driver vfio-pci; give it back to 4xxx, or take it out of the configuration",
        "no driver, 0 of 0 VFs on vfio-pci",
        setup=f"cd {DEVICES}/{BARE}; echo vfio-pci > driver_override; echo {BARE} > driver/unbind; echo {BARE} > {PROBE}",
        fix=f"cd {DEVICES}/{BARE}; echo > driver_override; echo {BARE} > driver/unbind; echo {BARE} > {PROBE}",
    ),
    "a VF has another driver's override": Case(
        CHANGE,
        "",
        "devices[0]: 0000:6b:00.3 belongs to the driver pci-stub, which somebody else gave it; free it (unbind it and empty its "
        "driver_override), name that driver in the rule, or set when_in_use to force",
        "up sym;asym, 16 of 16 VFs on vfio-pci",
        setup=f"echo pci-stub > {DEVICES}/0000:6b:00.3/driver_override",
        fix=f"echo vfio-pci > {DEVICES}/0000:6b:00.3/driver_override",
    ),
    "qatlib manages the devices": Case(
        CHANGE,
        "",
        "{pf}: qatlib's service qat.service is active and manages the QAT devices of this node; stop and mask its units, qat.service "
        "and the qat.timer that starts it although it is disabled (systemctl mask --now qat.service qat.timer), set provision to false in "
        "the rule where the VFs that are there should be offered as they are, or take this node out of the configuration",
        setup="mkdir /sys/fs/cgroup/system.slice/qat.service",
        fix="rmdir /sys/fs/cgroup/system.slice/qat.service",
    ),
    "another change goes on": Case(
        CHANGE,
        "",
        f"{DEVICES}: another change of this node's devices has been running for 0.2 seconds; wait for it to end, or see which qatctl or "
        "Ansible process hangs",
        setup=f"flock {DEVICES} sleep 600 > /dev/null 2>&1 & echo $! > /root/pid;"
        f" while flock --nonblock {DEVICES} true; do sleep 0.1; done",
        options="--time-limit 0.1",
        fix="pkill -P $(cat /root/pid)",
    ),
    # The driver of the PF.
    "the PF's driver refuses it": Case(
        on(WITHOUT_NUMA_NODE),
        "",
        "/sys/bus/pci/drivers/4xxx/bind: writing '{pf}' failed with EINVAL (Invalid argument), the driver refuses this device (the kernel "
        "says \"4xxx {pf}: Invalid NUMA configuration.\"); see the kernel's log for the driver's own message",
    ),
    # Twice.
    "a second fault while putting back": numvfs(
        "12 -1",
        f"{NO_ROOM}; putting {{pf}} back failed too: {DEVICES}/{{pf}}/sriov_numvfs: {NO_ROOM}",
        CHANGE,
        DOWN_WITHOUT_VFS,
    ),
}


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return HARDWARE


@pytest.fixture(scope="module")
def stage(machine: Machine) -> Stage:
    """A machine for all cases, since each leaves it as it was."""
    return Stage(Node(machine))


@pytest.mark.parametrize("name", CASES)
def test_fault(stage: Stage, name: str) -> None:
    case = CASES[name]
    faults = {f"{case.pf}/{file}": value for file, value in case.faults.items()}
    with stage.attempt(case.rule, faults=faults, setup=case.setup, options=case.options, fix=case.fix) as attempt:
        assert (attempt.sentence, attempt.answer.code) == (case.whole_sentence, case.code)
        assert {bus_of(device) for device in attempt.devices} <= {bus_of(case.pf)}
        assert attempt.after.but(case.pf) == stage.start.but(case.pf)
        if case.left == AS_FOUND:
            assert attempt.after.of(case.pf) == stage.start.of(case.pf)
        else:
            assert attempt.after.summary(case.pf) in ((case.left,) if isinstance(case.left, str) else case.left)


NO_VF_BOUND: dict[str, tuple[Rule, Mapping[str, int | str], str]] = {
    "vfio-pci refuses all VFs": (VFS, {f"{BARE}/refuse_vfio": "0xffff"}, "vfio-pci refuses this device"),
    "the VFs have no IOMMU group": (
        on(WITHOUT_IOMMU, services=["sym", "asym"]),
        {},
        "the device has no IOMMU group, and vfio-pci takes none without",
    ),
}


@pytest.mark.parametrize("name", NO_VF_BOUND)
def test_every_vf_is_refused(stage: Stage, name: str) -> None:
    rule, faults, meaning = NO_VF_BOUND[name]
    pf: str = rule["select"]["address"]
    vfs = [f"{bus_of(pf)}{index // 8:02x}.{index % 8}" for index in range(1, 17)]
    with stage.attempt(rule, faults=faults) as attempt:
        assert attempt.answer.code == 1
        assert attempt.sentence.startswith(
            f"/sys/bus/pci/drivers/vfio-pci/bind: writing '{vfs[0]}' failed with EINVAL (Invalid argument), {meaning} (the kernel says "
            f'"vfio-pci: probe of {vfs[0]} failed with error -22") (and 15 more: {", ".join(vfs[1:])}); '
        )
        assert "the other VFs" not in attempt.sentence
        assert [failure["step"]["device"] for failure in attempt.answer.document["failed_at"]] == vfs
        assert attempt.after.summary(pf) == "up sym;asym, 0 of 16 VFs on vfio-pci"
        assert attempt.after.but(pf) == stage.start.but(pf)
