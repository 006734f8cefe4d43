# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One write of a plan: what it changes, where, from what, to what, why, and whom it disturbs."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from enum import Enum

from ..facts.families import module_of_driver
from ..facts.paths import (
    MODULES,
    NOIOMMU_MODE,
    device_file,
    driver_file,
    qat_file,
)

NONE = "(none)"


class Action(str, Enum):
    """The kinds of step."""

    LOAD_MODULE = "load_module"
    UNLOAD_MODULE = "unload_module"
    NOIOMMU = "noiommu"
    STATE = "state"
    SERVICES = "services"
    AUTOPROBE = "autoprobe"
    VF_COUNT = "vf_count"
    OVERRIDE = "override"
    UNBIND = "unbind"
    BIND = "bind"


@dataclass(frozen=True)
class Step:
    """One write.

    `device` is a PCI address or a module's name; `pf` the PF it belongs to, empty for modules and functions without a PF. `before` and
    `after` are the values of what `shows` names. `disrupts` are the addresses of existing VFs that the step takes away.
    """

    action: Action
    device: str
    before: str
    after: str
    why: str
    pf: str = ""
    disrupts: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The file that is written, or the module's directory."""
        if self.action in _QAT_FILES:
            return qat_file(self.device, _QAT_FILES[self.action])
        if self.action is Action.UNBIND:
            return driver_file(self.before, "unbind")
        if self.action is Action.BIND:
            return driver_file(self.after, "bind")
        if self.action is Action.NOIOMMU:
            return NOIOMMU_MODE
        if self.of_module:
            return f"{MODULES}/{self.device}"
        return device_file(self.device, _FILES[self.action])

    @property
    def value(self) -> str:
        """What is written to `path`; a module's options."""
        if self.action in (Action.UNBIND, Action.BIND):
            return self.device
        return "" if self.after == NONE else self.after

    @property
    def shows(self) -> str:
        """What `before` and `after` are the values of."""
        if self.action in (Action.UNBIND, Action.BIND):
            return device_file(self.device, "driver")
        return self.path

    @property
    def of_module(self) -> bool:
        """Whether the step concerns a kernel module."""
        return self.action in (Action.LOAD_MODULE, Action.UNLOAD_MODULE, Action.NOIOMMU)

    @property
    def configured(self) -> str:
        """The address of what a rule is for: the PF, or the function itself where it has none."""
        return self.pf or self.device

    @property
    def of_vf(self) -> bool:
        """Whether the step concerns a VF or another single function, so that its failure need not stop the others."""
        return not self.of_module and self.pf != self.device

    @property
    def reveals(self) -> bool:
        """Whether the step brings a PF's driver in, so that what comes after it must be planned from what then is there."""
        return self.action is Action.LOAD_MODULE or (self.action is Action.BIND and not self.of_vf)

    def as_dict(self) -> dict[str, t.Any]:
        """The step for people and machines to read."""
        return {
            "action": self.action.value,
            "device": self.device,
            "path": self.path,
            "value": self.value,
            "shows": self.shows,
            "before": self.before,
            "after": self.after,
            "why": self.why,
            "disrupts": list(self.disrupts),
        }

    def __str__(self) -> str:
        return f"{self.shows}: {self.before} -> {self.after} ({self.why})"


_QAT_FILES = {
    Action.STATE: "state",
    Action.SERVICES: "cfg_services",
}
_FILES = {
    Action.AUTOPROBE: "sriov_drivers_autoprobe",
    Action.VF_COUNT: "sriov_numvfs",
    Action.OVERRIDE: "driver_override",
}


def switch_noiommu(is_on: bool, why: str) -> Step:
    """The step that has VFIO take functions without an IOMMU, or not any more."""
    before, after = ("N", "Y") if is_on else ("Y", "N")
    return Step(Action.NOIOMMU, "vfio", before, after, why)


def load_driver(driver: str, options: str, why: str) -> Step:
    """The step that loads the module which provides a PCI driver."""
    return Step(Action.LOAD_MODULE, module_of_driver(driver).replace("-", "_"), "not loaded", options or "loaded", why)
