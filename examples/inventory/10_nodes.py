#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory of the nodes of a Kubernetes cluster, as kubectl shows them: each is a host of the group kubernetes_nodes.

Which of them are QAT nodes is said by 20_qat_nodes.yml, by what is here in the variable node_labels of each host.
Its name in the inventory is that of the node, and the address is the node's own.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys


def address_of(node):
    """Where the node is reached, None where the cluster knows no address: then Ansible resolves the node's name.

    kubelet says that itself, so it is believed only as far as it is an address: a template, or an option of ssh, is none.
    Of two families of IP the first is the cluster's own.
    """
    given = [(entry["type"], entry["address"]) for entry in node["status"].get("addresses", [])]
    found = [address for kind, address in given if kind == "InternalIP" and is_ip(address)]
    found += [address for kind, address in given if kind == "Hostname" and is_name(address)]
    return found[0] if found else None


def is_ip(text):
    """Whether it is an address of IP."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_name(text):
    """Whether it is a name of a host, or an address of IP."""
    return is_ip(text) or re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", text) is not None


def host_of(node):
    """The variables of one node."""
    found = {
        "node_labels": node["metadata"].get("labels", {}),
        "node_is_cordoned": node["spec"].get("unschedulable", False),
    }
    address = address_of(node)
    return {**found, **({"ansible_host": address} if address else {})}


def main():
    """Print what Ansible asks an inventory script for by --list. It asks for no host alone where _meta is there."""
    kubectl = ["kubectl", "get", "nodes", "--output=json", "--request-timeout=30s"]
    said = subprocess.run(kubectl, check=False, stdout=subprocess.PIPE)
    if said.returncode:
        sys.exit("no inventory: " + " ".join(kubectl) + " failed")
    nodes = json.loads(said.stdout.decode())["items"]
    hosts = {node["metadata"]["name"]: host_of(node) for node in nodes}
    group = {"kubernetes_nodes": {"hosts": sorted(hosts)}}
    print(json.dumps({**group, "_meta": {"hostvars": hosts}}, indent=1))


if __name__ == "__main__":
    main()
