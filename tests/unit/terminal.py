# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal without a person, by tmux, for what draws on one."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import time
import typing as t

# Of what the machine has to do nothing is known: only what never happens takes so long.
PATIENCE = 300.0


class Terminal:
    """A terminal of 80 columns and 24 rows, in which a shell runs one command and says how that ended."""

    def __init__(self) -> None:
        # The path of a socket has at most 107 characters, and directories of tests may have more.
        self._directory = tempfile.mkdtemp(prefix="tmux-", dir="/tmp")
        self._tmux = ["tmux", "-S", f"{self._directory}/socket", "-f", "/dev/null"]

    def start(self, command: t.Sequence[str]) -> None:
        """Run it; afterwards there stands `ended with CODE` and what of the keyboard's settings is on."""
        line = f"{shlex.join(command)}; echo ended with $?, $(stty -a | grep -owE -e '-?(echo|icanon)'); cat"
        self._run("new-session", "-d", "-x", "80", "-y", "24", line)

    def _run(self, *words: str) -> str:
        return subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True).stdout

    def screen(self) -> list[str]:
        """The lines that are there now."""
        return self._run("capture-pane", "-p").splitlines()

    def wait_for(self, text: str) -> list[str]:
        """The screen, as soon as this stands on it."""
        end = time.monotonic() + PATIENCE
        while True:
            shown = self.screen()
            if any(text in line for line in shown):
                return shown
            assert time.monotonic() < end, "\n".join(shown)
            time.sleep(0.05)

    def resize(self, columns: int, rows: int) -> None:
        """Make it smaller, or larger."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def press(self, key: str) -> None:
        """Press a key, by the name that tmux has for it."""
        self._run("send-keys", key)

    def close(self) -> None:
        """End all that runs in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
        shutil.rmtree(self._directory)
