# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a gate, on every kubelet from 1.8 to 1.37."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet import gates
from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import (
    ALPHA,
    BETA,
    DEPRECATED,
    GATES,
    NEEDED,
    NEWEST_MINOR,
    OLDEST_MINOR,
    Gate,
    Stage,
    Verdict,
    decide,
    decide_unasked,
    unmet_needs,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import parse_version


@pytest.mark.parametrize(
    ("minor", "wanted", "found", "named", "verdict", "reason"),
    [
        (20, True, None, {"AllBeta": False}, Verdict.SET, "kubelet 1.20 has DevicePlugins off by AllBeta (beta)"),
        (20, True, True, {"AllBeta": False}, Verdict.SET, "kubelet 1.20 has DevicePlugins off by AllBeta (beta)"),
        (20, True, None, {"AllBeta": True}, Verdict.LEAVE_OUT, "kubelet 1.20 has DevicePlugins on by AllBeta (beta)"),
        (20, True, None, {"AllAlpha": False}, Verdict.LEAVE_OUT, "kubelet 1.20 has DevicePlugins on by default (beta)"),
        (9, True, None, {"AllAlpha": True}, Verdict.LEAVE_OUT, "kubelet 1.9 has DevicePlugins on by AllAlpha (alpha)"),
        (9, True, None, {"AllBeta": True}, Verdict.SET, "kubelet 1.9 has DevicePlugins off by default (alpha)"),
        (
            20,
            False,
            None,
            {"AllBeta": False},
            Verdict.LEAVE_OUT,
            "kubelet 1.20 has DevicePlugins off by AllBeta (beta)",
        ),
        (26, True, None, {"AllBeta": False}, Verdict.LEAVE_OUT, "kubelet 1.26 has DevicePlugins on by default (GA)"),
    ],
)
def test_a_gate_that_decides_on_many(
    minor: int, wanted: bool, found: bool | None, named: dict[str, bool], verdict: Verdict, reason: str
) -> None:
    made = decide("DevicePlugins", wanted, minor, found, named=named)
    assert (made.verdict, made.reason) == (verdict, reason)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_gate_that_decides_on_many_counts_where_it_is_named(wanted: bool) -> None:
    made = decide("AllBeta", wanted, 30, offered={"AllBeta": False})
    assert (made.verdict, made.changes) == (Verdict.SET, True)
    assert not decide("AllBeta", wanted, 30, wanted, {"AllBeta": False}).changes


def test_what_is_needed_may_be_off_by_a_gate_that_decides_on_many() -> None:
    """Of two that are named, the one stays on while the other is off."""
    needs = ("ResourceHealthStatusMessage", "ResourceHealthStatus")
    assert needs in unmet_needs({"ResourceHealthStatusMessage": True, "AllBeta": False}, 36)
    assert needs not in unmet_needs({"AllBeta": False}, 36)


MINORS = range(OLDEST_MINOR, NEWEST_MINOR + 1)

# Stated a second time, in another form, from the documentation's pages of gates and the specs of 1.34.4, 1.35.4, 1.36.3 and 1.37.2: for
# each kubelet whether it does not know the gate (-), has it off (0), on (1), locked on (L). From 1.8 on, ten to a word from 1.10 on.
STATES = {
    #                                               8  10          20         30
    "DevicePlugins":                               "00 1111111111 111111LL-- --------",
    "KubeletPodResources":                         "-- ---0011111 11111111LL --------",
    "KubeletPodResourcesGetAllocatable":           "-- ---------- -0011111LL --------",
    "KubeletPodResourcesGet":                      "-- ---------- -------000 000011LL",
    "KubeletPodResourcesDynamicResources":         "-- ---------- -------000 000011LL",
    "KubeletPodResourcesListUseActivePods":        "-- ---------- ---------- ----1111",
    "TopologyManager":                             "-- ------0011 1111111LL- --------",
    "TopologyManagerPolicyOptions":                "-- ---------- ------0011 111111LL",
    "TopologyManagerPolicyAlphaOptions":           "-- ---------- ------0000 00000000",
    "TopologyManagerPolicyBetaOptions":            "-- ---------- ------0011 11111111",
    "CPUManager":                                  "00 1111111111 111111LLLL LLL-----",
    "CPUManagerPolicyOptions":                     "-- ---------- --01111111 111LLLLL",
    "CPUManagerPolicyAlphaOptions":                "-- ---------- ---0000000 00000000",
    "CPUManagerPolicyBetaOptions":                 "-- ---------- ---1111111 11111111",
    "MemoryManager":                               "-- ---------- -011111111 11LLLL--",
    "DevicePluginCDIDevices":                      "-- ---------- --------01 1LLL----",
    "DynamicResourceAllocation":                   "-- ---------- ------0000 00001LLL",
    "ResourceHealthStatus":                        "-- ---------- ---------- -0000011",
    "ResourceHealthStatusMessage":                 "-- ---------- ---------- ------11",
    "DRAExtendedResource":                         "-- ---------- ---------- ----001L",
    "DRADeviceTaints":                             "-- ---------- ---------- ---00011",
    "DRADeviceTaintRules":                         "-- ---------- ---------- -----001",
    "DRAConsumableCapacity":                       "-- ---------- ---------- ----0011",
    "DRAPartitionableDevices":                     "-- ---------- ---------- ---00011",
    "DRAResourceClaimDeviceStatus":                "-- ---------- ---------- --01111L",
    "DRADeviceBindingConditions":                  "-- ---------- ---------- ----0011",
    "DRAResourceClaimGranularStatusAuthorization": "-- ---------- ---------- ------11",
    "DRAPrioritizedList":                          "-- ---------- ---------- ---0111L",
    "DRAAdminAccess":                              "-- ---------- ---------- --0011LL",
    "PodLevelResources":                           "-- ---------- ---------- --001111",
    "PodLevelResourceManagers":                    "-- ---------- ---------- ------00",
    "PodLevelResourcesFixDefaulting":              "-- ---------- ---------- -------1",
    "InPlacePodVerticalScaling":                   "-- ---------- -------000 00011LLL",
    "InPlacePodLevelResourcesVerticalScaling":     "-- ---------- ---------- -----011",
    "InPlacePodVerticalScalingExclusiveCPUs":      "-- ---------- ---------- --000000",
    "InPlacePodVerticalScalingExclusiveMemory":    "-- ---------- ---------- ----0000",
    "InPlacePodVerticalScalingInitContainers":     "-- ---------- ---------- ------1L",
    "NodeDeclaredFeatures":                        "-- ---------- ---------- -----01L",
    "ContainerRestartRules":                       "-- ---------- ---------- ----0111",
    "RestartAllContainersOnContainerExits":        "-- ---------- ---------- -----011",
    "ExtendWebSocketsToKubelet":                   "-- ---------- ---------- ------11",
    "PodsAPI":                                     "-- ---------- ---------- ------01",
    "UserNamespacesSupport":                       "-- ---------- --------00 000111LL",
    "UserNamespacesHostNetworkSupport":            "-- ---------- ---------- -----000",
    "ProcMountType":                               "-- --00000000 0000000000 000111LL",
    "MemoryQoS":                                   "-- ---------- --00000000 00000001",
    "DisableCPUQuotaWithExclusiveCPUs":            "-- ---------- ---------- ---1111L",
    "CustomCPUCFSQuotaPeriod":                     "-- --00000000 0000000000 00000011",
    "KubeletPluginsWatcher":                       "-- -011111--- ---------- --------",
    "DynamicKubeletConfig":                        "00 0111111111 110000---- --------",
}  # fmt: skip

EACH = pytest.mark.parametrize(("name", "states"), STATES.items(), ids=STATES)


def on_each_kubelet(states: str) -> t.Iterator[tuple[int, str]]:
    return zip(MINORS, states.replace(" ", ""))


def test_the_second_table_is_whole() -> None:
    assert {len(states.replace(" ", "")) for states in STATES.values()} == {len(MINORS)}
    assert set(STATES) == {gate.name for gate in GATES}


@EACH
def test_every_gate_on_every_kubelet(name: str, states: str) -> None:
    for minor, state in on_each_kubelet(states):
        on, off = decide(name, True, minor), decide(name, False, minor)
        if state == "-":
            assert {on.verdict, off.verdict} <= {Verdict.REFUSE, Verdict.LEAVE_OUT}, minor
            # What is always as wanted needs no gate; what is not there yet, or is wanted otherwise, cannot be had.
            assert off.verdict is Verdict.REFUSE or name == "DynamicKubeletConfig", minor
        elif state == "L":
            assert (on.verdict, off.verdict) == (Verdict.LEAVE_OUT, Verdict.REFUSE), minor
        else:
            expected = (Verdict.LEAVE_OUT, Verdict.SET) if state == "1" else (Verdict.SET, Verdict.LEAVE_OUT)
            assert (on.verdict, off.verdict) == expected, minor
        assert on.changes == (on.verdict is Verdict.SET), minor


@EACH
def test_a_gate_that_stops_the_kubelet_goes_unasked(name: str, states: str) -> None:
    for minor, state in on_each_kubelet(states):
        for found in (True, False):
            stops = state == "-" or (state == "L" and not found)
            decision = decide_unasked(name, found, minor)
            assert (decision is not None) == stops, minor
            if decision is not None:
                assert decision.verdict is Verdict.REMOVE, minor
                assert decision.changes, minor


@pytest.mark.parametrize("minor", MINORS)
def test_what_qat_needs_is_never_refused_and_never_stops_the_kubelet(minor: int) -> None:
    for name in NEEDED:
        state = STATES[name].replace(" ", "")[minor - OLDEST_MINOR]
        for found in (None, True, False):
            decision = decide(name, True, minor, found, needed_only=True)
            assert decision.verdict is not Verdict.REFUSE
            after = True if decision.verdict is Verdict.SET else None if decision.verdict is Verdict.REMOVE else found
            if after is not None:
                assert decide_unasked(name, after, minor) is None
            assert (decision.verdict is Verdict.SET) == (state == "0")
            # Where there is such a gate, it is on in the end.
            assert state == "-" or after is True or (after is None and state in "1L")


@pytest.mark.parametrize(
    ("name", "wanted", "minor", "found", "verdict", "reason"),
    [
        ("DevicePlugins", True, 9, None, "set", "kubelet 1.9 has DevicePlugins off by default (alpha)"),
        ("DevicePlugins", True, 20, None, "leave out", "kubelet 1.20 has DevicePlugins on by default (beta)"),
        (
            "DevicePlugins",
            True,
            20,
            False,
            "remove",
            "kubelet 1.20 has DevicePlugins on by default (beta), and the configuration says otherwise",
        ),
        (
            "DevicePlugins",
            True,
            28,
            True,
            "remove",
            "kubelet 1.28 does not know DevicePlugins since 1.28: it is always on, and would not start with the gate",
        ),
        (
            "DevicePlugins",
            False,
            28,
            None,
            "refuse",
            "kubelet 1.28 does not know DevicePlugins since 1.28: it is always on",
        ),
        (
            "DevicePlugins",
            False,
            27,
            None,
            "refuse",
            "kubelet 1.27 has DevicePlugins locked to true, and would not start",
        ),
        (
            "TopologyManager",
            True,
            15,
            None,
            "refuse",
            "kubelet 1.15 does not know TopologyManager before 1.16, and would not start with it",
        ),
        (
            "MemoryManager",
            True,
            36,
            True,
            "remove",
            "kubelet 1.36 does not know MemoryManager since 1.36: it is always on, and would not start with the gate",
        ),
        (
            "TopologyManagerPolicyOptions",
            False,
            36,
            None,
            "refuse",
            "kubelet 1.36 has TopologyManagerPolicyOptions locked to true, and would not start",
        ),
        (
            "CPUManagerPolicyOptions",
            True,
            36,
            True,
            "leave out",
            "kubelet 1.36 has CPUManagerPolicyOptions on by default (GA)",
        ),
        (
            "DRAExtendedResource",
            True,
            37,
            None,
            "leave out",
            "kubelet 1.37 has DRAExtendedResource on by default (GA)",
        ),
        (
            "Bogus",
            True,
            30,
            None,
            "refuse",
            "kubelet 1.30 is not known to have a gate Bogus, and with it would not start",
        ),
    ],
)
def test_the_reason_is_one_sentence(
    name: str, wanted: bool, minor: int, found: bool | None, verdict: str, reason: str
) -> None:
    decision = decide(name, wanted, minor, found)
    assert decision.as_dict() == {"gate": name, "verdict": verdict, "reason": reason}


def test_a_gate_that_only_the_kubelet_knows() -> None:
    offered = {"NodeSwap": False}
    assert decide("NodeSwap", True, 28, None, offered).verdict is Verdict.SET
    assert decide("NodeSwap", False, 28, None, offered).verdict is Verdict.LEAVE_OUT
    assert decide("NodeSwap", True, 28, None, {}).verdict is Verdict.REFUSE
    assert decide_unasked("NodeSwap", True, 28) is None


WITHOUT_DECLARED_FEATURES = dict.fromkeys(
    (
        "NodeDeclaredFeatures",
        "InPlacePodLevelResourcesVerticalScaling",
        "InPlacePodVerticalScalingInitContainers",
        "RestartAllContainersOnContainerExits",
        "ExtendWebSocketsToKubelet",
    ),
    False,
)


@pytest.mark.parametrize(
    ("values", "minor", "unmet"),
    [
        ({"ResourceHealthStatus": False}, 35, []),
        ({"ResourceHealthStatus": False}, 36, [("ResourceHealthStatusMessage", "ResourceHealthStatus")]),
        ({"ResourceHealthStatus": False, "ResourceHealthStatusMessage": False}, 36, []),
        ({"ResourceHealthStatus": True, "DynamicResourceAllocation": False}, 34, []),
        ({"PodLevelResources": False}, 35, []),
        ({"PodLevelResources": False}, 36, [("InPlacePodLevelResourcesVerticalScaling", "PodLevelResources")]),
        (
            {"PodLevelResources": False, "InPlacePodLevelResourcesVerticalScaling": False},
            37,
            [("PodLevelResourcesFixDefaulting", "PodLevelResources")],
        ),
        ({"UserNamespacesSupport": False}, 35, [("ProcMountType", "UserNamespacesSupport")]),
        ({"UserNamespacesHostNetworkSupport": True}, 35, []),
        ({"DRADeviceTaints": False}, 36, []),
        ({"DRADeviceTaints": False}, 37, [("DRADeviceTaintRules", "DRADeviceTaints")]),
        ({"DRADeviceTaintRules": True, "DRADeviceTaints": False}, 36, [("DRADeviceTaintRules", "DRADeviceTaints")]),
        ({"UserNamespacesHostNetworkSupport": True, **WITHOUT_DECLARED_FEATURES}, 35, []),
        (
            {"UserNamespacesHostNetworkSupport": True, **WITHOUT_DECLARED_FEATURES},
            36,
            [("UserNamespacesHostNetworkSupport", "NodeDeclaredFeatures")],
        ),
        ({"Bogus": True}, 37, []),
    ],
)
def test_what_gates_need(values: dict[str, bool], minor: int, unmet: list[tuple[str, str]]) -> None:
    assert unmet_needs(values, minor) == unmet


@pytest.mark.parametrize("minor", MINORS)
def test_without_a_word_every_need_is_met(minor: int) -> None:
    assert unmet_needs({}, minor) == []


def test_every_kubelet_that_insists_on_a_need_knows_it() -> None:
    by_name = {gate.name: gate for gate in GATES}
    needs = [(need, since) for gate in GATES for need, since in gate.needs.items()]
    assert [
        need for need, since in needs for minor in range(since, NEWEST_MINOR + 1) if not by_name[need].known_to(minor)
    ] == []


@pytest.mark.parametrize(
    ("name", "minor", "before", "stage"),
    [
        ("DynamicResourceAllocation", 32, "alpha", "beta"),
        ("UserNamespacesSupport", 30, "alpha", "beta"),
        ("ProcMountType", 31, "alpha", "beta"),
        ("PodLevelResourceManagers", 37, "alpha", "beta"),
        ("KubeletPluginsWatcher", 13, "beta", "GA"),
        ("TopologyManagerPolicyOptions", 32, "beta", "GA"),
        ("DRAPrioritizedList", 36, "beta", "GA"),
        ("DRADeviceTaints", 37, "beta", "GA"),
        ("DisableCPUQuotaWithExclusiveCPUs", 36, "beta", "deprecated"),
    ],
)
def test_a_stage_that_changes_no_default(name: str, minor: int, before: str, stage: str) -> None:
    """It decides whether AllAlpha and AllBeta decide on the gate."""
    reasons = [decide(name, True, each).reason for each in (minor - 1, minor)]
    assert [reason.rpartition(" ")[2] for reason in reasons] == [f"({before})", f"({stage})"]


class TestABuildThatOnlyWarns:
    """OpenShift's: nobody reads that it would not start with a gate that it does not know."""

    @pytest.mark.parametrize(
        ("said", "ignores"),
        [
            ("Kubernetes v1.29.8+f10c92d", True),
            ("Kubernetes v1.36.3+0a1b2c3d4e", True),
            ("Kubernetes v1.36.3", False),
            ("k3s version v1.31.4+k3s1 (a1b2c3d4)", False),
            ("rke2 version v1.31.4+rke2r1 (a1b2c3d4)", False),
            ("Kubernetes v1.31.0-alpha.3.12+0a1b2c3d4e5f67", False),
            ("openshift v3.9.0\nkubernetes v1.9.1+a0ce1bc657", False),
        ],
    )
    def test_which_it_is(self, said: str, ignores: bool) -> None:
        assert parse_version(said).ignores_unknown_gates is ignores

    @EACH
    def test_every_gate(self, name: str, states: str) -> None:
        for minor, state in on_each_kubelet(states):
            for found in (True, False):
                decision = decide_unasked(name, found, minor, ignores_unknown=True)
                assert (decision is not None) == (state == "L" and not found), minor
                for wanted in (True, False):
                    decision = decide(name, wanted, minor, found, ignores_unknown=True)
                    assert "not start" not in decision.reason or state == "L", minor
                    assert not (decision.changes and state == "-"), minor
                needed = decide(name, True, minor, found, needed_only=True, ignores_unknown=True)
                assert not (needed.changes and state == "-"), minor

    def test_one_that_nobody_knows(self) -> None:
        decision = decide("Bogus", True, 30, ignores_unknown=True)
        assert (decision.verdict, decision.reason) == (
            Verdict.REFUSE,
            "kubelet 1.30 is not known to have a gate Bogus, and it would be ignored",
        )


def test_a_gate_that_stands_as_wanted_changes_nothing() -> None:
    decision = decide("DevicePlugins", True, 9, True)
    assert (decision.verdict, decision.changes) == (Verdict.SET, False)


def test_a_gate_that_is_gone_stays_as_its_last_stage_had_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (Stage(8, ALPHA, False), Stage(10, BETA, True), Stage(20, DEPRECATED, False))
    monkeypatch.setattr(gates, "find_gate", lambda name: Gate(name, "what was given up", stages, removed=25))
    off, on = (decide("GivenUp", wanted, 25) for wanted in (False, True))
    assert (off.verdict, on.verdict) == (Verdict.LEAVE_OUT, Verdict.REFUSE)
    assert on.reason == "kubelet 1.25 does not know GivenUp since 1.25: it is always off"


def test_the_table_is_in_order() -> None:
    for gate in GATES:
        since = [stage.since for stage in gate.stages]
        assert since == sorted(set(since)), gate.name
        assert gate.removed is None or gate.removed > since[-1], gate.name
        # Out of a kubelet's sight it is what it was last, so it must have been settled by then.
        assert gate.removed is None or gate.stages[-1].name in ("GA", "deprecated"), gate.name
