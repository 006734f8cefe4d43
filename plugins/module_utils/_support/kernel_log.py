# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which lines of logs are about QAT devices, VFIO, the IOMMU, and what kubelet does with devices."""

from __future__ import annotations

import os
import re
import time

from .._node.fields import is_number

_OF_DEVICES = re.compile(
    r"(?i)qat|\bvfio|iommu|\bdmar\b|\badf_|sr-?iov|\bAER\b|lockdown|firmware_class|\b[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\b"
)
_OF_KUBELET = re.compile(
    r"(?i)qat|vfio|device.?plugin|device.?manager|plugin.?(?:manager|watcher)|podresources|topology|cpu.?manager|memory.?manager|checkpoint"
    r"|feature.?gate|allocat|admi[ts]|config|cgroup|\bstart(?:ed|ing)\b|\bstopp(?:ed|ing)\b|failed to run|command failed"
    r"|exited|NodeReady|NodeNotReady|systemd\[1\]"
)
# Those of other processes may have anything in them, and the kernel's has its own file.
_COMMAND_LINES = re.compile(r"(?i)command[ -]?line|cmdline|proctitle|\bEXECVE\b|\btype=1309\b|\bFLAG: ")
_SECONDS = 5.0
_MOST = 4 << 20


def of_our_concern(line: str) -> bool:
    """Whether a line of kubelet's journal is of use here. Others are about pods and their containers."""
    return _OF_KUBELET.search(line) is not None


def read_kernel_log(path: str) -> str:
    """The lines of the kernel's log that are about devices (Documentation/ABI/testing/dev-kmsg). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        records = _records(descriptor)
    finally:
        os.close(descriptor)
    lines = [_line(record) for record in records]
    return "".join(f"{line}\n" for line in lines if _OF_DEVICES.search(line) and not _COMMAND_LINES.search(line))


def _records(descriptor: int) -> list[str]:
    found: list[bytes] = []
    size, deadline = 0, time.monotonic() + _SECONDS
    while size < _MOST and time.monotonic() < deadline:
        try:
            piece = os.read(descriptor, 8192)
        except BrokenPipeError:
            continue  # records were overwritten before they were read; the next read gives the oldest that is left
        except BlockingIOError:
            break  # nothing more yet
        if not piece:
            break
        found.append(piece)
        size += len(piece)
    return b"".join(found).decode("utf-8", "backslashreplace").split("\n")


def _line(record: str) -> str:
    """The message with its time, without the rest of the record's header."""
    header, _semicolon, message = record.partition(";")
    fields = header.split(",")
    if len(fields) < 4 or not is_number(fields[2]):
        return ""
    return f"[{int(fields[2]) / 1e6:12.6f}] {message}"
