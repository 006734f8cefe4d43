# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The version of a kubelet, out of what a program says of itself."""

from __future__ import annotations

import re
import typing as t

from .._node.errors import ConfigurationError

# "Kubernetes v1.31.4", "k3s version v1.31.4+k3s1 (a1b2c3d4)", "kubernetes v1.9.1+a0ce1bc657" below "openshift v3.9.0".
_KUBERNETES = re.compile(r"\bkubernetes:?\s+v?(1\.\d+(?:\.\d+)?[\w.+-]*)", re.I)
# "1.29.8+f10c92d": the commit alone is OpenShift's way; 4 begins with 1.12.
_OPENSHIFT = re.compile(r"1\.\d+\.\d+\+[0-9a-f]{7,}")
_ANY = re.compile(r"\bv?(1\.\d+(?:\.\d+)?[\w.+-]*)")


class Version(t.NamedTuple):
    """A Kubernetes version; `text` as it was said, without the v."""

    minor: int
    text: str

    @property
    def short(self) -> str:
        """As people call it: 1.31."""
        return f"1.{self.minor}"

    @property
    def ignores_unknown_gates(self) -> bool:
        """Whether it is a build of OpenShift 4 or MicroShift, which only warn of a gate that they do not know."""
        return self.minor >= 12 and _OPENSHIFT.fullmatch(self.text) is not None


def parse_version(said: str, where: str = "kubelet_version") -> Version:
    """The version in what a kubelet, K3s, RKE2, MicroK8s or OpenShift says of itself. Raises ConfigurationError."""
    match = _KUBERNETES.search(said) or _ANY.search(said)
    if match is None:
        shown = " ".join(said.split())[:80]
        raise ConfigurationError(
            f"no Kubernetes version is in {shown!r}", where, "write one such as 1.31.4, or set kubelet_version"
        )
    return Version(int(match.group(1).split(".")[1].split("+")[0].split("-")[0]), match.group(1))
