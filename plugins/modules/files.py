#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes, links and removes several files of a node in one run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Manage several files of a node in one run (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Brings about the small files that belong together, such as a unit, the link that starts it at boot and a rule for udev.
  - M(ansible.builtin.template) runs two modules on the node for each file, this one runs once for all of them.
  - After a power cut each file and link is as it was before or as it is wanted, never half of it. What M(ansible.builtin.copy)
    writes need not be on the disk when its task is done. A directory that was to go may be left in part; the next run goes on.
  - Something in the way, such as a directory where a file is wanted, is refused before the first change.
  - Where units of systemd are among them, O(units) has systemd read them, also when a run before was cut off between the two.
  - Files have the mode C(0644), directories C(0755), and all belong to the user that runs the module.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Of content that is no text only the size is shown.
  idempotent:
    support: full
options:
  files:
    description: What is wanted, brought about in this order. Directories above are created.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where, from the root. Each path once.
        type: path
        required: true
      state:
        description:
          - V(present) is a file with O(files[].content), V(link) a symbolic link to O(files[].target), and V(directory) a directory,
            or a link to one.
          - V(absent) removes whatever is there, a directory with all that is in it. A directory right below the root, a mount point
            and whatever has one in it are refused.
          - V(absent_if_empty) removes a directory in which nothing is, or nothing but what goes by an entry before it. Whatever else
            is there stays.
          - A file replaces a link, and a link replaces a file.
        type: str
        choices: [present, link, directory, absent, absent_if_empty]
        default: present
      content:
        description: What the file should contain. Only with V(present), and needed there.
        type: str
      target:
        description: Where the link leads, which need not exist. Only with V(link), and needed there.
        type: str
      holds:
        description:
          - What is in a file of ours. Anything else that is there stays, since it is somebody else's. Only with V(absent).
        type: str
        version_added: 1.0.0
  units:
    description:
      - Names of units that O(files) is about. When all files are as wanted, systemd reads its units again if any file was changed, or if
        it says itself that it does not know one of these as it is on the disk. Where none is named, systemd is asked nothing.
      - It is a failure if systemd does not take one whose file is among O(files). Of a template, name an instance.
    type: list
    elements: str
    default: []
    version_added: 1.0.0
"""

EXAMPLES = r"""
- name: Write a unit that starts at every boot
  accel.qat.files:
    files:
      - path: /etc/systemd/system/warm-up.service
        content: "{{ lookup('ansible.builtin.template', 'warm-up.service.j2') }}"
      - path: /etc/systemd/system/multi-user.target.wants/warm-up.service
        state: link
        target: /etc/systemd/system/warm-up.service
      - path: /run/systemd/system/warm-up.service
        state: absent
    units: [warm-up.service]
"""

RETURN = r"""
paths:
  description: Where something was changed, in check mode where it would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/warm-up.service]
systemd_reloaded:
  description: Whether systemd has read its units again, in check mode whether it would.
  returned: success
  type: bool
  sample: true
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(configuration) for a malformed request, V(refused) when nothing was written, else V(node).
      type: str
    where:
      description: The option, path or unit in question.
      type: str
    problem:
      description: What is wrong.
      type: str
    remedy:
      description: What to do.
      type: str
  sample:
    kind: refused
    where: /etc/systemd/system/warm-up.service
    problem: is a directory, not a file
    remedy: move it away
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host import file_set
from ansible_collections.accel.qat.plugins.module_utils._host.runner import live_machine
from ansible_collections.accel.qat.plugins.module_utils._run import run_module
from ansible_collections.accel.qat.plugins.module_utils._systemd.unit_files import read_again


def main() -> None:
    """Read the parameters, and run."""
    entry = {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": list(file_set.STATES), "default": "present"},
        "content": {"type": "str"},
        "target": {"type": "str"},
        "holds": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": entry},
            "units": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    done: list[file_set.Change] = []

    def work() -> dict[str, t.Any]:
        entries = file_set.read_entries(module.params["files"])
        changes = file_set.plan(entries)
        for change in changes if not module.check_mode else ():
            file_set.apply(change)
            done.append(change)
        if not module.check_mode:
            file_set.sync_removals(entries, changes)
        reloaded = read_again(
            live_machine(module), module.params["units"], entries, bool(changes), rehearse=module.check_mode
        )
        return {
            "changed": bool(changes) or reloaded,
            "paths": [change.entry.path for change in changes],
            "systemd_reloaded": reloaded,
            "diff": [change.diff() for change in changes],
        }

    run_module(module, work, lambda _error: bool(done))


if __name__ == "__main__":
    main()
