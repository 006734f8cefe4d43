# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the file by which Node Feature Discovery labels this node.

It is written when the labels change, but seldom: each time the API server has a Node object to change, and all who watch it to hear of
it. It ends to count by itself, so that a plugin that is gone leaves no label for long; one that stops takes back none at once, since
DaemonSets end their pods on a node that loses a label, and a plugin that stops is mostly about to start again.
"""

from __future__ import annotations

import asyncio
import logging
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ._node.errors import NodeError
from ._node.files import replace_file
from .attribution import Attribution
from .kernel_thread import KernelThread
from .labels import GRACE_SECONDS, feature_file, labels_of
from .sockets import Identity, identity

if t.TYPE_CHECKING:
    from .statistics import Statistics
    from .status import Status

log = logging.getLogger(__name__)

FILE = "accel-qat-device-plugin"
"""Its name; NFD takes every file of the directory, whatever it is called."""

QUIET_SECONDS = 60.0
"""Between two changes at least. NFD's worker looks so often by default (core.sleepInterval)."""

LIFE_SECONDS = 3600.0
"""How long a file counts. It is written again when half of that is over."""

_STEP = 1.0
"""A step of the clock in seconds that is none."""


@dataclass(frozen=True)
class Written:
    """What was written last, at a time of a clock that only goes forward; until which time it counts, in seconds since 1970."""

    labels: t.Mapping[str, str]
    at: float
    expires: float


def is_due(written: Written | None, labels: t.Mapping[str, str], now: float, clock: float, is_there: bool) -> bool:
    """Whether the file has to be written. `clock` is the time of day, which may be set; `is_there` whether the file is still ours."""
    if written is None:
        return True
    if not LIFE_SECONDS / 2 < written.expires - clock <= LIFE_SECONDS + _STEP:
        return True
    return now - written.at >= QUIET_SECONDS and (labels != written.labels or not is_there)


class FeatureFile:
    """The file of one directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._written: Written | None = None
        self._identity: Identity | None = None

    def keep(self, labels: t.Mapping[str, str], now: float, clock: float) -> bool:
        """Write the file if that is due, and return whether the labels are others than before. Raises OSError; then it is due again."""
        is_there = identity(self._path, unseen=self._identity) == self._identity
        if not is_due(self._written, labels, now, clock, is_there):
            return False
        changed = self._written is None or labels != self._written.labels
        self._write(Written(dict(labels), now, clock + LIFE_SECONDS))
        return changed

    def leave(self, now: float, clock: float) -> None:
        """Let the labels go in a while, unless another process writes the file again. Raises OSError."""
        if self._written is not None:
            self._write(Written(self._written.labels, now, clock + GRACE_SECONDS))

    @property
    def is_written(self) -> bool:
        """Whether this process has written it."""
        return self._written is not None

    def _write(self, written: Written) -> None:
        # NFD's worker is another user than root.
        replace_file(str(self._path), feature_file(written.labels, written.expires), mode=0o644, keep=False)
        self._written, self._identity = written, identity(self._path)


class Labeler:
    """Follows the service, and keeps the file while this process is the one that serves: `serves` says so, and may raise NodeError."""

    def __init__(
        self,
        directory: Path,
        period: float,
        statistics: Statistics,
        status: t.Callable[[], Status],
        serves: t.Callable[[], bool],
    ) -> None:
        self.period = min(period, QUIET_SECONDS)
        self._directory = directory
        self._statistics = statistics
        self._status = status
        self._serves = serves
        self._file = FeatureFile(directory)
        # Disks can be slow, and kubelet does not wait for them.
        self._thread = KernelThread("nfd")
        self._problem = ""

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._try(self._keep)
            await asyncio.sleep(self.period)

    async def end(self) -> None:
        """Take leave for good, after `run`."""
        await self._try(self._leave)

    async def _keep(self) -> None:
        status = self._status()
        if not is_known(status) or not self._serves():
            return
        labels = labels_of(status.model, status.attribution, status.attribution_age)
        if await self._thread.run(lambda: self._file.keep(labels, time.monotonic(), time.time())):
            log.info("labels for NFD", extra={"fields": labels})

    async def _leave(self) -> None:
        if self._file.is_written and self._serves():
            await self._thread.run(lambda: self._file.leave(time.monotonic(), time.time()))

    async def _try(self, work: t.Callable[[], t.Awaitable[None]]) -> None:
        problem = ""
        try:
            await work()
        except NodeError as error:
            problem = error.sentence()
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            self._statistics.errors["nfd"] += 1
        if problem and problem != self._problem:
            fields = {"directory": self._directory, "problem": problem}
            log.error(
                "the labels for NFD cannot be written; those of before end within an hour", extra={"fields": fields}
            )
        self._problem = problem


def is_known(status: Status) -> bool:
    """Whether enough is known for labels: the node was seen not long ago, and kubelet was asked who has what, if it should be."""
    return (
        status.model.snapshot is not None
        and (status.scan_age <= GRACE_SECONDS or not status.is_stale)
        and (status.attribution is None or status.attribution != Attribution())
    )
