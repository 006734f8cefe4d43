# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gen4 devices: the wanted state is reached, once, on every generation of the driver."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.accel.qat.tests.machine.node import FAULTS, Node
from ansible_collections.accel.qat.tests.unit.terminal import Terminal

FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"
GENERATION = "/sys/module/intel_qat/parameters/generation"


@pytest.fixture(params=["6.1", "6.12", "6.16"])
def generation(request: pytest.FixtureRequest, node: Node) -> str:
    """The kernel whose QAT driver the simulated one behaves like."""
    name: str = request.param
    node.run(f"echo {name} > {GENERATION}")
    assert node.run(f"cat {GENERATION}").strip() == name
    return name


def bound(device: dict[str, Any]) -> set[tuple[str, str]]:
    """Drivers and overrides of a PF's VFs."""
    return {(vf["driver"], vf["driver_override"]) for vf in device["vfs"]}


@pytest.mark.usefixtures("generation")
def test_two_pfs_with_different_services_then_others_then_none(node: Node) -> None:
    first = node.apply(
        {"select": {"address": SECOND}, "services": ["dc"], "advertise": 12}, {"services": ["asym", "sym"]}
    )
    assert first.code == 0, first.sentence
    devices = node.devices()
    assert set(devices[FIRST]["services"]) == {"sym", "asym"}
    assert devices[SECOND]["services"] == ["dc"]
    for device in devices.values():
        assert (device["state"], device["vfs_count"], bound(device)) == ("up", 16, {("vfio-pci", "vfio-pci")})
        assert len({vf["iommu_group"] for vf in device["vfs"]}) == 16

    again = node.apply({"select": {"address": SECOND}, "services": ["dc"]}, {"services": ["sym", "asym"]})
    assert (again.code, again.document["steps"]) == (0, [])

    # The order of the two exchanged, so that each PF changes its services.
    swapped = node.apply({"select": {"address": FIRST}, "services": ["dc"]}, {"services": ["sym", "asym"]})
    assert swapped.code == 0, swapped.sentence
    devices = node.devices()
    assert devices[FIRST]["services"] == ["dc"]
    assert [bound(device) for device in devices.values()] == [{("vfio-pci", "vfio-pci")}] * 2

    gone = node.apply({"state": "absent"})
    assert gone.code == 0, gone.sentence
    assert [(device["vfs_count"], device["state"]) for device in node.devices().values()] == [(0, "up")] * 2


def test_no_vf_meets_another_driver_on_its_way(node: Node) -> None:
    answer = node.apply({})
    actions = [step["action"] for step in answer.document["steps"]]
    assert "unbind" not in actions
    assert actions.index("autoprobe") < actions.index("vf_count") < actions.index("override") < actions.index("bind")


def test_a_pf_that_no_rule_selects_is_left_alone(node: Node) -> None:
    before = node.devices()[SECOND]
    assert node.apply({"select": {"index": 0}, "services": ["asym"]}).code == 0
    assert node.devices()[SECOND] == before


def test_a_plan_shows_every_write_and_makes_none(node: Node) -> None:
    untouched = node.state()
    plan = node.qatctl("plan", {"services": ["asym", "dc"]})
    assert node.state().replace("/root/node.json", "") == untouched
    applied = node.apply({"services": ["asym", "dc"]})
    assert [step for step in applied.document["steps"] if step["action"] != "load_module"] == [
        step for step in plan.document["steps"] if step["action"] != "load_module"
    ]


def test_teardown_gives_back_what_was_found(node: Node) -> None:
    found = node.devices()
    loaded = node.run("lsmod | grep -c ^vfio_pci", check=False)
    node.apply({"services": ["dc"]})
    node.apply({"services": ["asym"], "state": "absent"})
    answer = node.qatctl("teardown")
    assert answer.code == 0, answer.sentence
    assert node.devices() == found
    assert node.run("lsmod | grep -c ^vfio_pci", check=False) == loaded
    assert node.run("ls -d /var/lib/accel-qat /root/node.json", check=False) == ""


def test_an_unknown_combination_is_the_kernels_word(node: Node) -> None:
    node.run(f"echo 6.1 > {GENERATION}")
    before = node.devices()
    answer = node.apply({"select": {"address": FIRST}, "services": ["asym", "dc"]})
    assert answer.code == 1
    assert "this kernel does not know this combination of services" in answer.sentence
    assert "was put back as it was found" in answer.sentence
    assert node.devices() == before


def test_top(node: Node) -> None:
    """What each sample has, seen in a terminal; telemetry is off again when it has ended, however that came."""
    control = f"cat /sys/kernel/debug/qat_4xxx_{FIRST}/telemetry/control"
    load = f"{FAULTS}/{FIRST}/load"
    assert node.apply({}).code == 0
    node.run(f"echo 'pke 37, bw_in 400' > {load}")
    once = node.ask("top --once --enable-telemetry")
    assert once.code == 0, once.sentence
    first, second = once.document["devices"]
    assert (first["address"], first["utilization"]["pke"], first["written_bytes_per_second"]) == (
        FIRST,
        0.37,
        50_000_000,
    )
    assert (second["telemetry"]["state"], second["utilization"]["pke"]) == ("on", 0.0)
    assert node.run(control).strip() == "0"
    assert [one["telemetry"]["state"] for one in node.ask("top --once").document["devices"]] == ["off", "off"]

    terminal = Terminal()
    with node.holding("0000:6b:00.1") as pid:
        try:
            command = "qatctl top --enable-telemetry --interval 1"
            terminal.start(["ssh", "-tt", *node.machine.ssh_options, "root@127.0.0.1", command])
            shown = terminal.wait_for(" 37% ")
            assert f"1    {FIRST}  python3 (pid {pid})" in shown
            assert max(map(len, shown)) <= 80
            node.run(f"echo 'pke 8' > {load}")
            assert f"1    {FIRST}  python3 (pid {pid})" in terminal.wait_for(" 8% ")
            assert node.run(control).strip() == "1"
            terminal.press("q")
            terminal.wait_for("ended with 0")
        finally:
            terminal.close()
    assert node.run(control).strip() == "0"

    # A process that is gone with its terminal leaves nothing on either.
    node.run("qatctl top --enable-telemetry > /root/top 2>&1 & echo $! > /root/top.pid")
    node.run(f"until [ $({control}) = 1 ]; do sleep 0.1; done; kill -HUP $(cat /root/top.pid)")
    node.run(f"until [ $({control}) = 0 ]; do sleep 0.1; done")
