# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which flavour a node has, by what is installed and what runs."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import (
    BY_NAME,
    FLAVOURS,
    MissingError,
    belongs_to,
    detect,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import Flavour, Process
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.rancher import K3S, RKE2
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError

KUBELET = Process(1, "/usr/bin/kubelet", ("/usr/bin/kubelet",))
KUBELET_OF_RKE2 = Process(2, "/var/lib/rancher/rke2/data/v1.33.4/bin/kubelet", ("kubelet",))
RUNNING_K3S = Process(3, "/usr/local/bin/k3s", ("/usr/local/bin/k3s server",))


@pytest.mark.parametrize(
    ("marked", "processes", "has_program", "expected"),
    [
        (["kubeadm"], [], False, "kubeadm"),
        ([], [], True, "kubeadm"),
        ([], [KUBELET], False, "kubeadm"),
        (["kubeadm", "k3s"], [], False, "k3s"),
        (["kubeadm", "k3s"], [KUBELET], False, "kubeadm"),
        (["k3s", "rke2"], [KUBELET_OF_RKE2], False, "rke2"),
        (["k3s", "rke2"], [RUNNING_K3S], False, "k3s"),
        (["rke2"], [Process(4, "/usr/local/bin/rke2", ("/usr/local/bin/rke2 server",)), KUBELET], False, "rke2"),
        (["openshift4", "kubeadm"], [KUBELET], False, "openshift4"),
        (["openshift3"], [KUBELET], False, "openshift3"),
    ],
)
def test_detection(marked: list[str], processes: list[Process], has_program: bool, expected: str) -> None:
    assert detect([BY_NAME[name] for name in marked], processes, has_program).name == expected


@pytest.mark.parametrize("processes", [[], [KUBELET, RUNNING_K3S]])
def test_two_flavours(processes: list[Process]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^flavour: the node has .* and .*; set it to the one that runs here$"
    ):
        detect([K3S, RKE2], processes, False)


def test_none() -> None:
    with pytest.raises(MissingError):
        detect([], [], False)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_each_by_its_markers_alone(flavour: Flavour) -> None:
    assert flavour.markers
    assert detect([flavour], [], True) is flavour


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/usr/bin/kubelet", None),
        ("/usr/local/bin/k3s", "k3s"),
        ("/var/lib/rancher/k3s/data/current/bin/k3s-server", "k3s"),
        ("/srv/rancher/rke2/data/v1.33.4/bin/kubelet", "rke2"),
        ("/snap/microk8s/6532/kubelite", "microk8s"),
        ("/snap/k8s/1234/bin/kubelet", "canonical"),
        ("/usr/local/bin/k0s", "k0s"),
        ("/srv/k0s/bin/kubelet", "k0s"),
        ("/usr/bin/hyperkube", "openshift3"),
        ("/usr/bin/openshift", "openshift3"),
    ],
)
def test_whose_process_it_is(program: str, expected: str | None) -> None:
    found = belongs_to(Process(1, program, (program,)))
    assert (found and found.name) == expected
