# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_kubelet, and its place in the playbooks."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import CONFIG, READ
from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.plugins.local import LocalController
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_kubelet"
PART = CHECKOUT / "playbooks/tasks/kubernetes_node.yml"


def load(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text())


SPECS = load(ROLE / "meta/argument_specs.yml")["argument_specs"]
DEFAULTS = load(ROLE / "defaults/main.yml")


def test_defaults_are_documented() -> None:
    for entry in SPECS.values():
        assert {name: option["default"] for name, option in entry["options"].items()} == DEFAULTS


def call(name: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """The import of the one call at an entry point, by its variables, and the block around it."""
    task = load(ROLE / f"tasks/{name}.yml")[0]
    (imported,) = task.get("block", [task])
    assert imported["ansible.builtin.import_tasks"] == "config.yml"
    assert imported["name"] == imported["vars"].pop("__qat_kubelet_task")
    return imported["vars"], task


def test_every_option_of_the_module_is_a_variable() -> None:
    """But for where the node is mounted, which module_defaults say."""
    (task,) = load(ROLE / "tasks/config.yml")
    options = {**READ, **CONFIG}
    assert set(task["accel.qat.kubelet_config"]) == set(options) - {"root"}
    for option in ("drained", "restart", "prove", "backup", "timeout", "record"):
        assert options[option]["default"] == DEFAULTS[f"qat_kubelet_{option}"]


def test_the_module_is_called_in_one_place() -> None:
    found = [path.name for path in (ROLE / "tasks").glob("*.yml") if "accel.qat.kubelet_config" in path.read_text()]
    assert found == ["config.yml"]


def test_what_is_looked_at_beforehand_is_what_is_brought() -> None:
    looks = {"__qat_kubelet_looks": True}
    bring, _task = call("main")
    look, looked_at = call("disruption")
    assert bring == {}
    assert look == {**bring, **looks, "__qat_kubelet_as_drained": True, "__qat_kubelet_forgives": True}
    left, looked_at_by_verify = call("verify")
    assert left == look
    put_back, _task = call("teardown")
    see, seen = call("teardown_check")
    assert put_back == {"__qat_kubelet_back": True}
    assert see == {**put_back, **looks}
    for task in (looked_at, looked_at_by_verify, seen):
        assert (task["check_mode"], task["diff"]) == (True, False)


def roles_of(tasks: t.Iterable[dict[str, t.Any]]) -> list[str]:
    """The roles that tasks include or import, in their order."""
    entries = (entry for task in tasks for entry in task.items())
    return [value["name"] for key, value in entries if key.endswith(("include_role", "import_role"))]


def test_the_kubelet_comes_before_the_device_plugin_and_goes_after_it() -> None:
    assert roles_of(load(PART)) == [
        f"accel.qat.qat_{name}" for name in ("drain", "node", "kubelet", "device_plugin", "verify", "drain")
    ]
    (teardown,) = load(CHECKOUT / "playbooks/teardown.yml")
    undone = [
        task["ansible.builtin.include_role"]["name"]
        for task in teardown["tasks"]
        if task.get("ansible.builtin.include_role", {}).get("tasks_from") == "teardown"
    ]
    assert undone == ["accel.qat.qat_device_plugin", "accel.qat.qat_kubelet", "accel.qat.qat_node"]


@pytest.fixture
def node(tmp_path: Path) -> t.Iterator[KubeletNode]:
    made = KubeletNode(tmp_path / "node", **examples.kubeadm())
    made.start()
    yield made
    made.end()


def run(node: KubeletNode, tmp_path: Path, task: dict[str, t.Any], **variables: t.Any) -> Run:
    controller = LocalController(node, tmp_path)
    path = tmp_path / "play.yml"
    play = {
        "hosts": "qat_nodes",
        "gather_facts": False,
        "module_defaults": {"group/accel.qat.qat": controller.roots()},
        "tasks": [task],
    }
    path.write_text(yaml.safe_dump([play]))
    return controller.run(str(path), "--tags", "kubelet", **variables)


def test_the_defaults_leave_a_kubelet_alone_that_has_what_qat_needs(node: KubeletNode, tmp_path: Path) -> None:
    part = {"ansible.builtin.include_tasks": str(PART), "tags": ["kubelet", "device_plugin"]}
    untouched = node.state()
    # The role qat_node looks at its own variables, whatever the tags.
    done = run(node, tmp_path, part, qat_node_devices=[{}])
    assert done.code == 0, done.output
    names = [task.name.rpartition(" : ")[2] for task in done.tasks if task.outcome != "skipped"]
    assert "Set the fields of kubelet's configuration, and wait for kubelet" in names
    assert not any(task.changed for task in done.tasks)
    assert node.state() == untouched


@pytest.mark.core
def test_there_and_back(node: KubeletNode, tmp_path: Path) -> None:
    untouched = node.state()
    role = {
        "ansible.builtin.include_role": {"name": "accel.qat.qat_kubelet", "apply": {"tags": ["kubelet"]}},
        "tags": ["kubelet"],
    }
    there = run(
        node, tmp_path, role, qat_kubelet_configuration={"topologyManagerPolicy": "restricted"}, qat_kubelet_timeout=120
    )
    assert there.code == 0, there.output
    assert there.tasks[-1].changed
    assert "topologyManagerPolicy: restricted" in (node.read(examples.CONFIG) or "")
    role["ansible.builtin.include_role"]["tasks_from"] = "teardown"  # type: ignore[index]
    # What was wanted is of no concern on the way back.
    back = run(node, tmp_path, role, qat_kubelet_configuration={"minikube": True}, qat_kubelet_timeout=120)
    assert back.code == 0, back.output
    assert back.tasks[-1].changed
    assert node.state() == untouched
    assert not run(node, tmp_path, role).tasks[-1].changed


def test_the_variable_says_where_they_stand(tmp_path: Path) -> None:
    made = KubeletNode(tmp_path / "node", **examples.kubeadm(), version="1.31.4", gates={})
    made.start()
    try:
        role = {
            "ansible.builtin.include_role": {"name": "accel.qat.qat_kubelet", "apply": {"tags": ["kubelet"]}},
            "tags": ["kubelet"],
        }
        wanted = {"qat_kubelet_configuration": {"topologyManagerPolicy": "restricted"}, "qat_kubelet_timeout": 120}
        untouched = made.state()
        found = []
        for drop_in in ("never", "auto"):
            there = run(made, tmp_path, role, qat_kubelet_drop_in=drop_in, **wanted)
            assert there.code == 0, there.output
            found.append(there.tasks[-1].result["drop_in"])
        assert found == ["", f"{examples.CONFIG_DIR}/99-accel-qat.conf"]
        role["ansible.builtin.include_role"]["tasks_from"] = "teardown"  # type: ignore[index]
        assert run(made, tmp_path, role, qat_kubelet_timeout=120).tasks[-1].changed
        assert made.state() == untouched
    finally:
        made.end()


STATE = {"/var/lib/kubelet/cpu_manager_state": '{"policyName":"none","defaultCpuSet":"","checksum":1}'}
STATIC = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}


@pytest.fixture
def managed(tmp_path: Path) -> t.Iterator[KubeletNode]:
    """Its kubelet has the state of a CPU manager."""
    made = KubeletNode(tmp_path / "node", **examples.kubeadm(files=STATE))
    made.start()
    yield made
    made.end()


def test_teardown_refuses_what_takes_a_drained_node_before_the_device_plugin_goes(
    managed: KubeletNode, tmp_path: Path
) -> None:
    role = {
        "ansible.builtin.include_role": {"name": "accel.qat.qat_kubelet", "apply": {"tags": ["kubelet"]}},
        "tags": ["kubelet"],
    }
    there = run(
        managed, tmp_path, role, qat_kubelet_configuration=STATIC, qat_kubelet_drained=True, qat_kubelet_timeout=120
    )
    assert there.code == 0, there.output
    controller = LocalController(managed, tmp_path)
    (teardown,) = load(CHECKOUT / "playbooks/teardown.yml")
    path = tmp_path / "play.yml"
    # In check mode, since the device plugin would be that of the machine that the tests run on. Its systemd knows none.
    systemctl = managed.directory / "bin/systemctl"
    systemctl.write_text("#!/bin/sh\nprintf 'LoadState=not-found\\nNeedDaemonReload=no\\n'\n")
    systemctl.chmod(0o755)
    path.write_text(yaml.safe_dump([{**teardown, "module_defaults": {"accel.qat.kubelet_config": controller.roots()}}]))
    flags = ("--check", "--tags", "device_plugin,kubelet")
    before = managed.state()
    refused = controller.run(str(path), *flags)
    assert refused.code != 0
    assert refused.tasks[-1].name == "accel.qat.qat_kubelet : See that kubelet's configuration can be put back"
    assert "drain the node" in refused.tasks[-1].message
    assert not any(task.name.startswith("accel.qat.qat_device_plugin") for task in refused.tasks)
    drained = controller.run(str(path), *flags, qat_kubelet_drained=True)
    assert drained.code == 0, drained.output
    changed = [task.name for task in drained.tasks if task.changed and task.name.startswith("accel.qat.qat_kubelet")]
    assert changed == ["accel.qat.qat_kubelet : Put kubelet's configuration back as it was found"]
    assert managed.state() == before


@pytest.mark.core
def test_a_wrong_variable_is_reported(node: KubeletNode, tmp_path: Path) -> None:
    role = {
        "ansible.builtin.include_role": {"name": "accel.qat.qat_kubelet", "apply": {"tags": ["kubelet"]}},
        "tags": ["kubelet"],
    }
    failed = run(node, tmp_path, role, qat_kubelet_flavour="minikube")
    assert failed.code != 0
    assert "qat_kubelet_flavour" in failed.output


@pytest.mark.core
def test_the_playbooks_find_it(node: KubeletNode, tmp_path: Path) -> None:
    """By their full names, as installed: what is included stands beside the playbook."""
    # The role qat_node looks at its own variables, whatever the tags.
    variables: dict[str, t.Any] = {
        "qat_node_devices": [{"services": ["dc"]}],
        "qat_kubelet_flavour": "kubeadm",
        "qat_kubelet_config": f"{node.root}{examples.CONFIG}",
        "qat_kubelet_program": f"{node.root}/usr/bin/kubelet",
        "qat_kubelet_version": "1.31.0",
        "qat_kubelet_record": f"{tmp_path}/kubelet.json",
    }
    controller = LocalController(node, tmp_path)
    for playbook, name in (
        ("accel.qat.site", "Set the fields of kubelet's configuration, and wait for kubelet"),
        ("accel.qat.teardown", "Put kubelet's configuration back as it was found"),
    ):
        done = controller.run(playbook, "--tags", "kubelet", qat_kubernetes=True, **variables)
        assert done.code == 0, done.output
        assert [task.name for task in done.tasks if task.outcome != "skipped"].count(
            f"accel.qat.qat_kubelet : {name}"
        ) == 1
        assert not any(task.changed for task in done.tasks)
    without = controller.run("accel.qat.site", "--tags", "kubelet", qat_node_devices=variables["qat_node_devices"])
    assert [task.name for task in without.tasks if task.name.startswith("accel.qat.qat_kubelet")] == []
