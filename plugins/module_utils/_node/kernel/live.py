# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The running kernel as the engine sees it: a few operations on files, and modules.

The engine speaks of `/sys/...`, `/proc/...` and `/dev/...`. `LiveKernel` maps those three to where they are mounted, so a container
that has the host's files elsewhere can manage the host. Tests put a behavioural fake in its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import typing as t

from ..absence import if_there, is_absent
from ..errors import NodeError, WriteTimeout, cannot_be_read
from ..facts.paths import DEBUG, DEVICES, DRIVERS, device_directory
from .child import (
    Child,
    NotAnswered,
    StillBlocked,
    clean,
    last,
    read_once,
)
from .commands import NoSuchModule, modprobe, settle
from .descriptors import OpenFiles, open_files
from .lock import open_locks
from .log import Log

READ_SECONDS = 5.0
"""How long to wait for a file that is read under the device's lock. Creating or removing 16 VFs holds it for about a second."""

_LOOK_SECONDS = 0.02
"""How often to look whether a child has ended."""

_LOCKED_FILES = frozenset({"driver_override", "sriov_numvfs"})
"""Files that the kernel reads under the device's lock (drivers/pci/pci-sysfs.c, iov.c), which a removal that blocks holds too.

The files of a QAT driver's own group are treated alike, since what a driver locks is its own affair.
"""

_ASKING_FILES = frozenset({"fw_counters", "cnv_errors", "pm_status"})
"""Files of debugfs for which a QAT driver asks the firmware, which may not answer (adf_admin.c). Those of telemetry take locks."""


class Write(t.NamedTuple):
    """One write of several. `shows` is the file or link that shows whether it took, and `after` what that says then, if anything."""

    path: str
    value: str
    shows: str
    after: str


class Kernel(t.Protocol):
    """What the engine may ask of a kernel. Paths are absolute and begin with /sys, /proc or /dev."""

    def read(self, path: str) -> str:
        """The file's text, NUL bytes and surrounding white space removed.

        Raises OSError; TimeoutError where the kernel does not answer because it is still at work on the device.
        """

    def expect(self, paths: t.Sequence[str]) -> None:
        """Say which files will be read next, each once, so that they can be fetched together."""

    def write(self, path: str, value: str, seconds: float) -> None:
        """Write `value` and a newline in one write call to an existing file.

        Raises OSError with the kernel's errno, or WriteTimeout when the call has not returned after `seconds`.
        """

    def write_each(self, writes: t.Sequence[Write], seconds: float) -> tuple[int, OSError | WriteTimeout | None]:
        """Make the writes in turn, up to the first that does not take: how many took, and what `write` would raise for that one.

        None where no write failed, so also for one that the kernel accepted without doing it. `seconds` is the time for each.
        """

    def list(self, path: str) -> t.Sequence[str]:
        """The names in a directory, sorted. Raises OSError."""

    def link(self, path: str) -> str:
        """The last component of a symbolic link's target. Raises OSError."""

    def exists(self, path: str) -> bool:
        """Whether the path exists, links followed. Raises NodeError where that is not known."""

    def writable(self, path: str) -> bool:
        """Whether this process may write the existing file."""

    def has_module(self, name: str) -> bool:
        """Whether a module of this name is there to be loaded. Raises NodeError where modprobe is missing, or cannot look."""

    def load_module(self, name: str, options: t.Sequence[str], seconds: float) -> None:
        """Load a kernel module with what it depends on. Raises NodeError with what modprobe said, or WriteTimeout."""

    def unload_module(self, name: str, seconds: float) -> None:
        """Unload a kernel module. Raises NodeError with what modprobe said, or WriteTimeout."""

    def log(self, device: str) -> t.Sequence[str]:
        """The kernel's warnings and errors that name this device and came since the last write began."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def open_files(self, pid: int, majors: t.Collection[int]) -> OpenFiles:
        """What a process has open of VFIO, whose nodes have these majors. Raises OSError where any of it cannot be seen."""


class LiveKernel:
    """The kernel of the machine this process runs on, or of the host whose files are mounted at other places."""

    def __init__(
        self,
        sysfs_root: str = "/sys",
        proc_root: str = "/proc",
        dev_root: str = "/dev",
        read_seconds: float | None = None,
    ) -> None:
        """`read_seconds` is how long to wait for a file that is read under the device's lock; READ_SECONDS unless given."""
        self._roots = {"sys": sysfs_root.rstrip("/"), "proc": proc_root.rstrip("/"), "dev": dev_root.rstrip("/")}
        self._own_seconds = read_seconds
        self._child: Child | None = None
        self._left_behind: dict[int, str] = {}
        """Children that were given up, by process id, and the device that the kernel holds them up at, where it is known."""
        self._writing: dict[int, tuple[str, str]] = {}
        """Those of them that make a write, and where: see `_target`."""
        self._fetched: dict[str, tuple[int, str]] = {}
        self._log: Log | None = None

    def _at(self, path: str) -> str:
        name, slash, rest = path[1:].partition("/")
        if not path.startswith("/") or name not in self._roots:
            raise ValueError(f"{path} is not below /sys, /proc or /dev")
        return f"{self._roots[name]}{slash}{rest}" or "/"

    def read(self, path: str) -> str:
        if not may_block(path):
            return clean(read_once(self._at(path)))
        if path not in self._fetched:
            self._fetch([path], self._read_seconds)
        return clean(_result(self._fetched.pop(path), path))

    def expect(self, paths: t.Sequence[str]) -> None:
        self._fetched.clear()
        self._fetch([path for path in paths if may_block(path)], 0.0)

    @property
    def _read_seconds(self) -> float:
        return READ_SECONDS if self._own_seconds is None else self._own_seconds

    def _fetch(self, paths: t.Sequence[str], patience: float) -> None:
        """Read the files. A device that a child hangs on is not asked again before that child has ended.

        `patience` is how long to wait for its end. Where no child is to be had, or it is killed, one file fails and several are
        left to be read one by one.
        """
        held_up = self._held_up(paths, patience)
        left = self._without(held_up, paths)
        while left:
            try:
                answers = self._ask("read", [self._at(path) for path in left], self._read_seconds)
            except StillBlocked as blocked:
                silent = device_of(left[blocked.reached])
                self._left_behind[blocked.pid] = silent
                # What it read before is lost with it, and can be read again.
                left = [*left[: blocked.reached], *self._without({silent}, left[blocked.reached :])]  # noqa: E203
                continue
            except OSError as error:
                if len(paths) == 1:
                    self._fetched[paths[0]] = (error.errno or errno.EIO, "")
                return
            self._fetched.update((path, (code, text)) for path, (code, text) in zip(left, answers))
            return

    def _without(self, silent: t.Collection[str], paths: t.Sequence[str]) -> list[str]:
        """Those of the files whose device is not silent; the others are noted as not answering."""
        self._fetched.update((path, (errno.ETIMEDOUT, "")) for path in paths if device_of(path) in silent)
        return [path for path in paths if device_of(path) not in silent]

    def write(self, path: str, value: str, seconds: float) -> None:
        self._begin_to_write()
        self._await_last_write(path, value, seconds)
        shows = path if may_block(path) else ""
        try:
            _took, code, found = self._ask("write", [self._order(Write(path, value, shows, value))], seconds)
        except NotAnswered as error:
            if isinstance(error, StillBlocked):
                self._writing[error.pid] = _target(path, value)
            raise _as_write(error, path, value, seconds) from None
        if shows:
            self._fetched[path] = (found[0], found[1])
        _result((code, ""), path)

    def _await_last_write(self, path: str, value: str, seconds: float) -> None:
        """Wait for an earlier write there that has not returned: whoever tries again and again is not to leave a child each time.

        Raises WriteTimeout where it has not after so many seconds.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._reap()
            pid = next((pid for pid, written in self._writing.items() if written == _target(path, value)), None)
            if pid is None:
                return
            if time.monotonic() >= deadline:
                raise _timeout(pid, path, value, seconds)
            time.sleep(_LOOK_SECONDS)

    def write_each(self, writes: t.Sequence[Write], seconds: float) -> tuple[int, OSError | WriteTimeout | None]:
        self._begin_to_write()
        try:
            took, code, _found = self._ask("write", [self._order(one) for one in writes], seconds)
        except NotAnswered as error:
            at = writes[error.reached]
            return error.reached, _as_write(error, at.path, at.value, seconds)
        except OSError as error:
            return 0, error
        refused = took < len(writes) and code
        return took, OSError(code, os.strerror(code), writes[took].path) if refused else None

    def _begin_to_write(self) -> None:
        if self._log is None:
            self._log = Log(self._at("/dev/kmsg"))
        self._log.forget()
        self._fetched.clear()  # what was read before a write may no longer be so

    def _order(self, write: Write) -> Write:
        """The write as the child gets it."""
        return Write(self._at(write.path), write.value + "\n", write.shows and self._at(write.shows), write.after)

    def _ask(self, operation: str, work: t.Sequence[t.Any], seconds: float) -> t.Any:
        """Raises NotAnswered, or another OSError where there is no child to ask."""
        self._reap()
        try:
            if self._child is None:
                self._child = Child()
            return self._child.ask(operation, work, seconds)
        except BaseException:
            # Also when somebody ends this process: the child may hang in the kernel, and is not waited for.
            if self._child is not None:
                self._child.let_go()
                self._left_behind[self._child.pid] = ""
                self._child = None
            raise

    def _held_up(self, paths: t.Sequence[str], patience: float) -> set[str]:
        """The devices of these files that a child still hangs on after so many seconds."""
        devices = {device_of(path) for path in paths}
        deadline = time.monotonic() + patience
        while True:
            self._reap()
            found = devices.intersection(self._left_behind.values())
            if not found or time.monotonic() >= deadline:
                return found
            time.sleep(_LOOK_SECONDS)

    def _reap(self) -> None:
        """Forget the children that have ended since they were given up."""
        for pid in list(self._left_behind):
            if _has_ended(pid):
                del self._left_behind[pid]
                self._writing.pop(pid, None)

    def list(self, path: str) -> t.Sequence[str]:
        return sorted(os.listdir(self._at(path)))

    def link(self, path: str) -> str:
        return last(os.readlink(self._at(path)))

    def exists(self, path: str) -> bool:
        try:
            return if_there(lambda: os.stat(self._at(path)), None) is not None
        except OSError as error:
            raise cannot_be_read(error) from None

    def writable(self, path: str) -> bool:
        return os.access(self._at(path), os.W_OK)

    def has_module(self, name: str) -> bool:
        try:
            modprobe(["--dry-run", name], READ_SECONDS)
        except NoSuchModule:
            return False
        return True

    def load_module(self, name: str, options: t.Sequence[str], seconds: float) -> None:
        self._fetched.clear()
        modprobe([name, *options], seconds)

    def unload_module(self, name: str, seconds: float) -> None:
        self._fetched.clear()
        modprobe(["--remove", name], seconds)

    def log(self, device: str) -> t.Sequence[str]:
        return self._log.lines(device) if self._log else ()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def open_files(self, pid: int, majors: t.Collection[int]) -> OpenFiles:
        return open_files(self._at(f"/proc/{pid}"), majors)

    @contextlib.contextmanager
    def locked(self, seconds: float) -> t.Iterator[None]:
        """Keep every other engine from changing this kernel's PCI devices meanwhile; raises RefusedError after `seconds`."""
        with contextlib.ExitStack() as locks:
            for lock in open_locks(self._at):
                locks.callback(lock.close)
                lock.take(seconds)
            yield

    def settle(self, seconds: float) -> None:
        """Wait until udev has handled the events so far, at most `seconds`; where there is no udev, go on at once."""
        settle(seconds)

    def close(self) -> None:
        """End the child process, if one was started, and let go of the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._child is not None:
            self._child.let_go()
            os.waitpid(self._child.pid, 0)
            self._child = None
        self._reap()


def no_devices(error: OSError) -> NodeError:
    """What to say where there is no directory of PCI devices, or it cannot be read."""
    if not is_absent(error):
        return cannot_be_read(error)
    return NodeError(
        f"cannot list the PCI devices: {error.strerror}", where=DEVICES, remedy="mount sysfs, or set sysfs_root"
    )


def _target(path: str, value: str) -> tuple[str, str]:
    """What a write is to: a file of a driver is written for one device, which holds up no other."""
    return path, value if path.startswith(f"{DRIVERS}/") else ""


def _as_write(error: NotAnswered, path: str, value: str, seconds: float) -> OSError | WriteTimeout:
    return _timeout(error.pid, path, value, seconds) if isinstance(error, StillBlocked) else error


def _timeout(pid: int, path: str, value: str, seconds: float) -> WriteTimeout:
    return WriteTimeout(
        f"writing {value!r} has not returned after {seconds:g} seconds",
        where=path,
        remedy=f"process {pid} stays in the kernel until the device lets go",
    )


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _result(answer: tuple[int, str], path: str) -> str:
    code, text = answer
    if code:
        raise OSError(code, os.strerror(code), path)
    return text


def may_block(path: str) -> bool:
    """Whether the kernel can make whoever reads the file wait, for as long as a removal takes."""
    directory, _slash, name = path.rpartition("/")
    return name in _LOCKED_FILES or directory.endswith(("/qat", "/telemetry")) or name in _ASKING_FILES


def device_of(path: str) -> str:
    """The directory of the PCI function whose file this is, in sysfs or debugfs."""
    if path.startswith(f"{DEBUG}/"):
        return device_directory(path.split("/", 5)[4].rpartition("_")[2])
    return "/".join(path.split("/", 6)[:6])
