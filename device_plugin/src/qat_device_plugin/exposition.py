# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics, in Prometheus' form. docs/metrics.md has the table."""

from __future__ import annotations

import platform
import typing as t
from collections import Counter

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from . import __version__
from .attribution import Holding, holdings
from .statistics import LATENCY_BOUNDS, Statistics

if t.TYPE_CHECKING:
    from .model import Model
    from .status import Status

_PREFIX = "qat_device_plugin_"


def exposition(status: Status, statistics: Statistics) -> bytes:
    """All metrics as they are now."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(status, statistics))
    return generate_latest(registry)


class _Collector:
    def __init__(self, status: Status, statistics: Statistics) -> None:
        self._status = status
        self._statistics = statistics

    def collect(self) -> t.Iterator[Metric]:
        """Every metric of the service."""
        yield from _vfs(self._status.model)
        yield from _pods(self._status)
        yield from _registrars(self._status)
        yield from _counters(self._statistics)
        yield _latencies(self._statistics)
        age = self._status.scan_age
        yield GaugeMetricFamily(_PREFIX + "scan_age_seconds", "Time since the last scan of the node.", age)
        build = InfoMetricFamily(_PREFIX + "build", "What runs.")
        build.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield build


def _vfs(model: Model) -> t.Iterator[Metric]:
    vfs: Counter[tuple[str, ...]] = Counter()
    unhealthy: list[tuple[str, ...]] = []
    expected: dict[tuple[str, ...], float] = {}
    for pf, allotment in model.allotments.items():
        expected[allotment.resource, pf] = allotment.vfs
        # A series that ends where the last VF is lost would end every alert on it.
        for health in ("healthy", "unhealthy"):
            vfs[allotment.resource, pf, str(allotment.numa_node), health] = 0
    for resource, offer in model.offers.items():
        for vf in offer:
            vfs[resource, vf.pf_address, str(vf.numa_node), "healthy" if vf.healthy else "unhealthy"] += 1
            unhealthy += ((resource, vf.pf_address, vf.address, reason.code) for reason in vf.reasons)
    labels = ["resource", "pf", "numa_node", "health"]
    yield _family(GaugeMetricFamily, "vfs", "VFs offered to Kubernetes.", labels, vfs)
    text = "VFs that the configuration has a PF offer, whether they are there or not."
    yield _family(GaugeMetricFamily, "expected_vfs", text, ["resource", "pf"], expected)
    text = "PFs that are not offered, since their services could not be read so far."
    left_out = {(pf,): 1.0 for pf in model.left_out}
    yield _family(GaugeMetricFamily, "left_out_pfs", text, ["pf"], left_out)
    text = "VFs that cannot be used, by reason; one VF can have several."
    ones = dict.fromkeys(unhealthy, 1.0)
    yield _family(GaugeMetricFamily, "unhealthy_vfs", text, ["resource", "pf", "vf", "reason"], ones)


def _pods(status: Status) -> t.Iterator[Metric]:
    """Who has which VF. Nothing where that is not asked, and no VF while kubelet has never said it: none would look free."""
    attribution = status.attribution
    if attribution is None:
        return
    found = () if attribution.seen is None else holdings(status.model, attribution)
    text = "VFs with the containers that have them."
    yield _family(GaugeMetricFamily, "vf_info", text, Holding._fields, dict.fromkeys(found, 1.0))
    text = "Whether kubelet has said which pods have VFs when it was asked last."
    yield GaugeMetricFamily(_PREFIX + "pod_resources_up", text, float(not attribution.problem))
    text = "Time since kubelet has said which pods have VFs."
    yield GaugeMetricFamily(_PREFIX + "pod_resources_age_seconds", text, status.attribution_age)


def _registrars(status: Status) -> t.Iterator[Metric]:
    registered = {(name,): float(one) for name, one in status.registered.items()}
    streams = {(name,): float(one) for name, one in status.streams.items()}
    text = "Whether kubelet has taken the registration."
    yield _family(GaugeMetricFamily, "registered", text, ["resource"], registered)
    yield _family(GaugeMetricFamily, "streams", "ListAndWatch streams that are open.", ["resource"], streams)


def _counters(statistics: Statistics) -> t.Iterator[Metric]:
    both = ["resource", "result"]
    yield _family(
        CounterMetricFamily,
        "registrations",
        "Registrations that succeeded, failed, or were lost later.",
        both,
        statistics.registrations,
    )
    yield _family(CounterMetricFamily, "allocations", "Allocations granted and refused.", both, statistics.allocations)
    text = "Times kubelet asked which VFs to prefer."
    yield _family(CounterMetricFamily, "preferred_allocations", text, both[:1], _tuples(statistics.preferences))
    yield _family(CounterMetricFamily, "lists_sent", "Lists sent to kubelet.", both[:1], _tuples(statistics.lists))
    yield _family(
        CounterMetricFamily, "reloads", "Reloads of the configuration.", both[1:], _tuples(statistics.reloads)
    )
    yield _family(CounterMetricFamily, "errors", "Errors by kind.", ["kind"], _tuples(statistics.errors))


def _latencies(statistics: Statistics) -> Metric:
    family = HistogramMetricFamily(
        _PREFIX + "allocation_duration_seconds", "Time to answer Allocate.", labels=["resource"]
    )
    for resource, latencies in statistics.latencies.items():
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, LATENCY_BOUNDS), "+Inf"), latencies.counts):
            total += count
            buckets.append((bound, total))
        family.add_metric([resource], buckets=buckets, sum_value=latencies.total)
    return family


def _family(kind: t.Any, name: str, text: str, labels: t.Sequence[str], values: t.Mapping[t.Any, float]) -> Metric:
    """`values` are by a tuple of the labels' values."""
    family: Metric = kind(_PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)  # type: ignore[attr-defined]
    return family


def _tuples(counter: Counter[str]) -> dict[tuple[str, ...], float]:
    return {(key,): value for key, value in counter.items()}
