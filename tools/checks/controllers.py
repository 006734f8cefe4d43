# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of ansible-core that the collection is tested with, and an environment of each.

The one place that lists them: a test compares it with what the collection says of itself, in meta/runtime.yml, the roles and the pages.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import environments, interpreters
from .shell import VENV, Shell


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of ansible-core, the list in requirements/ that has it, and the Pythons that it runs on and serves.

    Of the Pythons of controllers the first that is found is taken. Those of nodes are from Python 3.9 on, which the collection needs.
    """

    version: str
    lock: str
    pythons: tuple[str, ...]
    node_pythons: tuple[str, ...]


_DEVELOPMENT = "controller"
"""The list whose packages .venv has, too."""

RELEASES = (
    Release("2.16", "controller_2.16", ("3.11", "3.10", "3.12"), ("3.9", "3.10", "3.11", "3.12")),
    Release("2.18", "controller_2.18", ("3.11", "3.12", "3.13"), ("3.9", "3.10", "3.11", "3.12", "3.13")),
    # Which of the two the list gives depends on the Python.
    Release("2.19", _DEVELOPMENT, ("3.11",), ("3.9", "3.10", "3.11", "3.12", "3.13")),
    Release("2.21", _DEVELOPMENT, ("3.12", "3.13", "3.14"), ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")),
)


@dataclasses.dataclass(frozen=True)
class Controller:
    """An ansible-core to test with: its Python, which has its commands beside it, and its exact version."""

    python: Path
    version: str
    release: Release

    @property
    def commands(self) -> Path:
        """The directory of its commands."""
        return self.python.parent


def wanted() -> Sequence[Release]:
    """The oldest and the newest, or with ACCEL_QAT_CONTROLLERS=all every release."""
    return RELEASES if os.environ.get("ACCEL_QAT_CONTROLLERS") == "all" else (RELEASES[0], RELEASES[-1])


def find(shell: Shell) -> list[Controller]:
    """Return the controllers that are wanted, and say of which this machine has no Python. At least that of .venv is among them."""
    found = []
    for release in wanted():
        python = _python_of(shell, release)
        if python is None:
            shell.say(f"no Python {' or '.join(release.pythons)} found: ansible-core {release.version} is not tested")
        else:
            found.append(Controller(python, _version_of(shell, python), release))
    if not found:
        found.append(_of_development(shell))
    shell.say("ansible-core " + ", ".join(controller.version for controller in found))
    return found


def _python_of(shell: Shell, release: Release) -> Path | None:
    if release == _development():
        return VENV / "bin" / "python"
    python = next(filter(None, map(interpreters.find, release.pythons)), None)
    return environments.environment(shell, python, release.lock) if python else None


def _of_development(shell: Shell) -> Controller:
    python = VENV / "bin" / "python"
    return Controller(python, _version_of(shell, python), _development())


def _development() -> Release:
    """The release that .venv has."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return next(one for one in RELEASES if one.lock == _DEVELOPMENT and python in one.pythons)


def _version_of(shell: Shell, python: Path) -> str:
    return shell.read(python, "-c", "import ansible.release as r; print(r.__version__)").strip()
