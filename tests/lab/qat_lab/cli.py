# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `lab`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ansible_collections.accel.qat.tools.building import debian, host
from ansible_collections.accel.qat.tools.building.errors import ToolError

from . import console, image, machine, relay
from .cluster import cluster, releases, tunnel
from .cluster.cluster import Cluster
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
    except ToolError as error:
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

    made = command("image", _image, "build the disk image, if it is not there yet")
    _add_debian_option(made)
    made.add_argument(
        "--node",
        nargs="?",
        const=releases.DEFAULT.name,
        choices=releases.RELEASES,
        metavar="RELEASE",
        help="that of a node of a cluster, with this Kubernetes, which is compiled first (default %(const)s)",
    )
    _add_host_option(made)
    start = command("start", _start, "start a machine and wait until it answers", machines="1")
    _add_debian_option(start)
    _add_host_option(start)
    _add_hardware_options(start, memory=1024)
    _add_start_options(start)
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
    _add_cluster_commands(commands.add_parser("cluster", help="Kubernetes whose nodes are machines"))
    pipe = command("relay", _relay, "connect standard input and output to a port (used by QEMU)")
    pipe.add_argument("host")
    pipe.add_argument("port", type=int)
    proxy = command("tunnel", _tunnel, "connect to machines for whoever asks at a socket (used by kube-apiserver)")
    proxy.add_argument("socket", type=Path)
    return parser


def _add_cluster_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, do: object, text: str, clusters: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        if clusters is not None:
            sub.add_argument("name", metavar="NAME", nargs=clusters or None)
        return sub

    up = command("up", _cluster_up, "start a cluster and wait until its nodes are ready", "")
    up.add_argument("--nodes", type=int, default=1, metavar="N", help="machines NAME-1, ... (default %(default)s)")
    text = f"of Kubernetes: {', '.join(releases.RELEASES)} (default %(default)s)"
    default = releases.DEFAULT.name
    up.add_argument("--release", choices=releases.RELEASES, default=default, metavar="RELEASE", help=text)
    _add_hardware_options(up, memory=cluster.NODE_MEMORY)
    command("down", _cluster_down, "stop clusters and remove all of them", "*").add_argument(
        "--all", action="store_true", help="every cluster there is"
    )
    command("list", _cluster_list, "list all clusters")
    command("kubeconfig", _cluster_kubeconfig, "print the name of the file with which kubectl reaches a cluster", "")


def _add_debian_option(parser: argparse.ArgumentParser) -> None:
    default = debian.BOOKWORM.number
    parser.add_argument("--debian", choices=debian.RELEASES, default=default, help="default %(default)s")


def _add_host_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", action="store_true", help="with libvirt and QEMU, to run virtual machines in it")


def _add_hardware_options(parser: argparse.ArgumentParser, memory: int) -> None:
    pfs = "FAMILY@[DOMAIN:]BUS[:NODE][/VFS],...: the simulated PFs (default %(default)s); empty for none"
    parser.add_argument("--pfs", default=DEFAULT_PFS, metavar="SPEC", help=pfs)
    parser.add_argument(
        "--generation", default="6.12", choices=GENERATIONS, help="kernel to behave like (default %(default)s)"
    )
    parser.add_argument(
        "--no-iommu", action="store_true", help="the kernel leaves the IOMMU off unless its arguments ask for it"
    )
    parser.add_argument("--memory", type=int, default=memory, metavar="MB", help="default %(default)s")
    parser.add_argument("--cpus", type=int, default=2, metavar="N", help="default %(default)s")


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    forward = "an address of the guest's network that leads to one of this host, e.g. 10.0.2.100:6443=127.0.0.1:6443"
    parser.add_argument("--guestfwd", action="append", default=[], metavar="ADDRESS:PORT=HOST:PORT", help=forward)
    parser.add_argument("--cold", action="store_true", help="boot, instead of continuing from a saved state")


def _image(options: argparse.Namespace) -> None:
    flavour = image.node(releases.named(options.node)) if options.node else _plain(options)
    print(image.ensure(flavour).disk)


def _plain(options: argparse.Namespace) -> image.Flavour:
    return image.Flavour(debian.RELEASES[options.debian], virtualization=options.host)


def _hardware(options: argparse.Namespace) -> Hardware:
    return Hardware(
        pfs=options.pfs,
        generation=options.generation,
        iommu=not options.no_iommu,
        memory=options.memory,
        cpus=options.cpus,
    )


def _start(options: argparse.Namespace) -> None:
    started = Machine.start(options.name, _hardware(options), options.guestfwd, options.cold, _plain(options))
    host.say(f"{started.name} answers on port {started.record.port}")


def _stop(options: argparse.Namespace) -> None:
    for name in _wanted(options, machine.names(), "machine"):
        machine.remove(name)


def _wanted(options: argparse.Namespace, known: list[str], what: str) -> list[str]:
    """The names on the command line, or all; LabError without a name, or with one that is not known."""
    if options.all:
        return known
    wanted: list[str] = options.name
    if not wanted:
        raise LabError(f"name the {what}s to stop, or use --all.")
    if unknown := [name for name in wanted if name not in known]:
        raise LabError(f"there is no {what} {', '.join(map(repr, unknown))}.")
    return wanted


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


def _cluster_up(options: argparse.Namespace) -> None:
    started = Cluster.up(options.name, _hardware(options), options.nodes, releases.named(options.release))
    host.say(f"{started.name} is up: export KUBECONFIG={started.kubeconfig}")


def _cluster_down(options: argparse.Namespace) -> None:
    for name in _wanted(options, cluster.names(), "cluster"):
        cluster.down(name)


def _cluster_list(_: argparse.Namespace) -> None:
    for name in cluster.names():
        try:
            chosen = Cluster(name)
        except LabError:
            print(f"{name}  (starting, or left over: `lab cluster down {name}` removes it)")
            continue
        state = "running" if chosen.running else "dead"
        print(f"{name}  {state}  {chosen.release.version}  port {chosen.port}  nodes {' '.join(chosen.nodes)}")


def _cluster_kubeconfig(options: argparse.Namespace) -> None:
    print(Cluster(options.name).kubeconfig)


def _relay(options: argparse.Namespace) -> None:
    relay.run(options.host, options.port)


def _tunnel(options: argparse.Namespace) -> None:
    tunnel.serve(options.socket)
