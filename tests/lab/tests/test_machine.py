# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, resetting, rebooting and stopping machines."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab import accelerator, image, qemu
from ansible_collections.accel.qat.tests.lab.qat_lab import machine as machines
from ansible_collections.accel.qat.tests.lab.qat_lab.errors import LabError
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.lab.qat_lab.paths import SOURCES, machine_directory, machines_directory
from ansible_collections.accel.qat.tests.lab.qat_lab.qmp import Qmp
from ansible_collections.accel.qat.tools.building.errors import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = [sys.executable, str(SOURCES / "lab")]
PF = "/sys/bus/pci/devices/0000:6b:00.0"
PATIENCE = 300
CLOCK_SECONDS = 60


def processes_in(directory: Path) -> list[int]:
    """Processes whose working directory is that of a machine."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink(f"/proc/{entry}/cwd").startswith(str(directory)):
                    found.append(int(entry))
            except OSError:
                continue
    return found


def assert_has_the_time(machine: Machine) -> None:
    """The guest's clock is the host's, but for what the command that set it took; a saved state has that of its own day."""
    before = time.time()
    guest = float(machine.run("date +%s.%N").stdout)
    assert before - CLOCK_SECONDS < guest < time.time() + CLOCK_SECONDS


def assert_nothing_left(name: str) -> None:
    assert processes_in(machine_directory(name)) == []
    assert list(machines_directory().glob(f"{name}*")) == []


class TestInUse:
    """Things to do with a machine that runs."""

    def test_command_that_succeeds(self, plain_machine: Machine) -> None:
        result = plain_machine.run("echo out; echo err >&2")
        assert (result.stdout, result.stderr, result.rc) == ("out\n", "err\n", 0)

    def test_command_that_fails(self, plain_machine: Machine) -> None:
        assert plain_machine.run("exit 3", check=False).rc == 3
        with pytest.raises(CommandFailed, match="failed with exit code 3: reason"):
            plain_machine.run("echo reason >&2; exit 3")

    def test_command_that_does_not_end(self, plain_machine: Machine) -> None:
        with pytest.raises(LabError, match="'sleep 60' did not end within 1 s"):
            plain_machine.run("sleep 60", timeout=1)

    def test_file(self, plain_machine: Machine) -> None:
        data = bytes(range(256)) * 100
        plain_machine.put(data, "/root/a file", mode=0o640)
        assert plain_machine.run("stat -c '%a %s' '/root/a file'").stdout == f"640 {len(data)}\n"

    def test_name_and_time(self, plain_machine: Machine) -> None:
        assert plain_machine.run("hostname; getent hosts $(hostname)").stdout.split() == [
            plain_machine.name,
            "127.0.1.1",
            plain_machine.name,
        ]
        assert_has_the_time(plain_machine)

    def test_module_from_a_zip_is_compiled_once(self, plain_machine: Machine) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("packed.py", f"# {time.time()}\ndef fail():\n    raise ValueError\n")
        kept = []
        directory = plain_machine.run(
            "python3 -c 'import compile_cache; print(compile_cache.DIRECTORY)'"
        ).stdout.strip()
        for path in ("/root/first.zip", "/root/second.zip"):
            plain_machine.put(packed.getvalue(), path)
            call = f"import sys; sys.path.insert(0, '{path}'); import packed; packed.fail()"
            assert (
                f'File "{path}/packed.py", line 3, in fail'
                in plain_machine.run(f'python3 -c "{call}"', check=False).stderr
            )
            kept.append(plain_machine.run(f"ls {directory} | wc -l").stdout)
        assert kept[0] == kept[1]
        assert int(kept[0]) > 0

    def test_no_way_out(self, plain_machine: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            reach = f"import socket; socket.create_connection(('10.0.2.2', {port}), timeout=3)"
            assert plain_machine.run(f'python3 -c "{reach}"', check=False).rc != 0

    def test_console(self, plain_machine: Machine) -> None:
        plain_machine.run("echo hello from the guest > /dev/ttyS0")
        deadline = time.monotonic() + PATIENCE
        while "hello from the guest" not in plain_machine.console:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_inventory(self, plain_machine: Machine) -> None:
        text = subprocess.run(
            [*LAB, "inventory", plain_machine.name], capture_output=True, text=True, check=True
        ).stdout
        for part in (
            f"{plain_machine.name}:",
            f"ansible_port: {plain_machine.record.port}",
            'ansible_host: "127.0.0.1"',
        ):
            assert part in text

    def test_ansible_reaches_it(self, plain_machine: Machine, tmp_path: Path) -> None:
        inventory = tmp_path / "inventory.yml"
        made = subprocess.run([*LAB, "inventory", plain_machine.name], capture_output=True, check=True)
        inventory.write_bytes(made.stdout)
        command = [os.path.join(os.path.dirname(sys.executable), "ansible"), "-i", str(inventory), "all", "-m", "ping"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert f"{plain_machine.name} | SUCCESS" in done.stdout, done.stdout + done.stderr

    def test_same_name_again(self, plain_machine: Machine) -> None:
        with pytest.raises(LabError, match="runs already"):
            Machine.start(plain_machine.name)
        assert plain_machine.running

    def test_list(self, plain_machine: Machine) -> None:
        text = subprocess.run([*LAB, "list"], capture_output=True, text=True, check=True).stdout
        assert f"{plain_machine.name}  running  port {plain_machine.record.port}" in text


class TestReset:
    """Back to the start in seconds."""

    def test_everything_is_as_at_the_start(self, plain_machine: Machine) -> None:
        boot = plain_machine.run("cat /proc/sys/kernel/random/boot_id").stdout
        port = plain_machine.record.port
        plain_machine.run(f"touch /root/mark; sync; echo 16 > {PF}/sriov_numvfs; echo down > {PF}/qat/state")
        plain_machine.reset()
        state = plain_machine.run(f"ls /root/mark; cat {PF}/sriov_numvfs {PF}/qat/state", check=False).stdout.split()
        assert state == ["0", "up"]
        assert plain_machine.run("cat /proc/sys/kernel/random/boot_id").stdout == boot
        assert plain_machine.record.port == port
        assert_has_the_time(plain_machine)

    def test_it_takes_seconds(self, plain_machine: Machine) -> None:
        """Far below the time of a boot. The fastest counts: a busy host may let any one of them wait."""

        def seconds() -> float:
            begin = time.monotonic()
            plain_machine.reset()
            return time.monotonic() - begin

        assert min(seconds() for _ in range(3)) < 20

    def test_a_dead_machine_comes_back(self, plain_machine: Machine) -> None:
        (number,) = processes_in(plain_machine.directory)
        os.kill(number, signal.SIGKILL)
        plain_machine.reset()
        assert plain_machine.run("hostname").stdout.strip() == plain_machine.name


@pytest.fixture(scope="class")
def iommu_off(own_name: str) -> Iterator[Machine]:
    with Machine.start(f"{own_name}-off", Hardware(iommu=False)) as machine:
        yield machine


class TestReboot:
    """A machine whose kernel leaves the IOMMU off, as many distributions do; in this order."""

    def test_iommu_is_off(self, iommu_off: Machine) -> None:
        assert "intel_iommu=off" in iommu_off.run("cat /proc/cmdline").stdout
        assert iommu_off.run("ls /sys/kernel/iommu_groups /sys/class/iommu").stdout.split() == [
            "/sys/class/iommu:",
            "/sys/kernel/iommu_groups:",
        ]

    def test_argument_takes_effect_with_a_reboot(self, iommu_off: Machine) -> None:
        """The guest has its own boot loader and its own disk; its hardware stays."""
        argument = 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX intel_iommu=on"'
        iommu_off.put(argument.encode(), "/etc/default/grub.d/90-test.cfg")
        iommu_off.run("update-grub")
        iommu_off.reboot()
        assert iommu_off.run("ls /sys/class/iommu").stdout == "dmar0\n"
        # What an emulated processor needs stays; only what stands for another distribution's kernel gives way.
        given = iommu_off.run("cat /proc/cmdline").stdout.split()
        assert "intel_iommu=off" not in given
        assert set(accelerator.choose(iommu_off.record.origin).kernel_arguments) <= set(given)
        assert iommu_off.run("cat /sys/bus/pci/devices/*/sriov_totalvfs").stdout.split() == ["16", "16"]
        assert iommu_off.run("hostname").stdout.strip() == iommu_off.name

    def test_power_cut_keeps_what_was_synced(self, iommu_off: Machine) -> None:
        iommu_off.run("echo kept > /root/kept && sync && echo 16 > /sys/bus/pci/devices/0000:6b:00.0/sriov_numvfs")
        iommu_off.cut_power()
        after = iommu_off.run(f"cat /root/kept {PF}/sriov_numvfs").stdout.split()
        assert after == ["kept", "0"]

    def test_kernel_that_stands_still_is_started_again(
        self, iommu_off: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As one does whose emulated processors stop. What was synced is there, and the port stays."""
        usual = machines.SILENT_SECONDS
        iommu_off.run("echo again > /root/again && sync")
        before, (first,) = len(iommu_off.console), processes_in(iommu_off.directory)

        def stop_the_processors() -> None:
            while machines.KERNEL not in iommu_off.console[before:]:
                time.sleep(0.01)
            with Qmp(iommu_off.directory) as qmp:
                qmp.do("stop")
            monkeypatch.setattr(machines, "SILENT_SECONDS", 1.0)
            while processes_in(iommu_off.directory) == [first]:
                time.sleep(0.01)
            monkeypatch.setattr(machines, "SILENT_SECONDS", usual)

        with ThreadPoolExecutor(max_workers=1) as pool:
            stopped = pool.submit(stop_the_processors)
            iommu_off.cut_power()
            stopped.result()
        assert processes_in(iommu_off.directory) != [first]
        assert iommu_off.run("cat /root/again").stdout == "again\n"
        assert iommu_off.console[before:].count(machines.KERNEL) == 2
        assert iommu_off.console[before:].count(machines.INIT) == 1

    def test_reset_undoes_reboots(self, iommu_off: Machine) -> None:
        iommu_off.reset()
        assert iommu_off.run("ls /sys/class/iommu").stdout == ""


@pytest.fixture(scope="class")
def many(own_name: str) -> Iterator[Machine]:
    """Eight PFs, one without NUMA node, and one in another PCI domain."""
    eight = [f"4xxx@{0x30 + 5 * i:02x}:{i % 2}" for i in range(8)]
    hardware = Hardware(pfs=",".join([*eight, "4xxx@60", "4xxx@0001:6b:0"]), generation="6.16")
    with Machine.start(f"{own_name}-many", hardware) as machine:
        yield machine


class TestBooting:
    """When a kernel is taken for one that stands still."""

    LATE = 1000.0

    @pytest.mark.parametrize(
        ("console", "still"),
        [
            ("", False),
            ("the boot loader's menu", False),
            (f"[    0.000000] {machines.KERNEL} 6.1", True),
            (f"[    0.000000] {machines.KERNEL} 6.1\n[    9.000000] {machines.INIT}", False),
        ],
    )
    def test_what_it_said(self, console: str, still: bool) -> None:
        booting = machines.Booting(0.0, console)
        assert booting.stands_still(console, self.LATE) is still

    def test_what_goes_on(self) -> None:
        booting = machines.Booting(0.0, machines.KERNEL)
        assert not booting.stands_still(f"{machines.KERNEL} and more", self.LATE)
        assert not booting.stands_still(f"{machines.KERNEL} and more", self.LATE + 1)
        assert booting.stands_still(f"{machines.KERNEL} and more", 2 * self.LATE)


class TestHardware:
    """What differs from machine to machine."""

    def test_none(self, own_name: str) -> None:
        with Machine.start(f"{own_name}-none", Hardware(pfs="")) as machine:
            assert machine.run("lspci -n -d 8086: | grep -c ' 0b40:'", check=False).stdout == "0\n"
            assert machine.run("lsmod | grep -c qat", check=False).stdout == "0\n"

    def test_eight_pfs_give_128_vfs(self, many: Machine) -> None:
        many.run(
            "for pf in /sys/bus/pci/devices/0000:*/sriov_numvfs; do [ ! -e ${pf%/*}/driver ] || echo 16 > $pf; done"
        )
        assert many.run("ls -d /sys/bus/pci/devices/*/physfn | wc -l").stdout == "128\n"
        vfs = many.run("for vf in /sys/bus/pci/devices/*/physfn; do readlink ${vf%/*}/iommu_group; done").stdout.split()
        assert len(set(vfs)) == 128

    def test_generation(self, many: Machine) -> None:
        assert many.run("cat /sys/module/intel_qat/parameters/generation").stdout == "6.16\n"

    def test_pf_without_numa_node_is_refused_by_its_driver_on_a_machine_with_nodes(self, many: Machine) -> None:
        pf = "/sys/bus/pci/devices/0000:60:00.0"
        assert many.run(f"cat {pf}/numa_node; ls -d {pf}/driver", check=False).stdout == "-1\n"

    def test_pf_in_another_domain_is_not_behind_the_iommu(self, many: Machine) -> None:
        pf = "/sys/bus/pci/devices/0001:6b:00.0"
        assert many.run(f"ls -d {pf}/driver {pf}/iommu_group", check=False).stdout == f"{pf}/driver\n"

    def test_forward_reaches_a_server_of_the_host(self, own_name: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            answer = threading.Thread(target=_greet, args=(server, 2))
            answer.start()
            forward = f"10.0.2.100:80=127.0.0.1:{server.getsockname()[1]}"
            with Machine.start(f"{own_name}-fwd", forwards=[forward]) as machine:
                ask = "import socket; print(socket.create_connection(('10.0.2.100', 80), timeout=300).recv(9).decode())"
                said = [machine.run(f'python3 -c "{ask}"').stdout for _ in range(2)]
            answer.join()
        assert said == ["hello\n", "hello\n"]


def _greet(server: socket.socket, times: int) -> None:
    for _ in range(times):
        with server.accept()[0] as line:
            line.sendall(b"hello")


class TestEnd:
    """Nothing stays behind."""

    def test_two_machines_side_by_side(self, own_name: str) -> None:
        one, two = f"{own_name}-one", f"{own_name}-two"
        with Machine.start(one) as first:
            with Machine.start(two) as second:
                assert first.record.port != second.record.port
                first.run(f"echo down > {PF}/qat/state; touch /root/mark")
                assert second.run(f"cat {PF}/qat/state; ls /root").stdout == "up\n"
            assert_nothing_left(two)
            assert first.run("hostname").stdout.strip() == one
        assert_nothing_left(one)

    def test_stop_by_command(self, own_name: str) -> None:
        name = f"{own_name}-cmd"
        subprocess.run([*LAB, "start", name], check=True, capture_output=True)
        subprocess.run([*LAB, "stop", name], check=True, capture_output=True)
        assert_nothing_left(name)
        again = subprocess.run([*LAB, "stop", name], check=False, capture_output=True, text=True)
        assert (again.returncode, again.stderr) == (1, f"lab: there is no machine '{name}'.\n")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_start(self, own_name: str, number: signal.Signals) -> None:
        name = f"{own_name}-cut{number}"
        # What a shell starts in the background ignores SIGINT, and so do its children.
        command = ["env", "--default-signal=INT", *LAB, "start", "--cold", name]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + PATIENCE
            while not processes_in(machine_directory(name)):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            assert process.wait(timeout=PATIENCE) in (130, 143)
        assert_nothing_left(name)

    def test_start_killed_outright_is_cleaned_by_stop(self, own_name: str) -> None:
        name = f"{own_name}-kill"
        with subprocess.Popen([*LAB, "start", "--cold", name], stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + PATIENCE
            while not processes_in(machine_directory(name)):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.kill()
        assert name in machines.names()
        subprocess.run([*LAB, "stop", name], check=True, capture_output=True)
        assert_nothing_left(name)

    def test_kernel_panic_is_reported_at_once(self, own_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        speed = accelerator.choose(image.ensure())
        broken = speed._replace(kernel_arguments=(*speed.kernel_arguments, "rdinit=/nothing"))
        monkeypatch.setattr(accelerator, "choose", lambda _image: broken)
        with pytest.raises(LabError, match=r"the kernel of the machine panicked\.(?s:.*)Unable to mount root fs"):
            Machine.start(f"{own_name}-panic", cold=True)
        assert_nothing_left(f"{own_name}-panic")

    def test_removed_while_it_starts(self, own_name: str) -> None:
        name = f"{own_name}-removed"
        with ThreadPoolExecutor() as pool:
            start = pool.submit(Machine.start, name, cold=True)
            while not start.done() and qemu.pid(machine_directory(name)) is None:
                time.sleep(0.05)
            machines.remove(name)
            with pytest.raises(LabError, match="QEMU"):
                start.result()
        assert_nothing_left(name)

    def test_failed_start(self, own_name: str) -> None:
        name = f"{own_name}-fail"
        with pytest.raises(LabError, match="is no forward"):
            Machine.start(name, forwards=["nonsense"])
        with pytest.raises(LabError, match=r"QEMU did not start: .*memory"):
            Machine.start(name, Hardware(memory=1 << 30), cold=True)
        assert_nothing_left(name)
