# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of this package have in common on their command lines: flags, and how their values are read."""

from __future__ import annotations

import argparse
import re

from . import __version__


def root(text: str) -> str:
    """For argparse: a path that is not empty, which would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return text


def address(text: str) -> tuple[str, int] | None:
    """For argparse: `HOST:PORT`, `:PORT` for every address of the machine, nothing for none; IPv6 addresses stand in brackets."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535 or not _can_be_looked_up(host):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:9482")
    return host, int(port)


def _can_be_looked_up(host: str) -> bool:
    """Whether it is empty, an address, or can be the name of a machine: Python raises no OSError for another one (encodings/idna.py)."""
    if host.isascii():
        return not host or all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def seconds(text: str) -> float:
    """For argparse: a period."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.05 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0.05 and 3600")
    return number


def add_sysfs_root(parser: argparse.ArgumentParser, more: str = "") -> None:
    """`more` goes on with the help."""
    parser.add_argument("--sysfs-root", type=root, default="/sys", metavar="DIR", help=f"where sysfs is mounted{more}")


def add_proc_root(parser: argparse.ArgumentParser) -> None:
    """Where the node's processes are."""
    parser.add_argument("--proc-root", type=root, default="/proc", metavar="DIR", help="where proc is mounted")


def add_kubelet_root(parser: argparse.ArgumentParser, when: str = "") -> None:
    """None where it is not given: then the usual ones count. `when` goes before the help."""
    parser.add_argument(
        "--kubelet-root",
        action="append",
        type=root,
        metavar="DIR",
        help=f"{when}root directory of a kubelet, if it is not one of the usual ones; can be given more than once",
    )


def add_log(parser: argparse.ArgumentParser) -> None:
    """What is logged, and in which form."""
    add = parser.add_argument
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="the least that is logged")
    add("--log-format", choices=("text", "json"), default="text", help="how it is written")


def add_version(parser: argparse.ArgumentParser) -> None:
    """The package's."""
    parser.add_argument("--version", action="version", version=__version__)
