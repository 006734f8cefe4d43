# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Problems a person has to act on, each reported in one sentence."""

from __future__ import annotations

import errno
import os
import typing as t

from .printable import printable, shortened


class NodeError(Exception):
    """Something about the node or its configuration is wrong.

    `where` is a file, a device address or a place in the configuration such as `devices[1].services[0]`; `problem` says what is
    wrong there; `remedy` says what to do about it. Together they read as one sentence. `log` are lines of the kernel's own log.
    """

    def __init__(self, problem: str, where: str = "", remedy: str = "", log: t.Sequence[str] = ()) -> None:
        # What a file of others has in it may be of any length.
        self.problem, self.where, self.remedy = map(shortened, (problem, where, remedy))
        self.log = tuple(log)
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The whole message, in one line that can be printed, without a final full stop."""
        where, problem, remedy = (shortened(printable(text)) for text in (self.where, self.problem, self.remedy))
        text = f"{where}: {problem}" if where else problem
        return f"{text}; {remedy}" if remedy else text

    def as_dict(self) -> dict[str, t.Any]:
        """The same for machines, as the modules' `failure` and `qatctl --json` give it; Ansible prints that too."""
        parts = {"where": self.where, "problem": self.problem, "remedy": self.remedy}
        return {
            "kind": self.kind,
            **{name: printable(text) for name, text in parts.items()},
            "kernel_log": list(map(printable, self.log)),
        }

    kind = "node"

    @property
    def has_changed(self) -> bool:
        """Whether the node may be another than it was."""
        return False


class ConfigurationError(NodeError):
    """The desired state is malformed, contradicts itself, or does not fit this node."""

    kind = "configuration"


class RefusedError(NodeError):
    """The desired state is sound, but reaching it now is impossible or would harm somebody; nothing was written."""

    kind = "refused"


class WriteTimeout(NodeError):
    """A write did not return within its time limit; the kernel still holds the process that made it."""

    kind = "timeout"


class DeviceGone(NodeError):
    """The device of a step is no longer on the bus."""

    kind = "gone"


def cannot_be_read(error: OSError) -> NodeError:
    """What to say of a read that failed, and not for want of what it reads: nothing is known of that then."""
    path = error.filename if isinstance(error.filename, str) else ""
    return NodeError(f"cannot be read: {error.strerror or error}", where=path, remedy=remedy_for(error, _TRY_AGAIN))


AS_ROOT = "run as root (become: true)"


def remedy_for(error: OSError, otherwise: str = "", as_root: str = AS_ROOT) -> str:
    """What to do where the system refuses: `as_root` for who is not root, another sentence for root; `otherwise` for what is not known."""
    code = error.errno or 0
    if code in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return as_root
    return _REMEDIES.get(code, otherwise)


_TRY_AGAIN = "try again, and see the kernel's log if that does not help"
_MORE_FILES = "let this process, or this machine, have more open files (ulimit -n, fs.file-max), and try again"
_CAPABILITIES = "and which capabilities this container has"
_REMEDIES = {
    errno.EACCES: f"root itself may not: see in the audit log what SELinux or AppArmor has denied, {_CAPABILITIES}",
    errno.EPERM: f"root itself may not: see with lsattr whether it is immutable (chattr -i), {_CAPABILITIES}",
    errno.EROFS: "mount that file system so that it can be written, or make the change in the image that it comes from",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on that file system"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _MORE_FILES),
}
