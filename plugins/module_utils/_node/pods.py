# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which devices Kubernetes has given to pods: a VF that a pod has counts as in use, whether a process has it open or not.

Kubelet is asked. Where it does not answer, its checkpoint is believed, which it writes before a container starts. Where there is
neither, no device was ever given. What can be told by neither counts as given: nothing is ever taken for free because kubelet
did not say.
"""

from __future__ import annotations

import os
import typing as t

from .grpc_call import RpcError
from .paths import KUBELET_ROOTS
from .picture import Holder, normal_address
from .podresources import SOCKET, Given, checkpoint_of, is_in_use, list_given, read_checkpoint

ASK_SECONDS = 3.0
"""How long to wait for kubelet, which answers in milliseconds. One that has not answered once is not asked again."""


class Assignments:
    """The pods that have a device, by its PCI address. `unknown` says why that cannot be told, where it cannot."""

    def __init__(self, by_address: t.Mapping[str, tuple[Holder, ...]], unknown: str = "") -> None:
        self._by_address = by_address
        self.unknown = unknown

    def of(self, address: str) -> tuple[Holder, ...]:
        """The pods that have this device; where that cannot be told, one that stands for any."""
        if self.unknown:
            return (Holder(0, "", note=self.unknown),)
        return self._by_address.get(address, ())


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
        for root in self._in_use():
            try:
                for one, note in self._given_by(root):
                    found.setdefault(address_of(one.device), set()).add(holder_of(one, note))
            except _Unknown as unknown:
                return Assignments({}, str(unknown))
        return Assignments({address: tuple(sorted(holders, key=str)) for address, holders in found.items()})

    def _in_use(self) -> t.Sequence[str]:
        """The roots of the kubelets that are here; all where no kubelet has left a sign."""
        roots = list(dict.fromkeys(map(os.path.realpath, self._roots)))
        return [root for root in roots if is_in_use(root)] or roots

    def _given_by(self, root: str) -> t.Iterator[tuple[Given, str]]:
        """What this kubelet has given, and where it did not tell that itself, a remark."""
        problem = self._silent.get(root, "")
        if not problem:
            try:
                for one in list_given(os.path.join(root, SOCKET), ASK_SECONDS).given:
                    yield one, ""
                return
            except (FileNotFoundError, NotADirectoryError):
                pass  # no kubelet, or one before PodResources
            except (OSError, RpcError, ValueError) as error:
                problem = f"kubelet does not answer: {getattr(error, 'strerror', None) or error}"
                if isinstance(error, TimeoutError):
                    self._silent[root] = problem
        try:
            given = read_checkpoint(root).given
        except (FileNotFoundError, NotADirectoryError):
            return  # kubelet writes it when it gives the first device
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            checkpoint = f"{checkpoint_of(root)} cannot be read: {reason}"
            raise _Unknown(f"{problem}, and {checkpoint}" if problem else checkpoint) from None
        for one in given:
            yield one, "by kubelet's checkpoint"


class _Unknown(Exception):
    """Neither kubelet nor its checkpoint tells; the message says why."""


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
