# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands of the node that the engine calls: modprobe, and udevadm."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import time
import typing as t

from .errors import NodeError, WriteTimeout
from .paths import COMMAND_DIRECTORIES

_HEARING_SECONDS = 0.2
"""How long systemd may take to hear of an event that udev has handled."""


class ModprobeFailed(NodeError):
    """What modprobe said."""


def modprobe(arguments: t.Sequence[str], seconds: float) -> None:
    """Run modprobe. Raises ModprobeFailed with what it said, WriteTimeout after `seconds`, NodeError where it is missing.

    Its output goes to a file, since a process stuck in the kernel would hold a pipe open.
    """
    name = next(argument for argument in arguments if not argument.startswith("-"))
    with tempfile.TemporaryFile() as output:
        try:
            # The engine has no AnsibleModule, and run_command would wait for a process that no signal reaches.
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                [_path("modprobe"), *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except FileNotFoundError:
            raise NodeError("the command modprobe is missing", where=name, remedy="install kmod on the node") from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise WriteTimeout(
                f"modprobe has not returned after {seconds:g} seconds",
                where=name,
                remedy=f"process {process.pid} stays in the kernel; see the kernel's log",
            ) from None
        if code:
            output.seek(0)
            said = " ".join(output.read().decode("utf-8", "replace").split())
            raise ModprobeFailed(f"modprobe failed: {said or f'exit code {code}'}", where=name, remedy=_remedy(said))


_UNSIGNED = ("Key was rejected", "Required key not available", os.strerror(errno.EPERM))
"""What modprobe says of a module without the signature that Secure Boot or lockdown asks for (kernel/module/signing.c)."""


def _remedy(said: str) -> str:
    if any(words in said for words in _UNSIGNED):
        return (
            "the kernel takes only modules with a signature that it trusts (Secure Boot, lockdown): install the distribution's own "
            "module, or sign this one"
        )
    return "see the kernel's log, and that the module belongs to the running kernel"


def settle(seconds: float) -> None:
    """Wait until udev has handled the events so far, at most `seconds`; where there is no udev, go on at once."""
    with contextlib.suppress(FileNotFoundError, subprocess.TimeoutExpired):
        subprocess.run(  # pylint: disable=ansible-bad-function
            [_path("udevadm"), "settle", f"--timeout={seconds:.0f}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=2 * seconds,
            check=False,
        )
        time.sleep(_HEARING_SECONDS)


def _path(name: str) -> str:
    """The command's path; its name alone where there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *COMMAND_DIRECTORIES])
    return shutil.which(name, path=path) or name
