# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file in which an administrator gives kubelet more arguments, where kubelet's unit is seen to read it.

The unit of Kubernetes' packages ends its ExecStart in $KUBELET_EXTRA_ARGS, from /etc/default/kubelet (deb) or /etc/sysconfig/kubelet
(rpm), whose owner is the administrator. kubeadm leaves both alone.
"""

from __future__ import annotations

import os
import stat
import typing as t

from .._host.machine import LiveMachine
from .._node.absence import if_there
from .._node.fields import lines_in, words_in
from .._node.printable import printable
from .environment import (
    Variables,
    expand,
    read_file,
    with_word,
    words_of,
)
from .flavours.base import Process, options_of

NAME = "KUBELET_EXTRA_ARGS"
# Where a line of that name may be added: nobody else reads these files.
_MADE = ("/etc/default/kubelet", "/etc/sysconfig/kubelet")


class ExtraArguments(t.NamedTuple):
    """The file, or why there is none in which an argument is sure to reach kubelet."""

    path: str
    fault: str = ""


def find_extra_arguments(
    machine: LiveMachine,
    unit: t.Mapping[str, str],
    files: t.Sequence[str],
    variables: Variables,
    process: Process | None,
) -> ExtraArguments:
    """By what systemd says of kubelet's unit, its environment files in their order, and the variables that come of all."""
    name = unit.get("Id", "")
    fault = _unit_fault(unit, name, variables, process)
    if fault:
        return ExtraArguments("", fault)
    texts = {path: machine.read(path) for path in files}
    setting = [path for path in files if NAME in read_file(texts[path] or "")]
    # What every unit gets, or what is passed on of systemd's own, would be hidden, too.
    if not setting and (NAME in variables or NAME in variables.doubtful):
        return ExtraArguments("", f"{name} itself sets {NAME}")
    if not setting and variables.is_doubtful(NAME):
        return ExtraArguments("", _doubtful([NAME], name))
    path = [*[path for path in files if path in _MADE], *setting][-1:]
    if not path:
        return ExtraArguments("", f"{name} reads neither {' nor '.join(_MADE)}")
    return _usable(machine, path[0], texts[path[0]] or "")


def config_dir_in(text: str) -> str:
    """The directory of drop-ins that such a file gives kubelet, empty for none."""
    return options_of(words_of(text, NAME) or ()).get("config-dir", "").rstrip("/")


def argument_of(directory: str) -> str:
    """The argument that gives kubelet a directory of drop-ins."""
    return f"--config-dir={directory}"


def _unit_fault(unit: t.Mapping[str, str], name: str, variables: Variables, process: Process | None) -> str:
    starts = lines_in(unit.get("ExecStart", ""))
    main = int(unit.get("MainPID") or "0")
    words = words_in(starts[0].partition("argv[]=")[2].partition(" ; ")[0]) if len(starts) == 1 else []
    if not name:
        return "kubelet has no systemd unit"
    if process is not None and (not main or main not in (process.pid, process.parent)):
        return f"the kubelet that runs is not the one that {name} has started"
    if not words or words[0].rpartition("/")[2] != "kubelet":
        return f"{name} does not start kubelet itself"
    if f"${NAME}" not in words or NAME in words_in(unit.get("UnsetEnvironment", "")):
        return f"{name} does not give kubelet ${NAME}"
    others, doubtful = expand([word for word in words if word != f"${NAME}"], variables)
    if doubtful:
        return _doubtful(doubtful, name)
    return f"{name} names --config-dir elsewhere" if "config-dir" in options_of(others) else ""


def _doubtful(variables: t.Iterable[str], unit: str) -> str:
    return f"{' and '.join(sorted(variables))} in the environment of {unit} cannot be made out for certain"


def _usable(machine: LiveMachine, path: str, text: str) -> ExtraArguments:
    target = machine.target(path)
    # What is elsewhere is written by others, such as kubeadm or what makes /run.
    if not target.startswith("/etc/"):
        leads = "" if target == path else f", and that is {printable(target)}"
        return ExtraArguments("", f"{NAME} is in {printable(path)}{leads}, which is not in /etc")
    try:
        status = if_there(lambda: os.stat(machine.root.rstrip("/") + target), None)
    except OSError as error:
        return ExtraArguments("", f"{printable(path)} cannot be looked at: {error.strerror}")
    if status is not None and not stat.S_ISREG(status.st_mode):
        return ExtraArguments("", f"{printable(path)} is no file")
    if with_word(text, NAME, argument_of("/etc")) is None:
        return ExtraArguments("", f"{NAME} in {printable(path)} cannot be made out for certain")
    return ExtraArguments(path)
