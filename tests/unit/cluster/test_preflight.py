# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook preflight sees what would stop the playbook site, all of it at once, and changes nothing."""

from __future__ import annotations

import hashlib
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import COMPRESSION, STATIC, Site, one
from ansible_collections.accel.qat.tests.unit.cluster.site import PF, VF0

NODE: dict[str, t.Any] = {"qat_node_devices": COMPRESSION}
CLUSTER: dict[str, t.Any] = {
    **NODE,
    "qat_kubernetes": True,
    "qat_drain": True,
    "qat_verify": True,
    "qat_kubelet_when_missing": "fail",
    "qat_device_plugin_python": sys.executable,
    # Packed elsewhere: to pack takes a package index.
    "qat_device_plugin_release": "0.1.0-0123456789",
}


def findings(run: Run) -> dict[str, tuple[str, str]]:
    """State and text of each finding by what was looked at."""
    made = one(run, "Make findings of what was seen").result["ansible_facts"]["__qat_preflight"]["findings"]
    return {found["what"]: (found["state"], found["found"]) for found in made}


def lacking(run: Run) -> list[str]:
    """The reasons with which the run failed, all in one message."""
    assert run.code != 0, run.output
    said: list[str] = run.tasks[-1].result["msg"]
    first, *reasons = said
    assert first == "accel.qat.site would stop on node1"
    return list(reasons)


def files_below(root: Path) -> dict[str, str]:
    """What is there, but for what Ansible itself and the fake kubelet keep there."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "other"
        for path in sorted(root.rglob("*"))
        if path.relative_to(root).parts[0] in ("n", "boots", "kubelet", "bin")
    }


@pytest.mark.core
@pytest.mark.usefixtures("kubelet")
def test_it_changes_nothing_without_check_mode(site: Site) -> None:
    """Though the run has pods to evict, devices, kubelet and kernel arguments to change."""
    site.give("default/one", VF0)
    before = files_below(site.root)
    run = site.preflight(**{**CLUSTER, "qat_kubelet_configuration": STATIC, "qat_node_kernel_arguments": ["quiet"]})
    assert [task.name for task in run.tasks if task.changed] == []
    assert files_below(site.root) == before
    assert {method for method, path, _body in site.cluster.requests if "authorization" not in path} == {"GET"}
    assert (site.cluster.pod_names(), site.cluster.cordoned()) == (["default/one"], (False, []))
    found = findings(run)
    assert found["the QAT devices"][0] == "ok", run.output
    assert found["kubelet"] == ("ok", "kubeadm, 1.27.4, to be configured")
    assert {found[f"the API server, to {what}"][0] for what in ("drain", "verify")} == {"ok"}


@pytest.mark.core
def test_all_that_would_stop_the_run_is_in_one_message(site: Site) -> None:
    site.cluster.forbidden = {"create pods/eviction"}
    run = site.preflight(
        **{
            **CLUSTER,
            "qat_node_devices": [{"services": ["dc", "dcc"]}],
            "qat_drian": True,
            "qat_node_load_modules": ["a b"],
        }
    )
    reasons = lacking(run)
    for number, part in enumerate(
        (
            "qat_drian is not a variable of accel.qat; the nearest is qat_drain",
            'qat_node_load_modules: "a b" is no name of a kernel module',
            "devices[0].services: ",
            "no kubelet is found on this node",
            "these credentials may not create pods/eviction",
        )
    ):
        assert part in reasons[number], reasons
    assert len(reasons) == 5, reasons
    # The table has them too.
    shown = one(run, "Show the findings").result["msg"]
    assert {f"- {reason}" for reason in reasons} <= set(shown)


@pytest.mark.usefixtures("kubelet")
def test_a_daemonset_needs_rights_of_its_own_an_image_and_no_release(site: Site) -> None:
    site.cluster.forbidden = {"update daemonsets"}
    # Such a Python would be refused where a release is packed for it.
    wanted = {**CLUSTER, "qat_device_plugin_deploy": "daemonset", "qat_device_plugin_python": "/none"}
    reasons = lacking(site.preflight(**wanted))
    assert reasons[0].startswith("qat_device_plugin_image: it is not set")
    assert "these credentials may not update daemonsets.apps in namespace accel-qat" in reasons[1]
    assert len(reasons) == 2, reasons
    site.cluster.forbidden = set()
    found = findings(site.preflight(**wanted, qat_device_plugin_image="registry.example/plugin:1"))
    assert found["the API server, to have the DaemonSet"] == ("ok", "can be used")
    assert found["the device plugin's release"] == ("ok", "can be had")


def test_a_node_without_kubernetes_is_asked_for_nothing_of_it(site: Site) -> None:
    run = site.preflight(**NODE)
    assert run.code == 0, run.output
    assert site.cluster.requests == []
    assert set(findings(run)) >= {"kernel", "IOMMU", "kernel arguments", f"PF {PF}", "the QAT devices"}
    assert not {"kubelet", "cgroups"} & set(findings(run))


def test_a_node_without_rules(site: Site) -> None:
    """The role itself refuses it, before it looks."""
    (reason,) = lacking(site.preflight())
    assert "missing required arguments: qat_node_devices" in reason
