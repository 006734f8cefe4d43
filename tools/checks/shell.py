# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run commands visibly, in the environment that all checks share."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
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


def common_environment() -> dict[str, str]:
    """Return the environment of every check: tools from .venv, state in build/, the collection found in build/tree.

    Of the caller's switches of Python it has none: PYTHONUNBUFFERED, for one, hides how programs end whose reader has gone.
    """
    switches = {name for name in os.environ if name.startswith("PYTHON")} - {"PYTHONPATH"}
    return {
        **{name: value for name, value in os.environ.items() if name not in switches},
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        # Ansible keeps collections, caches and temporary files here instead of in the user's ~/.ansible.
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(TREE),
        # ansible-core 2.24 drops facts as variables; nothing here may count on them.
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(BUILD / "hypothesis"),
    }


@dataclasses.dataclass(frozen=True)
class Command:
    """Words to run, where, and the variables to add to those of the stage."""

    words: tuple[str, ...]
    cwd: Path = CHECKOUT
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return shlex.join(self.words)


def command(*words: str | Path, cwd: Path = CHECKOUT, **environment: str | Path) -> Command:
    """Return the command of these words."""
    variables = {name: str(value) for name, value in environment.items()}
    return Command(tuple(str(word) for word in words), cwd, variables)


class Shell:
    """Runs the commands of one stage."""

    def __init__(self) -> None:
        self.environment = common_environment()

    def run(self, *words: str | Path, cwd: Path = CHECKOUT, **environment: str | Path) -> None:
        """Run a command with its output passed through; raise CommandFailed when it fails.

        `environment` adds variables to those of the stage.
        """
        one = command(*words, cwd=cwd, **environment)
        print(f"  $ {one}", flush=True)
        begin = time.monotonic()
        process = self._start(one)
        with _cleared_away(process):
            process.wait()
        _insist(one, process)
        print(f"    ({time.monotonic() - begin:.1f} s)", flush=True)

    def run_together(self, *commands: Command) -> None:
        """Run commands that need one core each at once, and print what each says in one piece; raise CommandFailed when one fails."""
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            started = []
            for one in commands:
                output = stack.enter_context(tempfile.TemporaryFile())
                process = self._start(one, output.fileno(), subprocess.STDOUT)
                started.append((one, output, stack.enter_context(_cleared_away(process))))
            for one, output, process in started:
                process.wait()
                output.seek(0)
                print(f"  $ {one}\n{output.read().decode(errors='replace')}", end="", flush=True)
                print(f"    (after {time.monotonic() - begin:.1f} s)", flush=True)
        for one, _output, process in started:
            _insist(one, process)

    def read(self, *words: str | Path, cwd: Path = CHECKOUT, **environment: str | Path) -> str:
        """Run a command quietly and return what it printed; raise CommandFailed when it fails."""
        one = command(*words, cwd=cwd, **environment)
        process = self._start(one, subprocess.PIPE)
        with _cleared_away(process):
            said, _ = process.communicate()
        _insist(one, process)
        return said.decode()

    def say(self, text: str) -> None:
        """Print a remark of the stage."""
        print(f"  {text}", flush=True)

    def _start(self, one: Command, stdout: int | None = None, stderr: int | None = None) -> subprocess.Popen[bytes]:
        environment = {**self.environment, **one.environment}
        return subprocess.Popen(
            one.words, cwd=one.cwd, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )


@contextlib.contextmanager
def _cleared_away(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Not subprocess.run, which would kill it, virtual machines and all, instead of letting it clear away."""
    try:
        yield process
    except KeyboardInterrupt:
        process.wait()  # the terminal has signalled it too
        raise
    except Terminated:
        process.terminate()
        process.wait()
        raise


def _insist(one: Command, process: subprocess.Popen[bytes]) -> None:
    if process.returncode:
        raise CommandFailed(f"{one} returned {process.returncode}")
