# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_device_plugin where the device plugin is to be no service: what it applies, and what it refuses."""

from __future__ import annotations

import contextlib
import fcntl
import typing as t
from pathlib import Path

import pytest
import yaml
from qat_device_plugin.deployment import DAEMONSET, NEXT, SERVICE, Holder
from qat_device_plugin.settings import parse_settings

from ansible_collections.accel.qat.plugins.plugin_utils._daemonset import daemonset
from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.daemonset_cluster import DaemonsetCluster
from ansible_collections.accel.qat.tests.unit.plugins.local import OnThisMachine
from ansible_collections.accel.qat.tests.unit.roles.test_device_plugin import systemctl
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_device_plugin"
MANIFEST = yaml.safe_load((CHECKOUT / "deploy/kubernetes/base/daemonset.yaml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text())
NAME = VARIABLES["__qat_device_plugin_daemonset_name"]
LABEL = VARIABLES["__qat_device_plugin_label"]
KEY = ("accel-qat", NAME)
IMAGE = {"name": "registry.example/plugin:1", "pull_policy": "Never", "pull_secrets": ["key"]}


def environment(made: dict[str, t.Any]) -> dict[str, str]:
    (container,) = made["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


# The manifest with the settings of nodes.


def test_the_settings_of_nodes_are_those_of_the_pods() -> None:
    settings = {"POD_LABELS": False, "ALLOCATION_POLICY": "packed", "CDI": True, "PERIOD": 2.5, "LOG_LEVEL": "debug"}
    made = daemonset(MANIFEST, IMAGE, "/etc/mine/node.json", "/k/device-plugins", {**settings, "RUN_DIR": "/run/x"})
    found = parse_settings([], environment(made))
    assert (found.config, found.kubelet_dir) == (Path("/etc/mine/node.json"), Path("/k/device-plugins"))
    assert (found.pod_labels, found.cdi, found.allocation_policy) == (False, True, "packed")
    assert (found.period, found.log_level, found.run_dir) == (2.5, "debug", Path("/run/x"))
    assert (found.deployment, found.metrics_address) == ("daemonset", ("", 9482))
    pod = made["spec"]["template"]["spec"]
    assert (pod["containers"][0]["image"], pod["containers"][0]["imagePullPolicy"]) == (IMAGE["name"], "Never")
    assert pod["imagePullSecrets"] == [{"name": "key"}]
    volumes = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert volumes == mounts
    assert (mounts["configuration"], mounts["device-plugins"]) == ("/etc/mine", "/k/device-plugins")
    assert (mounts["pod-resources"], found.kubelet_roots) == ("/k/pod-resources", ("/k",))
    assert MANIFEST["spec"]["template"]["spec"]["containers"][0]["image"] != IMAGE["name"]


def test_kubelets_socket_may_be_in_another_directory_than_what_it_says_of_pods() -> None:
    directory = "/var/lib/kubelet/device-plugins"
    made = daemonset(MANIFEST, IMAGE, "/etc/accel-qat/node.json", directory, {"KUBELET_ROOT": "/data/kubelet"})
    found = parse_settings([], environment(made))
    assert (found.kubelet_roots, found.socket_dir) == (("/data/kubelet",), Path(directory))
    mounts = made["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "pod-resources", "mountPath": "/data/kubelet/pod-resources", "readOnly": True} in mounts


def test_without_other_settings_only_the_image_and_where_the_rules_are_differ() -> None:
    image = {"name": "accel-qat-device-plugin:mine", "pull_policy": "IfNotPresent", "pull_secrets": []}
    made = daemonset(MANIFEST, image, "/etc/accel-qat/node.json", "/var/lib/kubelet/device-plugins", {})
    pod, before = made["spec"]["template"]["spec"], MANIFEST["spec"]["template"]["spec"]
    assert pod["containers"][0].pop("image") == image["name"]
    (volume,) = (one for one in pod["volumes"] if one not in before["volumes"])
    assert volume == {"name": "configuration", "hostPath": {"path": "/etc/accel-qat", "type": "Directory"}}
    assert "imagePullSecrets" not in pod


@pytest.mark.parametrize("value", ["true", True, "false", False])
def test_labels_for_nfd_need_its_directory(value: str | bool) -> None:
    made = daemonset(MANIFEST, IMAGE, "/etc/accel-qat/node.json", "/k/device-plugins", {"NFD": value})
    settings, pod = parse_settings([], environment(made)), made["spec"]["template"]["spec"]
    assert settings.nfd is (value in ("true", True))
    paths = [volume["hostPath"]["path"] for volume in pod["volumes"] if volume["name"] == "features"]
    mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "features"]
    assert paths == ([str(settings.nfd_dir)] if settings.nfd else [])
    assert mounts == ([{"name": "features", "mountPath": paths[0]}] if settings.nfd else [])


def test_the_pod_of_the_role_is_that_of_the_manifest() -> None:
    assert (MANIFEST["metadata"]["namespace"], MANIFEST["metadata"]["name"]) == KEY
    assert OPTIONS["qat_device_plugin_namespace"]["default"] == KEY[0]
    known = {name.removeprefix("QAT_DEVICE_PLUGIN_") for name in environment(MANIFEST)}
    assert set(VARIABLES["__qat_device_plugin_of_the_pod"]) <= known


def test_each_way_has_its_tasks() -> None:
    for way in OPTIONS["qat_device_plugin_deploy"]["choices"]:
        assert (ROLE / f"tasks/{way}.yml").is_file()


def test_the_rights_are_those_of_the_page() -> None:
    page = (CHECKOUT / "docs/daemonset.md").read_text()
    for right in VARIABLES["__qat_device_plugin_rights"]:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {right['resource']} |"))
        assert f"`{right['verb']}`" in row


# The role, on a node without a service.


class Node(OnThisMachine):
    """This machine, whose run directory is one of the test's, with a cluster that knows it."""

    def __init__(self, directory: Path, cluster: DaemonsetCluster) -> None:
        super().__init__(directory, directory)
        self.run_dir = directory / "run"
        self._cluster = cluster

    def environment(self) -> dict[str, str]:
        access = {"K8S_AUTH_HOST": self._cluster.url, "K8S_AUTH_API_KEY": TOKEN, "NO_PROXY": "127.0.0.1"}
        return {**super().environment(), **access}

    def role(self, deploy: str, *options: str, entry_point: str = "main", **variables: t.Any) -> Run:
        values = {
            "qat_device_plugin_deploy": deploy,
            "qat_device_plugin_directory": str(self._directory / "releases"),
            "qat_device_plugin_wait_timeout": 10,
            "__qat_device_plugin_run": str(self.run_dir),
            **variables,
        }
        include = {"name": "accel.qat.qat_device_plugin", "tasks_from": entry_point}
        return self.play([{"name": "Role", "ansible.builtin.include_role": include, "vars": values}], *options)


@pytest.fixture
def cluster() -> t.Iterator[DaemonsetCluster]:
    made = DaemonsetCluster()
    yield made
    made.close()


@pytest.fixture
def node(tmp_path: Path, cluster: DaemonsetCluster) -> Node:
    return Node(tmp_path, cluster)


def changed(run: Run) -> list[str]:
    assert run.code == 0, run.output
    return [task.name.removeprefix("accel.qat.qat_device_plugin : ") for task in run.tasks if task.changed]


@pytest.mark.core
def test_the_daemonset_is_applied_and_its_pod_is_waited_for(node: Node, cluster: DaemonsetCluster) -> None:
    given = {"qat_device_plugin_image": "registry.example/plugin:1", "qat_device_plugin_log_level": "debug"}
    assert changed(node.role("daemonset", "--check", **given)) == ["Have the pod of the device plugin on the node"]
    assert (cluster.daemonsets, cluster.labels()) == ({}, {})
    assert changed(node.role("daemonset", **given)) == ["Have the pod of the device plugin on the node"]
    assert cluster.labels() == {LABEL: "daemonset"}
    made = cluster.daemonsets[KEY]
    assert environment(made)["QAT_DEVICE_PLUGIN_LOG_LEVEL"] == "debug"
    settings = parse_settings([], environment(made))
    assert vars(settings) == {
        **vars(parse_settings([], {})),
        "deployment": "daemonset",
        "kubelet_root": "/var/lib/kubelet",
        "log_level": "debug",
        "metrics_address": ("", 9482),
    }
    assert changed(node.role("daemonset", **given)) == []
    # Nothing of the service is packed or copied for it.
    assert not (node.run_dir.parent / "releases").exists()


@pytest.mark.core
def test_it_is_taken_away_where_the_api_server_is_named(node: Node, cluster: DaemonsetCluster, tmp_path: Path) -> None:
    changed(node.role("daemonset", qat_device_plugin_image="i:1"))
    assert changed(node.role("none")) == []
    assert KEY in cluster.daemonsets
    kubeconfig = tmp_path / "kubeconfig"
    reach = {"name": "c", "cluster": {"server": cluster.url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": TOKEN}}
    document = {"clusters": [reach], "contexts": [context], "users": [user], "current-context": "c"}
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **document}))
    assert changed(node.role("none", qat_device_plugin_kubeconfig=str(kubeconfig))) == [
        "Have no pod of the device plugin on the node"
    ]
    assert (cluster.labels(), cluster.daemonsets) == ({}, {})


def test_what_no_node_could_run_is_refused_before_anything_is_done(node: Node, cluster: DaemonsetCluster) -> None:
    refused = node.role("daemonset", qat_device_plugin_registration="watcher")
    assert refused.code != 0
    assert refused.tasks[-1].message == (
        "qat_device_plugin_image: it is not set; name the image of the device plugin for the DaemonSet; "
        "qat_device_plugin_registration: a DaemonSet registers by kubelet.sock alone; leave it at socket, "
        "or set qat_device_plugin_deploy to systemd"
    )
    assert cluster.daemonsets == {}


def test_what_is_refused_is_lacking_before_the_first_change_too(node: Node) -> None:
    show = {"name": "Show", "ansible.builtin.debug": {"var": "__qat_device_plugin_lacks"}}
    for deploy, lacks in (("daemonset", 1), ("none", 0)):
        include = {"name": "accel.qat.qat_device_plugin", "tasks_from": "prove"}
        task = {"name": "Role", "ansible.builtin.include_role": include, "vars": {"qat_device_plugin_deploy": deploy}}
        run = node.play([task, show])
        assert run.code == 0, run.output
        assert len(run.tasks[-1].result["__qat_device_plugin_lacks"]) == lacks


def test_a_pod_that_does_not_get_ready_fails_the_role(node: Node, cluster: DaemonsetCluster) -> None:
    cluster.comes_up = False
    failed = node.role("daemonset", qat_device_plugin_image="i:1", qat_device_plugin_wait_timeout=1)
    assert failed.code != 0
    assert "ImagePullBackOff" in failed.tasks[-1].message
    assert changed(node.role("daemonset", qat_device_plugin_image="i:1", qat_device_plugin_wait=False)) == []


STOP = "Stop the service of the device plugin"


def names(run: Run) -> list[str]:
    """Of the tasks that were not skipped."""
    return [task.name.rpartition(" : ")[2] for task in run.tasks if task.outcome != "skipped"]


@pytest.mark.parametrize(("waits", "is_pod"), [(False, False), (False, True), (True, False)])
def test_the_service_stays_until_the_pod_is_known_to_serve(node: Node, waits: bool, is_pod: bool) -> None:
    systemctl(node.run_dir.parent)
    places = {name: str(node.run_dir.parent / name) for name in ("unit", "transient")}
    run = node.role(
        "daemonset",
        qat_device_plugin_image="i:1",
        qat_device_plugin_wait=waits,
        __qat_device_plugin_has_service=True,
        __qat_device_plugin_is_pod=is_pod,
        __qat_device_plugin_units=places,
        __qat_device_plugin_unit_link=str(node.run_dir.parent / "link"),
    )
    assert (STOP in names(run)) is (waits or is_pod), run.output


@contextlib.contextmanager
def lock_of(node: Node, deployment: str) -> t.Iterator[None]:
    """Somebody who is deployed in this way has the lock."""
    node.run_dir.mkdir(exist_ok=True)
    with (node.run_dir / "a.lock").open("w") as file:
        file.write(Holder(deployment, "a.sock").text())
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_who_holds_the_lock_is_known_by_what_the_program_writes(node: Node) -> None:
    """The role looks for these words. They outlive the one who has written them."""
    include = {"name": "accel.qat.qat_device_plugin", "tasks_from": "look", "public": True}
    look = {
        "name": "Look",
        "ansible.builtin.include_role": include,
        "vars": {"__qat_device_plugin_run": str(node.run_dir)},
    }
    show = {"name": "Show", "ansible.builtin.debug": {"var": "__qat_device_plugin_is_pod"}}

    def is_pod(*options: str) -> bool:
        run = node.play([look, show], *options)
        assert run.code == 0, run.output
        assert not any(task.changed for task in run.tasks)
        return bool(run.tasks[-1].result["__qat_device_plugin_is_pod"])

    with lock_of(node, SERVICE):
        assert not is_pod()
    with lock_of(node, DAEMONSET):
        assert is_pod()
        assert is_pod("--check")
    assert not is_pod()
    assert not is_pod("--check")
    assert f"/{NEXT}" in (ROLE / "tasks/expect.yml").read_text()
    (words,) = {
        str(task["vars"]["__qat_device_plugin_next"])
        for task in yaml.safe_load((ROLE / "tasks/systemd.yml").read_text())
        if "__qat_device_plugin_next" in task.get("vars", {})
    }
    assert words == SERVICE


OF_OTHERS = (
    "the device plugin of this node is a pod of a DaemonSet that this role has not made; "
    "remove it, or set qat_device_plugin_deploy to none"
)


def test_the_service_takes_over_from_a_pod_of_the_role_alone(node: Node, cluster: DaemonsetCluster) -> None:
    """What cannot be taken away would stay beside the service, and never get ready."""
    for way in ("systemd", "package"):
        with lock_of(node, DAEMONSET):
            refused = node.role(way)
            assert (refused.code != 0, refused.tasks[-1].message) == (True, OF_OTHERS), refused.output
            assert not any(task.changed for task in refused.tasks)
    changed(node.role("daemonset", qat_device_plugin_image="i:1"))
    cluster.others = ["node2"]
    for options in ([], ["--check"]):
        assert changed(node.role("systemd", *options, entry_point="from_pod")) == []
    assert cluster.labels() == {LABEL: "daemonset"}


def test_the_service_takes_nothing_over_where_the_cluster_does_not_answer(
    node: Node, cluster: DaemonsetCluster
) -> None:
    cluster.refusals["GET .*"] = Refusal(403, "Forbidden", "no")
    with lock_of(node, DAEMONSET):
        refused = node.role("systemd")
    assert refused.code != 0
    assert refused.tasks[-1].name.endswith("Have no pod of the device plugin on the node")
    assert not any(task.changed for task in refused.tasks)
    assert not (node.run_dir / "next").exists()


@pytest.mark.parametrize("is_there", [False, True], ids=["no-unit", "unit"])
def test_check_mode_stops_no_unit_that_it_has_not_written(node: Node, is_there: bool) -> None:
    units = node.run_dir.parent / "units"
    units.mkdir()
    if is_there:
        (units / VARIABLES["__qat_device_plugin_unit"]).touch()
    values = {"__qat_device_plugin_next": SERVICE, "__qat_device_plugin_unit_places": [str(units)]}
    systemctl(node.run_dir.parent)
    stop = "Stop a service of the device plugin that has handed over"
    checked = node.role("systemd", "--check", entry_point="expect", **values)
    assert (stop in names(checked)) is is_there, checked.output
    assert is_there or checked.code == 0, checked.output
    assert not (node.run_dir / "next").exists()
