# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the exporter knows every metric, label, state and flag; and no other."""

from __future__ import annotations

import re

import pytest
from qat_device_plugin._node.devices.activity import (
    COUNTER_FILES,
    Counters,
    PfActivity,
    Telemetry,
    TelemetryState,
)
from qat_device_plugin._node.devices.snapshot import PciFunction, QatDevice
from qat_device_plugin._node.devices.telemetry import (
    _LATENCIES,
    CommandQueue,
    DeviceSample,
    EngineCounters,
    PowerStatus,
    Slice,
)
from qat_device_plugin._node.facts.families import FAMILIES
from qat_device_plugin.attribution import Container
from qat_device_plugin.exporter.collection import Collection, Pods, errors
from qat_device_plugin.exporter.command import _parser
from qat_device_plugin.exporter.exposition import exposition
from qat_device_plugin.exporter.sampling import Use, VfSample

from ansible_collections.accel.qat.tests.unit.docs.test_pages import table, text_of

PAGE = "docs/exporter.md"
PF, VF = "0000:6b:00.0", "0000:6b:00.1"


def whole() -> Collection:
    """A PF of which everything is known, with a VF that a pod has."""
    vf = PciFunction(VF, 0x8086, 0x4941, pf_address=PF)
    function = PciFunction(PF, 0x8086, 0x4940, driver="4xxx")
    ras = {f"errors_{severity}": 0 for severity in ("correctable", "nonfatal", "fatal")}
    device = QatDevice(
        function, next(one for one in FAMILIES if one.name == "4xxx"), 0, "up", frozenset({"dc"}), "dc", ras_errors=ras
    )
    sample = DeviceSample(
        1,
        (Slice("pke", 0, 0.5, 1),),
        1,
        1,
        dict.fromkeys(_LATENCIES.values(), 0.1),
        1,
        1,
        (CommandQueue("cnv", 0, {"wait": 1}),),
    )
    counters = Counters(
        (EngineCounters(0, 1, 1),), 1, 0, 0, PowerStatus("min", {"idle_irq": 1}), {COUNTER_FILES[0]: "why"}
    )

    class WithVf(PfActivity):
        @property
        def vfs(self) -> tuple[PciFunction, ...]:
            return (vf,)

    activity = WithVf(device, Telemetry(TelemetryState.ON, 1, sample), counters)
    container = Container("n", "p", "c")
    samples = (VfSample(VF, PF, container, 0.0, (Use("asym", 1, 1, 0.1),)),)
    return Collection((activity,), samples, Pods({VF: container}, "", 0.0))


def shown() -> list[str]:
    return [line for line in exposition(whole(), errors(), 1.0).decode().splitlines() if "qat_" in line]


def test_metrics_and_their_types() -> None:
    types = {line.split()[2]: line.split()[3] for line in shown() if line.startswith("# TYPE")}
    rows = {name: cells[0] for name, cells in table(PAGE, "metric").items()}
    assert rows == types, f"{PAGE} needs a row for each metric, with its type"


def test_labels() -> None:
    found: dict[str, set[str]] = {}
    for line in shown():
        if not line.startswith("#"):
            found.setdefault(re.split("[ {]", line)[0], set()).update(re.findall(r"(\w+)=", line))
    assert {name: set(re.findall(r"`(\w+)`", cells[1])) for name, cells in table(PAGE, "metric").items()} == found


def test_states() -> None:
    assert list(table(PAGE, "state")) == [state.value for state in TelemetryState]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("qat_pf_latency_seconds", list(_LATENCIES.values())),
        ("qat_exporter_errors_total", list(errors())),
        ("qat_pf_power_events_total", ["idle_irq", "fw_irq", "throttle_irq", "host_ack", "host_nack"]),
    ],
)
def test_values_of_labels(metric: str, words: list[str]) -> None:
    assert set(words) <= set(re.findall(r"`(\w+)`", table(PAGE, "metric")[metric][-1]))


def test_flags() -> None:
    flags = {
        action.option_strings[0]: action for action in _parser()._actions if action.dest not in ("help", "version")
    }
    rows = table(PAGE, "flag")
    assert list(rows) == list(flags), f"{PAGE} needs a row for each flag, in their order"
    for flag, action in flags.items():
        for choice in action.choices or ():
            assert f"`{choice}`" in " ".join(rows[flag])


def test_the_bound_of_the_unit_is_the_tests() -> None:
    assert "says at most 2.5 of 10" in text_of(PAGE)
