# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a rule offers to Kubernetes of a PF, or of a VF without its PF: which resource, which VFs, or why none.

Pure, and the only place that decides it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..facts.pci import VFIO_DRIVERS
from ..facts.services import RESOURCE_PREFIX, for_vms, resource_name
from .rules import VM, Rule
from .snapshot import PciFunction, QatDevice


@dataclass(frozen=True)
class Offer:
    """What a PF offers. `vfs` are the addresses of VFs, whether they are there as yet or not.

    `why_not` says why that is nothing; `is_left_out` that it would be something if the PF reported its services.
    """

    resource: str = ""
    vfs: tuple[str, ...] = ()
    why_not: str = ""
    is_left_out: bool = False

    def there(self, device: QatDevice) -> tuple[PciFunction, ...]:
        """Those of the VFs that exist now."""
        return tuple(vf for vf in device.vfs if vf.address in self.vfs) if self.resource else ()


def offer_of(rule: Rule | None, device: QatDevice, known: str = "") -> Offer:
    """What the PF offers by the rule that is for it.

    `known` is the resource that its VFs were for containers before, and holds while the PF does not report its services. Services that
    the rule names go before those that the PF has: other VFs than these must not be taken for them.
    """
    why_not = _why_not(rule)
    if rule is None or why_not:
        return Offer(why_not=why_not)
    now = resource_of(device) or known or _resource_unseen(rule, device)
    if not now:
        return Offer(why_not=_why_unknown(device), is_left_out=True)
    resource = RESOURCE_PREFIX + resource_name(rule.services) if rule.services and device.family.has_services else now
    resource = for_vms(resource) if rule.attach == VM else resource
    places = device.vf_addresses()
    if not places:
        return Offer(why_not="it cannot have VFs")
    if not rule.provision:
        places = tuple(vf.address for vf in device.vfs if vf.driver == rule.driver)
    counts = (one for one in (len(places), rule.vfs, rule.advertise) if one is not None)
    vfs = places[: min(counts)]
    return Offer(resource, vfs, "" if vfs else f"{rule.where} offers none of its VFs")


def stated_services(rule: Rule | None, device: QatDevice) -> frozenset[str] | None:
    """The services that a rule says the VFs have, where nobody can see them; None where it says nothing, or they can be seen."""
    if rule is None or device.services or not device.family.has_services:
        return None
    return rule.services if device.is_vf or not rule.provision else None


def _resource_unseen(rule: Rule, device: QatDevice) -> str:
    """What VFs are whose services nobody can see, on a PF that is not ours to provision, such as one with Intel's own driver."""
    return RESOURCE_PREFIX + resource_name(None) if not rule.provision and device.function.driver else ""


def is_offering(rule: Rule) -> bool:
    """Whether VFs as this rule wants them are for Kubernetes."""
    return not _why_not(rule)


def resource_of(device: QatDevice) -> str:
    """The resource that the VFs of a PF are for containers now; empty for a PF from Gen4 on that does not report its services.

    Before Gen4 the family decides, whatever files the PF has. A VF without its PF is generic, unless the rule says more.
    """
    if not device.shows_services:
        return RESOURCE_PREFIX + resource_name(None)
    return RESOURCE_PREFIX + resource_name(device.services) if device.services else ""


def differing_services(rule: Rule, device: QatDevice) -> bool:
    """Whether the PF has other services than the rule names, so that its VFs are not what is offered."""
    wanted = rule.services if device.family.has_services else None
    return bool(wanted and device.services and wanted != device.services)


def _why_not(rule: Rule | None) -> str:
    if rule is None:
        return "no rule is for it"
    if rule.state == "absent":
        return f"{rule.where} wants it without VFs"
    if rule.driver not in VFIO_DRIVERS:
        return f"{rule.where} leaves its VFs to the host, with the driver {rule.driver}"
    return ""


def _why_unknown(device: QatDevice) -> str:
    if device.function.blocked:
        return "the kernel is still at work on it"
    if device.function.driver is None:
        return "it has no driver"
    return (
        f"its driver {device.function.driver} does not show its services (qat/cfg_services): "
        "this kernel is too old (Linux before 6.0, RHEL before 8.7 or 9.2), or the driver is not the one in Linux"
    )
