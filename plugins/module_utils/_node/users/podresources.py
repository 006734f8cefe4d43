# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What kubelet says of the devices it has given to pods: by its PodResources socket, and in the device manager's checkpoint.

Sources: k8s.io/kubelet pkg/apis/podresources/{v1,v1alpha1}/api.proto; k8s.io/kubernetes pkg/kubelet/cm/devicemanager/checkpoint.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

from ..absence import if_there
from ..facts.paths import DEVICE_PLUGINS, KUBELET_ROOT
from ..files import open_regular
from . import claimed
from .grpc_call import (
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    RpcError,
    call,
    fields_of,
)

SOCKET = "pod-resources/kubelet.sock"
CHECKPOINT = DEVICE_PLUGINS + "/kubelet_internal_checkpoint"
"""Below kubelet's root directory, or below the usual one where it has another."""

CLAIMS = "dra_manager_state"
"""What kubelet has prepared for claims (pkg/kubelet/cm/dra/state), in its root directory."""

PODS = "pods"

LARGEST_KEPT = 16 << 20
"""Characters of a file that kubelet keeps, which the device plugin reads at each scan. One with 300 000 devices has 11 million."""

MOST_PARTS = 1_000_000
"""Values of such a file, of which each takes tens of bytes; the device plugin may have 256 MiB.

Colons in ids count too: a checkpoint with some 100 000 PCI addresses has as many.
"""

MOST_FIELDS = 1_000_000
"""Fields of an answer that are read, some more than once. One with 300 000 devices has hardly more than these."""

V1, V1ALPHA1 = "v1", "v1alpha1"
"""v1 is in kubelet since 1.20, v1alpha1 since 1.13 (behind a gate that is on since 1.15)."""

_PAUSE = 0.1


class Given(t.NamedTuple):
    """A device that a container has. `pod` is its name, or its uid where the checkpoint has it, which knows no namespace."""

    namespace: str
    pod: str
    container: str
    resource: str
    device: str


class Answer(t.NamedTuple):
    """Everything the socket reported. `allocatable` are devices by resource; None where this kubelet does not say, for `why_not`."""

    version: str
    given: tuple[Given, ...]
    allocatable: dict[str, tuple[str, ...]] | None = None
    why_not: str = ""


def list_given(path: str, seconds: float) -> Answer:
    """Ask the socket at `path` which devices pods have. Raises RpcError or OSError, TimeoutError among them."""
    deadline = time.monotonic() + seconds
    try:
        return Answer(V1, tuple(_given(_ask(path, V1, "List", deadline))))
    except RpcError as error:
        if error.code != UNIMPLEMENTED:
            raise
    return Answer(V1ALPHA1, tuple(_given(_ask(path, V1ALPHA1, "List", deadline))))


def ask_all(path: str, seconds: float) -> Answer:
    """The same with what is allocatable, which kubelet reports since 1.23."""
    deadline = time.monotonic() + seconds
    answer = list_given(path, seconds)
    if answer.version != V1:
        return answer._replace(why_not="this kubelet has no call for it")
    try:
        devices = _ask(path, V1, "GetAllocatableResources", deadline)
    except RpcError as error:
        return answer._replace(why_not=str(error))
    found: dict[str, set[str]] = {}
    for resource, device in _devices(devices, 1):
        found.setdefault(resource, set()).add(device)
    return answer._replace(allocatable={resource: tuple(sorted(ids)) for resource, ids in sorted(found.items())})


def _ask(path: str, version: str, method: str, deadline: float) -> _Message:
    """One call. Kubelet lets 100 calls a second through, which all its clients share, and refuses the others."""
    refusal: RpcError | None = None
    while True:
        try:
            return _Message(call(path, f"/{version}.PodResourcesLister/{method}", b"", deadline - time.monotonic()))
        except TimeoutError as error:
            # What is left of the time may be too short for a call: then the refusal is the news.
            raise refusal or error from None
        except RpcError as error:
            if error.code != RESOURCE_EXHAUSTED or time.monotonic() + _PAUSE > deadline:
                raise
            refusal = error
        time.sleep(_PAUSE)


def _given(answer: _Message) -> t.Iterator[Given]:
    """The devices of a ListPodResourcesResponse, of either version. One resource may be in several entries, one a NUMA node."""
    specifications = claimed.Specifications()
    for pod in answer.messages(1):
        name, namespace = pod.text(1), pod.text(2)
        for container in pod.messages(3):
            its_name = container.text(1)
            for resource, device in (*_devices(container, 2), *_claimed(container, specifications)):
                yield Given(namespace, name, its_name, resource, device)


def _claimed(container: _Message, specifications: claimed.Specifications) -> t.Iterator[tuple[str, str]]:
    """Driver and device of each device that came by a claim (dynamic resource allocation): those are in no other field."""
    for claim in container.messages(5):
        for device in claim.messages(4):
            driver, name = device.text(2), device.text(4)
            cdi_names = [one.text(1) for one in device.messages(1)]
            for found in specifications.devices_of(name, cdi_names):
                yield driver, found


def _devices(message: _Message, field: int) -> t.Iterator[tuple[str, str]]:
    """Resource and id of each device in the ContainerDevices of a field."""
    for devices in message.messages(field):
        resource = devices.text(1)
        for device in devices.parts(2):
            yield resource, device.decode("utf-8", "replace")


class _Message:
    """A protobuf message of an answer, and how many fields may still be read of the whole.

    Whoever has made the socket can put millions into 16 MiB, for which a process needs minutes and hundreds of megabytes.
    """

    def __init__(self, data: bytes, left: t.Iterator[int] | None = None) -> None:
        self._data = data
        self._left = iter(range(MOST_FIELDS)) if left is None else left

    def parts(self, field: int) -> t.Iterator[bytes]:
        """What each field of this number has. Raises ValueError where this is no message, or has too many fields."""
        for number, value in fields_of(self._data):
            if next(self._left, None) is None:
                raise ValueError(f"its answer has more than {MOST_FIELDS} fields")
            if number == field and isinstance(value, bytes):
                yield value

    def messages(self, field: int) -> t.Iterator[_Message]:
        """The same, of messages."""
        return (_Message(part, self._left) for part in self.parts(field))

    def text(self, field: int) -> str:
        """What the first field of this number says; empty where there is none."""
        return next((part.decode("utf-8", "replace") for part in self.parts(field)), "")


class Checkpoint(t.NamedTuple):
    """What the device manager keeps over a restart of kubelet. `registered` are the healthy devices by resource."""

    given: tuple[Given, ...]
    registered: dict[str, tuple[str, ...]]


def checkpoint_of(root: str) -> str:
    """Where the kubelet with this root directory keeps its checkpoint. Raises OSError where that is not known."""
    own = os.path.join(root, CHECKPOINT)
    return own if _is_there(own) else os.path.join(KUBELET_ROOT, CHECKPOINT)


def is_in_use(root: str) -> bool:
    """Whether a kubelet has this directory as its root directory: it makes a directory for its pods when it starts.

    Raises OSError where that is not known.
    """
    return any(_is_there(os.path.join(root, name)) for name in (PODS, SOCKET))


def _is_there(path: str) -> bool:
    try:
        return if_there(lambda: os.stat(path), None) is not None
    except NotADirectoryError:
        return False  # what was named as a root directory is a file


def without_named(more: t.Iterable[Given], named: t.Iterable[Given]) -> list[Given]:
    """What gives further devices than those that were named. A device is one pod's at a time, whose name kubelet itself knows best."""
    known = {one.device for one in named}
    return [one for one in more if one.device not in known]


def read_checkpoint(root: str) -> Checkpoint:
    """The checkpoint of the kubelet with this root directory, without the pods that are gone.

    Raises OSError, or ValueError where it is not one. Kubelet writes it before a container starts. It forgets a pod only when it
    admits another one, but removes the pod's directory as soon as nothing of the pod runs. Without a directory of pods each pod counts,
    also where kubelet answers, which has made one: a container may have its sockets, and not see that directory.
    """
    text = _text_of(checkpoint_of(root))
    try:
        data = _document(text)["Data"]
        given = [one for entry in data["PodDeviceEntries"] or () for one in _given_by(entry)]
        registered = {str(name): tuple(sorted(ids or ())) for name, ids in (data["RegisteredDevices"] or {}).items()}
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it has another form than expected, at {error}") from None
    alive = _alive(root)
    return Checkpoint(tuple(one for one in given if alive is None or one.pod in alive), registered)


def _text_of(path: str) -> str:
    """The text of a file in a directory into which pods of other plugins may write."""
    with open(path, encoding="utf-8", opener=open_regular) as stream:
        text = stream.read(LARGEST_KEPT + 1)
    if len(text) > LARGEST_KEPT:
        raise ValueError(f"it has more than {LARGEST_KEPT} characters")
    return text


def _document(text: str) -> t.Any:
    """What the JSON says. Each value but the first comes after one of these characters, which may also be in a text."""
    if sum(map(text.count, ",:[{")) > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} values")
    return json.loads(text)


def _given_by(entry: t.Mapping[str, t.Any]) -> t.Iterator[Given]:
    """The devices of an entry: a list, or since 1.20 lists by NUMA node."""
    ids = entry["DeviceIDs"] or ()
    lists = [node or () for node in ids.values()] if isinstance(ids, dict) else [ids]
    for devices in lists:
        if not isinstance(devices, (list, tuple)) or not all(isinstance(device, str) for device in devices):
            raise TypeError(f"DeviceIDs {devices!r}")
        for device in devices:
            yield Given("", str(entry["PodUID"]), str(entry["ContainerName"]), str(entry["ResourceName"]), device)


def sees_pods(root: str) -> bool:
    """Whether there is a directory of pods, by which those that are gone are known. Raises OSError where that is not known."""
    return _alive(root) is not None


def _alive(root: str) -> frozenset[str] | None:
    """The uids of the pods that have a directory; None where there is no directory of pods, which says nothing."""
    names: t.Sequence[str] | None = if_there(lambda: os.listdir(os.path.join(root, PODS)), None)
    return None if names is None else frozenset(names)


def read_claims(root: str) -> tuple[Given, ...]:
    """The devices that pods have by claims, by what this kubelet keeps over its restarts, without the pods that are gone.

    Raises OSError, or ValueError where it is of another form. Which container has them it does not say. Before Kubernetes 1.32 it had
    another form, without names of devices, which is left out.
    """
    text = _text_of(os.path.join(root, CLAIMS))
    try:
        data = _document(text)
        data = _document(data["Data"]) if "Data" in data else data
        claims = data.get("ClaimInfoStateList") or data.get("Entries") or ()
        prepared = [one for claim in claims for one in _prepared(claim)]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it has another form than expected, at {error}") from None
    alive = _alive(root)
    specifications = claimed.Specifications()
    return tuple(
        one._replace(device=found)
        for one, cdi_names in prepared
        if alive is None or one.pod in alive
        for found in specifications.devices_of(one.device, cdi_names)
    )


def _prepared(claim: t.Mapping[str, t.Any]) -> t.Iterator[tuple[Given, list[str]]]:
    """Each device of a claim for each of its pods, by the driver's name for it, and its names for the container runtime."""
    for driver, state in (claim.get("DriverState") or {}).items():
        for device in state["Devices"] or ():
            name, cdi_names = str(device["DeviceName"]), [str(one) for one in device["CDIDeviceIDs"] or ()]
            for uid in claim["PodUIDs"] or ():
                yield Given("", str(uid), f"unknown, claim {claim['ClaimName']}", str(driver), name), cdi_names
