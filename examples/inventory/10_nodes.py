#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory of the nodes of a Kubernetes cluster, as kubectl shows them: each is a host of the group kubernetes_nodes.

Which of them are QAT nodes is said by 20_qat_nodes.yml, by what is here in the variable node_labels of each host.
Its name in the inventory is that of the node, and the address is the node's own.
"""

from __future__ import annotations

import json
import subprocess
import sys


def host_of(node):
    """The variables of one node."""
    addresses = {entry["type"]: entry["address"] for entry in node["status"].get("addresses", [])}
    found = {
        "node_labels": node["metadata"].get("labels", {}),
        "node_is_cordoned": node["spec"].get("unschedulable", False),
    }
    # Neither is there where the cluster knows none: then Ansible resolves the node's name.
    address = addresses.get("InternalIP") or addresses.get("Hostname")
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
