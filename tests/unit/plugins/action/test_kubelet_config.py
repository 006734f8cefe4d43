# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubelet_config, by ansible-playbook, on nodes that are directories: their files, a kubelet, a systemctl."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply_options import APPLY
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import CONFIG, ONLY_READ, READ
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS
from ansible_collections.accel.qat.plugins.modules import kubelet_apply, kubelet_config, kubelet_read
from ansible_collections.accel.qat.tests.fakes.kubelet_node import examples
from ansible_collections.accel.qat.tests.unit.plugins.action.making import RECORD, TOPOLOGY, Make
from ansible_collections.accel.qat.tests.unit.plugins.modules.test_documentation import documented

CONFIG_PATH = examples.CONFIG


@pytest.mark.core
def test_check_do_and_again_and_back(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    untouched = node.state()
    wanted = {"configuration": {**TOPOLOGY, "kubeReserved": {"cpu": 1}}, "timeout": 120}
    (checked,) = controller.config({**wanted, "_check_mode": True})
    assert (checked.changed, node.state(), node.asked()) == (True, untouched, ["restart kubelet.service"])
    done = controller.quartet(**wanted)
    added = 'topologyManagerPolicy: restricted\nkubeReserved:\n  cpu: "1"\n'
    assert sorted((node.read(CONFIG_PATH) or "").splitlines()) == sorted((examples.CONFIGURATION + added).splitlines())
    assert (done.result["files"], done.result["proven"], done.result["restarted"]) == ([CONFIG_PATH], True, True)
    assert [entry["verdict"] for entry in done.result["gates"]] == ["leave out", "leave out"]
    (shown,) = done.result["diff"]
    assert (shown["before_header"], shown["before"], shown["after"]) == (
        CONFIG_PATH,
        examples.CONFIGURATION,
        node.read(CONFIG_PATH),
    )
    assert node.asked() == ["restart kubelet.service", "stop kubelet.service", "start kubelet.service"]
    back = controller.quartet(state="found", timeout=120)
    assert back.result["restarted"]
    assert node.state() == untouched


def test_the_gate_by_the_kubelets_version(make: Make) -> None:
    old = {"version": "1.9.11", "gates": {"DevicePlugins": (False, False)}}
    node, controller = make(**examples.kubeadm(), **old)
    socket = node.root / "var/lib/kubelet/device-plugins/kubelet.sock"
    assert not socket.exists()
    done = controller.quartet(timeout=120)
    assert socket.exists()
    assert [(entry["gate"], entry["verdict"]) for entry in done.result["gates"]] == [
        ("DevicePlugins", "set"),
        ("KubeletPodResources", "leave out"),
    ]
    # The same node, upgraded past the gate: this kubelet does not start with what the file says.
    node.version, node.gates = "1.28.1", {}
    node.settle()
    node.systemctl("restart", "kubelet.service")
    done = controller.quartet(timeout=120)
    assert done.result["gates"][0]["verdict"] == "remove"
    assert node.read(CONFIG_PATH) == examples.CONFIGURATION
    assert node.is_active()


def test_a_gate_that_the_kubelet_lists_itself(make: Make) -> None:
    _node, controller = make(start=False, **examples.kubeadm())
    (done,) = controller.config({"configuration": {"featureGates": {"NodeSwap": True}}, "restart": False})
    assert (done.result["gates"][0]["gate"], done.result["gates"][0]["verdict"]) == ("NodeSwap", "set")


def test_a_drop_in_where_kubelet_reads_them(make: Make) -> None:
    flags = [f"--config-dir={examples.CONFIG_DIR}"]
    site = {f"{examples.CONFIG_DIR}/10-site.conf": examples.CONFIGURATION}
    node, controller = make(**examples.kubeadm(flags=flags, files=site))
    done = controller.quartet(configuration=TOPOLOGY, timeout=120)
    assert done.result["files"] == [f"{examples.CONFIG_DIR}/99-accel-qat.conf"]
    assert done.result["proven"]
    assert node.read(CONFIG_PATH) == examples.CONFIGURATION


OURS = f"{examples.CONFIG_DIR}/99-accel-qat.conf"
DEFAULTS = "/etc/default/kubelet"


def test_a_drop_in_whose_directory_kubelet_has_to_be_given(make: Make) -> None:
    node, controller = make(**examples.kubeadm(flags=["--v=2"]), version="1.31.4", gates={})
    untouched = node.state()
    wanted = {"configuration": TOPOLOGY, "timeout": 120}
    (checked,) = controller.config({**wanted, "_check_mode": True})
    assert (checked.changed, node.state()) == (True, untouched)
    done = controller.quartet(**wanted)
    assert (done.result["files"], done.result["drop_in"]) == ([OURS, DEFAULTS], OURS)
    assert (done.result["proven"], done.result["restarted"]) == (True, True)
    assert not any("--config-dir" in warning for warning in done.result["warnings"])
    assert [shown["before_header"] for shown in done.result["diff"]] == [OURS, DEFAULTS]
    given = f'KUBELET_EXTRA_ARGS="--v=2 --config-dir={examples.CONFIG_DIR}"\n'
    assert (node.read(CONFIG_PATH), node.read(DEFAULTS)) == (examples.CONFIGURATION, f"# For people.\n{given}")
    assert node.asked() == ["restart kubelet.service", "stop kubelet.service", "start kubelet.service"]
    # kubeadm has upgraded the node.
    node.write(CONFIG_PATH, examples.CONFIGURATION + "maxPods: 99\n")
    node.version = "1.32.0"
    node.settle()
    node.systemctl("restart", "kubelet.service")
    older = {**wanted, "kubelet_version": "1.29.4", "_check_mode": True}
    again, before_downgrade, back = controller.config(wanted, older, {"state": "found", "timeout": 120})
    assert (again.changed, again.result["drop_in"]) == (False, OURS)
    assert before_downgrade.result["files"] == [CONFIG_PATH, DEFAULTS, OURS]
    assert back.changed
    node.write(CONFIG_PATH, examples.CONFIGURATION)
    assert (node.state(), (node.root / examples.CONFIG_DIR.lstrip("/")).exists()) == (untouched, False)


def test_what_is_in_the_file_moves_with_one_restart(make: Make) -> None:
    node, controller = make(**examples.kubeadm(), version="1.31.4", gates={})
    untouched = node.state()
    wanted = {"configuration": TOPOLOGY, "timeout": 120}
    (in_file,) = controller.config({**wanted, "drop_in": "never"})
    assert (in_file.result["files"], in_file.result["drop_in"]) == ([CONFIG_PATH], "")
    asked = len(node.asked())
    moved = controller.quartet(**wanted)
    assert moved.result["files"] == [OURS, DEFAULTS, CONFIG_PATH]
    assert node.asked()[asked:] == ["stop kubelet.service", "start kubelet.service"]
    assert node.read(CONFIG_PATH) == examples.CONFIGURATION
    (back,) = controller.config({"state": "found", "timeout": 120})
    assert back.changed
    assert node.state() == untouched


def test_a_unit_that_cannot_give_it_to_kubelet_has_them_in_the_file_and_a_warning(make: Make) -> None:
    settings = examples.kubeadm()
    settings["services"]["kubelet.service"].argv = "/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS"
    node, controller = make(**settings, version="1.31.4", gates={})
    wanted = {"configuration": TOPOLOGY, "timeout": 120}
    refused, done, again = controller.config({**wanted, "drop_in": "always"}, wanted, wanted)
    why = "kubelet.service does not give kubelet $KUBELET_EXTRA_ARGS"
    assert refused.message == (
        f"drop_in: kubelet cannot be given --config-dir={examples.CONFIG_DIR}: {why}; start kubelet with "
        f"--config-dir={examples.CONFIG_DIR}, or leave drop_in out to have the fields in {CONFIG_PATH}; nothing was written"
    )
    assert (done.result["files"], again.changed, again.result.get("warnings")) == ([CONFIG_PATH], False, None)
    assert done.result["warnings"][0].endswith(f"since kubelet cannot be given --config-dir: {why}.")
    assert "topologyManagerPolicy: restricted" in (node.read(CONFIG_PATH) or "")


@pytest.mark.parametrize(
    ("version", "more", "flags"),
    [
        ("1.27.4", "enforceNodeAllocatable: [pods, kube-reserved]\n", ["--kube-reserved-cgroup", "/kubelet.slice"]),
        ("1.25.3", "", ["--container-runtime-endpoint=unix:///run/containerd/containerd.sock"]),
    ],
)
def test_kubelet_is_asked_with_its_flags_too(make: Make, version: str, more: str, flags: list[str]) -> None:
    node, controller = make(**examples.kubeadm(examples.CONFIGURATION + more, flags), version=version)
    (done,) = controller.config({"configuration": TOPOLOGY, "timeout": 120})
    assert done.outcome == "ok", done.message
    assert (done.result["proven"], node.is_active()) == (True, True)


@pytest.mark.parametrize("given", [True, False])
def test_a_drop_in_where_k3s_has_its_data(make: Make, given: bool) -> None:
    directory = "/srv/k3s/agent/etc/kubelet.conf.d"
    files = {f"{directory}/00-k3s-defaults.conf": examples.CONFIGURATION}
    settings = examples.rancher("k3s", "1.33.4", files=files)
    settings["files"]["/etc/rancher/k3s/config.yaml"] = "token: secret\n" if given else "data-dir: /srv/k3s\n"
    node, controller = make(**settings)
    done = controller.quartet(configuration=TOPOLOGY, timeout=120, **({"config_dir": directory} if given else {}))
    assert done.result["files"] == [f"{directory}/99-accel-qat.conf"]
    (back,) = controller.config({"state": "found", "timeout": 120, **({"config_dir": directory} if given else {})})
    assert back.changed
    assert node.read(f"{directory}/99-accel-qat.conf") is None


def test_a_drop_in_that_k3s_would_not_read(make: Make) -> None:
    settings = examples.rancher("k3s", "1.33.4")
    del settings["files"]["/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf"]
    node, controller = make(**settings)
    untouched = node.state()
    wanted = {"configuration": TOPOLOGY, "_check_mode": True}
    refused, upgraded = controller.config({**wanted}, {**wanted, "kubelet_version": "1.33.4"})
    assert "the K3s that runs has no 00-k3s-defaults.conf here" in refused.message
    assert (upgraded.changed, node.state()) == (True, untouched)


@pytest.mark.parametrize(
    ("settings", "path", "content"),
    [
        (
            examples.rancher("k3s", "1.30.5"),
            "/etc/rancher/k3s/config.yaml.d/99-accel-qat.yaml",
            "# Managed by accel.qat.kubelet_config\nkubelet-arg+:\n- topology-manager-policy=restricted\n",
        ),
        (
            examples.rancher("rke2", "1.33.4"),
            "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/99-accel-qat.conf",
            (
                "# Managed by accel.qat.kubelet_config\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
                "topologyManagerPolicy: restricted\n"
            ),
        ),
        (
            examples.microk8s(),
            "/var/snap/microk8s/current/args/kubelet",
            "--cluster-domain=cluster.local\n--topology-manager-policy=restricted\n",
        ),
        (
            examples.kubeadm(flags=["--root-dir=/data/kubelet"]),
            CONFIG_PATH,
            f"{examples.CONFIGURATION}topologyManagerPolicy: restricted\n",
        ),
    ],
    ids=["k3s", "rke2", "microk8s", "root-dir"],
)
def test_other_flavours(make: Make, settings: dict[str, t.Any], path: str, content: str) -> None:
    node, controller = make(**settings)
    untouched = node.state()
    done = controller.quartet(configuration=TOPOLOGY, timeout=120)
    assert (done.result["files"], node.read(path)) == ([path], content)
    assert done.result["restarted"]
    assert "secret" not in json.dumps(done.result)
    (back,) = controller.config({"state": "found", "timeout": 120})
    assert back.changed
    assert node.state() == untouched


def test_openshift_3_gets_its_gate(make: Make) -> None:
    """Its kubelet has its state elsewhere, and its socket where every kubelet has it."""
    path = "/etc/origin/node/node-config.yaml"
    node, controller = make(**examples.openshift3())
    untouched = node.state()
    done = controller.quartet(timeout=120)
    assert done.result["restarted"]
    assert (node.read(path) or "").endswith("  feature-gates:\n  - DevicePlugins=true\n")
    (back,) = controller.config({"state": "found", "timeout": 120})
    assert back.changed
    assert node.state() == untouched


def test_openshift_4_is_left_to_its_operator(make: Make) -> None:
    node, controller = make(start=False, **examples.openshift4())
    untouched = node.state()
    (done,) = controller.config({"configuration": TOPOLOGY, "machine_config_pool": "qat"})
    assert not done.changed
    assert done.result["manifest"]["metadata"] == {"name": "accel-qat-qat"}
    assert done.result["manifest"]["spec"]["kubeletConfig"] == TOPOLOGY
    assert node.state() == untouched


def test_k0s_is_refused_with_what_it_is_to_be_given(make: Make) -> None:
    node, controller = make(start=False, **examples.k0s())
    untouched = node.state()
    (refused,) = controller.config({"configuration": TOPOLOGY, "kubelet": examples.K0S_KUBELET})
    assert (refused.outcome, refused.changed, refused.result["failure"]["kind"]) == ("ignored", False, "refused")
    assert refused.message.startswith(f"{examples.K0S_CONFIG}: k0s writes this file again at each start")
    (profile,) = refused.result["manifest"]["spec"]["workerProfiles"]
    assert profile == {"name": "qat", "values": TOPOLOGY}
    assert node.state() == untouched


def test_the_state_file_trap(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    static = {"configuration": {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}, "timeout": 120}
    (refused,) = controller.config(static)
    assert refused.outcome == "ignored"
    assert refused.message.startswith("/var/lib/kubelet/cpu_manager_state: the change makes kubelet give up")
    assert refused.message.endswith("drain the node and set drained to true")
    done = controller.quartet(**static, drained=True)
    assert done.result["state_files"] == ["/var/lib/kubelet/cpu_manager_state"]
    assert node.asked()[1:] == ["stop kubelet.service", "start kubelet.service"]
    assert '"static"' in (node.read("/var/lib/kubelet/cpu_manager_state") or "")


def test_the_state_file_trap_of_k3s_in_another_directory(make: Make) -> None:
    settings = {**examples.rancher("k3s", "1.30.5"), "kubelet_dir": "/data/kubelet"}
    settings["files"]["/etc/rancher/k3s/config.yaml"] = "kubelet-arg:\n- root-dir=/data/kubelet\n"
    node, controller = make(**settings)
    untouched = node.state()
    (refused,) = controller.config({"configuration": {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}})
    assert refused.message.startswith("/data/kubelet/cpu_manager_state: the change makes kubelet give up")
    assert node.state() == untouched


def test_without_a_restart_a_state_file_does_not_stay_behind(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    untouched = node.state()
    static = {"configuration": {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}, "drained": True}
    for task in controller.config({**static, "restart": False, "_check_mode": True}, {**static, "restart": False}):
        assert task.result["failure"]["kind"] == "refused"
        assert task.message.startswith("/var/lib/kubelet/cpu_manager_state: kubelet would not start with this file")
    assert node.state() == untouched
    # As the message says.
    node.systemctl("stop", "kubelet.service")
    node.remove("/var/lib/kubelet/cpu_manager_state")
    (done,) = controller.config({**static, "restart": False})
    assert (done.changed, done.result["state_files"]) == (True, [])
    node.start()
    assert '"static"' in (node.read("/var/lib/kubelet/cpu_manager_state") or "")


@pytest.mark.core
def test_bad_input_is_reported_in_one_sentence_and_nothing_is_written(make: Make) -> None:
    node, controller = make(**examples.kubeadm(files={"/srv/broken.yaml": "kind: [a\nb: 1\n"}))
    untouched = node.state()
    gates = "configuration.featureGates"
    cases: list[tuple[dict[str, t.Any], str]] = [
        (
            {"configuration": {"featureGates": {"Bogus": True}}},
            (
                f"{gates}.Bogus: kubelet 1.27 is not known to have a gate Bogus, and with it would not start; leave it out; nothing was "
                "written"
            ),
        ),
        (
            {"configuration": {"featureGates": {"DevicePlugins": False}}},
            (
                f"{gates}.DevicePlugins: kubelet 1.27 has DevicePlugins locked to true, and would not start; leave it out; nothing was "
                "written"
            ),
        ),
        (
            {"configuration": {"featureGates": {"NodeSwap": "sometimes"}}},
            f"{gates}.NodeSwap: 'sometimes' is neither true nor false; write true or false",
        ),
        (
            {"config": "/srv/broken.yaml"},
            "/srv/broken.yaml:2: the YAML is malformed: expected ',' or ']', but got ':'; repair it",
        ),
        (
            {"config": "/srv/none.yaml"},
            (
                "/srv/none.yaml: kubelet has no such configuration file; let the node join its cluster first, or set config to the file "
                "that kubelet is started with (--config)"
            ),
        ),
        (
            {"flavour": "k3s"},
            "kubelet: no k3s is found on this node; install K3s first, or set kubelet to the path of the program",
        ),
        (
            {"kubelet_version": "new"},
            "kubelet_version: no Kubernetes version is in 'new'; write one such as 1.31.4, or set kubelet_version",
        ),
    ]
    tasks = controller.config(
        *[{**arguments, "_check_mode": check} for arguments, _message in cases for check in (True, False)]
    )
    assert [task.message for task in tasks] == [message for _arguments, message in cases for _check in (True, False)]
    assert all(task.outcome == "ignored" and not task.changed and task.result["failure"] for task in tasks)
    assert node.state() == untouched
    assert node.asked() == ["restart kubelet.service"]


def test_arguments_that_ansible_refuses(make: Make) -> None:
    _node, controller = make(start=False, **examples.kubeadm())
    tasks = controller.config(
        {"flavour": "minikube"},
        {"configuration": {"topologyManagerPolicy": "strict"}},
        {"configuration": {"maxPods": 9}},
        {"configuration": {"kubeReserved": "cpu=1;"}},
        {"timeout": "soon"},
    )
    for task, word in zip(tasks, ("flavour", "topologyManagerPolicy", "maxPods", "kubeReserved", "timeout")):
        assert task.outcome == "ignored"
        assert word in task.message


def test_a_time_that_nothing_can_be_given(make: Make) -> None:
    """With 0 a kubelet that is about to come would be given up, with nan one that does not come be waited for without end."""
    node, controller = make(start=False, **examples.kubeadm())
    for task, seconds in zip(
        controller.config({"timeout": "nan"}, {"timeout": 0}, {"timeout": -1}), ("nan", "0", "-1")
    ):
        assert task.message == f"timeout: {seconds} seconds are no time limit; use 0.1 to 3600"
    assert node.read(examples.CONFIG) == examples.CONFIGURATION


def test_a_node_without_kubelet(make: Make) -> None:
    _node, controller = make(start=False, files={}, programs={})
    failed, skipped, back = controller.config({}, {"when_missing": "skip"}, {"state": "found"})
    assert failed.message.startswith("flavour: no kubelet is found on this node; install Kubernetes first")
    for task in (skipped, back):
        assert (task.outcome, task.changed, task.result["flavour"]) == ("ok", False, "none")


def test_kubelet_itself_refuses_in_check_mode_too(make: Make) -> None:
    listed = {"version": "1.27.4", "gates": {}}
    node, controller = make(**examples.kubeadm(), **listed)
    # The table knows the gate, but this build of kubelet does not.
    gate = {"configuration": {"featureGates": {"KubeletPodResourcesGet": True}}}
    for task in controller.config({**gate, "_check_mode": True}, gate):
        assert task.message == (
            f"{CONFIG_PATH}: kubelet would not start: unrecognized feature gate: KubeletPodResourcesGet; correct the configuration; "
            "nothing was written"
        )
    assert node.read(CONFIG_PATH) == examples.CONFIGURATION


def test_what_kubelet_does_not_come_back_with_is_put_back(make: Make) -> None:
    node, controller = make(**examples.kubeadm(), fails_with=("restricted", "no NUMA information on this machine"))
    untouched = node.state()
    (task,) = controller.config({"configuration": TOPOLOGY, "timeout": 3})
    assert (task.result["failure"]["kind"], task.changed) == ("apply", False)
    assert task.message.endswith(
        "no NUMA information on this machine; the configuration is as it was and kubelet runs again; correct what was wanted"
    )
    assert (node.state(), node.is_active()) == (untouched, True)


def test_a_kubelet_that_is_left_stopped_is_a_change(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    # From now on it starts with no configuration at all.
    node.fails_with = ("featureGates", "no space left on device")
    node.settle()
    (task,) = controller.config({"configuration": TOPOLOGY, "timeout": 3})
    assert "and with the configuration that was there before: kubelet does not come back" in task.message
    assert (task.outcome, task.changed, node.is_active()) == ("ignored", True, False)


def test_a_restart_that_was_left_out_is_made_later(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    wanted = {"configuration": TOPOLOGY, "timeout": 120}
    done, again = controller.config({**wanted, "restart": False}, {**wanted, "restart": False})
    assert [(task.changed, task.result["restart_pending"]) for task in (done, again)] == [(True, True), (False, True)]
    # As whoever stops it, or a run that was killed, leaves it.
    node.systemctl("stop", "kubelet.service")
    checked, restarted, once_more = controller.config({**wanted, "_check_mode": True}, wanted, wanted)
    assert [task.changed for task in (checked, restarted, once_more)] == [True, True, False]
    assert (restarted.result["files"], restarted.result["restarted"], node.is_active()) == ([], True, True)
    node.systemctl("stop", "kubelet.service")
    (stopped,) = controller.config(wanted)
    assert (stopped.changed, node.is_active()) == (False, False)  # not by us


def test_a_run_that_was_killed_is_ended_by_the_next(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    untouched = node.state()
    systemctl = node.root / "usr/bin/systemctl"
    works = systemctl.read_text()
    # What starts kubelet ends the module instead.
    systemctl.write_text(works.replace("exec ", 'case " $*" in *" start "*) kill -9 $PPID; exit 1;; esac\nexec ', 1))
    wanted = {
        "configuration": {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"},
        "drained": True,
        "timeout": 120,
    }
    (task,) = controller.config(wanted)
    assert (task.outcome, node.is_active()) == ("ignored", False)
    systemctl.write_text(works)
    assert node.read("/var/lib/kubelet/cpu_manager_state") is None
    without, checked, done, again, back = controller.config(
        {**wanted, "restart": False},
        {**wanted, "_check_mode": True},
        wanted,
        wanted,
        {"state": "found", "drained": True, "timeout": 120},
    )
    assert without.message.startswith(
        f"kubelet.service: an earlier run was cut off while it changed {CONFIG_PATH}, and may have"
    )
    assert [(one.changed, one.result["resumed"]) for one in (checked, done, again)] == [
        (True, True),
        (True, True),
        (False, False),
    ]
    assert "An earlier run was cut off" in checked.result["warnings"][0]
    assert done.result["state_files"] == ["/var/lib/kubelet/cpu_manager_state"]
    assert (back.changed, node.state(), node.is_active()) == (True, untouched, True)


def test_a_copy_of_what_was_there(make: Make) -> None:
    node, controller = make(**examples.kubeadm())
    (task,) = controller.config({"configuration": TOPOLOGY, "backup": True, "restart": False})
    ((path, copy),) = task.result["backups"].items()
    assert path == CONFIG_PATH
    assert Path(copy).read_text() == examples.CONFIGURATION
    assert Path(copy).parent == (node.root / CONFIG_PATH.lstrip("/")).parent


@pytest.mark.parametrize(
    ("module", "spec"),
    [(kubelet_config, {**READ, **CONFIG}), (kubelet_read, {**READ, **ONLY_READ}), (kubelet_apply, APPLY)],
    ids=["kubelet_config", "kubelet_read", "kubelet_apply"],
)
def test_options_are_documented(module: t.Any, spec: dict[str, t.Any]) -> None:
    own = yaml.safe_load(module.DOCUMENTATION)
    fragment = yaml.safe_load(
        (Path(kubelet_config.__file__).parents[1] / "doc_fragments/kubelet.py")
        .read_text()
        .split('r"""')[1]
        .split('"""')[0]
    )
    options = {
        **(fragment["options"] if "accel.qat.kubelet" in own["extends_documentation_fragment"] else {}),
        **own["options"],
    }
    assert "accel.qat.roots" in own["extends_documentation_fragment"]
    assert {name: documented(option) for name, option in options.items()} == {
        name: option for name, option in spec.items() if name not in ROOTS
    }


def test_results_are_documented(make: Make) -> None:
    node, controller = make(start=False, **examples.kubeadm())
    (done,) = controller.config({"configuration": TOPOLOGY, "restart": False})
    returned = {name for name, entry in yaml.safe_load(kubelet_config.RETURN).items() if entry["returned"] == "success"}
    assert returned <= set(done.result)
    run = controller.play([{"name": "read", "accel.qat.kubelet_read": controller.roots()}])
    contains = yaml.safe_load(kubelet_read.RETURN)["observed"]["contains"]
    assert set(run.tasks[0].result["observed"]) == set(contains)
    assert run.tasks[0].result["observed"]["record"] == node.read(RECORD)
