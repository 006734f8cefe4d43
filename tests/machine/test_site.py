# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks on a machine whose IOMMU is off until its kernel has the argument: from untouched, over a reboot, and back."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller.controller import MOST_TASKS, REPORT, Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"
VF, OTHER_VF = "0000:6b:00.1", "0000:6b:00.2"
RULES: list[dict[str, object]] = [
    {"select": {"address": [SECOND]}, "services": ["dc"], "advertise": 12},
    {"services": ["sym", "asym"]},
]
# The rules of a later day: other services for the second PF.
LATER = [{**RULES[0], "services": ["sym"]}, RULES[1]]
UNIT_IS_BUSY = "systemctl show --property=ActiveState qat-node.service | grep -q activating"
JOURNAL = "journalctl --boot --output=cat --unit=qat-node.service"
NOTHING_TO_DO = "Nothing to do: the node is as configured."
# systemd starts the unit a moment after udev is done, and its last words come a moment after its end.
SEEN = f"until {JOURNAL} | grep -q '{NOTHING_TO_DO}'; do sleep 0.5; done"
EVENTS_ARE_OVER = f"udevadm settle; sleep 1; {SEEN}; while {UNIT_IS_BUSY}; do sleep 0.1; done"
PLACES = ("/etc", "/var/lib/accel-qat", "/usr/local")

# These tests are one story, in this order.


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Machine.start(f"site-{os.getpid()}", Hardware(iommu=False)) as machine:
        node = Node(machine)
        # An argument that stands in the way, in the administrator's own file.
        node.run(
            "rm /usr/local/sbin/qatctl;"
            """ echo 'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=off"' > /etc/default/grub.d/50-site.cfg; update-grub"""
        )
        yield node


@pytest.fixture(scope="module")
def untouched(node: Node) -> str:
    return node.state(*PLACES)


@pytest.fixture(scope="module")
def controller(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(node.machine, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="module")
def checked(untouched: str, controller: Controller) -> Run:
    """What check mode says of the untouched machine."""
    assert untouched
    return controller.run("accel.qat.site", "--check", "--diff", qat_node_devices=RULES, qat_node_reboot=True)


@pytest.fixture(scope="module")
def provisioned(checked: Run, controller: Controller) -> Run:
    """What the run after it says."""
    assert checked.code == 0
    return controller.run("accel.qat.site", qat_node_devices=RULES, qat_node_reboot=True)


def files_beyond(before: str, after: str) -> set[str]:
    """Files of the second state that the first has not, or not like that."""
    lines = set(after.splitlines()) - set(before.splitlines())
    return {line.split()[-1] for line in lines if len(line.split()[0]) == 32}


def test_wrong_rules_fail_before_the_kernel_arguments_are_written(
    node: Node, untouched: str, controller: Controller
) -> None:
    run = controller.run("accel.qat.site", qat_node_devices=[{"vfs": 8}], qat_node_reboot=True)
    assert run.code != 0
    assert run.tasks[-1].message == (
        f"devices[0].vfs: {FIRST} cannot have 8 VFs, the kernel's driver creates all 16 or none; leave the count out, "
        "and use advertise to offer Kubernetes fewer VFs"
    )
    assert node.state(*PLACES) == untouched


def test_check_mode_writes_nothing(node: Node, untouched: str, checked: Run) -> None:
    assert checked.code == 0, checked.output
    assert checked.task("Reboot into the new kernel arguments, and wait for the node").changed
    assert node.state(*PLACES) == untouched
    assert "intel_iommu=on" not in node.run("cat /boot/grub/grub.cfg")


def test_the_node_is_provisioned_and_rebooted_for_its_iommu(node: Node, provisioned: Run) -> None:
    assert provisioned.code == 0, provisioned.output
    assert "intel_iommu=on" in node.run("cat /proc/cmdline").split()
    devices = node.devices()
    assert [devices[pf]["services"] for pf in (FIRST, SECOND)] == [["sym", "asym"], ["dc"]]
    assert {vf["driver"] for device in devices.values() for vf in device["vfs"]} == {"vfio-pci"}


def test_check_mode_has_shown_every_write(node: Node, untouched: str, checked: Run, provisioned: Run) -> None:
    made = provisioned.task("Configure the QAT devices")
    assert checked.task(made.name.removeprefix("accel.qat.qat_node : ")).result["steps"] == made.result["steps"]
    record = {"/var/lib/accel-qat/found.json"}
    written = files_beyond(untouched, node.state(*PLACES)) - record
    assert len(written) >= 8
    assert {path for path in written if path not in checked.output} == set()


def test_a_second_run_changes_nothing_in_few_tasks(controller: Controller, provisioned: Run) -> None:
    assert provisioned.code == 0
    run = controller.run("accel.qat.site", qat_node_devices=RULES, qat_node_reboot=True)
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == []
    # The report is one of the run.
    assert len([task for task in run.tasks if task.name != REPORT]) <= MOST_TASKS
    assert run.task(REPORT).result["nodes"][0]["vfs"] == {"qat.intel.com/cy": 16, "qat.intel.com/dc": 12}


def test_a_change_outlives_the_repair_that_its_new_vfs_set_off(
    node: Node, controller: Controller, provisioned: Run
) -> None:
    assert provisioned.code == 0
    run = controller.run("accel.qat.site", qat_node_devices=LATER, qat_node_reboot=True)
    assert run.code == 0, run.output
    node.run(EVENTS_ARE_OVER)
    assert node.devices()[SECOND]["services"] == ["sym"]
    assert json.loads(node.run("cat /etc/accel-qat/node.json"))["devices"][0]["services"] == ["sym"]
    assert NOTHING_TO_DO in node.run(JOURNAL)


def test_verify_finds_nothing(controller: Controller, provisioned: Run) -> None:
    assert provisioned.code == 0
    run = controller.run("accel.qat.verify", qat_node_devices=LATER)
    assert run.code == 0, run.output
    assert not any(task.changed for task in run.tasks)


def test_a_vf_in_use_fails_before_the_first_change(node: Node, controller: Controller, provisioned: Run) -> None:
    assert provisioned.code == 0
    others = [{"select": {"address": [FIRST]}, "services": ["dc"]}, *LATER[:1]]
    before = node.state(*PLACES)
    with node.holding(VF) as pid:
        run = controller.run("accel.qat.site", qat_node_devices=others)
    assert run.code != 0
    *looked, failed = run.tasks
    assert [task.name for task in looked if task.outcome != "ok" or task.changed] == []
    assert (failed.name, failed.outcome) == (
        "accel.qat.qat_node : See that the QAT devices can be configured",
        "failed",
    )
    assert failed.message == (
        f"devices[0]: python3 (pid {pid}) has {VF} open, and the step state down on {FIRST} would take it away; end or drain "
        "that user first, or set when_in_use to skip or force"
    )
    assert node.state(*PLACES) == before


def test_verify_fails_with_the_first_difference(node: Node, controller: Controller, provisioned: Run) -> None:
    assert provisioned.code == 0
    node.run(f"echo {VF} > {DEVICES}/{VF}/driver/unbind")
    run = controller.run("accel.qat.verify", qat_node_devices=LATER)
    assert run.code != 0
    assert run.tasks[-1].message == (
        f"{DEVICES}/{VF}/driver: it is (none) and should be vfio-pci; run accel.qat.site, which has 1 such step(s) to take."
    )


def test_a_support_bundle_shows_what_is_left_to_do(
    node: Node, controller: Controller, provisioned: Run, tmp_path: Path
) -> None:
    assert provisioned.code == 0
    before = node.state(*PLACES)
    run = controller.run("accel.qat.gather", qat_gather_directory=str(tmp_path))
    assert run.code == 0, run.output
    assert node.state(*PLACES) == before
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        stream = archive.extractfile("qat/plan.json")
        assert stream is not None
        (step,) = json.loads(stream.read())["steps"]
        assert VF in json.dumps(step)
        assert {"logs/kernel", "logs/qat-node.service", "boot/loader"} <= set(archive.getnames())


def test_teardown_gives_the_node_back_and_what_is_in_use_when_it_no_longer_is(
    node: Node, untouched: str, controller: Controller, provisioned: Run
) -> None:
    assert provisioned.code == 0
    with node.holding(OTHER_VF):
        run = controller.run("accel.qat.teardown", qat_node_teardown_when_in_use="skip")
        assert run.code == 0, run.output
        counts = node.run(f"cat {DEVICES}/{FIRST}/sriov_numvfs {DEVICES}/{SECOND}/sriov_numvfs")
        assert counts.split() == ["16", "0"]
        assert FIRST in node.run("cat /var/lib/accel-qat/found.json")
        assert node.run("ls /var/lib/accel-qat").split() == ["found.json"]
    run = controller.run("accel.qat.teardown")
    assert run.code == 0, run.output
    assert node.state(*PLACES) == untouched
