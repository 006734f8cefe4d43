# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs cases on any kernel. Needs the standard library only, since it also runs inside the virtual machine."""

from __future__ import annotations

import errno
import fnmatch
import re
import typing as t

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout
from ansible_collections.accel.qat.tests.fakes.families import family_named

from .steps import ANY, DEVICES, DRIVERS, HANGS, MISSING, NODE, OK, THERE, Case, Step

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import Kernel

_PATIENT = 120.0
_HANG = 1.5
"""Seconds after which a write counts as hanging, when that is expected; removing VFs takes the PCI core a second."""

_SIMULATION = "/sys/module/intel_qat/parameters"

_GROUP = re.compile(r"\{group of ([^}]+)\}")


class Programs(t.Protocol):
    """What programs other than the engine do, on behalf of a case."""

    def hold(self, address: str) -> None:
        """Open a function through VFIO in a process of its own."""
        ...

    def hide(self, address: str) -> None:
        """Open a function in a process of its own, which then has it in a message to itself alone."""
        ...

    def hold_group(self, address: str) -> None:
        """Open a function in a process of its own, which then closes it, and not its group."""
        ...

    def let_go(self) -> None:
        """End that process, if there is one."""
        ...

    def write_bare(self, path: str, text: str) -> None:
        """Write a text in one call as it is: the engine always adds a newline. Raises OSError."""
        ...

    def settle(self, seconds: float) -> None:
        """Wait until udev has handled the events so far."""
        ...


class Runner:
    """Runs cases one after the other, each from the untouched node."""

    def __init__(self, kernel: Kernel, programs: Programs) -> None:
        self._kernel = kernel
        self._programs = programs
        self._dirty = [slot.address for slot in NODE]

    def run(self, case: Case, generation: str) -> list[str]:
        """What came out otherwise than expected, empty when nothing did."""
        self._start_again(generation, self._dirty)
        self._dirty = _touched(case)
        try:
            return self._problems(case, generation)
        finally:
            self._programs.let_go()

    def _problems(self, case: Case, generation: str) -> list[str]:
        problems = []
        for position, step in enumerate(case.steps, start=1):
            wanted = step.at(generation)
            found = self._observe(wanted)
            if wanted.expected not in (found, ANY):
                problems.append(f"step {position}, {wanted}: expected {wanted.expected!r}, found {found!r}")
        return problems

    def _observe(self, step: Step) -> str:
        found = self._take(step)
        left = step.patience
        while found != step.expected and left > 0:
            self._kernel.sleep(0.1)
            left -= 0.1
            found = self._take(step)
        return found

    def _take(self, step: Step) -> str:
        try:
            return self._actions[step.action](self, step)
        except WriteTimeout:
            return HANGS
        except NodeError:
            return "fails"
        except TimeoutError:
            return HANGS
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))

    def _path(self, path: str) -> str:
        """The path with the numbers of IOMMU groups filled in."""
        return _GROUP.sub(lambda found: self._kernel.link(f"{DEVICES}/{found[1]}/iommu_group"), path)

    def _write(self, step: Step) -> str:
        seconds = _HANG if step.expected == HANGS else _PATIENT
        self._kernel.write(self._path(step.path), step.value, seconds)
        return OK

    def _write_bare(self, step: Step) -> str:
        self._programs.write_bare(self._path(step.path), step.value)
        return OK

    def _read(self, step: Step) -> str:
        return self._kernel.read(self._path(step.path))

    def _line(self, step: Step) -> str:
        lines = self._kernel.read(self._path(step.path)).splitlines()
        return next((line for line in lines if line.split()[:1] == [step.value]), MISSING)

    def _words(self, step: Step) -> str:
        return " ".join(line.split()[0] for line in self._kernel.read(self._path(step.path)).splitlines())

    def _link(self, step: Step) -> str:
        try:
            return self._kernel.link(self._path(step.path))
        except FileNotFoundError:
            return MISSING

    def _exists(self, step: Step) -> str:
        return THERE if self._kernel.exists(self._path(step.path)) else MISSING

    def _count(self, step: Step) -> str:
        directory, _slash, pattern = step.path.rpartition("/")
        return str(len(fnmatch.filter(self._kernel.list(directory), pattern)))

    def _load(self, step: Step) -> str:
        self._kernel.load_module(step.path, step.value.split(), _PATIENT)
        return OK

    def _unload(self, step: Step) -> str:
        seconds = _HANG if step.expected == HANGS else _PATIENT
        self._kernel.unload_module(step.path, seconds)
        return OK

    def _sleep(self, step: Step) -> str:
        self._kernel.sleep(float(step.path))
        return OK

    def _settle(self, _step: Step) -> str:
        self._programs.settle(_PATIENT)
        return OK

    def _hold(self, step: Step) -> str:
        self._programs.hold(step.path)
        return OK

    def _hide(self, step: Step) -> str:
        self._programs.hide(step.path)
        return OK

    def _hold_group(self, step: Step) -> str:
        self._programs.hold_group(step.path)
        return OK

    def _let_go(self, _step: Step) -> str:
        self._programs.let_go()
        return OK

    _actions: t.ClassVar[t.Mapping[str, t.Callable[[Runner, Step], str]]] = {
        "write": _write,
        "write bare": _write_bare,
        "read": _read,
        "line": _line,
        "words": _words,
        "link": _link,
        "exists": _exists,
        "count": _count,
        "load": _load,
        "unload": _unload,
        "sleep": _sleep,
        "settle": _settle,
        "hold": _hold,
        "hide": _hide,
        "hold group": _hold_group,
        "let go": _let_go,
    }

    # The untouched node: every PF with its driver, no VF, no override, no fault, no vfio-pci.

    def _start_again(self, generation: str, dirty: t.Sequence[str]) -> None:
        """Make the node untouched again. `dirty` are the PFs that need it; the drivers number the same ones in the same order."""
        for address in dirty:
            self._end_faults(address)
        for address in dirty:
            self._set_free(address)
        if self._kernel.exists("/sys/module/vfio_pci"):
            self._kernel.unload_module("vfio_pci", _PATIENT)
        self._kernel.write(f"{_SIMULATION}/require_iommu", "N", _PATIENT)
        if self._kernel.read(f"{_SIMULATION}/generation") != generation:
            self._kernel.write(f"{_SIMULATION}/generation", generation, _PATIENT)
        for slot in NODE:
            if slot.address in dirty:
                self._give_back(slot.family, slot.address)
        # What udev still has to do about the last case is not to be done in the midst of this one.
        self._programs.settle(_PATIENT)

    def _end_faults(self, address: str) -> None:
        switches = f"/sys/kernel/debug/qat_sim/{address}"
        for name in self._kernel.list(switches):
            if name.startswith(("fail_", "delay_")) or name in ("missing_vfs", "kernel_users", "refuse_vfio"):
                self._kernel.write(f"{switches}/{name}", "0", _PATIENT)
        self._kernel.write(f"{switches}/no_capabilities", "N", _PATIENT)
        self._kernel.write(f"{switches}/heartbeat", "alive", _PATIENT)
        self._kernel.write(f"{switches}/present", "1", _PATIENT)

    def _set_free(self, address: str) -> None:
        """Take a PF from its driver, which takes its VFs away."""
        directory = f"{DEVICES}/{address}"
        self._kernel.write(f"{directory}/driver_override", "", _PATIENT)
        if self._kernel.exists(f"{directory}/driver"):
            self._kernel.write(f"{DRIVERS}/{self._kernel.link(f'{directory}/driver')}/unbind", address, _PATIENT)
        if self._kernel.exists(f"{directory}/sriov_drivers_autoprobe"):
            self._kernel.write(f"{directory}/sriov_drivers_autoprobe", "1", _PATIENT)

    def _give_back(self, family: str, address: str) -> None:
        known = family_named(family)
        for module in (known.pf_module, known.vf_module):
            if module and not self._kernel.exists(f"/sys/module/{module}"):
                self._kernel.load_module(module, (), _PATIENT)
        if not self._kernel.exists(f"{DEVICES}/{address}/driver"):
            self._kernel.write(f"{DRIVERS}/{known.pf_driver}/bind", address, _PATIENT)


def _touched(case: Case) -> list[str]:
    """The PFs that a case does something to, itself or by its VFs: they share a bus. Removing their driver's module counts for all."""
    text = " ".join(str(step) for step in case.steps if not _only_looks(step))
    modules = {family_named(slot.family).pf_module for slot in NODE}
    everything = any(step.action == "unload" and step.path in modules for step in case.steps)
    return [slot.address for slot in NODE if everything or slot.address[: len("0000:00")] in text]


def _only_looks(step: Step) -> bool:
    """Whether a step leaves everything as it was. To read a heartbeat's status is to ask for a sign of life, which is counted."""
    return step.action in ("link", "exists", "count") or (step.action == "read" and step.path.startswith("/sys/bus/"))
