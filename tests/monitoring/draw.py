# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/monitoring.svg: the board over two minutes of a node whose pods come, work and go."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.accel.qat.tests.monitoring.board import BOARD, filled
from ansible_collections.accel.qat.tests.monitoring.scenario import BACKUP, CY, DC, OTHER, PF, TILL, WEB, Monitored
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT
from ansible_collections.accel.qat.tools.monitoring.drawing import drawing

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.monitoring.programs import Prometheus

WRITTEN = CHECKOUT / "docs/monitoring.svg"
STEP_SECONDS = 3.0
# Percent of the time of pke, ucs and cpr.
COURSE = ((5, 10, 0), (30, 22, 4), (62, 35, 9), (83, 40, 31), (71, 58, 55), (45, 66, 48), (68, 57, 20), (88, 62, 36))
PART_SECONDS = 15.0


async def measured(root: Path) -> dict[tuple[str, str], list[dict[str, t.Any]]]:
    """What Prometheus answers to each panel."""
    monitored = Monitored(root)
    async with contextlib.AsyncExitStack() as ends:
        await monitored.start(ends)
        pods = monitored.pods.pods
        begin = time.time()
        for number, (pke, ucs, cpr) in enumerate(COURSE):
            if number == 1:
                pods["default", "web-0"] = {"app": {CY: [WEB]}}
                pods["shop", "till-0"] = {"app": {CY: [TILL]}}
                pods["ops", "backup-0"] = {"app": {DC: [BACKUP]}}
                for resource, vf in ((CY, WEB), (CY, TILL), (DC, BACKUP)):
                    await monitored.bench.kubelet.allocate(resource, [vf])
            if number == 5:
                monitored.bench.files.bind(TILL, None)
            monitored.work(PF, "ucs", ucs, {0: 12 * pke, 2: 6 * pke, 5: 30 * ucs})
            monitored.work(PF, "pke", pke, {0: 12 * pke, 2: 6 * pke, 5: 30 * ucs})
            monitored.work(OTHER, "cpr", cpr, {0: 70 * cpr})
            await asyncio.sleep(PART_SECONDS)
        return await monitored.elsewhere(lambda: answers(monitored.server, begin, time.time()))


def answers(server: Prometheus, begin: float, end: float) -> dict[tuple[str, str], list[dict[str, t.Any]]]:
    """By title and letter of the query the series in this time, or the values at its end."""
    found = {}
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = filled(target["expr"])
            if target["range"]:
                series = server.query_range(expression, begin, end, STEP_SECONDS)
            else:
                series = [{**one, "values": [one["value"]]} for one in server.query(expression)]
            found[panel["title"], target["refId"]] = series
    return found


def main() -> None:
    """Draw it again."""
    with tempfile.TemporaryDirectory(prefix="qpm") as directory:
        WRITTEN.write_text(drawing(BOARD, asyncio.run(measured(Path(directory)))))


if __name__ == "__main__":
    main()
