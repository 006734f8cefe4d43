# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: prints how long this project and others take for the same work on the virtual QAT machine, and the ratios."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.accel.qat.plugins.action.qatctl import build
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import desired_of
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import plan_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tools.building import host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
PEERS = ("driverctl", "dpdk")
BUSES = [0x30 + 8 * number for number in range(8)]

# How often each way is measured. The slowest takes minutes a run under emulation.
RUNS = {"raw": 9, "engine": 9, "qatctl": 3, "driverctl": 3, "devbind": 3, "devbind_each": 1}
# A forced call a VF looks at all of them each time: a quarter of an hour for 128.
RUNS_OF_MANY = {"raw": 3, "engine": 3, "qatctl": 3, "driverctl": 1, "devbind": 1}
NAMES = {
    "raw": "raw writes, one process (the kernel's own work)",
    "engine": "accel.qat engine, in one process",
    "qatctl": "qatctl apply, with the start of Python",
    "driverctl": "driverctl --nosave, a call a VF",
    "devbind": "dpdk-devbind.py, one call",
    "devbind_each": "dpdk-devbind.py --force, a call a VF",
}


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def addresses(count: int) -> list[str]:
    """The PFs of a machine with so many."""
    return [f"0000:{bus:02x}:00.0" for bus in BUSES[:count]]


@contextlib.contextmanager
def machine(name: str, count: int) -> Iterator[Machine]:
    """A machine with `count` Gen4 PFs and vfio-pci loaded; it is stopped at the end."""
    pfs = ",".join(f"4xxx@{bus:02x}:{number % 2}" for number, bus in enumerate(BUSES[:count]))
    with Machine.start(f"bench-{os.getpid()}-{name}", Hardware(pfs=pfs)) as started:
        started.run("modprobe vfio-pci")
        yield started


# As the role installs it: with the byte code of the machine's Python.
COMPILE = """
cd "$(mktemp -d)" && python3 -m zipfile -e /usr/local/sbin/qatctl . &&
python3 -I -m compileall -q -b --invalidation-mode unchecked-hash . && python3 -c '
import pathlib, zipfile
with zipfile.ZipFile("/usr/local/sbin/qatctl", "a", zipfile.ZIP_DEFLATED) as archive:
    for path in pathlib.Path().rglob("*.pyc"):
        archive.write(path)
'
"""


def peers(directory: Path) -> bytes:
    """The other tools, from Debian's packages, as a tar archive. They are not installed on this host."""
    subprocess.run(["apt-get", "download", "-qq", *PEERS], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    root = directory / "root"
    for package in sorted(directory.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return subprocess.run(["tar", "-C", root, "-c", "."], check=True, stdout=subprocess.PIPE).stdout


def bind_times(count: int, runs: dict[str, int]) -> dict[str, list[float]]:
    """Seconds from no VF to all on vfio-pci, by way."""
    with tempfile.TemporaryDirectory() as directory, machine("bind", count) as guest:
        guest.run("mkdir -p /opt/peers && tar -C /opt/peers -x", stdin=peers(Path(directory)))
        guest.put(build("/usr/bin/python3"), "/usr/local/sbin/qatctl", 0o755)
        guest.run(COMPILE)
        guest.put((HERE / "guest.py").read_bytes(), "/root/guest.py")
        seconds = {}
        for way, times in runs.items():
            command = f"python3 /root/guest.py {way} {times} {' '.join(addresses(count))}"
            seconds[way] = json.loads(guest.run(command, timeout=3600).stdout)
            say(f"  {NAMES[way]:50s} {statistics.median(seconds[way]):8.2f} s")
        return seconds


def show(title: str, seconds: dict[str, list[float]]) -> None:
    """A table of medians and ratios to the first row."""
    base = statistics.median(next(iter(seconds.values())))
    say(f"\n{title}\n\n| way | runs | median s | times the raw writes |\n|---|---|---|---|")
    for way, values in seconds.items():
        median = statistics.median(values)
        say(f"| {NAMES[way]} | {len(values)} | {median:.2f} | {median / base:.2f} |")


def planning_time() -> float:
    """Median seconds to plan 8 PFs with 16 VFs from nothing, on this host."""
    node = read_node(
        FakeKernel.with_pfs(*(pf("4xxx", address) for address in addresses(8)), generation="6.12", iommu=True)
    )
    rules = parse_configuration({"devices": [{"services": ["dc"]}]})
    seconds = []
    for _ in range(50):
        begin = time.perf_counter()
        plan = plan_node(desired_of(rules, node), node)
        seconds.append(time.perf_counter() - begin)
    say(
        f"\nplanning 128 VFs ({len(plan.steps)} steps): median {statistics.median(seconds) * 1000:.1f} ms of {len(seconds)} runs"
    )
    return statistics.median(seconds)


def site_times(count: int) -> None:
    """A first and a second site.yml over `count` machines."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        guests = [stack.enter_context(machine(f"site{number}", 2)) for number in range(count)]
        lab = [str(CHECKOUT / "tests/lab/lab"), "inventory", *(guest.name for guest in guests)]
        inventory = Path(directory) / "hosts.yml"
        inventory.write_bytes(subprocess.run(lab, check=True, stdout=subprocess.PIPE).stdout)
        for turn in ("first", "second"):
            begin = time.monotonic()
            tasks = play(inventory)
            say(
                f"| site.yml, {count} machine{'s' if count > 1 else ''}, {turn} run | {tasks} | {time.monotonic() - begin:.1f} |"
            )


def play(inventory: Path) -> int:
    """Run site.yml and return how many tasks it had."""
    words = [
        "ansible-playbook",
        "-i",
        str(inventory),
        "-e",
        '{"qat_node_devices": [{"services": ["sym", "asym"]}]}',
        "accel.qat.site",
    ]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return sum(line.startswith(("TASK [", "RUNNING HANDLER [")) for line in done.stdout.splitlines())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, or with --quick only the small machine."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 VFs and one machine only")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=RUNS,
        default=list(RUNS),
        help="binding in these ways only, and no plays; the first is 1",
    )
    options = parser.parse_args(arguments)
    say("binding the VFs of one PF (16):")
    small = bind_times(1, {way: RUNS[way] for way in options.ways})
    show("16 VFs from none to vfio-pci", small)
    if not options.quick:
        say("\nbinding the VFs of 8 PFs (128):")
        large = bind_times(8, {way: RUNS_OF_MANY[way] for way in options.ways if way in RUNS_OF_MANY})
        show("128 VFs from none to vfio-pci", large)
    planning_time()
    if options.ways != list(RUNS):
        return
    say("\n| play | tasks | seconds |\n|---|---|---|")
    site_times(1)
    if not options.quick:
        site_times(4)


if __name__ == "__main__":
    with host.interruptible():
        main()
