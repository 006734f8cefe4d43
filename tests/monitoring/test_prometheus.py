# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus scrapes the device plugin as the example says, and answers what board and alerts ask."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from harness.bench import Bench
from harness.pod_resources import FakePodResources
from harness.process import free_port

from ansible_collections.accel.qat.tests.monitoring.board import PLACE, asked, metrics_in
from ansible_collections.accel.qat.tests.monitoring.programs import Prometheus

CY, DC = "qat.intel.com/cy", "qat.intel.com/dc"
PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
WEB, BROKEN, FREE = "0000:6b:00.1", "0000:6b:00.2", "0000:6b:00.3"

Answers = t.Mapping[str, list[dict[str, t.Any]]]


def configuration(ports: t.Mapping[str, int]) -> str:
    """The example, with this machine as the node that Kubernetes lists, and each service at its port in place of the usual one."""
    example = yaml.safe_load((PLACE / "scrape.yml").read_text())
    node = {
        "__meta_kubernetes_node_name": "node1",
        "__meta_kubernetes_node_address_InternalIP": "127.0.0.1",
        "__meta_kubernetes_node_label_feature_node_kubernetes_io_pci_0b40_8086_present": "true",
    }
    for job in example["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "node"}]
        job["static_configs"] = [{"targets": ["127.0.0.1:10250"], "labels": node}]
    example["rule_files"] = [str(PLACE / "rules.yml")]
    example["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    text = yaml.safe_dump(example)
    for usual, port in ports.items():
        assert f":{usual}" in text
        text = text.replace(f":{usual}", f":{port}")
    return text


async def ask(root: Path) -> Answers:
    """What Prometheus answers to each question once it has scraped a node with pods twice."""
    bench = Bench(root)
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as ends:
        bench.files.add_pf(PF, vfs=4)
        bench.files.add_pf(OTHER, services="dc", vfs=2)
        bench.files.bind(BROKEN, None)
        await bench.kubelet.start()
        pods = FakePodResources(root)
        pods.pods["default", "web-0"] = {"app": {CY: [WEB]}}
        pods.pods["shop", "till-0"] = {"app": {CY: [BROKEN]}}
        await pods.start()
        port = free_port()
        ends.callback(bench.start(f"--metrics-address=127.0.0.1:{port}").close)
        await bench.ready(CY, 4)
        await bench.kubelet.allocate(CY, [WEB])
        server = Prometheus(root, configuration({"9482": port}), free_port())
        ends.callback(server.close)

        def answers() -> Answers:
            server.wait_until_ready()
            server.until(lambda: server.query('count_over_time(qat_device_plugin_vf_info{pod!=""}[1h]) > 2'))
            server.until(lambda: server.query('ALERTS{alertname="QatPodHasUnusableVf"}'))
            return {name: server.query(one) for name, one in {**asked(), "alerts": "ALERTS"}.items()}

        found = await loop.run_in_executor(None, answers)
        await pods.stop()
        await bench.kubelet.close()
    return found


@pytest.fixture(scope="module")
def answers() -> t.Iterator[Answers]:
    with tempfile.TemporaryDirectory(prefix="qpm") as directory:  # short, for the sockets in it
        yield asyncio.run(ask(Path(directory)))


def labels_of(found: t.Iterable[t.Mapping[str, t.Any]], *names: str) -> list[tuple[str, ...]]:
    return sorted(tuple(one["metric"].get(name, "") for name in names) for one in found)


def value(answers: Answers, name: str) -> float:
    (one,) = answers[f"{name} 0"]
    return float(one["value"][1])


def test_numbers_of_the_fleet(answers: Answers) -> None:
    names = ("Nodes", "VFs", "VFs that pods have", "Free VFs", "Unhealthy VFs", "Pods with an unhealthy VF")
    assert {name: value(answers, name) for name in names} == {
        "Nodes": 1,
        "VFs": 6,
        "VFs that pods have": 2,
        "Free VFs": 4,
        "Unhealthy VFs": 1,
        "Pods with an unhealthy VF": 1,
    }


def test_which_pod_has_which_vf(answers: Answers) -> None:
    found = answers["Which pod has which VF 0"]
    names = ("instance", "namespace", "pod", "container", "resource", "vf", "pf", "numa_node")
    assert labels_of(found, *names) == [
        ("node1", "default", "web-0", "app", CY, WEB, PF, "0"),
        ("node1", "shop", "till-0", "app", CY, BROKEN, PF, "0"),
    ]


def test_pods_with_a_vf_that_cannot_be_used(answers: Answers) -> None:
    found = answers["Pods with a VF that cannot be used 0"]
    assert labels_of(found, "namespace", "pod", "vf", "reason") == [("shop", "till-0", BROKEN, "driver")]
    pending = [one for one in answers["alerts"] if one["metric"]["alertname"] == "QatPodHasUnusableVf"]
    assert labels_of(pending, "alertstate", "severity", "namespace", "pod") == [
        ("pending", "critical", "shop", "till-0")
    ]


def test_vfs_by_resource(answers: Answers) -> None:
    states = ("free", "of pods", "unhealthy")
    found = [answers[f"VFs by resource {number}"] for number in range(len(states))]
    counts = [{one["metric"]["resource"]: float(one["value"][1]) for one in series} for series in found]
    assert dict(zip(states, counts, strict=True)) == {
        "free": {CY: 2.0, DC: 2.0},
        "of pods": {CY: 2.0},
        "unhealthy": {CY: 1.0, DC: 0.0},
    }


def test_every_panel_has_something_to_show(answers: Answers) -> None:
    questions = {name: one for name, one in asked().items() if name[-1].isdigit() and metrics_in(one)}
    assert {name for name in questions if not answers[name]} == set()
