# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import (
    NONE,
    Action,
    Step,
    load_driver,
)

PF, VF = "0000:6b:00.0", "0000:6b:00.1"
DEVICES, DRIVERS = "/sys/bus/pci/devices", "/sys/bus/pci/drivers"

FILES = [
    (Step(Action.STATE, PF, "up", "down", ""), f"{DEVICES}/{PF}/qat/state", "down"),
    (Step(Action.SERVICES, PF, "dc", "sym;asym", ""), f"{DEVICES}/{PF}/qat/cfg_services", "sym;asym"),
    (Step(Action.AUTOPROBE, PF, "1", "0", ""), f"{DEVICES}/{PF}/sriov_drivers_autoprobe", "0"),
    (Step(Action.VF_COUNT, PF, "0", "16", ""), f"{DEVICES}/{PF}/sriov_numvfs", "16"),
    (Step(Action.OVERRIDE, VF, NONE, "vfio-pci", ""), f"{DEVICES}/{VF}/driver_override", "vfio-pci"),
    (Step(Action.OVERRIDE, VF, "vfio-pci", NONE, ""), f"{DEVICES}/{VF}/driver_override", ""),
    (Step(Action.BIND, VF, NONE, "vfio-pci", ""), f"{DRIVERS}/vfio-pci/bind", VF),
    (Step(Action.UNBIND, VF, "c6xxvf", NONE, ""), f"{DRIVERS}/c6xxvf/unbind", VF),
    (Step(Action.UNLOAD_MODULE, "vfio_pci", "loaded", "not loaded", ""), "/sys/module/vfio_pci", "not loaded"),
]


@pytest.mark.parametrize(("step", "path", "value"), FILES, ids=[f"{one[0].action.value}-{one[2]}" for one in FILES])
def test_what_is_written_where(step: Step, path: str, value: str) -> None:
    assert (step.path, step.value) == (path, value)


def test_bindings_show_in_the_devices_link() -> None:
    assert Step(Action.BIND, VF, NONE, "vfio-pci", "").shows == f"{DEVICES}/{VF}/driver"
    assert Step(Action.STATE, PF, "up", "down", "").shows == f"{DEVICES}/{PF}/qat/state"


@pytest.mark.parametrize(
    ("driver", "module"),
    [("4xxx", "qat_4xxx"), ("c6xx", "qat_c62x"), ("c6xxvf", "qat_c62xvf"), ("vfio-pci", "vfio_pci")],
)
def test_the_module_of_a_driver(driver: str, module: str) -> None:
    step = load_driver(driver, "", "it is wanted")
    assert (step.device, step.after, step.of_module, step.of_vf, step.reveals) == (module, "loaded", True, False, True)


def test_kinds() -> None:
    bind_pf = Step(Action.BIND, PF, NONE, "4xxx", "", PF)
    bind_vf = Step(Action.BIND, VF, NONE, "vfio-pci", "", PF)
    assert (bind_pf.of_vf, bind_pf.reveals) == (False, True)
    assert (bind_vf.of_vf, bind_vf.reveals) == (True, False)
    assert not Step(Action.STATE, PF, "up", "down", "", PF).of_vf
    assert Step(Action.BIND, VF, NONE, "igb", "").of_vf


def test_for_people_and_machines() -> None:
    step = Step(Action.UNBIND, VF, "c6xxvf", NONE, "vfio-pci should have it", PF, (VF,))
    assert str(step) == f"{DEVICES}/{VF}/driver: c6xxvf -> (none) (vfio-pci should have it)"
    assert step.as_dict() == {
        "action": "unbind",
        "device": VF,
        "path": f"{DRIVERS}/c6xxvf/unbind",
        "value": VF,
        "shows": f"{DEVICES}/{VF}/driver",
        "before": "c6xxvf",
        "after": NONE,
        "why": "vfio-pci should have it",
        "disrupts": [VF],
    }
