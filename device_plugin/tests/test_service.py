# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as a whole: what kubelet gets of it, for what happens on the node and to its configuration."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import typing as t
from pathlib import Path

import grpc
import pytest
from harness.node_files import NodeFiles
from harness.pod_resources import keep_claims, kept_claim
from harness.process import Plugin, children, fetch, free_port, listens
from qat_device_plugin import service as service_module
from qat_device_plugin._node.devices.read import read_devices
from qat_device_plugin._node.devices.rules import parse_configuration
from qat_device_plugin._node.devices.snapshot import Node
from qat_device_plugin._node.errors import NodeError
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin._node.users.podresources import CHECKPOINT
from qat_device_plugin.catalogue import REASONS, Snapshot, offers_of
from qat_device_plugin.configuration import read_rules
from qat_device_plugin.model import nothing_to_offer
from qat_device_plugin.service import Service
from qat_device_plugin.settings import parse_settings
from qat_device_plugin.waiting import end

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario
    from qat_device_plugin.model import Scan

Run = t.Callable[["Scenario"], None]

CY, VM_CY = "qat.intel.com/cy", "qat.intel.com/vm-cy"
PF = "0000:6b:00.0"


def test_health_follows_each_vf_and_recovers(run: Run) -> None:
    """The period is long here: what gives an event is seen without it."""

    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start("--period=60")
        await bench.ready(CY, 16)
        bench.files.bind(vfs[2], None)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[2]})
        bench.files.bind(vfs[5], "4xxxvf")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[2], vfs[5]})
        bench.files.node(vfs[7]).unlink()
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[2], vfs[5], vfs[7]})
        for vf in (vfs[2], vfs[5], vfs[7]):
            bench.files.bind(vf, "vfio-pci")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        with pytest.raises(grpc.RpcError, match="is not a VF of"):
            await bench.kubelet.allocate(CY, ["0000:00:00.0"])

    run(scenario)


def test_health_follows_what_gives_no_event(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        files, sick = bench.files, set(bench.files.add_pf(PF))
        well = files.add_pf("0000:70:00.0", services="asym;sym")
        await bench.kubelet.start()
        plugin = bench.start("--period=0.1")
        await bench.ready(CY, 32)
        files.set_heartbeat(PF, "-1")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == sick)
        files.set_heartbeat(PF, "0")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        files.set_heartbeat(PF, None)
        files.set_state(PF, "down")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == sick)
        files.set_state(PF, "up")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        files.set_fatal_errors(PF, 1)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == sick)
        with pytest.raises(grpc.RpcError, match=f"its PF {PF} has had 1 fatal errors"):
            await bench.kubelet.allocate(CY, [min(sick)])
        await bench.kubelet.allocate(CY, [well[0]])
        files.set_fatal_errors(PF, 0)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        assert f"its PF {PF} has no heartbeat" in plugin.log.read_text()

    run(scenario)


def test_an_iommu_group_goes_to_one_vf_and_only_whole(run: Run) -> None:
    """As where a port above the card does not isolate what is below it."""

    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF, vfs=4)
        other = bench.files.add_pf("0000:70:00.0", services="dc", vfs=2)
        bench.files.add_function("0000:6a:00.0", "pcieport")
        for address in ("0000:6a:00.0", vfs[0], vfs[1], other[0]):
            bench.files.set_group(address, 10)
        bench.files.add_function("0000:6b:1f.0", "igb")
        bench.files.set_group("0000:6b:1f.0", int(bench.files.node(vfs[3]).name))
        await bench.kubelet.start()
        plugin = bench.start("--period=60")
        await bench.ready(CY, 4)
        await bench.ready("qat.intel.com/dc", 2)
        assert bench.kubelet.unhealthy(CY) == {vfs[1], vfs[3]}
        assert bench.kubelet.unhealthy("qat.intel.com/dc") == {other[0]}
        log = plugin.log.read_text()
        assert f"its IOMMU group 10 has {vfs[0]} too, which is offered" in log
        assert "has 0000:6b:1f.0 too, which is bound to igb" in log
        with pytest.raises(grpc.RpcError, match=f"{vfs[1]} cannot be used now: its IOMMU group 10 has {vfs[0]} too"):
            await bench.kubelet.allocate(CY, [vfs[0]], [vfs[1]])
        # The group stays with its VF while that cannot be used: a pod may have it.
        bench.files.bind(vfs[0], None)
        bench.files.node(vfs[1]).touch()
        bench.files.bind("0000:6b:1f.0", "vfio-pci")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[0], vfs[1]})
        assert bench.kubelet.unhealthy("qat.intel.com/dc") == {other[0]}

    run(scenario)


@pytest.mark.parametrize(
    ("driver", "healthy"),
    [(None, 16), ("pcieport", 16), ("pci-stub", 16), ("vfio-pci", 16), ("mlx5_vfio_pci", 16), ("4xxxvf", 0)],
)
def test_which_drivers_leave_the_rest_of_a_group_to_vfio(tmp_path: Path, driver: str | None, healthy: int) -> None:
    files = NodeFiles(tmp_path)
    vfs = files.add_pf(PF)
    with contextlib.closing(LiveKernel(str(files.sys), str(files.proc), str(files.dev))) as kernel:
        node = read_devices(kernel)
    names = frozenset(files.node(vf).name for vf in vfs)
    groups = {name: {"0000:6a:00.0": driver} for name in names}
    rules = parse_configuration({"devices": [{}]})
    (offer,) = offers_of(Snapshot(node, names, groups), rules, {PF: CY}, {}).values()
    assert sum(vf.healthy for vf in offer) == healthy
    assert {reason.code for vf in offer for reason in vf.reasons} <= {"iommu_group"} <= set(REASONS)


def test_vfs_that_vanish_and_come_back_are_followed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.files.add_pf("0000:70:00.0", services="dc")
        await bench.kubelet.start()
        plugin = bench.start("--period=60")
        await bench.ready(CY, 16)
        vfs = bench.files.vf_addresses(PF, 16)
        bench.files.remove_vfs(PF)
        # They stay in the list: kubelet would report them to their pods as healthy.
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set(vfs))
        assert list(bench.kubelet.devices(CY)) == vfs
        assert plugin.log.read_text().count("event=vanished") == 16
        with pytest.raises(
            grpc.RpcError, match=rf"{vfs[3]} cannot be used now: it is not on the node any more \(it was"
        ):
            await bench.kubelet.allocate(CY, [vfs[3]])
        await bench.ready("qat.intel.com/dc", 16)
        assert bench.kubelet.unhealthy("qat.intel.com/dc") == set()
        bench.files.create_vfs(PF, 16)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        assert list(bench.kubelet.devices(CY)) == vfs
        assert [name for _time, name, _endpoint in bench.kubelet.registrations].count(CY) == 1

    run(scenario)


def test_nodes_that_come_and_go_in_dev_cost_next_to_nothing(run: Run) -> None:
    """A whole look for each of them took a fifth of a processor."""

    async def scenario(bench: Bench) -> None:
        vfs = [vf for bus in range(8) for vf in bench.files.add_pf(f"0000:{0x60 + bus:x}:00.0")]
        await bench.kubelet.start()
        plugin = bench.start("--period=600")
        await bench.ready(CY, 128)
        await plugin.goes_on()

        def processor_seconds() -> float:
            fields = Path(f"/proc/{plugin.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        before = processor_seconds()
        for number in range(20):
            (bench.files.dev / f"loop{number}").touch()
            await asyncio.sleep(0.1)
            (bench.files.dev / f"loop{number}").unlink()
            await asyncio.sleep(0.1)
        assert processor_seconds() - before < 0.4
        (bench.files.dev / "vfio").rename(bench.files.dev / "away")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set(vfs))
        (bench.files.dev / "away").rename(bench.files.dev / "vfio")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())

    run(scenario)


def test_a_vf_that_blocks_for_long_costs_one_process(run: Run) -> None:
    """As one that a pod holds while it is unbound."""

    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start("--period=0.1")
        await bench.ready(CY, 16)
        release = bench.files.block(vfs[3], "driver_override")
        await bench.kubelet.until(lambda: vfs[3] in bench.kubelet.unhealthy(CY))
        before = children(plugin.process)
        await plugin.goes_on(20)
        assert children(plugin.process) == before
        assert len(before) == 2
        assert f"vf={vfs[3]} event=unhealthy" in plugin.log.read_text()
        release()
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        await bench.kubelet.until(lambda: len(children(plugin.process)) == 1)

    run(scenario)


def test_the_vfs_of_a_pf_that_blocks_stay_in_the_list(run: Run) -> None:
    """As when its VFs are to be removed while a pod holds one: that one has lost its links."""

    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        other = bench.files.add_pf("0000:70:00.0", vfs=2)
        await bench.kubelet.start()
        plugin = bench.start("--period=0.1")
        await bench.ready(CY, 18)
        (bench.files.devices / PF / "virtfn0").unlink()
        (bench.files.devices / vfs[0] / "physfn").unlink()
        releases = [
            bench.files.block(address, name)
            for address, name in ((PF, "driver_override"), (PF, "sriov_numvfs"), (vfs[0], "driver_override"))
        ]
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set(vfs))
        assert set(bench.kubelet.devices(CY)) == {*vfs, *other}
        assert "the kernel is still at work on its PF" in plugin.log.read_text()
        with pytest.raises(grpc.RpcError, match=f"the kernel is still at work on its PF {PF}"):
            await bench.kubelet.allocate(CY, [vfs[1]])
        for release in releases:
            release()
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == set())
        assert len(bench.kubelet.devices(CY)) == 18

    run(scenario)


def test_a_look_that_fails_does_not_end_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = NodeFiles(tmp_path)
    files.add_pf(PF)
    settings = parse_settings(["--period=0.05", *Plugin.flags(files, tmp_path / "k")[:-1]], {})

    async def scenario() -> None:
        service = Service(settings, read_rules(settings.config), {})
        see = service._see
        failures = [BlockingIOError(errno.EAGAIN, "no more processes"), NodeError("no sysfs")]

        def fails_twice(whole: bool, known: Snapshot | None) -> Scan:
            if failures:
                raise failures.pop()
            return see(whole, known)

        monkeypatch.setattr(service, "_see", fails_twice)
        looking = asyncio.ensure_future(service._scan_loop())
        while service.model.snapshot is None:
            assert not looking.done(), looking.result()
            await asyncio.sleep(0.01)
        await end(looking)
        await asyncio.gather(*(end(task) for task in service._tasks))
        await service._thread.run(service._kernel.close)
        assert service.statistics.errors["scan"] == 2
        assert [len(offer) for offer in service.model.offers.values()] == [16]

    asyncio.run(asyncio.wait_for(scenario(), 600))


def test_does_without_watches_where_the_kernel_gives_none(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when other programs have used up fs.inotify.max_user_instances."""

    def no_more(_path: Path, _callback: t.Callable[[], None]) -> t.NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(service_module, "DirectoryWatch", no_more)

    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        settings = parse_settings(Plugin.flags(bench.files, bench.kubelet_dir), {})
        service = Service(settings, read_rules(settings.config), {})
        running = asyncio.ensure_future(service.run())
        await bench.kubelet.start()
        await bench.ready(CY, 16)
        bench.files.node(vfs[2]).unlink()
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[2]})
        await bench.kubelet.restart()
        await bench.ready(CY, 16)
        bench.files.configure([{"advertise": 4}])
        await bench.ready(CY, 4)
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        await service._thread.run(service._kernel.close)

    run(scenario)
    logged = [record for record in caplog.records if record.message == "changes of a directory are seen late"]
    assert len(logged) == 3
    assert logged[0].__dict__["fields"]["remedy"] == (
        "raise fs.inotify.max_user_instances by sysctl, and restart this service"
    )


def test_other_services_are_another_resource(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        # While the services cannot be read nothing moves.
        bench.files.set_services(PF, "")
        await bench.kubelet.until(lambda: len(bench.kubelet.unhealthy(CY)) == 16)
        assert list(bench.kubelet.resources()) == [CY]
        bench.files.set_services(PF, "dc")
        await bench.ready("qat.intel.com/dc", 16)
        await bench.ready(CY, 0)

    run(scenario)


def test_containers_of_one_request_share_nothing(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start("--cdi", f"--cdi-dir={bench.files.root / 'cdi'}")
        await bench.ready(CY, 16)
        first, second = (await bench.kubelet.allocate(CY, [vfs[1], vfs[0]], [vfs[2]])).container_responses
        assert dict(first.envs) == {
            "QAT0": vfs[1],
            "QAT1": vfs[0],
            "PCIDEVICE_QAT_INTEL_COM_CY": f"{vfs[1]},{vfs[0]}",
            "PCI_RESOURCE_QAT_INTEL_COM_CY": f"{vfs[1]},{vfs[0]}",
        }
        assert [(node.host_path, node.container_path, node.permissions) for node in first.devices] == [
            (path, path, "rw") for path in ("/dev/vfio/11", "/dev/vfio/10", "/dev/vfio/vfio")
        ]
        assert [name.name for name in first.cdi_devices] == [f"qat.intel.com/vf={vf}" for vf in (vfs[1], vfs[0])]
        assert (dict(second.envs)["QAT0"], "QAT1" in second.envs, len(second.devices)) == (vfs[2], False, 2)
        assert len(json.loads((bench.files.root / "cdi/qat.intel.com-vf.json").read_text())["devices"]) == 16

    run(scenario)


def test_without_a_cdi_specification_there_are_no_cdi_names(run: Run) -> None:
    """A runtime refuses a container with a name that it does not find."""

    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        directory = bench.files.root / "cdi"
        directory.write_text("in the way")
        await bench.kubelet.start()
        plugin = bench.start("--cdi", f"--cdi-dir={directory}")
        await bench.ready(CY, 16)

        async def names() -> list[str]:
            (container,) = (await bench.kubelet.allocate(CY, [vfs[0]])).container_responses
            assert len(container.devices) == 2
            return [name.name for name in container.cdi_devices]

        assert await names() == []
        text = "cannot write the CDI specification; until it is written containers get no CDI names"
        assert plugin.log.read_text().count(f"{text} directory={directory} problem=") == 1
        directory.unlink()
        await bench.kubelet.until(lambda: "the CDI specification is written again" in plugin.log.read_text())
        assert await names() == [f"qat.intel.com/vf={vfs[0]}"]
        assert plugin.log.read_text().count(text) == 1

    run(scenario)


def test_kata_finds_each_vf_by_its_resource(run: Run) -> None:
    """It asks kubelet what a pod has, and looks up RESOURCE=DEVICE, whether Allocate gives CDI names or not."""

    async def scenario(bench: Bench) -> None:
        directory = bench.files.root / "cdi"

        def names() -> dict[str, int]:
            found = {}
            for path in directory.glob("*.json"):
                document = json.loads(path.read_text())
                found.update(
                    {f"{document['kind']}={one['name']}": len(one["containerEdits"]) for one in document["devices"]}
                )
            return found

        vfs = {CY: bench.files.add_pf(PF), "qat.intel.com/dc": bench.files.add_pf("0000:70:00.0", services="dc")}
        await bench.kubelet.start()
        plugin = bench.start(f"--cdi-dir={directory}")
        await bench.ready(CY, 16)
        await bench.kubelet.until(
            lambda: names() == {f"{kind}={vf}": 1 for kind, addresses in vfs.items() for vf in addresses}
        )
        (container,) = (await bench.kubelet.allocate(CY, [vfs[CY][0]])).container_responses
        assert list(container.cdi_devices) == []
        bench.files.remove_vfs(PF)
        await bench.kubelet.until(lambda: set(names()) == {f"qat.intel.com/dc={vf}" for vf in vfs["qat.intel.com/dc"]})
        # A runtime starts containers again while the plugin is away.
        plugin.stop()
        assert len(names()) == 16

    run(scenario)


def test_a_vf_for_a_virtual_machine_comes_without_a_node(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        directory = bench.files.root / "cdi"
        vfs, others = bench.files.add_pf(PF), bench.files.add_pf("0000:70:00.0", services="dc")
        bench.files.configure([{"select": {"address": PF}, "attach": "vm"}, {}])
        await bench.kubelet.start()
        bench.start("--cdi", f"--cdi-dir={directory}")
        await bench.ready(VM_CY, 16)
        await bench.ready("qat.intel.com/dc", 16)
        (container,) = (await bench.kubelet.allocate(VM_CY, [vfs[1], vfs[0]])).container_responses
        assert dict(container.envs) == {
            "QAT0": vfs[1],
            "QAT1": vfs[0],
            "PCIDEVICE_QAT_INTEL_COM_VM-CY": f"{vfs[1]},{vfs[0]}",
            "PCI_RESOURCE_QAT_INTEL_COM_VM-CY": f"{vfs[1]},{vfs[0]}",
        }
        assert dict(container.annotations) == {"qat.intel.com/vfs": f"{vfs[1]},{vfs[0]}"}
        assert (len(container.devices), len(container.cdi_devices), len(container.mounts)) == (0, 0, 0)
        documents = {path.name: json.loads(path.read_text()) for path in directory.iterdir()}
        assert set(documents) == {"qat.intel.com-dc.json", "qat.intel.com-vf.json"}
        assert all([one["name"] for one in document["devices"]] == others for document in documents.values())
        bench.files.bind(vfs[0], None)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(VM_CY) == {vfs[0]})

    run(scenario)


def keeps(bench: Bench, text: str) -> None:
    """Kubelet's checkpoint is this."""
    path = bench.kubelet_dir.parent / CHECKPOINT
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def test_a_vf_that_a_pod_has_by_the_former_rule_is_not_given_again(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start("--cdi", f"--cdi-dir={bench.files.root / 'cdi'}", "--period=0.2")
        await bench.ready(CY, 16)
        entry = {"PodUID": "11-22", "ContainerName": "app", "ResourceName": CY, "DeviceIDs": {"0": [vfs[0]]}}
        keeps(bench, json.dumps({"Data": {"PodDeviceEntries": [entry], "RegisteredDevices": {}}, "Checksum": 1}))
        pod = bench.kubelet_dir.parent / "pods/11-22"
        pod.mkdir(parents=True)
        bench.files.configure([{"attach": "vm"}])
        await bench.ready(VM_CY, 16)
        await bench.ready(CY, 0)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(VM_CY) == {vfs[0]})
        with pytest.raises(grpc.RpcError, match=f"{vfs[0]} cannot be used now: a pod has it as {CY}, or"):
            await bench.kubelet.allocate(VM_CY, [vfs[0]])
        # The pod's container may start again, by the name that kubelet keeps.
        document = json.loads((bench.files.root / "cdi/qat.intel.com-vf.json").read_text())
        assert [one["name"] for one in document["devices"]] == [vfs[0]]
        pod.rmdir()
        await bench.kubelet.until(lambda: not bench.kubelet.unhealthy(VM_CY))
        assert list((bench.files.root / "cdi").iterdir()) == []

    run(scenario)


def test_vfs_are_given_by_the_new_rule_soon_whatever_the_period(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start("--period=3600")
        await bench.ready(CY, 16)
        bench.files.configure([{"attach": "vm"}])
        await bench.ready(VM_CY, 16)
        await bench.kubelet.until(lambda: not bench.kubelet.unhealthy(VM_CY))

    run(scenario)


def test_without_kubelets_checkpoint_no_virtual_machine_gets_a_vf(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.files.add_pf("0000:70:00.0", services="dc")
        bench.files.configure([{"select": {"address": PF}, "attach": "vm"}, {}])
        keeps(bench, "{")
        await bench.kubelet.start()
        plugin = bench.start("--period=0.2")
        await bench.ready(VM_CY, 16)
        await bench.ready("qat.intel.com/dc", 16)
        assert len(bench.kubelet.unhealthy(VM_CY)) == 16
        assert not bench.kubelet.unhealthy("qat.intel.com/dc")
        assert plugin.log.read_text().count("kubelet's checkpoint cannot be read problem=") == 1
        keeps(bench, '{"Data": {"PodDeviceEntries": null, "RegisteredDevices": null}, "Checksum": 1}')
        await bench.kubelet.until(lambda: not bench.kubelet.unhealthy(VM_CY))

    run(scenario)


def test_a_vf_that_a_pod_has_by_a_claim_is_not_given_again(run: Run) -> None:
    """From the first list on, and for as long as nobody says that it is free."""

    async def scenario(bench: Bench) -> None:
        vfs, port, root = bench.files.add_pf(PF), free_port(), bench.files.root
        keep_claims(root, [kept_claim("11-22", "qatvf-0000-6b-00-1"), kept_claim("11-22", "gpu-0", "gpu.example.com")])
        bench.files.configure([{"attach": "vm"}])
        await bench.kubelet.start()
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}")
        await bench.ready(VM_CY, 16)
        assert bench.kubelet.unhealthy(VM_CY) == {vfs[0]}
        lists = len(bench.kubelet.endpoints[VM_CY].lists)
        with pytest.raises(grpc.RpcError, match=r"a pod has it by a claim, from the driver qat\.intel\.com"):
            await bench.kubelet.allocate(VM_CY, [vfs[0]])
        path = keep_claims(root, "of another form")
        await bench.kubelet.until(lambda: "what kubelet keeps of claims cannot be read" in plugin.log.read_text())
        await plugin.goes_on()
        assert bench.kubelet.unhealthy(VM_CY) == {vfs[0]}
        log = plugin.log.read_text()
        assert log.count(f'what was known of them last counts problem="{path} cannot be read: ') == 1
        assert "checkpoint cannot be read" not in log
        page = (await asyncio.get_running_loop().run_in_executor(None, fetch, port, "/metrics"))[1]
        assert 'errors_total{kind="checkpoint"} 0' in page
        assert 'errors_total{kind="claims"} 0' not in page
        assert len(bench.kubelet.endpoints[VM_CY].lists) == lists
        keep_claims(root, [])
        await bench.kubelet.until(lambda: not bench.kubelet.unhealthy(VM_CY))

    run(scenario)


def test_a_vf_that_a_claim_took_since_the_last_scan_is_not_given(run: Run) -> None:
    """Kubelet keeps a claim's devices before the containers start: what it keeps is read again before a VF is named or given."""

    async def scenario(bench: Bench) -> None:
        vfs, root = bench.files.add_pf(PF), bench.files.root
        await bench.kubelet.start()
        bench.start("--period=3600")
        await bench.ready(CY, 16)
        assert not bench.kubelet.unhealthy(CY)
        keep_claims(root, [kept_claim("11-22", "qatvf-0000-6b-00-1")])
        assert vfs[0] not in await bench.kubelet.prefer(CY, vfs, 16)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[0]})
        keep_claims(root, [kept_claim("11-22", "qatvf-0000-6b-00-2")])
        with pytest.raises(grpc.RpcError, match=r"a pod has it by a claim, from the driver qat\.intel\.com"):
            await bench.kubelet.allocate(CY, [vfs[1]])
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[1]})
        keep_claims(root, [])
        await bench.kubelet.allocate(CY, [vfs[1]])

    run(scenario)


def test_preferences_keep_to_what_must_be_included_and_to_one_numa_node(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        near, far = bench.files.add_pf(PF, numa_node=0), bench.files.add_pf("0000:e8:00.0", numa_node=1)
        await bench.kubelet.start()
        bench.start("--allocation-policy=packed")
        await bench.ready(CY, 32)
        assert await bench.kubelet.prefer(CY, [*near[:3], *far], 4) == far[:4]
        assert await bench.kubelet.prefer(CY, [*near[:3], *far], 3, [near[1]]) == [near[1], near[0], near[2]]
        with pytest.raises(grpc.RpcError, match="2 VFs must be included in an allocation of 1"):
            await bench.kubelet.prefer(CY, near, 1, near[:2])

    run(scenario)


def test_advertise_limits_and_a_reload_changes_it(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        bench.files.configure([{"advertise": 4}])
        await bench.kubelet.start()
        plugin = bench.start("--period=60")
        await bench.ready(CY, 4)
        assert list(bench.kubelet.devices(CY)) == vfs[:4]
        # In place, which no event reports.
        bench.files.config.write_text('{"devices": [{"advertise": 6}]}')
        plugin.hang_up()
        await bench.ready(CY, 6)
        bench.files.config.write_text('{"devices": [{"advertise": -1}]}')
        plugin.hang_up()
        await bench.kubelet.until(lambda: "the old configuration stays" in plugin.log.read_text())
        assert "devices[0].advertise: -1 is too small" in plugin.log.read_text()
        bench.files.bind(vfs[0], None)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[0]})
        assert len(bench.kubelet.devices(CY)) == 6
        assert any(message.startswith("RELOADING=1\nMONOTONIC_USEC=") for message in plugin.notices())

    run(scenario)


def test_a_configuration_that_is_written_again_is_taken(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start("--period=60")
        await bench.ready(CY, 16)
        bench.files.configure([{"advertise": 4}])
        await bench.ready(CY, 4)
        assert list(bench.kubelet.devices(CY)) == vfs[:4]
        bench.files.configure([{"advertise": -1}])
        await bench.kubelet.until(lambda: "the old configuration stays" in plugin.log.read_text())
        # One that says the same as before is no news.
        bench.files.configure([{"advertise": 4}])
        bench.files.bind(vfs[0], None)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {vfs[0]})
        assert (len(bench.kubelet.devices(CY)), plugin.reloads()) == (4, 2)

    run(scenario)


def test_a_configuration_is_taken_that_is_written_during_the_start_or_in_steps(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        settings = parse_settings([*Plugin.flags(bench.files, bench.kubelet_dir)[:-1], "--period=60"], {})
        rules = read_rules(settings.config)
        bench.files.configure([{"advertise": 4}])
        service = Service(settings, rules, {})
        running = asyncio.ensure_future(service.run())
        await bench.kubelet.start()
        await bench.ready(CY, 4)
        # An editor writes it in several steps.
        bench.files.config.rename(bench.files.root / "node.json~")
        await asyncio.sleep(0.02)
        bench.files.config.write_text('{"devices": [{"advertise": 6}]}')
        await bench.ready(CY, 6)
        assert service.statistics.reloads == {"succeeded": 2, "failed": 0}
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        await service._thread.run(service._kernel.close)

    run(scenario)


def test_pfs_without_a_rule_or_for_the_host_are_not_offered(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.files.add_pf("0000:70:00.0", services="dc")
        bench.files.add_pf("0000:75:00.0", services="asym")
        host = {"select": {"address": "0000:70:00.0"}, "driver": "4xxxvf"}
        bench.files.configure([host, {"select": {"address": PF}}])
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        assert list(bench.kubelet.endpoints) == [CY]

    run(scenario)


def test_starts_before_there_is_any_vf(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        plugin = bench.start("--period=60")
        await bench.kubelet.until(
            lambda: plugin.notices() == ["STATUS=not ready; no VF to offer (qatctl status says why)", "READY=1"]
        )
        bench.files.add_pf(PF)
        await bench.ready(CY, 16)

    run(scenario)


@pytest.mark.parametrize(
    "rule", [{"advertise": 0}, {"state": "absent"}, {"driver": "4xxxvf"}], ids=lambda rule: next(iter(rule))
)
def test_it_is_ready_without_kubelet_where_nothing_is_to_be_offered(run: Run, rule: dict[str, t.Any]) -> None:
    async def scenario(bench: Bench) -> None:
        port = free_port()
        bench.files.add_pf(PF)
        bench.files.configure([rule])
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}")
        await bench.kubelet.until(lambda: "READY=1" in plugin.notices() and listens(port))
        assert "STATUS=ready; nothing to offer by the configuration" in plugin.notices()
        ready = await asyncio.get_running_loop().run_in_executor(None, fetch, port, "/readyz")
        assert ready == (200, "ok\n")
        # And takes up what another configuration offers.
        bench.files.configure([{}])
        plugin.hang_up()
        await bench.kubelet.start()
        await bench.ready(CY, 16)

    run(scenario)


@pytest.mark.parametrize(
    ("rules", "nothing"),
    [
        ([], True),
        ([{}], False),
        ([{"vfs": 0}], True),
        ([{"select": {"address": PF}, "advertise": 0}, {"select": {"address": "0000:70:00.0"}}], False),
        ([{"select": {"address": PF}, "advertise": 0}, {"select": {"family": "c6xx"}}], True),
        ([{"select": {"address": PF}, "advertise": 0}, {}], True),
        ([{"select": {"family": "c6xx"}}], True),
    ],
    ids=["no-rule", "all", "no-vfs", "a-missing-pf", "another-family", "the-rest", "no-pf-of-the-node"],
)
def test_what_is_to_be_offered_is_a_matter_of_the_rules(
    tmp_path: Path, rules: list[dict[str, t.Any]], nothing: bool
) -> None:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=0)
    with contextlib.closing(LiveKernel(str(files.sys), str(files.proc), str(files.dev))) as kernel:
        node = read_devices(kernel)
    assert nothing_to_offer(parse_configuration({"devices": rules}), node) is nothing


@pytest.mark.parametrize(("rule", "nothing"), [({}, False), ({"advertise": 0}, True)], ids=["all", "none"])
def test_a_node_without_devices_lacks_what_the_rules_offer(rule: dict[str, t.Any], nothing: bool) -> None:
    assert nothing_to_offer(parse_configuration({"devices": [rule]}), Node()) is nothing


def test_the_log_as_json(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start("--log-format=json")
        await bench.ready(CY, 16)
        await bench.kubelet.until(lambda: "registered" in plugin.log.read_text())
        line = json.loads(plugin.log.read_text().splitlines()[-1])
        assert {name: line[name] for name in ("level", "message", "resource", "vfs")} == {
            "level": "info",
            "message": "registered",
            "resource": CY,
            "vfs": 16,
        }
        assert 0 <= float(line["asked_after"]) < 20
        assert 0 < float(line["took"]) < 20
        assert 0 < float(line["options_asked"]) <= float(line["list_asked"]) <= float(line["list_sent"]) < 20

    run(scenario)
