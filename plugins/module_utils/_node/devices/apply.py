# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries plans out: rehearses, writes, reads back, explains what the kernel refused, and puts a PF back where it stopped."""

from __future__ import annotations

import errno
import itertools
import typing as t
from dataclasses import dataclass, field

from ..absence import if_there, is_absent
from ..errors import (
    ConfigurationError,
    DeviceGone,
    NodeError,
    RefusedError,
    WriteTimeout,
    cannot_be_read,
)
from ..facts.paths import DRIVERS, MODULES, device_directory, device_file, qat_file
from ..facts.services import parse_services
from ..fields import is_number, words_in
from ..kernel.child import NOTHING
from ..kernel.live import Kernel, Write
from ..users.pods import KernelWithPods
from ..users.usage import Holders, read_holders
from .desired import original_pf
from .explain import brought_up, explain, gone, unlike
from .plan import (
    Plan,
    Skip,
    described_users,
    plan_node,
)
from .snapshot import Node, PciFunction
from .step import NONE, Action, Step

SECONDS = 60.0
"""How long one write may take. A PF that makes 16 VFs takes about a second; removing a VF somebody holds open takes forever."""

SETTLE_SECONDS = 10.0
"""How long to wait for VFs that the kernel is making, or makes again after a reset of their PF: Gen4 firmware starts in about a second."""

_BUSY_SECONDS = 0.5
"""How often to ask a PF in reset, which puts each refusal into the kernel's log."""

_GOING_SECONDS = 0.5
"""How long a VF that has just lost its driver may take to go."""
_LOOK_SECONDS = 0.05

_ROUNDS = 6
"""How many plans a node may need besides one for each PF whose driver is brought in: that is planned again each time."""

Planner = t.Callable[[Node], Plan]


@dataclass(frozen=True)
class Failure:
    """A step that did not work, and why. Without a step it is what kept the next one from being planned or taken."""

    step: Step | None
    error: NodeError

    @property
    def device(self) -> str:
        """What the step was for."""
        return self.step.device if self.step else ""

    def as_dict(self) -> dict[str, t.Any]:
        return dict(self.error.as_dict(), step=self.step.as_dict() if self.step else None)


class ApplyError(NodeError):
    """Applying stopped. `failures` are the steps that failed, `done` what was written and stays, `rolled_back` what was undone.

    `left` is the PF that could not be put back as it was found, or empty: a write that fails may still have done a part.
    """

    kind = "apply"

    def __init__(
        self,
        failures: t.Sequence[Failure],
        done: t.Sequence[Step],
        rolled_back: t.Sequence[Step],
        rest: str = "",
        left: str = "",
    ) -> None:
        first = failures[0]
        problem = first.error.problem
        if len(failures) > 1:
            others = ", ".join(failure.device for failure in failures[1:])
            problem += f" (and {len(failures) - 1} more: {others})"
        remedy = "; ".join(text for text in (first.error.remedy, rest) if text)
        super().__init__(problem, first.error.where, remedy)
        self.failures = tuple(failures)
        self.done = tuple(done)
        self.rolled_back = tuple(rolled_back)
        self.left = left

    @property
    def only_vfs(self) -> bool:
        """Whether nothing but single VFs failed, so that all others are as wanted."""
        return all(one.step and one.step.of_vf and not isinstance(one.error, WriteTimeout) for one in self.failures)

    def after(self, done: t.Sequence[Step]) -> ApplyError:
        """The same, where these writes were made before and stay too."""
        self.done = (*done, *self.done)
        return self

    @property
    def has_changed(self) -> bool:
        """Whether the node may be another than it was."""
        return bool(self.done or self.left)

    def as_dict(self) -> dict[str, t.Any]:
        return dict(
            super().as_dict(),
            failed_at=[failure.as_dict() for failure in self.failures],
            rolled_back=[step.as_dict() for step in self.rolled_back],
            stands=[step.as_dict() for step in self.done],
            left=self.left,
        )


def with_what_stands(error: NodeError, done: t.Sequence[Step]) -> NodeError:
    """The error as it is to be reported when these writes were made before, and stay."""
    if isinstance(error, ApplyError):
        return error.after(done)
    return ApplyError([Failure(None, error)], done, (), _what_stays(done)) if done else error


def _what_stays(done: t.Sequence[Step]) -> str:
    devices = ", ".join(dict.fromkeys(step.configured for step in done))
    return f"what was written to {devices} before stays" if devices else ""


@dataclass
class Outcome:
    """What applying did: the node before and after, the steps taken, and what `when_in_use: skip` left."""

    before: Node
    after: Node
    steps: list[Step] = field(default_factory=list)
    skipped: tuple[Skip, ...] = ()

    @property
    def plan(self) -> Plan:
        """The steps as one plan, for showing."""
        return Plan(tuple(self.steps), self.skipped)


def rehearse(plan: Plan, kernel: Kernel) -> None:
    """Raises RefusedError unless the files that the plan writes and that exist may be written, and its modules be loaded."""
    for step in plan.steps:
        if step.action is Action.LOAD_MODULE and not kernel.has_module(step.device):
            raise RefusedError(
                "the running kernel has no module of this name",
                where=step.device,
                remedy="install the package that has it for this kernel, or name another driver",
            )
    for path in dict.fromkeys(step.path for step in plan.steps if not step.of_module):
        if kernel.exists(path) and not kernel.writable(path):
            raise RefusedError(
                "no permission to write", where=path, remedy="run as root (become: true), with /sys writable"
            )


def converge(
    kernel: KernelWithPods,
    read: t.Callable[[], Node],
    planner: Planner,
    seconds: float = SECONDS,
    remember: t.Callable[[Plan, Node], None] | None = None,
) -> Outcome:
    """Plan, rehearse and apply until nothing is left to do.

    Plans again where a step brings a driver in, since only then its device shows what it is, and at the end, to prove that the
    node is as wanted. `remember` is given a plan before its first write. A PF that is reset meanwhile gets a new plan when its
    VFs are back.

    Raises NodeError where nothing was written, else ApplyError: then the PF whose step failed, and each that was in the midst of
    its steps, is as it was found, as far as that can be.
    """
    before = _read_settled(kernel, read)
    outcome = Outcome(before, before)
    run = _Run(kernel, read, outcome, seconds)
    try:
        for _round in range(_ROUNDS + len(before.qat)):
            plan = planner(outcome.after)
            rehearse(plan, kernel)
            outcome.skipped = plan.skipped
            run.forgive(plan)
            run.left = [step for step in plan.steps if step.device not in run.failed]
            if not run.left:
                break
            if remember is not None:
                remember(plan, outcome.after)
            first = run.left[0]
            run.take_until_revealed()
            outcome.after = _read_settled(kernel, read)
        else:
            raise NodeError(
                f"the node does not keep what is written to it: {first}",
                where=first.path,
                remedy="see whether another tool manages this device",
            )
    except ApplyError:
        raise
    except NodeError as error:
        if not outcome.steps:
            raise
        raise run.stopped_by(error) from None
    if run.failures:
        raise ApplyError(run.failures, outcome.steps, (), _others(run.failures, outcome.after))
    return outcome


def _others(failures: t.Sequence[Failure], node: Node) -> str:
    failed = {failure.device for failure in failures}
    pfs = [node.function(pf) for pf in {failure.step.pf for failure in failures if failure.step}]
    others = {vf.address for pf in pfs if pf and pf.sriov for vf in pf.sriov.vfs} - failed
    return "the other VFs are as wanted" if others else ""


def _read_settled(kernel: Kernel, read: t.Callable[[], Node]) -> Node:
    """The node, once the kernel has made the VFs that it is making."""

    def settled(node: Node) -> bool:
        return not any(function.sriov and function.sriov.changing for function in node.functions.values())

    node = read()
    for _look in _looks(kernel, SETTLE_SECONDS):
        if settled(node):
            break
        node = read()
    return node


def _looks(kernel: Kernel, seconds: float, every: float = _LOOK_SECONDS) -> t.Iterator[None]:
    """Chances to look whether something has come, over so many seconds."""
    for _look in range(round(seconds / every)):
        yield
        kernel.sleep(every)


def _until_revealed(steps: t.Sequence[Step]) -> t.Sequence[Step]:
    for position, step in enumerate(steps):
        if step.reveals:
            return steps[: position + 1]
    return steps


@dataclass
class _Run:
    """A run in the midst of it. `left` are the steps of the last plan that are not taken; `failures` are single VFs' so far."""

    kernel: KernelWithPods
    read: t.Callable[[], Node]
    outcome: Outcome
    seconds: float
    left: list[Step] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    forgiven: set[str] = field(default_factory=set)
    """VFs that have failed, and are tried once more."""
    had_second_try: set[str] = field(default_factory=set)

    @property
    def failed(self) -> set[str]:
        """The VFs that have failed."""
        return {failure.device for failure in self.failures} - self.forgiven

    def forgive(self, plan: Plan) -> None:
        """Have VFs tried once more that a reset of their PF has taken away, and that are there again, or are to be.

        A reset may be over before anybody looks. Then a VF of that PF lacks what this run has written for it.
        """
        left = {step.device for step in plan.steps}
        self.failures = [one for one in self.failures if one.device in left or one.device not in self.forgiven]
        written = {(step.device, step.action) for step in self.outcome.steps}
        reset = {step.configured for step in plan.steps if step.of_vf and (step.device, step.action) in written}
        again = {
            failure.device
            for failure in self.failures
            if failure.step and (isinstance(failure.error, DeviceGone) or failure.step.configured in reset)
        }
        self.forgiven |= again - self.had_second_try
        self.had_second_try |= again

    def take_until_revealed(self) -> None:
        """Take the steps; a failing VF is left out and added to `failures`, anything else ends in ApplyError.

        Stops where a driver has come in, or a VF has gone and come again: what is left to do is then to be planned again.
        """
        steady: set[str] = set()
        refuse_new_users(self.kernel, _until_revealed(self.left), self.outcome.after)
        looked_at = {self.left[0].pf}
        revealed = False
        while self.left and not revealed:
            step = self.left[0]
            together = _together(self.left)
            if step.pf not in looked_at and any(one.disrupts for one in together):
                # The PFs before it took seconds, in which kubelet may have given one of its VFs to a pod.
                theirs = [one for one in _until_revealed(self.left) if one.pf == step.pf]
                refuse_new_users(self.kernel, theirs, self.outcome.after)
                looked_at.add(step.pf)
            count, why = _take_together(self.kernel, together, self.seconds)
            revealed = any(one.reveals for one in together[:count])
            self.outcome.steps += self.left[:count]
            del self.left[:count]
            if why is None:
                continue
            step = self.left[0]
            if step.of_vf and step.pf not in steady and not isinstance(why, WriteTimeout):
                if _goes_and_comes(self.kernel, step.device):
                    break
                steady.add(step.pf)
            failure = Failure(step, _with_holders(why, step, self.outcome.after))
            if not step.of_vf or isinstance(why, WriteTimeout):
                raise self._stop(failure, {step.pf} - {""})
            self.failures = [*(one for one in self.failures if one.device != step.device), failure]
            self.forgiven.discard(step.device)
            self.left = [one for one in self.left if one.device != step.device]

    def stopped_by(self, error: NodeError) -> ApplyError:
        """Put back the PFs in the midst of their steps, and make the error that reports it."""
        begun = {step.pf for step in self.outcome.steps} & {step.pf for step in self.left}
        return self._stop(Failure(None, error), begun - {""})

    def _stop(self, failure: Failure, pfs: t.Collection[str]) -> ApplyError:
        """Put the PFs back to what was found, and make the error that reports it."""
        failures, done = [failure, *self.failures], self.outcome.steps
        if isinstance(failure.error, WriteTimeout):
            at_work = "nothing was put back, since the kernel still works on it"
            return ApplyError(failures, done, (), at_work, failure.step.pf if failure.step else "")
        back: list[Step] = []
        rest: list[str] = []
        left: list[str] = []
        for pf in sorted(pfs):
            why_not = self._put_back(pf, back)
            if why_not:
                left.append(pf)
                rest.append(f"putting {pf} back failed too: {why_not}")
            elif any(step.pf == pf for step in back):
                rest.append(f"{pf} was put back as it was found")
        stands = [one for one in done if one.pf not in pfs or self._stays(one, one.pf in left)]
        if isinstance(failure.error, (RefusedError, ConfigurationError)):
            rest.append(_what_stays(stands))
        return ApplyError(failures, stands, back, "; ".join(filter(None, rest)), ", ".join(left))

    def _stays(self, step: Step, is_left: bool) -> bool:
        """Whether a step of a PF that was put back, or is left half-way, still is so. A driver that came in stays in any case."""
        found = self.outcome.before.function(step.pf)
        came_in = step.reveals and found is not None and found.driver is None
        return (is_left or came_in) and _stands(self.kernel, step)

    def _put_back(self, pf: str, back: list[Step]) -> str:
        """Put a PF back, adding to `back` what is done for it; why that does not work, or an empty string."""
        assigned = {pf: {step.after for step in self.outcome.steps}}
        try:
            now = _read_settled(self.kernel, self.read)
            for step in plan_node([original_pf(self.outcome.before, pf)], now, assigned).steps:
                take(self.kernel, step, self.seconds)
                back.append(step)
        except NodeError as error:
            return error.sentence()
        return ""


def _together(steps: t.Sequence[Step]) -> t.Sequence[Step]:
    """The first of the steps, and where it is of a VF, those after it that are of VFs of the same PF."""
    first = steps[0]
    if not first.of_vf:
        return steps[:1]
    return list(itertools.takewhile(lambda step: step.of_vf and step.pf == first.pf, steps))


def _take_together(kernel: Kernel, steps: t.Sequence[Step], seconds: float) -> tuple[int, NodeError | None]:
    """Take the steps of `_together` in turn, up to the first that fails: how many were taken, and why that one was not."""
    count = 0
    try:
        if steps[0].of_vf:
            writes = [
                Write(step.path, step.value, step.shows, "" if step.after == NONE else step.after) for step in steps
            ]
            count, refusal = kernel.write_each(writes, seconds)
            if isinstance(refusal, WriteTimeout):
                raise refusal
            if count == len(steps):
                return count, None
            _prove(kernel, steps[count], refusal)
        else:
            _take_after_reset(kernel, steps[0], seconds)
    except NodeError as error:
        return count, error
    return count + 1, None


def _goes_and_comes(kernel: Kernel, address: str) -> bool:
    """Whether a reset of its PF takes a VF away, and makes it again (adf_aer.c, adf_reenable_sriov). The VF loses its driver first."""
    directory = device_directory(address)
    goes = any(not kernel.exists(directory) for _look in _looks(kernel, _GOING_SECONDS))
    return goes and any(kernel.exists(directory) for _look in _looks(kernel, SETTLE_SECONDS))


def refuse_new_users(kernel: KernelWithPods, steps: t.Iterable[Step], node: Node) -> None:
    """Raises RefusedError when somebody has opened a VF that the steps take away since the node was read."""
    taken = [node.functions[address] for step in steps for address in step.disrupts if address in node.functions]
    if not taken:
        return
    try:
        _refuse_new(kernel, read_holders(kernel), taken)
    except OSError as error:
        raise cannot_be_read(error) from None


def _refuse_new(kernel: Kernel, holders: Holders, taken: t.Iterable[PciFunction]) -> None:
    for vf in taken:
        # A VF that was made again meanwhile has another group, by which its new users have it.
        driver, group = (_link_of(kernel, vf.address, name) for name in ("driver", "iommu_group"))
        for holder in holders.of(vf.address, driver, group):
            if not any(holder.is_same_as(known) for known in vf.holders):
                act = "has just opened" if holder.is_process else "has just been given"
                raise RefusedError(
                    f"{holder} {act} {vf.address}",
                    where=vf.address,
                    remedy="end or drain that user first, and try again",
                )


def _link_of(kernel: Kernel, address: str, name: str) -> str | None:
    return if_there(lambda: kernel.link(device_file(address, name)), None)


def _with_holders(error: NodeError, step: Step, node: Node) -> NodeError:
    """A write that does not return waits for those who have the VF open: name them."""
    functions = (node.function(address) for address in step.disrupts)
    users = ((vf.address, holder) for vf in functions if vf for holder in vf.holders)
    held = described_users(users)
    if not held or not isinstance(error, WriteTimeout):
        return error
    return WriteTimeout(f"{error.problem}, since {' and '.join(held)}", error.where, error.remedy)


def _take_after_reset(kernel: Kernel, step: Step, seconds: float) -> None:
    """Take the step, which a PF in reset refuses; where nobody loses a VF by it, wait for the end of the reset."""
    if step.action in (Action.STATE, Action.VF_COUNT) and not step.disrupts:
        refusal = None
        for _look in _looks(kernel, SETTLE_SECONDS, _BUSY_SECONDS):
            refusal = _write(kernel, step, seconds)
            if refusal is None or refusal.errno != errno.EBUSY:
                break
        _prove(kernel, step, refusal)
    else:
        take(kernel, step, seconds)


def take(kernel: Kernel, step: Step, seconds: float) -> None:
    """Make one write and read it back. Raises NodeError."""
    if step.action is Action.LOAD_MODULE:
        kernel.load_module(step.device, words_in(step.after) if step.after != "loaded" else (), seconds)
        _prove_loaded(kernel, step)
        return
    if step.action is Action.UNLOAD_MODULE:
        kernel.unload_module(step.device, seconds)
        return
    _prove(kernel, step, _write(kernel, step, seconds))


def _prove_loaded(kernel: Kernel, step: Step) -> None:
    """Raises NodeError where modprobe has run something else: an `install` line in modprobe.d takes the place of the module.

    A name that is an alias brings a module of another name, and with it a driver of this one.
    """
    drivers = (f"{DRIVERS}/{name}" for name in (step.device, step.device.replace("_", "-")))
    if not any(map(kernel.exists, (f"{MODULES}/{step.device}", *drivers))):
        raise NodeError(
            "modprobe has reported success, and the module is not loaded",
            where=step.device,
            remedy=f"see which line of modprobe.d runs something in its place (modprobe --show-depends {step.device})",
        )


def _prove(kernel: Kernel, step: Step, refusal: OSError | None) -> None:
    """Read the step back; raises NodeError where it has not come about."""
    found = _read_back(kernel, step)
    # At boot udev binds the same drivers: what counts is the state, not who brought it about.
    if _same(step, found) and not (refusal and _is_in_vain(kernel, step)):
        return
    log = kernel.log(step.device)
    if not step.of_module and not kernel.exists(device_directory(step.device)):
        raise gone(step, log)
    if refusal is not None and step.action is Action.SERVICES and _state_of(kernel, step.device) == "up":
        raise brought_up(step, log)
    if refusal is None:
        raise unlike(step, found, log)
    raise explain(step, refusal, kernel.exists(device_file(step.device, "iommu_group")), log)


def _write(kernel: Kernel, step: Step, seconds: float) -> OSError | None:
    try:
        kernel.write(step.path, step.value, seconds)
    except OSError as error:
        return error
    return None


def _read_back(kernel: Kernel, step: Step) -> str:
    """What `step.shows` has come to; NONE where it is empty or gone."""
    try:
        return _shown(kernel, step)
    except OSError as error:
        # What cannot be read is not as wanted, unless nothing is wanted: that it is gone has to be proved.
        if step.after == NONE and not is_absent(error):
            raise cannot_be_read(error) from None
        return NONE


def _shown(kernel: Kernel, step: Step) -> str:
    """What `step.shows` says; NONE where it is empty. Raises OSError where there is no such file, or it cannot be read."""
    if step.action in (Action.BIND, Action.UNBIND):
        return kernel.link(step.shows)
    found = kernel.read(step.shows)
    if step.action is Action.VF_COUNT and is_number(found):
        return str(_vfs_there(kernel, step.device, int(found)))
    return NONE if found in NOTHING else found


def _vfs_there(kernel: Kernel, address: str, count: int) -> int:
    """How many of the promised VFs really exist."""
    return sum(kernel.exists(device_file(address, f"virtfn{index}")) for index in range(count))


def _same(step: Step, found: str) -> bool:
    if step.action is Action.SERVICES:
        return parse_services(found) == parse_services(step.after)
    return found == step.after


def _is_in_vain(kernel: Kernel, step: Step) -> bool:
    """Whether refused services were stored all the same: a PF that is down keeps what it cannot do (adf_sysfs.c, cfg_services_store).

    Also where its state cannot be read: it was refused, and nothing shows that it is in force.
    """
    return step.action is Action.SERVICES and _state_of(kernel, step.device) in ("down", "")


def _state_of(kernel: Kernel, pf: str) -> str:
    """The state of a PF; empty where it cannot be read."""
    try:
        return kernel.read(qat_file(pf, "state"))
    except OSError:
        return ""


def _stands(kernel: Kernel, step: Step) -> bool:
    """Whether the node still is as the step made it; also where that cannot be seen."""
    try:
        shown = if_there(lambda: _shown(kernel, step), NONE)
        return _same(step, shown) and kernel.exists(device_directory(step.device))
    except (OSError, NodeError):
        return True
