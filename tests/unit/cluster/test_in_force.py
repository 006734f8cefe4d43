# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked, compared with what kubelet reports of itself."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import (
    Asked,
    InForce,
    NotInForceError,
    Said,
    compare,
    reported_by,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

FILE = "/var/lib/kubelet/config.yaml"
GATE = "featureGates.NodeSwap"


def reported(**fields: t.Any) -> dict[str, t.Any]:
    """What kubelet reports with these fields, in their normal form."""
    return reported_by({"kubeletconfig": {"syncFrequency": "1m0s", **fields}})


def in_force(one: Asked, **fields: t.Any) -> list[t.Any]:
    """What is in force instead, empty where it is what was asked."""
    return [difference.in_force for difference in compare([one], reported(**fields))]


@pytest.mark.parametrize(
    ("field", "wanted", "fields"),
    [
        ("topologyManagerPolicy", "restricted", {"topologyManagerPolicy": "restricted"}),
        ("kubeReserved.memory", "1Gi", {"kubeReserved": {"memory": "1024Mi"}}),
        ("kubeReserved.memory", "1Gi", {"kubeReserved": {"memory": 1073741824}}),
        ("kubeReserved.cpu", "500m", {"kubeReserved": {"cpu": "0.5"}}),
        ("kubeReserved.cpu", "1", {"kubeReserved": {"cpu": "1000m", "memory": "1Gi"}}),
        ("evictionHard.memory.available", "1Gi", {"evictionHard": {"memory.available": "1048576Ki"}}),
        ("evictionHard.nodefs.available", "10%", {"evictionHard": {"nodefs.available": "10.0%"}}),
        ("evictionHard.nodefs.available", "0%", {"evictionHard": {"nodefs.available": "0%"}}),
        ("reservedSystemCPUs", "0-1,8", {"reservedSystemCPUs": "8,0,1"}),
        ("reservedSystemCPUs", "0-3", {"reservedSystemCPUs": "0-1,2-3"}),
        ("cpuManagerPolicyOptions.full-pcpus-only", "true", {"cpuManagerPolicyOptions": {"full-pcpus-only": "true"}}),
        ("failCgroupV1", False, {"failCgroupV1": False}),
        (GATE, True, {"featureGates": {"NodeSwap": True}}),
        (
            "reservedMemory",
            [{"numaNode": 0, "limits": {"memory": "1Gi"}}, {"numaNode": 1, "limits": {"memory": "1Gi"}}],
            {
                "reservedMemory": [
                    {"numaNode": 1, "limits": {"memory": "1024Mi"}},
                    {"numaNode": 0, "limits": {"memory": "1Gi"}},
                ]
            },
        ),
    ],
)
def test_another_spelling_is_no_difference(field: str, wanted: t.Any, fields: dict[str, t.Any]) -> None:
    assert in_force(Asked(field, wanted), **fields) == []


@pytest.mark.parametrize(
    ("field", "wanted", "fields", "found"),
    [
        ("topologyManagerPolicy", "restricted", {"topologyManagerPolicy": "none"}, "none"),
        ("topologyManagerPolicy", "restricted", {}, None),
        ("topologyManagerPolicy", "restricted", {"topologyManagerPolicy": ""}, ""),
        ("kubeReserved.memory", "1Gi", {"kubeReserved": {"memory": "1G"}}, "1G"),
        ("kubeReserved.memory", "1Gi", {"kubeReserved": {"cpu": "1"}}, None),
        ("kubeReserved.memory", "1Gi", {}, None),
        ("evictionHard.nodefs.available", "10%", {"evictionHard": {"nodefs.available": "10"}}, "10"),
        ("evictionHard.nodefs.available", "10%", {"evictionHard": {"nodefs.available": "5%"}}, "5%"),
        ("reservedSystemCPUs", "0-1", {"reservedSystemCPUs": "0,2"}, "0,2"),
        ("reservedSystemCPUs", "0-1", {"reservedSystemCPUs": "some"}, "some"),
        ("cpuManagerPolicyOptions.full-pcpus-only", "true", {"cpuManagerPolicyOptions": {"a": "true"}}, None),
        ("failCgroupV1", False, {"failCgroupV1": True}, True),
        ("failCgroupV1", False, {"failCgroupV1": "false"}, "false"),
        ("failCgroupV1", False, {}, None),
        (GATE, True, {"featureGates": {"NodeSwap": False}}, False),
        (GATE, True, {"featureGates": {"Other": True}}, None),
        (
            "reservedMemory",
            [{"numaNode": 0, "limits": {"memory": "1Gi"}}],
            {"reservedMemory": [{"numaNode": 1, "limits": {"memory": "1Gi"}}]},
            '[{"numaNode": 1, "limits": {"memory": "1Gi"}}]',
        ),
        ("reservedMemory", [{"numaNode": 0, "limits": {"memory": "1Gi"}}], {"reservedMemory": "x"}, "x"),
    ],
)
def test_another_value_is_a_difference(field: str, wanted: t.Any, fields: dict[str, t.Any], found: t.Any) -> None:
    assert in_force(Asked(field, wanted), **fields) == [found]


@pytest.mark.parametrize(
    ("unsaid", "fields", "found"),
    [
        (True, {}, []),
        (True, {"featureGates": {}}, []),
        (False, {}, [False]),
        (False, {"featureGates": {"AllBeta": True}}, []),
        (True, {"featureGates": {"AllBeta": False}}, [False]),
        (True, {"featureGates": {"AllAlpha": False}}, []),
        (True, {"featureGates": {"AllBeta": False, "NodeSwap": True}}, []),
    ],
)
def test_a_gate_that_kubelet_does_not_name(unsaid: bool, fields: dict[str, t.Any], found: list[bool]) -> None:
    assert in_force(Asked(GATE, True, unsaid=unsaid, group="AllBeta"), **fields) == found


def test_an_empty_list_is_one_that_is_left_out() -> None:
    assert in_force(Asked("reservedMemory", [], unsaid=[])) == []
    assert in_force(Asked("topologyManagerScope", "container", unsaid="container")) == []


def test_cpus_that_are_reserved_by_number_are_overwritten() -> None:
    asked = [Asked("kubeReserved.cpu", "1"), Asked("systemReserved.cpu", "500m"), Asked("kubeReserved.memory", "1Gi")]
    # As a kubelet reports that has counted the CPUs.
    counted = {"kubeReserved": {"memory": "1Gi"}, "systemReserved": {"cpu": "2"}}
    assert compare(asked, reported(reservedSystemCPUs="0-1", **counted)) == ()
    assert [one.field for one in compare(asked, reported(**counted))] == ["kubeReserved.cpu", "systemReserved.cpu"]


OTHERS = (Said("/etc/kubelet.conf.d/20-site.conf", "best-effort"), Said("the files before", "single-numa-node"))


@pytest.mark.parametrize(
    ("found", "layer"),
    [
        ("best-effort", "/etc/kubelet.conf.d/20-site.conf"),
        ("single-numa-node", "the files before"),
        ("none", "kubelet's own default"),
        ("another", "kubelet's command line"),
    ],
)
def test_the_layer_that_may_have_won(found: str, layer: str) -> None:
    asked = Asked("topologyManagerPolicy", "restricted", FILE, "none", others=OTHERS)
    (difference,) = compare([asked], reported(topologyManagerPolicy=found))
    assert difference.layer == layer
    assert difference.sentence() == (
        f"topologyManagerPolicy is {found} in force and not restricted, which {FILE} says; it may come from {layer}"
    )


def test_a_flag_that_does_not_count() -> None:
    asked = Asked("topologyManagerPolicy", "restricted", "kubelet's command line", "none")
    (difference,) = compare([asked], reported(topologyManagerPolicy="best-effort"))
    assert difference.layer == "an argument or a file that is not seen here"


def test_a_gate_of_many_is_named() -> None:
    (difference,) = compare(
        [Asked(GATE, True, unsaid=True, group="AllBeta")], reported(featureGates={"AllBeta": False})
    )
    assert difference.sentence() == (
        "featureGates.NodeSwap is false in force and not true; it may come from featureGates.AllBeta"
    )


def test_all_differences_are_one_failure() -> None:
    asked = [Asked("kubeReserved.cpu", "1", FILE), Asked("failCgroupV1", False, FILE, others=(Said("x", True),))]
    error = NotInForceError("node node1", compare(asked, reported(failCgroupV1=True)))
    assert error.sentence() == (
        f"kubelet of node node1: kubeReserved.cpu is not set in force and not 1, which {FILE} says; it may come from kubelet's own "
        f"default, and failCgroupV1 is true in force and not false, which {FILE} says; it may come from x; see what kubelet is "
        "started with, and restart it"
    )
    assert error.in_force.as_dict() == {
        "verified": False,
        "reason": error.problem,
        "differences": [
            {
                "field": "kubeReserved.cpu",
                "wanted": "1",
                "in_force": None,
                "where": FILE,
                "layer": "kubelet's own default",
            },
            {"field": "failCgroupV1", "wanted": False, "in_force": True, "where": FILE, "layer": "x"},
        ],
    }
    assert InForce(True).as_dict() == {"verified": True, "reason": "", "differences": []}


def test_what_kubelet_says_is_shown_in_one_line_and_not_at_length() -> None:
    (difference,) = compare(
        [Asked("topologyManagerPolicy", "none")], reported(topologyManagerPolicy="\x1b[2J\n" + "x" * 5000)
    )
    assert difference.in_force.startswith("\\x1b[2J\\x0ax")
    assert len(difference.in_force) < 300


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"kubeletconfig": None},
        {"kubeletconfig": []},
        {"kubeletconfig": {}},
        {"kubeletconfig": {"SyncFrequency": "1m0s", "FeatureGates": {}}},
        {"componentconfig": {"syncFrequency": "1m0s"}},
        {"kind": "Status", "status": "Success"},
    ],
)
def test_what_is_no_configuration_of_kubelet_proves_nothing(answer: dict[str, t.Any]) -> None:
    with pytest.raises(NodeError, match=r"^/configz: what it answers is no KubeletConfiguration of v1beta1; "):
        reported_by(answer)


@pytest.mark.parametrize(
    "fields", [{"featureGates": {"NodeSwap": "yes"}}, {"kubeReserved": "cpu=1"}, {"evictionHard": []}]
)
def test_what_no_kubelet_says_proves_nothing(fields: dict[str, t.Any]) -> None:
    with pytest.raises(NodeError, match=r"^/configz: ") as caught:
        reported(**fields)
    assert caught.value.kind == "node"


def test_only_fields_that_are_set_here_are_kept() -> None:
    """The rest may have secrets, such as staticPodURLHeader."""
    reported = reported_by({"kubeletconfig": {"syncFrequency": "1m0s", "staticPodURLHeader": {"a": ["secret"]}}})
    assert reported == {}


def test_what_was_asked_travels_as_json() -> None:
    asked = Asked("reservedMemory", [{"numaNode": 0, "limits": {"memory": "1Gi"}}], FILE, [], others=(Said(FILE, []),))
    assert Asked.of(json.loads(json.dumps(asked.as_dict()))) == asked
