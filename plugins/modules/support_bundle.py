#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes a support bundle of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: support_bundle
short_description: Gather a node's state into one archive without secrets (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Looks at the QAT devices, the kernel, kubelet, the device plugin, the exporter and their logs, and writes what it sees to one archive.
  - Secrets, and what looks like one, are taken out. What could not be had is in the archive's list, with the reason, and fails nothing.
  - The playbook C(accel.qat.gather) runs it, fetches the archive and removes it.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.roots
attributes:
  check_mode:
    support: full
    details:
      - It looks at the same, and writes no archive.
  diff_mode:
    support: N/A
    details:
      - Nothing but the archive is written.
  idempotent:
    support: none
    details:
      - The archive must be a new file.
options:
  path:
    description: The archive, a new file in a directory that is there. Required unless in check mode.
    type: path
  host:
    description: What the node is called in the archive.
    type: str
    default: ''
  collection:
    description: The version of the collection that asks.
    type: str
    default: ''
  configuration_file:
    description: The node's rules.
    type: path
    default: /etc/accel-qat/node.json
  record:
    description: What was found before the first change.
    type: path
    default: /var/lib/accel-qat/found.json
  files:
    description: Further files of the collection.
    type: list
    elements: path
    default: []
  argument_files:
    description: Files of the collection that have kernel arguments.
    type: list
    elements: path
    default: []
  units:
    description: Units of the collection.
    type: list
    elements: str
    default: []
  qatctl:
    description: Where C(qatctl) is.
    type: path
    default: /usr/local/sbin/qatctl
  plugin_address:
    description: Where the device plugin serves its metrics, as C(HOST:PORT); empty for nowhere.
    type: str
    default: 127.0.0.1:9482
  exporter_address:
    description: Where the exporter serves its metrics, as C(HOST:PORT); empty for nowhere.
    type: str
    default: 127.0.0.1:9483
  plugin_directory:
    description: Where the releases of the device plugin are.
    type: path
    default: /opt/accel-qat/device-plugin
  kubelet:
    description: What is known of kubelet, as M(accel.qat.kubelet_config) takes it.
    type: dict
    default: {}
    suboptions:
      flavour:
        description: The flavour.
        type: str
        default: auto
      config:
        description: Its configuration file.
        type: str
        default: ''
      config_dir:
        description: Its directory of drop-ins.
        type: str
        default: ''
      program:
        description: Its program.
        type: str
        default: ''
      version:
        description: Its version.
        type: str
        default: ''
      service:
        description: Its unit.
        type: str
        default: ''
  cluster:
    description: What the controller knows of the Node object; with C(reason) alone, why it knows nothing.
    type: dict
    default: {}
  root:
    description: Directory where the node's root file system is mounted, when Ansible runs in a container on the node.
    type: path
    default: /
seealso:
  - module: accel.qat.qat_info
  - module: accel.qat.device_plugin_info
"""

EXAMPLES = r"""
- name: Gather what says how the node is
  become: true
  accel.qat.support_bundle:
    path: /root/private/node1.tar.gz
    host: node1
"""

RETURN = r"""
path:
  description: The archive; empty in check mode.
  returned: success
  type: str
  sample: /root/private/node1.tar.gz
size:
  description: Its size in bytes; 0 in check mode.
  returned: success
  type: int
  sample: 48211
redacted:
  description: How many secrets, or what looks like one, were taken out.
  returned: success
  type: int
  sample: 3
files:
  description: What is in it, besides C(README) and C(index.json).
  returned: success
  type: list
  elements: str
  sample: [logs/kernel, qat/devices.json]
missing:
  description: What could not be had, each with its C(name) and a C(reason).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: boot/loader, reason: no boot loader is found}
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  sample:
    kind: node
    where: /root/private/node1.tar.gz
    problem: "the archive cannot be written: No space left on device"
    remedy: make room there, or see that it is a new file
    kernel_log: []
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.installed import (
    EXPORTER_ADDRESS,
    PLUGIN_ADDRESS,
    PLUGIN_DIRECTORY,
    QATCTL,
)
from ansible_collections.accel.qat.plugins.module_utils._host.machine import LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Request
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS, NodeModule
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import RECORD
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import KUBELET_ROOTS, NODE_JSON
from ansible_collections.accel.qat.plugins.module_utils._support.archive import Bundle
from ansible_collections.accel.qat.plugins.module_utils._support.commands import directories, run_bounded
from ansible_collections.accel.qat.plugins.module_utils._support.gather import Asked, Gatherer

_TEXT = {"type": "str", "default": ""}
_OF_KUBELET = ("config", "config_dir", "program", "version", "service")
_PATHS = {"type": "list", "elements": "path", "default": []}
OPTIONS = {
    "path": {"type": "path"},
    "host": _TEXT,
    "collection": _TEXT,
    "configuration_file": {"type": "path", "default": NODE_JSON},
    "record": {"type": "path", "default": RECORD},
    "files": _PATHS,
    "argument_files": _PATHS,
    "units": {"type": "list", "elements": "str", "default": []},
    "qatctl": {"type": "path", "default": QATCTL},
    "plugin_address": {"type": "str", "default": PLUGIN_ADDRESS},
    "exporter_address": {"type": "str", "default": EXPORTER_ADDRESS},
    "plugin_directory": {"type": "path", "default": PLUGIN_DIRECTORY},
    "kubelet": {
        "type": "dict",
        "default": {},
        "options": {
            "flavour": {"type": "str", "default": "auto"},
            **dict.fromkeys(_OF_KUBELET, _TEXT),
        },
    },
    "cluster": {"type": "dict", "default": {}},
    "root": {"type": "path", "default": "/"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**OPTIONS, **ROOTS}, supports_check_mode=True)

    def work(run: NodeModule) -> dict[str, object]:
        path = module.params["path"] or ""
        if not path and not module.check_mode:
            raise ConfigurationError("it is not set", "path", "name a new file in a directory that is there")
        bundle = Bundle(module.params["host"], time.time())
        machine = LiveMachine(run_bounded, module.params["root"], directories())
        Gatherer(run.kernel, machine, _asked(module), bundle).gather()
        return {
            "changed": not module.check_mode,
            "path": "" if module.check_mode else path,
            "size": 0 if module.check_mode else bundle.write(path),
            "redacted": bundle.redacted,
            "files": sorted(bundle.entries),
            "missing": [{"name": one.name, "reason": one.reason} for one in sorted(bundle.missing)],
        }

    NodeModule(module).run(work)


def _asked(module: AnsibleModule) -> Asked:
    params = module.params
    kubelet = params["kubelet"]
    text: dict[str, str] = {name: kubelet.get(name, "") for name in _OF_KUBELET}
    request = Request(
        flavour=kubelet.get("flavour", "auto"),
        config=text["config"],
        config_dir=text["config_dir"],
        kubelet=text["program"],
        version=text["version"],
        service=text["service"],
        offered=False,
    )
    own = [params["configuration_file"], params["record"]]
    root = params["root"].rstrip("/")
    return Asked(
        kubelet=request,
        files=list(dict.fromkeys([*own, *params["files"]])),
        argument_files=params["argument_files"],
        units=params["units"],
        configuration=root + params["configuration_file"],
        record=root + params["record"],
        qatctl=params["qatctl"],
        plugin_address=params["plugin_address"],
        exporter_address=params["exporter_address"],
        plugin_directory=params["plugin_directory"],
        kubelet_roots=[params["kubelet_root"]] if params["kubelet_root"] else list(KUBELET_ROOTS),
        proc_root=params["proc_root"],
        sysfs_root=params["sysfs_root"],
        dev_root=params["dev_root"],
        collection=params["collection"],
        cluster=params["cluster"],
    )


if __name__ == "__main__":
    main()
