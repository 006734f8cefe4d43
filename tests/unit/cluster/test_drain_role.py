# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_drain."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import OURS
from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.cluster.api_server import JsonObject
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import (
    COMPRESSION,
    EVICT,
    GIVE_BACK,
    STATIC,
    Site,
    evictions,
    names,
    one,
)
from ansible_collections.accel.qat.tests.unit.cluster.site import CY, PF, VF0, VF1

ROLE: dict[str, t.Any] = {"ansible.builtin.include_role": {"name": "accel.qat.qat_drain"}}
BACK: dict[str, t.Any] = {"ansible.builtin.include_role": {"name": "accel.qat.qat_drain", "tasks_from": "uncordon"}}
DISRUPTION: dict[str, t.Any] = {
    "name": "Say what is disrupted",
    "ansible.builtin.debug": {
        "msg": {
            "kubelet": "{{ qat_drain_whole | default('not set') }}",
            "assumed": "{{ qat_drain_evicted | default('not set') }}",
        }
    },
}


def disruption(run: Run) -> t.Any:
    return one(run, "Say what is disrupted").result["msg"]


# The devices.


@pytest.mark.core
def test_only_the_pods_whose_vfs_go_are_evicted_and_the_node_comes_back(site: Site) -> None:
    site.give("default/one", VF0)
    site.give("default/other")
    site.give("default/two", VF1)
    run = site.tasks(ROLE, DISRUPTION, BACK, qat_node_devices=COMPRESSION)
    assert run.code == 0, run.output
    assert one(run, EVICT.partition(" : ")[2]).result["evicted"] == ["default/one", "default/two"]
    assert one(run, "Say which pods go, and why").result["msg"] == {
        "evicted": ["default/one", "default/two"],
        "why": ["VFs are taken from default/one, default/two"],
    }
    assert disruption(run) == {"kubelet": False, "assumed": []}
    assert site.kubelet.fake.pods == {}
    assert [task.name for task in run.tasks if task.changed] == [EVICT, GIVE_BACK]
    assert site.cluster.pod_names() == ["default/other"]
    assert site.cluster.cordoned() == (False, [])
    # The devices themselves are the business of another role.
    assert (site.files.devices / PF / "qat/cfg_services").read_text().strip() == "asym;sym"


def test_a_kubelet_that_hears_of_it_later_is_waited_for(site: Site) -> None:
    site.give("default/one", VF0)
    later: list[threading.Thread] = []

    def hear(pod: JsonObject, lists: int) -> None:
        """Hear of it when asked for the second time."""
        deadline = time.monotonic() + 60
        while site.kubelet.fake.calls.count("v1.List") < lists + 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        site.gone(pod)

    def gone(pod: JsonObject) -> None:
        later.append(threading.Thread(target=hear, args=(pod, site.kubelet.fake.calls.count("v1.List"))))
        later[0].start()

    site.cluster.pod_gone = gone
    run = site.tasks(ROLE, qat_node_devices=COMPRESSION)
    later[0].join()
    assert run.code == 0, run.output
    assert site.kubelet.fake.pods == {}
    assert one(run, "Wait until kubelet has taken the VFs back").result["attempts"] > 1


def test_a_pod_that_is_gone_by_itself_is_waited_for_too(site: Site) -> None:
    """The API server does not know it any more, and kubelet still lists it."""
    site.give("default/one", VF0)
    pod = site.cluster.pods.pop(("default", "one"))

    def hear() -> None:
        """Hear of it when asked for the second time after the API server was."""
        deadline = time.monotonic() + 60
        while not site.cluster.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        lists = site.kubelet.fake.calls.count("v1.List")
        while site.kubelet.fake.calls.count("v1.List") < lists + 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        site.gone(pod)

    checked = site.tasks(ROLE, DISRUPTION, flags=["--check"], qat_node_devices=COMPRESSION)
    assert disruption(checked)["assumed"] == ["default/one"]
    site.cluster.requests.clear()
    later = threading.Thread(target=hear)
    later.start()
    run = site.tasks(ROLE, qat_node_devices=COMPRESSION)
    left = dict(site.kubelet.fake.pods)
    later.join()
    assert run.code == 0, run.output
    assert left == {}


@pytest.mark.parametrize(
    "rules",
    [[{"services": ["dc"], "when_in_use": "force"}], [{"state": "absent"}]],
    ids=["force", "the VFs go"],
)
def test_rules_that_drain(site: Site, rules: list[dict[str, t.Any]]) -> None:
    site.give("default/one", VF0)
    run = site.tasks(ROLE, qat_node_devices=rules)
    assert run.code == 0, run.output
    assert evictions(run) == [["default/one"]]
    assert site.cluster.cordoned() == (True, [OURS])


def test_rules_that_do_not_drain(site: Site) -> None:
    site.give("default/one", VF0)
    harmless: list[list[dict[str, t.Any]]] = [
        [{"services": ["sym", "asym"]}],
        # No VF goes.
        [{"services": ["sym", "asym"], "advertise": 1}],
        [{"services": ["dc"], "when_in_use": "skip"}],
        # Wrong, which is reported by the role that applies them.
        [{"services": ["dc", "dcc"]}],
    ]
    run = site.tasks(*({**ROLE, "vars": {"qat_node_devices": rules}} for rules in harmless))
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks].count(
        "accel.qat.qat_node : Say what the configuration of the QAT devices disrupts"
    ) == len(harmless)
    assert EVICT not in names(run)
    assert not site.cluster.requests


def test_nobody_has_a_vf(site: Site) -> None:
    site.give("default/other")
    run = site.tasks(ROLE, qat_node_devices=COMPRESSION)
    assert run.code == 0, run.output
    assert site.cluster.requests == []


@pytest.mark.parametrize("in_the_way", ["a process", "another driver", "a kubelet that is ill"])
def test_nothing_is_drained_for_a_change_that_is_refused_all_the_same(site: Site, in_the_way: str) -> None:
    site.give("default/one", VF0)
    if in_the_way == "a process":
        site.open(VF1)
    elif in_the_way == "another driver":
        site.files.bind(VF1, "uio_pci_generic")
    else:
        site.kubelet.stop()
        devices = [{"PodUID": "11-22", "ContainerName": "main", "ResourceName": CY, "DeviceIDs": [VF0]}]
        site.kubelet.checkpoint(devices, alive=["11-22"])
    run = site.tasks(ROLE, qat_node_devices=COMPRESSION)
    assert run.code == 0, run.output
    assert site.cluster.requests == []


def test_the_process_of_a_pod_goes_with_it(site: Site) -> None:
    site.give("default/one", VF0)
    site.open(VF0)
    run = site.tasks(ROLE, qat_node_devices=COMPRESSION)
    assert one(run, EVICT.partition(" : ")[2]).result["evicted"] == ["default/one"]


@pytest.mark.core
def test_what_the_module_refuses_fails_the_run(site: Site) -> None:
    site.give("default/one", VF0, owner="")
    failed = site.tasks(ROLE, DISRUPTION, qat_node_devices=COMPRESSION)
    assert failed.code != 0
    assert failed.tasks[-1].name == EVICT
    assert "pod default/one without a controller" in failed.tasks[-1].message
    assert site.cluster.cordoned() == (False, [])
    done = site.tasks(ROLE, qat_node_devices=COMPRESSION, qat_drain_force=True)
    assert done.code == 0, done.output


def test_a_run_that_fails_leaves_the_cordon_to_the_next(site: Site) -> None:
    site.give("default/one", VF0)
    site.cluster.keep("default/one")
    failed = site.tasks(ROLE, BACK, qat_node_devices=COMPRESSION, qat_drain_timeout=1)
    assert failed.code != 0
    assert "cannot be evicted within 1 seconds, and node node1 stays cordoned" in failed.tasks[-1].message
    assert site.cluster.cordoned() == (True, [OURS])
    site.cluster.budgets.clear()
    assert site.tasks(ROLE, BACK, qat_node_devices=COMPRESSION).code == 0
    assert site.cluster.cordoned() == (False, [])


# A reboot, which disrupts every pod.


@pytest.mark.parametrize(
    ("holds", "may_reboot"),
    [(True, True), (False, True), (True, False)],
    ids=["a pod has a VF", "no pod has one", "no reboot"],
)
def test_a_reboot(site: Site, holds: bool, may_reboot: bool) -> None:
    site.give("default/other")
    site.give("default/one", *([VF0] if holds else []))
    rules = [{"services": ["sym", "asym"]}]
    run = site.tasks(
        ROLE, qat_node_devices=rules, qat_node_reboot=may_reboot, qat_node_kernel_arguments=["intel_iommu=on"]
    )
    assert run.code == 0, run.output
    assert bool(site.cluster.cordoned()[0]) == may_reboot, run.tasks
    if may_reboot:
        assert one(run, "Say which pods go, and why").result["msg"] == {
            "evicted": ["default/one", "default/other"],
            "why": ["the node reboots for its kernel arguments"],
        }


@pytest.mark.core
@pytest.mark.usefixtures("kubelet")
def test_kubelet_gives_up_its_state(site: Site) -> None:
    site.give("default/other")
    site.give("default/agent", owner="DaemonSet")
    rules = [{"services": ["sym", "asym"]}]
    run = site.tasks(
        ROLE,
        DISRUPTION,
        BACK,
        {**DISRUPTION, "name": "Say it again"},
        qat_node_devices=rules,
        qat_kubelet_configuration=STATIC,
    )
    assert run.code == 0, run.output
    assert one(run, "Say which pods go, and why").result["msg"] == {
        "evicted": ["default/other"],
        "why": ["kubelet gives up what its CPU or memory manager has assigned"],
    }
    assert disruption(run)["kubelet"] is True
    assert one(run, "Say it again").result["msg"]["kubelet"] is False
    assert site.cluster.pod_names() == ["default/agent"]


@pytest.mark.usefixtures("kubelet")
def test_the_whole_node_is_not_drained_for_a_vf_that_stays_with_its_pod(site: Site) -> None:
    site.give("default/other")
    site.give("default/agent", VF0, owner="DaemonSet")
    failed = site.tasks(ROLE, qat_node_devices=COMPRESSION, qat_kubelet_configuration=STATIC)
    assert failed.code != 0
    assert "pod default/agent of a DaemonSet would be started here again at once" in failed.tasks[-1].message
    assert site.cluster.pod_names() == ["default/agent", "default/other"]
    assert site.cluster.cordoned() == (False, [])
    # The others' are given up with the rest.
    site.cluster.pods.pop(("default", "agent"))
    site.kubelet.fake.pods.clear()
    site.give("default/one", VF0)
    run = site.tasks(ROLE, qat_node_devices=COMPRESSION, qat_kubelet_configuration=STATIC)
    assert one(run, EVICT.partition(" : ")[2]).result["evicted"] == ["default/one", "default/other"]


@pytest.mark.usefixtures("kubelet")
def test_another_field_of_kubelet_disrupts_nobody(site: Site) -> None:
    site.give("default/other", VF0)
    rules = [{"services": ["sym", "asym"]}]
    run = site.tasks(ROLE, qat_node_devices=rules, qat_kubelet_configuration={"topologyManagerPolicy": "restricted"})
    assert run.code == 0, run.output
    assert site.cluster.requests == []
