# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """Where the kernel's file systems of the node are mounted."""

    DOCUMENTATION = r"""
options:
  sysfs_root:
    description:
      - Directory where the node's sysfs is mounted.
      - Differs from the default when Ansible runs in a container that mounts the host's C(/sys) elsewhere.
    type: path
    default: /sys
  proc_root:
    description: Directory where the node's procfs is mounted.
    type: path
    default: /proc
  dev_root:
    description: Directory where the node's device files are mounted.
    type: path
    default: /dev
  kubelet_root:
    description:
      - Kubelet's root directory, by which the pods are found that VFs were given to.
      - When not given, those of the usual distributions are looked for, C(/var/lib/kubelet) first.
    type: path
"""
