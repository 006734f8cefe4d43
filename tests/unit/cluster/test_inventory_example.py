# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of an inventory that is made of a cluster's nodes, with a kubectl that shows some."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tests.unit.cluster.drain_site import Site
from ansible_collections.accel.qat.tests.unit.plugins.local import CONNECTION
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, VENV, common_environment

NFD = "feature.node.kubernetes.io/pci-0b40_8086.present"
QAT = "qat.feature.node.kubernetes.io/present"
DC = "qat.feature.node.kubernetes.io/service.dc"
INTEL = "intel.feature.node.kubernetes.io/qat"
ZONE = "topology.kubernetes.io/zone"


def node(name: str, labels: dict[str, str], **spec: t.Any) -> dict[str, t.Any]:
    """As kubectl shows it, with what else its status has of addresses."""
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": f"192.0.2.{len(name)}"}]
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"addresses": addresses}}


def of_addresses(name: str, *addresses: tuple[str, str]) -> dict[str, t.Any]:
    """A node with these addresses, each with its type."""
    said = [{"type": kind, "address": address} for kind, address in addresses]
    return {"metadata": {"name": name, "labels": {}}, "spec": {}, "status": {"addresses": said}}


NODES = [
    node("by-nfd", {NFD: "true", ZONE: "a"}),
    node("by-rule", {QAT: "true"}),
    node("by-plugin", {QAT: "true", DC: "true"}),
    node("by-intel", {INTEL: "true", ZONE: "b-1"}, unschedulable=True),
    node("without", {"kubernetes.io/os": "linux", ZONE: "a"}),
    node("network-only", {"feature.node.kubernetes.io/pci-0200_8086.present": "true"}),
    node("said-no", {NFD: "false"}),
    # With both families of IP, the cluster's own first.
    of_addresses("both", ("InternalIP", "192.0.2.99"), ("InternalIP", "2001:db8::99"), ("Hostname", "both")),
    # What a kubelet says that nobody should believe.
    of_addresses("template", ("InternalIP", "{{ lookup('pipe', 'id') }}"), ("Hostname", "{{ 1 + 1 }}")),
    of_addresses("option", ("InternalIP", "-oProxyCommand=id"), ("Hostname", "-oProxyCommand=id")),
    of_addresses("named", ("ExternalIP", "198.51.100.1"), ("Hostname", "named.example.com")),
    # As an object made by hand, before there is a kubelet.
    {"metadata": {"name": "bare"}, "spec": {}, "status": {}},
]


class Controller:
    """Has the example as a directory, and a kubectl."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.inventory = directory / "inventory"
        shutil.copytree(CHECKOUT / "examples/inventory", self.inventory)
        (directory / "bin").mkdir()
        self.kubectl('case "$*" in "get nodes --output=json "*) cat "${0%/bin/kubectl}/nodes.json";; *) exit 64;; esac')
        (directory / "nodes.json").write_text(json.dumps({"kind": "List", "items": NODES}))

    def kubectl(self, does: str) -> None:
        path = self.directory / "bin/kubectl"
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **common_environment(),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.directory / "facts"),
            "PATH": f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.run(
            [VENV / "bin" / command, "--inventory", self.inventory, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=environment,
        )

    def groups(self) -> dict[str, t.Any]:
        done = self.run("ansible-inventory", "--list")
        assert done.returncode == 0, done.stderr
        # A file of the directory that is no source would be warned of.
        assert done.stderr == ""
        found: dict[str, t.Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def members(groups: dict[str, t.Any]) -> dict[str, list[str]]:
    return {name: sorted(group["hosts"]) for name, group in groups.items() if name != "_meta" and "hosts" in group}


def test_nodes_with_a_label_of_nfd_are_qat_nodes(controller: Controller) -> None:
    groups = controller.groups()
    names = sorted(node["metadata"]["name"] for node in NODES)
    assert members(groups) == {
        "kubernetes_nodes": names,
        "qat_nodes": ["by-intel", "by-nfd", "by-plugin", "by-rule"],
        "qat_compression_nodes": ["by-plugin"],
        "cordoned_nodes": ["by-intel"],
        "zone_a": ["by-nfd", "without"],
        "zone_b_1": ["by-intel"],
    }
    variables = groups["_meta"]["hostvars"]
    assert variables["by-nfd"]["ansible_host"] == "192.0.2.6"
    assert "ansible_host" not in variables["bare"]


def test_an_address_is_one_of_ip_or_a_name(controller: Controller) -> None:
    variables = controller.groups()["_meta"]["hostvars"]
    found = {name: variables[name].get("ansible_host") for name in ("both", "template", "option", "named")}
    assert found == {"both": "192.0.2.99", "template": None, "option": None, "named": "named.example.com"}


def test_without_the_cluster_there_is_no_inventory(controller: Controller) -> None:
    """Not one without hosts, with which a playbook would end well."""
    controller.kubectl("echo 'The connection to the server was refused' >&2; exit 1")
    done = controller.run("ansible-inventory", "--list")
    assert "The connection to the server was refused" in done.stderr
    assert "no inventory: kubectl get nodes" in done.stderr


def test_nodes_that_were_asked_are_in_groups_by_family(controller: Controller, site: Site) -> None:
    (play,) = yaml.safe_load((CHECKOUT / "examples/families.yml").read_text())
    playbook = site.of_node(play)
    (controller.inventory / "group_vars").mkdir()
    (controller.inventory / "group_vars/all.yml").write_text(json.dumps(CONNECTION))
    done = controller.run("ansible-playbook", "--limit", "by-nfd", playbook)
    assert done.returncode == 0, done.stdout + done.stderr
    assert members(controller.groups())["family_4xxx"] == ["by-nfd"]
