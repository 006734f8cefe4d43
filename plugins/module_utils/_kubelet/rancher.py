# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What K3s and RKE2 are told of their kubelet: by their configuration files and by their command line. Runs on the node."""

from __future__ import annotations

import re
import typing as t

from .._node.kernel_args.machine import Machine
from .flavours import Flavour, arguments_dir

_DATA_DIR = re.compile(r"^[\"']?data-dir[\"']?\s*:\s*[\"']?([^\s\"'#]+)", re.M)
_ARGUMENTS = re.compile(r"^(kubelet-arg\+?)\s*:")
_REPLACES = re.compile(r"^[\"']?kubelet-arg[\"']?\s*:", re.M)
_COMMENT = re.compile(r"(^|\s)#.*", re.M)
_ROOT_DIR = re.compile(r"(?:^\s*-|[\[,:])\s*[\"']?(?:--)?root-dir=([^\s\"',\]]+)", re.M)


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
    for path in argument_files(machine, config):
        found += _DATA_DIR.findall(machine.read(path) or "")
    return [*found, *given(started, "--data-dir", "-data-dir", "-d")][-1]


def argument_files(machine: Machine, config: str) -> list[str]:
    """The files with kubelet's arguments, in their order."""
    beside = [path for ending in ("yaml", "yml") for path in machine.glob(f"{arguments_dir(config)}/*.{ending}")]
    return [config, *sorted(beside)]


def root_dir(texts: t.Sequence[str]) -> str:
    """Where the files, in their order, tell kubelet to have its state; empty where they do not."""
    found = ""
    for text in (_COMMENT.sub("", text) for text in texts):
        if _REPLACES.search(text):
            found = ""
        found = [found, *_ROOT_DIR.findall(text)][-1]
    return "" if "$" in found else found


def kubelet_arguments(text: str) -> str:
    """Only what a configuration of K3s or RKE2 says of kubelet's arguments, each line where it was, the others empty."""
    lines = []
    inside = False
    for line in text.splitlines():
        if line and not line[0].isspace() and line[0] not in "-#":
            inside = bool(_ARGUMENTS.match(line.replace('"', "").replace("'", "")))
        lines.append(line if inside else "")
    return "".join(f"{line}\n" for line in lines).rstrip("\n") + "\n" if any(lines) else ""
