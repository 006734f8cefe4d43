# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node Feature Discovery itself reads what the device plugin writes, and what the rule for it says of each kind of node."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.kubelet import FakeKubelet
from harness.node_files import NodeFiles
from harness.pod_resources import FakePodResources
from harness.process import Plugin
from qat_device_plugin.labels import NAMESPACE, feature_file
from qat_device_plugin.nfd import FILE

from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILIES, INTEL, Family
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import NFD_FEATURES
from ansible_collections.accel.qat.tools.artifacts.go_programs import program
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

RULE = CHECKOUT / "deploy/nfd/nodefeaturerule.yml"
SECONDS = 600
PF = "0000:6b:00.0"
OF_NFD = "feature.node.kubernetes.io/pci-0b40_8086.present"
"""What NFD writes by itself of every co-processor of Intel."""

each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


class ApiServer:
    """An API server that has no NodeFeature and keeps the one that it is given."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(
                    404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                )

            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.given.append(document)
                self._answer(201, document)

            def _answer(self, status: int, document: Mapping[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.close()


class Node:
    """A node as NFD's worker sees one: a directory that is its root, so that it reads where it always does."""

    def __init__(self, root: Path, api: ApiServer) -> None:
        self.root = root
        self._api = api
        shutil.copy(program("nfd-worker"), root / "nfd-worker")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": api.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
        self.write("kubeconfig", json.dumps(config))

    def write(self, path: str, text: str) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def add_device(
        self, address: str, device_id: int, files: Mapping[str, object] | None = None, vendor: int = INTEL
    ) -> None:
        """A co-processor, with what the kernel shows of every PCI device, and these files."""
        values = {"vendor": f"0x{vendor:04x}", "device": f"0x{device_id:04x}", "class": "0x0b4000"}
        values |= {"subsystem_vendor": "0x8086", "subsystem_device": "0x0000"}
        for name, value in {**values, **(files or {})}.items():
            self.write(f"/sys/bus/pci/devices/{address}/{name}", f"{value}\n")

    def load_modules(self, *names: str) -> None:
        self.write("/proc/modules", "".join(f"{name} 65536 0 - Live 0x0000000000000000\n" for name in names))

    def discover(self) -> dict[str, Any]:
        """The NodeFeature that the worker makes of it: what it gives to NFD's master."""
        self._api.given.clear()
        # Who is not root may change the root of a process in a user namespace of its own.
        change = (
            ["chroot", str(self.root)] if os.geteuid() == 0 else ["unshare", "--map-root-user", f"--root={self.root}"]
        )
        flags = ["-oneshot", "-kubeconfig=/kubeconfig", "-owner-refs=", "-port=0"]
        sources = [f"-{kind}-sources=pci,kernel,local" for kind in ("feature", "label")]
        environment = {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "NODE_NAME": "node-1",
            "KUBERNETES_NAMESPACE": "nfd",
        }
        command = [*change, "/nfd-worker", *flags, *sources]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, env=environment)
        assert done.returncode == 0, done.stderr
        (feature,) = self._api.given
        return feature

    def labels(self) -> dict[str, str]:
        """Those that the worker has its master write, which are ours."""
        return ours(self.discover()["spec"]["labels"])


@pytest.fixture
def node(api: ApiServer) -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="nfd") as directory:  # short, for sockets
        Path(directory).chmod(0o755)
        yield Node(Path(directory), api)


def ours(labels: Mapping[str, str]) -> dict[str, str]:
    """By their names in our namespace."""
    prefix = f"{NAMESPACE}/"
    return {name[len(prefix) :]: value for name, value in labels.items() if name.startswith(prefix)}


def kubectl_nfd(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in (program("kubectl-nfd"), *words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)


def by_the_rule(node: Node, feature: Mapping[str, Any]) -> dict[str, str]:
    """The labels that NFD's master makes of a NodeFeature by our rule."""
    file = node.write("feature.json", json.dumps(feature))
    done = kubectl_nfd("dryrun", "-f", RULE, "-n", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "errors" not in done.stdout
    labels = done.stdout.partition("***\tLabels\t***\n")[2]
    return ours(dict(re.findall(r"^(\S+)=(\S*)$", labels, re.MULTILINE)))


def true(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "true")


def of_family(family: Family) -> tuple[str, ...]:
    return ("present", f"family.{family.name}", f"generation.{family.generation}")


# The rule.


def test_nfd_takes_the_rule() -> None:
    done = kubectl_nfd("validate", "-f", RULE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nfd_would_say_if_it_did_not_take_a_label(tmp_path: Path) -> None:
    document = yaml.safe_load(RULE.read_text())
    document["spec"]["rules"][0]["labels"] = {"qat.kubernetes.io/present": "true"}
    wrong = tmp_path / "rule.yml"
    wrong.write_text(json.dumps(document))
    done = kubectl_nfd("validate", "-f", wrong)
    assert done.returncode == 1
    assert "namespace is not allowed" in done.stderr


def test_the_rules_ids_are_those_of_the_families() -> None:
    first, *_ = yaml.safe_load(RULE.read_text())["spec"]["rules"]
    (matcher,) = first["matchFeatures"]
    known = {f"{number:04x}" for family in FAMILIES for model in family.models for number in (model.pf_id, model.vf_id)}
    assert set(matcher["matchExpressions"]["device"]["value"]) == known


@each_family
def test_a_pf_with_its_module(node: Node, family: Family) -> None:
    for index, model in enumerate(family.models):
        node.add_device(
            f"0000:{0x6B + index:02x}:00.0", model.pf_id, {"sriov_totalvfs": 16, "iommu_group/type": "DMA-FQ"}
        )
    node.load_modules("intel_qat", family.pf_module, "vfio_pci")
    labels = by_the_rule(node, node.discover())
    assert labels == true(*of_family(family), "sriov", "iommu", f"module.{family.pf_module}")


@each_family
def test_a_vf_without_its_pf(node: Node, family: Family) -> None:
    for index, model in enumerate(family.models):
        node.add_device(f"0000:00:{index:02x}.0", model.vf_id)
    node.load_modules("vfio_pci", family.pf_module)
    assert by_the_rule(node, node.discover()) == true(*of_family(family))


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({}, ()),
        ({"sriov_totalvfs": 0}, ()),
        ({"sriov_totalvfs": 16}, ("sriov",)),
        ({"iommu_group/type": "unknown"}, ()),  # VFIO without an IOMMU
        ({"iommu_group/type": "identity"}, ("iommu",)),
    ],
)
def test_what_a_pf_can_do(node: Node, files: dict[str, object], labels: tuple[str, ...]) -> None:
    node.add_device(PF, 0x4940, files)
    assert by_the_rule(node, node.discover()) == true("present", "family.4xxx", "generation.4", *labels)


@pytest.mark.parametrize(("vendor", "device_id"), [(INTEL, 0x2710), (0x1022, 0x4940)], ids=["DLB", "another vendor"])
def test_other_devices_are_no_qat(node: Node, vendor: int, device_id: int) -> None:
    """By NFD's own label DLB cannot be distinguished from QAT."""
    node.add_device("0000:6d:00.0", device_id, {"sriov_totalvfs": 16, "iommu_group/type": "DMA"}, vendor)
    node.load_modules("qat_4xxx")
    feature = node.discover()
    assert by_the_rule(node, feature) == {}
    assert (OF_NFD in feature["spec"]["labels"]) is (vendor == INTEL)


# The file.


def give(node: Node, text: bytes, name: str = FILE) -> None:
    node.write(f"{NFD_FEATURES}/{name}", text.decode())


def test_nfd_reads_each_label(node: Node) -> None:
    labels = {"present": "true", "vfs.vm-sym-asym-dc": "1024", "free.cy": "0", "driver.qat_vfio_pci": "true"}
    give(node, feature_file(labels, time.time() + 3600))
    assert node.labels() == labels


def test_nfd_takes_no_label_of_a_file_whose_time_is_over(node: Node) -> None:
    give(node, feature_file({"present": "true"}, time.time() - 3600))
    assert node.labels() == {}


def test_nfd_reads_no_draft(node: Node) -> None:
    give(node, feature_file({"present": "true"}, time.time() + 3600), ".accel-qat-x7f3")
    assert node.labels() == {}


# Both.


@contextmanager
def plugin_of(files: NodeFiles, *flags: str) -> Iterator[Plugin]:
    plugin = Plugin(files, files.root / "k", *flags)
    try:
        yield plugin
    finally:
        plugin.close()


def complete(node: Node, addresses: Iterable[str]) -> None:
    """Give devices of the plugin's tests the files that NFD needs, without which it passes over them."""
    for address in addresses:
        for name, value in (("class", "0x0b4000"), ("subsystem_vendor", "0x8086"), ("subsystem_device", "0x0000")):
            node.write(f"/sys/bus/pci/devices/{address}/{name}", f"{value}\n")


def test_a_node_with_the_plugin_has_the_labels_of_the_rule_and_more(node: Node) -> None:
    files = NodeFiles(node.root)
    vfs = files.add_pf(PF, vfs=6)
    complete(node, [PF, *vfs])

    async def scenario() -> dict[str, Any]:
        kubelet, pods = FakeKubelet(node.root / "k"), FakePodResources(node.root)
        pods.pods["default", "web-0"] = {"app": {"qat.intel.com/cy": [vfs[1]]}}
        await kubelet.start()
        await pods.start()
        directory = node.root / NFD_FEATURES.lstrip("/")
        with plugin_of(files, "--nfd", f"--nfd-dir={directory}") as plugin:
            while not (directory / FILE).exists():
                assert plugin.process.poll() is None, plugin.log.read_text()
                await asyncio.sleep(0.01)
            feature = node.discover()
        await pods.stop()
        await kubelet.close()
        return feature

    feature = asyncio.run(scenario())
    labels = ours(feature["spec"]["labels"])
    also = true("service.sym", "service.asym", "driver.vfio-pci")
    by_rule = {name: value for name, value in by_the_rule(node, feature).items() if name != "sriov"}
    assert by_rule == true("present", "family.4xxx", "generation.4")
    assert labels == {**by_rule, **also, "vfs.cy": "6", "free.cy": "4"}
