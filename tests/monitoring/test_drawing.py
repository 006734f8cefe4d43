# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawing of the board for the page."""

from __future__ import annotations

from xml.etree import ElementTree

from ansible_collections.accel.qat.tests.monitoring.board import BOARD
from ansible_collections.accel.qat.tests.monitoring.draw import WRITTEN
from ansible_collections.accel.qat.tools.monitoring.drawing import Answers, drawing

TITLES = [panel["title"] for panel in BOARD["panels"]]


def texts(image: str) -> list[str]:
    root = ElementTree.fromstring(image.encode())
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_page_shows_the_board_as_it_is() -> None:
    shown = texts(WRITTEN.read_text())
    assert [title for title in TITLES if title not in shown] == [], "run: make board"


def test_a_board_without_answers() -> None:
    assert sorted(texts(drawing(BOARD, {}))) == sorted([*TITLES, *columns()])


def columns() -> list[str]:
    tables = [panel for panel in BOARD["panels"] if panel["type"] == "table"]
    return [name for panel in tables for name in panel["transformations"][0]["options"]["include"]["names"]]


def test_what_was_answered_is_shown_in_its_unit() -> None:
    labels = {"instance": "node1", "pf": "0000:6b:00.0", "engine": "<pke>", "namespace": "a&b", "pod": "web-0"}

    def series(*values: float | str) -> list[dict[str, object]]:
        return [{"metric": labels, "values": [[float(at), str(value)] for at, value in enumerate(values)]}]

    answers: Answers = {
        ("Nodes", "A"): series(3),
        ("Utilisation by engine", "A"): series(0.5, "NaN", 0.83),
        ("Busiest engines", "A"): series(0.83),
        ("Pods that move most", "A"): series(2.5e9),
        ("Latency", "A"): series(1e-5, 2e-5),
        ("Which pod has which VF", "A"): series(1),
    }
    shown = texts(drawing(BOARD, answers))
    assert {"3", "83%", "2.5 GB/s", "20 µs", "node1 0000:6b:00.0 <pke>", "a&b/web-0", "a&b"} <= set(shown)
