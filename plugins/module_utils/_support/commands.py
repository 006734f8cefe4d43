# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs commands of the node that only look, bounded in time and in what is kept of their output."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import typing as t

from .._host.machine import CommandResult
from .._node.errors import NodeError
from .._node.facts.paths import KUBELET_COMMAND_DIRECTORIES
from .._node.kernel.commands import command_directories

SECONDS = 20.0
MOST = 2 << 20
"""Bytes of the output, of which the last are kept."""


def directories() -> list[str]:
    """Where commands of the node are looked for, kubelet's among them."""
    return command_directories(KUBELET_COMMAND_DIRECTORIES)


def run_bounded(command: t.Sequence[str], seconds: float = SECONDS, most: int = MOST) -> CommandResult:
    """Run a command. Raises NodeError where it cannot be started, or has not ended in time; it is killed then, with all that it started."""
    # run_command of AnsibleModule has no limit of time.
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.pathsep.join(directories()), "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise NodeError(f"cannot be run: {error.strerror}", command[0], "see that it is installed") from None
    deadline = time.monotonic() + seconds
    try:
        out, err = _outputs(process, deadline, most)
        code = process.wait(max(deadline - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        raise NodeError(f"has not ended after {seconds:g} seconds", command[0], "see what it waits for") from None
    finally:
        _end(process)
    return CommandResult(code, out, err)


def _outputs(process: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[str, str]:
    """The last of both outputs, when both are closed. Raises TimeoutExpired."""
    kept: dict[t.Any, bytes] = {process.stdout: b"", process.stderr: b""}
    cut = dict.fromkeys(kept, False)
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, left)
            for key, _events in selector.select(left):
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                whole = kept[key.fileobj] + piece
                cut[key.fileobj] = cut[key.fileobj] or len(whole) > most
                kept[key.fileobj] = whole[-most:]
    out, err = (_whole_lines(kept[stream], cut[stream]) for stream in kept)
    return out, err


def _whole_lines(output: bytes, is_cut: bool) -> str:
    text = output.decode("utf-8", "backslashreplace")
    return text.partition("\n")[2] if is_cut else text


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of it. One that the kernel does not let go is not waited for."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
