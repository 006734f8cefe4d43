# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One snapshot of a node's kubelet: flavour, version, command line, files. Runs on the node, changes nothing."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import asdict, dataclass, field

from .._host.machine import (
    CommandResult,
    LiveMachine,
    Machine,
    last_lines,
)
from .._node.errors import ConfigurationError, NodeError, RefusedError
from .._node.printable import printable
from .drop_ins import drop_ins, is_link
from .environment import Variables
from .extra_arguments import ExtraArguments, config_dir_in, find_extra_arguments
from .fields import CPU, MEMORY
from .flavours import (
    AUTO,
    BY_NAME,
    FLAVOURS,
    PROGRAMS,
    MissingError,
    detect,
)
from .flavours.base import (
    ARGUMENTS_NAME,
    Flavour,
    Process,
    Started,
    option,
    options_of,
)
from .journal import (
    is_later,
    journal_of,
    locked,
    read_journal,
)
from .processes import Processes, find_kubelets
from .programs import require_trusted
from .units import (
    chosen_unit,
    environment_files,
    shown_units,
    started_program,
    started_words,
    variables_of,
)

# "DevicePlugins=true|false (BETA - default=true)" in what kubelet --help prints.
_OFFERED = re.compile(r"\b([A-Z]\w*)=true\|false \(\w+ - default=(true|false)\)")


@dataclass
class Request:
    """What the caller says instead of having it found out; empty where it does not."""

    flavour: str = AUTO
    config: str = ""
    config_dir: str = ""
    kubelet: str = ""
    version: str = ""
    service: str = ""
    record: str = ""
    # Whether kubelet's help is asked for its gates: a start of kubelet, which only a gate outside of our table needs.
    offered: bool = True


@dataclass
class Observed:
    """What the node has. Travels to the controller as JSON."""

    flavour: str
    version: str
    program: str = ""
    running: bool = False
    words: list[str] = field(default_factory=list)
    unit: str = ""
    # What the unit of K3s or RKE2 gives kubelet as --kubelet-arg; their processes do not show it.
    unit_arguments: list[str] = field(default_factory=list)
    config: str = ""
    config_dir: str = ""
    # Of the directories of drop-ins those that are symbolic links: kubelet reads nothing of what is behind one.
    linked: list[str] = field(default_factory=list)
    # The file that gives kubelet an administrator's arguments, of a flavour that can be given drop-ins there; or why there is none.
    extra_arguments: str = ""
    extra_arguments_fault: str = ""
    # Whether the directory is there that it would be given.
    drop_ins_there: bool = False
    kubelet_dir: str = ""
    # The configuration files, in their order, that kubelet is given by its arguments where these are what is written.
    named: list[str] = field(default_factory=list)
    # Every configuration file there is, by its path.
    files: dict[str, str] = field(default_factory=dict)
    # The policy in the state file of each resource manager that has one.
    states: dict[str, str] = field(default_factory=dict)
    # The gates that kubelet lists in its help, with their defaults, where they were asked for.
    offered: dict[str, bool] = field(default_factory=dict)
    record: str | None = None
    # What an earlier change has left: see `_pending`.
    pending: dict[str, t.Any] | None = None
    # v1 or v2, as kubelet takes it; empty where that cannot be seen.
    cgroup: str = ""
    # 0 where they cannot be seen, as of a kernel without NUMA.
    numa_nodes: int = 0

    @property
    def kind(self) -> Flavour:
        """The flavour, with all that is known of it."""
        return BY_NAME[self.flavour]

    def as_dict(self) -> dict[str, t.Any]:
        """For the module's result."""
        return asdict(self)


STATE_FILES = {CPU: "cpu_manager_state", MEMORY: "memory_manager_state"}


def observe(machine: LiveMachine, proc_root: str, request: Request) -> Observed:
    """Take the snapshot. Raises ConfigurationError where there is no kubelet, or it is not known which."""
    found = find_kubelets(proc_root, machine.root, PROGRAMS)
    flavour = BY_NAME.get(request.flavour) or _detected(machine, found.trusted, request)
    units = shown_units(machine, flavour, request.service)
    unit = chosen_unit(units, flavour, request.service)
    process = _kubelet_of(flavour, found, int(units.get(unit, {}).get("MainPID", "0")))
    variables = variables_of(machine, units.get(unit, {}))
    by_unit, doubtful = started_words(units.get(unit, {}), variables)
    if process is None and not request.config:
        _require_known(flavour, unit, started_program(units.get(unit, {})), by_unit, doubtful)
    words = list(process.words) if process else by_unit
    program = _program(machine, flavour, process, started_program(units.get(unit, {})), request.kubelet)
    if not (process and process.name == "kubelet"):
        words = flavour.shown(words)
    started = Started(words, by_unit, variables)
    config = request.config or flavour.config_of(started)
    config_dir = request.config_dir or flavour.config_dir_of(machine, config, started)
    observed = Observed(
        flavour=flavour.name,
        version=request.version or _version(machine, flavour, program),
        program=program,
        running=process is not None,
        words=words,
        unit=unit,
        unit_arguments=flavour.unit_arguments(by_unit),
        config=config,
        config_dir=config_dir.rstrip("/"),
        record=machine.read(request.record) if request.record else None,
    )
    observed.extra_arguments, observed.extra_arguments_fault = _extra_arguments(
        machine, flavour, units.get(unit, {}), variables, process
    )
    observed.drop_ins_there = bool(flavour.adds_drop_ins) and machine.exists(flavour.adds_drop_ins)
    observed.cgroup = cgroup_version(machine)
    observed.numa_nodes = len(machine.glob("/sys/devices/system/node/node[0-9]*"))
    observed.named = _named(machine, flavour, observed)
    observed.linked, observed.files = _linked_and_files(machine, flavour, observed, config_dir)
    observed.pending = _pending(machine, proc_root, request.record, units.get(unit, {}))
    options = options_of([*words, *(f"--{text}" for text in observed.unit_arguments)])
    root_dir = options.get("root-dir", "") or _root_dir(machine, flavour, observed)
    observed.kubelet_dir = root_dir.rstrip("/") or flavour.kubelet_dir
    for manager, name in STATE_FILES.items():
        state = machine.read(f"{observed.kubelet_dir}/{name}")
        if state is not None:
            observed.states[manager] = policy(state)
    if request.offered and program.rpartition("/")[2] == "kubelet" and not flavour.by_manifest:
        result = _run(machine, program, "--help")
        observed.offered = {name: default == "true" for name, default in _OFFERED.findall(result.out + result.err)}
    return observed


def _detected(machine: Machine, processes: t.Sequence[Process], request: Request) -> Flavour:
    marked = [flavour for flavour in FLAVOURS if any(machine.exists(path) for path in flavour.markers)]
    return detect(marked, processes, bool(request.kubelet or machine.command("kubelet")))


def _kubelet_of(flavour: Flavour, found: Processes, main: int) -> Process | None:
    """The process with kubelet's command line: its own one, also below RKE2, else the one that contains it.

    That of the unit comes first: its main process, or one that this has started.
    """
    for process, fault in found.others:
        if main and main in (process.pid, process.parent):
            raise RefusedError(
                f"{fault.problem}, so that the kubelet {process.program} that runs is not believed"
                if fault.problem
                else f"{process.program} runs and is not there any more",
                fault.place,
                fault.remedy or "install it again, or stop kubelet",
            )
    kubelets = [process for process in found.trusted if process.name == "kubelet"]
    contain = [process for process in found.trusted if process.name in flavour.programs]
    candidates = kubelets if flavour.is_own_process and kubelets else contain
    ranked = sorted(
        candidates, key=lambda process: (not main or main not in (process.pid, process.parent), process.pid)
    )
    return next(iter(ranked), None)


def _program(machine: Machine, flavour: Flavour, process: Process | None, started: str, named: str) -> str:
    """The program that is asked, and that a restart would start."""
    if named:
        if not machine.exists(named):
            raise ConfigurationError(f"there is no {named}", "kubelet", "name the kubelet program of this node")
        return named
    if process is not None:
        same = started.rpartition("/")[2] == process.name
        return started if same else process.program
    if started.rpartition("/")[2] in flavour.programs:
        return started
    found = (machine.command(name) for name in flavour.programs)
    return next((path for path in found if path is not None), flavour.program)


def _run(machine: LiveMachine, program: str, *words: str) -> CommandResult:
    """Run a kubelet, or what contains one. Raises RefusedError where others could have put it there."""
    require_trusted(machine.root, program)
    return machine.run([program, *words])


def _version(machine: LiveMachine, flavour: Flavour, program: str) -> str:
    stated = flavour.stated_version(machine)
    if stated is not None:
        said, source = stated
    elif not program:
        raise MissingError(
            f"no {' or '.join(flavour.programs)} is found on this node",
            "kubelet",
            f"install {flavour.title} first, or set kubelet to the path of the program",
        )
    else:
        kubelet = program.rpartition("/")[2] == "kubelet"
        result = _run(machine, program, *(("--version",) if kubelet else flavour.asks))
        if result.code != 0:
            raise NodeError(f"does not report its version: {last_lines(result)}", program, "set kubelet_version")
        said, source = f"{result.out} {result.err}", program
    if not said:
        raise NodeError("does not report the version of Kubernetes", source, "set kubelet_version")
    return said.strip()


def _extra_arguments(
    machine: LiveMachine, flavour: Flavour, unit: t.Mapping[str, str], variables: Variables, process: Process | None
) -> ExtraArguments:
    if not flavour.adds_drop_ins:
        return ExtraArguments("")
    return find_extra_arguments(machine, unit, environment_files(machine, unit), variables, process)


def _require_known(
    flavour: Flavour, unit: str, started: str, words: t.Sequence[str], doubtful: t.Collection[str]
) -> None:
    """Refuse to guess the command line of a kubelet that does not run: another file than the one it reads would be changed."""
    remedy = "start kubelet, or set config to the file that it is started with (--config)"
    if doubtful:
        raise ConfigurationError(
            f"no kubelet of the host is seen to run, and its command line cannot be made out: {' and '.join(sorted(doubtful))}",
            unit,
            remedy,
        )
    wrapped = bool(started) and started.rpartition("/")[2] not in flavour.programs
    if flavour.command_line_decides and wrapped and not {"config", "config-dir"} & set(options_of(words)):
        raise ConfigurationError(
            f"no kubelet of the host is seen to run, and its unit starts it by {printable(started)}, so that its command line is not known",
            unit,
            remedy,
        )


def _root_dir(machine: Machine, flavour: Flavour, observed: Observed) -> str:
    """Where the files have kubelet keep its state, empty where they do not say."""
    found = option(flavour.arguments(machine, observed.config), "root-dir")
    return "" if "$" in found else found


def _named(machine: LiveMachine, flavour: Flavour, observed: Observed) -> list[str]:
    """The configuration file and then the drop-ins that kubelet's arguments name, also where there is no such file."""
    arguments = [*flavour.arguments(machine, observed.config), *observed.unit_arguments]
    config, directory = option(arguments, "config"), option(arguments, "config-dir")
    return [*filter(None, [config]), *(drop_ins(machine.root, directory) if directory.startswith("/") else ())]


def _linked_and_files(
    machine: LiveMachine, flavour: Flavour, observed: Observed, config_dir: str
) -> tuple[list[str], dict[str, str]]:
    """Of the directories of drop-ins those that are symbolic links, and the text of each configuration file by its path."""
    directories = _directories(machine, observed, config_dir)
    linked = [place.rstrip("/") for place in directories if is_link(machine.root, place)]
    return linked, _files(machine, flavour, observed, directories)


def _directories(machine: Machine, observed: Observed, config_dir: str) -> list[str]:
    """Where drop-ins are or would be, each as kubelet is or would be given it, with a slash at its end or without."""
    added = observed.extra_arguments
    added_to = config_dir_in(machine.read(added) or "") if added else ""
    others = [place for place in (observed.kind.adds_drop_ins, added_to) if place != observed.config_dir]
    return [place for place in (config_dir or observed.kind.drop_ins, *others) if place.startswith("/")]


def _files(machine: LiveMachine, flavour: Flavour, observed: Observed, directories: t.Iterable[str]) -> dict[str, str]:
    paths = [observed.config] if observed.config else []
    added = observed.extra_arguments
    for directory in directories:
        paths += drop_ins(machine.root, directory)
    paths += [*filter(None, [added]), *_recorded(observed.record)]
    arguments = flavour.argument_files(machine, observed.config)
    files = {}
    named = [path for path in observed.named if path.startswith("/")]
    for path in sorted({*paths, *arguments, *named}):
        text = machine.read(path)
        if text is not None:
            # Those of others have secrets such as the cluster's token, which nobody needs to see.
            others = path in arguments and not path.endswith(f"/{ARGUMENTS_NAME}")
            files[path] = flavour.without_secrets(text, path) if others else text
    return files


def _recorded(record: str | None) -> list[str]:
    """The files that a record names; none where it cannot be read, which the controller reports."""
    try:
        return [path for path in json.loads(record or "{}")["files"] if path.startswith("/")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _pending(machine: LiveMachine, proc_root: str, record: str, unit: t.Mapping[str, str]) -> dict[str, t.Any] | None:
    """What a change has left that was cut off, or whose restart is yet to come. Raises RefusedError where it is going on."""
    journal = read_journal(machine, journal_of(record)) if record else None
    if journal is None:
        return None
    with locked(machine.root):
        changes = [{**asdict(change), "now": machine.read(change.path)} for change in journal.changes]
    restart_left = False
    if journal.written is not None:
        started = int(unit.get("ExecMainStartTimestampMonotonic") or "0") / 1e6
        is_active = unit.get("ActiveState") == "active"
        restart_left = not (is_active and is_later(proc_root, started, journal.written))
    return {
        "cut_off": journal.written is None,
        "restarts": journal.restart,
        "changes": changes,
        "states": {state.path: state.before for state in journal.states},
        "restart_left": restart_left,
    }


def cgroup_version(machine: Machine) -> str:
    """The version of cgroups, empty where it cannot be seen.

    v2 is where the whole hierarchy is of it, which a mixed one is not (IsCgroup2UnifiedMode of opencontainers/cgroups).
    """
    if machine.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "v1" if machine.glob("/sys/fs/cgroup/*/cgroup.procs") else ""


def policy(state: str) -> str:
    """The policy that a state file is of, empty where it does not say."""
    try:
        return str(json.loads(state)["policyName"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
