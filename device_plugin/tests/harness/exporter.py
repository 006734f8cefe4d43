# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter as a process, and PFs with telemetry, as far as plain files can be like that: it is on, whatever is written."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

from .process import SOURCE

if t.TYPE_CHECKING:
    from pathlib import Path

    from .node_files import NodeFiles

_SLICES = {"cpr": 1, "xlt": 1, "dcpr": 3, "pke": 6, "ucs": 4, "cph": 4, "ath": 4}
_COUNTERS = (
    *("pci_trans_cnt", "max_rd_lat", "rd_lat_acc_avg", "max_gp_lat", "gp_lat_acc_avg"),
    *("bw_in", "bw_out", "at_page_req_lat_avg", "at_trans_lat_avg", "at_max_tlb_used"),
)


class ExporterProcess:
    """One process. What it says comes to `words`."""

    def __init__(self, files: NodeFiles, *flags: str) -> None:
        command = [sys.executable, "-m", "qat_device_plugin.exporter.command", *arguments(files), *flags]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def words(self) -> str:
        """All that it has said, once it has ended."""
        return self.process.communicate(timeout=120)[1]

    def close(self) -> None:
        """End it, in whatever state it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=120)


def arguments(files: NodeFiles) -> list[str]:
    """Where it finds the machine."""
    return [f"--sysfs-root={files.sys}", f"--proc-root={files.proc}", f"--run-dir={files.root / 'run'}"]


def add_telemetry(files: NodeFiles, pf: str) -> Path:
    """Give a PF of Gen4 all files of debugfs that the exporter reads; returns the directory of its telemetry."""
    directory = files.sys / f"kernel/debug/qat_4xxx_{pf}"
    for name in ("telemetry", "heartbeat"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    values = dict.fromkeys(_COUNTERS, 10)
    for engine, count in _SLICES.items():
        values.update({f"{kind}_{engine}{number}": 50 for number in range(count) for kind in ("util", "exec")})
    rows = "".join(f"{name:<23}{value:>20}\n" for name, value in values.items())
    texts = {
        "telemetry/control": "1\n",
        "telemetry/device_data": f"{'sample_cnt':<23}{3:>20}\n{rows}",
        "fw_counters": "AE          Requests        Responses\n"
        + "".join(f"{one:>2}: {5:>16} {5:>16}\n" for one in range(8)),
        "heartbeat/queries_sent": "7\n\0",
        "heartbeat/queries_failed": "0\n\0",
        "cnv_errors": "No engine configured for comp\n",
        "pm_status": "power_level: max\nidle_irq_count: 0\nfw_irq_count: 0\nthrottle_irq_count: 0\n",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory / "telemetry"
