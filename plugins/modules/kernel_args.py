# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sees that the node's kernel is booted with the wanted arguments."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_args
short_description: Manage the arguments that the kernel is booted with
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Sets kernel arguments such as C(intel_iommu=on) for the next boots, or removes them, whichever boot loader the node has.
  - Compares with the arguments of the running kernel and with the IOMMU's true state, and says whether a reboot is needed.
    It never reboots the node.
  - GRUB on Debian and Ubuntu gets a drop-in C(/etc/default/grub.d/zz-accel-qat.cfg). A file of the administrator is only
    edited when it has an argument that has to change, and a warning says so. SUSE's GRUB reads no drop-ins and gets
    the arguments in C(/etc/default/grub), between the quotes of a plain assignment or in a line at its end.
  - RHEL and its kin and Fedora are given them through C(grubby), image-based Fedora through C(rpm-ostree kargs), systemd-boot
    through C(/etc/kernel/cmdline) and C(kernel-install) (on SUSE C(sdbootutil), on Proxmox VE C(proxmox-boot-tool)).
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.roots
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  arguments:
    description:
      - Kernel arguments, each an item of its own, as C(key) or C(key=value).
      - A key that has another value is given the wanted one. Keys that may occur several times, such as C(console), are
        added beside those there are.
      - Of C(intel_iommu), C(amd_iommu), C(iommu) and C(pci), whose values are lists and which count wherever they are, only
        the missing items are added, and only the items that contradict are taken out.
      - Every argument that is not named here is there afterwards, as often, in the same order and written alike. Where that
        cannot be had, or cannot be known, nothing is written, and the module says why.
      - Names are compared as the kernel does, so C(vfio-pci.ids) and C(vfio_pci.ids) are the same.
      - Quote a value that has spaces, as in C(dyndbg="file drivers/vfio/* +p").
      - With O(state=absent), C(key) alone removes the key with any value, C(key=value) only with this value. Of keys that
        may occur several times only the exact item is removed.
      - What is behind C(--) on the command line is for init and is left alone.
    type: list
    elements: str
    required: true
  state:
    description: Whether the next boots have the arguments, or have them not.
    type: str
    choices: [present, absent]
    default: present
  bootloader:
    description:
      - The boot loader to use.
      - V(auto) finds out from the running system and refuses, before it writes anything, when that is ambiguous or the
        boot loader's tools are missing.
    type: str
    choices: [auto, grub, grubby, rpm-ostree, systemd-boot]
    default: auto
  added_file:
    description:
      - File on the node, below O(root), that keeps the arguments that were added, one a line.
      - It is written before anything else is changed, so that a run that is cut off leaves none unnoted, and what it has already stays.
      - Nothing is kept when not given.
    type: path
  replaced_file:
    description:
      - The same for the arguments that had to go, with the value that was found first. Those that O(added_file) has are not kept.
    type: path
  noted_in:
    description:
      - File that O(arguments) was read from, an argument a line, such as O(added_file) of an earlier run.
      - Where an item is malformed, the message names this file and the line.
      - What is noted is the way back to what was found. A boot entry that somebody has written by hand, and that has or lacks an argument
        by itself, is then left as it is, with a warning. Otherwise the module refuses where such an entry is started.
    type: path
  root:
    description:
      - Directory where the node's root file system is mounted, when Ansible runs in a container on the node.
      - The boot loader's commands are then run by C(chroot), for which the container needs C(CAP_SYS_CHROOT).
    type: path
    default: /
notes:
  - A node that runs a bootc image is refused, because its kernel arguments belong in the image, in
    C(/usr/lib/bootc/kargs.d); O(bootloader=rpm-ostree) sets them on this node alone.
  - On SUSE systems with a read-only root C(transactional-update) writes the boot menu into a new snapshot, which the next
    boot uses.
  - When the boot loader's own command fails, or leaves out an argument that was there, its files are put back as they were.
  - Where nobody sees what that command makes, the file C(/var/lib/accel-qat/kernel_arguments_unfinished) is there until it has
    run, so that a run that was cut off is finished by the next one. Where the running kernel has not the arguments, that command is
    run once in each boot even if nothing was to be written, since somebody may have written them and nothing more.
  - O(dev_root) is accepted as by the other modules of the action group, and not used.
seealso:
  - name: The kernel's command-line parameters
    description: All arguments the kernel knows.
    link: https://docs.kernel.org/admin-guide/kernel-parameters.html
"""

EXAMPLES = r"""
- name: Switch the IOMMU on
  accel.qat.kernel_args:
    arguments:
      - intel_iommu=on
      - iommu=pt
  register: kernel_args

- name: Reboot when only that brings the arguments into force
  ansible.builtin.reboot:
  when: kernel_args.reboot_required

- name: Let vfio-pci take QAT devices before the fourth generation
  accel.qat.kernel_args:
    arguments:
      - vfio-pci.disable_denylist=1

- name: Take the arguments away again
  accel.qat.kernel_args:
    arguments:
      - intel_iommu
      - iommu=pt
    state: absent

- name: Manage the node from a container that has it mounted at /host
  accel.qat.kernel_args:
    arguments:
      - intel_iommu=on
    root: /host
    sysfs_root: /host/sys
    proc_root: /host/proc
"""

RETURN = r"""
bootloader:
  description:
    - The boot loader that was used, as in O(bootloader).
    - V(none) when the node has none, for instance because it boots from the network, and its running kernel has the
      arguments as requested. When it has not, the module fails.
  returned: success
  type: str
  sample: grub
configured:
  description:
    - The kernel arguments that the next boot has, in check mode those it would have.
    - Without those that the boot loader adds itself, such as C(root=).
  returned: success
  type: list
  elements: str
  sample: [intel_iommu=on, iommu=pt, quiet]
added:
  description: The arguments that the next boot has now and would not have had before; in check mode those it would get.
  returned: success
  type: list
  elements: str
  sample: [intel_iommu=on]
removed:
  description: The arguments that the next boot would have had before and has no longer.
  returned: success
  type: list
  elements: str
  sample: [intel_iommu=off]
running:
  description: The arguments that the running kernel was booted with.
  returned: success
  type: list
  elements: str
  sample: [BOOT_IMAGE=/boot/vmlinuz-6.12.48-amd64, root=UUID=0d3b7c1e-53f1-4a44-9c0a-0d2a3c9f1b11, ro, quiet]
missing_now:
  description: The wanted arguments that the running kernel does not follow.
  returned: success
  type: list
  elements: str
  sample: [intel_iommu=on, iommu=pt]
lingering_now:
  description: With O(state=absent), the arguments to be removed that the running kernel was booted with.
  returned: success
  type: list
  elements: str
  sample: []
reboot_required:
  description:
    - Whether only a reboot brings the running kernel to what was asked for.
    - An argument that the running kernel follows already needs none, even when it had to be written for later boots.
    - With O(noted_in), what a boot entry written by hand has or lacks by itself needs none either, since no reboot would change it.
  returned: success
  type: bool
  sample: true
iommu_active:
  description:
    - Whether an Intel IOMMU is at work now. There are IOMMU groups and a DMA remapping unit.
    - When this is V(true) before C(intel_iommu=on) is in force, the kernel's default is on, and no reboot is urgent.
    - When this stays V(false) after a boot with C(intel_iommu=on), VT-d is off in the firmware.
  returned: success
  type: bool
  sample: false
files:
  description: The files written, in check mode those that would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/default/grub.d/zz-accel-qat.cfg]
commands:
  description: The boot loader's commands that were run, in check mode those that would be.
  returned: success
  type: list
  elements: str
  sample: [update-grub]
failure:
  description: The same as RV(ignore:msg) for machines, when the node or the request is the reason.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(configuration) for a malformed request, V(refused) when nothing was written, else V(node).
      type: str
    where:
      description: The option, file or command in question.
      type: str
    problem:
      description: What is wrong.
      type: str
    remedy:
      description: What to do.
      type: str
  sample:
    kind: configuration
    where: arguments[1]
    problem: intel_iommu=off contradicts intel_iommu=on
    remedy: keep one of the two
"""

import contextlib
import os
import typing as t
from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import read_request
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import read_firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import CHOICES, Outcome, ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.notes import Notes
from ansible_collections.accel.qat.plugins.module_utils._boot.running import read_running
from ansible_collections.accel.qat.plugins.module_utils._host.edits import difference
from ansible_collections.accel.qat.plugins.module_utils._host.machine import LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._host.one_run import one_run
from ansible_collections.accel.qat.plugins.module_utils._host.runner import runner
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS, NodeModule

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.module_utils._boot.plan import Plan


LOCK = "/run/accel-qat-kernel-arguments.lock"


def differences(plan: Plan) -> list[dict[str, str]]:
    """What diff mode shows: whole files, and for lines that only a command can change one argument a line."""
    shown = [edit.diff() for edit in plan.edits]
    for change in plan.changes:
        before, after = ("".join(f"{text}\n" for text in line.texts()) for line in (change.before, change.after))
        shown.append(difference(change.label, before, after))
    return shown


def _alone(machine: LiveMachine) -> t.ContextManager[None]:
    """Keep other runs away: of two at once neither would know what the other adds. In a root without /run there is none."""
    if not machine.exists(os.path.dirname(LOCK)):
        return contextlib.nullcontext()
    return one_run(machine.root, LOCK, "the kernel arguments")


def _ensured(module: AnsibleModule, machine: LiveMachine, ensured: t.Callable[..., Outcome]) -> Outcome:
    """What was done, in check mode would be. A run that has nothing to write, notes included, keeps nobody away and writes no lock."""
    planned = ensured(rehearse=True)
    if module.check_mode or planned.plan.empty:
        return planned
    with _alone(machine):
        return ensured()  # as it is by now: another run may have been at work between


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what the module's parameters say; returns what the module returns. Raises NodeError."""
    parameters = module.params
    request = read_request(parameters["arguments"], parameters["state"], parameters["noted_in"])
    running = read_running(parameters["proc_root"], parameters["sysfs_root"])
    machine = LiveMachine(runner(module), parameters["root"])
    firmware = read_firmware(parameters["sysfs_root"])
    notes = Notes(parameters["added_file"], parameters["replaced_file"])
    outcome = _ensured(
        module, machine, partial(ensure, machine, request, running, firmware, parameters["bootloader"], notes=notes)
    )
    reachable = request.only(each for each in request.arguments if each not in outcome.plan.out_of_reach)
    for note in outcome.plan.notes:
        module.warn(note)
    return {
        "changed": not outcome.plan.empty,
        "bootloader": outcome.bootloader,
        "configured": outcome.plan.after.texts(),
        "added": outcome.plan.added,
        "removed": outcome.plan.removed,
        "running": running.line.texts(),
        "missing_now": [argument.text for argument in running.missing(request)],
        "lingering_now": [argument.text for argument in running.lingering(request)],
        "reboot_required": running.needs_reboot(reachable),
        "iommu_active": running.iommu_active,
        "files": outcome.plan.files,
        "commands": [" ".join(command) for command in outcome.plan.commands],
        "diff": differences(outcome.plan),
    }


def main() -> None:
    """Read the parameters, and run."""
    module = AnsibleModule(
        argument_spec={
            "arguments": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "bootloader": {"type": "str", "choices": list(CHOICES), "default": CHOICES[0]},
            "added_file": {"type": "path"},
            "replaced_file": {"type": "path"},
            "noted_in": {"type": "path"},
            "root": {"type": "path", "default": "/"},
            **ROOTS,
        },
        supports_check_mode=True,
    )
    NodeModule(module).run(lambda _shared: run(module))


if __name__ == "__main__":
    main()
