# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""k0s, which starts a kubelet of its own and writes its file at each start."""

from __future__ import annotations

import typing as t

from ..._node.facts.paths import K0S_KUBELET_ROOT
from ..fields import EVICTION_FIELD, default_thresholds
from .base import OnCommandLine, OwnedByOthersError, Process

_PROFILE = "qat"


class _K0s(OnCommandLine):
    def has_started(self, process: Process) -> bool:
        return process.name == self.name or "/k0s/bin/" in process.program

    def shown(self, words: t.Sequence[str]) -> list[str]:
        return []

    def require_kept(
        self, minor: int, config: str, configuration: t.Mapping[str, t.Any], leaving_gates: t.Sequence[str] = ()
    ) -> None:
        values = dict(configuration)
        if values.get(EVICTION_FIELD):
            # Kubelet drops its own thresholds as soon as it is given one.
            values[EVICTION_FIELD] = {**default_thresholds(minor), **values[EVICTION_FIELD]}
        put = f"put {values} into values of a profile in spec.workerProfiles of k0s' configuration, and start its workers with --profile"
        take = f"take the feature gate {' and '.join(leaving_gates)} out of k0s' configuration, and restart its workers"
        raise OwnedByOthersError(
            "k0s writes this file again at each start, from its own configuration",
            config,
            "; ".join([*([put] if values else []), *([take] if leaving_gates else []), "nothing was written"]),
            _manifest(values) if values else None,
        )


def _manifest(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        # There is one of them in a cluster.
        "metadata": {"name": "k0s"},
        "spec": {"workerProfiles": [{"name": _PROFILE, "values": dict(values)}]},
    }


K0S = _K0s(
    "k0s",
    "k0s",
    ("/var/lib/k0s/kubelet-config.yaml", "/var/lib/k0s/bin/kubelet"),
    ("k0s",),
    ("k0sworker.service", "k0scontroller.service"),
    kubelet_dir=K0S_KUBELET_ROOT,
    config="/var/lib/k0s/kubelet-config.yaml",
    asks=("version",),
    starts_kubelet=True,
)
