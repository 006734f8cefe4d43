# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run commands visibly, in the environment that all checks share."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build"
VENV = CHECKOUT / ".venv"
# Written as Ansible sees the checkout, through the link that tools/collection_tree makes.
TREE = BUILD / "tree"
COLLECTION = TREE / "ansible_collections" / "accel" / "qat"


class Terminated(BaseException):
    """SIGTERM asked the checks to end; a BaseException so that nothing but clean-up catches it."""


def terminate(_number: int, _frame: object) -> None:
    """Handle SIGTERM."""
    raise Terminated


class CommandFailed(Exception):
    """A command of a check returned something else than 0."""


def cache_directory() -> Path:
    """Return where costly results live from run to run, outside of any checkout."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accel-qat"
    return Path(os.environ.get("ACCEL_QAT_CACHE") or default)


def common_environment() -> dict[str, str]:
    """Return the environment of every check: tools from .venv, state in build/, the collection found in build/tree."""
    return {
        **os.environ,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        # Ansible keeps collections, caches and temporary files here instead of in the user's ~/.ansible.
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(TREE),
        # ansible-core 2.24 drops facts as variables; nothing here may count on them.
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(BUILD / "hypothesis"),
    }


class Shell:
    """Runs the commands of one stage."""

    def __init__(self) -> None:
        self.environment = common_environment()

    def run(self, *command: str | Path, cwd: Path = CHECKOUT, **environment: str | Path) -> None:
        """Run a command with its output passed through; raise CommandFailed when it fails.

        `environment` adds variables to those of the stage.
        """
        words = [str(word) for word in command]
        print(f"  $ {shlex.join(words)}", flush=True)
        begin = time.monotonic()
        result = self._start(words, cwd, environment, stdout=None)
        if result.returncode:
            raise CommandFailed(f"{shlex.join(words)} returned {result.returncode}")
        print(f"    ({time.monotonic() - begin:.1f} s)", flush=True)

    def read(self, *command: str | Path, cwd: Path = CHECKOUT, **environment: str | Path) -> str:
        """Run a command quietly and return what it printed; raise CommandFailed when it fails."""
        words = [str(word) for word in command]
        result = self._start(words, cwd, environment, stdout=subprocess.PIPE)
        if result.returncode:
            raise CommandFailed(f"{shlex.join(words)} returned {result.returncode}")
        return result.stdout

    def say(self, text: str) -> None:
        """Print a remark of the stage."""
        print(f"  {text}", flush=True)

    def _start(
        self, words: list[str], cwd: Path, environment: dict[str, str | Path], stdout: int | None
    ) -> subprocess.CompletedProcess[str]:
        added = {name: str(value) for name, value in environment.items()}
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**self.environment, **added},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
        )
        # Not subprocess.run, which would kill it, virtual machines and all, instead of letting it clear away.
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:
            process.wait()  # the terminal has told it too
            raise
        except Terminated:
            process.terminate()
            process.wait()
            raise
        return subprocess.CompletedProcess(words, process.returncode, said)
