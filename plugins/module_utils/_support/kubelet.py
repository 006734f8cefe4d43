# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of kubelet's files are taken, and what of them. Kubeconfigs and keys are none of these."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field

from .._kubelet.drop_ins import drop_ins
from .._kubelet.flavours import FLAVOURS
from .._kubelet.flavours.base import Files
from .._kubelet.observe import STATE_FILES, observe
from .._node.errors import NodeError
from .files import MOST_OF_A_SOURCE, LeftOut, read_text
from .redaction import Form

if t.TYPE_CHECKING:
    from .._host.machine import LiveMachine
    from .._kubelet.flavours.base import Flavour
    from .._kubelet.observe import Request

# Where packages, kubeadm and kubespray have kubelet's variables.
_VARIABLES = (
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/kubernetes/kubelet.env",
)
# Whoever has one of these is let into the cluster.
_KUBECONFIG = re.compile(
    r"(?m)[\"']?kind[\"']?\s*:\s*[\"']?Config\b|client-key|client-certificate|^\s*[\"']?(?:users|clusters)[\"']?\s*:"
)
_KNOWN = (
    "flavour",
    "version",
    "program",
    "running",
    "words",
    "unit",
    "unit_arguments",
    "config",
    "config_dir",
    "extra_arguments",
    "extra_arguments_fault",
    "kubelet_dir",
    "named",
    "states",
    "cgroup",
)

Taken = tuple[str, Form, t.Callable[[], str]]


@dataclass
class FoundKubelet:
    """What is known of kubelet without secrets, or the `problem` why nothing is; its files, each with what gives its text."""

    known: t.Mapping[str, t.Any] = field(default_factory=dict)
    problem: str = ""
    files: t.Sequence[Taken] = ()
    states: t.Sequence[tuple[str, Form]] = ()
    # Whether its unit has kubelet's own options, and not those of a program with others.
    has_own_command_line: bool = False


def find_kubelet(machine: LiveMachine, proc_root: str, request: Request) -> FoundKubelet:
    """Find it. Where it is not known which there is, the usual files of all flavours are looked for."""
    try:
        found = observe(machine, proc_root, request)
    except NodeError as error:
        usual = [_taken(machine, path, flavour) for flavour in FLAVOURS for path in _usual(machine, flavour)]
        return FoundKubelet(problem=error.sentence(), files=usual)
    known = {name: getattr(found, name) for name in _KNOWN}
    # The unit may name another file of variables than those that are usual.
    variables = [*_VARIABLES, *filter(None, [found.extra_arguments])]
    files = [
        _taken(machine, path, found.kind, found.config_dir, variables)
        for path in dict.fromkeys([*found.files, *variables])
    ]
    states = [(f"{found.kubelet_dir}/{name}", Form.JSON) for name in STATE_FILES.values()]
    return FoundKubelet({**known, "files": sorted(found.files)}, "", files, states, found.kind.command_line_decides)


def _usual(machine: LiveMachine, flavour: Flavour) -> list[str]:
    """The files that this flavour has where nothing says otherwise."""
    directories = filter(None, (flavour.drop_ins, flavour.adds_drop_ins))
    beside = [path for directory in directories for path in drop_ins(machine.root, directory)]
    return [*filter(None, [flavour.config]), *flavour.argument_files(machine, flavour.config), *beside, *_VARIABLES]


def _taken(
    machine: LiveMachine, path: str, flavour: Flavour, config_dir: str = "", variables: t.Collection[str] = _VARIABLES
) -> Taken:
    if path in variables:
        return path, Form.ENVIRONMENT, lambda: read_text(machine.root, path, MOST_OF_A_SOURCE)
    # All but the drop-ins have secrets, such as the cluster's token.
    is_of_others = flavour.files is Files.RANCHER and os.path.dirname(path) not in (config_dir, flavour.drop_ins)
    form = Form.WORDS if flavour.files is Files.LINES else Form.JSON

    def look() -> str:
        text = read_text(machine.root, path, MOST_OF_A_SOURCE)
        if _KUBECONFIG.search(text):
            raise LeftOut("it is a kubeconfig")
        return flavour.without_secrets(text, path) if is_of_others else text

    return path, form, look
