# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""IOMMU groups: one for each function, as access control gives QAT devices; a function that comes back gets a new number."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .pci import Function


class Group:
    """An IOMMU group. `fake` ones are made by VFIO itself where there is no IOMMU."""

    def __init__(self, number: int, function: Function, fake: bool = False) -> None:
        self.number = number
        self.functions = {function.address: function}
        self.fake = fake


class Iommu:
    """The IOMMU, on or off."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self.groups: dict[int, Group] = {}
        self._next = 0

    def join(self, function: Function) -> None:
        """A new function gets a group, if there is an IOMMU."""
        if self.on:
            self.make_group(function)

    def make_group(self, function: Function, fake: bool = False) -> None:
        """Put a function into a group of its own."""
        function.group = self.groups[self._next] = Group(self._next, function, fake)
        self._next += 1

    def leave(self, function: Function) -> None:
        """A function disappears from its group, and the group with it."""
        if function.group is not None:
            del self.groups[function.group.number]
            function.group = None
