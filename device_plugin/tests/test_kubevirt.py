# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""KubeVirt finds in our variables the VFs that a machine was given.

What libvirt makes of its devices is in tests/machine/virtual_machines.py.
"""

from __future__ import annotations

import pytest
from harness.kubevirt import TooFewError, addresses_of, host_device_of, variable_of
from qat_device_plugin.allocation import environment
from qat_device_plugin.vm_attach.domain import HostDevice, read_definition

CY, SYM_DC = "qat.intel.com/cy", "qat.intel.com/sym-dc"
FIRST, SECOND, THIRD = "0000:6b:00.1", "0000:6b:00.2", "0000:70:01.7"


def test_several_vfs_come_in_their_order() -> None:
    found = addresses_of(environment(CY, [SECOND, FIRST]), [("a", CY), ("b", CY)])
    assert list(found.items()) == [("a", SECOND), ("b", FIRST)]


def test_two_resources_have_a_variable_each_and_dashes_stay() -> None:
    given = {**environment(CY, [FIRST]), **environment(SYM_DC, [THIRD])}
    assert variable_of(SYM_DC) == "PCI_RESOURCE_QAT_INTEL_COM_SYM-DC"
    assert addresses_of(given, [("dc", SYM_DC), ("cy", CY)]) == {"dc": THIRD, "cy": FIRST}


def test_a_comma_at_the_end_is_no_address() -> None:
    """As KubeVirt's own plugin writes it. Ours writes none, and would be read if it did."""
    given = environment(CY, [FIRST])
    name = variable_of(CY)
    assert given[name] == FIRST
    assert addresses_of({name: given[name] + ","}, [("a", CY)]) == {"a": FIRST}


@pytest.mark.parametrize("devices", [[("a", CY), ("b", CY)], [("a", SYM_DC)]])
def test_a_machine_that_was_given_less_than_it_asks_for_does_not_start(devices: list[tuple[str, str]]) -> None:
    with pytest.raises(TooFewError):
        addresses_of(environment(CY, [FIRST]), devices)


def test_its_device_is_the_vf_and_none_of_the_agents() -> None:
    xml = f"<domain><devices>{host_device_of('qat0', THIRD)}</devices></domain>"
    (device,) = read_definition(xml).devices
    assert device == HostDevice(THIRD, "ua-hostdevice-qat0")
    assert not device.is_ours
