# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses a VF: every process that has a VFIO group or device of it open, and every pod that it was given to.

A process is believed nothing: it is the kernel that says which device a descriptor is of. Where that cannot be seen, the VF counts as
in use. So does one that the kernel counts as open, though no process shows it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ..absence import if_there, is_absent
from ..errors import NodeError
from ..facts.families import FAMILIES
from ..facts.paths import (
    CHAR_DEVICES,
    SELF_STATUS,
    VFIO_GROUPS,
    device_file,
)
from ..facts.pci import VFIO_DRIVERS
from ..fields import is_number, lines_in, words_in
from ..kernel.descriptors import Number, OpenFiles
from ..kernel.live import Kernel
from .enabled import counts_as_open
from .holder import A_PROCESS, UNSEEN_PROCESS, Holder
from .pods import NO_PODS, Assignments, KernelWithPods

_CONTAINER_ID = re.compile(r"([0-9a-f]{64})")

_MAJORS = ("vfio", "vfio-dev")
"""The majors of VFIO in /proc/devices: of its groups, and of its devices (drivers/vfio/group.c, device_cdev.c)."""

_MAY_SEE_ALL = 1 << 19
"""CAP_SYS_PTRACE (include/uapi/linux/capability.h), by which a process may see what others have open."""

_HOST_DRIVERS = frozenset(f"{family.name}vf" for family in FAMILIES) | {None}
"""What a VF has when the host uses it itself: the kernel's driver for VFs, or that of Intel's package."""


class Seen(t.NamedTuple):
    """What the processes have open of VFIO. `unseen` says why not every process could be seen, where that is so."""

    opened: t.Mapping[Holder, OpenFiles] = {}
    unseen: str = ""


class Holders:
    """The processes that have something of VFIO open, and the pods that were given devices."""

    def __init__(self, kernel: Kernel, pods: Assignments = NO_PODS, look: t.Callable[[], Seen] | None = None) -> None:
        """`look` looks through the processes, which is done for the first function that one may have; without it none has anything."""
        self._kernel = kernel
        self._pods = pods
        self._look = look
        self._seen: Seen | None = None
        self._looks_left = _LOOKS

    def of(self, address: str, driver: str | None, iommu_group: str | None) -> tuple[Holder, ...]:
        """Who uses a function. Raises OSError where its device numbers, or whether it is open, cannot be read, and what `look` raises."""
        return self._of_pods(address, driver, iommu_group) + self._of_processes(address, driver, iommu_group)

    def _of_pods(self, address: str, driver: str | None, iommu_group: str | None) -> tuple[Holder, ...]:
        """The pods that have a function. Without a driver, or with the host's own, it is no longer what they were given."""
        if driver in _HOST_DRIVERS:
            return ()
        return self._pods.of(address, iommu_group, else_unknown=driver in VFIO_DRIVERS)

    def _of_processes(self, address: str, driver: str | None, iommu_group: str | None) -> tuple[Holder, ...]:
        if self._look is None or not self._may_be_open(address, driver, iommu_group):
            return ()
        seen = self._seen = self._seen or self._look()
        known = self._known(seen, address, driver, iommu_group)
        if driver not in VFIO_DRIVERS:
            return known
        while not any(holder.pid for holder in known) and counts_as_open(self._kernel, address, driver):
            # Whom this process may not see, it would not see later either.
            if seen.unseen or not self._looks_left:
                return (Holder(0, UNSEEN_PROCESS, note=seen.unseen or _HOW_TO_FIND),)
            # It may have been opened since, or be closing: the kernel resets a VF then, which takes a tenth of a second.
            self._looks_left -= 1
            self._kernel.sleep(_LOOK_SECONDS)
            seen = self._seen = self._look()
            known = self._known(seen, address, driver, iommu_group)
        return known

    def _may_be_open(self, address: str, driver: str | None, iommu_group: str | None) -> bool:
        """Whether a process can have the function: one that another driver than VFIO's has bound, and that has no node, is nobody's.

        It loses its driver before its nodes while the kernel waits for who has it open (drivers/base/dd.c, __device_release_driver).
        """
        return driver is None or driver in VFIO_DRIVERS or bool(self._numbers_of(address, iommu_group))

    def _known(self, seen: Seen, address: str, driver: str | None, iommu_group: str | None) -> tuple[Holder, ...]:
        """Those that show it, or else those that may have it."""
        opened, unseen = seen
        if not opened and not unseen:
            return ()
        numbers = self._numbers_of(address, iommu_group)
        known = [holder for holder, files in opened.items() if numbers & files.numbers or address in files.addresses]
        if not known and (numbers or driver in VFIO_DRIVERS):
            known = [replace(holder, note=_UNNAMED) for holder, files in opened.items() if files.unnamed]
            if unseen:
                known.append(Holder(0, A_PROCESS, note=unseen))
        return tuple(sorted(known, key=lambda holder: holder.pid))

    def _numbers_of(self, address: str, iommu_group: str | None) -> frozenset[Number]:
        """The device numbers of a function's nodes. To be read after the processes: what one of them has open, has its numbers by then."""
        directory = device_file(address, "vfio-dev")
        files = [f"{directory}/{name}/dev" for name in _names(self._kernel, directory)]
        if iommu_group is not None:
            files += [f"{VFIO_GROUPS}/{name}/dev" for name in (iommu_group, f"noiommu-{iommu_group}")]
        texts = ((file, _text(self._kernel, file)) for file in files)
        return frozenset(_number(text, file) for file, text in texts if text)


_UNNAMED = "which has a VFIO device open without its group, so that nothing says which one"


def _number(text: str, file: str) -> Number:
    major, colon, minor = text.partition(":")
    if not (colon and is_number(major) and is_number(minor)):
        raise NodeError(f"{text!r} is no device number", where=file, remedy="see that sysfs is mounted there")
    return int(major), int(minor)


_HOW_TO_FIND = "look for vfio and scm_fds in /proc/*/fdinfo/* and /proc/*/maps, or try again if it is just ending"
"""Where the kernel shows a VF that a process has in io_uring, in a message on its way, or mapped (docs/in_use.md)."""

_LOOK_SECONDS = 0.2
_LOOKS = 10
"""How often to look again for all VFs together: a process may have several, which the kernel resets one after the other."""


def read_holders(kernel: KernelWithPods) -> Holders:
    """Looks through the descriptors of every process, and asks for the pods."""
    majors = _majors(kernel)
    if not majors:
        return Holders(kernel, kernel.pods())  # without VFIO there is nothing to have open
    return Holders(kernel, kernel.pods(), lambda: _look(kernel, majors))


def _look(kernel: Kernel, majors: t.Collection[int]) -> Seen:
    opened: dict[Holder, OpenFiles] = {}
    unseen = _why_not_all(kernel)
    try:
        pids = [int(name) for name in kernel.list("/proc") if is_number(name)]
    except OSError as error:
        return Seen(unseen=f"the processes cannot be listed: {error.strerror}")
    for pid in pids:
        try:
            found = kernel.open_files(pid, majors)
        except OSError as error:
            if not is_absent(error):
                unseen = unseen or f"what process {pid} has open cannot be seen: {error.strerror}; {_REMEDY}"
            continue
        if found != OpenFiles():
            opened[_holder(kernel, pid)] = found
    return Seen(opened, unseen)


_REMEDY = "run as root with the capability CAP_SYS_PTRACE"


def _majors(kernel: Kernel) -> frozenset[int]:
    """The majors of VFIO's nodes; none where VFIO is not loaded."""
    text = _text(kernel, CHAR_DEVICES).partition("Block devices")[0]
    majors = {words[0] for words in map(words_in, lines_in(text)) if len(words) == 2 and words[1] in _MAJORS}
    groups = (_text(kernel, f"{VFIO_GROUPS}/{group}/dev") for group in _names(kernel, VFIO_GROUPS))
    majors.update(text.partition(":")[0] for text in groups)
    return frozenset(int(major) for major in majors if is_number(major))


def _text(kernel: Kernel, path: str) -> str:
    """The file's text; empty where there is none."""
    return if_there(lambda: kernel.read(path), "")


def _names(kernel: Kernel, path: str) -> t.Sequence[str]:
    nothing: t.Sequence[str] = ()
    return if_there(lambda: kernel.list(path), nothing)


def _why_not_all(kernel: Kernel) -> str:
    """Why this process may not see all others; empty where it may, as far as its capabilities go.

    Where /proc is mounted with hidepid, those that it may not see are not even listed.
    """
    status = _text(kernel, SELF_STATUS)
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if not status or (found and int(found[1], 16) & _MAY_SEE_ALL):
        return ""
    return f"the processes of others cannot be seen; {_REMEDY}"


def _holder(kernel: Kernel, pid: int) -> Holder:
    return Holder(
        pid,
        _shown(kernel, f"/proc/{pid}/comm") or "unknown",
        container_id(_shown(kernel, f"/proc/{pid}/cgroup")),
    )


def container_id(cgroup: str) -> str:
    """The id of the container in a /proc/PID/cgroup text: the last 64-digit hexadecimal number, as every runtime writes it."""
    found = _CONTAINER_ID.findall(cgroup)
    return found[-1] if found else ""


def _shown(kernel: Kernel, path: str) -> str:
    """A file of a process that only helps people to find it, and decides nothing."""
    try:
        return kernel.read(path)
    except OSError:
        return ""
