#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin `qatctl`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: qatctl
short_description: Install the command qatctl on a node
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Packs the collection's engine into one executable file on the controller, and sends it where the node has another one. The node adds
    the byte code of the Python that runs it, without which the command takes twice as long to start.
  - The command shows, checks and applies the node's configuration where there is no Ansible, as at boot. It needs Python 3.9 or
    newer, and nothing else.
  - Another program at O(path), or one among the node's commands that has the same name, is refused. Ubuntu's package qat-tools has such
    a program.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details:
      - Says that the file differs, not in what, since it is binary.
  idempotent:
    support: full
options:
  path:
    description: Where the command is installed. Directories above are created.
    type: path
    default: /usr/local/sbin/qatctl
  python:
    description: The Python that runs it on the node.
    type: path
    default: /usr/bin/python3
notes:
  - The work is done by an action plugin of the same name, and by M(accel.qat.qatctl_installed).
  - After an upgrade of the node's Python the command runs from its sources until it is installed again.
"""

EXAMPLES = r"""
- name: Install qatctl
  become: true
  accel.qat.qatctl:
"""

RETURN = r"""
dest:
  description: Where the command is.
  returned: success
  type: str
  sample: /usr/local/sbin/qatctl
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure on the node
  type: dict
  contains:
    kind:
      description: V(refused) when nothing was written, else V(node).
      type: str
    where:
      description: The path in question.
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
    kind: refused
    where: /usr/local/sbin/qatctl
    problem: is a directory, not a file
    remedy: move it away
    kernel_log: []
"""
