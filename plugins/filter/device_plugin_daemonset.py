# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The DaemonSet of the device plugin with the settings of nodes."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.plugin_utils._daemonset import daemonset

DOCUMENTATION = r"""
name: device_plugin_daemonset
short_description: Make the DaemonSet of the device plugin with the settings of nodes (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Takes the manifest of C(deploy/kubernetes/base), so that there is one of it. The pods read the configuration of their host.
options:
  _input:
    description: The manifest.
    type: dict
    required: true
  image:
    description: The image by its C(name), with C(pull_policy) and C(pull_secrets).
    type: dict
    required: true
  configuration:
    description: The file with the rules on each host.
    type: path
    required: true
  kubelet_dir:
    description: Where kubelet.sock is.
    type: path
    required: true
  settings:
    description: Values of flags of the device plugin, by their names in its environment without C(QAT_DEVICE_PLUGIN_).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Have the device plugin log more
  ansible.builtin.set_fact:
    made: "{{ manifest | accel.qat.device_plugin_daemonset(image, '/etc/accel-qat/node.json', kubelet_dir, {'LOG_LEVEL': 'debug'}) }}"
  vars:
    manifest: "{{ lookup('ansible.builtin.file', 'daemonset.yaml') | from_yaml }}"
    image: {name: "registry.example/plugin:1", pull_policy: IfNotPresent, pull_secrets: []}
    kubelet_dir: /var/lib/kubelet/device-plugins
"""

RETURN = r"""
_value:
  description: The manifest.
  type: dict
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"device_plugin_daemonset": daemonset}
