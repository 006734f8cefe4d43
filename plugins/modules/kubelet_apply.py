#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replaces files of a kubelet's configuration and restarts it, or puts them back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_apply
short_description: Replace files of a kubelet's configuration and restart it (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Writes files as they are given, restarts kubelet and waits until it is back. When it does not come back, the files are put back as
    they were and kubelet is started with them.
  - M(accel.qat.kubelet_config) decides what to write and runs this module by itself. Use that one.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.roots
attributes:
  check_mode:
    support: full
    details:
      - Sees that the files are as O(writes[].before) says, and asks kubelet for O(proof).
  diff_mode:
    support: none
    details:
      - M(accel.qat.kubelet_config) shows the differences.
  idempotent:
    support: none
    details:
      - Refuses a file that is not as O(writes[].before) says.
options:
  writes:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file.
        type: str
        required: true
      before:
        description: What must be in it still; left out when there must be no file.
        type: str
      after:
        description: What should be in it; left out when the file should go.
        type: str
      mode:
        description: Permission bits that the file gets before it has its name. Those of the file that it replaces when not given.
        type: int
      owner:
        description: User and group id for a file with O(writes[].mode). Those of who runs this when not given.
        type: list
        elements: int
  put_back:
    description:
      - Put the files from O(writes[].after) back to O(writes[].before), for the reason given here, and fail with it.
    type: str
  journal:
    description:
      - File on the node that keeps what is in hand, from before the first write until kubelet runs with the last. A run that is cut off
        leaves it, and with it what was there before.
    type: path
  confirmed:
    description: Whether the journal goes once kubelet runs. Without, another call has to end the change, or O(put_back).
    type: bool
    default: true
  restart_later:
    description: Whether the journal stays after O(restart=false), to say that kubelet does not run with these files yet.
    type: bool
    default: false
  unit:
    description: The systemd unit of kubelet.
    type: str
    default: ""
  restart:
    description: Whether to restart it.
    type: bool
    default: true
  state_files:
    description: Files to remove between stop and start. Refused with O(restart=false).
    type: list
    elements: path
    default: []
  device_plugins_dir:
    description: Where kubelet has C(kubelet.sock).
    type: path
    default: /var/lib/kubelet/device-plugins
  serves_device_plugins:
    description: Whether to wait for that socket. Without, the unit has to stay active for a while.
    type: bool
    default: true
  started_with:
    description: Words that have to be on the command line of the unit's main process once it is started.
    type: list
    elements: str
    default: []
  directories:
    description: Directories that go in the end where nothing is in them.
    type: list
    elements: path
    default: []
  timeout:
    description: Seconds to wait for kubelet.
    type: float
    default: 120
  proof:
    description: How kubelet is asked whether it takes the files, before any is written. Left out where it cannot be.
    type: dict
    suboptions:
      program:
        description: The kubelet.
        type: str
        required: true
      config:
        description: Its configuration file.
        type: str
        default: ""
      config_dir:
        description: Its directory of drop-ins.
        type: str
        default: ""
      flags:
        description: Flags that it is started with besides.
        type: list
        elements: str
        default: []
  backup:
    description: Whether to keep a copy of each file that is replaced, beside it, with the time in its name.
    type: bool
    default: false
  root:
    description: Directory where the node's root file system is mounted, when Ansible runs in a container on the node.
    type: path
    default: /
notes:
  - O(sysfs_root) and O(dev_root) are accepted as by the other modules of the action group, and not used.
  - A signal that would end it (SIGTERM, SIGHUP, SIGINT) has the files put back first.
seealso:
  - module: accel.qat.kubelet_config
"""

EXAMPLES = r"""
- name: Replace a drop-in of kubelet
  become: true
  accel.qat.kubelet_apply:
    writes:
      - path: /etc/kubernetes/kubelet.conf.d/50-reserved.conf
        after: |
          apiVersion: kubelet.config.k8s.io/v1beta1
          kind: KubeletConfiguration
          reservedSystemCPUs: 0-1
    unit: kubelet.service
"""

RETURN = r"""
proven:
  description: Whether kubelet itself has taken the files as valid before they were written.
  returned: success
  type: bool
  sample: true
restarted:
  description: Whether kubelet was restarted.
  returned: success
  type: bool
  sample: true
at:
  description: When, in seconds since 1970 by the node's clock; 0 when it was not.
  returned: success
  type: float
  sample: 1764590400.5
backups:
  description: The copies that were made, by file.
  returned: success
  type: dict
  sample: {/var/lib/kubelet/config.yaml: /var/lib/kubelet/config.yaml.4242.2026-12-01@12:00:00~}
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  sample:
    kind: refused
    where: /var/lib/kubelet/config.yaml
    problem: "kubelet would not start: unrecognized feature gate: Bogus"
    remedy: correct the configuration; nothing was written
    kernel_log: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.edits import FileEdit
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply import (
    Done,
    Order,
    Proof,
    apply,
    put_back,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.apply_options import APPLY
from ansible_collections.accel.qat.plugins.module_utils._kubelet.interruption import Interruptions
from ansible_collections.accel.qat.plugins.module_utils._kubelet.journal import locked
from ansible_collections.accel.qat.plugins.module_utils._kubelet.node_side import run
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.module_utils._host.machine import LiveMachine


def order_of(parameters: dict[str, t.Any]) -> Order:
    """What the parameters ask for."""
    proof = parameters["proof"]
    return Order(
        writes=tuple(FileEdit.of(write) for write in parameters["writes"]),
        unit=parameters["unit"],
        restart=parameters["restart"],
        state_files=tuple(parameters["state_files"]),
        device_plugins_dir=parameters["device_plugins_dir"],
        serves_device_plugins=parameters["serves_device_plugins"],
        started_with=tuple(parameters["started_with"]),
        directories=tuple(parameters["directories"]),
        seconds=parameters["timeout"],
        proof=Proof(proof["program"], proof["config"], proof["config_dir"], tuple(proof["flags"])) if proof else None,
        journal=parameters["journal"] or "",
        confirmed=parameters["confirmed"],
        restart_later=parameters["restart_later"],
        proc_root=parameters["proc_root"],
    )


def work(module: AnsibleModule, machine: LiveMachine) -> dict[str, t.Any]:
    """Do it; returns what the module returns. Raises NodeError."""
    order = order_of(module.params)
    if module.check_mode:
        return _result(order, apply(machine, order, machine.root, rehearse=True), {})
    interruptions = Interruptions()
    with locked(machine.root), interruptions.raised():
        if module.params["put_back"]:
            interruptions.hold()
            raise put_back(machine, order, module.params["put_back"], machine.root)
        backups = _backups(module, order, machine.root) if module.params["backup"] else {}
        return _result(order, apply(machine, order, machine.root, interruptions=interruptions), backups)


def _backups(module: AnsibleModule, order: Order, root: str) -> dict[str, str]:
    places = {write.path: root.rstrip("/") + write.path for write in order.writes if not write.private}
    there = {write.path for write in order.writes if write.before is not None}
    return {path: module.backup_local(place) for path, place in places.items() if path in there}


def _result(order: Order, done: Done, backups: dict[str, str]) -> dict[str, t.Any]:
    return {
        "changed": bool(order.writes) or order.restart,
        "proven": done.proven,
        "restarted": done.restarted,
        "at": done.at,
        "backups": backups,
    }


def main() -> None:
    """Read the parameters, and run."""
    module = AnsibleModule(argument_spec={**APPLY, **ROOTS}, supports_check_mode=True)
    run(module, lambda machine: work(module, machine))


if __name__ == "__main__":
    main()
