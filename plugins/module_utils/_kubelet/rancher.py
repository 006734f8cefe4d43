# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What K3s and RKE2 are told of their kubelet: by their configuration files and by their command line. Runs on the node."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from .._node.errors import ConfigurationError
from .._node.kernel_args.machine import Machine
from .flavours import Flavour, arguments_dir
from .small_yaml import NotUnderstoodError, read_mapping

KEY = "kubelet-arg"
_DATA_DIR = ("data-dir", "d")
# What a file may have to have for us to be of concern; names can be written with escapes.
_OF_CONCERN = re.compile(r"kubelet-arg|data-dir|\\[xuU]|^\s*[\"']?d[\"']?\s*:", re.M)


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


def without_secrets(words: t.Sequence[str]) -> list[str]:
    """Of the command line of K3s or RKE2 the program and kubelet's arguments: the rest may have the cluster's token."""
    return [*(words[0].split()[:1] if words else ()), *(f"--kubelet-arg={text}" for text in arguments_given(words))]


def arguments_given(words: t.Sequence[str]) -> list[str]:
    """What the command line of K3s or RKE2 gives kubelet."""
    return given(words, "--kubelet-arg", "-kubelet-arg")


def given(words: t.Sequence[str], *names: str) -> list[str]:
    """What a command line gives for an option, as `--name=text` or in two words."""
    found = []
    for word, following in zip(words, [*words[1:], ""]):
        name, equals, text = word.partition("=")
        if name in names:
            found.append(text if equals else following)
    return found


def data_dir(
    machine: Machine, flavour: Flavour, config: str, started: t.Sequence[str], variables: t.Mapping[str, str]
) -> str:
    """Where K3s or RKE2 are told to have their data. The command line comes over the last file, that over the environment."""
    found = [variables.get(f"{flavour.name.upper()}_DATA_DIR", "")]
    found += [said.data_dir for said in said_by_files(machine, config).values() if said.data_dir]
    return [*found, *given(started, "--data-dir", "-data-dir", "-d")][-1]


def argument_files(machine: Machine, config: str) -> list[str]:
    """The files with kubelet's arguments, in their order."""
    beside = [path for ending in ("yaml", "yml") for path in machine.glob(f"{arguments_dir(config)}/*.{ending}")]
    return [config, *sorted(beside)]


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
        raise NotUnderstoodError("a name that stands twice", 0)
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


def root_dir(arguments: t.Sequence[str]) -> str:
    """Where these arguments tell kubelet to have its state; empty where they do not."""
    return option(arguments, "root-dir")


def option(arguments: t.Sequence[str], name: str) -> str:
    """The value that counts of one of kubelet's options; empty where they do not have it."""
    pairs = (text.lstrip("-").partition("=") for text in arguments)
    values = [value.strip().strip("\"'") for flag, _equals, value in pairs if flag.strip().rstrip("+-") == name]
    return values[-1] if values else ""


def kubelet_arguments(text: str, where: str = "") -> str:
    """Only what a configuration of K3s or RKE2 says of kubelet's arguments, as JSON: the rest has secrets."""
    return what_is_said(text, where).text()
