# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus scrapes the device plugin and the exporter as the example says, and answers what board and alerts ask."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.monitoring.board import asked
from ansible_collections.accel.qat.tests.monitoring.scenario import (
    BACKUP,
    BUSY_PKE,
    CY,
    DC,
    OTHER,
    PF,
    TILL,
    WEB,
    Monitored,
)

Answers = t.Mapping[str, list[dict[str, t.Any]]]


async def ask(root: Path) -> Answers:
    """What Prometheus answers to each question once it has seen a node at work."""
    monitored = Monitored(root)
    async with contextlib.AsyncExitStack() as ends:
        await monitored.start(ends)
        monitored.pods.pods["default", "web-0"] = {"app": {CY: [WEB]}}
        monitored.pods.pods["shop", "till-0"] = {"app": {CY: [TILL]}}
        monitored.pods.pods["ops", "backup-0"] = {"app": {DC: [BACKUP]}}
        await monitored.bench.kubelet.allocate(CY, [WEB])
        monitored.bench.files.bind(TILL, None)
        # Of each VF ring pairs 0 and 2 are for asym, 1 and 3 for sym: so web-0 is behind pke, and till-0 behind ucs.
        monitored.work(PF, "pke", 83, {0: 800, 2: 400})
        monitored.work(PF, "ucs", 70, {5: 1600})
        monitored.work(OTHER, "cpr", 12, {0: 80})
        server = monitored.server

        def answers() -> Answers:
            server.until(lambda: server.query('count_over_time(qat_device_plugin_vf_info{pod!=""}[1h]) > 2'))
            server.until(lambda: server.query('ALERTS{alertname="QatPodHasUnusableVf"}'))
            server.until(lambda: len(server.query("count by (vf) (qat_vf_sample_age_seconds)")) == 3)
            questions = {**asked(), "alerts": "ALERTS", "question": BUSY_PKE}
            return {name: server.query(one) for name, one in questions.items()}

        return await monitored.elsewhere(answers)


@pytest.fixture(scope="module")
def answers() -> t.Iterator[Answers]:
    with tempfile.TemporaryDirectory(prefix="qpm") as directory:  # short, for the sockets in it
        yield asyncio.run(ask(Path(directory)))


def labels_of(found: t.Iterable[t.Mapping[str, t.Any]], *names: str) -> list[tuple[str, ...]]:
    return sorted(tuple(one["metric"].get(name, "") for name in names) for one in found)


def values_of(found: t.Iterable[t.Mapping[str, t.Any]], *names: str) -> dict[tuple[str, ...], float]:
    return {tuple(one["metric"].get(name, "") for name in names): float(one["value"][1]) for one in found}


def value(answers: Answers, name: str) -> float:
    (one,) = values_of(answers[f"{name} 0"]).values()
    return one


def test_which_pod_makes_an_engine_of_a_pf_busy(answers: Answers) -> None:
    found = values_of(answers["question"], "instance", "namespace", "pod")
    # The other pod that has a VF of the PF does nothing with that engine.
    assert found == {
        ("node1", "default", "web-0"): 2 * 1200 * 125000.0,
        ("node1", "shop", "till-0"): 0.0,
    }
    assert max(found, key=lambda pod: found[pod])[2] == "web-0"


def test_which_pods_are_behind_busy_engines(answers: Answers) -> None:
    found = values_of(answers["Pods behind busy engines 0"], "pf", "service", "namespace", "pod")
    assert found == {
        (PF, "asym", "default", "web-0"): 2 * 1200 * 125000.0,
        (PF, "sym", "shop", "till-0"): 2 * 1600 * 125000.0,
    }


def test_utilisation_by_engine(answers: Answers) -> None:
    found = values_of(answers["Utilisation by engine 0"], "instance", "pf", "engine")
    busy = {key: share for key, share in found.items() if share}
    assert busy == {
        ("node1", PF, "pke"): pytest.approx(0.83),
        ("node1", PF, "ucs"): pytest.approx(0.7),
        ("node1", OTHER, "cpr"): pytest.approx(0.12),
    }


def test_numbers_of_the_fleet(answers: Answers) -> None:
    names = (
        "Nodes",
        "PFs that are up",
        "VFs",
        "VFs that pods have",
        "Free VFs",
        "Unhealthy VFs",
        "Pods affected by them",
    )
    assert {name: value(answers, name) for name in names} == {
        "Nodes": 1,
        "PFs that are up": 2,
        "VFs": 6,
        "VFs that pods have": 3,
        "Free VFs": 3,
        "Unhealthy VFs": 1,
        "Pods affected by them": 1,
    }


def test_which_pod_has_which_vf(answers: Answers) -> None:
    found = answers["Which pod has which VF 0"]
    names = ("instance", "namespace", "pod", "container", "resource", "vf", "pf", "numa_node")
    assert labels_of(found, *names) == [
        ("node1", "default", "web-0", "app", CY, WEB, PF, "0"),
        ("node1", "ops", "backup-0", "app", DC, BACKUP, OTHER, "0"),
        ("node1", "shop", "till-0", "app", CY, TILL, PF, "0"),
    ]


def test_pods_with_a_vf_that_cannot_be_used(answers: Answers) -> None:
    found = answers["Pods with a VF that cannot be used 0"]
    assert labels_of(found, "namespace", "pod", "vf", "reason") == [("shop", "till-0", TILL, "driver")]
    pending = [one for one in answers["alerts"] if one["metric"]["alertname"] == "QatPodHasUnusableVf"]
    assert labels_of(pending, "alertstate", "severity", "namespace", "pod") == [
        ("pending", "critical", "shop", "till-0")
    ]


def test_vfs_by_resource(answers: Answers) -> None:
    states = ("free", "of pods", "unhealthy")
    found = [values_of(answers[f"VFs by resource {number}"], "resource") for number in range(len(states))]
    assert dict(zip(states, found, strict=True)) == {
        "free": {(CY,): 2.0, (DC,): 1.0},
        "of pods": {(CY,): 2.0, (DC,): 1.0},
        "unhealthy": {(CY,): 1.0, (DC,): 0.0},
    }


def test_every_panel_has_something_to_show(answers: Answers) -> None:
    panels = [name for name in asked() if name[-1].isdigit()]
    assert [name for name in panels if not answers[name]] == []
