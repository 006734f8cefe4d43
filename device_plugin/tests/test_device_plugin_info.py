# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module device_plugin_info, on a node of files, with kubelet's sockets and with the device plugin as a process."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from harness.node_files import NodeFiles
from harness.pod_resources import Claimed, KubeletThread, kept_claim
from harness.process import free_port, listens
from qat_device_plugin.configuration import read_rules

from ansible_collections.accel.qat.plugins.module_utils._kubelet import audit as device_plugins
from ansible_collections.accel.qat.plugins.module_utils._node.devices import rules as schema
from ansible_collections.accel.qat.plugins.module_utils._node.users import claimed, podresources, usage
from ansible_collections.accel.qat.plugins.modules import device_plugin_info

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

CY, DC, VM_CY = "qat.intel.com/cy", "qat.intel.com/dc", "qat.intel.com/vm-cy"
PF = "0000:6b:00.0"
VF0, VF1 = "0000:6b:00.1", "0000:6b:00.2"


class Node:
    """Files, kubelet's sockets, and the module."""

    def __init__(self, root: Path, output: pytest.CaptureFixture[str]) -> None:
        self.files = NodeFiles(root / "n")
        self.kubelet = KubeletThread(root)
        self._output = output

    def ask(self, **arguments: t.Any) -> t.Any:
        """What the module returns."""
        roots = {"sysfs_root": self.files.sys, "proc_root": self.files.proc, "dev_root": self.files.dev}
        given: dict[str, t.Any] = {"devices": [{}], "plugin_address": "", "kubelet_root": str(self.kubelet.root)}
        given.update({name: str(root) for name, root in roots.items()}, **arguments)
        with patch_module_args(given), pytest.raises(SystemExit) as caught:
            device_plugin_info.main()
        result = json.loads(self._output.readouterr().out)
        assert bool(caught.value.code) == bool(result.get("failed"))
        return result

    def mismatches(self, **arguments: t.Any) -> list[tuple[str, str]]:
        """Kind and sentence of each mismatch."""
        return [(one["kind"], one["problem"]) for one in self.ask(**arguments)["mismatches"]]

    def give(self, pod: str, *devices: str, resource: str = CY) -> None:
        self.kubelet.fake.pods["default", pod] = {"app": {resource: list(devices)}}


@pytest.fixture
def node(capsys: pytest.CaptureFixture[str]) -> t.Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="qdi") as directory:
        made = Node(Path(directory), capsys)
        made.files.add_pf(PF, vfs=2)
        yield made
        made.kubelet.close()


@pytest.fixture
def served(node: Node) -> Node:
    """With a kubelet that lists both VFs."""
    node.kubelet.fake.allocatable = {CY: [VF0, VF1]}
    node.kubelet.start()
    return node


def test_all_is_well(served: Node) -> None:
    served.give("web-0", VF0)
    result = served.ask()
    assert result["mismatches"] == []
    assert not result["changed"]
    assert result["kubelet"] == {"root": str(served.kubelet.root), "answers": True, "version": "v1", "problem": ""}
    assert result["pods"] == [
        {"namespace": "default", "pod": "web-0", "container": "app", "resource": CY, "device": VF0}
    ]
    assert result["promised"] == result["allocatable"] == {CY: [VF0, VF1]}
    assert result["free"] == {CY: [VF1]}
    assert (result["registered"], result["plugin"]) == (None, None)


def test_a_node_without_kubernetes(node: Node) -> None:
    result = node.ask(devices=[])
    assert result["mismatches"] == []
    assert result["kubelet"]["problem"] == f"{node.kubelet.root}/pod-resources/kubelet.sock is not there"
    assert (result["allocatable"], result["free"], result["sockets"]) == (None, {}, [])


def test_kubelet_is_down(node: Node) -> None:
    given = {"PodUID": "11-22", "ContainerName": "app", "ResourceName": CY, "DeviceIDs": {"0": [VF0]}}
    node.kubelet.checkpoint([given], registered={CY: [VF1, VF0]})
    result = node.ask()
    why = f"{node.kubelet.root}/pod-resources/kubelet.sock is not there"
    assert [one["problem"] for one in result["mismatches"]] == [f"kubelet does not say what pods have: {why}"]
    assert result["registered"] == result["allocatable"] == {CY: [VF0, VF1]}
    assert [(one["pod"], one["device"]) for one in result["pods"]] == [("11-22", VF0)]
    assert result["free"] == {CY: [VF1]}


def test_an_old_kubelet(node: Node) -> None:
    node.kubelet.fake.versions = ("v1alpha1",)
    node.kubelet.checkpoint([], registered={CY: [VF0, VF1]})
    node.give("web-0", VF0)
    node.kubelet.start()
    result = node.ask()
    assert result["mismatches"] == []
    assert (result["kubelet"]["version"], result["free"]) == ("v1alpha1", {CY: [VF1]})


# What contradicts.


def test_a_vf_that_kubelet_does_not_have(served: Node) -> None:
    served.kubelet.fake.allocatable = {CY: [VF0]}
    text = f"{VF1} should be offered as {CY}, and kubelet has no healthy device of that id"
    assert served.mismatches() == [("missing", text)]
    assert served.mismatches(devices=[{"advertise": 1}]) == []


def test_what_is_offered_and_not_configured(served: Node) -> None:
    text = f"kubelet offers {VF1} as {CY}, which the configuration does not say"
    assert served.mismatches(devices=[{"advertise": 1}]) == [("surplus", text)]


def test_resources_of_others_are_not_judged(served: Node) -> None:
    served.kubelet.fake.allocatable = {CY: [VF0, VF1], "example.com/x": ["0000:01:00.0"]}
    served.give("nic", "0000:01:00.0", resource="example.com/x")
    result = served.ask()
    assert result["mismatches"] == []
    assert result["free"]["example.com/x"] == []


@pytest.mark.parametrize(
    ("rule", "promised"),
    [
        ({}, {CY: [VF0, VF1]}),
        ({"services": ["dc"]}, {DC: [VF0, VF1]}),
        ({"advertise": 1}, {CY: [VF0]}),
        ({"attach": "vm"}, {VM_CY: [VF0, VF1]}),
        ({"attach": "vm", "services": ["dc"]}, {"qat.intel.com/vm-dc": [VF0, VF1]}),
        ({"vfs": 0}, {}),
        ({"state": "absent"}, {}),
        ({"driver": "4xxxvf"}, {}),
    ],
)
def test_what_the_rules_promise(served: Node, rule: dict[str, t.Any], promised: t.Any) -> None:
    assert served.ask(devices=[rule])["promised"] == promised


def test_vfs_are_promised_before_they_exist(served: Node) -> None:
    served.files.remove_vfs(PF)
    assert served.ask()["promised"] == {CY: [VF0, VF1]}


def test_a_pod_whose_vf_is_gone(served: Node) -> None:
    served.give("web-0", VF0)
    served.files.remove_vfs(PF)
    pod = "pod default/web-0 (container app)"
    assert served.mismatches() == [("vanished", f"{pod} has {VF0} of {CY}, which is not on this node any more")]


@pytest.mark.parametrize(("driver", "bound"), [("4xxxvf", "bound to 4xxxvf"), (None, "bound to no driver")])
def test_a_pod_whose_vf_has_another_driver(served: Node, driver: str | None, bound: str) -> None:
    served.give("web-0", VF0)
    served.files.bind(VF0, driver)
    assert served.mismatches() == [("driver", f"pod default/web-0 (container app) has {VF0} of {CY}, which is {bound}")]


LONE = "0000:06:00.0"


def test_a_vf_without_its_pf_is_what_its_rule_says(served: Node) -> None:
    served.files.add_vf(LONE)
    served.give("web-0", LONE, resource=DC)
    served.kubelet.fake.allocatable = {CY: [VF0, VF1], DC: [LONE]}
    rules = [{"select": {"address": LONE}, "services": ["dc"]}, {}]
    assert served.mismatches(devices=rules) == []


def test_a_pod_whose_vf_has_other_services(served: Node) -> None:
    served.give("web-0", VF0)
    served.files.set_services(PF, "dc")
    served.kubelet.fake.allocatable = {DC: [VF0, VF1]}
    text = f"pod default/web-0 (container app) has {VF0} of {CY}, which is {DC} by now"
    assert served.mismatches() == [("services", text)]


def test_a_pod_that_has_a_vf_by_the_other_way_of_attaching(served: Node) -> None:
    """It keeps what it has; until it ends nobody else gets that."""
    served.give("web-0", VF0)
    served.kubelet.fake.allocatable = {VM_CY: [VF1]}
    pod = "pod default/web-0 (container app)"
    text = f"{VF0} should be offered as {VM_CY}, and kubelet has no healthy device of that id, as {pod} still has it by {CY}"
    result = served.ask(devices=[{"attach": "vm"}])
    assert [(one["kind"], one["problem"]) for one in result["mismatches"]] == [("missing", text)]
    assert result["free"] == {VM_CY: [VF1]}
    served.give("web-0", VF0, resource=VM_CY)
    served.kubelet.fake.allocatable = {VM_CY: [VF0, VF1]}
    assert served.mismatches(devices=[{"attach": "vm"}]) == []


def test_a_vf_that_two_have(served: Node) -> None:
    served.give("web-0", VF0)
    served.give("web-1", VF0)
    one, other = (f"pod default/web-{number} (container app)" for number in (0, 1))
    assert served.mismatches() == [("shared", f"{VF0} is given to {one} and to {other}")]


def checkpoint(node: Node, *entries: tuple[str, str, str]) -> None:
    """Each entry gives a device to a container of a pod that lives."""
    given = [
        {"PodUID": uid, "ContainerName": container, "ResourceName": CY, "DeviceIDs": {"0": [device]}}
        for uid, container, device in entries
    ]
    node.kubelet.checkpoint(given, alive=sorted({uid for uid, _container, _device in entries}))


def test_containers_of_one_pod_are_one_owner(node: Node) -> None:
    """Kubelet gives the devices of an init container to the pod's other containers."""
    checkpoint(node, ("11-22", "init", VF0), ("11-22", "app", VF0))
    assert [kind for kind, _problem in node.mismatches()] == ["kubelet", "missing", "missing"]
    checkpoint(node, ("11-22", "init", VF0), ("11-22", "app", VF0), ("33-44", "app", VF0))
    pods = [
        f"pod with uid {pod}, by kubelet's checkpoint)" for pod in ("11-22 (container init", "33-44 (container app")
    ]
    assert node.mismatches()[-1] == ("shared", f"{VF0} is given to {pods[0]} and to {pods[1]}")


def test_containers_that_kubelet_lists_are_one_owner(served: Node) -> None:
    served.kubelet.fake.pods["default", "web-0"] = {"sidecar": {CY: [VF0]}, "app": {CY: [VF0]}}
    assert served.mismatches() == []
    served.kubelet.fake.pods["other", "web-0"] = {"app": {CY: [VF0]}}
    assert [kind for kind, _problem in served.mismatches()] == ["shared"]


def test_what_the_checkpoint_gives_is_added(served: Node) -> None:
    """A kubelet that has just started lists nothing; and init containers never."""
    checkpoint(served, ("11-22", "init", VF0))
    result = served.ask()
    assert [(one["pod"], one["container"], one["device"]) for one in result["pods"]] == [("11-22", "init", VF0)]
    assert result["free"] == {CY: [VF1]}
    assert result["mismatches"] == []
    served.give("web-0", VF0)
    assert [(one["pod"], one["container"]) for one in served.ask()["pods"]] == [("web-0", "app")]


def test_a_container_that_does_not_see_the_directory_of_pods_lists_nothing_of_a_pod_as_free(served: Node) -> None:
    """It sees the sockets and the checkpoint, by which a pod that is gone does not differ from one that lives."""
    init = {"PodUID": "11-22", "ContainerName": "init", "ResourceName": CY, "DeviceIDs": {"0": [VF0]}}
    served.kubelet.checkpoint([init])
    result = served.ask()
    assert [(one["pod"], one["container"], one["device"]) for one in result["pods"]] == [("11-22", "init", VF0)]
    assert (result["free"], result["mismatches"]) == ({CY: [VF1]}, [])


@pytest.fixture
def specifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(claimed, "CDI_DIRECTORIES", (str(tmp_path),))
    return tmp_path


@pytest.mark.usefixtures("specifications")
def test_what_a_pod_has_by_a_claim_is_not_free(served: Node) -> None:
    """No checkpoint of device plugins knows it, nor does a kubelet list it that has just started."""
    served.kubelet.keep_claims([kept_claim("11-22", "qatvf-0000-6b-00-1")])
    result = served.ask()
    assert [(one["pod"], one["resource"], one["device"]) for one in result["pods"]] == [("11-22", "qat.intel.com", VF0)]
    assert (result["free"], result["mismatches"]) == ({CY: [VF1]}, [])


def test_what_a_pod_has_by_a_claim_may_be_known_by_its_node_alone(served: Node, specifications: Path) -> None:
    vfio_node = f"/dev/vfio/{served.files.node(VF0).name}"
    (specifications / "x.json").write_text(json.dumps({"devices": [{"name": "fast-1", "path": vfio_node}]}))
    served.kubelet.fake.pods["default", "web-0"] = {"app": {}}
    served.kubelet.fake.claims["default", "web-0", "app"] = [Claimed("fast-1")]
    served.files.hold(VF0, 4711, "testpmd")
    result = served.ask()
    assert (result["free"], result["mismatches"]) == ({CY: [VF1]}, [])


@pytest.mark.usefixtures("specifications")
def test_a_claim_of_which_nothing_says_which_vf_it_is(served: Node) -> None:
    served.kubelet.keep_claims([kept_claim("11-22", "mystery"), kept_claim("11-22", "gpu-0", "gpu.example.com")])
    result = served.ask()
    assert result["free"] == {}
    why = "pod with uid 11-22 (container unknown, claim vf) has mystery by a claim, and nothing says which VF that is"
    assert [(one["kind"], one["problem"]) for one in result["mismatches"]] == [
        ("kubelet", f"{why}; so it is not known what is free")
    ]


def test_claims_that_cannot_be_read(served: Node) -> None:
    path = served.kubelet.keep_claims([])
    path.write_text("{")
    result = served.ask()
    assert result["free"] == {}
    (problem,) = (one["problem"] for one in result["mismatches"])
    assert problem.startswith(f"{path} cannot be read: ")
    assert problem.endswith("; so it is not known what is free")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\udcff"])
def test_a_checkpoint_that_cannot_be_read(served: Node, text: str) -> None:
    served.kubelet.checkpoint([]).write_bytes(text.encode("utf-8", "surrogateescape"))
    result = served.ask()
    assert result["free"] == {}
    (problem,) = (one["problem"] for one in result["mismatches"])
    assert problem.startswith("kubelet's checkpoint cannot be read: ")
    assert problem.endswith("; so it is not known what is free")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ENOMEM])
@pytest.mark.parametrize("call", ["lstat", "scandir"])
def test_sockets_that_cannot_be_seen(served: Node, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    (served.kubelet.root / "device-plugins").mkdir(exist_ok=True)
    (served.kubelet.root / "device-plugins/DEPRECATION").touch()

    def refuse(path: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, call, refuse)
    result = served.ask()
    assert "cannot be read: " + os.strerror(code) in result["msg"]


def test_a_process_that_has_what_pods_may_get(served: Node) -> None:
    group = served.files.node(VF0).name
    named_alike = served.files.root / "vfio" / group
    named_alike.parent.mkdir()
    named_alike.touch()
    served.files.hold(VF0, 4711, "testpmd")
    link = served.files.proc / "4711/fd/7"
    link.unlink()
    link.symlink_to(named_alike)
    assert served.mismatches() == []
    link.unlink()
    link.symlink_to("/dev/null")
    text = f"testpmd (pid 4711) has {VF0} open, which kubelet may give to a pod as {CY} at any time"
    assert served.mismatches() == [("taken", text)]
    served.give("web-0", VF0)
    assert served.mismatches() == []


def test_a_process_that_nobody_sees_has_what_pods_may_get(served: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_LOOKS", 0)
    served.files.hold(VF0, 4711, "testpmd")
    (served.files.proc / "4711/fd/7").unlink()
    assert served.mismatches() == []
    (served.files.devices / VF0 / "enable").write_text("1\n")
    ((kind, problem),) = served.mismatches()
    assert kind == "taken"
    assert problem.startswith("a process that cannot be seen (look for vfio ")
    assert problem.endswith(f") has {VF0} open, which kubelet may give to a pod as {CY} at any time")
    served.give("web-0", VF0)
    assert served.mismatches() == []


def test_sockets(served: Node) -> None:
    plugins = served.kubelet.root / "device-plugins"
    plugins.mkdir()
    (plugins / "DEPRECATION").touch()
    with (
        socket.socket(socket.AF_UNIX) as alive,
        socket.socket(socket.AF_UNIX) as dead,
        socket.socket(socket.AF_UNIX) as own,
    ):
        for one, name in ((alive, "kubelet.sock"), (dead, "other.sock"), (own, "accel-qat-cy-1-ab.sock")):
            one.bind(str(plugins / name))
        alive.listen(0)
        result = served.ask()
    found = {os.path.basename(one["path"]): (one["listening"], one["resource"]) for one in result["sockets"]}
    dead_too = (False, "")
    assert found == {"kubelet.sock": (True, ""), "other.sock": dead_too, "accel-qat-cy-1-ab.sock": dead_too}
    path = plugins / "accel-qat-cy-1-ab.sock"
    assert [one["problem"] for one in result["mismatches"]] == [
        f"nobody listens on {path}, which a device plugin has left"
    ]


def test_a_kubelet_with_another_root_directory(served: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in k0s: device plugins and the checkpoint stay below the usual one."""
    usual = served.kubelet.root / "usual"
    plugins = usual / "device-plugins"
    plugins.mkdir(parents=True)
    for module in (device_plugins, podresources):
        monkeypatch.setattr(module, "KUBELET_ROOT", str(usual))
    roots = (str(tmp_path / "microk8s"), str(usual), str(served.kubelet.root))
    monkeypatch.setattr(device_plugin_info, "KUBELET_ROOTS", roots)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plugins / "kubelet.sock"))
        listener.listen(0)
        result = served.ask(kubelet_root=None)
    assert (result["kubelet"]["root"], result["kubelet"]["answers"]) == (str(served.kubelet.root), True)
    assert [(one["path"], one["listening"]) for one in result["sockets"]] == [(str(plugins / "kubelet.sock"), True)]
    # One that does not run, and has left nothing but a directory for device plugins.
    served.kubelet.stop()
    (served.kubelet.root / "pod-resources/kubelet.sock").unlink(missing_ok=True)
    assert served.ask(kubelet_root=None)["kubelet"]["root"] == str(usual)


# The device plugin.


def test_a_plugin_that_is_not_there(served: Node) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert served.mismatches(plugin_address=address) == [("plugin", "the device plugin does not answer over HTTP")]
    assert served.mismatches(plugin_address=address, devices=[{"state": "absent"}])[0][0] == "surplus"


@pytest.mark.parametrize("way", ["socket", "watcher"])
def test_the_plugin_itself(run: t.Callable[[Scenario], None], capsys: pytest.CaptureFixture[str], way: str) -> None:
    async def scenario(bench: Bench) -> None:
        root = bench.files.root / "r"
        root.mkdir()
        node = Node(root, capsys)
        node.kubelet.fake.allocatable = {CY: [VF0, VF1]}
        node.kubelet.start()
        try:
            await with_plugin(bench, node)
        finally:
            node.kubelet.close()

    async def with_plugin(bench: Bench, node: Node) -> None:
        node.files.add_pf(PF, vfs=2)
        bench.files, bench.kubelet_dir = node.files, node.kubelet.root / "device-plugins"
        bench.kubelet.directory = bench.kubelet_dir
        port = free_port()
        watch = asyncio.ensure_future(bench.kubelet.watch_registry(node.kubelet.root / "plugins_registry"))
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}", f"--registration={way}")
        arguments = {"plugin_address": f"127.0.0.1:{port}"}
        if way == "socket":
            await bench.kubelet.until(lambda: listens(port))
            found = await asyncio.to_thread(lambda: node.mismatches(**arguments))
            assert ("plugin", f"the device plugin is not ready: {CY} is not registered") in found
            assert ("plugin", f"the device plugin has not registered {CY} with kubelet") in found
            await bench.kubelet.start()
        (node.kubelet.root / "plugins_registry").mkdir(exist_ok=True)
        await bench.ready(CY, 2)
        await bench.kubelet.until(plugin.is_ready)
        result = await asyncio.to_thread(lambda: node.ask(**arguments))
        watch.cancel()
        assert result["mismatches"] == []
        assert result["plugin"] == {
            "answers": True,
            "ready": True,
            "problems": [],
            "registered": {CY: True},
            "unhealthy": {},
        }
        assert [one["resource"] for one in result["sockets"] if "accel-qat" in one["path"]] == [
            CY if way == "watcher" else ""
        ]

    run(scenario)


# Bad input.


def test_a_malformed_rule(node: Node) -> None:
    assert node.ask(devices=[{"vfs": "many"}])["msg"] == 'devices[0].vfs: "many" is not an integer; correct it'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe{}", "is not UTF-8 text; correct the file"),
        (None, "cannot be read: Is a directory; see that it is a file"),
        (b"[" * 100_000, "is nested too deeply; correct the file"),
        (b'{"devices": ' * 100_000, "is nested too deeply; correct the file"),
        (b"", "not valid JSON: Expecting value: line 1 column 1 (char 0); correct the file"),
    ],
    ids=["bytes", "a directory", "lists without end", "objects without end", "empty"],
)
def test_a_configuration_that_cannot_be_read_is_one_sentence_for_all(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "node.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    monkeypatch.setattr(device_plugin_info, "NODE_JSON", str(path))
    failed = node.ask(devices=None)
    assert (failed["msg"], failed["failure"]["kind"]) == (f"{path}: {problem}", "configuration")
    for reads in (lambda: schema.read_rules(str(path), ""), lambda: read_rules(path)):
        with pytest.raises(Exception, match=re.escape(f"{path}: {problem}")):
            reads()


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EACCES, "run as root (become: true)"),
        (errno.EIO, "see that it is a file"),
        (
            errno.EMFILE,
            "let this process, or this machine, have more open files (ulimit -n, fs.file-max), and try again",
        ),
        (errno.ENOTDIR, "see that it is a file"),
    ],
)
def test_a_configuration_that_cannot_be_seen_is_not_absent(
    node: Node, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    path = str(node.files.config)
    monkeypatch.setattr(device_plugin_info, "NODE_JSON", path)

    def refuse(_path: str, *_others: t.Any) -> t.NoReturn:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(schema, "read_whole", refuse)
    failed = node.ask(devices=None)
    assert failed["msg"] == f"{path}: cannot be read: {os.strerror(code)}; {remedy}"


@pytest.mark.parametrize(("text", "problem"), [("{", "not valid JSON"), ("{}", "devices: the key is missing")])
def test_the_configuration_of_the_node(node: Node, monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    monkeypatch.setattr(device_plugin_info, "NODE_JSON", str(node.files.config))
    assert node.ask(devices=None)["promised"] == {CY: [VF0, VF1]}
    node.files.config.write_text(text)
    assert problem in node.ask(devices=None)["msg"]
    node.files.config.unlink()
    assert node.ask(devices=None)["promised"] == {}


@pytest.mark.parametrize("content", [b'{"devices": [\xff]}', None])
def test_a_configuration_that_cannot_be_read(
    node: Node, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """Wrong bytes, or a directory in its place."""
    monkeypatch.setattr(device_plugin_info, "NODE_JSON", str(node.files.config))
    node.files.config.unlink()
    if content is None:
        node.files.config.mkdir()
    else:
        node.files.config.write_bytes(content)
    result = node.ask(devices=None)
    assert result["failure"]["kind"] == "configuration"
    assert result["failure"]["where"] == str(node.files.config)
