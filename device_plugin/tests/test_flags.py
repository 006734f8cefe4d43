# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flag that several commands have means the same in each."""

from __future__ import annotations

import typing as t

import pytest
from qat_device_plugin import settings
from qat_device_plugin.exporter import command as exporter
from qat_device_plugin.vm_attach import command as vm_attach

if t.TYPE_CHECKING:
    import argparse

OWN = {"--metrics-address", "--run-dir", "--period"}
"""Each command has its own default, or bound, for these."""


def flags() -> dict[str, list[argparse.Action]]:
    """By name each flag that several commands have."""
    found: dict[str, list[argparse.Action]] = {}
    for parser in (settings._parser(), exporter._parser(), vm_attach._parser()):
        for action in parser._actions:
            found.setdefault(action.option_strings[-1], []).append(action)
    return {name: actions for name, actions in found.items() if len(actions) > 1 and name not in OWN}


@pytest.mark.parametrize("name", sorted(flags()))
def test_a_flag_of_several_commands_is_one(name: str) -> None:
    first, *others = ((one.type, one.default, one.choices, one.metavar, one.nargs) for one in flags()[name])
    assert others == [first] * len(others)


def test_there_are_some() -> None:
    assert {"--sysfs-root", "--proc-root", "--kubelet-root", "--log-level", "--log-format", "--version"} <= set(flags())
