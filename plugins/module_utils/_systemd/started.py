# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has a service run the process that its unit and its release say, by hand-over where it can, and waits until that is ready."""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass

from .._host.machine import Machine, last_lines
from .._node.errors import NodeError
from .._node.fields import lines_in, words_in
from .systemctl import Systemctl

Action = t.Literal["none", "start", "reload", "restart"]

_READY = "ready;"
_PAUSE = 1.0
_LOG_LINES = 5
_LONGEST = 1000
# As releases are named, other than what else may be beside them.
_RELEASE = re.compile(r"[0-9]+[.][0-9]+[.][0-9]+-.")
_PID = re.compile(r".*[ ]pid=([1-9][0-9]*)[ ]")


@dataclass(frozen=True)
class Wanted:
    """What should run. `stamp` stands in the environment of each process of the unit, and differs from that of any other unit.

    `releases` is the directory of the releases, without symbolic links above it. A process can be taken over when its socket is in
    `run_directory` and the release has the file `takes_over`.
    """

    unit: str
    stamp: str
    releases: str
    release: str
    run_directory: str
    takes_over: str
    waits: bool = True
    seconds: int = 120


@dataclass(frozen=True)
class Seen:
    """What runs. `stamped` is whether the main process is of the unit, `releases` whose libraries the kernel has mapped into it.

    A process that has just begun has none as yet.
    """

    state: str
    status: str
    process: str
    stamped: bool
    releases: frozenset[str]
    can_hand_over: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether it says so now, and not in its last words."""
        return self.state == "active" and self.status.startswith(_READY)

    def is_of(self, wanted: Wanted) -> bool:
        """Whether nothing speaks against the process."""
        return self.stamped and self.releases <= {wanted.release}


def decide(seen: Seen, wanted: Wanted) -> Action:
    """What brings the wanted process about. A restart would leave kubelet without any process of ours for a moment."""
    if seen.state in ("inactive", "failed"):
        return "start"
    if seen.is_of(wanted):
        return "start" if seen.state == "deactivating" else "none"
    return "reload" if seen.state == "active" and seen.can_hand_over else "restart"


def releases_in(maps: str, directory: str) -> frozenset[str]:
    """The releases below the directory that have files among those a process has mapped (proc_pid_maps(5)).

    The kernel itself names the files, links resolved, also those that were removed since. The command line would only say `current`,
    and the environment what the unit was when the process began, wherever that link led then.
    """
    paths = (fields[5] for fields in (words_in(line, 6) for line in lines_in(maps)) if len(fields) == 6)
    below = (path[len(directory) + 1 :] for path in paths if path.startswith(f"{directory}/"))  # noqa: E203
    return frozenset(name for name in (path.partition("/")[0] for path in below) if _RELEASE.match(name))


class Starter:
    """Does it on one node. `done` is what was done to the service so far."""

    def __init__(
        self,
        machine: Machine,
        wanted: Wanted,
        now: t.Callable[[], float] = time.monotonic,
        pause: t.Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises NodeError where the node has no systemctl."""
        self._machine = machine
        self._wanted = wanted
        self._systemctl = Systemctl(machine)
        self._now = now
        self._pause = pause
        self.done: Action = "none"

    def run(self, rehearse: bool = False) -> Action:
        """Do what is to be done, or with `rehearse` say it. Raises NodeError."""
        action = decide(self.look(), self._wanted)
        if rehearse:
            return action
        self._act(action)
        if self._wanted.waits:
            seen = self._wait()
            # In its first moments a process has no libraries to identify it by.
            if action == "none" and decide(seen, self._wanted) != "none":
                self._act(decide(seen, self._wanted))
                self._wait()
        return self.done

    def look(self) -> Seen:
        """What runs now. Only of systemd's main process anything is believed, and of that what the kernel says."""
        wanted = self._wanted
        shown = self._systemctl.show(wanted.unit, "ActiveState", "MainPID", "StatusText")
        process = shown["MainPID"]
        environment, maps = (self._of_process(process, name) for name in ("environ", "maps"))
        return Seen(
            shown["ActiveState"],
            shown["StatusText"],
            process,
            wanted.stamp in environment.split("\0"),
            releases_in(maps, wanted.releases),
            all(map(self._machine.exists, (f"{wanted.run_directory}/{process}.sock", wanted.takes_over))),
        )

    def _of_process(self, process: str, name: str) -> str:
        """Empty where there is no process, or no longer."""
        return "" if process == "0" else self._machine.read(f"/proc/{process}/{name}") or ""

    def _act(self, action: Action) -> None:
        if action == "reload":
            self._hand_over()
        elif action != "none":
            self._systemctl.do(action, self._wanted.unit)
        if action != "none":
            self.done = action

    def _hand_over(self) -> None:
        """Pods are admitted meanwhile. Where the new process does not come up the old one goes on."""
        unit = self._wanted.unit
        result = self._systemctl.try_to("reload", unit)
        if result.code != 0:
            said = self._last_words() or last_lines(result)
            raise NodeError(
                f"the new process does not come up, and the one before it goes on: {said[:_LONGEST]}",
                unit,
                f"put that right and run the role again, see journalctl -u {unit}",
            )

    def _last_words(self) -> str:
        """What the process of the reload has logged."""
        found = _PID.match(self._systemctl.properties(self._wanted.unit, "ExecReload").get("ExecReload", ""))
        journalctl = self._machine.command("journalctl")
        if not found or journalctl is None:
            return ""
        options = ["--quiet", "--no-pager", "--boot", "--output=cat", f"--lines={_LOG_LINES}"]
        return " ".join(self._machine.run([journalctl, *options, f"_PID={found[1]}"]).out.split("\n")).strip()

    def _wait(self) -> Seen:
        """Until kubelet has taken every resource. systemd takes the service as started earlier; its status says whether it is ready now."""
        wanted = self._wanted
        end = self._now() + wanted.seconds
        # What is on its way, a restart too, is waited for: until then the states are those of the process before.
        started = self._systemctl.try_to("start", wanted.unit, wanted.seconds)
        while True:
            seen = self.look()
            # The process before is ready, too, until the next one is the main process.
            if seen.is_ready and seen.stamped:
                return seen
            if seen.state == "failed" or self._now() >= end:
                break
            self._pause(_PAUSE)
        said = f" ({last_lines(started)})" if started.err.strip() else ""
        raise NodeError(
            f"did not get ready within {wanted.seconds} seconds: {_what_is(seen)}{said}",
            wanted.unit,
            f"see journalctl -u {wanted.unit}, or set qat_device_plugin_wait to false where kubelet comes later",
        )


def _what_is(seen: Seen) -> str:
    status = f", {seen.status}" if seen.status and seen.state != "failed" else ""
    of_another = ", but the process that runs is not of the unit as it is written" if seen.is_ready else ""
    return f"it is {seen.state}{status}{of_another}"
