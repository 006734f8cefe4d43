# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in memory with a systemd that knows one service."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine

UNIT = "accel-qat-device-plugin.service"
STAMP = "ACCEL_QAT_UNIT=new"
RELEASES = "/opt/accel-qat/device-plugin"
OLD, NEW = "0.1.0-py3.9-0123456789", "0.2.0-py3.9-e7e7937c13"
RUN = "/run/accel-qat/device-plugin"
TAKES_OVER = f"{RELEASES}/current/lib/qat_device_plugin/handover.py"
GOOD = "ready; qat.intel.com/cy: 16 of 16 VFs healthy"
BAD = "not ready; qat.intel.com/cy: 16 of 16 VFs healthy, not registered (kubelet.sock is not there)"


@dataclass(frozen=True)
class Moment:
    """What a service is for a while."""

    state: str = "active"
    status: str = GOOD
    process: int = 4711


@dataclass
class FakeSystemd:
    """Answers as systemctl. Each look at the service is of the next of `moments`, the last of which stays.

    What changes the service has `after` follow, where there is some.
    """

    moments: list[Moment]
    after: dict[str, list[Moment]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)

    def __call__(self, _machine: FakeMachine, command: t.Sequence[str]) -> CommandResult:
        words = [word for word in command[1:] if not word.startswith("--")]
        verb = words[0]
        if verb == "show":
            return self._show([word.partition("=")[2] for word in command if word.startswith("--property=")])
        self.moments = self.after.get(verb, self.moments)
        return CommandResult(self.codes.get(verb, 0), "", self.errors.get(verb, ""))

    def _show(self, names: t.Sequence[str]) -> CommandResult:
        now = self.moments[0]
        if "ActiveState" in names and len(self.moments) > 1:
            self.moments = self.moments[1:]
        values = {"ActiveState": now.state, "StatusText": now.status, "MainPID": str(now.process), **self.properties}
        return CommandResult(0, "".join(f"{name}={values[name]}\n" for name in names if name in values))


def process(pid: int, stamp: str = STAMP, *releases: str, removed: bool = False) -> dict[str, str]:
    """The files of a process in /proc that has mapped libraries of these releases."""
    lines = [
        "7f8a2c000000-7f8a2c021000 rw-p 00000000 00:00 0 \n",
        "7ffd1b5e4000-7ffd1b605000 rw-p 00000000 00:00 0   [stack]\n",
    ]
    lines.append("55d0c8a00000-55d0c8a01000 r--p 00000000 fd:01 1311 /usr/bin/python3.9\n")
    gone = " (deleted)" if removed else ""
    for release in releases:
        library = f"{RELEASES}/{release}/lib/grpc/_cython/cygrpc.so{gone}"
        lines.append(f"7f8a2d000000-7f8a2d400000 r-xp 00000000 fd:01 917 {library}\n")
    return {f"/proc/{pid}/environ": f"PATH=/usr/bin\0{stamp}\0HOME=/root\0", f"/proc/{pid}/maps": "".join(lines)}


def node(systemd: FakeSystemd, *processes: t.Mapping[str, str], files: t.Iterable[str] = ()) -> FakeMachine:
    """The machine, with these files besides those of processes."""
    found = {path: text for one in processes for path, text in one.items()}
    shows = ("systemctl show", "/usr/sbin/systemctl show")
    machine = FakeMachine({**found, **dict.fromkeys(files, "")}, {"systemctl": systemd})
    machine.commands["/usr/sbin/systemctl"] = systemd
    machine.reading.update(shows)
    return machine


def commands(machine: FakeMachine) -> list[str]:
    """The commands that systemd was given, without those that only ask."""
    lines = [line.removeprefix("run /usr/sbin/systemctl ") for line in machine.done]
    return [line for line in lines if not line.startswith("show ")]
