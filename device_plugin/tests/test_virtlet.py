# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtlet makes domains of our answers: requests as kubelet 1.20 writes them, and what becomes of them.

With the real kubelet and libvirt that is tests/cluster/virtlet.py.
"""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path
from xml.etree import ElementTree as ET

import grpc
import pytest
from harness import cri
from harness.cri import v1alpha2 as api
from harness.fake_libvirt import FakeLibvirt
from harness.node_files import NodeFiles
from harness.virtlet import uuid_of, virtual_machine
from harness.virtlet_runtime import CALLS, Runtime, serve
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin.allocation import Answer, answer
from qat_device_plugin.catalogue import OfferedVf
from qat_device_plugin.vm_attach.decide import Decision, Step, decide
from qat_device_plugin.vm_attach.domain import ContainerOfPod, read_definition
from qat_device_plugin.vm_attach.hypervisor import understood
from qat_device_plugin.vm_attach.kubelet import Said

PF, VF, OTHER = "0000:6b:00.0", "0000:6b:00.1", "0000:6b:00.2"
CY, VM_CY = "qat.intel.com/cy", "qat.intel.com/vm-cy"
OWNER = ContainerOfPod("default", "vm-0", "0c5e2a4b-6c1d-4a5e-9b57-2f6f0c7a1d11", "guest")
DRIVERS: t.Mapping[str, str | None] = {VF: "vfio-pci", OTHER: "vfio-pci"}


def sandbox_config(owner: ContainerOfPod = OWNER) -> t.Any:
    """A pod, as kubelet describes it (pkg/kubelet/kuberuntime/kuberuntime_sandbox.go)."""
    labels = {
        f"io.kubernetes.pod.{key}": getattr(owner, key if key != "name" else "pod")
        for key in ("namespace", "name", "uid")
    }
    return api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name=owner.pod, uid=owner.uid, namespace=owner.namespace),
        hostname=owner.pod,
        log_directory=f"/var/log/pods/{owner.namespace}_{owner.pod}_{owner.uid}",
        labels=labels,
    )


def request(given: Answer, owner: ContainerOfPod = OWNER, memory: int = 0, devices: t.Sequence[str] = ()) -> t.Any:
    """The request for a container that was given this (kuberuntime_container.go): nodes become devices."""
    nodes = [*given.nodes, *devices]
    config = api.ContainerConfig(
        metadata=api.ContainerMetadata(name=owner.container),
        image=api.ImageSpec(image="localhost/pod:1"),
        envs=[api.KeyValue(key=key, value=value) for key, value in given.environment.items()],
        devices=[api.Device(container_path=path, host_path=path, permissions="mrw") for path in nodes],
        labels={**sandbox_config(owner).labels, "io.kubernetes.container.name": owner.container},
        annotations={"io.kubernetes.container.restartCount": "0", **given.annotations},
        log_path=f"{owner.container}/0.log",
        linux=api.LinuxContainerConfig(
            resources=api.LinuxContainerResources(cpu_period=100000, cpu_shares=2, memory_limit_in_bytes=memory)
        ),
    )
    return api.CreateContainerRequest(pod_sandbox_id=owner.uid, config=config, sandbox_config=sandbox_config(owner))


@pytest.fixture
def allocated(tmp_path: Path) -> t.Callable[..., Answer]:
    """What the device plugin answers for a container."""
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=2)
    offer = [OfferedVf(address, PF, 0, "vfio-pci") for address in (VF, OTHER)]

    def ask(resource: str, *addresses: str) -> Answer:
        return answer(LiveKernel(str(files.sys), str(files.proc), str(files.dev)), resource, offer, addresses)

    return ask


def disks(xml: str) -> list[tuple[str, str]]:
    """Type and source of each disk but the first and the last, which are the root volume and the data for cloud-init."""
    found = ET.fromstring(xml).findall("devices/disk")
    sources = [(one.get("type", ""), one.find("source")) for one in found]
    listed = [(kind, next(iter(source.attrib.values()))) for kind, source in sources if source is not None]
    assert [one.get("device") for one in found] == ["disk"] * (len(found) - 1) + ["cdrom"]
    assert listed[0][1].startswith("/var/lib/virtlet/volumes/")
    return listed[1:-1]


def test_the_uuid_is_virtlets() -> None:
    """By its own test data (pkg/libvirttools/TestContainerLifecycle.out.yaml)."""
    assert uuid_of("69eec606-0493-5825-73a4-c5e0c0236155") == "231700d5-c9a6-5a49-738d-99a954c51550"


@pytest.mark.parametrize(
    ("resource", "addresses", "made"),
    [
        pytest.param(CY, [VF], ["/dev/vfio/10", "/dev/vfio/vfio"], id="one VF becomes two disks"),
        pytest.param(CY, [VF, OTHER], ["/dev/vfio/10", "/dev/vfio/11", "/dev/vfio/vfio"], id="two VFs become three"),
        pytest.param(VM_CY, [VF], [], id="attach vm: none"),
        pytest.param(VM_CY, [VF, OTHER], [], id="attach vm: none of two"),
    ],
)
def test_disks(allocated: t.Callable[..., Answer], resource: str, addresses: list[str], made: list[str]) -> None:
    machine = virtual_machine(request(allocated(resource, *addresses)), resolve=str)
    assert disks(machine.xml) == [("block", path) for path in made]
    assert read_definition(machine.xml) == (OWNER, ())
    # Whatever it is, the addresses reach the guest in a file alone.
    assert (
        f"PCIDEVICE_{resource.upper().replace('/', '_').replace('.', '_')}={','.join(addresses)}" in machine.user_data
    )
    assert all(address not in machine.xml for address in addresses)


def test_a_device_at_the_root_is_the_root_volume_of_others(allocated: t.Callable[..., Answer]) -> None:
    asked = request(allocated(VM_CY, VF))
    asked.config.devices.add(container_path="/", host_path="/dev/loop0")
    asked.config.devices.add(container_path="/dev/data", host_path="/dev/disk/by-id/data")
    machine = virtual_machine(asked, resolve=lambda path: path.replace("disk/by-id/data", "sdb"))
    assert disks(machine.xml) == [("block", "/dev/sdb")]


@pytest.mark.parametrize(("limit", "memory"), [(0, ("MiB", "1024")), (67108864, ("b", "67108864"))])
def test_memory(allocated: t.Callable[..., Answer], limit: int, memory: tuple[str, str]) -> None:
    element = ET.fromstring(virtual_machine(request(allocated(VM_CY, VF), memory=limit)).xml).find("memory")
    assert element is not None
    assert (element.get("unit"), element.text) == memory


def test_names_and_variables_of_the_domain(allocated: t.Callable[..., Answer]) -> None:
    machine = virtual_machine(request(allocated(VM_CY, VF)), ["-name", "{name}&"])
    root = ET.fromstring(machine.xml)
    assert machine.name == f"virtlet-{uuid_of(OWNER.uid)[:13]}-guest" == root.findtext("name")
    (line,) = (one for one in root if one.tag.endswith("commandline"))
    assert {one.get("name"): one.get("value") for one in line if one.tag.endswith("env")} == {
        "VIRTLET_EMULATOR": "/usr/bin/qemu-system-x86_64",
        "VIRTLET_NET_KEY": "",
        "VIRTLET_CONTAINER_ID": machine.uuid,
        "VIRTLET_CONTAINER_LOG_PATH": f"/var/log/pods/default_vm-0_{OWNER.uid}/guest/0.log",
    }
    assert [one.get("value") for one in line if one.tag.endswith("arg")] == ["-name", f"{machine.name}&"]


def test_what_is_decided_for_such_a_domain(allocated: t.Callable[..., Answer]) -> None:
    said = Said(
        frozenset([(OWNER.namespace, OWNER.pod, OWNER.container, VF)]),
        frozenset([(OWNER.uid, OWNER.container, VF)]),
    )
    machine = virtual_machine(request(allocated(VM_CY, VF)))
    attach = Step("attach", machine.uuid, machine.name, VF, live=False, config=True)
    defined = understood(machine.uuid, machine.name, "", machine.xml)
    assert decide([defined], said, DRIVERS) == Decision((attach,))
    runs = understood(machine.uuid, machine.name, machine.xml, machine.xml)
    assert decide([runs], said, DRIVERS) == Decision((attach._replace(live=True),))


# The runtime.


class Kubelet:
    """Calls the runtime as kubelet does."""

    def __init__(self, socket: str) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}")

    def __call__(self, name: str, **fields: t.Any) -> t.Any:
        (service,) = (service for service, calls in CALLS.items() if name in calls)
        method = self._channel.unary_unary(
            f"/{service}/{name}",
            lambda message: message.SerializeToString(),
            getattr(api, f"{name}Response").FromString,
        )
        return method(getattr(api, f"{name}Request")(**fields), timeout=120, wait_for_ready=True)

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def libvirt() -> FakeLibvirt:
    return FakeLibvirt()


@pytest.fixture
def kubelet(libvirt: FakeLibvirt) -> t.Iterator[Kubelet]:
    with tempfile.TemporaryDirectory(prefix="cri") as directory:  # short, as it is part of a socket's path
        socket = f"{directory}/s"
        server = serve(Runtime(libvirt, root=Path(directory)), socket)
        kubelet = Kubelet(socket)
        yield kubelet
        kubelet.close()
        server.stop(None).wait()


def test_a_pod_from_its_beginning_to_its_end(
    kubelet: Kubelet, libvirt: FakeLibvirt, allocated: t.Callable[..., Answer]
) -> None:
    assert kubelet("Version").version == "0.1.0"
    assert {one.type: one.status for one in kubelet("Status").status.conditions} == {
        "RuntimeReady": True,
        "NetworkReady": True,
    }
    uid = kubelet("RunPodSandbox", config=sandbox_config()).pod_sandbox_id
    assert uid == OWNER.uid
    status = kubelet("PodSandboxStatus", pod_sandbox_id=uid).status
    assert (status.state, status.labels["io.kubernetes.pod.name"]) == (cri.READY, "vm-0")
    assert status.network.ip
    asked = request(allocated(VM_CY, VF))
    values = {"pod_sandbox_id": uid, "config": asked.config, "sandbox_config": asked.sandbox_config}
    container = kubelet("CreateContainer", **values).container_id
    assert container == uuid_of(uid) == kubelet("CreateContainer", **values).container_id
    (domain,) = libvirt.domains
    assert (domain.UUIDString(), domain.now) == (container, None)
    assert state_of(kubelet, container) == cri.CREATED
    kubelet("StartContainer", container_id=container)
    assert state_of(kubelet, container) == cri.RUNNING
    assert domain.now == domain.then
    domain.destroy()
    assert state_of(kubelet, container) == cri.EXITED
    kubelet("StartContainer", container_id=container)
    kubelet("StopContainer", container_id=container, timeout=0)
    assert state_of(kubelet, container) == cri.EXITED
    kubelet("StopPodSandbox", pod_sandbox_id=uid)
    kubelet("RemoveContainer", container_id=container)
    kubelet("RemovePodSandbox", pod_sandbox_id=uid)
    assert libvirt.domains == []
    assert not kubelet("ListContainers").containers
    assert not kubelet("ListPodSandbox").items


def state_of(kubelet: Kubelet, container: str) -> int:
    status = kubelet("ContainerStatus", container_id=container).status
    (listed,) = kubelet("ListContainers").containers
    assert (listed.state, listed.image_ref) == (status.state, status.image_ref)
    return int(status.state)


def test_a_start_that_fails_leaves_the_container_created(
    kubelet: Kubelet, libvirt: FakeLibvirt, allocated: t.Callable[..., Answer]
) -> None:
    libvirt.start_refusal = "internal error: qemu unexpectedly closed the monitor"
    uid = kubelet("RunPodSandbox", config=sandbox_config()).pod_sandbox_id
    asked = request(allocated(CY, VF))
    kubelet("CreateContainer", pod_sandbox_id=uid, config=asked.config, sandbox_config=asked.sandbox_config)
    with pytest.raises(grpc.RpcError) as caught:
        kubelet("StartContainer", container_id=uuid_of(uid))
    assert "qemu unexpectedly closed the monitor" in caught.value.details()
    assert state_of(kubelet, uuid_of(uid)) == cri.CREATED
    kubelet("RemoveContainer", container_id=uuid_of(uid))
    assert libvirt.domains == []


def test_lists_are_filtered(kubelet: Kubelet, allocated: t.Callable[..., Answer]) -> None:
    other = OWNER._replace(pod="vm-1", uid="f00d0000-0000-0000-0000-000000000002")
    for owner in (OWNER, other):
        kubelet("RunPodSandbox", config=sandbox_config(owner))
        asked = request(allocated(VM_CY, VF), owner)
        kubelet("CreateContainer", pod_sandbox_id=owner.uid, config=asked.config, sandbox_config=asked.sandbox_config)
    kubelet("StartContainer", container_id=uuid_of(other.uid))
    by_label = {"label_selector": {"io.kubernetes.pod.uid": OWNER.uid}}
    running = {"state": api.ContainerStateValue(state=cri.RUNNING)}
    found = [
        [one.metadata.name for one in kubelet("ListPodSandbox", filter=api.PodSandboxFilter(**by_label)).items],
        [one.id for one in kubelet("ListContainers", filter=api.ContainerFilter(**by_label)).containers],
        [one.id for one in kubelet("ListContainers", filter=api.ContainerFilter(**running)).containers],
        [one.id for one in kubelet("ListContainers", filter=api.ContainerFilter(pod_sandbox_id=other.uid)).containers],
    ]
    assert found == [["vm-0"], [uuid_of(OWNER.uid)], [uuid_of(other.uid)], [uuid_of(other.uid)]]


def test_what_kubelet_asks_besides(kubelet: Kubelet) -> None:
    assert kubelet("ImageStatus", image=api.ImageSpec(image="localhost/pod:1")).image.id == "localhost/pod:1"
    assert kubelet("ImageFsInfo").image_filesystems[0].fs_id.mountpoint
    for name in ("ListImages", "UpdateRuntimeConfig", "ListContainerStats", "ReopenContainerLog"):
        kubelet(name)
    with pytest.raises(grpc.RpcError, match="not found in Virtlet metadata store"):
        kubelet("PodSandboxStatus", pod_sandbox_id="nobody")
