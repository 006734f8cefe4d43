# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""K3s and RKE2, and how their kubelet is configured: by their configuration files and by their command line."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from ..._node.errors import ConfigurationError
from ..._node.fields import words_in
from ..small_yaml import NotUnderstoodError, read_mapping
from .base import (
    Files,
    Flavour,
    Process,
    Started,
    options_of,
)

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

# From this Kubernetes on they start kubelet with a --config-dir of their own.
DROP_INS_SINCE = 32
# In their data directory.
_DROP_INS = "/agent/etc/kubelet.conf.d"
# The hard eviction thresholds that both give kubelet before that as a flag (K3s, pkg/daemons/agent/agent_linux.go).
_THRESHOLDS = {"imagefs.available": "5%", "nodefs.available": "5%"}

KEY = "kubelet-arg"
"""Of K3s' and RKE2's files: a list of arguments that kubelet is given."""
_DATA_DIR = ("data-dir", "d")
# What a file may have to have for us to be of concern; names can be written with escapes.
_OF_CONCERN = re.compile(r"kubelet-arg|data-dir|\\[xuU]|^\s*[\"']?d[\"']?\s*:", re.M)


class _Rancher(Flavour):
    def has_started(self, process: Process) -> bool:
        return process.name == self.name or f"/rancher/{self.name}/" in process.program

    def shown(self, words: t.Sequence[str]) -> list[str]:
        """The program and kubelet's arguments: the rest may have the cluster's token."""
        return [
            *(words_in(words[0])[:1] if words else ()),
            *(f"--kubelet-arg={text}" for text in arguments_given(words)),
        ]

    def unit_arguments(self, words: t.Sequence[str]) -> list[str]:
        return arguments_given(words)

    def config_of(self, started: Started) -> str:
        # The variable comes over the command line, where the first one counts (K3s, pkg/configfilearg/parser.go).
        name = f"{self.name.upper()}_CONFIG_FILE"
        variable = _variable(started, name, f"set config to the file that {self.title} is started with")
        return next(filter(None, [variable, *texts_of(started.by_unit, "--config", "-c")]), self.config)

    def config_dir_of(self, machine: Machine, config: str, started: Started) -> str:
        # That of a --kubelet-arg does not count: from 1.32 on they copy what is in it to their own.
        named = options_of(started.words).get("config-dir", "")
        directory = "" if named else data_dir(machine, self.name, config, started)
        return named or (directory and directory.rstrip("/") + _DROP_INS)

    def arguments(self, machine: Machine, config: str) -> list[str]:
        return arguments_in_force(said_by_files(machine, config).values())

    def argument_files(self, machine: Machine, config: str) -> list[str]:
        return argument_files(machine, config)

    def without_secrets(self, text: str, path: str) -> str:
        return kubelet_arguments(text, path)

    def unsaid_thresholds(self, minor: int) -> t.Mapping[str, str]:
        return _THRESHOLDS if minor < DROP_INS_SINCE else super().unsaid_thresholds(minor)

    def require_read(self, minor: int, directory: str, files: t.Collection[str]) -> None:
        """They put a file of their own there at each start, where kubelet reads (K3s, startKubelet in pkg/daemons/agent/agent.go)."""
        own = f"00-{self.name}-defaults.conf"
        directory = directory or self.drop_ins
        if minor < DROP_INS_SINCE or f"{directory}/{own}" in files:
            return
        raise ConfigurationError(
            f"the {self.title} that runs has no {own} here, so its kubelet reads its drop-ins elsewhere",
            directory,
            "set config_dir to agent/etc/kubelet.conf.d in its data directory, or restart it where it was upgraded to "
            f"1.{DROP_INS_SINCE} since it was started",
        )


K3S = _Rancher(
    "k3s",
    "K3s",
    ("/etc/rancher/k3s", "/var/lib/rancher/k3s/agent"),
    ("k3s",),
    ("k3s.service", "k3s-agent.service"),
    config="/etc/rancher/k3s/config.yaml",
    files=Files.RANCHER,
    drop_ins="/var/lib/rancher/k3s" + _DROP_INS,
    thresholds_by_flag=True,
)

RKE2 = _Rancher(
    "rke2",
    "RKE2",
    ("/etc/rancher/rke2", "/var/lib/rancher/rke2/agent"),
    ("rke2",),
    ("rke2-agent.service", "rke2-server.service"),
    config="/etc/rancher/rke2/config.yaml",
    files=Files.RANCHER,
    drop_ins="/var/lib/rancher/rke2" + _DROP_INS,
    starts_kubelet=True,
    thresholds_by_flag=True,
    proven_since=DROP_INS_SINCE,
)


def arguments_dir(config: str) -> str:
    """Where K3s and RKE2 read more files after their configuration file."""
    return f"{config}.d"


@dataclass(frozen=True)
class Said:
    """What one file says. `replaces`: without a plus, so that nothing of the files before it counts."""

    arguments: tuple[str, ...] = ()
    replaces: bool = False
    data_dir: str = ""

    def text(self) -> str:
        """Kubelet's arguments alone, as a file; empty where there are none."""
        if not self.arguments and not self.replaces:
            return ""
        return json.dumps({KEY if self.replaces else f"{KEY}+": list(self.arguments)}) + "\n"


def arguments_given(words: t.Sequence[str]) -> list[str]:
    """What the command line of K3s or RKE2 gives kubelet."""
    return texts_of(words, "--kubelet-arg", "-kubelet-arg")


def texts_of(words: t.Sequence[str], *names: str) -> list[str]:
    """What a command line gives for an option, as `--name=text` or in two words."""
    found = []
    for word, following in zip(words, [*words[1:], ""]):
        name, equals, text = word.partition("=")
        if name in names:
            found.append(text if equals else following)
    return found


def data_dir(machine: Machine, name: str, config: str, started: Started) -> str:
    """Where K3s or RKE2 are configured to have their data. The command line comes over the last file, that over the environment.

    Raises ConfigurationError where that cannot be made out.
    """
    found = [said.data_dir for said in said_by_files(machine, config).values() if said.data_dir]
    found += texts_of(started.by_unit, "--data-dir", "-data-dir", "-d")
    remedy = "set config_dir to agent/etc/kubelet.conf.d in the data directory"
    return found[-1] if found else _variable(started, f"{name.upper()}_DATA_DIR", remedy)


def _variable(started: Started, name: str, remedy: str) -> str:
    """Of the unit's environment, empty for none. Raises ConfigurationError where it cannot be made out."""
    if started.variables.is_doubtful(name):
        raise ConfigurationError("the unit's environment may set it, to what cannot be made out", name, remedy)
    return started.variables.get(name, "")


def argument_files(machine: Machine, config: str) -> list[str]:
    """The files with kubelet's arguments, in their order: hidden ones too, and their ending in any case (dotDFiles of K3s' parser.go)."""
    beside = [path for name in ("*", ".*") for path in machine.glob(f"{arguments_dir(config)}/{name}")]
    return [config, *sorted(path for path in beside if path.lower().endswith((".yaml", ".yml")))]


def said_by_files(machine: Machine, config: str) -> dict[str, Said]:
    """What each of these files that is there says, in their order. Raises ConfigurationError."""
    texts = {path: machine.read(path) for path in argument_files(machine, config)}
    return {path: what_is_said(text, path) for path, text in texts.items() if text is not None}


def arguments_in_force(said: t.Iterable[Said]) -> list[str]:
    """What the files, in their order, give kubelet."""
    found: list[str] = []
    for one in said:
        found = [*(() if one.replaces else found), *one.arguments]
    return found


def what_is_said(text: str, where: str) -> Said:
    """What a file of K3s or RKE2 says. Raises ConfigurationError where it may say something, and cannot be understood.

    It is JSON where Rancher has made it, else YAML.
    """
    try:
        return _said(_read(text))
    except NotUnderstoodError as error:
        if not _OF_CONCERN.search(text):
            return Said()
        raise ConfigurationError(
            f"what the file says of {KEY} and data-dir cannot be made out, because of {error}",
            f"{where}:{error.line}" if error.line else where,
            f"write it in plain YAML, {KEY} as a list with one text a line; nothing was written",
        ) from None


def _read(text: str) -> dict[str, t.Any]:
    bare = re.sub(r"\A(?:\ufeff|\s|#[^\n]*(?:\n|\Z))+", "", text)
    if bare.startswith("{"):
        try:
            return dict(json.loads(bare, object_pairs_hook=_pairs, parse_int=str, parse_float=str, parse_constant=str))
        except (ValueError, RecursionError):
            pass  # braces are YAML too
    return read_mapping(text)


def _pairs(pairs: t.Sequence[tuple[str, t.Any]]) -> dict[str, t.Any]:
    if len({name for name, _value in pairs}) != len(pairs):
        raise NotUnderstoodError("a name that is given twice", 0)
    if any(name == "<<" for name, _value in pairs):
        raise NotUnderstoodError("a merge key", 0)
    return dict(pairs)


def _said(data: t.Mapping[str, t.Any]) -> Said:
    """By pkg/configfilearg/parser.go of K3s: a name without a plus replaces, one with it adds; a text is a list of one."""
    arguments: list[str] = []
    replaces = False
    data_dir = ""
    for name, value in data.items():
        if name in (KEY, f"{KEY}+"):
            replaces = replaces or name == KEY
            arguments = [*(() if name == KEY else arguments), *_texts(name, value)]
        elif name.rstrip("+") in _DATA_DIR:
            data_dir = [data_dir, *_texts(name, value)][-1]
    return Said(tuple(arguments), replaces, data_dir)


def _texts(name: str, value: t.Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    texts = []
    for one in values:
        text = _SCALARS.get(one, one) if one is None or isinstance(one, bool) else one
        if not isinstance(text, str) or "\n" in text.strip():
            raise NotUnderstoodError(f"a value of {name} that is no text of one line", 0)
        if text.strip():
            texts.append(text.strip())
    return texts


_SCALARS: dict[t.Any, str] = {None: "", True: "true", False: "false"}


def kubelet_arguments(text: str, where: str = "") -> str:
    """Only what a configuration of K3s or RKE2 says of kubelet's arguments, as JSON: the rest has secrets."""
    return what_is_said(text, where).text()
