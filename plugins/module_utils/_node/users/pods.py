# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which devices Kubernetes has given to pods: a VF that a pod has counts as in use, whether a process has it open or not.

Kubelet is asked, and its checkpoint is read, which it writes before a container starts: what either gives to a pod that lives is
given. Kubelet alone does not report init containers, nor anything while it has just started. Where there is neither, no device was
ever given. What is known by neither counts as given: nothing is ever taken for free because kubelet did not say.
"""

from __future__ import annotations

import os
import typing as t

from ..absence import if_there
from ..facts.paths import KUBELET_DEVICE_PLUGINS, KUBELET_ROOTS, KUBELET_SOCKET, vfio_node
from ..facts.pci import normal_address
from ..kernel.live import Kernel, LiveKernel
from ..printable import shortened
from .claimed import QAT_DRIVER, is_identified
from .grpc_call import RpcError, listens_at
from .holder import Holder
from .podresources import (
    CLAIMS,
    SOCKET,
    Given,
    checkpoint_of,
    is_in_use,
    list_given,
    read_checkpoint,
    read_claims,
    sees_pods,
    without_named,
)

ASK_SECONDS = 3.0
"""How long to wait for kubelet, which answers in milliseconds. One that has not answered once is not asked again."""

REGISTRATION_SOCKET = f"{KUBELET_DEVICE_PLUGINS}/{KUBELET_SOCKET}"
"""Where device plugins register, whatever root directory kubelet has (see `KUBELET_DEVICE_PLUGINS`)."""

BY_CHECKPOINT = "by kubelet's checkpoint"

LOGS_OF_PODS = "/var/log/pods"
"""Where kubelet makes a directory NAMESPACE_NAME_UID for each pod, since 1.14 (pkg/kubelet/kuberuntime/helpers.go)."""


class Assignments:
    """The pods that have a device, by its PCI address or its node. `unknown` says why others may have one too, where that is so."""

    def __init__(self, by_device: t.Mapping[str, tuple[Holder, ...]], unknown: str = "") -> None:
        self._by_device = by_device
        self.unknown = unknown

    def of(self, address: str, iommu_group: str | None = None, else_unknown: bool = True) -> tuple[Holder, ...]:
        """The pods that have this device; where none is named, and that may be for another reason, one that stands for any."""
        named = self._by_device.get(address, ())
        if iommu_group is not None:
            named += tuple(one for one in self._by_device.get(vfio_node(iommu_group), ()) if one not in named)
        if not named and self.unknown and else_unknown:
            return (Holder(0, "", note=self.unknown),)
        return named


NO_PODS = Assignments({})
"""A node where no pod has a device."""


class Pods:
    """Asks the kubelets that may be here: those with one of the root directories."""

    def __init__(self, roots: t.Sequence[str] = KUBELET_ROOTS) -> None:
        self._roots = roots
        self._silent: dict[str, str] = {}

    def assignments(self) -> Assignments:
        """What pods have now."""
        found: dict[str, set[Holder]] = {}
        unknown: list[str] = []
        listens: dict[str, bool] = {}
        for root in self._in_use(unknown):
            for one, note in self._given_by(root, unknown, listens):
                found.setdefault(address_of(one.device), set()).add(holder_of(one, note))
        unknown += _why_elsewhere(listens)
        return Assignments(
            {device: tuple(sorted(holders, key=str)) for device, holders in found.items()}, "; ".join(unknown)
        )

    def ask_again(self) -> None:
        """Forget which kubelets did not answer, for whoever looks at a node for longer."""
        self._silent.clear()

    def kept(self) -> Kept:
        """What kubelets have given to pods that live, by what they keep, or why that is not known. Nobody is asked."""
        problems: list[str] = []
        roots = self._in_use(problems)
        return Kept(_joined(map(_read_devices, roots), problems), _joined(map(read_given_by_claims, roots), problems))

    def kept_claims(self) -> Checkpoint:
        """The same of devices by claims alone."""
        problems: list[str] = []
        return _joined(map(read_given_by_claims, self._in_use(problems)), problems)

    def named(self) -> Named:
        """Which containers have which devices, as kubelet itself reports it, and besides what it does not: devices of init containers."""
        problems: list[str] = []
        silent: list[str] = []
        given: list[Given] = []
        roots = self._in_use(problems)
        for root in roots:
            listed, problem = self._ask(root, [])
            if listed is None:
                silent.append(problem or f"no kubelet listens at {os.path.join(root, SOCKET)}")
            checkpoint = _read_nameable(root)
            problems += filter(None, [checkpoint.problem])
            given += listed or ()
            given += _with_names(without_named(checkpoint.given, listed or ()))
        # Another directory that looks like a kubelet's may be left of one that was there before.
        problems += silent if len(silent) == len(roots) else ()
        return Named(() if problems else tuple(given), "; ".join(problems))

    def _in_use(self, unknown: list[str]) -> t.Sequence[str]:
        """The roots of the kubelets that are here; all where no kubelet has left a sign."""
        roots = list(dict.fromkeys(map(os.path.realpath, self._roots)))
        in_use = []
        for root in roots:
            try:
                if is_in_use(root):
                    in_use.append(root)
            except OSError as error:
                unknown.append(f"it is not known whether {root} is kubelet's: {reason_of(error)}")
        return in_use or roots

    def _given_by(self, root: str, unknown: list[str], listens: dict[str, bool]) -> t.Iterator[tuple[Given, str]]:
        """What this kubelet has given, and where it did not report that itself, a remark.

        Why more may be given goes into `unknown`, and whether it listens into `listens`, unless there is no socket.
        """
        listed, problem = self._ask(root, unknown, listens)
        for one in listed or ():
            _note_unidentified(one, unknown)
            yield one, ""
        checkpoint = read_given(root)
        if checkpoint.problem:
            unknown.append(f"{problem}, and {checkpoint.problem}" if problem and not unknown else checkpoint.problem)
        for one in _with_names(without_named(checkpoint.given, listed or ())):
            _note_unidentified(one, unknown)
            yield one, BY_CHECKPOINT

    def _ask(
        self, root: str, unknown: list[str], listens: dict[str, bool] | None = None
    ) -> tuple[t.Sequence[Given] | None, str]:
        """What kubelet lists; or None, and why, where it is there."""
        listens = {} if listens is None else listens
        if root in self._silent:
            listens[root] = True
            return None, self._silent[root]
        try:
            given = list_given(os.path.join(root, SOCKET), ASK_SECONDS).given
        except (FileNotFoundError, NotADirectoryError):
            return None, ""  # no kubelet, or one before PodResources
        except (OSError, RpcError, ValueError) as error:
            problem = f"kubelet does not answer: {reason_of(error)}"
            listens[root] = not isinstance(error, ConnectionRefusedError)
            if isinstance(error, TimeoutError):
                self._silent[root] = problem
            if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)):
                unknown.append(problem)  # it may well be there and answer others
            return None, problem
        listens[root] = True
        return given, ""


def _why_elsewhere(listens: t.Mapping[str, bool]) -> t.Sequence[str]:
    """That a kubelet runs which has none of these root directories, where that shows.

    Its device manager listens where each has it, and nobody at the socket that was left of one before it: by the pods in such a directory
    each pod would be gone.
    """
    if not listens or any(listens.values()):
        return ()
    elsewhere = f"a kubelet runs whose root directory is not {' or '.join(listens)}"
    try:
        runs = listens_at(REGISTRATION_SOCKET, ASK_SECONDS)
    except OSError as error:
        return (f"it is not known whether {elsewhere}: {reason_of(error)}",)
    return (f"{elsewhere}: name it with kubelet_root, or --kubelet-root",) if runs else ()


def _note_unidentified(one: Given, unknown: list[str]) -> None:
    unknown += filter(None, [why_unidentified(one)])


def why_unidentified(one: Given) -> str:
    """What to say of a VF of QAT that came by a claim and that may be any; empty for all that is known, and what is of others."""
    if one.resource != QAT_DRIVER or is_identified(one.device):
        return ""
    return f"{holder_of(one)} has {one.device} by a claim, and nothing says which VF that is"


def _with_names(kept: t.Sequence[Given]) -> t.Iterator[Given]:
    """What a checkpoint gives, by the names of the pods in place of their uids, where these are known."""
    names = _names_of_pods() if kept else {}
    for one in kept:
        namespace, pod = names.get(one.pod, ("", one.pod))
        yield one._replace(namespace=namespace, pod=pod)


def _names_of_pods() -> dict[str, tuple[str, str]]:
    """Namespace and name of pods by their uid, which is all that the checkpoint knows; without it the uid is shown."""
    try:
        names: t.Sequence[str] = if_there(lambda: os.listdir(LOGS_OF_PODS), ())
    except OSError:
        names = ()
    parts = (name.split("_") for name in names if name.count("_") == 2)
    return {uid: (namespace, pod) for namespace, pod, uid in parts}


class Named(t.NamedTuple):
    """Which containers have which devices; or the problem, where that is not known, and then nothing is in `given`.

    Where nobody can name a pod, it has its uid in place of the name, and no namespace.
    """

    given: tuple[Given, ...] = ()
    problem: str = ""


class Checkpoint(t.NamedTuple):
    """What the checkpoint of a kubelet gives to pods that live, or why it cannot be read."""

    given: tuple[Given, ...] = ()
    problem: str = ""


class Kept(t.NamedTuple):
    """What kubelets keep of devices that device plugins offer, and of those by claims. Either may be unknown alone."""

    devices: Checkpoint
    claims: Checkpoint


def _joined(parts: t.Iterable[Checkpoint], problems: t.Sequence[str]) -> Checkpoint:
    """What several kubelets keep. `problems` are others than those of the parts."""
    parts = tuple(parts)
    found = (*problems, *(part.problem for part in parts if part.problem))
    return Checkpoint(tuple(one for part in parts for one in part.given), "; ".join(found))


def read_given(root: str) -> Checkpoint:
    """What the kubelet with this root directory has given by what it keeps: device plugins' devices, and those by claims."""
    return _with_claims(_read_devices(root), root)


def _read_nameable(root: str) -> Checkpoint:
    """What of that may be shown to people as a pod's.

    Nothing of the checkpoint without the directory of pods, which the pod of the DaemonSet does not see: a pod that has ended is in the
    checkpoint until kubelet admits another one, and would be shown with its VF for days, whereas an init container, which kubelet does
    not list, has ended soon. Nothing is taken for free because of what is shown.
    """

    def devices() -> tuple[Given, ...]:
        return read_checkpoint(root).given if sees_pods(root) else ()

    return _with_claims(_read(lambda: checkpoint_of(root), devices), root)


def _with_claims(devices: Checkpoint, root: str) -> Checkpoint:
    parts = (devices, read_given_by_claims(root))
    problems = [part.problem for part in parts if part.problem]
    return Checkpoint(tuple(one for part in parts for one in part.given), ", and ".join(problems))


def read_given_by_claims(root: str) -> Checkpoint:
    """Of that the devices by claims (dynamic resource allocation)."""
    return _read(lambda: os.path.join(root, CLAIMS), lambda: read_claims(root))


def _read_devices(root: str) -> Checkpoint:
    return _read(lambda: checkpoint_of(root), lambda: read_checkpoint(root).given)


def _read(where: t.Callable[[], str], read: t.Callable[[], tuple[Given, ...]]) -> Checkpoint:
    """Nothing where there is no such file: kubelet writes it when it gives the first device."""
    path = ""
    try:
        path = where()
        return Checkpoint(read())
    except (OSError, ValueError) as error:
        # Of others that it needs, a place on the way that is a file says nothing.
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) and error.filename == path:
            return Checkpoint()
        # What cannot be read may be another file that is needed for it.
        return Checkpoint(problem=f"{getattr(error, 'filename', None) or path} cannot be read: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """Why something cannot be read or does not answer, in a few words."""
    return shortened(getattr(error, "strerror", None) or str(error), 500)


def address_of(device: str) -> str:
    """The PCI address that a device's id is, as it is for QAT and SR-IOV; what is no address is the address of nothing."""
    try:
        return normal_address(device)
    except ValueError:
        return device


def holder_of(given: Given, note: str = "") -> Holder:
    """The container that has a device."""
    pod = f"{given.namespace}/{given.pod}" if given.namespace else f"with uid {given.pod}"
    return Holder(0, "", given.container, pod, note)


class KernelWithPods(Kernel, t.Protocol):
    """A kernel, and who can say which pods have its devices."""

    def pods(self) -> Assignments:
        """Which devices Kubernetes has given to pods."""


class LiveKernelWithPods(LiveKernel):
    """The kernel of a machine, and its kubelets. Without `pods` nobody is asked, and no pod has anything."""

    def __init__(
        self, sysfs_root: str = "/sys", proc_root: str = "/proc", dev_root: str = "/dev", pods: Pods | None = None
    ) -> None:
        super().__init__(sysfs_root, proc_root, dev_root)
        self._pods = pods

    def pods(self) -> Assignments:
        return self._pods.assignments() if self._pods else NO_PODS
