# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What kubelet and the device plugins say of the devices of a node, and where they contradict the node or each other.

`survey` asks, `mismatches` compares: a pure function of what was found.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import typing as t
from dataclasses import dataclass, field

from .._node.absence import if_there, is_absent
from .._node.devices.desired import rule_for
from .._node.devices.offer import offer_of, resource_of
from .._node.devices.rules import Rule
from .._node.devices.snapshot import Node
from .._node.errors import cannot_be_read
from .._node.facts.paths import (
    DEVICE_PLUGINS,
    KUBELET_ROOT,
    SECOND_NAMES,
    vfio_node,
)
from .._node.facts.pci import VFIO_DRIVERS
from .._node.facts.services import RESOURCE_PREFIX, for_containers
from .._node.fields import lines_in
from .._node.printable import printable
from .._node.users.grpc_call import RpcError, call, fields_of
from .._node.users.podresources import (
    SOCKET,
    V1,
    Answer,
    Checkpoint,
    Given,
    ask_all,
    is_in_use,
    read_checkpoint,
    without_named,
)
from .._node.users.pods import (
    BY_CHECKPOINT,
    address_of,
    holder_of,
    read_given_by_claims,
    reason_of,
    why_unidentified,
)
from .listener import BadAnswer, NotBelieved, fetch

ASK_SECONDS = 5.0
PLUGIN_SECONDS = 30.0
"""On a node with much to do, as one that has just been provisioned, a process can wait long for its turn, and is well."""
_GREETING_SECONDS = 1.0
"""How long kubelet itself gives a plugin to say its name (pkg/kubelet/pluginmanager)."""

REGISTRY = "plugins_registry"
_OWN_PREFIX = "accel-qat-"

Devices = t.Mapping[str, "tuple[str, ...]"]
"""Device ids by resource."""


@dataclass(frozen=True)
class Socket:
    """A socket in a directory of kubelet. `resource` is what a plugin in plugins_registry says its resource is, else empty."""

    path: str
    listening: bool
    resource: str = ""


@dataclass(frozen=True)
class Plugin:
    """What the device plugin of this collection says over HTTP.

    `problems` are why it is not ready; `resources` say whether each is registered, `unhealthy` how many VFs of it cannot be used. Where
    somebody answers who is not believed, it does not answer, and `doubt` says why.
    """

    answers: bool
    problems: tuple[str, ...] = ()
    resources: t.Mapping[str, bool] = field(default_factory=dict)
    unhealthy: t.Mapping[str, int] = field(default_factory=dict)
    doubt: str = ""


@dataclass(frozen=True)
class Survey:
    """Everything that was found. `kubelet` is None where it did not answer, for `problem`; `plugin` is None where it was not asked.

    `checkpoint` is None where there is none, or where it cannot be read, for `broken`. `claimed` is what kubelet keeps of claims.
    """

    root: str
    sockets: tuple[Socket, ...] = ()
    kubelet: Answer | None = None
    problem: str = ""
    checkpoint: Checkpoint | None = None
    plugin: Plugin | None = None
    broken: str = ""
    claimed: tuple[Given, ...] = ()

    @property
    def given(self) -> tuple[Given, ...]:
        """The devices that pods have, by kubelet itself, and those that its checkpoint gives besides to pods that live."""
        return tuple(one for one, _note in self.noted)

    @property
    def noted(self) -> tuple[tuple[Given, str], ...]:
        """The same, each with a remark where kubelet did not report it."""
        listed = self.kubelet.given if self.kubelet else ()
        kept = (*(self.checkpoint.given if self.checkpoint else ()), *self.claimed)
        others = without_named(kept, listed)
        return (*((one, "") for one in listed), *((one, BY_CHECKPOINT) for one in others))

    @property
    def allocatable(self) -> Devices | None:
        """The healthy devices that kubelet knows, by itself or else by its checkpoint; None where neither says."""
        if self.kubelet and self.kubelet.allocatable is not None:
            return self.kubelet.allocatable
        return self.checkpoint.registered if self.checkpoint else None


@dataclass(frozen=True)
class Mismatch:
    """A contradiction: what kind it is, what it is about, and a sentence."""

    kind: str
    resource: str
    device: str
    problem: str

    def as_dict(self) -> dict[str, str]:
        """The same for machines."""
        sentence = printable(self.problem)
        return {"kind": self.kind, "resource": self.resource, "device": self.device, "problem": sentence}


def survey(roots: t.Sequence[str], plugin_address: str) -> Survey:
    """Ask kubelet, whichever of the root directories it has, and the plugin at `HOST:PORT`; empty for not to ask it.

    Raises NodeError where something of that cannot be seen.
    """
    try:
        return _survey(roots, plugin_address)
    except OSError as error:
        raise cannot_be_read(error) from None


def _survey(roots: t.Sequence[str], plugin_address: str) -> Survey:
    root = _root_of(roots)
    kubelet, problem = _ask_kubelet(os.path.join(root, SOCKET))
    checkpoint, broken = _read_checkpoint(root)
    claims = read_given_by_claims(root)
    broken = "; ".join(filter(None, [broken, claims.problem]))
    sockets = [one for directory in _socket_directories(root) for one in _sockets(directory, False)]
    sockets += _sockets(os.path.join(root, REGISTRY), True)
    plugin = _ask_plugin(plugin_address) if plugin_address else None
    return Survey(root, tuple(sockets), kubelet, problem, checkpoint, plugin, broken, claims.given)


def _read_checkpoint(root: str) -> tuple[Checkpoint | None, str]:
    try:
        return read_checkpoint(root), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except (OSError, ValueError) as error:
        return None, f"kubelet's checkpoint cannot be read: {reason_of(error)}"


def _root_of(roots: t.Sequence[str]) -> str:
    """The root directory of the kubelet that is here. A device plugin may have made directories in the one of another."""
    for is_sign in (is_in_use, _has_directories):
        for root in roots:
            if is_sign(root):
                return root
    return roots[0]


def _socket_directories(root: str) -> tuple[str, ...]:
    """Where device plugins call this kubelet: below its root directory or below the usual one, which may be the same."""
    own, usual = (os.path.join(one, DEVICE_PLUGINS) for one in (root, KUBELET_ROOT))
    return (own,) if os.path.realpath(own) == os.path.realpath(usual) else (own, usual)


def _has_directories(root: str) -> bool:
    places = (os.path.join(root, name) for name in (DEVICE_PLUGINS, os.path.dirname(SOCKET)))
    return any(_is_directory(place) for place in places)


def _is_directory(path: str) -> bool:
    return if_there(lambda: stat.S_ISDIR(os.stat(path).st_mode), False)


def _ask_kubelet(path: str) -> tuple[Answer | None, str]:
    try:
        return ask_all(path, ASK_SECONDS), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, f"{path} is not there"
    except (OSError, RpcError, ValueError) as error:
        return None, f"{path}: {reason_of(error)}"


def _sockets(directory: str, greets: bool) -> t.Iterator[Socket]:
    for parent, directories, names in os.walk(directory, onerror=_raise_unless_absent):
        if SECOND_NAMES in directories:
            directories.remove(SECOND_NAMES)  # each of them is there by its first name too
        for name in sorted(names):
            path = os.path.join(parent, name)
            if _is_socket(path):
                listening = _listens(path)
                yield Socket(path, listening, _resource(path) if listening and greets else "")


def _raise_unless_absent(error: OSError) -> None:
    if not is_absent(error):
        raise error


def _is_socket(path: str) -> bool:
    return if_there(lambda: stat.S_ISSOCK(os.lstat(path).st_mode), False)


def _listens(path: str) -> bool:
    """Whether somebody listens. Raises OSError where that is not known."""
    directory = if_there(lambda: os.open(os.path.dirname(path), os.O_PATH), -1)
    if directory < 0:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            # A path may be longer than the address of a socket.
            return _connects(probe, f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)


def _connects(probe: socket.socket, path: str) -> bool:
    try:
        probe.connect(path)
    except OSError as error:
        if is_absent(error) or error.errno == errno.ECONNREFUSED:
            return False
        # Its queue is full, or it is of another kind: somebody has it.
        if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
            raise
    return True


def _resource(path: str) -> str:
    """What a plugin of plugins_registry reports to kubelet too: message PluginInfo, type = 1, name = 2 (pluginregistration/v1)."""
    try:
        answer = call(path, "/pluginregistration.Registration/GetInfo", b"", _GREETING_SECONDS)
        info = {
            number: value.decode("utf-8", "replace") for number, value in fields_of(answer) if isinstance(value, bytes)
        }
    except (OSError, RpcError, ValueError):
        return ""
    return info.get(2, "") if info.get(1) == "DevicePlugin" else ""


def _ask_plugin(address: str) -> Plugin:
    """What the plugin says of itself, if it is the plugin: whoever has its port may say the same."""
    try:
        (status, said), (_status, metrics) = fetch(address, ("/readyz", "/metrics"), PLUGIN_SECONDS)
        return _plugin(status, said, metrics)
    except NotBelieved as error:
        return Plugin(answers=False, doubt=f"what answers for the device plugin is not believed: {error}")
    except BadAnswer as error:
        return Plugin(answers=False, doubt=f"what answers for the device plugin at {address} is not it: {error}")
    except (ConnectionError, TimeoutError, socket.gaierror, socket.timeout):
        return Plugin(answers=False)


def _plugin(status: int, said: str, metrics: str) -> Plugin:
    unhealthy: dict[str, int] = {}
    try:
        registered = _samples(metrics, "qat_device_plugin_registered")
        resources = {labels["resource"]: value > 0 for labels, value in registered}
        for labels, value in _samples(metrics, "qat_device_plugin_vfs"):
            if labels["health"] == "unhealthy" and value:
                unhealthy[labels["resource"]] = unhealthy.get(labels["resource"], 0) + int(value)
    except (KeyError, ValueError, OverflowError):
        raise BadAnswer("its metrics are of another form") from None
    return Plugin(
        True, () if status == 200 else tuple(lines_in(said)) or (f"HTTP status {status}",), resources, unhealthy
    )


def _samples(text: str, name: str) -> t.Iterator[tuple[dict[str, str], float]]:
    """The samples of a metric in Prometheus' text form. No label of the plugin has a comma or a quote in its value."""
    for line in lines_in(text):
        if line.startswith(name + "{"):
            labels, _brace, value = line[len(name) + 1 :].rpartition("} ")  # noqa: E203
            pairs = (pair.partition("=") for pair in labels.split(","))
            yield {key: quoted.strip('"') for key, _equals, quoted in pairs}, float(value)


def promised(rules: t.Sequence[Rule], node: Node) -> dict[str, tuple[str, ...]]:
    """The VFs that the rules offer to Kubernetes, by resource, whether they exist as yet or not."""
    found: dict[str, tuple[str, ...]] = {}
    for device in node.qat:
        offer = offer_of(rule_for(rules, device), device)
        if offer.vfs:
            found[offer.resource] = found.get(offer.resource, ()) + offer.vfs
    return found


def free(found: Survey, node: Node) -> dict[str, tuple[str, ...]]:
    """The healthy devices that no pod has, by resource; none where it is not known what pods have."""
    if found.broken or (found.kubelet is None and found.checkpoint is None) or any(map(why_unidentified, found.given)):
        return {}
    taken = _taken(found, node)
    devices = (found.allocatable or {}).items()
    return {resource: tuple(one for one in ids if address_of(one) not in taken) for resource, ids in devices}


def _taken(found: Survey, node: Node) -> set[str]:
    """The addresses of what pods have. A VF that came by a claim may be known by its node alone."""
    devices = {address_of(one.device) for one in found.given}
    of_groups = (one for one in node.functions.values() if one.iommu_group is not None)
    return devices | {one.address for one in of_groups if vfio_node(str(one.iommu_group)) in devices}


def mismatches(found: Survey, wanted: Devices, node: Node) -> list[Mismatch]:
    """What contradicts, the worst first. Only resources of QAT are judged."""
    return [
        *_of_kubelet(found, wanted),
        *_of_plugin(found, wanted),
        *_of_lists(found, wanted),
        *_of_pods(found, node),
        *_of_processes(found, wanted, node),
        *_of_sockets(found),
    ]


def _of_kubelet(found: Survey, wanted: Devices) -> t.Iterator[Mismatch]:
    if found.kubelet is None and (wanted or found.sockets):
        yield Mismatch("kubelet", "", "", f"kubelet does not say what pods have: {found.problem}")
    if found.broken:
        yield Mismatch("kubelet", "", "", f"{found.broken}; so it is not known what is free")
    for why in filter(None, map(why_unidentified, found.given)):
        yield Mismatch("kubelet", "", "", f"{why}; so it is not known what is free")


def _of_plugin(found: Survey, wanted: Devices) -> t.Iterator[Mismatch]:
    if found.plugin is None or not wanted:
        return
    if not found.plugin.answers:
        yield Mismatch("plugin", "", "", found.plugin.doubt or "the device plugin does not answer over HTTP")
    for problem in found.plugin.problems:
        yield Mismatch("plugin", "", "", f"the device plugin is not ready: {problem}")
    if found.plugin.answers:
        for resource in wanted:
            if not found.plugin.resources.get(resource):
                yield Mismatch("plugin", resource, "", f"the device plugin has not registered {resource} with kubelet")


def _of_lists(found: Survey, wanted: Devices) -> t.Iterator[Mismatch]:
    if found.allocatable is None:
        return
    listed = {resource: set(ids) for resource, ids in found.allocatable.items() if resource.startswith(RESOURCE_PREFIX)}
    for resource, vfs in wanted.items():
        for vf in vfs:
            if vf not in listed.get(resource, ()):
                text = f"{vf} should be offered as {resource}, and kubelet has no healthy device of that id"
                yield Mismatch("missing", resource, vf, text + _still_given(found, resource, vf))
    for resource, ids in listed.items():
        for device in sorted(ids - set(wanted.get(resource, ()))):
            text = f"kubelet offers {device} as {resource}, which the configuration does not say"
            yield Mismatch("surplus", resource, device, text)


def _still_given(found: Survey, resource: str, vf: str) -> str:
    """Which pod has the VF by another resource: it is not offered by this one before the pod has ended."""
    noted = ((one, note) for one, note in found.noted if address_of(one.device) == vf and one.resource != resource)
    return next((f", as {holder_of(one, note)} still has it by {one.resource}" for one, note in noted), "")


def _of_pods(found: Survey, node: Node) -> t.Iterator[Mismatch]:
    owners: dict[str, dict[tuple[str, str], str]] = {}
    # What a VF from Gen4 on computes is not seen without its PF.
    seen = (device for device in node.qat if device.shows_services or not device.family.has_services)
    resources = {vf.address: resource_of(device) for device in seen for vf in device.vfs}
    for one, note in found.noted:
        if not one.resource.startswith(RESOURCE_PREFIX):
            continue
        pod = str(holder_of(one, note))
        # Containers of one pod are one owner: kubelet gives those of an init container to the others again.
        owners.setdefault(one.device, {}).setdefault((one.namespace, one.pod), pod)
        function = node.function(address_of(one.device))
        if function is None:
            text = f"{pod} has {one.device} of {one.resource}, which is not on this node any more"
            yield Mismatch("vanished", one.resource, one.device, text)
        elif function.driver not in VFIO_DRIVERS:
            bound = f"bound to {function.driver}" if function.driver else "bound to no driver"
            text = f"{pod} has {one.device} of {one.resource}, which is {bound}"
            yield Mismatch("driver", one.resource, one.device, text)
        elif resources.get(function.address) not in (None, "", for_containers(one.resource)):
            text = f"{pod} has {one.device} of {one.resource}, which is {resources[function.address]} by now"
            yield Mismatch("services", one.resource, one.device, text)
    for device, pods in sorted(owners.items()):
        if len(pods) > 1:
            yield Mismatch("shared", "", device, f"{device} is given to {' and to '.join(sorted(pods.values()))}")


def _of_processes(found: Survey, wanted: Devices, node: Node) -> t.Iterator[Mismatch]:
    taken = _taken(found, node)
    for resource, vfs in wanted.items():
        for vf in vfs:
            function = node.function(vf)
            processes = [one for one in function.holders if one.is_open] if function else []
            if processes and vf not in taken:
                text = f"{processes[0]} has {vf} open, which kubelet may give to a pod as {resource} at any time"
                yield Mismatch("taken", resource, vf, text)


def _of_sockets(found: Survey) -> t.Iterator[Mismatch]:
    for one in found.sockets:
        if not one.listening and os.path.basename(one.path).startswith(_OWN_PREFIX):
            yield Mismatch("socket", "", "", f"nobody listens on {one.path}, which a device plugin has left")


def as_dict(found: Survey, wanted: Devices, node: Node) -> dict[str, t.Any]:
    """Everything as plain values."""
    kubelet, plugin = found.kubelet, found.plugin
    return {
        "kubelet": {
            "root": found.root,
            "answers": kubelet is not None,
            "version": kubelet.version if kubelet else None,
            "problem": found.problem or (kubelet.why_not if kubelet and kubelet.version == V1 else ""),
        },
        "sockets": [{"path": one.path, "listening": one.listening, "resource": one.resource} for one in found.sockets],
        "registered": _lists(found.checkpoint.registered) if found.checkpoint else None,
        "allocatable": None if found.allocatable is None else _lists(found.allocatable),
        "pods": [one._asdict() for one in found.given],
        "plugin": None
        if plugin is None
        else {
            "answers": plugin.answers,
            "ready": plugin.answers and not plugin.problems,
            "problems": list(plugin.problems),
            "registered": dict(plugin.resources),
            "unhealthy": dict(plugin.unhealthy),
        },
        "promised": _lists(wanted),
        "free": _lists(free(found, node)),
        "mismatches": [one.as_dict() for one in mismatches(found, wanted, node)],
    }


def _lists(devices: Devices) -> dict[str, list[str]]:
    return {resource: list(ids) for resource, ids in devices.items()}
