# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's side finds on a node of each flavour."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed, Request, observe
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import parse_version
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, Service, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

Make = t.Callable[..., KubeletNode]

DATA = "/srv/data"


def look(node: KubeletNode, **request: t.Any) -> Observed:
    return observe(machine_of(node), str(node.root / "proc"), Request(**request))


def test_a_running_kubelet_shows_by_its_command_line(make_node: Make) -> None:
    site = {f"{examples.CONFIG_DIR}/20-site.conf": examples.CONFIGURATION, f"{examples.CONFIG_DIR}/notes.txt": "no"}
    node = make_node(**examples.kubeadm(flags=[f"--config-dir={examples.CONFIG_DIR}"], files=site))
    node.start()
    found = look(node)
    assert (found.flavour, found.version, found.program) == ("kubeadm", "Kubernetes v1.27.4", "/usr/bin/kubelet")
    assert (found.running, found.unit, found.kubelet_dir) == (True, "kubelet.service", "/var/lib/kubelet")
    assert (found.config, found.config_dir) == (examples.CONFIG, examples.CONFIG_DIR)
    assert set(found.files) == {examples.CONFIG, f"{examples.CONFIG_DIR}/20-site.conf", "/etc/default/kubelet"}
    assert (found.extra_arguments, found.drop_ins_there) == ("/etc/default/kubelet", True)
    assert found.states == {"cpu": "none"}
    assert found.offered == {"KubeletPodResources": True, "NodeSwap": False}
    assert look(node, offered=False).offered == {}


def test_one_that_does_not_run_by_its_unit(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(flags=[f"--config-dir={examples.CONFIG_DIR}", "--root-dir=/data/kubelet"]))
    found = look(node)
    assert (found.running, found.config, found.config_dir) == (False, examples.CONFIG, examples.CONFIG_DIR)
    assert found.kubelet_dir == "/data/kubelet"
    assert "--v=2" in found.words


def test_a_unit_whose_usual_name_is_an_alias(make_node: Make) -> None:
    command = ["/usr/bin/kubelet", f"--config={examples.CONFIG}", "--root-dir=/data/kubelet"]
    services = {"site-kubelet.service": Service(command, alias="kubelet.service")}
    node = make_node(**{**examples.kubeadm(), "services": services})
    found = look(node)
    assert (found.unit, found.kubelet_dir) == ("site-kubelet.service", "/data/kubelet")


def test_a_variable_inside_a_word_of_the_unit(make_node: Make) -> None:
    argv = f"/usr/bin/kubelet --config={examples.CONFIG} --system-reserved=cpu=${{CPU}},memory=${{MEMORY}} $MORE"
    service = Service(["/usr/bin/kubelet"], argv, 'CPU=500m MEMORY=1Gi "MORE=--v=2 --max-pods=9"')
    node = make_node(**{**examples.kubeadm(), "services": {"kubelet.service": service}})
    assert look(node).words[2:] == ["--system-reserved=cpu=500m,memory=1Gi", "--v=2", "--max-pods=9"]


def test_one_with_drop_ins_alone(make_node: Make) -> None:
    settings = examples.kubeadm(files={f"{examples.CONFIG_DIR}/20-site.conf": examples.CONFIGURATION})
    command = ["/usr/bin/kubelet", f"--config-dir={examples.CONFIG_DIR}"]
    node = make_node(**{**settings, "services": {"kubelet.service": Service(command)}})
    node.start()
    found = look(node)
    assert (found.config, list(found.files)) == ("", [f"{examples.CONFIG_DIR}/20-site.conf"])


def test_one_that_does_not_run_and_has_no_unit(make_node: Make) -> None:
    node = make_node(**{**examples.kubeadm(), "services": {}})
    found = look(node)
    assert (found.unit, found.config, found.program) == ("", examples.CONFIG, "/usr/bin/kubelet")


@pytest.mark.parametrize(
    ("name", "settings", "version", "unit", "config"),
    [
        ("k3s", examples.rancher("k3s", "1.30.5"), 30, "k3s.service", "/etc/rancher/k3s/config.yaml"),
        ("rke2", examples.rancher("rke2", "1.33.4"), 33, "rke2-server.service", "/etc/rancher/rke2/config.yaml"),
        (
            "microk8s",
            examples.microk8s(),
            28,
            "snap.microk8s.daemon-kubelite.service",
            "/var/snap/microk8s/current/args/kubelet",
        ),
        ("openshift3", examples.openshift3(), 9, "atomic-openshift-node.service", "/etc/origin/node/node-config.yaml"),
    ],
)
@pytest.mark.parametrize("running", [True, False])
def test_each_flavour(
    make_node: Make, name: str, settings: dict[str, t.Any], version: int, unit: str, config: str, running: bool
) -> None:
    node = make_node(**settings)
    if running:
        node.start(unit)
    elif name == "microk8s":
        assert not node.is_active(unit)
    found = look(node, kubelet="" if running else next(iter(node.programs.values())))
    assert (found.flavour, found.unit, found.config) == (name, unit, config)
    assert parse_version(found.version).minor == version
    assert found.running == running
    assert config in found.files
    assert found.kubelet_dir == node.kubelet_dir
    assert "secret" not in str(found.as_dict())


def test_openshift_4(make_node: Make) -> None:
    files = {
        "/etc/kubernetes/kubelet.conf": examples.CONFIGURATION,
        f"{DATA}/20-auto-sizing.conf": examples.CONFIGURATION,
    }
    settings = examples.openshift4()
    command = ["/usr/bin/kubelet", "--config=/etc/kubernetes/kubelet.conf", f"--config-dir={DATA}"]
    settings = {
        **settings,
        "files": {**settings["files"], **files},
        "services": {"kubelet.service": Service(command)},
    }
    found = look(make_node(**settings))
    assert (found.flavour, found.config_dir, set(found.files)) == ("openshift4", DATA, set(files))


@pytest.mark.parametrize("name", ["k3s", "rke2"])
def test_secrets_of_the_command_line_stay_on_the_node(make_node: Make, name: str) -> None:
    program = f"/usr/local/bin/{name}"
    given = ["--kubelet-arg=max-pods=9", "--kubelet-arg", "root-dir=/data/kubelet"]
    secrets = ["--token", "secret-1", "--datastore-endpoint=mysql://user:secret-2@host", "-t=secret-3"]
    settings = examples.rancher(name, "1.30.5")
    (unit,) = settings["services"]
    settings["services"] = {unit: Service([program, "server", *secrets, *given])}
    settings["files"][f"/etc/rancher/{name}/config.yaml"] = "token: secret-4\n"
    node = make_node(**settings)
    for start in (False, True):
        if start:
            node.start(unit)
        found = look(node)
        assert (found.running, found.words) == (
            start,
            [program, "--kubelet-arg=max-pods=9", "--kubelet-arg=root-dir=/data/kubelet"],
        )
        assert found.unit_arguments == ["max-pods=9", "root-dir=/data/kubelet"]
        assert found.kubelet_dir == "/data/kubelet"
        assert "secret" not in str(found.as_dict())


@pytest.mark.parametrize(
    ("command", "files", "environment", "data"),
    [
        ([], {}, "", ""),
        ([f"--data-dir={DATA}/"], {"config.yaml": "data-dir: /other\n"}, "", DATA),
        (["-d", DATA], {}, "", DATA),
        ([], {"config.yaml": f"token: s\ndata-dir: '{DATA}' # moved\n"}, "K3S_DATA_DIR=/other", DATA),
        ([], {"config.yaml": "data-dir: /other\n", "config.yaml.d/50-disk.yml": f'"data-dir": {DATA}\n'}, "", DATA),
        ([], {"config.yaml": "kubelet-arg:\n- data-dir=/other\n# data-dir: /other\n"}, "", ""),
        ([], {}, f"K3S_DATA_DIR={DATA}", DATA),
    ],
)
def test_drop_ins_are_in_the_data_directory(
    make_node: Make, command: list[str], files: dict[str, str], environment: str, data: str
) -> None:
    directory = f"{data or '/var/lib/rancher/k3s'}/agent/etc/kubelet.conf.d"
    drop_in = {f"{directory}/00-k3s-defaults.conf": examples.CONFIGURATION}
    settings = examples.rancher("k3s", "1.32.1", files=drop_in)
    settings["files"].update({f"/etc/rancher/k3s/{path}": text for path, text in files.items()})
    settings["services"] = {"k3s.service": Service(["/usr/local/bin/k3s", "server", *command], environment=environment)}
    found = look(make_node(**settings))
    assert found.config_dir == (directory if data else "")
    assert f"{directory}/00-k3s-defaults.conf" in found.files


DOUBTFUL = "the unit's environment may set it, to what cannot be made out"


@pytest.mark.parametrize(
    ("environment", "files", "sentence"),
    [
        (
            "\nPassEnvironment=K3S_CONFIG_FILE",
            {},
            f"K3S_CONFIG_FILE: {DOUBTFUL}; set config to the file that K3s is started with",
        ),
        (
            "\nPassEnvironment=K3S_DATA_DIR",
            {},
            f"K3S_DATA_DIR: {DOUBTFUL}; set config_dir to agent/etc/kubelet.conf.d in the data directory",
        ),
        ("\nPassEnvironment=K3S_DATA_DIR", {"config.yaml": f"data-dir: {DATA}\n"}, ""),
        (
            "[unprintable] K3S_DATA_DIR=/other",
            {},
            f"K3S_CONFIG_FILE: {DOUBTFUL}; set config to the file that K3s is started with",
        ),
        (f"[unprintable] K3S_CONFIG_FILE=/etc/rancher/k3s/config.yaml K3S_DATA_DIR={DATA}", {}, ""),
    ],
)
def test_what_may_be_in_the_environment_of_k3s_is_not_guessed(
    make_node: Make, environment: str, files: dict[str, str], sentence: str
) -> None:
    drop_ins = f"{DATA}/agent/etc/kubelet.conf.d"
    settings = examples.rancher("k3s", "1.32.1")
    settings["files"].update({f"/etc/rancher/k3s/{path}": text for path, text in files.items()})
    settings["services"] = {"k3s.service": Service(["/usr/local/bin/k3s", "server"], environment=environment)}
    node = make_node(**settings)
    if sentence:
        with pytest.raises(ConfigurationError) as caught:
            look(node)
        assert caught.value.sentence() == sentence
    else:
        assert look(node).config_dir == drop_ins
    config = "/etc/rancher/k3s/config.yaml"
    assert look(node, config=config, config_dir=drop_ins).config_dir == drop_ins


def test_a_unit_by_a_part_of_its_name(make_node: Make) -> None:
    settings = examples.rancher("k3s", "1.32.1")
    command = [
        "/usr/local/bin/k3s",
        "server",
        f"--data-dir={DATA}",
        "--kubelet-arg=config-dir=/srv/more",
        "--kubelet-arg=v=2",
    ]
    settings["services"] = {"k3s.service": Service(command)}
    found = look(make_node(**settings), service="k3s")
    assert (found.unit, found.unit_arguments) == ("k3s.service", ["config-dir=/srv/more", "v=2"])
    # K3s copies what is in another directory, and its kubelet reads none but this.
    assert found.config_dir == f"{DATA}/agent/etc/kubelet.conf.d"


ELSEWHERE = "/etc/k3s/config.yaml"


@pytest.mark.parametrize(
    ("command", "environment", "request_"),
    [
        (["--config", ELSEWHERE], "", {}),
        ([f"-c={ELSEWHERE}", "-c=/other.yaml"], "", {}),
        ([], f"K3S_CONFIG_FILE={ELSEWHERE}", {}),
        (["--config=/other.yaml"], f"K3S_CONFIG_FILE={ELSEWHERE}", {}),
        (["--config=/other.yaml"], "K3S_CONFIG_FILE=/another.yaml", {"config": ELSEWHERE}),
    ],
)
def test_a_configuration_of_k3s_elsewhere(
    make_node: Make, command: list[str], environment: str, request_: dict[str, str]
) -> None:
    drop_in = f"{DATA}/agent/etc/kubelet.conf.d/00-k3s-defaults.conf"
    files = {
        ELSEWHERE: f"token: secret-1\ndata-dir: {DATA}\n",
        f"{ELSEWHERE}.d/10-site.yaml": "agent-token: secret-2\nkubelet-arg: [root-dir=/data/kubelet]\n",
        f"{ELSEWHERE}.d/99-accel-qat.yaml": "# ours\n",
        drop_in: examples.CONFIGURATION,
    }
    settings = examples.rancher("k3s", "1.32.1", files=files)
    settings["services"] = {"k3s.service": Service(["/usr/local/bin/k3s", "server", *command], environment=environment)}
    found = look(make_node(**settings), **request_)
    assert (found.config, found.config_dir, found.kubelet_dir) == (
        ELSEWHERE,
        f"{DATA}/agent/etc/kubelet.conf.d",
        "/data/kubelet",
    )
    assert found.files == {
        ELSEWHERE: "",
        f"{ELSEWHERE}.d/10-site.yaml": '{"kubelet-arg": ["root-dir=/data/kubelet"]}\n',
        f"{ELSEWHERE}.d/99-accel-qat.yaml": "# ours\n",
        drop_in: examples.CONFIGURATION,
    }
    assert "secret" not in str(found.as_dict())


K3S_FILES = "/etc/rancher/k3s/config.yaml"
MICROK8S_ARGS = "/var/snap/microk8s/current/args/kubelet"
NODE_CONFIG = "/etc/origin/node/node-config.yaml"
CANONICAL_ARGS = "/var/snap/k8s/common/args/kubelet"
CANONICAL: dict[str, t.Any] = {
    "files": {},
    "services": {"snap.k8s.kubelet.service": Service(["/snap/k8s/3315/bin/kubelet"], "/usr/bin/snap run k8s.kubelet")},
    "programs": {"kubelet": "/snap/k8s/3315/bin/kubelet"},
}


@pytest.mark.parametrize(
    ("settings", "files", "directory"),
    [
        (
            examples.rancher("k3s", "1.30.5"),
            {K3S_FILES: "kubelet-arg:\n  - 'root-dir=/data/kubelet/' # big\n"},
            "/data/kubelet",
        ),
        (
            examples.rancher("k3s", "1.32.1"),
            {K3S_FILES: "kubelet-arg: [max-pods=9, --root-dir=/data/kubelet]\n"},
            "/data/kubelet",
        ),
        (
            examples.rancher("k3s", "1.30.5"),
            {K3S_FILES: "kubelet-arg: root-dir=/a\n", f"{K3S_FILES}.d/1.yml": "kubelet-arg+:\n- root-dir=/b\n"},
            "/b",
        ),
        (
            examples.rancher("k3s", "1.30.5"),
            {K3S_FILES: "kubelet-arg: root-dir=/a\n", f"{K3S_FILES}.d/1.yaml": "kubelet-arg:\n- v=2\n"},
            "/var/lib/kubelet",
        ),
        (examples.rancher("k3s", "1.30.5"), {K3S_FILES: "kubelet-arg:\n# - root-dir=/a\n- v=2\n"}, "/var/lib/kubelet"),
        (
            examples.rancher("rke2", "1.30.5"),
            {"/etc/rancher/rke2/config.yaml": "kubelet-arg:\n- root-dir=/data\n"},
            "/data",
        ),
        (
            examples.microk8s(),
            {MICROK8S_ARGS: "--root-dir=${SNAP_COMMON}/kubelet\n"},
            "/var/snap/microk8s/common/kubelet",
        ),
        (examples.microk8s(), {MICROK8S_ARGS: '#--root-dir=/a\n--root-dir "/data"\n'}, "/data"),
        (
            examples.microk8s(),
            {MICROK8S_ARGS: "--root-dir=${ELSEWHERE}/kubelet\n"},
            "/var/snap/microk8s/common/var/lib/kubelet",
        ),
        (CANONICAL, {CANONICAL_ARGS: "--root-dir=${SNAP_COMMON}/kubelet\n"}, "/var/snap/k8s/common/kubelet"),
        (CANONICAL, {CANONICAL_ARGS: "--root-dir=$SNAP_DATA/kubelet\n"}, "/var/snap/k8s/current/kubelet"),
        (examples.openshift3(), {NODE_CONFIG: "kubeletArguments:\n  root-dir:\n  - /data/kubelet\n"}, "/data/kubelet"),
        (examples.openshift3(), {NODE_CONFIG: 'kubeletArguments:\n  root-dir: ["/data"]\n'}, "/data"),
    ],
)
def test_the_files_say_where_kubelet_has_its_state(
    make_node: Make, settings: dict[str, t.Any], files: dict[str, str], directory: str
) -> None:
    node = make_node(**{**settings, "files": {**settings["files"], **files}})
    node.write(f"{directory}/cpu_manager_state", '{"policyName": "static"}')
    found = look(node, kubelet=next(iter(node.programs.values())))
    assert (found.kubelet_dir, found.states) == (directory, {"cpu": "static"})


def test_rke2s_own_kubelet_shows_where_its_drop_ins_are(make_node: Make) -> None:
    node = make_node(**examples.rancher("rke2", "1.33.4"))
    node.start("rke2-server.service")
    kubelet = ["/srv/rke2/data/v1.33.4/bin/kubelet", "--config-dir=/srv/rke2/agent/etc/kubelet.conf.d/", "--v=2"]
    node.add_program(kubelet[0])
    node.add_process(4_000_001, kubelet)
    found = look(node, version="1.33.4")
    assert (found.flavour, found.program, found.words) == ("rke2", kubelet[0], kubelet)
    assert found.config_dir == "/srv/rke2/agent/etc/kubelet.conf.d"


@pytest.mark.parametrize(
    ("files", "cgroup"),
    [
        ([], ""),
        (["cgroup.controllers", "cgroup.procs", "system.slice/cgroup.procs"], "v2"),
        (["memory/cgroup.procs", "cpu/cgroup.procs"], "v1"),
        (["memory/cgroup.procs", "unified/cgroup.controllers", "unified/cgroup.procs"], "v1"),
    ],
    ids=["nothing", "v2", "v1", "mixed"],
)
def test_the_version_of_cgroups(make_node: Make, files: list[str], cgroup: str) -> None:
    node = make_node(**examples.kubeadm())
    for path in files:
        node.write(f"/sys/fs/cgroup/{path}", "")
    assert look(node).cgroup == cgroup


@pytest.mark.parametrize("names", [(), ("node0",), ("node0", "node1", "node10")])
def test_numa_nodes_are_counted(make_node: Make, names: tuple[str, ...]) -> None:
    node = make_node(**examples.kubeadm())
    for name in (*names, "has_cpu"):
        node.write(f"/sys/devices/system/node/{name}" + ("/cpulist" if name in names else ""), "")
    assert look(node).numa_nodes == len(names)


def test_what_the_caller_says_counts(make_node: Make) -> None:
    node = make_node(**examples.kubeadm(files={"/srv/kubelet.yaml": examples.CONFIGURATION}))
    found = look(
        node, config="/srv/kubelet.yaml", version="1.30.1", service="my-kubelet.service", record="/etc/default/kubelet"
    )
    assert (found.config, found.version, found.unit) == ("/srv/kubelet.yaml", "1.30.1", "my-kubelet.service")
    assert (found.record or "").startswith("# For people.")


def test_a_node_without_kubelet(make_node: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        look(make_node(files={}, programs={}))
    assert caught.value.sentence() == (
        "flavour: no kubelet is found on this node; install Kubernetes first, or set flavour, and kubelet to the path of the program"
    )


def test_a_flavour_that_is_not_there(make_node: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        look(make_node(files={}, programs={}), flavour="k3s")
    assert caught.value.sentence() == (
        "kubelet: no k3s is found on this node; install K3s first, or set kubelet to the path of the program"
    )


def test_a_program_that_is_not_there(make_node: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        look(make_node(**examples.kubeadm()), kubelet="/opt/kubelet")
    assert caught.value.sentence() == "kubelet: there is no /opt/kubelet; name the kubelet program of this node"


def test_a_program_that_does_not_report_its_version(make_node: Make) -> None:
    node = make_node(**examples.kubeadm())
    node.write("/usr/bin/kubelet", "#!/bin/sh\necho broken >&2\nexit 3\n")
    with pytest.raises(NodeError) as caught:
        look(node)
    assert caught.value.sentence() == "/usr/bin/kubelet: does not report its version: broken; set kubelet_version"


@pytest.mark.parametrize(
    ("said", "minor", "text"),
    [
        ("Kubernetes v1.20.2", 20, "1.20.2"),
        ("1.30", 30, "1.30"),
        ("k3s version v1.31.4+k3s1 (a1b2c3d4)\ngo version go1.22.9", 31, "1.31.4+k3s1"),
        ("openshift v3.9.0\nkubernetes v1.9.1+a0ce1bc657\netcd 3.2.16", 9, "1.9.1+a0ce1bc657"),
        ("v1.36.0-rc.1", 36, "1.36.0-rc.1"),
    ],
)
def test_versions(said: str, minor: int, text: str) -> None:
    assert parse_version(said) == (minor, text)
