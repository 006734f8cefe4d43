# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `qat-vm-attach`. Exit codes: 0 stopped as asked, 1 libvirt or the node cannot be read, 2 wrong settings or no libvirt."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import typing as t

from .._node.errors import NodeError
from .._node.facts.paths import KUBELET_ROOTS
from .._node.kernel.live import LiveKernel
from .._node.streams import ending_well, write_error, write_out
from ..flags import add_kubelet_root, add_log, add_sysfs_root, add_version, seconds
from ..logs import set_up
from ..systemd import Systemd
from . import kubelet, metrics
from .agent import Agent, Counters, Scan, scan
from .decide import ATTACH, Problem
from .domain import Domain, HostDevice
from .hypervisor import Call, Hypervisor, load

log = logging.getLogger(__name__)

_NAME = "qat-vm-attach"

LONGEST_PERIOD = 60.0

STATUS_SECONDS = 60.0
"""How long the status may take: nobody watches over who asks for it once."""


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return ending_well(_NAME, lambda: _run(arguments))


def _run(arguments: t.Sequence[str] | None) -> int:
    settings = _parser().parse_args(arguments)
    try:
        libvirt = load()
    except NodeError as error:
        return _refuse(error.sentence(), 2)
    set_up(settings.log_level, settings.log_format, journal="JOURNAL_STREAM" in os.environ)
    roots = settings.kubelet_root or KUBELET_ROOTS
    kernel = LiveKernel(settings.sysfs_root)
    try:
        if settings.status:
            found = Call(lambda: _scan_once(libvirt, settings.connect, kernel, roots)).result(
                STATUS_SECONDS, settings.connect
            )
            write_out(json.dumps(status(found), indent=2) + "\n")
        else:
            _follow(libvirt, settings, kernel, roots)
    except NodeError as error:
        return _refuse(error.sentence(), 1)
    return 0


def _scan_once(libvirt: t.Any, uri: str, kernel: LiveKernel, roots: t.Sequence[str]) -> Scan:
    hypervisor = Hypervisor(libvirt, uri, lambda: None)
    hypervisor.connect()
    return scan(hypervisor, lambda: kubelet.ask(roots), kernel)


def _follow(libvirt: t.Any, settings: argparse.Namespace, kernel: LiveKernel, roots: t.Sequence[str]) -> None:
    systemd = Systemd(os.environ)
    unwritten = ""

    def report(counters: Counters) -> None:
        nonlocal unwritten
        systemd.alive()
        systemd.status(_words(counters))
        systemd.say_again()
        problem = ""
        if settings.metrics_file:
            try:
                metrics.write(settings.metrics_file, counters)
            except OSError as error:
                problem = f"{settings.metrics_file} cannot be written: {error.strerror or error}"
        if problem and problem != unwritten:
            log.error("no metrics", extra={"fields": {"problem": problem}})
        unwritten = problem

    woken = threading.Event()
    hypervisor = Hypervisor(libvirt, settings.connect, woken.set)
    agent = Agent(hypervisor, lambda: kubelet.ask(roots), kernel, settings.period, woken, report)
    systemd.status("ready; libvirt was not asked so far")
    systemd.ready()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()
    systemd.stopping()


def _words(counters: Counters) -> str:
    """Its first word is what the role waits for. That libvirt comes later is no reason to wait: it may run in a pod."""
    if not counters.connected:
        return "ready; libvirt does not answer"
    problems = sum(counters.standing.values())
    return f"ready; {counters.done[ATTACH]} VFs attached; {problems or 'no'} problem{'' if problems == 1 else 's'}"


def status(found: Scan) -> dict[str, t.Any]:
    """What a look found, for people and for the role qat_verify. `lacking` are the VFs that pods have and their domains do not."""
    pairs = ((one.container, device.address) for one in found.domains for device in _devices(one))
    # Also where it concerns no domain: what is lacking is not known then.
    silent = (Problem("kubelet", "", "", found.said.problem),) if found.said.problem else ()
    has = {(who.namespace, who.pod, who.container, address) for who, address in pairs if who}
    return {
        "domains": [
            {
                "name": one.name,
                "running": one.active,
                "pod": f"{one.container.namespace}/{one.container.pod}" if one.container else None,
                "container": one.container.container if one.container else None,
                "vfs": sorted(device.address for device in _devices(one)),
            }
            for one in found.domains
        ],
        "lacking": [
            {"pod": f"{namespace}/{pod}", "container": container, "vf": address}
            for namespace, pod, container, address in sorted(found.said.listed)
            if (namespace, pod, container, address) not in has
        ],
        "problems": [one._asdict() for one in dict.fromkeys((*silent, *found.decision.problems))],
    }


def _devices(domain: Domain) -> tuple[HostDevice, ...]:
    """What it has now, or at its next start where it does not run."""
    return domain.live if domain.active else domain.config


def _period(text: str) -> float:
    """For argparse. Half of the unit's WatchdogSec at most, since the watchdog is fed at each look."""
    number = seconds(text)
    if number > LONGEST_PERIOD:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LONGEST_PERIOD:.0f} seconds")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="Attaches the VFs that Kubernetes has given to pods to the virtual machines of these pods, by libvirt.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--connect", default="qemu:///system", metavar="URI", help="where libvirt is")
    add_kubelet_root(parser)
    add_sysfs_root(parser)
    add(
        "--metrics-file", default="", metavar="FILE", help="write metrics there, for node_exporter's textfile collector"
    )
    add("--period", type=_period, default=30.0, metavar="SECONDS", help="how often to look where there is no event")
    add_log(parser)
    add(
        "--status",
        action="store_true",
        help="print as JSON which domains have which VFs, and which lack some; change nothing",
    )
    add_version(parser)
    return parser


def _refuse(sentence: str, code: int) -> int:
    write_error(f"{_NAME}: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
