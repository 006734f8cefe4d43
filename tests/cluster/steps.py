# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node

UNIT = "accel-qat-device-plugin.service"
_DROP_IN = f"/etc/systemd/system/{UNIT}.d/test.conf"


def include(controller: Controller, role: str, entry_point: str = "main", **variables: Any) -> Run:
    """Run an entry point of one of the collection's roles, which must succeed."""
    task = {"name": f"accel.qat.{role}", "tasks_from": entry_point}
    run = controller.play([{"name": "Role", "ansible.builtin.include_role": task, "vars": variables}])
    assert run.code == 0, run.output
    return run


def given(cluster: Cluster, pod: str, container: str = "main") -> list[str]:
    """The VFs that a container of a running pod was given, by its environment."""
    environment = cluster.environment(pod, container)
    return [value for name, value in sorted(environment.items()) if name.startswith("QAT")]


@contextlib.contextmanager
def kubelet_configured(
    controller: Controller, settings: Mapping[str, Any], configuration: Mapping[str, Any]
) -> Iterator[Run]:
    """Kubelet has these fields, on a node without pods; afterwards those of the settings alone. Gives what the run says that sets them."""

    def run_playbook(name: str, **more: Any) -> Run:
        done = controller.run(
            f"accel.qat.{name}", "--tags", "kubelet", **{**settings, **more}, qat_kubelet_drained=True
        )
        assert done.code == 0, done.output
        return done

    try:
        yield run_playbook("site", qat_kubelet_configuration=dict(configuration))
    finally:
        # What is not named any more stays, so it has to be taken back.
        run_playbook("teardown")
        run_playbook("site")


def with_drop_in(node: Node, lines: str) -> None:
    """Have the unit of the device plugin changed by these lines."""
    text = f"[Service]\n{lines}\n"
    node.run(f"mkdir -p $(dirname {_DROP_IN}); printf %s '{text}' > {_DROP_IN}; sync; systemctl daemon-reload")


def without_drop_in(node: Node) -> None:
    """Have it as the role wrote it."""
    node.run(f"rm -r $(dirname {_DROP_IN}); sync; systemctl daemon-reload")


def process(node: Node) -> int:
    """The main process of the device plugin's unit."""
    return int(node.run(f"systemctl show --property=MainPID --value {UNIT}"))


def wait_until_taken(node: Node) -> None:
    """Wait until the device plugin says that kubelet has taken its lists: what the API has of a node may be from before a boot."""
    node.run(f"until systemctl show --property=StatusText {UNIT} | grep -q '=ready;'; do sleep 0.5; done")
