# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubelet says of the VFs of virtual machines, from both of its sources.

Neither has all: PodResources has no uid, by which a pod differs from one of the same name that was there before it, and the checkpoint
has pods that are gone.
"""

from __future__ import annotations

import os
import typing as t

from .._node.facts.services import is_for_vms
from .._node.users.grpc_call import RpcError
from .._node.users.podresources import (
    SOCKET,
    Given,
    is_in_use,
    list_given,
    read_checkpoint,
)
from .._node.users.pods import ASK_SECONDS, address_of, reason_of


class Said(t.NamedTuple):
    """The VFs of virtual machines that kubelet has given. `problem` says why it is not known, and then nothing else counts.

    `listed` by namespace, pod and container, as PodResources has it; `kept` by uid and container, as the checkpoint has it. Both end
    with the address of a VF.
    """

    listed: frozenset[tuple[str, str, str, str]] = frozenset()
    kept: frozenset[tuple[str, str, str]] = frozenset()
    problem: str = ""


def ask(roots: t.Sequence[str]) -> Said:
    """Ask the kubelets with these root directories, as far as there are any."""
    listed: set[tuple[str, str, str, str]] = set()
    kept: set[tuple[str, str, str]] = set()
    try:
        found = [root for root in dict.fromkeys(map(os.path.realpath, roots)) if is_in_use(root)]
    except OSError as error:
        return Said(problem=f"it is not known whether {error.filename} is kubelet's: {reason_of(error)}")
    if not found:
        return Said(problem=f"there is no kubelet with the root directory {' or '.join(roots)}")
    silent = []
    for root in found:
        try:
            given = list_given(os.path.join(root, SOCKET), ASK_SECONDS).given
        except (FileNotFoundError, NotADirectoryError) as error:
            # It may be nobody's: others make directories like those of kubelet. If it is one's that starts, its checkpoint still counts.
            given = ()
            silent.append(f"kubelet does not answer at {os.path.join(root, SOCKET)}: {reason_of(error)}")
        except (OSError, RpcError, ValueError) as error:
            return Said(problem=f"kubelet does not answer at {os.path.join(root, SOCKET)}: {reason_of(error)}")
        listed.update((one.namespace, one.pod, one.container, address_of(one.device)) for one in _of_vms(given))
    if len(silent) == len(found):
        return Said(problem=silent[0])
    for root in found:
        try:
            given = read_checkpoint(root).given
        except FileNotFoundError:
            continue  # kubelet writes it when it gives the first device
        except (OSError, ValueError) as error:
            return Said(problem=f"kubelet's checkpoint below {root} cannot be read: {reason_of(error)}")
        kept.update((one.pod, one.container, address_of(one.device)) for one in _of_vms(given))
    return Said(frozenset(listed), frozenset(kept))


def _of_vms(given: t.Iterable[Given]) -> t.Iterator[Given]:
    return (one for one in given if is_for_vms(one.resource))
