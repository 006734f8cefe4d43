# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What systemd says of the units of kubelet: their properties, the environment that it gives them, and what it starts."""

from __future__ import annotations

import re
import typing as t

from .._host.machine import Machine, last_lines
from .._node.errors import NodeError
from .._node.fields import lines_in, words_in
from . import environment
from .environment import Variables
from .flavours.base import Flavour
from .shown import Shown, read_bus_texts, read_shown

_SHOWN = (
    "Id",
    "Names",
    "LoadState",
    "ActiveState",
    "MainPID",
    "ExecMainStartTimestampMonotonic",
    "ExecStart",
    "Environment",
    "EnvironmentFiles",
    "PassEnvironment",
    "UnsetEnvironment",
)
_BUS_PATH = "/org/freedesktop/systemd1"
# An empty line may be in the value of a variable, too.
_BETWEEN_UNITS = re.compile(rf"\n\n+(?=(?:{'|'.join(_SHOWN)})=)")
# sd_booted(3): systemd runs here.
_BOOTED = "/run/systemd/system"


def shown_units(machine: Machine, flavour: Flavour, service: str) -> dict[str, dict[str, str]]:
    """What systemd says of the units; nothing where there is no systemd."""
    systemctl = machine.command("systemctl")
    if systemctl is None:
        return {}
    names = (service,) if service else flavour.units
    result = machine.run([systemctl, "show", f"--property={','.join(_SHOWN)}", *names])
    if result.code != 0 and machine.exists(_BOOTED):
        raise NodeError(f"systemctl show fails: {last_lines(result)}", " ".join(names), "see that systemd answers")
    blocks = (_properties(block) for block in _BETWEEN_UNITS.split(result.out))
    return {shown["Id"]: shown for shown in blocks if shown.get("LoadState") == "loaded"}


def _properties(block: str) -> dict[str, str]:
    """What is shown of one unit, by the property's name; of one that is shown several times a value in each line."""
    shown: dict[str, str] = {}
    last = ""
    for line in block.split("\n"):
        name, equals, value = line.partition("=")
        if equals and name in _SHOWN:
            shown[name] = f"{shown[name]}\n{value}" if name in shown else value
            last = name
        elif last:
            # A value goes on.
            shown[last] += f"\n{line}"
    return {name: value.rstrip("\n") for name, value in shown.items()}


def chosen_unit(units: t.Mapping[str, t.Mapping[str, str]], flavour: Flavour, service: str) -> str:
    if service:
        # systemd shows its whole name, whatever it was asked by.
        return next(iter(units), service)
    # The usual name may be an alias, and systemd shows the unit by its own.
    by_name = {name: unit for unit, shown in units.items() for name in (unit, *words_in(shown.get("Names", "")))}
    there = [by_name[name] for name in flavour.units if name in by_name]
    active = [name for name in there if units[name].get("ActiveState") in ("active", "activating")]
    return (active or there or [""])[0]


def variables_of(machine: Machine, unit: t.Mapping[str, str]) -> Variables:
    """The environment that systemd gives the unit; of files the later one counts, and what is unset is not there.

    What every unit gets comes first, then what is passed on of systemd's own, whose value nobody says (systemd.exec(5), Environment
    Variables in Spawned Processes).
    """
    variables = _of_every_unit(machine) if unit else Variables()
    variables.doubtful |= set(read_shown(unit.get("PassEnvironment", "")).texts)
    path = f"{_BUS_PATH}/unit/{_bus_label(unit.get('Id', ''))}"
    variables.overlay(_whole(machine, unit.get("Environment", ""), path, "Service"))
    for path in environment_files(machine, unit):
        variables.overlay(environment.read_file(machine.read(path) or ""))
    _take_away(variables, read_shown(unit.get("UnsetEnvironment", "")))
    return variables


def _take_away(variables: Variables, unset: Shown) -> None:
    """What is unset last of all, by a name alone or with its value (systemd.exec(5), UnsetEnvironment)."""
    if not unset.is_whole:
        # A value with a space or newline is what is not shown.
        variables.doubtful |= {name for name, value in variables.items() if re.search(r"[ \n]", value)}
    for text in unset.texts:
        name, equals, value = text.partition("=")
        if not equals or (variables.get(name) == value and not variables.is_doubtful(name)):
            variables.take_away(name)


def _of_every_unit(machine: Machine) -> Variables:
    """What systemd gives to each: DefaultEnvironment= of its own configuration, systemd.setenv=, and `systemctl set-environment`."""
    systemctl = machine.command("systemctl")
    if systemctl is None:
        return Variables()
    result = machine.run([systemctl, "show", "--property=Environment"])
    if result.code != 0 and machine.exists(_BOOTED):
        raise NodeError(
            f"systemctl show fails: {last_lines(result)}", "systemd's environment", "see that systemd answers"
        )
    shown = _properties(result.out).get("Environment", "") if result.code == 0 else ""
    return _whole(machine, shown, _BUS_PATH, "Manager")


def _whole(machine: Machine, value: str, path: str, interface: str) -> Variables:
    """An environment that systemctl shows; where it leaves something out, as on RHEL 8, as the bus has it, if that can be asked."""
    shown = read_shown(value)
    busctl = None if shown.is_whole else machine.command("busctl")
    if busctl is not None:
        asked = ("org.freedesktop.systemd1", path, f"org.freedesktop.systemd1.{interface}", "Environment")
        result = machine.run([busctl, "get-property", *asked])
        shown = (read_bus_texts(result.out) if result.code == 0 else None) or shown
    return environment.read_assignments(shown)


def _bus_label(name: str) -> str:
    """A unit's name in the path of its object (sd_bus_path_encode(3))."""
    return re.sub(r"[^A-Za-z0-9]|^[0-9]", lambda found: f"_{ord(found[0]):02x}", name)


def environment_files(machine: Machine, unit: t.Mapping[str, str]) -> list[str]:
    paths = []
    for line in lines_in(unit.get("EnvironmentFiles", "")):
        named = line.rpartition(" (")[0].strip() or line.strip()
        paths += machine.glob(named) if re.search(r"[*?\[]", named) else [named]
    return paths


def started_program(unit: t.Mapping[str, str]) -> str:
    """The program that systemd would start, empty where it does not say."""
    match = re.search(r"\bpath=(/.*?) ; ", unit.get("ExecStart", ""))
    return match.group(1) if match else ""


def started_words(unit: t.Mapping[str, str], variables: Variables) -> tuple[list[str], set[str]]:
    """The command line that systemd would start the unit with, and the names in it that cannot be made out for certain."""
    match = re.search(r"argv\[\]=(.*?) ; ", unit.get("ExecStart", ""))
    return environment.expand(words_in(match.group(1)) if match else (), variables)
