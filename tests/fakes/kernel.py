# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel in memory that behaves as the real one does, for tests of everything that speaks to a kernel."""

from __future__ import annotations

import errno
import fnmatch
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.accel.qat.plugins.module_utils._node.absence import if_there
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout, cannot_be_read
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.child import NOTHING
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.descriptors import OpenFiles
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import READ_SECONDS, device_of
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import Write as WriteOfMany
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import NO_PODS, Assignments

from .boot import bring_up, machine_of
from .files import root_of
from .load import Load
from .modules import ModprobeError
from .node import NodeSpec, Pf
from .qat import QatDevice, QatVfDriver
from .tree import Directory, Entry, File, Link, Working, failure, find
from .vfio import DEVICE, DEVICE_MAJOR, GROUP_MAJOR, Process

if t.TYPE_CHECKING:
    from .machine import Machine


class Crash(BaseException):
    """The process that wrote was killed before its next write. No handler for errors catches it."""


class Write(t.NamedTuple):
    """One write: where, what, and the errno it failed with, ETIMEDOUT when it did not return. Modules are written to as well."""

    path: str
    value: str
    errno: int | None


@dataclass
class _PathFault:
    pattern: str
    code: int
    times: int

    def fits(self, path: str) -> bool:
        return self.times != 0 and fnmatch.fnmatchcase(path, self.pattern)


class FakeKernel:
    """Implements the engine's port `Kernel` over a `Machine`, and lets a test look behind it and break things.

    `writes` is everything that was written, failures included. `read_only` is sysfs mounted so; `unprivileged` is a process without
    root's rights. `machine` is the model, for tests that ask for what no file shows.
    """

    def __init__(self, machine: Machine, read_only: bool = False, unprivileged: bool = False) -> None:
        self.machine = machine
        self.read_only = read_only
        self.unprivileged = unprivileged
        self.writes: list[Write] = []
        self.slept = 0.0
        self.assignments = NO_PODS
        self._root = root_of(machine)
        self._fetched: dict[str, str | OSError] = {}
        self._write_faults: list[_PathFault] = []
        self._denied: list[_PathFault] = []
        self._blocked: list[_PathFault] = []
        self._writes_left: int | None = None
        self._next_pid = 4000

    @classmethod
    def of(cls, spec: NodeSpec) -> FakeKernel:
        """The kernel of a described node."""
        kernel = cls(machine_of(spec))
        bring_up(kernel, spec)
        kernel.writes.clear()
        kernel.machine.bus.messages.clear()
        return kernel

    @classmethod
    def with_pfs(cls, *pfs: Pf, **others: t.Any) -> FakeKernel:
        """The kernel of a node with these PFs; for the other arguments see `NodeSpec`."""
        return cls.of(NodeSpec(tuple(pfs), **others))

    # The port.

    def read(self, path: str) -> str:
        if path in self._fetched:
            text = self._fetched.pop(path)
            if isinstance(text, OSError):
                raise text
            return text
        entry = self._find(path)
        if not isinstance(entry, File):
            raise failure(errno.EISDIR if isinstance(entry, Directory) else errno.EINVAL, path)
        if self.unprivileged and entry.secret:
            raise failure(errno.EACCES, path)
        if entry.locked:
            # Waits as long as the engine would, who knows which files can make it wait.
            self.machine.clock.pass_time(READ_SECONDS)
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path)
        return _at(path, entry.read)

    def expect(self, paths: t.Sequence[str]) -> None:
        """What is read later is what the files say now, as with the real port; a device is asked until one of its files blocks."""
        fetched: dict[str, str | OSError] = {}
        silent: dict[str, TimeoutError] = {}
        for path in paths:
            try:
                fetched[path] = silent.get(device_of(path)) or self.read(path)
            except TimeoutError as error:
                fetched[path] = silent[device_of(path)] = error
            except OSError as error:
                fetched[path] = error
        self._fetched = fetched

    def write(self, path: str, value: str, seconds: float) -> None:
        self._fetched.clear()
        self._count_write()
        with _Logged(self.writes, path, value):
            self._write(path, value, seconds)

    def write_each(self, writes: t.Sequence[WriteOfMany], seconds: float) -> tuple[int, OSError | WriteTimeout | None]:
        for number, one in enumerate(writes):
            refusal: OSError | WriteTimeout | None = None
            try:
                self.write(one.path, one.value, seconds)
            except (OSError, WriteTimeout) as error:
                refusal = error
            if isinstance(refusal, WriteTimeout) or self._shown(one.shows) != one.after:
                return number, refusal
        return len(writes), None

    def list(self, path: str) -> t.Sequence[str]:
        entry = self._find(path)
        return sorted(_at(path, entry.enter).names())

    def target(self, path: str) -> str:
        self._refuse(path)
        entry = find(self._root, path)
        if not isinstance(entry, Link):
            raise failure(errno.EINVAL, path)
        return entry.text

    def link(self, path: str) -> str:
        return self.target(path).rsplit("/", 1)[-1]

    def exists(self, path: str) -> bool:
        try:
            return if_there(lambda: self._find(path), None) is not None
        except OSError as error:
            raise cannot_be_read(error) from None

    def writable(self, path: str) -> bool:
        """Root may write to every file, as access(2) says, those without a write permission included."""
        return self.exists(path) and not self.read_only and not self.unprivileged

    def has_module(self, name: str) -> bool:
        return self.machine.modules.find(name) is not None

    def load_module(self, name: str, options: t.Sequence[str], seconds: float) -> None:
        modules = self.machine.modules
        self._change_module(name, " ".join(("load", *options)), lambda: modules.load(name, options), seconds)

    def unload_module(self, name: str, seconds: float) -> None:
        self._change_module(name, "unload", lambda: self.machine.modules.unload(name), seconds)

    def log(self, device: str) -> t.Sequence[str]:
        return [line for line in self.machine.bus.messages if device in line]

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.machine.clock.pass_time(seconds)

    def open_files(self, pid: int, majors: t.Collection[int]) -> OpenFiles:
        directory = f"/proc/{pid}/fd"
        named = {int(name): self.target(f"{directory}/{name}") for name in self.list(directory)}
        process = self.machine.vfio.processes[pid]
        numbers = frozenset(process.devices[name] for name in named if name in process.devices)
        ours = frozenset(number for number in numbers if number[0] in majors)
        return OpenFiles(ours, frozenset(), not ours and DEVICE in named.values())

    def pods(self) -> Assignments:
        return self.assignments

    # What a test does to it.

    def fail_writes(self, pattern: str, code: int, times: int = 1) -> None:
        """The next writes to paths of this pattern (fnmatch) fail with this errno; negative `times`: all of them."""
        self._write_faults.append(_PathFault(pattern, code, times))

    def block_writes(self, pattern: str, times: int = 1) -> None:
        """The next writes to paths of this pattern do not return, and have no effect."""
        self._blocked.append(_PathFault(pattern, errno.ETIMEDOUT, times))

    def deny(self, pattern: str, code: int = errno.EPERM) -> None:
        """Paths of this pattern cannot be read, listed or found: kernel lockdown, or something not mounted."""
        self._denied.append(_PathFault(pattern, code, -1))

    def crash_after(self, writes: int) -> None:
        """So many writes are still made; the one after them raises Crash instead. Then the kernel works on as before."""
        self._writes_left = writes

    def write_bare(self, path: str, text: str) -> None:
        """A program writes a text as it is, without the engine's newline; not in `writes`. No text is no write (fs/sysfs/file.c)."""
        entry = find(self._root, path)
        assert isinstance(entry, File), path
        if text:
            self._work(_at(path, lambda: entry.write(text)), path, text, 0.0)

    def switch(self, address: str, name: str, value: str) -> None:
        """Switch a fault of a PF's hardware, as on the virtual machine; not in `writes`. For the names see `hardware.SWITCHES`."""
        self.write_bare(f"/sys/kernel/debug/qat_sim/{address}/{name}", value + "\n")

    def reset(self, address: str) -> None:
        """A PF is reset from beginning to end, its VFs made again."""
        self.switch(address, "reset", "1")
        self.machine.clock.pass_time(1.0)

    def load(self, address: str) -> Load:
        """What a PF that is up has to do, for a test to change."""
        driver = self.machine.hardware[address].driver
        assert isinstance(driver, QatDevice)
        return driver.telemetry.load

    def open_vf(self, address: str, command: str = "qemu-system-x86", container: str = "", cdev: bool = False) -> int:
        """A process opens a VF for its own use, directly or from a container with this id; returns its pid."""
        function = self.machine.bus.functions[address]
        if function.vfio_device is None:
            raise ValueError(f"{address} has no driver of VFIO")
        assert function.group is not None
        files = dict.fromkeys(range(3), "/dev/null")
        devices = dict.fromkeys(range(3), (1, 3))
        if cdev:
            files.update({3: "/dev/iommu", 4: f"/dev/vfio/devices/vfio{function.vfio_device}"})
            devices.update({3: (10, 125), 4: (DEVICE_MAJOR, function.vfio_device)})
        else:
            files.update({3: "/dev/vfio/vfio", 4: self.machine.vfio.node(function), 5: DEVICE})
            devices.update({3: (10, 196), 4: (GROUP_MAJOR, function.group.number)})
        self._next_pid += 1
        process = Process(self._next_pid, command, _cgroup(container), files, devices)
        self.machine.vfio.processes[self._next_pid] = process
        return self._next_pid

    def hide(self, pid: int) -> None:
        """A process closes every descriptor, and has open what it had all the same: mapped, in io_uring, or in a message to itself."""
        process = self.machine.vfio.processes[pid]
        process.unseen = {number for number in process.devices.values() if number[0] in (GROUP_MAJOR, DEVICE_MAJOR)}
        process.files.clear()
        process.devices.clear()

    def close_device(self, pid: int) -> None:
        """A process closes the device that it had by its group, and keeps the group open."""
        files = self.machine.vfio.processes[pid].files
        for name in [name for name, target in files.items() if target == DEVICE]:
            del files[name]

    def use_vf(self, address: str) -> None:
        """The kernel's own crypto begins to use a VF that its driver has (adf_dev_mgr.c, adf_dev_get)."""
        driver = self.machine.bus.functions[address].driver
        if not isinstance(driver, QatVfDriver):
            raise ValueError(f"{address} has no driver of QAT VFs")
        driver.used.add(address)

    def end(self, pid: int) -> None:
        """A process ends, and what waited for it goes on."""
        del self.machine.vfio.processes[pid]
        self.machine.clock.look()

    # How it does it.

    def _shown(self, path: str) -> str | None:
        """What a file says, or the last component of what a link does; empty where there is neither, None where it cannot be read."""
        try:
            text = if_there(
                lambda: self.link(path) if isinstance(find(self._root, path), Link) else self.read(path), ""
            )
        except OSError:
            return None
        return "" if text in NOTHING else text

    def _find(self, path: str) -> Entry:
        if self._denied or self.unprivileged:
            self._refuse(path)
        entry = find(self._root, path)
        while isinstance(entry, Link):
            entry = _at(path, entry.enter)
        return entry

    def _refuse(self, path: str) -> None:
        for fault in self._denied:
            if fault.fits(path):
                raise failure(fault.code, path)
        if self.unprivileged and (path.startswith("/sys/kernel/debug/") or _is_descriptor(path)):
            raise failure(errno.EACCES, path)

    def _count_write(self) -> None:
        if self._writes_left is None:
            return
        if self._writes_left == 0:
            self._writes_left = None
            raise Crash
        self._writes_left -= 1

    def _write(self, path: str, value: str, seconds: float) -> None:
        entry = self._find(path)
        if not isinstance(entry, File):
            raise failure(errno.EISDIR if isinstance(entry, Directory) else errno.EINVAL, path)
        if self.read_only or self.unprivileged:
            raise failure(errno.EROFS if self.read_only else errno.EACCES, path)
        code = _next(self._write_faults, path)
        if code:
            raise failure(code, path)
        if _next(self._blocked, path):
            self.machine.clock.pass_time(seconds)
            raise _timeout(path, value, seconds)
        self._work(_at(path, lambda: entry.write(value + "\n")), path, value, seconds)

    def _work(self, work: Working | None, path: str, value: str, seconds: float) -> None:
        if work is None:
            return
        if not _at(path, lambda: self.machine.clock.work_off(work, seconds)):
            raise _timeout(path, value, seconds)

    def _change_module(self, name: str, what: str, change: t.Callable[[], Working | None], seconds: float) -> None:
        self._fetched.clear()
        self._count_write()
        path = "/sys/module/" + name.replace("-", "_")
        try:
            with _Logged(self.writes, path, what):
                self._modprobe(name, path, change, seconds)
        except ModprobeError as error:
            raise _modprobe_failed(name, str(error)) from None

    def _modprobe(self, name: str, path: str, change: t.Callable[[], Working | None], seconds: float) -> None:
        code = errno.EPERM if self.unprivileged else _next(self._write_faults, path)
        if code:
            raise ModprobeError(code, f"modprobe: ERROR: could not insert '{name}': {os.strerror(code)}")
        work = None if _next(self._blocked, path) else change() or iter(())
        if work is None or not self.machine.clock.work_off(work, seconds):
            raise WriteTimeout(
                f"modprobe has not returned after {seconds:g} seconds",
                where=name,
                remedy="process 3999 stays in the kernel; see the kernel's log",
            )


def _modprobe_failed(name: str, said: str) -> NodeError:
    return NodeError(
        f"modprobe failed: {said}",
        where=name,
        remedy="see the kernel's log, and that the module belongs to the running kernel",
    )


class _Logged:
    """Notes a write and how it ended."""

    def __init__(self, writes: list[Write], path: str, value: str) -> None:
        self._writes = writes
        self._path = path
        self._value = value

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        code = errno.ETIMEDOUT if isinstance(error, WriteTimeout) else getattr(error, "errno", None)
        self._writes.append(Write(self._path, self._value, code))


Result = t.TypeVar("Result")


def _at(path: str, action: t.Callable[[], Result]) -> Result:
    """What the action returns; an OSError out of the model gets the path that was asked for."""
    try:
        return action()
    except OSError as error:
        raise failure(error.errno or errno.EIO, path) from None


def _next(faults: list[_PathFault], path: str) -> int:
    for fault in faults:
        if fault.fits(path):
            fault.times -= 1
            return fault.code
    return 0


def _timeout(path: str, value: str, seconds: float) -> WriteTimeout:
    return WriteTimeout(
        f"writing {value!r} has not returned after {seconds:g} seconds",
        where=path,
        remedy="process 3999 stays in the kernel until the device lets go",
    )


def _is_descriptor(path: str) -> bool:
    parts = path.split("/")
    return len(parts) >= 4 and parts[1] == "proc" and parts[3] == "fd"


def _cgroup(container: str) -> str:
    if not container:
        return "0::/machine.slice/session-1.scope"
    pod = "kubepods-burstable-pod0b6e5e4f_4d0c_4f6e_9d5f_8a8f1b2c3d4e.slice"
    return f"0::/kubepods.slice/kubepods-burstable.slice/{pod}/cri-containerd-{container}.scope"
