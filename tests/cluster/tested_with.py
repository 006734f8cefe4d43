# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's table of the nodes on which the tests run, which these hold to what the nodes say of themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_README = Path(__file__).parents[2] / "README.md"
_HEAD = "| Kubernetes | distribution | kernel | container runtime |\n|---|---|---|---|\n"


@dataclass(frozen=True)
class Row:
    """What a node has; of each version major and minor number."""

    kubernetes: str
    distribution: str
    kernel: str
    runtime: str


def rows() -> list[Row]:
    """Those of the table."""
    _, _, below = _README.read_text(encoding="utf-8").partition(_HEAD)
    return [Row(*line.strip("| ").split(" | ")) for line in below.partition("\n\n")[0].splitlines()]


def row_of(information: Mapping[str, Any]) -> Row:
    """The row of a node, by the nodeInfo of its status."""
    name, number = re.fullmatch(r"(\w+) GNU/Linux (\d+) .*", information["osImage"]).groups()  # type: ignore[union-attr]
    runtime, _, version = information["containerRuntimeVersion"].partition("://")
    return Row(
        _short(information["kubeletVersion"]),
        f"{name} {number}",
        _short(information["kernelVersion"]),
        f"{runtime} {_short(version)}",
    )


def _short(version: str) -> str:
    return ".".join(re.findall(r"\d+", version)[:2])
