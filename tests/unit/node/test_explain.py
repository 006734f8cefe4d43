# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import take
from ansible_collections.accel.qat.plugins.module_utils._node.devices.explain import (
    EXPLANATIONS,
    Explanation,
    explain,
    unlike,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import NONE, Action, Step
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN2_VF0, GEN4, VF0

PF_ACTIONS = (Action.STATE, Action.SERVICES, Action.VF_COUNT)


def step(action: Action, device: str, after: str, before: str = NONE) -> Step:
    return Step(action, device, before, after, "a test wants it", GEN4)


def example(row: Explanation) -> Step:
    """A step that the row is about."""
    if row.action is Action.UNBIND:
        return step(Action.UNBIND, VF0, NONE, "vfio-pci")
    after = {Action.STATE: "up", Action.SERVICES: "dc", Action.VF_COUNT: "16"}.get(row.action, row.driver or "c6xxvf")
    return step(row.action, GEN4 if row.action in PF_ACTIONS else VF0, after)


@pytest.mark.parametrize("row", EXPLANATIONS, ids=lambda row: f"{row.action.value}-{errno.errorcode[row.code]}")
def test_every_row_can_be_reached(row: Explanation) -> None:
    one = example(row)
    error = explain(one, OSError(row.code, "refused"), row.has_group is not False, ())
    name = errno.errorcode[row.code]
    assert str(error) == (
        f"{one.path}: writing {one.value!r} failed with {name} ({os.strerror(row.code)}), {row.problem}; {row.remedy}"
    )


@pytest.mark.parametrize(
    ("code", "problem", "remedy"),
    [
        (
            errno.EACCES,
            "permission denied",
            "run as root (become: true); for root, see what SELinux or AppArmor has denied",
        ),
        (
            errno.EPERM,
            "the kernel does not allow it",
            "run as root on the host; kernel lockdown can also be the cause",
        ),
        (errno.EROFS, "sysfs is mounted read-only", "run on the host, or in a container that mounts /sys writable"),
        (errno.ENOENT, "the file is missing", "see that the device is there and its driver bound"),
        (
            errno.ENODEV,
            "the driver has no device here",
            "see the kernel's log, and that the PF is bound to its driver",
        ),
        (errno.EDOM, "which this step is not known to give", "see the kernel's log for the device's own message"),
    ],
)
def test_what_any_step_can_meet(code: int, problem: str, remedy: str) -> None:
    error = explain(step(Action.AUTOPROBE, GEN4, "0"), OSError(code, "refused"), True, ())
    assert error.problem.endswith(f", {problem}")
    assert error.remedy == remedy


def test_an_errno_without_a_name() -> None:
    error = explain(step(Action.STATE, GEN4, "up"), OSError(4000, "refused"), True, ())
    assert "failed with 4000 (Unknown error 4000)" in error.problem


def test_the_first_line_of_the_kernels_log_which_is_nearest_to_the_cause() -> None:
    error = explain(step(Action.STATE, GEN4, "up"), OSError(errno.EBUSY, "refused"), True, ("first", "last"))
    assert error.problem.endswith('(the kernel says "first")')
    assert error.as_dict()["kernel_log"] == ["first", "last"]


def test_the_driver_cores_line_only_where_there_is_no_other() -> None:
    core = f"4xxx: probe of {GEN4} failed with error -22"
    binding = step(Action.BIND, GEN4, "4xxx")
    for log, line in (((core, "no NUMA node"), "no NUMA node"), ((core,), core)):
        assert f'(the kernel says "{line}")' in explain(binding, OSError(errno.EINVAL, "refused"), True, log).problem


def test_accepted_without_effect() -> None:
    error = unlike(step(Action.BIND, VF0, "vfio-pci"), "c6xxvf", ("refused",))
    assert str(error) == (
        f"/sys/bus/pci/drivers/vfio-pci/bind: the kernel accepted '{VF0}', but /sys/bus/pci/devices/{VF0}/driver is c6xxvf "
        '(the kernel says "refused"); see whether another tool manages this device'
    )


# What a kernel really answers, and the row that it comes to.


def with_switch(name: str, value: str, **pf_: t.Any) -> FakeKernel:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, **pf_))
    kernel.switch(GEN4, name, value)
    return kernel


def without_iommu() -> FakeKernel:
    return FakeKernel.with_pfs(pf("4xxx", GEN4, vfs=vf(None, "vfio-pci")), iommu=False, loaded=("qat_4xxx", "vfio_pci"))


Met = tuple[t.Callable[[], FakeKernel], Step, str]
MET: t.Mapping[str, Met] = {
    "in-kernel user": (
        lambda: with_switch("kernel_users", "1"),
        step(Action.STATE, GEN4, "down"),
        "the kernel itself uses it",
    ),
    "firmware missing": (
        lambda: with_switch("fail_up", "14 -1", state="down"),
        step(Action.STATE, GEN4, "up"),
        "could not start the device",
    ),
    "unknown combination": (
        lambda: FakeKernel.with_pfs(pf("4xxx", GEN4, state="down"), generation="6.1"),
        step(Action.SERVICES, GEN4, "dcc"),
        "does not know this combination of services",
    ),
    "no driver": (
        lambda: FakeKernel.with_pfs(pf("4xxx", GEN4, driver=None), loaded=("qat_4xxx",)),
        step(Action.VF_COUNT, GEN4, "16", "0"),
        "no driver that can make VFs is bound",
    ),
    "no bus numbers": (
        lambda: with_switch("fail_enable_vfs", str(errno.ENOMEM)),
        step(Action.VF_COUNT, GEN4, "16", "0"),
        "the BIOS left no memory or bus numbers",
    ),
    "driver that wants an IOMMU": (
        lambda: FakeKernel.with_pfs(pf("4xxx", GEN4), iommu=False, requires_iommu=True),
        step(Action.VF_COUNT, GEN4, "16", "0"),
        "the driver refuses to make VFs",
    ),
    "more VFs than there are": (
        lambda: FakeKernel.with_pfs(pf("4xxx", GEN4)),
        step(Action.VF_COUNT, GEN4, "17", "0"),
        "the PF has fewer VFs than that",
    ),
    "VFs there already": (
        lambda: FakeKernel.with_pfs(pf("4xxx", GEN4, vfs=vf())),
        step(Action.VF_COUNT, GEN4, "8", "16"),
        "or it has VFs already",
    ),
    "no IOMMU group": (without_iommu, step(Action.BIND, VF0, "vfio-pci"), "the device has no IOMMU group"),
    "denylist": (
        lambda: FakeKernel.with_pfs(
            pf("c6xx", GEN2, vfs=vf(None, "vfio-pci")), loaded=("qat_c62x", "vfio_pci"), udev=False
        ),
        Step(Action.BIND, GEN2_VF0, NONE, "vfio-pci", "", GEN2),
        "vfio-pci refuses this device",
    ),
    "no override": (
        lambda: FakeKernel.with_pfs(pf("4xxx", GEN4, vfs=vf()), loaded=("qat_4xxx", "vfio_pci")),
        step(Action.BIND, VF0, "vfio-pci"),
        "the driver does not take the device",
    ),
    "another driver": (
        lambda: FakeKernel.with_pfs(pf("c6xx", GEN2, vfs=vf("c6xxvf")), loaded=("qat_c62x", "qat_c62xvf", "vfio_pci")),
        Step(Action.UNBIND, GEN2_VF0, "vfio-pci", NONE, "", GEN2),
        "no longer bound to this driver",
    ),
}


@pytest.mark.parametrize("name", MET)
def test_met(name: str) -> None:
    make, one, problem = MET[name]
    with pytest.raises(NodeError) as caught:
        take(make(), one, 1)
    assert problem in str(caught.value)
