# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `qat-exporter`. Exit codes: 0 stopped as asked, 1 it cannot run or telemetry stays on, 2 wrong settings."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import typing as t
from pathlib import Path

from .._node.errors import NodeError
from .._node.facts.paths import KUBELET_ROOTS
from .._node.files import is_still_at
from .._node.kernel.live import LiveKernel
from .._node.streams import ending_well, write_error
from ..flags import add_kubelet_root, add_log, add_proc_root, add_sysfs_root, add_version, address, root
from ..logs import set_up
from ..sockets import make_private
from .switches import Switches, switch_off

_NAME = "qat-exporter"

READ_SECONDS = 1.5
"""So long the kernel may take for a file of a device. Two devices whose firmware is dead leave a page the time to show the others."""


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return ending_well(_NAME, lambda: _run(arguments))


def _run(arguments: t.Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    set_up(options.log_level, options.log_format, journal="JOURNAL_STREAM" in os.environ)
    kernel = LiveKernel(options.sysfs_root, options.proc_root, read_seconds=READ_SECONDS)
    try:
        make_private(options.run_dir)
        with _lock(options.run_dir):
            switches = Switches(kernel, options.run_dir)
            return _switch_off(kernel, switches) if options.switch_off else _serve(options, kernel, switches)
    except NodeError as error:
        problem = error.sentence()
    except OSError as error:
        problem = f"{error.filename or options.run_dir}: {error.strerror or error}"
    write_error(f"{_NAME}: {problem}\n")
    return 1


def _serve(options: argparse.Namespace, kernel: LiveKernel, switches: Switches) -> int:
    from ..cli import without_tls  # noqa: PLC0415

    with without_tls():
        import asyncio  # noqa: PLC0415
    from ..limits import raise_descriptors  # noqa: PLC0415
    from .service import Exporter, Settings  # noqa: PLC0415

    raise_descriptors()
    settings = Settings(
        metrics_address=options.metrics_address,
        switches=options.telemetry == "switch",
        per_vf=options.per_vf,
        kubelet_roots=tuple(options.kubelet_root or KUBELET_ROOTS),
    )

    async def serve() -> None:
        await Exporter(settings, kernel, switches, os.environ).run()

    asyncio.run(serve())
    return 0


def _switch_off(kernel: LiveKernel, switches: Switches) -> int:
    try:
        if switch_off(kernel, switches):
            return 0
    finally:
        kernel.close()
    raise NodeError(
        f"telemetry stays on: {', '.join(sorted(switches.ours))}",
        remedy="see the log above, and switch it off in debugfs",
    )


def _lock(directory: Path) -> t.TextIO:
    """One exporter at a time keeps the record. Raises NodeError where there is another one."""
    path = directory / "lock"
    # A FIFO in its place would be waited for, and a link is never the file that it leads to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    while True:
        lock = os.fdopen(os.open(path, flags, 0o600), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_still_at(str(path), lock.fileno()):
                return lock
        except BlockingIOError:
            lock.close()
            raise NodeError(
                "another qat-exporter is running",
                where=str(directory),
                remedy="end it, or name another directory with --run-dir",
            ) from None
        lock.close()  # the file was removed before it was locked: whoever comes next would lock another one


def _address(text: str) -> tuple[str, int]:
    found = address(text)
    if found is None:
        raise argparse.ArgumentTypeError("without an address nothing is served")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="Serves metrics of this machine's QAT devices to Prometheus.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--metrics-address",
        type=_address,
        default=("127.0.0.1", 9483),
        metavar="HOST:PORT",
        help="serve /metrics, /healthz and /readyz there; 127.0.0.1:9483 unless given",
    )
    add(
        "--telemetry",
        choices=("switch", "read"),
        default="switch",
        help="switch telemetry on where it is off, and off again at the end; or only read what somebody else has switched on",
    )
    add("--per-vf", action="store_true", help="follow the VFs that pods have, one VF of a PF after the other")
    add_kubelet_root(parser, "with --per-vf: ")
    add_sysfs_root(parser, ", with debugfs in it")
    add_proc_root(parser)
    add(
        "--run-dir",
        type=lambda text: Path(root(text)),
        default=Path("/run/accel-qat/exporter"),
        metavar="DIR",
        help="where the record of what was switched on is; nobody else may write there",
    )
    add_log(parser)
    add("--switch-off", action="store_true", help="switch off what the record says was switched on, and exit")
    add_version(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
