#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts qatctl's file in its place, with the byte code of the node's Python in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: qatctl_installed
short_description: Manage the file of qatctl on a node (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Takes the file that the controller has packed, adds the byte code of the Python that runs it, and puts it in its place as a whole.
    Compiling takes half of the time of the command's start otherwise.
  - Where that Python cannot be run, or cannot compile, the file has the sources alone. It is the same command then, and starts slower. So
    it does after an upgrade of the node's Python, until this module runs again.
  - Another program at O(path), or one among the node's commands that has the same name, is refused. Ubuntu's package qat-tools has such
    a program.
  - M(accel.qat.qatctl) runs it. It is of no use alone.
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
    details:
      - Compared are the sources, and for which Python the byte code is.
options:
  digest:
    description: What the first line and the sources of the packed file come to.
    type: str
    required: true
  src:
    description:
      - The packed file, on the node. Without it nothing but mode and owner of the file is changed, and RV(to_send) says whether it is
        needed.
    type: path
  path:
    description: Where the command is installed. Directories above are created.
    type: path
    required: true
  python:
    description: The Python that runs it.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Install qatctl
  become: true
  accel.qat.qatctl_installed:
    digest: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    src: /root/.ansible/tmp/qatctl
    path: /usr/local/sbin/qatctl
    python: /usr/bin/python3
"""

RETURN = r"""
dest:
  description: Where the command is.
  returned: success
  type: str
  sample: /usr/local/sbin/qatctl
to_send:
  description: Whether the file on the node is another one and O(src) was not given, so that nothing was written.
  returned: success
  type: bool
  sample: false
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
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

import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host import file_set
from ansible_collections.accel.qat.plugins.module_utils._host.namesake import refuse_namesake
from ansible_collections.accel.qat.plugins.module_utils._host.packed import Run, kind_of, unpack, with_code
from ansible_collections.accel.qat.plugins.module_utils._host.runner import output_of, runner
from ansible_collections.accel.qat.plugins.module_utils._node.files import open_regular
from ansible_collections.accel.qat.plugins.module_utils._run import run_module


def made(module: AnsibleModule, kind: str, run: Run) -> bytes:
    """The file that was sent, with byte code of this kind of Python."""
    with open(module.params["src"], "rb", opener=open_regular) as stream:
        sent = stream.read()
    packed = unpack(sent)
    if packed is None or not kind:
        return sent
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as directory:
        return with_code(packed, kind, module.params["python"], module.params["path"], run, directory).content()


def main() -> None:
    """Read the parameters, and run."""
    module = AnsibleModule(
        argument_spec={
            "digest": {"type": "str", "required": True},
            "src": {"type": "path"},
            "path": {"type": "path", "required": True},
            "python": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run = output_of(runner(module))
    done: list[file_set.Change] = []

    def work() -> dict[str, t.Any]:
        path = module.params["path"]
        refuse_namesake(path, run)
        kind = kind_of(module.params["python"], run)
        found = file_set.look(file_set.Entry(path, "present")).content
        installed = unpack(found)
        same = installed is not None and installed.is_as(module.params["digest"], kind)
        to_send = not same and not module.params["src"]
        wanted = found if same or to_send else made(module, kind, run)
        changes = file_set.plan([file_set.Entry(path, "present", program=wanted)])
        for change in changes if not (module.check_mode or to_send) else ():
            file_set.apply(change)
            done.append(change)
        return {"changed": bool(changes) or to_send, "dest": path, "to_send": to_send}

    run_module(module, work, lambda _error: bool(done))


if __name__ == "__main__":
    main()
