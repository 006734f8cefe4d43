# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """Which kubelet is meant, where that should not be found out."""

    DOCUMENTATION = r"""
options:
  flavour:
    description:
      - How the node's kubelet is run. V(auto) finds out from running processes and installed files, and fails when that is ambiguous.
      - V(kubeadm) stands for every kubelet that is started with C(--config).
    type: str
    choices: [auto, kubeadm, k3s, rke2, microk8s, canonical, k0s, openshift3, openshift4]
    default: auto
  config:
    description:
      - Its configuration file. By default the one on kubelet's command line, else the flavour's.
      - Of K3s and RKE2 their own, by default the one that their unit names. The directory beside it with C(.d) in its name goes with it.
    type: path
  config_dir:
    description:
      - Its directory of drop-ins. By default the one on kubelet's command line; of K3s and RKE2 the one in their data directory.
      - Refused where it is another one than the one on kubelet's command line, since kubelet reads no other.
    type: path
  kubelet:
    description: The kubelet program. By default the one that runs, else the one in a usual directory.
    type: path
  kubelet_version:
    description:
      - The version of Kubernetes to decide for, such as V(1.31.4). By default the kubelet is asked.
      - Set it to a version that comes with the next upgrade to prepare for it.
    type: str
  service:
    description: Its systemd unit. By default the flavour's.
    type: str
  when_missing:
    description: Whether to fail on a node without a kubelet, or to leave it alone.
    type: str
    choices: [fail, skip]
    default: fail
  record:
    description: File on the node that keeps what was found before the first change, for the way back.
    type: path
    default: /var/lib/accel-qat/kubelet.json
  root:
    description:
      - Directory where the node's root file system is mounted, when Ansible runs in a container on the node.
      - Commands of the node are then run by C(chroot), for which the container needs C(CAP_SYS_CHROOT).
    type: path
    default: /
"""
