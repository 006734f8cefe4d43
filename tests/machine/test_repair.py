# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reset undoes, the role's udev rules and unit do again, once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jinja2
import pytest
import yaml

from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import DEVICES, FAULTS, Node
from ansible_collections.accel.qat.tools.artifacts.unit_templates import UNIT_FILTERS

ROLE = Path(__file__).parents[2] / "roles/qat_node"
PF, VF, LAST_VF = "0000:6b:00.0", "0000:6b:00.1", "0000:6b:02.0"
CONFIGURATION = {"devices": [{"select": {"address": PF}, "services": ["sym", "asym"]}]}
UNIT_IS_DONE = "while systemctl show --property=ActiveState qat-node.service | grep -q activating; do sleep 0.1; done"
REPAIRED = f"timeout 500 sh -c 'until [ -e {DEVICES}/{LAST_VF}/driver ]; do sleep 0.1; done'; {UNIT_IS_DONE}; udevadm settle; sleep 2"
JOURNAL = "journalctl --sync; journalctl --output=cat --unit=qat-node.service"
# The last VF has gone, and may be back before anybody looks: what was made again has an inode of its own.
INODE = f"$(stat --format=%i {DEVICES}/{LAST_VF} 2> /dev/null)"
HAS_GONE = f'until [ "{INODE}" != "$old" ]; do sleep 0.05; done'
RESET = f"old={INODE}; echo 1 > {FAULTS}/{PF}/reset; {HAS_GONE}"


def rendered(name: str) -> bytes:
    """A template of the role with the role's defaults."""
    variables = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    renderer = jinja2.Environment(trim_blocks=True, autoescape=False)
    renderer.filters.update(UNIT_FILTERS)
    return renderer.from_string((ROLE / "templates" / name).read_text()).render(variables).encode()


@pytest.fixture(scope="module")
def node(machine: Machine) -> Node:
    """A node as the role leaves it."""
    node = Node(machine)
    node.run("mkdir /etc/accel-qat")
    machine.put(json.dumps(CONFIGURATION).encode(), "/etc/accel-qat/node.json")
    machine.put(rendered("qat-node.service.j2"), "/etc/systemd/system/qat-node.service")
    machine.put(rendered("udev.rules.j2"), "/etc/udev/rules.d/80-accel-qat.rules")
    node.run(
        f"systemctl daemon-reload; udevadm control --reload; systemctl start qat-node.service; udevadm settle; {UNIT_IS_DONE}"
    )
    return node


def reset_and_repaired(node: Node) -> int:
    """Reset the PF, wait until the unit has run, and say how often it has been started for that."""
    started = starts(node)
    node.run(f"{RESET}; {REPAIRED}")
    return starts(node) - started


def starts(node: Node) -> int:
    """How often the unit has been started."""
    return int(node.run(f"{JOURNAL} | grep -c '^Starting '"))


def test_vfs_that_a_reset_has_made_again_get_their_driver(node: Node) -> None:
    before = node.state()
    assert reset_and_repaired(node) == 1
    assert node.state() == before


def test_the_unit_is_confined(node: Node) -> None:
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", node.run("systemd-analyze security qat-node.service"))
    assert exposure
    assert float(exposure[1]) <= 4.0
    said = node.run("systemd-analyze verify --man=no qat-node.service 2>&1 | grep qat-node || true")
    assert said == ""


GENERATION = "/sys/module/intel_qat/parameters/generation"


@pytest.mark.parametrize("generation", ["6.1", "6.12", "6.16"])
def test_a_reset_is_repaired_whether_or_not_the_kernel_makes_the_vfs_again(node: Node, generation: str) -> None:
    before, was = node.state(), node.run(f"cat {GENERATION}").strip()
    node.run(f"echo {generation} > {GENERATION}")
    assert reset_and_repaired(node) == 1
    node.run(f"echo {was} > {GENERATION}")
    assert node.state() == before


def test_a_repair_that_fails_says_why_and_is_not_tried_for_ever(node: Node) -> None:
    before = node.state()
    node.fault(PF, "refuse_vfio", "0x1")
    assert reset_and_repaired(node) == 1
    assert node.run("systemctl is-failed qat-node.service").strip() == "failed"
    assert f"writing '{VF}' failed with EINVAL (Invalid argument), vfio-pci refuses this device" in node.run(JOURNAL)
    assert [vf["address"] for vf in node.devices()[PF]["vfs"] if vf["driver"] is None] == [VF]
    node.fault(PF, "refuse_vfio", 0)
    assert reset_and_repaired(node) == 1
    assert node.state() == before


def test_a_reset_in_the_midst_of_the_repair_is_repaired_too(node: Node) -> None:
    before = node.state()
    node.run(f"{RESET}; until [ -e {DEVICES}/0000:6b:00.4/driver ]; do :; done; {RESET}; {REPAIRED}")
    assert node.state() == before


def test_a_pf_whose_driver_was_loaded_again_gets_its_vfs(node: Node) -> None:
    before, started = node.state(), starts(node)
    node.run(
        f"old={INODE}; cd /sys/bus/pci/drivers/4xxx; echo {PF} > unbind; {HAS_GONE}; udevadm settle; echo {PF} > bind; {REPAIRED}"
    )
    assert node.state() == before
    assert starts(node) == started + 1
