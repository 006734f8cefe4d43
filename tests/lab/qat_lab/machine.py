# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual QAT machine from start to stop.

A machine does not boot: it continues from a saved state, taken right after the first boot of one with the same
hardware and kept in the cache. So start and reset take seconds. After that it is a machine like any other: it can be
rebooted, and its disk and hardware stay the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tools.building import host
from ansible_collections.accel.qat.tools.building.cache import cache_directory
from ansible_collections.accel.qat.tools.building.errors import ToolError

from . import accelerator, image, prune, qemu
from .errors import LabError
from .hardware import Hardware
from .image import Flavour
from .paths import machine_directory, machine_names
from .qmp import Qmp
from .ssh import COMMAND_SECONDS, Connection, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .accelerator import Accelerator

BOOT_SECONDS = 600
STATE_SECONDS = 600
LONGEST_LOOK = 20.0
"""Seconds that one look for sshd may take."""
CONSOLE_LINES = 25
PANIC = "Kernel panic"
KERNEL = "Linux version"
INIT = "Run /init as init process"
SILENT_SECONDS = 120.0
"""Seconds without a word after which a kernel that has not come to its init yet will not go on."""
IMAGE = "image"
"""Link of a saved state to the image of which it was made."""


@dataclass(frozen=True)
class Record:
    """What is remembered of a machine between two commands. state and disk are what a reset goes back to."""

    hardware: Hardware
    forwards: tuple[str, ...]
    port: int
    disk: Path
    state: Path | None

    @property
    def origin(self) -> image.Image:
        """The image of which it was made."""
        directory = self.disk.with_name(IMAGE).resolve() if self.state else self.disk.parent
        return image.Image(directory, directory.name.removeprefix("disk-"))

    def save(self, directory: Path) -> None:
        """Write the record into the directory of its machine."""
        values = {
            "hardware": self.hardware.as_dict(),
            "forwards": self.forwards,
            "port": self.port,
            "disk": str(self.disk),
            "state": str(self.state) if self.state else None,
        }
        aside = directory / "machine.json.new"
        aside.write_text(json.dumps(values, indent=2) + "\n")
        aside.rename(directory / "machine.json")

    @classmethod
    def load(cls, directory: Path) -> Record:
        """Read the record of a machine; OSError if there is none."""
        values = _values(directory)
        return cls(
            hardware=Hardware(**values["hardware"]),
            forwards=tuple(values["forwards"]),
            port=values["port"],
            disk=Path(values["disk"]),
            state=Path(values["state"]) if values["state"] else None,
        )


def _values(directory: Path) -> dict[str, Any]:
    """The record of a machine, as it is written. The machine may be of another checkout, which has hardware that this one lacks."""
    values: dict[str, Any] = json.loads((directory / "machine.json").read_text())
    return values


class KernelStandsStill(LabError):
    """The kernel began to boot, and stopped before its init. Seen once, of emulated processors; why is not known."""


class Machine:
    """A running machine, by its name. As a context manager it is stopped at the end."""

    def __init__(self, name: str) -> None:
        """Take up a machine that was started before; LabError if there is none of that name."""
        self.name = name
        self.directory = machine_directory(name)
        try:
            self.record = Record.load(self.directory)
        except OSError as error:
            raise LabError(f"there is no machine {name!r}: start it with `lab start {name}`.") from error

    @classmethod
    def start(
        cls,
        name: str,
        hardware: Hardware | None = None,
        forwards: Sequence[str] = (),
        cold: bool = False,
        flavour: Flavour = image.PLAIN,
    ) -> Machine:
        """Start a new machine and wait until it answers.

        Each forward is ADDRESS:PORT=HOST:PORT, an address of the guest's network (10.0.2.0/24) that leads to one of
        this host. cold boots instead of continuing from a saved state; flavour is what is installed. LabError if it cannot
        be started; nothing of it is left then.
        """
        directory = machine_directory(name)
        hardware = hardware or Hardware()
        with _lock(directory):
            if qemu.pid(directory) is not None:
                raise LabError(f"machine {name!r} runs already: stop it with `lab stop {name}`.")
            _remove(directory)
            base = image.ensure(flavour)
            speed = accelerator.choose(base)
            state = None if cold else _saved_state(base, speed, hardware)
            disk = state.with_name("disk.qcow2") if state else base.disk
            record = Record(hardware, tuple(forwards), 0, disk, state)
            host.say(f"starting {name}: {hardware.pfs or 'no QAT'}")
            _launch(directory, record, speed, name)
        return cls(name)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether its QEMU runs."""
        return qemu.pid(self.directory) is not None

    @property
    def connection(self) -> Connection:
        """How to reach it by ssh."""
        return Connection(self.record.port)

    @property
    def ssh_options(self) -> list[str]:
        """Options for ssh, without host and user (root@127.0.0.1)."""
        return self.connection.options

    @property
    def console(self) -> str:
        """All that the machine has written to its serial console."""
        return _console(self.directory)

    def run(self, command: str, check: bool = True, timeout: float = COMMAND_SECONDS, stdin: bytes = b"") -> Result:
        """Run a shell command as root; CommandFailed if it fails and check is true, LabError if it does not end."""
        return self.connection.run(command, check=check, timeout=timeout, stdin=stdin)

    def put(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file."""
        self.connection.put(data, path, mode)

    def reset(self) -> None:
        """Put the machine back to the state in which it was started, disk included, in seconds."""
        with _lock(self.directory):
            self.connection.close()
            qemu.stop(self.directory)
            _launch(self.directory, self.record, accelerator.choose(self.record.origin), self.name)
            self.record = Record.load(self.directory)

    def reboot(self, limit: float = BOOT_SECONDS) -> None:
        """Reboot in an orderly way and wait until the machine is up again."""
        boot, said = self._boot_id(), len(self.console)
        self.run("systemctl reboot", check=False)
        self._wait_for_boot_after(boot, said, limit)

    def cut_power(self, limit: float = BOOT_SECONDS) -> None:
        """Pull the plug, plug it in again, and wait until the machine is up: what was not synced is lost."""
        boot, said = self._boot_id(), len(self.console)
        with Qmp(self.directory) as qmp:
            qmp.do("system_reset")
        self._wait_for_boot_after(boot, said, limit)

    def stop(self) -> None:
        """Stop the machine and remove everything of it; it is no error if it is stopped already."""
        with _lock(self.directory):
            if self.directory.exists():
                self.connection.close()
            _remove(self.directory)

    def _boot_id(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout

    def _wait_for_boot_after(self, boot: str, said: int, limit: float) -> None:
        deadline = time.monotonic() + limit
        self.connection.close()
        while time.monotonic() < deadline:
            try:
                _wait_for_ssh(self.connection, self.directory, said, deadline - time.monotonic())
            except KernelStandsStill as error:
                said = len(self.console)
                self._start_again(error)
                continue
            except ToolError as error:
                raise LabError(f"{error}\n{_tail(self.directory)}".rstrip()) from error
            now = self.run("cat /proc/sys/kernel/random/boot_id", check=False, timeout=limit)
            if now.rc == 0 and now.stdout != boot:
                _wait_until_booted(self.connection, deadline - time.monotonic())
                return
            self.connection.close()
            time.sleep(0.5)
        raise LabError(f"machine {self.name!r} did not come back within {limit:.0f} s.\n{_tail(self.directory)}")

    def _start_again(self, reason: KernelStandsStill) -> None:
        """Boot from the disk as it is. Nothing is lost: no program of the guest has run since it was left."""
        host.say(f"{self.name}: {reason} It is started again.")
        record = self.record
        qemu.stop(self.directory)
        speed = accelerator.choose(record.origin)
        qemu.start(self.directory, qemu.Launch(record.hardware, speed, record.port, record.forwards)).close()


def names() -> list[str]:
    """Names of all machines that exist, running or not."""
    return machine_names()


def remove(name: str) -> None:
    """Stop and remove a machine, even one whose start was cut short, or one that another thread or process is just starting."""
    directory = machine_directory(name)
    qemu.stop(directory)  # which ends a start, and with it the lock that we would wait for
    try:
        Machine(name).stop()
    except ToolError:
        with _lock(directory):
            _remove(directory)


def _lock(directory: Path) -> Any:
    return host.lock(directory.with_suffix(".lock"), f"it works on {directory.name}")


def _remove(directory: Path) -> None:
    qemu.stop(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _console(directory: Path) -> str:
    try:
        return (directory / "console.log").read_text(errors="replace")
    except OSError:
        return ""


def _tail(directory: Path) -> str:
    lines = _console(directory).splitlines()[-CONSOLE_LINES:]
    return "\n".join(["The console's last lines:", *lines]) if lines else ""


def _launch(directory: Path, record: Record, speed: Accelerator, name: str) -> None:
    """Run a machine on a fresh overlay of its disk; whatever goes wrong, nothing is left of it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        launch = qemu.Launch(record.hardware, speed, record.port, record.forwards, record.state)
        port = _power_on(directory, launch, record.disk)
        replace(record, port=port).save(directory)
        _introduce(Connection(port), name)
    except BaseException as error:
        qemu.stop(directory)
        tail = _tail(directory)
        shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, ToolError):
            raise LabError(f"{error}\n{tail}".rstrip()) from error
        raise


def _power_on(directory: Path, launch: qemu.Launch, disk: Path) -> int:
    """Start QEMU on an overlay of a disk, wait until the guest answers, and return its ssh port."""
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        try:
            return _power_on_once(directory, launch, disk)
        except KernelStandsStill as error:
            if time.monotonic() > deadline:
                raise
            host.say(f"{directory.name}: {error} It is started again.")
            qemu.stop(directory)


def _power_on_once(directory: Path, launch: qemu.Launch, disk: Path) -> int:
    overlay, said = directory / "disk.qcow2", len(_console(directory))
    overlay.unlink(missing_ok=True)
    backing = "raw" if disk.suffix == ".raw" else "qcow2"
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", backing, overlay])
    with qemu.start(directory, launch) as qmp:
        if launch.state:
            qmp.load_state(STATE_SECONDS)
        port = qemu.ssh_port(qmp)
    connection = Connection(port)
    _wait_for_ssh(connection, directory, said, BOOT_SECONDS)
    if not launch.state:
        _wait_until_booted(connection, BOOT_SECONDS)
    return port


def _wait_for_ssh(connection: Connection, directory: Path, said: int, limit: float) -> None:
    """Wait until sshd answers; LabError after limit seconds, when QEMU ends, or when the kernel panics or stands still.

    What the console had `said` before is of another boot.
    """
    deadline = time.monotonic() + limit
    booting = Booting(time.monotonic())
    # One look longer than the other: a guest may always be slower than a short one.
    patience = 2.0
    while not connection.answers(patience):
        if qemu.pid(directory) is None:
            raise LabError("its QEMU has ended.")
        console = _console(directory)[said:]
        if PANIC in console:
            raise LabError("the kernel of the machine panicked.")
        if booting.stands_still(console, time.monotonic()):
            raise KernelStandsStill(
                f"its kernel said nothing for {SILENT_SECONDS:.0f} s, and did not come to its init."
            )
        if time.monotonic() > deadline:
            raise LabError(f"no sshd answered on port {connection.port} within {limit:.0f} s.")
        time.sleep(0.2)
        patience = min(1.1 * patience, LONGEST_LOOK)


@dataclass
class Booting:
    """What the console says of a boot, and since when, in seconds, it has said no more."""

    since: float
    said: str = ""

    def stands_still(self, console: str, now: float) -> bool:
        """Whether the kernel began and has stopped. One that still loads, or has come to its init, may take as long as it likes."""
        if console != self.said:
            self.since, self.said = now, console
        return KERNEL in console and INIT not in console and now - self.since > SILENT_SECONDS


def _wait_until_booted(connection: Connection, limit: float) -> None:
    """Wait until systemd has no jobs left; LabError if a unit failed."""
    state = connection.run("systemctl is-system-running --wait", check=False, timeout=max(limit, 1)).stdout.strip()
    if state != "running":
        failed = connection.run("systemctl --failed --plain --no-legend", check=False).stdout.strip()
        raise LabError(f"the machine booted, but is {state or 'silent'}: {failed or 'no unit says why'}.")


def _introduce(connection: Connection, name: str) -> None:
    """Give the guest the time and its name, neither of which a saved state can know."""
    # The first command makes the connection, which takes seconds: the time would be from before that.
    connection.run("true")
    commands = (
        f"date --utc --set=@{time.time():.3f}",
        f"hostname {name}",
        f"echo {name} > /etc/hostname",
        f"printf '127.0.0.1 localhost\\n127.0.1.1 {name}\\n::1 localhost\\n' > /etc/hosts",
    )
    connection.run(" && ".join(commands))


# Saved states.


def _saved_state(base: image.Image, speed: Accelerator, hardware: Hardware) -> Path:
    """File with the state of a machine that has just booted with this hardware, made now if there is none."""
    question = [base.key, host.run([qemu.BINARY, "--version"]), hardware.as_dict()]
    question.append(qemu.command(qemu.Launch(hardware, speed)))
    key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]
    directory = cache_directory() / "states" / key
    with host.lock(directory.with_suffix(".lock"), "saving the state of a booted machine"):
        if not directory.exists():
            _save_state(directory, base, qemu.Launch(hardware, speed))
            prune.prune(disks_in_use())
    (directory / "state.zst").touch()
    return directory / "state.zst"


def _save_state(directory: Path, base: image.Image, launch: qemu.Launch) -> None:
    host.say(
        "booting a machine with this hardware for the first time, to save its state; one to two minutes without KVM"
    )
    aside = directory.with_suffix(".building")
    _remove(aside)
    aside.mkdir()
    try:
        connection = Connection(_power_on(aside, launch, base.disk))
        connection.run("sync")
        connection.close()
        with Qmp(aside) as qmp:
            qmp.save_state("zstd -q -1 -T0 -o state.zst", limit=STATE_SECONDS)
        qemu.stop(aside)
        (aside / IMAGE).symlink_to(base.directory)
        aside.rename(directory)
    except BaseException as error:
        tail = _tail(aside)
        _remove(aside)
        if isinstance(error, ToolError):
            raise LabError(f"{error}\n{tail}".rstrip()) from error
        raise


def disks_in_use() -> set[Path]:
    """The disks that a machine goes back to when it is reset."""
    disks = set()
    for name in names():
        with contextlib.suppress(OSError):
            disks.add(Path(_values(machine_directory(name))["disk"]))
    return disks
