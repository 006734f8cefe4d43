# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.unit.plugins.modules.run import Player


@pytest.fixture(autouse=True)
def on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests import the controller's part of Ansible, which then takes the warnings that a module returns on a node.

    A module runs in a process of its own there: it does not return what was warned of before.
    """
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)
    monkeypatch.setattr("ansible.module_utils.common.warnings._global_warnings", {})


@pytest.fixture
def play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> t.Callable[..., Player]:
    """Makes the player for a kernel."""
    return lambda kernel: Player(kernel, str(tmp_path / "lib/found.json"), monkeypatch, capsys)
