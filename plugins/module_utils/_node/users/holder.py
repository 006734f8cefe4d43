# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who has a device: a process or a pod, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """A process that has a device open, or a pod that Kubernetes has given it to.

    Of a process, `container` is the container id its cgroup names, or an empty string. Of a pod, `pid` is 0, `pod` its
    namespace and name, and `container` the name of the container. `note` says how that is known where kubelet did not say it, or why
    it is not known whether this process has the device; with neither `pid` nor `pod` nobody could say who has it, nor whether. Only of
    UNSEEN_PROCESS the kernel says that somebody has it; there `note` says how to find out who.
    """

    pid: int
    command: str
    container: str = ""
    pod: str = ""
    note: str = ""

    def __str__(self) -> str:
        if self.pod:
            return f"pod {self.pod} (container {self.container}{', ' if self.note else ''}{self.note})"
        if self.is_unseen:
            return f"{self.command} ({self.note})"
        if not self.pid:
            return f"perhaps {self.command or 'a pod'} ({self.note})"
        inside = f" in container {self.container[:12]}" if self.container else ""
        if self.note:
            return f"perhaps {self.command} (pid {self.pid}, {self.note}){inside}"
        return f"{self.command} (pid {self.pid}){inside}"

    def is_same_as(self, other: Holder) -> bool:
        """Whether it is the same user of one VF, whatever is shown of it, by whichever source it is known.

        Kubelet gives a device to one pod at a time. So of two pods only names that the same source gave can show that they differ.
        The process that cannot be seen may be any: whoever closes its descriptors while it ends is not seen in its last moment.
        """
        if self.is_process or other.is_process:
            both = self.is_process and other.is_process
            return both and (self.pid == other.pid or self.is_unseen or other.is_unseen)
        return self.pod == other.pod or not (self.pod and other.pod) or bool(self.note) != bool(other.note)

    @property
    def is_process(self) -> bool:
        """Whether it is a process that has the device open; a pod was given it, open or not."""
        return bool(self.pid) or self.command in (A_PROCESS, UNSEEN_PROCESS)

    @property
    def is_open(self) -> bool:
        """Whether it is certain that a process has the device open, and it is this one."""
        return self.is_unseen or bool(self.pid and not self.note)

    @property
    def is_unseen(self) -> bool:
        """Whether the kernel says that a process has the device open, and no process shows it."""
        return not self.pid and self.command == UNSEEN_PROCESS


A_PROCESS = "a process"
"""The command of a holder that stands for any process, where it cannot be seen who has a device."""

UNSEEN_PROCESS = "a process that cannot be seen"
"""The command of a holder that has the device for certain, and that nobody can name."""
