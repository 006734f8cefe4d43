# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plans: the ordered steps from what a node is to what it should be. Pure; whatever changes on a node was decided here."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import RefusedError
from ..facts.families import PF_DRIVERS, Family
from ..facts.pci import VFIO_DRIVERS, VFIO_PCI
from ..facts.services import written_services
from ..printable import printable
from ..users.holder import Holder
from .desired import NO_VFS, Binding, DesiredPf, vfs_of
from .snapshot import Node, PciFunction, QatDevice
from .step import (
    NONE,
    Action,
    Step,
    load_driver,
    switch_noiommu,
)

DISABLE_DENYLIST = "disable_denylist=1"


@dataclass(frozen=True)
class Skip:
    """Something that `when_in_use: skip` left as it is: a PF or a VF, and who uses it."""

    device: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The same for machines; Ansible prints that too."""
        return {"device": self.device, "reason": printable(self.reason)}


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which to take them, and what is left out of consideration for its users."""

    steps: tuple[Step, ...] = ()
    skipped: tuple[Skip, ...] = ()

    def diff(self) -> dict[str, str]:
        """Before and after, one line for each thing that changes, in the order of the first change to it."""
        first: dict[str, str] = {}
        last: dict[str, str] = {}
        for step in self.steps:
            first.setdefault(step.shows, step.before)
            last[step.shows] = step.after
        return {
            "before": "".join("{}: {}\n".format(*item) for item in first.items()),
            "after": "".join("{}: {}\n".format(*item) for item in last.items()),
        }


def plan_node(
    desired_pfs: t.Iterable[DesiredPf], node: Node, assigned: t.Mapping[str, t.Collection[str]] = MappingProxyType({})
) -> Plan:
    """The plan for several PFs; their order does not matter. Raises RefusedError when a PF cannot or must not be brought there now.

    `assigned` are the drivers that earlier plans gave to VFs, by PF: those are nobody else's.
    """
    steps: list[Step] = []
    skipped: list[Skip] = []
    switches: tuple[Step, ...] = ()
    for desired in sorted(desired_pfs, key=lambda desired: desired.address):
        ours = _respect_foreign_vfs(desired, node, _plan_pf(desired, node), assigned.get(desired.address, ()))
        free = _consider_users(desired, node, ours.steps)
        # Of each one: what one rule gives up is given up by no other.
        needed = _without_iommu(desired, free.steps, node)
        switches = switches or needed
        steps += free.steps
        skipped += ours.skipped + free.skipped
    _refuse_rival(steps, node)
    return Plan(_with_modules(steps, node, switches), tuple(skipped))


def _respect_foreign_vfs(desired: DesiredPf, node: Node, steps: t.Sequence[Step], assigned: t.Collection[str]) -> Plan:
    """Refuses, skips or keeps the steps that would take a VF from a driver which somebody else gave it."""
    foreign = _foreign_drivers(desired, node, assigned)
    concerned = [step for step in steps if foreign.keys() & {step.device, *step.disrupts}]
    if not concerned or desired.when_in_use == "force":
        return Plan(tuple(steps))
    names = [name for name in foreign if any(name in (step.device, *step.disrupts) for step in concerned)]
    if desired.when_in_use == "fail":
        raise RefusedError(
            f"{names[0]} belongs to the driver {foreign[names[0]]}, which somebody else gave it",
            where=desired.where,
            remedy="free it (unbind it and empty its driver_override), name that driver in the rule, or set when_in_use to force",
        )
    reason = "; ".join(f"{name} belongs to the driver {foreign[name]}" for name in names)
    return _without(steps, concerned, desired.address, reason)


def _foreign_drivers(desired: DesiredPf, node: Node, assigned: t.Collection[str]) -> dict[str, str]:
    """The VFs of the PF with a driver, or an override, that neither QAT nor VFIO nor a rule brings, by address."""
    device = node.qat_at(desired.address)
    found: dict[str, str] = {}
    for vf in device.vfs if device else ():
        wanted = desired.binding_of(vf.index) or Binding(None, None)
        known = {*VFIO_DRIVERS, *assigned, device and device.family.vf_driver, wanted.driver, wanted.override}
        for driver in (vf.driver, vf.override):
            if driver is not None and driver not in known:
                found[vf.address] = driver
    return found


def _without(steps: t.Sequence[Step], left_out: t.Sequence[Step], pf: str, reason: str) -> Plan:
    """The plan without these steps: without all of a VF's, or of a PF's where a step of the PF is among them."""
    whole = any(not step.of_vf for step in left_out)
    devices = {pf} if whole else {step.device for step in left_out}
    kept = () if whole else tuple(step for step in steps if step.device not in devices)
    return Plan(kept, tuple(Skip(device, reason) for device in sorted(devices)))


def _refuse_rival(steps: t.Sequence[Step], node: Node) -> None:
    """Two that set up the same devices undo each other's work."""
    for step in steps:
        if node.rival and device_of(step, node) is not None:
            raise _rivalry(node.rival, step.configured)


def _rivalry(rival: str, address: str) -> RefusedError:
    return RefusedError(
        f"{rival} is active and manages the QAT devices of this node",
        where=address,
        remedy="stop and mask its units, qat.service and the qat.timer that starts it although it is disabled "
        "(systemctl mask --now qat.service qat.timer), set provision to false in the rule where the VFs that are there should be "
        "offered as they are, or take this node out of the configuration",
    )


def device_of(step: Step, node: Node) -> QatDevice | None:
    """The QAT device that the step changes, as its PF or by a VF of it; None for what is none, and for a PF that is bound by itself."""
    device = node.qat_at(step.configured)
    return device if device is not None and (step.pf or device.is_vf) else None


def module_options(desired_pfs: t.Iterable[DesiredPf], node: Node) -> dict[str, str]:
    """The options that modules need at the next boot for these PFs, by module: what /etc/modprobe.d has to say."""
    denied = any(
        desired.binding.driver == VFIO_PCI and _is_denied(desired.address, node)
        for desired in desired_pfs
        if desired.binding
    )
    return {VFIO_PCI: DISABLE_DENYLIST} if denied else {}


def plan_functions(bindings: t.Mapping[str, Binding], node: Node, when_in_use: str) -> Plan:
    """The plan to bind single PCI functions, whatever they are. Raises RefusedError."""
    steps: list[Step] = []
    skipped: list[Skip] = []
    for address, binding in sorted(bindings.items()):
        function = node.function(address)
        if function is None:
            raise RefusedError(
                "the node has no such PCI function", where=address, remedy="see lspci -D for those it has"
            )
        _refuse_blocked(function, address)
        if function.pf_address and binding.driver in PF_DRIVERS:
            raise RefusedError(
                f"{binding.driver} is the driver of PFs, and {address} is a VF",
                where=address,
                remedy="name a driver of VFs",
            )
        desired = DesiredPf(address, address, when_in_use=when_in_use)
        part = _consider_users(desired, node, _bind(function, binding, function.pf_address or ""))
        _without_iommu(desired, part.steps, node)
        steps += part.steps
        skipped += part.skipped
    return Plan(_with_modules(steps, node), tuple(skipped))


def _plan_pf(desired: DesiredPf, node: Node) -> list[Step]:
    function = node.function(desired.address)
    if function is None:
        raise RefusedError(f"{desired.address} has gone", where=desired.where, remedy="see the kernel's log for why")
    _refuse_blocked(function, desired.where)
    draft = _Draft(function, node.qat_at(desired.address), desired, node)
    draft.bring_driver()
    draft.set_services()
    draft.set_autoprobe()
    draft.set_count()
    draft.set_state()
    draft.bind_vfs()
    return draft.steps


def _refuse_blocked(function: PciFunction, where: str) -> None:
    vfs = function.sriov.vfs if function.sriov else ()
    for blocked in (function, *vfs):
        if blocked.blocked:
            raise RefusedError(
                f"the kernel is still at work on {blocked.address}: an earlier write to it has not returned",
                where=where,
                remedy="end the process that has one of its VFs open (fuser -v /dev/vfio/*), and try again",
            )


class _Draft:
    """A PF as it will be after the steps written so far."""

    def __init__(self, function: PciFunction, device: QatDevice | None, desired: DesiredPf, node: Node) -> None:
        self.steps: list[Step] = []
        self._function = function
        # A VF without its PF has nothing of this but a driver.
        self._is_vf = device is not None and device.is_vf
        self._device = None if self._is_vf else device
        self._family: Family | None = self._device.family if self._device else None
        self._desired = desired
        self._node = node
        self._address = function.address
        self._state = device.state if device else None
        self._taken_down = False
        self._vfs = vfs_of(function, device)
        self._count = function.sriov.count if function.sriov else 0
        self._autoprobe = function.sriov.autoprobe if function.sriov else True
        self._wanted_count = self._count if self._is_vf or desired.vf_count is None else desired.vf_count

    def _add(self, action: Action, before: str | None, after: str, why: str, disrupts: bool = False) -> None:
        taken = tuple(vf.address for vf in self._vfs) if disrupts else ()
        self.steps.append(Step(action, self._address, before or NONE, after, why, self._address, taken))

    def bring_driver(self) -> None:
        """See that the PF has its own driver, which everything else needs."""
        if self._family is None or not self._wants_anything():
            return
        driver = self._family.pf_driver
        if self._function.driver == driver:
            return
        if self._function.driver is not None or self._function.override not in (None, driver):
            raise RefusedError(
                f"{self._address} belongs to the driver {self._function.driver or self._function.override}",
                where=self._desired.where,
                remedy=f"give it back to {driver}, or take it out of the configuration",
            )
        if driver in self._node.drivers:
            self._add(Action.BIND, None, driver, "the PF has no driver")
        else:
            self.steps.append(load_driver(driver, "", f"it drives {self._address}"))
        self._state = "up" if self._family.has_services else None

    def _wants_anything(self) -> bool:
        desired = self._desired
        return bool(desired.driven or desired.services is not None or self._wanted_count or desired.state is not None)

    def set_services(self) -> None:
        """Services can only be written while the PF is down, and taking it down removes its VFs (Linux adf_sysfs.c)."""
        wanted = self._desired.services
        device = self._device
        if wanted is None or device is None or device.services == wanted:
            return
        if device.services is None and device.function.driver is not None:
            if self._node.rival:  # whose driver it is: no other kernel would help
                raise _rivalry(self._node.rival, self._address)
            raise RefusedError(
                f"the driver of {self._address} offers no cfg_services",
                where=self._desired.where + ".services",
                remedy="use the driver in Linux 6.0, RHEL 8.7 or RHEL 9.2, or newer, instead of that of kernel "
                f"{self._node.kernel_release or 'this one'} or an out-of-tree driver",
            )
        self._take_down("services can be set only while the PF is down")
        self._add(
            Action.SERVICES, device.services_text, written_services(wanted), "the configuration asks for these services"
        )

    def _take_down(self, why: str) -> None:
        if self._state == "down":
            return
        self._add(
            Action.STATE, self._state, "down", why + (", which removes its VFs" if self._count else ""), disrupts=True
        )
        self._state = "down"
        self._taken_down = True
        self._forget_vfs()

    def _forget_vfs(self) -> None:
        self._count = 0
        self._vfs = ()

    def set_autoprobe(self) -> None:
        """Before VFs are made, so that no kernel driver takes them first."""
        wanted = self._desired.autoprobe
        if wanted is None or self._function.sriov is None or wanted == self._autoprobe:
            return
        why = "new VFs go to their kernel driver again" if wanted else "new VFs wait for the configured driver"
        self._add(Action.AUTOPROBE, _flag(self._autoprobe), _flag(wanted), why)
        self._autoprobe = wanted

    def set_count(self) -> None:
        if self._count and self._count != self._wanted_count:
            self._remove_vfs()
        if self._wanted_count and not self._count:
            self._refuse_without_sriov()
            self._bring_up()
            self._add(Action.VF_COUNT, "0", str(self._wanted_count), "creates the VFs")
            self._count = self._wanted_count
            if self._state is not None:
                self._state = "up"

    def _bring_up(self) -> None:
        """A PF in reset is down too, and refuses a write to its state; VFs it would make in the midst of the reset (adf_sriov.c)."""
        if self._state == "down" and not self._taken_down:
            self._add(Action.STATE, "down", "up", "fails as long as the PF is in reset")

    def _remove_vfs(self) -> None:
        """QAT drivers before Linux 6.12 refuse 0 in sriov_numvfs, so take the way that works on all (adf_sriov.c)."""
        why = "removes the VFs"
        if self._family is None:
            self._add(Action.VF_COUNT, str(self._count), "0", why, disrupts=True)
        elif self._state is not None:
            self._take_down("the VFs should be removed")
        else:
            driver = self._family.pf_driver
            self._add(Action.UNBIND, driver, NONE, why, disrupts=True)
            self._add(Action.BIND, None, driver, "the PF keeps its driver")
        self._forget_vfs()

    def _refuse_without_sriov(self) -> None:
        sriov = self._function.sriov
        if sriov is None or not sriov.total:
            raise RefusedError(
                f"{self._address} cannot have VFs",
                where=self._desired.where,
                remedy=NO_VFS,
            )
        if self._wanted_count > sriov.total:
            raise RefusedError(
                f"{self._address} can have {sriov.total} VFs, not {self._wanted_count}",
                where=self._desired.where,
                remedy=f"ask for at most {sriov.total}",
            )

    def set_state(self) -> None:
        """A PF with VFs is up; one without is as desired, or as it was."""
        if self._state is None or self._device is None:
            return
        wanted = "up" if self._count else self._desired.state or self._device.state or "up"
        if wanted == "down":
            self._take_down("the PF should be down")
        elif self._state != wanted:
            self._add(Action.STATE, self._state, wanted, "the PF should be up")
            self._state = wanted

    def bind_vfs(self) -> None:
        for vf in self._vfs or self._future_vfs():
            binding = self._desired.binding_of(vf.index) or self._former_binding(vf.index)
            if binding is not None:
                self.steps += _bind(vf, binding, "" if self._is_vf else self._address)

    def _future_vfs(self) -> tuple[PciFunction, ...]:
        sriov = self._function.sriov
        if sriov is None or not sriov.has_places:  # bound when they are there, by the next plan
            return ()
        grabbed = self._family.vf_driver if self._family and self._autoprobe else None
        driver = grabbed if grabbed in self._node.drivers else None
        return tuple(
            PciFunction(address, self._function.vendor_id, 0, driver=driver, pf_address=self._address, index=index)
            for index, address in enumerate(sriov.addresses(self._address, self._count))
        )

    def _former_binding(self, index: int) -> Binding | None:
        """VFs that had to be made again get back what they had."""
        sriov = self._function.sriov
        former = (vf for vf in (sriov.vfs if sriov else ()) if vf.index == index)
        return next((Binding(vf.driver, vf.override) for vf in former), None)


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _bind(vf: PciFunction, binding: Binding, pf: str) -> list[Step]:
    """Override first: a VF that has it is safe from every other driver from then on.

    Where the override that should stay is not the driver's, the driver takes the VF by its own override before.
    """
    if vf.driver == binding.driver:
        return _override(vf, vf.override, binding.override, pf)
    meanwhile = binding.driver or binding.override
    steps = _override(vf, vf.override, meanwhile, pf)
    if vf.driver is not None:
        why = "%s should have it" % (binding.driver or "no driver")
        vfs = tuple(one.address for one in vf.sriov.vfs) if vf.sriov else ()
        steps.append(Step(Action.UNBIND, vf.address, vf.driver, NONE, why, pf, (vf.address, *vfs)))
    if binding.driver is not None:
        steps.append(Step(Action.BIND, vf.address, NONE, binding.driver, "the configured driver", pf))
    return steps + _override(vf, meanwhile, binding.override, pf)


def _override(vf: PciFunction, before: str | None, after: str | None, pf: str) -> list[Step]:
    if before == after:
        return []
    why = "keeps other drivers away" if after else "the kernel chooses the driver again"
    return [Step(Action.OVERRIDE, vf.address, before or NONE, after or NONE, why, pf)]


def _with_modules(steps: t.Sequence[Step], node: Node, switches: tuple[Step, ...] = ()) -> tuple[Step, ...]:
    """The same steps after those that load the modules they need, each module once, and after the switches of these."""
    drivers = sorted({step.after for step in steps if step.action is Action.BIND})
    loads = [step for driver in drivers for step in _load(driver, steps, node)]
    ordered = [*loads, *switches, *steps]
    return tuple(step for position, step in enumerate(ordered) if not _loaded_before(step, ordered[:position]))


def _loaded_before(step: Step, earlier: t.Sequence[Step]) -> bool:
    return step.action is Action.LOAD_MODULE and any(
        other.action is Action.LOAD_MODULE and other.device == step.device for other in earlier
    )


def _load(driver: str, steps: t.Sequence[Step], node: Node) -> list[Step]:
    why = "it should drive VFs"
    if driver == VFIO_PCI:
        return _load_vfio_pci(why, _denied(steps, node), node)
    return [] if driver in node.drivers else [load_driver(driver, "", why)]


def _without_iommu(desired: DesiredPf, steps: t.Sequence[Step], node: Node) -> tuple[Step, ...]:
    """What lets drivers of VFIO bind VFs where no IOMMU isolates them. Raises RefusedError where nothing may, or can."""
    first = next((step for step in steps if step.action is Action.BIND and step.after in VFIO_DRIVERS), None)
    if node.iommu or first is None or (node.noiommu and desired.noiommu is not False):
        return ()
    if not desired.noiommu:
        raise RefusedError(
            f"the IOMMU is off, and {first.after} takes no device without it",
            where=first.device,
            remedy="enable VT-d in the BIOS, or a virtual IOMMU on the host of a virtual machine, boot with intel_iommu=on (the role "
            "accel.qat.qat_node sets it), and try again",
        )
    if node.noiommu is None and (node.vfio_pci.module is not None or node.drivers & VFIO_DRIVERS):
        raise RefusedError(
            "this kernel's VFIO cannot do without an IOMMU (CONFIG_VFIO_NOIOMMU)",
            where=desired.where + ".noiommu",
            remedy="give the virtual machine a virtual IOMMU, or boot a kernel that has it",
        )
    return (switch_noiommu(True, f"{desired.where} says noiommu"),)


def _denied(steps: t.Sequence[Step], node: Node) -> tuple[str, ...]:
    """The VFs to be bound whose ids are on vfio-pci's denylist."""
    bound = [step for step in steps if step.action is Action.BIND and step.after == VFIO_PCI]
    return tuple(step.device for step in bound if _is_denied(step.configured, node))


def _is_denied(address: str, node: Node) -> bool:
    device = node.qat_at(address)
    return device is not None and device.family.denylisted


def _load_vfio_pci(why: str, denied: t.Sequence[str], node: Node) -> list[Step]:
    vfio = node.vfio_pci
    if vfio.module is None:
        return [load_driver(VFIO_PCI, DISABLE_DENYLIST if denied else "", why)]
    if not denied or not vfio.denylist:
        return []
    if vfio.module.uses == 0 and not vfio.bound:
        reason = f"its denylist refuses {denied[0]}"
        unload = Step(Action.UNLOAD_MODULE, vfio.module.name, "loaded", "not loaded", reason)
        return [unload, load_driver(VFIO_PCI, DISABLE_DENYLIST, reason)]
    if vfio.module.uses is None:
        problem, remedy = "is built into this kernel", "boot with vfio-pci.disable_denylist=1"
    else:
        problem = f"drives {', '.join(vfio.bound[:3])}" if vfio.bound else "is in use"
        remedy = "set options vfio-pci disable_denylist=1 in modprobe.d and reboot, or free those devices first"
    raise RefusedError(
        f"vfio-pci refuses the device with its denylist, and it {problem}", where=denied[0], remedy=remedy
    )


def _consider_users(desired: DesiredPf, node: Node, steps: t.Sequence[Step]) -> Plan:
    """Refuses, skips or keeps the steps that would take a VF from the kernel itself, or from whoever has it open."""
    ours = _consider_kernel(desired, node, steps)
    free = _consider_holders(desired, node, ours.steps)
    return Plan(free.steps, ours.skipped + free.skipped)


def _consider_kernel(desired: DesiredPf, node: Node, steps: t.Sequence[Step]) -> Plan:
    """A VF's driver cannot refuse to be unbound, and leaves the kernel's users with what is gone (adf_drv.c, adf_remove)."""
    busy = {step: driver for step in steps for driver in _busy_drivers(step, node)}
    if not busy or desired.when_in_use == "force":
        return Plan(tuple(steps))
    step, driver = next(iter(busy.items()))
    if desired.when_in_use == "fail":
        raise RefusedError(
            f"the kernel itself uses VFs of {driver}, and {_act(step, step.device)} could take one of them away",
            where=desired.where,
            remedy="stop the kernel's users, which /proc/crypto names, or set when_in_use to skip or force",
        )
    return _without(steps, list(busy), desired.address, f"the kernel itself uses VFs of {driver}")


def _busy_drivers(step: Step, node: Node) -> list[str]:
    functions = (node.function(address) for address in step.disrupts)
    return [vf.driver for vf in functions if vf and vf.driver in node.busy_drivers]


def _consider_holders(desired: DesiredPf, node: Node, steps: t.Sequence[Step]) -> Plan:
    held = {step: _users(step, node) for step in steps if _users(step, node)}
    if not held or desired.when_in_use == "force":
        return Plan(tuple(steps))
    users = dict.fromkeys(user for users in held.values() for user in users)
    if desired.when_in_use == "fail":
        what, whom = ("it", "that user") if len(users) == 1 else ("them", "them")
        raise RefusedError(
            f"{' and '.join(described_users(users))}, and {_act(next(iter(held)), what)} would take {what} away",
            where=desired.where,
            remedy=f"end or drain {whom} first, or set when_in_use to skip or force",
        )
    reason = "; ".join(sorted(described_users(users)))
    return _without(steps, list(held), desired.address, reason)


def described_users(users: t.Iterable[tuple[str, Holder]]) -> list[str]:
    """Who has what open or was given it, each user once: one that cannot be seen may have them all."""
    taken: dict[Holder, list[str]] = {}
    for vf, holder in users:
        taken.setdefault(holder, []).append(vf)
    return [_described(holder, _counted(vfs)) for holder, vfs in taken.items()]


def _described(holder: Holder, what: str) -> str:
    return f"{holder} has {what} open" if holder.is_process else f"{holder} was given {what}"


def _counted(vfs: t.Sequence[str]) -> str:
    return f"{vfs[0]} and {len(vfs) - 1} more" if len(vfs) > 2 else " and ".join(vfs)


def _users(step: Step, node: Node) -> list[tuple[str, Holder]]:
    functions = ((address, node.function(address)) for address in step.disrupts)
    return [(address, function.holders[0]) for address, function in functions if function and function.holders]


def _act(step: Step, what: str) -> str:
    if step.action is Action.UNBIND:
        return f"unbinding {what if step.disrupts == (step.device,) else step.device} from {step.before}"
    return f"the step {step.action.value} {step.after} on {step.device}"
