# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics, in Prometheus' form. docs/exporter.md has the table."""

from __future__ import annotations

import platform
import typing as t

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from .. import __version__
from .._node.devices.activity import TelemetryState
from .._node.facts.services import written_services
from .collection import Collection

if t.TYPE_CHECKING:
    from collections import Counter

    from .._node.devices.activity import PfActivity
    from .._node.devices.telemetry import DeviceSample

_OF_PF = ["pf"]
_OF_VF = ["vf", "pf", "namespace", "pod", "container"]
_BANDWIDTHS = (
    ("written", "What it writes by PCIe, over the last second."),
    ("read", "What it reads by PCIe, over the last second."),
)

Values = t.Iterable[t.Tuple[t.Sequence[str], t.Optional[float]]]  # noqa: UP006
"""Values of labels, and the value: none where it is not known, which gives no series."""


def exposition(collection: Collection, errors: Counter[str], now: float) -> bytes:
    """All metrics of a collection, at the time `now` of its clock."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(collection, errors, now))
    return generate_latest(registry)


class _Collector:
    def __init__(self, collection: Collection, errors: Counter[str], now: float) -> None:
        self._collection = collection
        self._errors = errors
        self._now = now

    def collect(self) -> t.Iterator[Metric]:
        """Every metric of the service."""
        pfs = self._collection.pfs
        yield from _pfs(pfs)
        yield from _counters(pfs)
        yield from _telemetry(pfs)
        yield from _samples([(one.address, one.telemetry.sample) for one in pfs])
        yield from _vfs(self._collection, self._now)
        yield from self._itself()

    def _itself(self) -> t.Iterator[Metric]:
        collection = self._collection
        text = "Whether the kernel has said in time what there is to say."
        yield _gauge("qat_exporter_collection_success", text, [], [((), float(not collection.problem))])
        text = "How long the kernel took to say it."
        yield _gauge("qat_exporter_collection_duration_seconds", text, [], [((), collection.seconds)])
        text = "Whether kubelet has said which pods have VFs when it was asked last."
        asked = [] if collection.pods.problem is None else [((), float(not collection.pods.problem))]
        yield _gauge("qat_exporter_pod_resources_up", text, [], asked)
        text = "Time since kubelet has said which pods have VFs."
        ages = [] if collection.pods.seen is None else [((), self._now - collection.pods.seen)]
        yield _gauge("qat_exporter_pod_resources_age_seconds", text, [], ages)
        kinds = [((kind,), float(count)) for kind, count in self._errors.items()]
        yield _counter("qat_exporter_errors", "Errors by kind.", ["kind"], kinds)
        build = InfoMetricFamily("qat_exporter_build", "What runs.")
        build.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield build


def _pfs(pfs: t.Sequence[PfActivity]) -> t.Iterator[Metric]:
    labels = ["pf", "family", "model", "numa_node", "driver", "services"]
    infos: Values = [((one.address, *_about(one)), 1.0) for one in pfs]
    yield _gauge("qat_pf_info", "PFs of QAT devices.", labels, infos)
    states = {"up": 1.0, "down": 0.0}
    yield _gauge(
        "qat_pf_up",
        "Whether the PF is up.",
        _OF_PF,
        [((one.address,), states.get(one.device.state or "")) for one in pfs],
    )
    yield _gauge("qat_pf_vfs", "VFs that the PF has.", _OF_PF, [((one.address,), float(len(one.vfs))) for one in pfs])
    text = "Whether the kernel answers for the PF; it does not while it waits for a VF that somebody has open."
    yield _gauge(
        "qat_pf_answers", text, _OF_PF, [((one.address,), float(not one.device.function.blocked)) for one in pfs]
    )


def _about(one: PfActivity) -> tuple[str, ...]:
    function = one.device.function
    # Kernels print them in different orders.
    services = written_services(one.device.services or ())
    return (one.device.family.name, one.device.model, str(function.numa_node), function.driver or "", services)


def _counters(pfs: t.Sequence[PfActivity]) -> t.Iterator[Metric]:
    text = "Errors that the device has reported, by severity."
    errors: Values = [
        ((one.address, name.partition("_")[2]), float(count))
        for one in pfs
        for name, count in (one.device.ras_errors or {}).items()
    ]
    yield _counter("qat_pf_errors", text, ["pf", "severity"], errors)
    engines = [((one.address, str(engine.engine)), engine) for one in pfs for engine in one.counters.firmware or ()]
    labels = ["pf", "acceleration_engine"]
    text = "Requests to the firmware of an acceleration engine."
    yield _counter("qat_pf_firmware_requests", text, labels, [(key, float(one.requests)) for key, one in engines])
    text = "Responses of the firmware of an acceleration engine."
    yield _counter("qat_pf_firmware_responses", text, labels, [(key, float(one.responses)) for key, one in engines])
    # Not by result: they are read one after the other, and what is left of the one without the other would go back now and then.
    text = "Checks of the device by its driver."
    sent = [((one.address,), _float(one.counters.queries_sent)) for one in pfs]
    yield _counter("qat_pf_heartbeat_queries", text, _OF_PF, sent)
    text = "Checks of the device by its driver that have failed."
    unanswered = [((one.address,), _float(one.counters.queries_failed)) for one in pfs]
    yield _counter("qat_pf_heartbeat_failures", text, _OF_PF, unanswered)
    text = "Compressions that did not decompress to what was compressed."
    failed = [((one.address,), _float(one.counters.compression_errors)) for one in pfs]
    yield _counter("qat_pf_compression_errors", text, _OF_PF, failed)
    text = "Whether the PF is at its lowest level of power."
    powers = [(one.address, one.counters.power) for one in pfs if one.counters.power]
    levels: Values = [((pf,), float(power.level == "min") if power.level else None) for pf, power in powers]
    yield _gauge("qat_pf_power_saving", text, _OF_PF, levels)
    text = "Events of power management, by kind."
    events: Values = [((pf, kind), float(count)) for pf, power in powers for kind, count in power.events.items()]
    yield _counter("qat_pf_power_events", text, ["pf", "event"], events)
    text = "Files of the PF that are there and could not be read."
    unread: Values = [((one.address, name), 1.0) for one in pfs for name in one.counters.unreadable]
    yield _gauge("qat_pf_unreadable_files", text, ["pf", "file"], unread)


def _telemetry(pfs: t.Sequence[PfActivity]) -> t.Iterator[Metric]:
    text = "Whether the PF's telemetry is on and can be read."
    enabled = [((one.address,), float(one.telemetry.state is TelemetryState.ON)) for one in pfs]
    yield _gauge("qat_pf_telemetry_enabled", text, _OF_PF, enabled)
    text = "Which of these states the PF's telemetry is in."
    states: Values = [
        ((one.address, state.value), float(one.telemetry.state is state)) for one in pfs for state in TelemetryState
    ]
    yield _gauge("qat_pf_telemetry_state", text, ["pf", "state"], states)
    text = "Samples that the device has taken since telemetry was switched on."
    taken = [((one.address,), float(one.telemetry.sample.samples)) for one in pfs if one.telemetry.sample]
    yield _counter("qat_pf_telemetry_samples", text, _OF_PF, taken)


def _samples(found: t.Sequence[tuple[str, DeviceSample | None]]) -> t.Iterator[Metric]:
    """What the device measures: nothing before the first sample, where each value is zero."""
    samples = [(pf, sample) for pf, sample in found if sample is not None and sample.samples]
    of_slice = ["pf", "engine", "slice"]
    slices = [((pf, one.engine, str(one.number)), one) for pf, sample in samples for one in sample.slices]
    text = "Part of its time that a slice of an engine has worked, over the last second."
    yield _gauge("qat_pf_slice_utilization_ratio", text, of_slice, [(key, one.utilization) for key, one in slices])
    text = "Executions of a slice, as the device counts them; over which time no source says."
    yield _gauge("qat_pf_slice_executions", text, of_slice, [(key, _float(one.executions)) for key, one in slices])
    for name, text in _BANDWIDTHS:
        bandwidths = [((pf,), _float(getattr(one, f"{name}_bytes_per_second"))) for pf, one in samples]
        yield _gauge(f"qat_pf_pcie_{name}_bytes_per_second", text, _OF_PF, bandwidths)
    text = "Latencies in the last second, by kind."
    latencies: Values = [((pf, kind), value) for pf, one in samples for kind, value in one.latencies.items()]
    yield _gauge("qat_pf_latency_seconds", text, ["pf", "kind"], latencies)
    text = "Partial PCIe transactions in the last second."
    yield _gauge(
        "qat_pf_pcie_partial_transactions", text, _OF_PF, [((pf,), _float(one.transactions)) for pf, one in samples]
    )
    text = "The most entries of the translation buffer that were in use in the last second."
    used = [((pf,), _float(one.translations_used)) for pf, one in samples]
    yield _gauge("qat_pf_translation_entries_used", text, _OF_PF, used)
    text = "States of a command queue of an engine, as the device counts them."
    queues: Values = [
        ((pf, one.engine, str(one.number), state), float(count))
        for pf, sample in samples
        for one in sample.queues
        for state, count in one.counts.items()
    ]
    yield _gauge("qat_pf_command_queue_states", text, ["pf", "engine", "queue", "state"], queues)


def _vfs(collection: Collection, now: float) -> t.Iterator[Metric]:
    pods = collection.pods.by_vf
    pfs = {vf.address: one.address for one in collection.pfs for vf in one.vfs}
    text = "VFs that containers have."
    yield _gauge("qat_vf_pod_info", text, _OF_VF, [((vf, pfs[vf], *pods[vf]), 1.0) for vf in pods if vf in pfs])
    shown = [one for one in collection.samples if pods.get(one.vf) == one.container and pfs.get(one.vf) == one.pf]
    uses = [((one.vf, one.pf, *one.container, use.service), use) for one in shown for use in one.uses]
    of_service = [*_OF_VF, "service"]
    for name, text in _BANDWIDTHS:
        bandwidths = [(key, float(getattr(use, f"{name}_bytes_per_second"))) for key, use in uses]
        yield _gauge(f"qat_vf_pcie_{name}_bytes_per_second", text, of_service, bandwidths)
    text = "From a request to its answer, on average over the ring pairs of the VF that had any."
    yield _gauge("qat_vf_get_to_put_latency_seconds", text, of_service, [(key, use.latency) for key, use in uses])
    text = "Time since the VF was looked at."
    ages = [((one.vf, one.pf, *one.container), now - one.taken) for one in shown]
    yield _gauge("qat_vf_sample_age_seconds", text, _OF_VF, ages)


def _gauge(name: str, text: str, labels: t.Sequence[str], values: Values) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _counter(name: str, text: str, labels: t.Sequence[str], values: Values) -> Metric:
    """`name` is without `_total`."""
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    for key, value in values:
        if value is not None:
            family.add_metric(list(key), value)
    return family


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)
