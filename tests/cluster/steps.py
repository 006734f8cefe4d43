# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of these tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster


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
