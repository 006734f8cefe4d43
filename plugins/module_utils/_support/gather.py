# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is taken of a node into its support bundle, each by a known name. Only looks."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from dataclasses import dataclass, field

from .._host.machine import last_lines
from .._host.prerequisites import CUSTOM_FIRMWARE, firmware
from .._kubelet.audit import as_dict, promised, survey
from .._kubelet.listener import BadAnswer, NotBelieved, fetch
from .._kubelet.programs import require_trusted
from .._node.absence import if_there
from .._node.cli.describe import describe
from .._node.devices.apply import rehearse
from .._node.devices.baseline import plan_for
from .._node.devices.desired import desired_of
from .._node.devices.read import read_node
from .._node.devices.rules import read_rules
from .._node.errors import NodeError
from .._node.facts.paths import OSRELEASE
from .._node.fields import lines_in, words_in
from .._node.users.podresources import checkpoint_of
from .archive import Bundle, Source, place_of, why_not
from .devices import functions, iommu_groups, modules
from .files import ABSENT, MOST_OF_A_SOURCE, LeftOut, read_text
from .kernel_log import of_our_concern, read_kernel_log
from .kubelet import FoundKubelet, find_kubelet
from .redaction import Form, redact, redact_words
from .system import MODPROBE_FILES, boot_files, boot_loader, distribution, hardware, memory

if t.TYPE_CHECKING:
    from .._host.machine import LiveMachine
    from .._kubelet.observe import Request
    from .._node.devices.rules import Rule
    from .._node.devices.snapshot import Node
    from .._node.users.pods import LiveKernelWithPods

JOURNAL_LINES = 1500
KUBELET_JOURNAL_LINES = 10_000
"""Of which those about devices are kept: with pods that fail again and again, 1500 lines are minutes."""
PAGE_SECONDS = 10.0

_SHOWN = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,MainPID,NRestarts,ExecMainCode,"
    "ExecMainStatus,ExecMainStartTimestamp,ExecMainExitTimestamp,ActiveEnterTimestamp,InactiveEnterTimestamp,ConditionResult,After,Before,"
    "WantedBy,MemoryMax,LimitMEMLOCK,LimitNOFILE,CapabilityBoundingSet,ProtectSystem,StatusText"
)
# Other managers of QAT devices, which are in the way of this one.
_UNITS_OF_OTHERS = ("qat.service", "qat.timer", "qat_service.service")
_UNIT_PLACES = tuple(f"{place}/systemd/system/" for place in ("/etc", "/run", "/usr/lib", "/lib", "/usr/local/lib"))
_SETTINGS_OF_OTHERS = ("/etc/default/qat", "/etc/sysconfig/qat")
_OWN_FORMS = {".json": Form.JSON, ".service": Form.UNIT}


@dataclass
class Asked:
    """What the caller knows of the node: paths and units of the collection, where kubelet is said to be, and what the cluster says."""

    kubelet: Request
    files: t.Sequence[str] = ()
    argument_files: t.Sequence[str] = ()
    units: t.Sequence[str] = ()
    configuration: str = ""
    record: str = ""
    qatctl: str = ""
    plugin_address: str = ""
    exporter_address: str = ""
    plugin_directory: str = ""
    kubelet_roots: t.Sequence[str] = ()
    proc_root: str = "/proc"
    sysfs_root: str = "/sys"
    dev_root: str = "/dev"
    collection: str = ""
    cluster: t.Mapping[str, t.Any] = field(default_factory=dict)


class Gatherer:
    """Takes everything into a bundle, one after the other. What is of most use comes first, should there be no room for all."""

    def __init__(self, kernel: LiveKernelWithPods, machine: LiveMachine, asked: Asked, bundle: Bundle) -> None:
        self._kernel = kernel
        self._machine = machine
        self._asked = asked
        self._bundle = bundle
        self._node: Node | None = None
        self._found: FoundKubelet | None = None

    def gather(self) -> None:
        """Take it. Raises nothing."""
        for part in (
            self._of_engine,
            self._of_system,
            self._of_own_files,
            self._of_cluster,
            self._of_kubelet,
            self._of_plugin,
            self._of_exporter,
            self._of_boot,
            self._of_logs,
        ):
            try:
                for source in part():
                    self._bundle.take(source)
            except Exception as error:
                self._bundle.take(_failed(part.__name__.lstrip("_"), error))

    # The engine's own view.

    def _read(self) -> Node:
        if self._node is None:
            self._node = read_node(self._kernel)
        return self._node

    def _of_engine(self) -> t.Iterator[Source]:
        rules = self._asked.configuration
        yield _document("qat/devices.json", "the QAT devices, as qatctl show --json", "the engine", self._devices)
        yield _document("qat/plan.json", "what qatctl apply would write now", f"the engine, by {rules}", self._plan)
        yield _document(
            "qat/kubernetes.json", "what kubelet and the device plugin say of devices", "kubelet", self._survey
        )
        yield _document("qat/firmware.json", "firmware files of the devices", "/lib/firmware", self._firmware)
        yield _document("sysfs/devices.json", "QAT functions", "/sys/bus/pci/devices", lambda: functions(self._kernel))
        yield _document(
            "sysfs/iommu_groups.json", "their IOMMU groups", "/sys/kernel", lambda: iommu_groups(self._kernel)
        )
        yield _document("sysfs/modules.json", "modules and parameters", "/sys/module", lambda: modules(self._kernel))

    def _devices(self) -> dict[str, t.Any]:
        return describe(self._read(), self._rules_if_any())

    def _rules_if_any(self) -> t.Sequence[Rule]:
        """Empty where they cannot be read: what stands for the plan says why."""
        try:
            return read_rules(self._asked.configuration, "")
        except NodeError:
            return ()

    def _plan(self) -> dict[str, t.Any]:
        rules = read_rules(self._asked.configuration, "run the role accel.qat.qat_node")
        node = self._read()
        plan = plan_for(desired_of(rules, node), node, self._asked.record)
        found: dict[str, t.Any] = {
            "left_to_do": bool(plan.steps),
            "steps": [step.as_dict() for step in plan.steps],
            "skipped": [{"device": skip.device, "reason": skip.reason} for skip in plan.skipped],
            "refused": "",
        }
        try:
            rehearse(plan, self._kernel)
        except NodeError as error:
            found["refused"] = error.sentence()
        return found

    def _survey(self) -> dict[str, t.Any]:
        found = survey(self._asked.kubelet_roots, self._asked.plugin_address)
        node = self._read()
        return as_dict(found, promised(self._rules_if_any(), node), node)

    def _firmware(self) -> dict[str, t.Any]:
        node = self._read()
        custom = if_there(lambda: self._kernel.read(CUSTOM_FIRMWARE), "")
        return {
            pf.address: [
                firmware(self._machine, node.kernel_release, name, custom).as_dict() for name in pf.firmware_files
            ]
            for pf in node.qat
        }

    # The machine.

    def _of_system(self) -> t.Iterator[Source]:
        yield _document("system/versions.json", "versions", "the node", self._versions)
        yield self._file("system/cmdline", "what the kernel was booted with", "/proc/cmdline", Form.KERNEL)
        yield _document("system/hardware.json", "machine and BIOS", "/sys/class/dmi/id", lambda: hardware(self._kernel))
        yield Source(
            "system/memory",
            "memory and hugepages",
            "/proc/meminfo",
            Form.PLAIN,
            lambda: memory(self._text("/proc/meminfo")),
        )

    def _versions(self) -> dict[str, t.Any]:
        release = if_there(lambda: self._kernel.read(OSRELEASE), "")
        return {
            "collection": self._asked.collection,
            "kernel": release,
            "distribution": distribution(self._try(lambda: self._text("/etc/os-release"))),
            "python": sys.version.replace("\n", " "),
            "qatctl": self._try(self._qatctl_version),
            "device_plugin": self._try(self._plugin_release),
        }

    @staticmethod
    def _try(look: t.Callable[[], str]) -> str:
        try:
            return look()
        except Exception as error:
            return why_not(error)

    def _qatctl_version(self) -> str:
        program = self._asked.qatctl
        if not self._machine.exists(program):
            raise LeftOut(ABSENT)
        require_trusted(self._machine.root, program)
        return self._machine.run([program, "--version"]).out.strip()

    def _plugin_release(self) -> str:
        return os.readlink(self._machine.root.rstrip("/") + f"{self._asked.plugin_directory}/current")

    # Files.

    def _text(self, path: str) -> str:
        for place, root in (("/proc", self._asked.proc_root), ("/sys", self._asked.sysfs_root)):
            if path.startswith(f"{place}/"):
                return read_text(root, path[len(place) :], MOST_OF_A_SOURCE)  # noqa: E203
        return read_text(self._machine.root, path, MOST_OF_A_SOURCE)

    def _file(self, name: str, about: str, path: str, form: Form) -> Source:
        return Source(name or place_of(path), about, path, form, lambda: self._text(path))

    def _of_own_files(self) -> t.Iterator[Source]:
        for path in self._asked.files:
            form = _OWN_FORMS.get(os.path.splitext(path)[1], Form.PLAIN)
            yield self._file("", "a file of the collection", path, form)
        for path in self._asked.argument_files:
            yield self._file("", "kernel arguments that were added or replaced", path, Form.KERNEL)
        for path in MODPROBE_FILES:
            yield self._file("", "options of modules", path, Form.PLAIN)
        for path in _SETTINGS_OF_OTHERS:
            yield self._file("", "settings of Intel's own service", path, Form.ENVIRONMENT)

    def _of_boot(self) -> t.Iterator[Source]:
        yield Source(
            "boot/loader",
            "the boot loader",
            "the node",
            Form.PLAIN,
            lambda: boot_loader(self._machine, self._asked.sysfs_root),
        )
        for path, form in boot_files(self._machine):
            yield self._file("", "what a boot loader starts the kernel with", path, form)

    # Kubernetes.

    def _of_cluster(self) -> t.Iterator[Source]:
        if self._asked.cluster:
            origin = "the API server, asked by the controller"
            yield _document("cluster/node.json", "the Node object", origin, self._of_node_object)

    def _of_node_object(self) -> dict[str, t.Any]:
        if self._asked.cluster.get("reason"):
            raise LeftOut(str(self._asked.cluster["reason"]))
        return dict(self._asked.cluster)

    def _kubelet(self) -> FoundKubelet:
        if self._found is None:
            try:
                self._found = find_kubelet(self._machine, self._asked.proc_root, self._asked.kubelet)
            except Exception as error:
                self._found = FoundKubelet(problem=why_not(error))
        return self._found

    def _of_kubelet(self) -> t.Iterator[Source]:
        yield _document("kubelet/kubelet.json", "kubelet and its command line", "the node", self._observed)
        found = self._kubelet()
        for path, form, look in found.files:
            yield Source(place_of(path), "kubelet's configuration", path, form, look)
        for path, form in found.states:
            yield self._file("", "a state file of kubelet", path, form)
        root = next(iter(self._asked.kubelet_roots), "")
        yield _document("kubelet/checkpoint.json", "devices and pods, by kubelet's checkpoint", root, self._checkpoint)

    def _observed(self) -> dict[str, t.Any]:
        found = self._kubelet()
        if found.problem:
            raise LeftOut(found.problem)
        known = dict(found.known)
        known["words"] = redact_words(known["words"])[0]
        known["unit_arguments"] = redact_words(known["unit_arguments"], has_program=False)[0]
        return known

    def _checkpoint(self) -> dict[str, t.Any]:
        """Without the answers of plugins, which have variables and mounts of containers."""
        for root in self._asked.kubelet_roots:
            text = if_there(lambda root=root: self._text_of_checkpoint(root), None)  # type: ignore[misc]
            if text is not None:
                return _known_of_checkpoint(text)
        raise LeftOut(ABSENT)

    @staticmethod
    def _text_of_checkpoint(root: str) -> str | None:
        return read_text("/", checkpoint_of(root), 4 * MOST_OF_A_SOURCE)

    def _of_plugin(self) -> t.Iterator[Source]:
        yield from self._pages("device_plugin", "what the device plugin says", self._asked.plugin_address)

    def _of_exporter(self) -> t.Iterator[Source]:
        yield from self._pages("exporter", "what the exporter says", self._asked.exporter_address)

    def _pages(self, directory: str, what: str, address: str) -> t.Iterator[Source]:
        for page in ("/readyz", "/healthz", "/metrics") if address else ():
            yield Source(f"{directory}/{page[1:]}", what, f"{address}{page}", Form.PLAIN, self._page(address, page))

    def _page(self, address: str, page: str) -> t.Callable[[], str]:
        def look() -> str:
            try:
                ((status, said),) = fetch(address, [page], PAGE_SECONDS)
            except (NotBelieved, BadAnswer) as error:
                raise LeftOut(str(error)) from None
            return said if page == "/metrics" else f"HTTP status {status}\n{said}"

        return look

    # systemd, and logs.

    def _of_logs(self) -> t.Iterator[Source]:
        yield Source(
            "logs/kernel", "what the kernel says of QAT, VFIO and the IOMMU", "/dev/kmsg", Form.LOG, self._kernel_log
        )
        kubelet = str(self._kubelet().known.get("unit", ""))
        for unit in dict.fromkeys([*self._asked.units, *filter(None, [kubelet]), *_UNITS_OF_OTHERS]):
            yield Source(f"systemd/{unit}", "the unit's state", "systemctl show", Form.PLAIN, self._state(unit))
            foreign = unit == kubelet and not self._kubelet().has_own_command_line
            for path in self._unit_files(unit):
                form = Form.FOREIGN_UNIT if foreign else Form.UNIT
                yield self._file("", "a file of a unit", path, form)
            most, chosen = (KUBELET_JOURNAL_LINES, of_our_concern) if unit == kubelet else (JOURNAL_LINES, None)
            yield Source(
                f"logs/{unit}",
                f"the unit's journal since the boot, of the last {most} lines {'those about devices' if chosen else 'all'}",
                "journalctl",
                Form.LOG,
                self._journal(unit, most, chosen),
            )

    def _kernel_log(self) -> str:
        return read_kernel_log(f"{self._asked.dev_root}/kmsg")

    def _run(self, name: str, *arguments: str) -> str:
        program = self._machine.command(name)
        if program is None:
            raise LeftOut(f"the node has no command {name}")
        result = self._machine.run([program, *arguments])
        if result.code != 0:
            raise LeftOut(f"{name} failed: {last_lines(result)}")
        return result.out

    def _state(self, unit: str) -> t.Callable[[], str]:
        def look() -> str:
            shown = self._run("systemctl", "show", f"--property={_SHOWN}", unit)
            return "".join(f"{line}\n" for line in lines_in(shown) if line.partition("=")[0] in _SHOWN.split(","))

        return look

    def _unit_files(self, unit: str) -> list[str]:
        # Where it fails, what stands for the unit's state says why.
        shown = self._try(lambda: self._run("systemctl", "show", "--property=FragmentPath,DropInPaths", unit))
        words = [word for line in lines_in(shown) for word in _paths(line)]
        return [path for path in words if path.startswith(_UNIT_PLACES) and ".." not in path]

    def _journal(self, unit: str, most: int, chosen: t.Callable[[str], bool] | None) -> t.Callable[[], str]:
        def look() -> str:
            said = self._run(
                "journalctl", "--boot", "--no-pager", "--output=short-iso", f"--lines={most}", f"--unit={unit}"
            )
            if chosen is None:
                return said
            # Before lines are left out: what a line is may be said in the one before it.
            cleaned, _count = redact(said, Form.LOG)
            return "".join(f"{line}\n" for line in cleaned.split("\n") if chosen(line))

        return look


def _paths(line: str) -> list[str]:
    name, _equals, value = line.partition("=")
    return words_in(value) if name in ("FragmentPath", "DropInPaths") else []


def _known_of_checkpoint(text: str) -> dict[str, t.Any]:
    data = json.loads(text)["Data"]
    fields = ("PodUID", "ContainerName", "ResourceName", "DeviceIDs")
    return {
        "pods": [{name: one.get(name) for name in fields} for one in data["PodDeviceEntries"] or ()],
        "registered": data["RegisteredDevices"],
    }


def _document(name: str, about: str, origin: str, make: t.Callable[[], t.Any]) -> Source:
    return Source(name, about, origin, Form.JSON, lambda: json.dumps(make()))


def _failed(part: str, error: Exception) -> Source:
    def fail() -> str:
        raise error

    return Source(part, "the rest of this part", "the node", Form.PLAIN, fail)
