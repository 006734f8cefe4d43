# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the board asks Prometheus: its panels as plain data."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """How a panel shows what is answered."""

    NUMBER = enum.auto()
    BARS = enum.auto()
    LINES = enum.auto()
    TABLE = enum.auto()


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called in a legend; `{{label}}` stands for the value of a label."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """Queries shown together. `width` is in twenty-fourths of the board, `unit` one of Grafana's, `most` the end of the scale.

    Of a table `columns` are the labels that it shows, in this order.
    """

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    text: str = ""
    columns: tuple[str, ...] = ()
    most: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


_HERE = 'instance=~"$instance"'
_PF = 'instance=~"$instance", pf=~"$pf"'
_FREE = 'qat_device_plugin_vf_info{pod=""} unless on (instance, vf) qat_device_plugin_unhealthy_vfs'
_TO_PODS = '* on (instance, vf) group_left (namespace, pod, container) qat_device_plugin_vf_info{pod!=""}'
_BROKEN = f"qat_device_plugin_unhealthy_vfs {_TO_PODS}"
_BROKEN_HERE = f"qat_device_plugin_unhealthy_vfs{{{_HERE}}} {_TO_PODS}"
_PODS = ("namespace", "pod")

_SERVICES = {"asym": "pke", "sym": "ucs|cph|ath|wcp|wat", "dc": "cpr|cnv|xlt|dcpr|dcprz", "decomp": "dcpr|dcprz"}
"""The engines that work for a service, by the service as a ring pair has it."""

BUSY = 0.5
"""From here on an engine counts as busy: this part of its time."""


def moved(labels: str = "") -> str:
    """Bytes a second that VFs read and write."""
    selected = f"{{{labels}}}" if labels else ""
    return f"qat_vf_pcie_read_bytes_per_second{selected} + qat_vf_pcie_written_bytes_per_second{selected}"


def _busy(service: str, engines: str) -> str:
    """PFs of which an engine for the service is busy."""
    used = f'avg by (instance, pf, engine) (qat_pf_slice_utilization_ratio{{engine=~"{engines}", {_PF}}}) > {BUSY}'
    return f'label_replace({used}, "service", "{service}", "", "")'


_BEHIND = (
    f"topk(10, sum by (instance, pf, service, namespace, pod, container) ({moved(_PF)}) > 0"
    f" and on (instance, pf, service) ({' or '.join(_busy(*one) for one in _SERVICES.items())}))"
)

_FLEET = Row(
    "All nodes",
    (
        Panel("Nodes", Kind.NUMBER, (Query("count(qat_device_plugin_build_info)"),), width=3),
        Panel("PFs that are up", Kind.NUMBER, (Query("sum(qat_pf_up)"),), width=3),
        Panel("VFs", Kind.NUMBER, (Query("sum(qat_device_plugin_vfs)"),), width=3),
        Panel(
            "VFs that pods have",
            Kind.NUMBER,
            (Query('count(qat_device_plugin_vf_info{pod!=""}) or vector(0)'),),
            width=3,
        ),
        Panel("Free VFs", Kind.NUMBER, (Query(f"count({_FREE}) or vector(0)"),), width=3),
        Panel("Unhealthy VFs", Kind.NUMBER, (Query('sum(qat_device_plugin_vfs{health="unhealthy"})'),), width=3),
        Panel(
            "Pods affected by them",
            Kind.NUMBER,
            (Query(f"count(count by (namespace, pod) ({_BROKEN})) or vector(0)"),),
            width=3,
        ),
        Panel(
            "Not registered",
            Kind.NUMBER,
            (Query("count(qat_device_plugin_registered == 0) or vector(0)"),),
            width=3,
        ),
        Panel(
            "VFs by resource",
            Kind.BARS,
            (
                Query(f"count by (resource) ({_FREE})", "{{resource}}, free"),
                Query('count by (resource) (qat_device_plugin_vf_info{pod!=""})', "{{resource}}, of pods"),
                Query('sum by (resource) (qat_device_plugin_vfs{health="unhealthy"})', "{{resource}}, unhealthy"),
            ),
            width=8,
        ),
        Panel(
            "Busiest engines",
            Kind.BARS,
            (
                Query(
                    "topk(10, avg by (instance, pf, engine) (qat_pf_slice_utilization_ratio))",
                    "{{instance}} {{pf}} {{engine}}",
                ),
            ),
            unit="percentunit",
            width=8,
            most=1,
        ),
        Panel(
            "Pods that move most",
            Kind.BARS,
            (Query(f"topk(10, sum by (namespace, pod) ({moved()}))", "{{namespace}}/{{pod}}"),),
            unit="Bps",
            width=8,
            text="What the VFs of a pod read and write by PCIe. Needs the exporter with qat_device_plugin_exporter_per_vf.",
        ),
    ),
)

_UTILIZATION = Row(
    "How busy",
    (
        Panel(
            "Utilisation by engine",
            Kind.LINES,
            (
                Query(
                    f"avg by (instance, pf, engine) (qat_pf_slice_utilization_ratio{{{_PF}}})",
                    "{{instance}} {{pf}} {{engine}}",
                ),
            ),
            unit="percentunit",
            most=1,
            text="The mean of the slices of an engine: pke is public key, cph and ucs are ciphers, cpr and dcpr compression.",
        ),
        Panel(
            "Pods by what their VFs move",
            Kind.LINES,
            (
                Query(
                    f"topk(10, sum by (namespace, pod, pf, service) ({moved(_PF)}))",
                    "{{namespace}}/{{pod}} {{pf}} {{service}}",
                ),
            ),
            unit="Bps",
        ),
        Panel(
            "Pods behind busy engines",
            Kind.TABLE,
            (Query(_BEHIND),),
            unit="Bps",
            columns=("instance", "pf", "service", *_PODS, "container", "Value"),
            width=24,
            text="Those that move most by the services whose engines are busy for more than half of their time.",
        ),
        Panel(
            "PCIe",
            Kind.LINES,
            (
                Query(f"qat_pf_pcie_read_bytes_per_second{{{_PF}}}", "{{instance}} {{pf}} read"),
                Query(f"qat_pf_pcie_written_bytes_per_second{{{_PF}}}", "{{instance}} {{pf}} written"),
            ),
            unit="Bps",
        ),
        Panel(
            "Latency",
            Kind.LINES,
            (Query(f"qat_pf_latency_seconds{{{_PF}}}", "{{instance}} {{pf}} {{kind}}"),),
            unit="s",
        ),
        Panel(
            "Requests to the firmware",
            Kind.LINES,
            (
                Query(
                    f"sum by (instance, pf) (rate(qat_pf_firmware_requests_total{{{_PF}}}[$__rate_interval]))",
                    "{{instance}} {{pf}}",
                ),
            ),
            unit="reqps",
            width=8,
        ),
        Panel(
            "Telemetry",
            Kind.LINES,
            (Query(f"qat_pf_telemetry_enabled{{{_PF}}}", "{{instance}} {{pf}}"),),
            most=1,
            width=8,
            text="0 where a kernel before 6.8 has none, where it is locked down, or where somebody has switched it off.",
        ),
        Panel(
            "Age of samples of VFs",
            Kind.LINES,
            (Query(f"max by (instance, pf) (qat_vf_sample_age_seconds{{{_PF}}})", "{{instance}} {{pf}}"),),
            unit="s",
            width=8,
        ),
    ),
)

_WRONG = Row(
    "What is wrong",
    (
        Panel(
            "Pods with a VF that cannot be used",
            Kind.TABLE,
            (Query(_BROKEN_HERE),),
            columns=("instance", *_PODS, "container", "vf", "pf", "reason"),
        ),
        Panel(
            "Unhealthy VFs by reason",
            Kind.LINES,
            (
                Query(
                    f"count by (resource, reason) (qat_device_plugin_unhealthy_vfs{{{_HERE}}})",
                    "{{resource}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Errors of PFs",
            Kind.LINES,
            (
                Query(f"increase(qat_pf_errors_total{{{_PF}}}[$__rate_interval])", "{{instance}} {{pf}} {{severity}}"),
                Query(
                    f"increase(qat_pf_heartbeat_failures_total{{{_PF}}}[$__rate_interval])",
                    "{{instance}} {{pf}} heartbeat",
                ),
            ),
        ),
        Panel(
            "Errors of the device plugin",
            Kind.LINES,
            (Query(f"increase(qat_device_plugin_errors_total{{{_HERE}}}[$__rate_interval])", "{{instance}} {{kind}}"),),
        ),
    ),
)

_KUBERNETES = Row(
    "Kubernetes",
    (
        Panel(
            "Which pod has which VF",
            Kind.TABLE,
            (Query(f'qat_device_plugin_vf_info{{pod!="", {_HERE}}}'),),
            columns=("instance", *_PODS, "container", "resource", "vf", "pf", "numa_node"),
            width=24,
        ),
        Panel(
            "Allocations",
            Kind.LINES,
            (
                Query(
                    f"sum by (resource, result) (increase(qat_device_plugin_allocations_total{{{_HERE}}}[$__rate_interval]))",
                    "{{resource}} {{result}}",
                ),
            ),
            width=8,
        ),
        Panel(
            "Time to answer Allocate, 99th percentile",
            Kind.LINES,
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, resource) "
                    f"(rate(qat_device_plugin_allocation_duration_seconds_bucket{{{_HERE}}}[$__rate_interval])))",
                    "{{resource}}",
                ),
            ),
            unit="s",
            width=8,
        ),
        Panel(
            "Registrations",
            Kind.LINES,
            (
                Query(
                    f"sum by (resource, result) (increase(qat_device_plugin_registrations_total{{{_HERE}}}[$__rate_interval]))",
                    "{{resource}} {{result}}",
                ),
            ),
            width=8,
        ),
        Panel(
            "Age of what kubelet has said of pods",
            Kind.LINES,
            (Query(f"qat_device_plugin_pod_resources_age_seconds{{{_HERE}}}", "{{instance}}"),),
            unit="s",
        ),
        Panel(
            "Age of the last scan",
            Kind.LINES,
            (Query(f"qat_device_plugin_scan_age_seconds{{{_HERE}}}", "{{instance}}"),),
            unit="s",
        ),
    ),
)

ROWS = (_FLEET, _UTILIZATION, _WRONG, _KUBERNETES)
