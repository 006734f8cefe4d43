# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `lab`."""

from __future__ import annotations

import argparse
import os
import sys

from . import console, host, image, machine, relay
from .errors import LabError
from .hardware import DEFAULT_PFS, GENERATIONS, Hardware
from .inventory import inventory
from .machine import Machine


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with host.interruptible():
            code: int | None = options.do(options)
            return code or 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    except host.Interrupted as signal:
        print(f"lab: ended by {signal}", file=sys.stderr)
        return 143


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Build and run virtual machines with simulated QAT.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, do: object, text: str, machines: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        if machines:
            sub.add_argument("name", metavar="NAME", nargs=machines if machines != "1" else None)
        return sub

    command("image", _image, "build the disk image, if it is not there yet").add_argument(
        "--node", action="store_true", help="that of a node of a cluster, with Kubernetes, which is compiled first"
    )
    _add_start_options(command("start", _start, "start a machine and wait until it answers", machines="1"))
    command("stop", _stop, "stop machines and remove all of them", machines="*").add_argument(
        "--all", action="store_true", help="every machine there is"
    )
    command("reset", _reset, "put a machine back to how it was started", machines="1")
    command("reboot", _reboot, "reboot a machine and wait until it answers", machines="1")
    command("ssh", _ssh, "a shell or a command in a machine", machines="1").add_argument(
        "command", metavar="COMMAND", nargs=argparse.REMAINDER
    )
    command("console", _console, "print what a machine wrote to its serial console", machines="1").add_argument(
        "--attach", action="store_true", help="type into it; ctrl-] ends that"
    )
    command("list", _list, "list all machines")
    command("inventory", _inventory, "print an Ansible inventory of machines", machines="+")
    pipe = command("relay", _relay, "connect standard input and output to a port (used by QEMU)")
    pipe.add_argument("host")
    pipe.add_argument("port", type=int)
    return parser


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    pfs = "FAMILY@[DOMAIN:]BUS[:NODE][/VFS],...: the simulated PFs (default %(default)s); empty for none"
    parser.add_argument("--pfs", default=DEFAULT_PFS, metavar="SPEC", help=pfs)
    parser.add_argument(
        "--generation", default="6.12", choices=GENERATIONS, help="kernel to behave like (default %(default)s)"
    )
    parser.add_argument(
        "--no-iommu", action="store_true", help="the kernel leaves the IOMMU off unless its arguments ask for it"
    )
    parser.add_argument("--memory", type=int, default=1024, metavar="MB", help="default %(default)s")
    parser.add_argument("--cpus", type=int, default=2, metavar="N", help="default %(default)s")
    forward = "an address of the guest's network that leads to one of this host, e.g. 10.0.2.100:6443=127.0.0.1:6443"
    parser.add_argument("--guestfwd", action="append", default=[], metavar="ADDRESS:PORT=HOST:PORT", help=forward)
    parser.add_argument("--cold", action="store_true", help="boot, instead of continuing from a saved state")


def _image(options: argparse.Namespace) -> None:
    print(image.ensure(image.Flavour.NODE if options.node else image.Flavour.PLAIN).disk)


def _start(options: argparse.Namespace) -> None:
    hardware = Hardware(
        pfs=options.pfs,
        generation=options.generation,
        iommu=not options.no_iommu,
        memory=options.memory,
        cpus=options.cpus,
    )
    started = Machine.start(options.name, hardware, options.guestfwd, options.cold)
    host.say(f"{started.name} answers on port {started.record.port}")


def _stop(options: argparse.Namespace) -> None:
    known = machine.names()
    wanted = known if options.all else options.name
    if not wanted and not options.all:
        raise LabError("name the machines to stop, or use --all.")
    if unknown := [name for name in wanted if name not in known]:
        raise LabError(f"there is no machine {', '.join(map(repr, unknown))}.")
    for name in wanted:
        machine.remove(name)


def _reset(options: argparse.Namespace) -> None:
    Machine(options.name).reset()
    host.say(f"{options.name} is back")


def _reboot(options: argparse.Namespace) -> None:
    Machine(options.name).reboot()
    host.say(f"{options.name} is up again")


def _ssh(options: argparse.Namespace) -> int:
    command = Machine(options.name).connection.command(options.command)
    return os.spawnvp(os.P_WAIT, command[0], command)


def _console(options: argparse.Namespace) -> None:
    chosen = Machine(options.name)
    if options.attach:
        console.attach(chosen.directory)
    else:
        sys.stdout.write(chosen.console)


def _list(_: argparse.Namespace) -> None:
    for name in machine.names():
        try:
            chosen = Machine(name)
        except LabError:
            print(f"{name}  (starting, or left over: `lab stop {name}` removes it)")
            continue
        hardware = chosen.record.hardware
        state = "running" if chosen.running else "dead"
        print(f"{name}  {state}  port {chosen.record.port}  kernel like {hardware.generation}  {hardware.pfs}")


def _inventory(options: argparse.Namespace) -> None:
    sys.stdout.write(inventory([Machine(name) for name in options.name]))


def _relay(options: argparse.Namespace) -> None:
    relay.run(options.host, options.port)
