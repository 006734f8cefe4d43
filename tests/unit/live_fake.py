# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake kernel in the place of the live one, for whatever makes its kernel itself: modules and qatctl."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from ansible_collections.accel.qat.tests.fakes import FakeKernel


class LiveFake(FakeKernel):
    """The rest of what LiveKernelWithPods offers. Fails the test that writes without the lock, once it was taken."""

    closed = False
    locks = 0
    settled = 0
    _is_locked = False

    def write(self, path: str, value: str, seconds: float) -> None:
        assert self._is_locked or not self.locks, "written outside of the lock"
        super().write(path, value, seconds)

    @contextlib.contextmanager
    def locked(self, seconds: float) -> t.Iterator[None]:
        assert seconds > 0
        self.locks += 1
        self._is_locked = True
        try:
            yield
        finally:
            self._is_locked = False

    def settle(self, seconds: float) -> None:
        assert seconds > 0
        assert not self._is_locked, "waited under the lock for those who wait for the lock"
        self.settled += 1

    def close(self) -> None:
        self.closed = True


def put_in_place(monkeypatch: pytest.MonkeyPatch, where: object, kernel: FakeKernel) -> list[tuple[t.Any, ...]]:
    """Have the module `where` get this kernel; returns the roots that it asks for."""
    roots: list[tuple[t.Any, ...]] = []

    def make(*asked: t.Any) -> FakeKernel:
        roots.append(asked)
        return kernel

    monkeypatch.setattr(where, "LiveKernelWithPods", make)
    return roots
