# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which the table is written: pure data, so that anything that claims to behave like a kernel can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

GENERATIONS = ("6.1", "6.12", "6.16")


@dataclass(frozen=True)
class Since:
    """An outcome that changed in one kernel generation: `new` from `first` on, `old` before."""

    first: str
    new: str
    old: str

    def outcome(self, generation: str) -> str:
        """The outcome in one generation."""
        return self.new if GENERATIONS.index(generation) >= GENERATIONS.index(self.first) else self.old


Outcome = Union[str, Since]  # noqa: UP007  # Python 3.9 evaluates this


@dataclass(frozen=True)
class Write:
    """Write a text into a file below /sys. Outcome: "ok" or the name of the errno."""

    path: str
    text: str
    outcome: Outcome = "ok"


@dataclass(frozen=True)
class Read:
    """Read a file below /sys. Outcome: its text without surrounding white space and NUL bytes, or the name of the errno."""

    path: str
    outcome: Outcome


@dataclass(frozen=True)
class Link:
    """Look where a symbolic link below /sys leads. Outcome: the last part of its target, or "none" if there is no link.

    seconds is how long to wait for the outcome, where udev or a module that is being loaded brings it about.
    """

    path: str
    outcome: Outcome
    seconds: float = 0


@dataclass(frozen=True)
class Count:
    """Count the files below /sys that match a pattern. Outcome: their number."""

    pattern: str
    outcome: Outcome


@dataclass(frozen=True)
class Fault:
    """Switch a fault of the hardware on: a file of its fault directory, and the text to write there."""

    address: str
    name: str
    text: str
    outcome: Outcome = "ok"


@dataclass(frozen=True)
class Load:
    """Load a kernel module that is not loaded yet."""

    module: str
    outcome: Outcome = "ok"


@dataclass(frozen=True)
class Wait:
    """Let time pass, in seconds."""

    seconds: float
    outcome: Outcome = "ok"


@dataclass(frozen=True)
class Until:
    """Wait until a file below /sys reads as given, for at most some seconds. Outcome: what it reads at the end."""

    path: str
    outcome: Outcome
    seconds: float = 5


Step = Union[Write, Read, Link, Count, Fault, Load, Wait, Until]  # noqa: UP007  # as above


@dataclass(frozen=True)
class Row:
    """Steps from the state after boot, in order; `only` names the generations it holds for, all if empty."""

    name: str
    steps: tuple[Step, ...]
    only: tuple[str, ...] = ()
