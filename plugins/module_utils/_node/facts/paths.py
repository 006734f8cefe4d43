# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the kernel shows the things this engine reads and writes."""

from __future__ import annotations

DEVICES = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"
DRIVERS_PROBE = "/sys/bus/pci/drivers_probe"
"""Which root alone may open, and for writing only (drivers/base/bus.c, DRIVER_ATTR_WO)."""
MODULES = "/sys/module"
NOIOMMU_MODE = MODULES + "/vfio/parameters/enable_unsafe_noiommu_mode"
"""Whether VFIO takes functions that no IOMMU isolates. Only a kernel with CONFIG_VFIO_NOIOMMU has it (drivers/vfio/vfio_main.c)."""
IOMMU_GROUPS = "/sys/kernel/iommu_groups"
OSRELEASE = "/proc/sys/kernel/osrelease"
CHAR_DEVICES = "/proc/devices"
SELF_STATUS = "/proc/self/status"
DEBUG = "/sys/kernel/debug"
"""debugfs, which only root may look into."""
VFIO_GROUPS = "/sys/class/vfio"
VFIO = "/dev/vfio"

NODE_JSON = "/etc/accel-qat/node.json"
"""The rules of this node."""

NFD_FEATURES = "/etc/kubernetes/node-feature-discovery/features.d"
"""Where Node Feature Discovery reads what others say of a node; NFD's worker mounts it from the host (NFD v0.19.0, source/local/local.go,
deployment/components/common/worker-mounts.yaml)."""

COMMAND_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where the node has its commands, whatever PATH a connection happens to have: Ansible's often lacks the sbin directories."""

KUBELET_COMMAND_DIRECTORIES = ("/opt/bin", "/var/lib/rancher/rke2/bin", "/snap/bin")
"""Where kubelet and its tools may be besides: on Flatcar and in installations by hand, of RKE2, and of snaps."""

KUBELET_ROOT = "/var/lib/kubelet"
MICROK8S_KUBELET_ROOT = "/var/snap/microk8s/common/var/lib/kubelet"
K0S_KUBELET_ROOT = "/var/lib/k0s/kubelet"
KUBELET_ROOTS = (KUBELET_ROOT, MICROK8S_KUBELET_ROOT, K0S_KUBELET_ROOT)
"""Where kubelet has its root directory: nearly everywhere (k3s and RKE2 too), in microk8s, and in k0s."""

DEVICE_PLUGINS = "device-plugins"
"""The directory of device plugins' sockets. A constant of kubelet below its usual root directory, which its --root-dir does not change
(staging/src/k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/constants.go); MicroK8s has another one built in."""
KUBELET_DEVICE_PLUGINS = f"{KUBELET_ROOT}/{DEVICE_PLUGINS}"
KUBELET_SOCKET = "kubelet.sock"
"""The socket in it on which kubelet listens for device plugins that register (KubeletSocket there)."""


def device_directory(address: str) -> str:
    """The directory of a PCI function, which is there as long as the function is."""
    return f"{DEVICES}/{address}"


def device_file(address: str, name: str) -> str:
    """A file of a PCI function, such as `sriov_numvfs`."""
    return f"{DEVICES}/{address}/{name}"


def qat_file(address: str, name: str) -> str:
    """A file of a QAT PF's own group, such as `cfg_services`."""
    return device_file(address, "qat/" + name)


def debug_directory(family: str, address: str) -> str:
    """The directory of a PF in debugfs, which is there as long as its driver has it (adf_dbgfs.c)."""
    return f"{DEBUG}/qat_{family}_{address}"


def debug_file(family: str, address: str, name: str) -> str:
    """A file of a PF in debugfs, such as `heartbeat/status`. All but `dev_cfg` are gone while the PF is down."""
    return f"{debug_directory(family, address)}/{name}"


def driver_file(driver: str, name: str) -> str:
    """A file of a PCI driver: `bind` or `unbind`."""
    return f"{DRIVERS}/{driver}/{name}"


def vfio_node(iommu_group: str) -> str:
    """The device node of a VFIO group."""
    return f"{VFIO}/{iommu_group}"


SECOND_NAMES = ".accel-qat"
"""Below kubelet's directory of device plugins: where our own keeps second names of its sockets, which kubelet leaves alone."""
