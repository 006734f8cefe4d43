# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that a node gets by Node Feature Discovery: what they say, and the file that says it. Decisions only.

Their names are made of our own tables alone: no text of a kernel, of kubelet or of a pod gets into one. The namespace is one of those
that NFD takes without being configured for it (NFD v0.19.0, pkg/apis/nfd/validate/validate.go, Label; in docs/nfd.md the rest).
"""

from __future__ import annotations

import time
import typing as t

from ._node.facts.services import RESOURCE_PREFIX, is_known, services_named
from .attribution import Attribution, holdings
from .catalogue import OfferedVf
from .model import Model

NAMESPACE = "qat.feature.node.kubernetes.io"

GRACE_SECONDS = 300.0
"""How long a label outlives what it is known by. So long kubelet keeps the capacity of a plugin that is gone (endpointStopGracePeriod)."""

_HEAD = "# What the QAT device plugin says of this node, for Node Feature Discovery. It is written again and again."


def labels_of(model: Model, attribution: Attribution | None, attribution_age: float | None) -> dict[str, str]:
    """The labels of a node by their names in NAMESPACE.

    The VFs that nobody has are in it while kubelet says who has which; `attribution_age` is in seconds, None while it never has.
    """
    devices = model.snapshot.node.qat if model.snapshot else ()
    offers = {one: vfs for one, vfs in model.offers.items() if vfs and is_known(one)}
    flags = {"present" for _device in devices}
    flags |= {f"family.{device.family.name}" for device in devices}
    flags |= {f"generation.{device.family.generation}" for device in devices}
    flags |= {f"service.{service}" for resource in offers for service in services_named(resource)}
    flags |= {f"driver.{vf.driver}" for vfs in offers.values() for vf in vfs if _has_driver(vf)}
    labels = dict.fromkeys(flags, "true")
    labels.update({f"vfs.{_short(resource)}": str(len(vfs)) for resource, vfs in offers.items()})
    if attribution is not None and attribution_age is not None and attribution_age <= GRACE_SECONDS:
        taken = {one.vf for one in holdings(model, attribution) if one.pod}
        labels.update({f"free.{_short(resource)}": str(_free(vfs, taken)) for resource, vfs in offers.items()})
    return labels


def _short(resource: str) -> str:
    return resource.removeprefix(RESOURCE_PREFIX)


def _has_driver(vf: OfferedVf) -> bool:
    """Whether it is bound as its rule says, or was when it was last seen."""
    return not vf.is_lost and not any(reason.code in ("driver", "blocked") for reason in vf.reasons)


def _free(vfs: t.Iterable[OfferedVf], taken: t.Container[str]) -> int:
    """How many a pod could get, the largest power of two that there are: so the label changes seldom, and never promises too many."""
    count = sum(vf.healthy and vf.address not in taken for vf in vfs)
    return 1 << (count.bit_length() - 1) if count else 0


def feature_file(labels: t.Mapping[str, str], expires: float) -> bytes:
    """The file that gives a node these labels until `expires`, in seconds since 1970.

    Source: NFD docs/usage/customization-guide.md, "Feature files". NFD knows the time and comments from 0.14 on, and passes over these
    lines before.
    """
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    lines = [
        _HEAD,
        f"# +expiry-time={until}",
        *(f"{NAMESPACE}/{name}={value}" for name, value in sorted(labels.items())),
    ]
    return "".join(f"{line}\n" for line in lines).encode()
