# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables the collection has: one list, which roles, playbooks and documentation agree with."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.plugin_utils._variables import (
    FACTS,
    OTHERS,
    PLAYBOOKS,
    PREFIX,
    faults,
    role_variables,
)
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLES = sorted(path.parents[1] for path in (CHECKOUT / "roles").glob("*/tasks/main.yml"))
OF_ROLES = role_variables(CHECKOUT / "roles")


def tasks_of(path: t.Any) -> list[dict[str, t.Any]]:
    """The tasks of a file, with those of its blocks."""

    def flat(tasks: list[dict[str, t.Any]]) -> t.Iterator[dict[str, t.Any]]:
        for task in tasks:
            yield task
            for part in ("block", "rescue", "always"):
                yield from flat(task.get(part, []))

    return list(flat(yaml.safe_load(path.read_text()) or []))


def left_behind(role: t.Any) -> set[str]:
    """The names that tasks of a role set for those after it; its own begin with two underscores."""
    names: set[str] = set()
    for path in role.glob("tasks/*.yml"):
        for task in tasks_of(path):
            names |= {task["register"]} if "register" in task else set()
            names |= set(task.get("ansible.builtin.set_fact", {})) - {"cacheable"}
    return {name for name in names if not name.startswith("__")}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_each_name_of_a_role_begins_with_that_of_the_role(role: t.Any) -> None:
    assert role.name.startswith(PREFIX)
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) if (role / "defaults").exists() else {}
    own = {*defaults, *left_behind(role)}
    assert own
    assert {name for name in own if not name.startswith(f"{role.name}_")} == set()
    variables = yaml.safe_load((role / "vars/main.yml").read_text()) if (role / "vars").exists() else {}
    assert {name for name in variables if not name.startswith(f"__{role.name}_")} == set()


def test_facts_are_those_that_tasks_of_roles_set() -> None:
    assert {name for role in ROLES for name in left_behind(role)} == set(FACTS)


def test_variables_of_the_playbooks_are_those_that_they_read() -> None:
    read: set[str] = {OTHERS}
    for path in (CHECKOUT / "playbooks").rglob("*.yml"):
        # Not names of roles and modules, which stand behind the collection's.
        read |= set(re.findall(r"(?<![\w.])qat_\w+", re.sub(r"#.*", "", path.read_text())))
    drain_and_verify = {role.name for role in ROLES} & PLAYBOOKS  # roles and variables, too
    roles = {role.name for role in ROLES} - drain_and_verify
    assert read - OF_ROLES - FACTS - roles - {"qat_nodes"} == set(PLAYBOOKS)


def test_page_names_the_variables_of_the_playbooks_and_what_was_renamed() -> None:
    page = (CHECKOUT / "docs/variables.md").read_text()
    assert set(re.findall(r"^\| `(qat_\w+)`", page, re.MULTILINE)) == set(PLAYBOOKS)
    for role in ROLES:
        assert f"| role `accel.qat.{role.name[len(PREFIX) :]}` | `accel.qat.{role.name}` |" in page
        assert f"`{role.name}_*`" in page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qat_node_devcies", "qat_node_devcies is not a variable of accel.qat; the nearest is qat_node_devices"),
        ("qat_kubernets", "qat_kubernets is not a variable of accel.qat; the nearest is qat_kubernetes"),
        ("qat_kubelet_config_dirs", "; the nearest is qat_kubelet_config_dir"),
        ("qat_zzz_9", "qat_zzz_9 is not a variable of accel.qat"),
        ("node_devices", "node_devices is called qat_node_devices now"),
        ("drain_timeout", "drain_timeout is called qat_drain_timeout now"),
    ],
)
def test_names_that_are_refused(name: str, said: str) -> None:
    (fault,) = faults(["ansible_host", name, "qat_node_devices"], OF_ROLES)
    assert fault.endswith(said) if said.startswith(";") else fault == said


def test_names_that_are_not() -> None:
    others = ["ansible_host", "kubelet_cgroup_driver", "drain_grace_period", "__qat_begun", "qatctl_path", "qat"]
    assert faults([*OF_ROLES, *PLAYBOOKS, *FACTS, *others], OF_ROLES) == []
    assert faults(["drain_timeout", "qat_rack"], OF_ROLES, ["qat_rack", "drain_timeout"]) == []


def test_all_are_reported_at_once() -> None:
    assert len(faults(["qat_b", "node_python", "qat_a"], OF_ROLES)) == 3
