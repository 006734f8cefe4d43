# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_drain, and what the playbook site makes of it, on a node of files: kubelet's sockets and the API server over HTTP.

The role qat_node would write to the machine that the tests run on: it is left out, or run in check mode.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import OURS, forced_rules, pods_with_vfs
from ansible_collections.accel.qat.tests.controller.controller import Controller, Run, Task
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.boot.machines import systemd_boot
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, JsonObject
from ansible_collections.accel.qat.tests.unit.cluster.site import CY, PF, VF0, VF1, NodeOfCluster
from ansible_collections.accel.qat.tests.unit.plugins.local import CONNECTION, environment
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

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
# Other services take both VFs away.
COMPRESSION = [{"services": ["dc"]}]
EVICT = "accel.qat.qat_drain : Cordon the node and evict the pods"
GIVE_BACK = "accel.qat.qat_drain : Take back a cordon of this role"


class Site(NodeOfCluster, Controller):
    """Ansible as the controller of such a node."""

    def __init__(self, root: Path) -> None:
        NodeOfCluster.__init__(self, root)
        self._directory = root
        # The nodes of the inventory with their variables; they share the files, and the cluster knows the first.
        self.nodes: dict[str, dict[str, t.Any]] = {"node1": {}}
        # Its kubelet's files, where some are wanted.
        self.node_root = root / "kubelet/root"
        self.node_root.mkdir(parents=True)
        # A boot loader that can be read without a command.
        machine = systemd_boot()
        for name, text in {**machine.files, **{f"/usr/sbin/{name}": "" for name in machine.commands}}.items():
            path = root / f"boots{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (self.files.proc / "cmdline").write_text("root=UUID=0d3b7c1e ro quiet\n")
        self.program(
            "systemctl",
            'printf "%s\\n" LoadState=loaded NeedDaemonReload=no ActiveState=inactive MainPID=0 StatusText=',
        )
        self.cluster.pod_gone = self.gone

    def inventory(self) -> str:
        variables = {
            **CONNECTION,
            # Of the machine that the tests run on, nothing is to be shown.
            "qat_node_kernel_arguments": [],
            "qat_kubelet_when_missing": "skip",
            "qat_node_bootloader": "systemd-boot",
            "qat_drain_timeout": 5,
        }
        return json.dumps({"qat_nodes": {"hosts": self.nodes, "vars": variables}})

    def environment(self) -> dict[str, str]:
        return {
            **environment(self.root / "bin", self.node_root.parent / "bin"),
            "K8S_AUTH_HOST": self.cluster.url,
            "K8S_AUTH_API_KEY": TOKEN,
            "NO_PROXY": "127.0.0.1",
        }

    def gone(self, pod: JsonObject) -> None:
        self.kubelet.fake.pods.pop((pod["metadata"]["namespace"], pod["metadata"]["name"]), None)

    def give(self, name: str, *vfs: str, owner: str = "ReplicaSet", **more: t.Any) -> None:
        """A pod of the node that has these VFs."""
        self.cluster.add_pod(name, owner, **more)
        namespace, name = name.split("/")
        if vfs:
            self.kubelet.fake.pods[namespace, name] = {"main": {CY: list(vfs)}}

    def open(self, vf: str) -> None:
        """A process has the VF open, of a container that nobody knows."""
        self.files.hold(vf, 4711, "qemu-kvm")

    def of_node(self, play: dict[str, t.Any], *before: dict[str, t.Any]) -> str:
        """The play, with the modules shown where this node is, and plays before it; returns the path of the playbook."""
        files = {"sysfs_root": "sys", "proc_root": "proc", "dev_root": "dev"}
        roots = {name: str(self.files.root / place) for name, place in files.items()}
        kubelet = {"root": str(self.node_root), "proc_root": str(self.node_root / "proc")}
        devices = {**roots, "kubelet_root": str(self.root)}
        play["module_defaults"] = {
            "accel.qat.qat_devices": devices,
            "accel.qat.qat_info": devices,
            "accel.qat.kernel_args": {**roots, "root": str(self.root / "boots")},
            "accel.qat.kubelet_config": kubelet,
        }
        path = self.root / "play.yml"
        path.write_text(yaml.safe_dump([*before, play]))
        return str(path)

    def tasks(self, *tasks: dict[str, t.Any], flags: t.Sequence[str] = (), **variables: t.Any) -> Run:
        """These tasks, one after the other, of one play."""
        play = {"hosts": "qat_nodes", "gather_facts": False, "tasks": list(tasks)}
        return self.run(self.of_node(play), *flags, **variables)

    def site(
        self,
        *flags: str,
        before: t.Sequence[dict[str, t.Any]] = (),
        tags: t.Sequence[str] = (),
        **variables: t.Any,
    ) -> Run:
        """The playbook site, but for where the node is, and who is root there; after the plays `before`, imported with these tags."""
        (play,) = yaml.safe_load((CHECKOUT / "playbooks/site.yml").read_text())
        (task,) = play["tasks"]
        task["ansible.builtin.include_tasks"] = f"{CHECKOUT}/playbooks/{task['ansible.builtin.include_tasks']}"
        return self.run(self.of_node({**play, "become": False, "tags": [*tags]}, *before), *flags, **variables)


@pytest.fixture
def site() -> t.Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="qdr") as directory:
        made = Site(Path(directory))
        yield made
        made.close()


def names(run: Run) -> list[str]:
    """The tasks that came to pass."""
    return [task.name for task in run.tasks if task.outcome != "skipped"]


def one(run: Run, name: str) -> Task:
    (found,) = (task for task in run.tasks if task.name.rpartition(" : ")[2] == name)
    return found


def evictions(run: Run) -> list[list[str]]:
    """The pods of each drain that came to pass."""
    return [task.result["evicted"] for task in run.tasks if task.name == EVICT]


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
    assert one(run, "Cordon the node and evict the pods").result["evicted"] == ["default/one", "default/two"]
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
        # Wrong, which is reported by the role that carries them out.
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
    assert one(run, "Cordon the node and evict the pods").result["evicted"] == ["default/one"]


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


# Kubelet.


@pytest.fixture
def kubelet(site: Site) -> t.Iterator[KubeletNode]:
    state = {"/var/lib/kubelet/cpu_manager_state": '{"policyName":"none","defaultCpuSet":"","checksum":1}'}
    made = KubeletNode(site.node_root.parent, **examples.kubeadm(files=state))
    made.start()
    site.node_root = made.root
    yield made
    made.end()


STATIC = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}
# What disrupts by the devices and by kubelet, in a run that drains.
BOTH: dict[str, t.Any] = {"qat_node_devices": COMPRESSION, "qat_kubelet_configuration": STATIC, "qat_drain": True}


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
    assert one(run, "Cordon the node and evict the pods").result["evicted"] == ["default/one", "default/other"]


@pytest.mark.usefixtures("kubelet")
def test_another_field_of_kubelet_disrupts_nobody(site: Site) -> None:
    site.give("default/other", VF0)
    rules = [{"services": ["sym", "asym"]}]
    run = site.tasks(ROLE, qat_node_devices=rules, qat_kubelet_configuration={"topologyManagerPolicy": "restricted"})
    assert run.code == 0, run.output
    assert site.cluster.requests == []


@pytest.mark.usefixtures("kubelet")
def test_the_tags_say_what_is_drained_for(site: Site) -> None:
    """The node's part waits for another run, so what it disrupts is left alone; and the reverse."""
    site.give("default/one", VF0)
    site.give("default/other")
    for flags, evicted in (
        (("--tags", "node"), ["default/one"]),
        (("--tags", "kubelet"), ["default/one", "default/other"]),
        (("--tags", "drain", "--skip-tags", "kubelet"), ["default/one"]),
        (("--skip-tags", "kubelet,device_plugin"), ["default/one"]),
        (("--skip-tags", "kubelet,device_plugin,node"), None),
        (("--skip-tags", "drain,device_plugin,node,kubelet"), None),
        (("--tags", "verify"), None),
    ):
        run = site.site("--check", *flags, qat_kubernetes=True, **BOTH)
        assert run.code == 0, (flags, run.output)
        assert evictions(run) == ([evicted] if evicted else []), flags
        assert (GIVE_BACK in names(run)) == (flags[1] not in ("drain", "verify")), flags


@pytest.mark.usefixtures("kubelet")
def test_a_tag_of_the_callers_own_play(site: Site) -> None:
    """Which imports the playbook, beside plays that have others."""
    site.give("default/one", VF0)
    site.give("default/other")
    for flags, evicted in (
        (("--tags", "qat"), ["default/one", "default/other"]),
        (("--tags", "qat", "--skip-tags", "kubelet"), ["default/one"]),
        (("--tags", "others"), None),
        (("--skip-tags", "qat"), None),
    ):
        skipped = ("--skip-tags", "device_plugin") if "--skip-tags" not in flags else ()
        run = site.site("--check", *flags, *skipped, tags=["qat"], qat_kubernetes=True, **BOTH)
        assert evictions(run) == ([evicted] if evicted else []), flags
        assert (GIVE_BACK in names(run)) == bool(evicted), flags


# The playbook.


def roles(run: Run) -> list[str]:
    """Which roles had tasks of their own, in their order, but for proofs. Each role looks at its variables, whatever the tags."""
    own = (
        task.name.partition(" : ")
        for task in run.tasks
        if " : Validating" not in task.name and " : Prove" not in task.name and task.outcome != "skipped"
    )
    return list(dict.fromkeys(role.removeprefix("accel.qat.qat_") for role, _colon, name in own if name))


@pytest.mark.core
def test_check_mode_says_who_would_go_and_goes_on(site: Site) -> None:
    site.give("default/one", VF0)
    run = site.site(
        "--check", "--skip-tags", "device_plugin", qat_node_devices=COMPRESSION, qat_kubernetes=True, qat_drain=True
    )
    assert run.code == 0, run.output
    assert one(run, "Say which pods go, and why").result["msg"]["evicted"] == ["default/one"]
    assert one(run, "Bring the QAT devices to their configuration").result["steps"][0]["disrupts"] == [VF0, VF1]
    assert roles(run) == ["node", "kubelet", "drain"]
    assert site.cluster.pod_names() == ["default/one"]
    assert site.cluster.cordoned() == (False, [])


def test_without_qat_drain_nothing_is_asked(site: Site) -> None:
    site.give("default/one", VF0)
    failed = site.site("--check", "--skip-tags", "device_plugin", qat_node_devices=COMPRESSION, qat_kubernetes=True)
    assert failed.code != 0
    assert "pod default/one (container main) was given 0000:6b:00.1" in failed.tasks[-1].message
    assert site.cluster.requests == []


@pytest.mark.core
@pytest.mark.parametrize("kubernetes", [False, True])
def test_a_variable_that_nobody_knows_fails_the_run_before_anything(site: Site, kubernetes: bool) -> None:
    given: dict[str, t.Any] = {
        "qat_node_devices": [{}],
        "qat_kubernetes": kubernetes,
        "qat_drian": True,
        "drain_timeout": 5,
    }
    failed = site.site("--check", "--tags", "node", **given)
    assert failed.code != 0
    assert failed.tasks[-1].message == (
        "drain_timeout is called qat_drain_timeout now; qat_drian is not a variable of accel.qat; the nearest is qat_drain; "
        "rename them in the inventory, or name what somebody else uses in qat_variables_of_others"
    )
    assert roles(failed) == []
    run = site.site("--check", "--tags", "node", qat_variables_of_others=["qat_drian", "drain_timeout"], **given)
    assert "qat_node_devices" in one(run, "Refuse misspelt variables of the collection").result["variables"]
    assert roles(run)


def test_names_of_others_are_a_list(site: Site) -> None:
    failed = site.site("--check", qat_node_devices=[{}], qat_variables_of_others="drain_timeout")
    assert failed.tasks[-1].message == (
        "qat_variables_of_others: it is not a list; write names of variables, one an entry"
    )


def test_a_node_without_kubernetes_has_few_tasks(site: Site) -> None:
    """A run on a node that is as configured has as many."""
    run = site.site("--check", qat_node_devices=[{}], qat_drain=True, qat_node_kernel_arguments=["quiet"])
    assert run.code == 0, run.output
    assert len(run.tasks) <= 13
    assert roles(run) == ["node"]


@pytest.mark.parametrize("kubernetes", [False, True])
def test_the_tag_node_runs_the_role_node_to_its_end(site: Site, kubernetes: bool) -> None:
    """Once, also where the role was loaded twice: for what it disrupts, too."""
    run = site.site("--check", "--tags", "node", qat_node_devices=[{}], qat_kubernetes=kubernetes, qat_drain=kubernetes)
    assert run.code == 0, run.output
    assert roles(run) == (["node", "drain"] if kubernetes else ["node"])
    assert [task.name for task in run.tasks].count(LAST) == 1


def test_each_tag_runs_its_part(site: Site) -> None:
    given: dict[str, t.Any] = {"qat_node_devices": [{}], "qat_kubernetes": True, "qat_drain": True}
    assert roles(site.site("--check", "--tags", "kubelet", **given)) == ["kubelet", "drain"]
    assert roles(site.site("--check", "--tags", "drain", **given)) == ["node", "kubelet"]
    assert roles(site.site("--check", "--tags", "uncordon", **given)) == ["drain"]
    without = {**given, "qat_kubernetes": False}
    tags = "kubelet,device_plugin,verify,drain,uncordon"
    assert roles(site.site("--check", "--tags", tags, **without)) == []


# Several nodes.

HELD_BACK = "Leave the node alone, since one of an earlier batch failed"
LAST = "accel.qat.qat_node : Write what the next boot needs"


def of_host(run: Run, host: str) -> list[str]:
    """The tasks that came to pass on one node."""
    return [task.name for task in run.tasks if task.host == host and task.outcome != "skipped"]


# Rules that no node takes; and no directory can be made there, which Ansible takes for a node that it does not reach.
LOST: dict[str, tuple[dict[str, t.Any], str]] = {
    "failed": ({"qat_node_devices": [{"services": ["dc", "dcc"]}]}, "failed"),
    "unreachable": ({"ansible_remote_tmp": "/proc/none"}, "unreachable"),
}


@pytest.mark.core
@pytest.mark.parametrize("lost", LOST)
def test_after_a_node_that_is_lost_its_batch_goes_on_and_no_other_is_begun(site: Site, lost: str) -> None:
    variables, outcome = LOST[lost]
    given: dict[str, t.Any] = {"qat_node_devices": [{}]}
    site.nodes = {"node1": given, "node2": {**given, **variables}, "node3": given, "node4": given, "node5": given}
    run = site.site("--check", qat_serial=2)
    assert run.code != 0
    assert [task.outcome for task in run.tasks if task.host == "node2"][-1] == outcome, run.output
    assert of_host(run, "node1")[-1] == LAST
    included, held_back = (task for task in run.tasks if task.host == "node3")
    assert included.name == "Bring the node to its configuration"
    assert held_back.name == HELD_BACK
    assert held_back.message == (
        "nothing was changed on node3: node2 of an earlier batch failed or could not be reached, and after that no batch is begun; "
        "fix that and run again, or leave it out with --limit '!node2'"
    )
    assert of_host(run, "node4")[1:] == [HELD_BACK]
    assert of_host(run, "node5") == []


def test_a_node_that_is_left_out_holds_no_other_back(site: Site) -> None:
    """Whether by --limit or since an earlier play has lost it."""
    given: dict[str, t.Any] = {"qat_node_devices": [{}]}
    wrong = {"qat_node_devices": [{"services": ["dc", "dcc"]}]}
    site.nodes = {"node1": given, "node2": wrong, "node3": given}
    limited = site.site("--check", "--limit", "!node2", qat_serial=1)
    assert limited.code == 0, limited.output
    assert (of_host(limited, "node1")[-1], of_host(limited, "node3")[-1]) == (LAST, LAST)
    fail = {"name": "Fail", "ansible.builtin.fail": {}, "when": "inventory_hostname == 'node2'"}
    earlier = {"hosts": "qat_nodes", "gather_facts": False, "tasks": [fail]}
    after = site.site("--check", before=[earlier], qat_serial=1)
    assert (of_host(after, "node1")[-1], of_host(after, "node2"), of_host(after, "node3")[-1]) == (LAST, ["Fail"], LAST)


@pytest.mark.core
@pytest.mark.usefixtures("kubelet")
def test_a_drained_node_comes_back_when_another_of_its_batch_fails(site: Site) -> None:
    site.give("default/other")
    given: dict[str, t.Any] = {"qat_node_devices": [{}], "qat_kubernetes": True}
    site.nodes = {
        "node1": {**given, "qat_drain": True, "qat_kubelet_configuration": STATIC, "qat_kubelet_timeout": 20},
        # Fails in the role qat_kubelet, when the first is drained already.
        "node2": {**given, "qat_kubelet_configuration": {"cpuManagerPolicy": "static"}},
    }
    run = site.site("--tags", "kubelet")
    assert run.code != 0
    assert [task.outcome for task in run.tasks if task.host == "node2"][-1] == "failed", run.output
    assert {EVICT, GIVE_BACK} <= set(of_host(run, "node1"))
    assert site.cluster.cordoned() == (False, [])


# The filters.


def test_forced_rules() -> None:
    rules: list[dict[str, t.Any]] = [
        {"services": ["dc"]},
        {"when_in_use": "skip"},
        {"when_in_use": "fail"},
        {"when_in_use": "force"},
    ]
    forced = ["force", "skip", "force", "force"]
    assert [rule["when_in_use"] for rule in forced_rules(rules)] == forced
    assert rules[0] == {"services": ["dc"]}


def test_pods_with_vfs() -> None:
    def holder(pod: str, pid: int | None = None) -> dict[str, t.Any]:
        return {"pid": pid, "command": "", "container": "", "pod": pod, "note": ""}

    vfs = [
        {"address": VF0, "held_by": [holder("default/b"), holder("", 7), holder("default/a")]},
        {"address": VF1, "held_by": [holder("with uid 11-22"), holder("default/c"), holder("default/b")]},
    ]
    node = {"devices": [{"vfs": vfs}]}
    assert pods_with_vfs(node) == ["default/a", "default/b", "default/c"]
    assert pods_with_vfs(node, [VF0]) == ["default/a", "default/b"]
    assert pods_with_vfs(node, []) == []
    assert pods_with_vfs({}) == []
