# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the directory that stands for a node, and looks at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

# As a module, which Python compiles once, and a program each time.
_CALL = """#!/bin/sh
export ACCEL_QAT_FAKE_ROOT={root}
exec {python} -I -S -c 'import sys; sys.path.append("{directory}"); import programs; programs.main()' "$0" "$@"
"""
# The node's programs know where they are, so nothing has to be changed for them.
_CHROOT = """#!/bin/sh
root=$1 command=$2
shift 2
exec "$root$command" "$@"
"""

# A kubelet of 1.27: DevicePlugins can still be named, and is locked.
GATES = {"DevicePlugins": (True, True), "KubeletPodResources": (True, False), "NodeSwap": (False, False)}


@dataclass
class Service:
    """A unit: what it starts, and how systemd writes that."""

    command: t.Sequence[str]
    argv: str = ""
    environment: str = ""
    environment_files: t.Sequence[str] = ()
    alias: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "command": list(self.command),
            "argv": self.argv or " ".join(self.command),
            "environment": self.environment,
            "environment_files": list(self.environment_files),
            "alias": self.alias,
        }


@dataclass
class KubeletNode:
    """A node in a directory. Its files are given and looked at by their paths on the node."""

    directory: Path
    files: t.Mapping[str, str]
    services: t.Mapping[str, Service] = field(default_factory=dict)
    version: str = "1.27.4"
    gates: t.Mapping[str, tuple[bool, bool]] = field(default_factory=lambda: dict(GATES))
    programs: t.Mapping[str, str] = field(default_factory=lambda: {"kubelet": "/usr/bin/kubelet"})
    said: str = ""
    kubelet_dir: str = "/var/lib/kubelet"
    device_plugins_dir: str = "/var/lib/kubelet/device-plugins"
    serves: bool = True
    fails_with: tuple[str, str] | None = None
    # What systemd gives to every unit, as it shows it.
    systemd_environment: str = "LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

    def __post_init__(self) -> None:
        # As on a node: who may write to a directory decides whether root runs a program in it.
        before = os.umask(0o022)
        try:
            self._make()
        finally:
            os.umask(before)

    def _make(self) -> None:
        for path, text in self.files.items():
            self.write(path, text)
        for path in (*_TOOLS, *self.programs.values()):
            self._program(self.root / path.lstrip("/"), _CALL)
        self._program(self.directory / "bin/chroot", _CHROOT)
        for name in ("run", "proc", "tmp"):
            (self.root / name).mkdir(exist_ok=True)
        self.add_process(1, ["/sbin/init"])
        self.settle()

    @property
    def root(self) -> Path:
        """Where the node's file system is."""
        return self.directory / "root"

    @property
    def environment(self) -> dict[str, str]:
        """With the chroot that needs no root."""
        return {"PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}

    def settle(self) -> None:
        """Show the programs how this node is."""
        settings = {
            "version": self.version,
            "gates": {name: list(gate) for name, gate in self.gates.items()},
            "units": {name: service.as_dict() for name, service in self.services.items()},
            "programs": dict(self.programs),
            "said": self.said,
            "kubelet_dir": self.kubelet_dir,
            "device_plugins_dir": self.device_plugins_dir,
            "serves": self.serves,
            "fails_with": self.fails_with,
            "systemd_environment": self.systemd_environment,
        }
        (self.root / "fake.json").write_text(json.dumps(settings))

    def _program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(root=self.root, python=sys.executable, directory=Path(__file__).parent))
        path.chmod(0o755)

    def add_program(self, path: str) -> None:
        """Put one of the node's programs in another place too."""
        self._program(self.root / path.lstrip("/"), _CALL)

    def add_process(
        self,
        pid: int,
        words: t.Sequence[str],
        program: str = "",
        *,
        user: int | None = None,
        namespaces: str = "host",
        parent: int = 1,
    ) -> None:
        """Have /proc show one more process, by default one of the host's own user. Its program is the first word, where none is given.

        Namespaces are `host`, or any other name for those of a container: one of its own of each kind, or of one kind as `mnt=NAME`.
        """
        process = self.root / "proc" / str(pid)
        (process / "ns").mkdir(parents=True)
        kind, _equals, inside = namespaces.rpartition("=")
        for name in ("mnt", "pid", "user", "cgroup"):
            (process / "ns" / name).symlink_to(f"{name}:[{inside if kind in ('', name) else 'host'}]")
        (process / "root").symlink_to("/")
        (process / "exe").symlink_to(program or words[0])
        (process / "cmdline").write_text("\0".join(words) + "\0")
        uid = os.geteuid() if user is None else user
        depth = "" if namespaces == "host" or kind not in ("", "pid") else "\t7"
        (process / "status").write_text(
            f"Name:\t{words[0].rpartition('/')[2][:15]}\nPPid:\t{parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{pid}{depth}\n"
        )

    def write(self, path: str, text: str) -> None:
        """Put a file there."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def read(self, path: str) -> str | None:
        """A file's text, None where there is none."""
        place = self.root / path.lstrip("/")
        return place.read_text() if place.exists() else None

    def remove(self, path: str) -> None:
        """Take a file away."""
        (self.root / path.lstrip("/")).unlink()

    def systemctl(self, *words: str) -> int:
        """As an administrator would."""
        return subprocess.run([self.root / "usr/bin/systemctl", *words], check=False).returncode

    def start(self, unit: str = "kubelet.service") -> None:
        """Start a unit, and wait until its process shows in proc."""
        self.systemctl("restart", unit)
        self._wait(lambda: len(list((self.root / "proc").iterdir())) > 1, unit)

    def wait_until_served(self, unit: str = "kubelet.service") -> None:
        """Wait until device plugins can register: the directory is the last that a starting kubelet changes."""
        socket = self.root / self.device_plugins_dir.lstrip("/") / "kubelet.sock"
        self._wait(socket.exists, unit)

    def _wait(self, has_come: t.Callable[[], bool], unit: str) -> None:
        end = time.monotonic() + 60
        while not has_come():
            assert time.monotonic() < end, self.read(f"/run/{unit}.log")
            time.sleep(0.02)

    def asked(self) -> list[str]:
        """What systemctl was asked to change, in its order."""
        said = (self.read("/run/systemctl") or "").splitlines()
        return [line for line in said if line.split()[0] in ("stop", "start", "restart")]

    def is_active(self, unit: str = "kubelet.service") -> bool:
        """Whether its process runs."""
        return self.systemctl("is-active", unit) == 0

    def end(self) -> None:
        """End what runs."""
        for unit in self.services:
            self.systemctl("stop", unit)

    def state(self) -> dict[str, str]:
        """Every file of the node's configuration: what a change would show in."""
        places = ("etc", "var/lib", "var/snap")
        found = (path for place in places for path in (self.root / place).rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.root)): path.read_text() for path in found if path.name != "cpu_manager_state"
        }


_TOOLS = tuple(f"/usr/bin/{name}" for name in ("systemctl", "journalctl", "timeout", "env"))
