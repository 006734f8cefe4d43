# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is asked of each flavour of kubelet, with the answers that most of them give."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from enum import Enum

from ..._node.errors import RefusedError
from ..._node.facts.paths import KUBELET_DEVICE_PLUGINS, KUBELET_ROOT
from ..fields import default_thresholds

if t.TYPE_CHECKING:
    from ..._host.machine import Machine
    from ..environment import Variables

# The files of our own. Read after what others number from 00 to 98.
DROP_IN_NAME = "99-accel-qat.conf"
ARGUMENTS_NAME = "99-accel-qat.yaml"


class OwnedByOthersError(RefusedError):
    """A file that others write again. `manifest` is what they are to be given, None where that is nothing."""

    def __init__(self, problem: str, where: str, remedy: str, manifest: t.Mapping[str, t.Any] | None) -> None:
        super().__init__(problem, where, remedy)
        self.manifest = manifest


class Process(t.NamedTuple):
    """A process of the host that is, or may contain, a kubelet."""

    pid: int
    program: str
    words: tuple[str, ...]
    parent: int = 0

    @property
    def name(self) -> str:
        """Its program's, without the directory."""
        return self.program.rpartition("/")[2]


class Started(t.NamedTuple):
    """How kubelet is started: by its own command line, or what may be known of it, and by that of the unit with its environment."""

    words: t.Sequence[str]
    by_unit: t.Sequence[str]
    variables: Variables


class Stated(t.NamedTuple):
    """What a file says of the version of Kubernetes, and where that stands."""

    version: str
    where: str


class Files(Enum):
    """How kubelet's fields stand in a flavour's files. The controller has for each its documents and its layers."""

    CONFIGURATION = "a KubeletConfiguration and its drop-ins"
    LINES = "kubelet's flags, one a line"
    NODE_CONFIG = "kubelet's flags in node-config.yaml"
    RANCHER = "kubelet's flags in files of K3s and RKE2, and in newer ones drop-ins"


@dataclass(frozen=True)
class Flavour:
    """One way to run a kubelet. Paths are the node's own; `markers` are there where it is installed."""

    name: str
    title: str
    markers: tuple[str, ...]
    # Names of the programs that are, or contain, the kubelet; the first one's version is asked for.
    programs: tuple[str, ...]
    # Of the units that exist, the first is the kubelet's; one that is active comes first.
    units: tuple[str, ...]
    kubelet_dir: str = KUBELET_ROOT
    # Where kubelet.sock is.
    device_plugins_dir: str = KUBELET_DEVICE_PLUGINS
    # Its own configuration file, where the command line does not say.
    config: str = ""
    files: Files = Files.CONFIGURATION
    # The directory of drop-ins, where nothing says otherwise.
    drop_ins: str = ""
    # How the program is asked for its version.
    asks: tuple[str, ...] = ("--version",)
    # Where that program is, if in none of the usual directories.
    program: str = ""

    # Evidence: a marker decides, whatever runs;
    marker_decides: bool = False
    # a kubelet that no other flavour has started is its;
    is_any: bool = False
    # or is its where nothing but its marker is there.
    takes_stray: bool = False
    # It starts a program named kubelet, in its data directory, which can be any.
    starts_kubelet: bool = False

    # Its unit has kubelet's own command line, and kubelet reads no file but those that are named there.
    command_line_decides: bool = False
    # The directory of drop-ins that it can be given by an administrator's arguments, where it has none.
    adds_drop_ins: str = ""
    # Its default thresholds are a flag, which hides those of a file.
    thresholds_by_flag: bool = False
    # From which Kubernetes 1.x on its kubelet can be asked whether it takes a file; None for never.
    proven_since: int | None = None
    # Nothing is written on the node: an operator of the cluster does that, by a manifest.
    by_manifest: bool = False

    @property
    def is_own_process(self) -> bool:
        """Whether kubelet is a process of that name, and not part of another program."""
        return self.starts_kubelet or "kubelet" in self.programs

    def has_started(self, process: Process) -> bool:
        """Whether it alone starts such a process."""
        return False

    def shown(self, words: t.Sequence[str]) -> list[str]:
        """What of the command line of a program that contains or starts kubelet may leave the node."""
        return list(words)

    def unit_arguments(self, words: t.Sequence[str]) -> list[str]:
        """Kubelet's arguments among those of its unit's command line."""
        return []

    def config_of(self, started: Started) -> str:
        """The configuration file, empty for a kubelet that has drop-ins alone. Raises ConfigurationError where it cannot be made out."""
        return self.config

    def config_dir_of(self, machine: Machine, config: str, started: Started) -> str:
        """The directory of drop-ins, empty for none and for the flavour's own. Raises ConfigurationError as above."""
        return ""

    def arguments(self, machine: Machine, config: str) -> list[str]:
        """Kubelet's arguments in the files of a flavour that has them there."""
        return []

    def argument_files(self, machine: Machine, config: str) -> list[str]:
        """The files with such arguments that have secrets too, in their order."""
        return []

    def without_secrets(self, text: str, path: str) -> str:
        """What of one of these files may leave the node. Raises ConfigurationError where that is not known."""
        return text

    def stated_version(self, machine: Machine) -> Stated | None:
        """What a file says of the version; None where the program is asked."""
        return None

    def unsaid_thresholds(self, minor: int) -> t.Mapping[str, str]:
        """The hard eviction thresholds of a kubelet that is given none."""
        return default_thresholds(minor)

    def require_kept(
        self, minor: int, config: str, configuration: t.Mapping[str, t.Any], leaving_gates: t.Sequence[str] = ()
    ) -> None:
        """Refuse to write a file that is overwritten by others. Raises RefusedError.

        `configuration` is what it should have, and `leaving_gates` are feature gates that are to go from it.
        """

    def require_read(self, minor: int, directory: str, files: t.Collection[str]) -> None:
        """Refuse a directory of drop-ins that a running kubelet does not read, by the files on the node. Raises ConfigurationError."""

    def manifest(self, settings: t.Mapping[str, t.Any], pool: str) -> dict[str, t.Any] | None:
        """What the cluster is given instead of the node."""
        return None


class OnCommandLine(Flavour):
    """One whose kubelet has its files on its own command line."""

    def config_of(self, started: Started) -> str:
        named = options_of(started.words)
        return named.get("config", "") if {"config", "config-dir"} & set(named) else self.config

    def config_dir_of(self, machine: Machine, config: str, started: Started) -> str:
        return options_of(started.words).get("config-dir", "")


def options_of(words: t.Sequence[str]) -> dict[str, str]:
    """Flags with a value, as `--name=value` or in two words."""
    found: dict[str, str] = {}
    for number, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        following = words[number + 1] if number + 1 < len(words) else ""
        found[plain_name(name)] = value if equals else "" if following.startswith("--") else following
    return found


def option(arguments: t.Sequence[str], name: str) -> str:
    """The value that counts of one of kubelet's options; empty where the arguments of a file do not have it."""
    pairs = (text.lstrip("-").partition("=") for text in arguments)
    values = [value.strip().strip("\"'") for flag, _equals, value in pairs if plain_name(flag.rstrip("+- ")) == name]
    return values[-1] if values else ""


def plain_name(flag: str) -> str:
    """The one spelling of a flag's name: kubelet takes `_` in it for `-` (WordSepNormalizeFunc of component-base)."""
    return flag.strip().replace("_", "-")
