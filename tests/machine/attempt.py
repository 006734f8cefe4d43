# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in a known state, attempts to change it while something is wrong, and what they leave behind."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.machine.node import CONFIG, DEVICES, FAULTS, Answer, Node, state_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Rule = dict[str, Any]

# Each on a bus of its own, so that the beginning of a VF's address identifies its PF.
FULL = "0000:6b:00.0"
BARE = "0000:70:00.0"
BYSTANDER = "0000:75:00.0"
DENYLISTED = "0000:7a:00.0"
WITHOUT_SRIOV = "0000:80:00.0"
WITHOUT_NUMA_NODE = "0000:85:00.0"
WITHOUT_IOMMU = "0001:01:00.0"

HARDWARE = Hardware(pfs="4xxx@6b:0,4xxx@70:1,420xx@75:0,c6xx@7a:1,4xxx@80:0/0,4xxx@85,4xxx@0001:01:0")

START: tuple[Rule, ...] = (
    {"select": {"address": FULL}, "services": ["sym", "asym"]},
    {"select": {"address": BYSTANDER}, "services": ["dc"]},
    {"select": {"address": BARE}, "services": ["sym", "asym"], "vfs": 0},
    # Which services a PF begins with depends on the order in which the drivers were loaded.
    {"select": {"address": WITHOUT_IOMMU}, "services": ["sym", "asym"], "vfs": 0},
    {"select": {"address": DENYLISTED}, "vfs": 0},
)
"""Where every attempt begins, and where the node can be brought back to: two PFs with VFs, the others without."""

_NO_FAULTS = (
    f"cd {FAULTS}; for f in */fail_* */delay_* */missing_vfs */kernel_users */no_capabilities */refuse_vfio; do"
    " echo 0 > $f; done; for f in */heartbeat; do echo alive > $f; done; for f in */present; do echo 1 > $f; done"
)

# What making VFs sets and removing them leaves; a PF that has returned to its bus has it like a new one.
_NO_AUTOPROBE = "echo 0 | tee " + " ".join(
    f"{DEVICES}/{pf}/sriov_drivers_autoprobe" for pf in (BARE, FULL, DENYLISTED, WITHOUT_IOMMU)
)


def on(pf: str, **wanted: object) -> Rule:
    """A rule for one PF."""
    return {"select": {"address": pf}, **wanted}


@dataclass(frozen=True)
class State:
    """All that a change could touch, as `Node.state` returns it."""

    text: str

    def of(self, pf: str) -> list[str]:
        """The lines of a PF and of its VFs."""
        return [line for line in self.text.splitlines() if line.startswith(bus_of(pf))]

    def but(self, pf: str) -> list[str]:
        """All other lines."""
        return [line for line in self.text.splitlines() if not line.startswith(bus_of(pf))]

    def summary(self, pf: str) -> str:
        """A PF in a few words, such as `up sym;asym, 15 of 16 VFs on vfio-pci`."""
        lines = self.of(pf)
        values = dict(line.rsplit(":", 1) for line in lines if "/driver " not in line)
        words = [values[name] for name in (f"{pf}/qat/state", f"{pf}/qat/cfg_services") if name in values]
        vfs = sum(name.endswith("/driver_override") for name in values) - 1
        bound = sum(line.endswith("/vfio-pci") and not line.startswith(f"{pf}/") for line in lines)
        return f"{' '.join(words) or 'no driver'}, {bound} of {vfs} VFs on vfio-pci"


@dataclass(frozen=True)
class Attempt:
    """What qatctl answered, and the node afterwards."""

    answer: Answer
    after: State

    @property
    def devices(self) -> set[str]:
        """The devices whose steps failed, stand or were undone."""
        answer = self.answer.document
        failed = [failure["step"] for failure in answer.get("failed_at", ())]
        return {step["device"] for step in (*failed, *answer.get("stands", ()), *answer.get("rolled_back", ()))}

    @property
    def sentence(self) -> str:
        """What it said, without the number of a process it left in the kernel."""
        return _LEFT_BEHIND.sub("process PID stays", self.answer.sentence)


class Stage:
    """A node whose PFs are as in START."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._bring_back()
        self.start = self.state()

    def state(self) -> State:
        """The node now, with its configuration files."""
        return State(self.node.state("/etc"))

    @contextlib.contextmanager
    def attempt(
        self,
        *rules: Rule,
        faults: Mapping[str, int | str] | None = None,
        setup: str = "",
        options: str = "",
        fix: str = "",
    ) -> Iterator[Attempt]:
        """Apply rules after shell commands and under faults, which are named PF/FILE.

        The faults end before the state is read. In the end the node is brought back: the commands `fix` do what only a person
        can, and `qatctl apply` the rest.
        """
        switches = [f"echo '{value}' > {FAULTS}/{name}" for name, value in (faults or {}).items()]
        written = f"cat > {CONFIG} <<'END'\n{json.dumps({'devices': rules})}\nEND"
        self.node.run("\n".join([written, setup, *switches]))
        answer = self.node.ask(f"apply --config {CONFIG} {options}")
        after = State(self.node.run(f"{_until_returned(answer)}{_NO_FAULTS}; {state_command('/etc')}"))
        try:
            yield Attempt(answer, after)
        finally:
            if fix:
                self.node.run(fix)
            if after != self.start:
                self.bring_back()

    def bring_back(self) -> None:
        """Bring the PFs to START again, without their faults."""
        self._bring_back()
        assert self.state().text.splitlines() == self.start.text.splitlines()

    def _bring_back(self) -> None:
        self.node.run(f"{_NO_FAULTS}; {_NO_AUTOPROBE}")
        answer = self.node.apply(*START)
        assert answer.code == 0, answer.sentence


_LEFT_BEHIND = re.compile(r"process (\d+) stays")


def _until_returned(answer: Answer) -> str:
    """Shell commands that wait for the write which qatctl has left in the kernel, if it has."""
    found = _LEFT_BEHIND.search(answer.sentence)
    return f"while [ -e /proc/{found[1]} ]; do sleep 0.1; done; " if found else ""


def bus_of(address: str) -> str:
    """What the addresses of a PF and its VFs begin with."""
    return address[: address.rindex(":") + 1]
