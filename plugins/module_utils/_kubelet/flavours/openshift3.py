# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OpenShift 3.x, with kubelet's flags in node-config.yaml."""

from __future__ import annotations

import typing as t

from ..._node.errors import RefusedError
from ..fields import BY_NAME, to_flag
from ..small_yaml import NotUnderstoodError, read_mapping
from .base import Files, Flavour, Process

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

# From this Kubernetes (OpenShift 3.10) on pods overwrite node-config.yaml from a configmap.
_CONFIGMAPS_SINCE = 10


class _OpenShift3(Flavour):
    def has_started(self, process: Process) -> bool:
        return process.name in self.programs

    def arguments(self, machine: Machine, config: str) -> list[str]:
        """Those of node-config.yaml. What is not understood here the controller refuses, which has a whole library to read it."""
        try:
            arguments = read_mapping(machine.read(config) or "").get("kubeletArguments")
        except NotUnderstoodError:
            return []
        items = arguments.items() if isinstance(arguments, dict) else ()
        return [
            f"{name}={value}" for name, values in items for value in (values if isinstance(values, list) else [values])
        ]

    def require_kept(
        self, minor: int, config: str, configuration: t.Mapping[str, t.Any], leaving_gates: t.Sequence[str] = ()
    ) -> None:
        if minor < _CONFIGMAPS_SINCE:
            return
        arguments = {BY_NAME[name].flag: [to_flag(BY_NAME[name], value)] for name, value in configuration.items()}
        put = [f"put kubeletArguments {arguments} into that configmap in the namespace openshift-node"]
        take = [f"take the feature gate {' and '.join(leaving_gates)} out of that configmap"]
        raise RefusedError(
            f"OpenShift 3.{minor} overwrites this file from the configmap of the node's group",
            config,
            "; ".join([*(put if arguments else []), *(take if leaving_gates else [])]),
        )


OPENSHIFT3 = _OpenShift3(
    "openshift3",
    "OpenShift 3.x",
    ("/etc/origin/node/node-config.yaml",),
    ("hyperkube", "openshift"),
    ("atomic-openshift-node.service", "origin-node.service"),
    kubelet_dir="/var/lib/origin/openshift.local.volumes",
    config="/etc/origin/node/node-config.yaml",
    files=Files.NODE_CONFIG,
    asks=("version",),
    takes_stray=True,
)
