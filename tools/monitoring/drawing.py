# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the board with what Prometheus has answered, as SVG: for a page, where no Grafana is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

COLUMN, LINE, MARGIN = 50, 19, 6
"""Pixels: a twenty-fourth of the board, one of Grafana's units of height, and around a panel."""

_WIDTH = 24 * COLUMN
_MOST_SERIES = 6
_COLOURS = ("#5794f2", "#73bf69", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff")
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!--
SPDX-FileCopyrightText: 2026 accel.qat contributors
SPDX-License-Identifier: GPL-3.0-or-later

The board with series that were measured. Written by tests/monitoring/draw.py.
-->
"""

Series = Mapping[str, Any]
"""As Prometheus has it: `metric` are the labels, `values` times and values."""

Answers = Mapping[tuple[str, str], Sequence[Series]]
"""The series by title and letter of the query."""


def drawing(board: Mapping[str, Any], answers: Answers) -> str:
    """The whole board."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) * LINE
    panels = "".join(_panel(panel, answers) for panel in board["panels"])
    fonts = 'font-family="DejaVu Sans, Arial, sans-serif" font-size="11"'
    return (
        f'{_HEAD}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {fonts}>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#111217"/>\n{panels}</svg>\n'
    )


def _panel(panel: Mapping[str, Any], answers: Answers) -> str:
    at = panel["gridPos"]
    x, y, width, height = at["x"] * COLUMN, at["y"] * LINE, at["w"] * COLUMN, at["h"] * LINE
    if panel["type"] == "row":
        return _text(x + MARGIN, y + 14, panel["title"], size=14, colour="#ccccdc") + "\n"
    box = f'<rect x="2" y="2" width="{width - 4}" height="{height - 4}" rx="3" fill="#181b1f" stroke="#2c3235"/>'
    found = [
        (_legend(target, one), one)
        for target in panel["targets"]
        for one in answers.get((panel["title"], target["refId"]), ())
    ]
    inside = "".join(_KINDS[panel["type"]](panel, found, width, height))
    title = _text(MARGIN + 2, 15, panel["title"], colour="#ccccdc")
    return f'<g transform="translate({x} {y})">{box}{title}{inside}</g>\n'


def _number(panel: Mapping[str, Any], found: _Found, width: int, height: int) -> Iterator[str]:
    if found:
        shown = _amount(_last(found[0][1]), panel)
        yield _text(width // 2, height - 18, shown, size=26, colour="#73bf69", anchor="middle")


def _bars(panel: Mapping[str, Any], found: _Found, width: int, _height: int) -> Iterator[str]:
    most = panel["fieldConfig"]["defaults"].get("max") or max((_last(one) for _name, one in found), default=0.0) or 1.0
    for number, (name, one) in enumerate(found[:_MOST_SERIES]):
        y, value = 24 + number * 20, _last(one)
        length = max(1, round((width - 2 * MARGIN) * min(value / most, 1.0)))
        yield f'<rect x="{MARGIN}" y="{y}" width="{length}" height="16" fill="{_colour(number)}" fill-opacity="0.45"/>'
        yield _text(MARGIN + 3, y + 12, name)
        yield _text(width - MARGIN - 3, y + 12, _amount(value, panel), anchor="end")


def _lines(panel: Mapping[str, Any], found: _Found, width: int, height: int) -> Iterator[str]:
    # Those that reach highest; a value that is none is none here either, as of a quantile of nothing.
    numbers = [(name, [(at, float(value)) for at, value in one["values"] if value != "NaN"]) for name, one in found]
    shown = sorted((one for one in numbers if one[1]), key=lambda one: -max(value for _at, value in one[1]))[
        :_MOST_SERIES
    ]
    points = [point for _name, values in shown for point in values]
    if not points:
        return
    top, bottom, left = 24, height - 12 - 13 * ((len(shown) + 1) // 2), 52
    first, last = min(at for at, _value in points), max(at for at, _value in points)
    most = panel["fieldConfig"]["defaults"].get("max") or max(value for _at, value in points) or 1.0
    for part in (0, 0.5, 1):
        y = round(bottom - (bottom - top) * part)
        yield f'<path d="M{left} {y}H{width - MARGIN}" stroke="#2c3235"/>'
        yield _text(left - 4, y + 4, _amount(most * part, panel), size=9, anchor="end")
    for number, (name, values) in enumerate(shown):
        along = (width - MARGIN - left) / ((last - first) or 1)
        places = (
            f"{left + (at - first) * along:.0f} {bottom - (bottom - top) * min(value / most, 1):.0f}"
            for at, value in values
        )
        yield f'<path d="M{"L".join(places)}" fill="none" stroke="{_colour(number)}" stroke-width="1.5"/>'
        x, y = MARGIN + (number % 2) * width // 2, bottom + 14 + 13 * (number // 2)
        yield _text(x, y, f"— {name}", size=9, colour=_colour(number))


def _table(panel: Mapping[str, Any], found: _Found, width: int, height: int) -> Iterator[str]:
    columns = panel["transformations"][0]["options"]["include"]["names"]
    step = (width - 2 * MARGIN) // len(columns)
    rows = [
        columns,
        *([one["metric"].get(name, _amount(_last(one), panel)) for name in columns] for _name, one in found),
    ]
    for number, row in enumerate(rows[: (height - 24) // 16]):
        for place, cell in enumerate(row):
            yield _text(MARGIN + 2 + place * step, 34 + number * 16, cell, colour="#ccccdc" if number else "#6e9fff")


_Found = Sequence[tuple[str, Series]]
_KINDS = {"stat": _number, "bargauge": _bars, "timeseries": _lines, "table": _table}


def _legend(target: Mapping[str, Any], one: Series) -> str:
    return re.sub(r"{{(\w+)}}", lambda label: str(one["metric"].get(label[1], "")), target.get("legendFormat", ""))


def _last(one: Series) -> float:
    return float(one["values"][-1][1])


def _amount(value: float, panel: Mapping[str, Any]) -> str:
    """A value in the unit of its panel."""
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s":
        return next((f"{value / part:.3g} {name}" for part, name in _SECONDS if value >= part), f"{value:.3g} s")
    large = next((f"{value / part:.3g} {name}" for part, name in _LARGE if value >= part), f"{value:.3g} ")
    return f"{large}B/s" if unit == "Bps" else large.rstrip()


_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _text(x: int, y: int, text: str, *, size: int = 11, colour: str = "#ccccdc", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
