# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster, and modules that run against it with their real main() and the real client."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import typing as t
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, FakeCluster
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import Site
from ansible_collections.accel.qat.tests.unit.cluster.real_api_server import RealCluster


class Controller:
    """Runs modules with what reaches the cluster."""

    def __init__(self, access: dict[str, t.Any], output: pytest.CaptureFixture[str]) -> None:
        self.access = access
        self._output = output

    def run(self, module: ModuleType, check: bool = False, **arguments: t.Any) -> t.Any:
        """The module's result."""
        given = {**self.access, **arguments, "_ansible_check_mode": check}
        with patch_module_args(given), pytest.raises(SystemExit) as caught:
            module.main()
        result = json.loads(self._output.readouterr().out)
        assert bool(caught.value.code) == bool(result.get("failed"))
        return result

    def change(self, module: ModuleType, **arguments: t.Any) -> t.Any:
        """Check, do, check again, do again; returns what the doing said."""
        checked = self.run(module, check=True, **arguments)
        done = self.run(module, **arguments)
        assert (checked["changed"], checked["diff"]) == (True, done["diff"])
        assert done["changed"]
        for check in (True, False):
            again = self.run(module, check=check, **arguments)
            assert not again["changed"]
            assert again["diff"]["before"] == again["diff"]["after"]
        return done


def kubeconfig_of(path: Path, server: str, token: str = TOKEN, proxy: str = "") -> str:
    """Write one of a single cluster and user; returns its path."""
    cluster = {"server": server, **({"proxy-url": proxy} if proxy else {})}
    content = {
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture(autouse=True)
def on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the other modules: the controller's part of Ansible would take the warnings."""
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)
    monkeypatch.setattr("ansible.module_utils.common.warnings._global_warnings", {})
    for name in [name for name in os.environ if name.startswith("K8S_AUTH_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cluster() -> t.Iterator[FakeCluster]:
    made = FakeCluster()
    yield made
    made.close()


@pytest.fixture
def controller(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> Controller:
    return Controller({"host": cluster.url, "api_key": TOKEN}, capsys)


class Clock:
    """In the place of the module `time`: only pauses take time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[tuple[str, list[str]]]:
    """An address at which nobody takes connections, and what was asked of it."""
    asked: list[str] = []
    real = api.answer

    def answer(core: t.Any, where: str, *arguments: t.Any, **options: t.Any) -> str:
        asked.append(where)
        return real(core, where, *arguments, **options)

    monkeypatch.setattr(api, "answer", answer)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}", asked


@pytest.fixture
def any_cluster() -> t.Iterator[FakeCluster | RealCluster]:
    """The API server that the environment names, or the fake one."""
    url = os.environ.get("ACCEL_QAT_API_SERVER")
    made = RealCluster(url, os.environ["ACCEL_QAT_API_TOKEN"]) if url else FakeCluster()
    yield made
    made.close()


@pytest.fixture
def any_controller(any_cluster: FakeCluster | RealCluster, capsys: pytest.CaptureFixture[str]) -> Controller:
    token = os.environ["ACCEL_QAT_API_TOKEN"] if isinstance(any_cluster, RealCluster) else TOKEN
    return Controller({"host": any_cluster.url, "api_key": token, "validate_certs": False}, capsys)


@pytest.fixture
def site() -> t.Iterator[Site]:
    """A node of files, with kubelet's sockets and its cluster."""
    with tempfile.TemporaryDirectory(prefix="qdr") as directory:
        made = Site(Path(directory))
        yield made
        made.close()


@pytest.fixture
def kubelet(site: Site) -> t.Iterator[KubeletNode]:
    """Kubelet's files and program on that node."""
    state = {"/var/lib/kubelet/cpu_manager_state": '{"policyName":"none","defaultCpuSet":"","checksum":1}'}
    made = KubeletNode(site.node_root.parent, **examples.kubeadm(files=state))
    made.start()
    made.wait_until_served()
    site.node_root = made.root
    yield made
    made.end()
