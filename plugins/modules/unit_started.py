#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has a node's device plugin run as its unit and its release say."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_started
short_description: Manage the process of the device plugin by its unit and release (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Starts the service where it does not run. Where its process is of another unit or another release, the next one takes over from it
    by C(systemctl reload), or where that cannot be, the service is restarted. A process that is as wanted is left alone.
  - Then it waits until the service says that kubelet has taken every resource.
  - Of which unit and release a process is, the kernel says, and it is asked about the main process that systemd names, no other. The
    unit is known by a variable in the environment that the process was started with, the release by the libraries that are mapped
    into it.
  - The role qat_device_plugin runs it, after it has written the unit and the link to the release. It is of no use alone.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
attributes:
  check_mode:
    support: full
    details:
      - What is to be done follows from the unit and release that are asked for, which need not be there yet.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: The unit, a service that says in its status when it is V(ready;).
    type: str
    required: true
  stamp:
    description: The assignment that the unit has as C(Environment), and that differs where anything in the unit differs.
    type: str
    required: true
  directory:
    description: Where the releases are, each in a directory of its name.
    type: path
    required: true
  release:
    description: The release that should run, which the unit's command leads to.
    type: str
    required: true
  run_directory:
    description: Where a process that can be taken over from has a socket, C(PID.sock).
    type: path
    required: true
  takes_over:
    description: A file that only a release has that can take over.
    type: path
    required: true
  wait:
    description: Whether to wait until it is ready, and to fail if it does not get so.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for that.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Have the device plugin run
  become: true
  accel.qat.unit_started:
    name: accel-qat-device-plugin.service
    stamp: ACCEL_QAT_UNIT=8f0ba64bbd4d5ee4c0fd1a7a5f9b1f7f4f5f8cf0
    directory: /opt/accel-qat/device-plugin
    release: 1.0.0-py3.11-e7e7937c13
    run_directory: /run/accel-qat/device-plugin
    takes_over: /opt/accel-qat/device-plugin/current/lib/qat_device_plugin/handover.py
"""

RETURN = r"""
action:
  description: What was done to the service, in check mode what would be. V(none), V(start), V(reload) or V(restart).
  returned: success
  type: str
  sample: reload
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(node).
      type: str
    where:
      description: The unit, command or file in question.
      type: str
    problem:
      description: What is wrong.
      type: str
    remedy:
      description: What to do.
      type: str
    kernel_log:
      description: Always empty here.
      type: list
      elements: str
  sample:
    kind: node
    where: accel-qat-device-plugin.service
    problem: "did not get ready within 120 seconds: it is failed"
    remedy: see journalctl -u accel-qat-device-plugin.service, or set qat_device_plugin_wait to false where kubelet comes later
    kernel_log: []
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.runner import live_machine
from ansible_collections.accel.qat.plugins.module_utils._run import run_module
from ansible_collections.accel.qat.plugins.module_utils._systemd.started import Starter, Wanted


def wanted_by(parameters: t.Mapping[str, t.Any]) -> Wanted:
    """What the module's parameters say. The kernel names files of a process by paths without links."""
    return Wanted(
        unit=parameters["name"],
        stamp=parameters["stamp"],
        releases=os.path.realpath(parameters["directory"]),
        release=parameters["release"],
        run_directory=parameters["run_directory"],
        takes_over=parameters["takes_over"],
        waits=parameters["wait"],
        seconds=parameters["wait_timeout"],
    )


def main() -> None:
    """Read the parameters, and run."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "stamp": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "run_directory": {"type": "path", "required": True},
            "takes_over": {"type": "path", "required": True},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    # Empty where the node has no systemd.
    starters: list[Starter] = []

    def work() -> dict[str, t.Any]:
        starters.append(Starter(live_machine(module), wanted_by(module.params)))
        action = starters[0].run(module.check_mode)
        return {"changed": action != "none", "action": action}

    run_module(module, work, lambda _error: any(starter.done != "none" for starter in starters))


if __name__ == "__main__":
    main()
