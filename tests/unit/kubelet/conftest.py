# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult, LiveMachine
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode


@pytest.fixture
def make_node(tmp_path: Path) -> t.Iterator[t.Callable[..., KubeletNode]]:
    """Makes nodes, and ends what runs on them."""
    made: list[KubeletNode] = []

    def make(**settings: t.Any) -> KubeletNode:
        made.append(KubeletNode(tmp_path / f"node{len(made)}", **settings))
        return made[-1]

    yield make
    for node in made:
        node.end()


def machine_of(node: KubeletNode) -> LiveMachine:
    """The node as the modules on it see it."""

    directories = [str(node.directory / "bin"), "/usr/local/bin", "/usr/bin", "/opt/bin"]
    return LiveMachine(lambda command: call(command, **node.environment), str(node.root), directories)


def call(command: t.Sequence[str], **environment: str) -> CommandResult:
    """Run a command of this machine."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=300
    )
    return CommandResult(done.returncode, done.stdout, done.stderr)
