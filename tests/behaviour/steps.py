# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which the cases are written.

A case is a sequence of steps. Each does one thing to a kernel and says what has to come of it: `ok`, the text that is read, or the name
of an errno. Where kernels differ, `since("6.12", "ok", before="EINVAL")` says so.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

GENERATIONS = ("6.1", "6.12", "6.16")

OK = "ok"
HANGS = "hangs"
THERE = "there"
MISSING = "missing"
ANY = "anything"
"""For what real kernels do now this way and now that."""

# The devices of the node on which every case runs, by what is special about them.
GEN4 = "0000:6b:00.0"
ODD_GEN4 = "0000:70:00.0"
GEN2 = "0000:75:00.0"
GEN1 = "0000:7a:00.0"
NO_SRIOV = "0000:80:00.0"


class Slot(t.NamedTuple):
    """A PF of the node, and its NUMA node."""

    family: str
    address: str
    numa_node: int


NODE = (
    Slot("4xxx", GEN4, 0),
    Slot("420xx", ODD_GEN4, 1),
    Slot("c6xx", GEN2, 0),
    Slot("dh895xcc", GEN1, 1),
    Slot("c6xx", NO_SRIOV, 0),
)
"""In the order in which their drivers number them. The last one's BIOS has SR-IOV off."""

VF = "0000:6b:00.1"
OTHER_VF = "0000:6b:00.2"
GEN2_VF = "0000:75:01.0"

DEVICES = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"


@dataclass(frozen=True)
class Varying:
    """What is expected, by generation."""

    by_generation: tuple[str, ...]

    def of(self, generation: str) -> str:
        return self.by_generation[GENERATIONS.index(generation)]


Expected = t.Union[str, Varying]


def since(generation: str, then: str, before: str) -> Varying:
    """One thing from a kernel on, another before."""
    first = GENERATIONS.index(generation)
    return Varying(tuple(then if index >= first else before for index in range(len(GENERATIONS))))


@dataclass(frozen=True)
class Step:
    """One action. `patience` is how many seconds the outcome may take to become what is expected."""

    action: str
    path: str
    value: str = ""
    expected: Expected = OK
    patience: float = 0.0

    def at(self, generation: str) -> Step:
        """The same step for one kernel."""
        return self if isinstance(self.expected, str) else replace(self, expected=self.expected.of(generation))

    def __str__(self) -> str:
        return f"{self.action} {self.path} {self.value}".rstrip()


@dataclass(frozen=True)
class Case:
    """A sequence of steps that starts from the untouched node.

    `iommu` says whether it is on; `machine_only` why the fake kernel is not asked, empty where it is.
    """

    name: str
    steps: tuple[Step, ...]
    generations: tuple[str, ...] = GENERATIONS
    iommu: bool = True
    machine_only: str = ""


def case(
    name: str,
    *steps: Step | t.Sequence[Step],
    generations: t.Sequence[str] = GENERATIONS,
    iommu: bool = True,
    machine_only: str = "",
) -> Case:
    """A case; sequences of steps are joined."""
    flat = [one for step in steps for one in ([step] if isinstance(step, Step) else step)]
    return Case(name, tuple(flat), tuple(generations), iommu, machine_only)


NEWEST = ("6.16",)
"""For what the PCI core or VFIO does, which does not depend on the generation of the QAT driver."""

FROM_6_12 = ("6.12", "6.16")


def device(address: str, name: str) -> str:
    """A file of a PCI function."""
    return f"{DEVICES}/{address}/{name}"


def driver(name: str, file: str) -> str:
    """A file of a PCI driver."""
    return f"{DRIVERS}/{name}/{file}"


def group_node(address: str) -> str:
    """The node in /dev/vfio of a function's IOMMU group; its number is known only when the step is taken."""
    return f"/dev/vfio/{{group of {address}}}"


def write(path: str, value: str, expected: Expected = OK) -> Step:
    """Write a line to a file."""
    return Step("write", path, value, expected)


def write_bare(path: str, text: str, expected: Expected = OK) -> Step:
    """Write a text without a newline, where `write` adds one."""
    return Step("write bare", path, text, expected)


def read(path: str, expected: Expected) -> Step:
    """Read a file."""
    return Step("read", path, "", expected)


def line(path: str, name: str, expected: Expected) -> Step:
    """The first line of a file that begins with a word, or MISSING."""
    return Step("line", path, name, expected)


def words(path: str, expected: Expected) -> Step:
    """The first word of each line of a file, with blanks between them."""
    return Step("words", path, "", expected)


def link(path: str, expected: Expected) -> Step:
    """Where a link leads to: the last part of it, or MISSING."""
    return Step("link", path, "", expected)


def there(path: str, expected: Expected = THERE) -> Step:
    """Whether a path exists."""
    return Step("exists", path, "", expected)


def missing(path: str) -> Step:
    """A path does not exist."""
    return there(path, MISSING)


def count(pattern: str, expected: Expected) -> Step:
    """How many names in a directory match a pattern, which only its last part may be."""
    return Step("count", pattern, "", expected)


def load(module: str, options: str = "", expected: Expected = OK) -> Step:
    """Load a module; the outcome is `ok` or `fails`."""
    return Step("load", module, options, expected)


def unload(module: str, expected: Expected = OK) -> Step:
    """Unload a module."""
    return Step("unload", module, "", expected)


def sleep(seconds: float) -> Step:
    """Let time pass."""
    return Step("sleep", str(seconds))


def settle() -> Step:
    """Wait until udev has handled the events so far: it loads modules on its own, now sooner and now later."""
    return Step("settle", "")


def hold(address: str) -> Step:
    """A process opens a function through VFIO, as a virtual machine would."""
    return Step("hold", address)


def hide(address: str) -> Step:
    """A process opens a function through VFIO, sends it to itself in a message, and closes every descriptor of it."""
    return Step("hide", address)


def hold_group(address: str) -> Step:
    """A process opens a function through VFIO, and closes the function, but not its group."""
    return Step("hold group", address)


def let_go() -> Step:
    """That process ends."""
    return Step("let go", "")


def soon(step: Step, seconds: float = 60.0) -> Step:
    """The step's outcome comes about within some seconds."""
    return replace(step, patience=seconds)


def switch(address: str, name: str, value: str) -> Step:
    """Switch a fault of the simulated hardware."""
    return write(f"/sys/kernel/debug/qat_sim/{address}/{name}", value)
