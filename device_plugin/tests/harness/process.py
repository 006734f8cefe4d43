# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from .node_files import NodeFiles

LISTEN_SECONDS = 120.0
MARK = "HARNESS_PLUGIN"
"""The variable of the environment by which all processes of a plugin are found."""
SOURCE = Path(__file__).resolve().parents[2] / "src"


class Reload(t.NamedTuple):
    """A process that ends when another one has taken over, or has not. What both say goes to a file."""

    process: subprocess.Popen[bytes]
    log: Path


class Plugin:
    """One process. What it says goes to a file; its notices to systemd come to a socket."""

    def __init__(
        self,
        files: NodeFiles,
        kubelet_dir: Path,
        *flags: str,
        watchdog: float | None = None,
        program: tuple[str, str] = ("-m", "qat_device_plugin"),
    ) -> None:
        self.log = files.root / f"plugin-{time.monotonic_ns()}.log"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(files.root / f"notify-{time.monotonic_ns()}")
        self.notify.bind(address)
        self.notify.setblocking(False)
        self._notices: list[str] = []
        environment = {**os.environ, "NOTIFY_SOCKET": address, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"}
        environment[MARK] = self.mark = address
        if watchdog:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        self.started_at = time.monotonic()
        self._command = [sys.executable, *program, *self.flags(files, kubelet_dir), *flags]
        self._environment = environment
        self._reloads: list[subprocess.Popen[bytes]] = []
        with self.log.open("w") as output:
            self.process = subprocess.Popen(self._command, stdout=output, stderr=output, env=environment)

    def reload(self, *flags: str, program: tuple[str, str] = ("-m", "qat_device_plugin")) -> Reload:
        """What systemd runs at `systemctl reload`."""
        environment = {name: value for name, value in self._environment.items() if not name.startswith("WATCHDOG")}
        del environment["NOTIFY_SOCKET"]  # only the main process gets it
        command = [self._command[0], *program, *self._command[3:], f"--take-over={self.main_pid}", *flags]
        log = self.log.with_name(f"reload-{time.monotonic_ns()}.log")
        with log.open("w") as output:
            self._reloads.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))
        return Reload(self._reloads[-1], log)

    @property
    def main_pid(self) -> int:
        """The process that systemd takes for the main one."""
        named = [message for message in self.notices() if message.startswith("MAINPID=")]
        return int(named[-1].partition("=")[2]) if named else self.process.pid

    @staticmethod
    def flags(files: NodeFiles, kubelet_dir: Path) -> list[str]:
        values = {
            "--config": files.config,
            "--sysfs-root": files.sys,
            "--dev-root": files.dev,
            "--proc-root": files.proc,
            "--kubelet-dir": kubelet_dir,
            "--run-dir": files.root / "run",
            "--cdi-dir": files.root / "cdi",
            "--nfd-dir": files.root / "nfd",
            "--period": 0.2,
        }
        return [f"{name}={value}" for name, value in values.items()]

    def notices(self) -> list[str]:
        """All that it has reported to systemd."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._notices.append(self.notify.recv(4096).decode())
        return self._notices

    def is_ready(self) -> bool:
        """Whether the last status that systemd has says so: kubelet has taken every list, and the plugin knows it."""
        said = [message for message in self.notices() if message.startswith("STATUS=")]
        return said[-1:] != [] and said[-1].startswith("STATUS=ready")

    def reloads(self) -> int:
        """How often it has read its configuration again, to the good or not."""
        log = self.log.read_text()
        return log.count("configuration reloaded") + log.count("the old configuration stays")

    async def goes_on(self, turns: int = 10) -> None:
        """Wait until its main thread has come to rest so many times: what was to happen has happened by then, on a slow machine too."""
        end = status_value(self.process, "voluntary_ctxt_switches") + turns
        while status_value(self.process, "voluntary_ctxt_switches") < end:
            assert self.process.poll() is None, self.log.read_text()
            await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> float:
        """SIGTERM; returns the seconds it took."""
        begin = time.monotonic()
        self.process.terminate()
        assert self.process.wait(120) == 0, self.log.read_text()
        return time.monotonic() - begin

    def last_words(self) -> str:
        """The log, with what each thread of a process that still runs was doing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
        return self.log.read_text()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        # What a reload has started is a child of nobody, and the main process only if all went well.
        while left := processes_with(f"{MARK}={self.mark}"):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        for reload in self._reloads:
            reload.wait()
        self.notify.close()


def processes_with(variable: str) -> list[int]:
    """Those that have this in their environment, as a process has from whoever has started it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetch(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page, of a process that may have to begin to listen first."""
    deadline = time.monotonic() + LISTEN_SECONDS
    while not listens(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def children(process: t.Any) -> list[str]:
    """The processes that it has started, those included that have ended and that it has not waited for."""
    return [pid for path in Path(f"/proc/{process.pid}/task").glob("*/children") for pid in path.read_text().split()]


def status_text(process: t.Any, name: str) -> str:
    """A field of /proc/PID/status."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1]
    raise KeyError(name)


def status_value(process: t.Any, name: str) -> int:
    """A number there, such as VmRSS in KiB."""
    return int(status_text(process, name))
