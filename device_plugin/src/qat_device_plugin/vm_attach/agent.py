# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows the domains: looks at them when one changes and now and then, does what is decided, and says what cannot be done."""

from __future__ import annotations

import logging
import re
import threading
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from .._node.devices.read import read_devices
from .._node.errors import NodeError
from .decide import Decision, Problem, decide
from .hypervisor import LibvirtError
from .kubelet import Said

if t.TYPE_CHECKING:
    from .._node.kernel.live import Kernel
    from .decide import Step
    from .domain import Domain

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
"""After this time what could not be done is tried again, and reported if it still cannot."""
PATIENCE_SECONDS = 60.0
"""After this time it is tried no more often than at each period."""
QUIET_SECONDS = 0.2
"""Between two looks there is at least this time, however many events come."""
MOST_LINES = 20
"""So many problems are logged at once."""
_NUMBER = re.compile("0x[0-9a-f]+|[0-9]+")
_LOOKS_AT_ONCE = 3
"""A VF that one domain gives back goes to another one at the next look."""


class Domains(t.Protocol):
    """Who has the domains: `Hypervisor`."""

    def connect(self) -> None:
        """Connect, unless the connection stands. Raises LibvirtError."""

    def domains(self) -> tuple[Domain, ...]:
        """All domains. Raises LibvirtError."""

    def do(self, step: Step) -> bool:
        """Make a change; False where the domain is gone. Raises LibvirtError."""


@dataclass
class Counters:
    """What metrics show. `done` by action, `failures` by reason; `standing` are the problems of now by reason."""

    done: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    standing: Counter[str] = field(default_factory=Counter)
    connected: bool = False
    looked_at: float = 0.0


class Scan(t.NamedTuple):
    """What one look found, and what it comes to."""

    domains: tuple[Domain, ...]
    said: Said
    decision: Decision


def scan(hypervisor: Domains, ask: t.Callable[[], Said], kernel: Kernel) -> Scan:
    """See what there is, and decide. Kubelet and the kernel are asked after libvirt: whoever has a domain by then has his VFs.

    Raises LibvirtError.
    """
    domains = hypervisor.domains()
    said = ask()
    try:
        drivers = {vf.address: vf.driver for device in read_devices(kernel).qat for vf in device.vfs}
    except (NodeError, OSError) as error:
        return Scan(domains, said, Decision(problems=(Problem("node", "", "", str(error)),)))
    return Scan(domains, said, decide(domains, said, drivers))


class Agent:
    """Runs until it is stopped."""

    def __init__(
        self,
        hypervisor: Domains,
        ask: t.Callable[[], Said],
        kernel: Kernel,
        period: float,
        woken: threading.Event,
        report: t.Callable[[Counters], None],
    ) -> None:
        """`woken` is set by whoever wants a look at once; `report` is called after each look and before each change.

        So it is called about as often as every period, and one that comes no more means that libvirt hangs.
        """
        self._hypervisor = hypervisor
        self._ask = ask
        self._kernel = kernel
        self._period = period
        self._report = report
        self._woken = woken
        self._stopped = False
        self._problems: dict[Problem, float] = {}
        """Those that stand, without numbers in their words, and since when."""
        self._reported: dict[Problem, Problem] = {}
        self.counters = Counters()

    def stop(self) -> None:
        """End after what is being done."""
        self._stopped = True
        self._woken.set()

    def run(self) -> None:
        """Look, do, wait; what it raises is an error of the program."""
        while not self._stopped:
            self._woken.clear()
            self.turn()
            self._report(self.counters)
            time.sleep(QUIET_SECONDS)
            self._woken.wait(self.pause())

    def turn(self) -> None:
        """Look and do what is decided, again while that changes something."""
        try:
            self._hypervisor.connect()
            self.counters.connected = True
            for _ in range(_LOOKS_AT_ONCE):
                found = scan(self._hypervisor, self._ask, self._kernel)
                failed = self._do(found.decision.steps)
                self._note((*found.decision.problems, *failed))
                if failed or not found.decision.steps:
                    break
        except LibvirtError as error:
            self.counters.connected = False
            self._note((Problem("libvirt", "", "", error.sentence()),))
        self.counters.looked_at = time.time()

    def pause(self) -> float:
        """Seconds to the next look, if nothing happens before."""
        if self._problems and time.monotonic() - max(self._problems.values()) < PATIENCE_SECONDS:
            return min(AGAIN_SECONDS, self._period)
        return self._period

    def _do(self, steps: t.Sequence[Step]) -> list[Problem]:
        failed = []
        for step in steps:
            self._report(self.counters)
            if self._stopped:
                break
            fields = {"domain": step.name, "vf": step.address, "now": step.live, "next_start": step.config}
            try:
                done = self._hypervisor.do(step)
            except LibvirtError as error:
                failed.append(Problem("failed", step.name, step.address, f"{step.action}: {error.problem}"))
                continue
            if done:
                self.counters.done[step.action] += 1
                log.info("%sed a VF", step.action, extra={"fields": fields})
        return failed

    def _note(self, problems: t.Sequence[Problem]) -> None:
        """Report what has stood for a while, once; and that it stands no longer."""
        now = time.monotonic()
        found = {_without_numbers(one): one for one in problems}
        ended = [said for one, said in self._reported.items() if one not in found]
        self._problems = {one: self._problems.get(one, now) for one in found}
        self.counters.standing = Counter(one.reason for one in self._problems)
        new = [
            one
            for one, since in self._problems.items()
            if one not in self._reported and now - since >= AGAIN_SECONDS * 0.9
        ]
        self.counters.failures.update(one.reason for one in new)
        for one in new[:MOST_LINES]:
            log.warning("a domain lacks its VFs", extra={"fields": _fields(found[one])})
        for one in sorted(ended)[:MOST_LINES]:
            log.info("no longer", extra={"fields": _fields(one)})
        for count, words in ((len(new), "further domains lack VFs"), (len(ended), "further ones no longer")):
            if count > MOST_LINES:
                log.warning(words, extra={"fields": {"count": count - MOST_LINES}})
        kept = {one: said for one, said in self._reported.items() if one in found}
        self._reported = {**kept, **{one: found[one] for one in new}}


def _without_numbers(problem: Problem) -> Problem:
    """The problem by which it is known again: where memory cannot be locked, QEMU names other addresses each time."""
    return problem._replace(text=_NUMBER.sub("", problem.text))


def _fields(problem: Problem) -> dict[str, str]:
    named = {"domain": problem.domain, "vf": problem.address}
    return {
        "reason": problem.reason,
        **{name: value for name, value in named.items() if value},
        "problem": problem.text,
    }
