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

from ..errors import NodeError, WriteTimeout
from ..facts.paths import COMMAND_DIRECTORIES

_HEARING_SECONDS = 0.2
"""How long systemd may take to hear of an event that udev has handled."""


class NoSuchModule(NodeError):
    """Modprobe has found no module of this name."""


def modprobe(arguments: t.Sequence[str], seconds: float) -> None:
    """Run modprobe. Raises NoSuchModule, WriteTimeout after `seconds`, another NodeError with what it said, or where it is missing.

    Its output goes to a file, since a process stuck in the kernel would hold a pipe open.
    """
    name = next(argument for argument in arguments if not argument.startswith("-"))
    command = _path("modprobe")
    if command is None:
        raise NodeError("the command modprobe is missing", where=name, remedy="install kmod on the node")
    with _output(name) as output:
        try:
            # The engine has no AnsibleModule, and run_command would wait for a process that no signal reaches.
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                [command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd="/",
            )
        except OSError as error:
            raise NodeError(
                f"{command} cannot be run: {error.strerror}", where=name, remedy="see that the node's kmod is sound"
            ) from None
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
            said = " ".join(output.read(_MOST_SAID).decode("utf-8", "replace").split())
            # Who is killed, or cannot run, has not looked.
            has_looked = code == 1 and (_NOT_FOUND in said or not said)
            kind = NoSuchModule if has_looked else NodeError
            raise kind(f"modprobe failed: {said or f'exit code {code}'}", where=name, remedy=_remedy(said))


def _output(name: str) -> t.IO[bytes]:
    """A file for what modprobe says of a module, also where the disk is full. Raises NodeError."""
    try:
        try:
            return tempfile.TemporaryFile()
        except OSError:
            return os.fdopen(os.memfd_create("modprobe"), "w+b")
    except OSError as error:
        raise NodeError(
            f"modprobe cannot be run: {error.strerror}",
            where=name,
            remedy="give this process more open files and memory",
        ) from None


_MOST_SAID = 65536
_NOT_FOUND = "not found"
"""kmod says `Module x not found in directory /lib/modules/6.1.0`, BusyBox `module x not found in modules.dep`."""

_UNSIGNED = ("Key was rejected", "Required key not available")
"""What modprobe says of a module without the signature that Secure Boot or lockdown asks for (kernel/module/signing.c)."""


_INSTALL_LINE = "Error running install command"
"""What kmod says of an `install` line in modprobe.d whose command fails (libkmod-module.c, command_do)."""


def _remedy(said: str) -> str:
    if _INSTALL_LINE in said:
        return "remove the install line of modprobe.d that keeps the module out (modprobe --show-depends names it), or name another driver"
    if os.strerror(errno.EPERM) in said:  # kernel/module/main.c: may_init_module, blacklisted; security/lockdown
        return (
            "see the kernel's log for what forbids it: that the module has no signature that the kernel trusts (Secure Boot, lockdown), "
            "module_blacklist among its arguments, or the sysctl kernel.modules_disabled"
        )
    if any(words in said for words in _UNSIGNED):
        return (
            "the kernel takes only modules with a signature that it trusts (Secure Boot, lockdown): install the distribution's own "
            "module, or sign this one"
        )
    return "see the kernel's log, and that the module belongs to the running kernel"


def settle(seconds: float) -> None:
    """Wait until udev has handled the events so far, at most `seconds`; where there is no udev, go on at once."""
    command = _path("udevadm")
    if command is None:
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(  # pylint: disable=ansible-bad-function
            [command, "settle", f"--timeout={seconds:.0f}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=2 * seconds,
            check=False,
            env=_environment(),
            cwd="/",
        )
        time.sleep(_HEARING_SECONDS)


def command_directories(more: t.Sequence[str] = ()) -> list[str]:
    """Where commands of the node are looked for: in PATH, in the usual directories, then in `more`.

    Of PATH no directory that depends on where this runs: root would run what lies there.
    """
    path = filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep))
    return list(dict.fromkeys([*path, *COMMAND_DIRECTORIES, *more]))


def _path(name: str) -> str | None:
    """The command's path, or None."""
    return shutil.which(name, path=os.pathsep.join(command_directories()))


def _environment() -> dict[str, str]:
    """What a command gets of this process's surroundings, in which MODPROBE_OPTIONS and LD_PRELOAD may stand. It speaks English."""
    return {"PATH": os.pathsep.join(command_directories()), "LC_ALL": "C"}
