# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which errors prove that a thing is not there."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.absence import if_there, is_absent

ABSENT = [errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESRCH]
UNSEEN = [
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EINTR,
    errno.ENOTDIR,
    errno.ETIMEDOUT,
]


def failing(code: int) -> str:
    raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("code", ABSENT)
def test_what_is_not_there_has_another_answer(code: int) -> None:
    assert if_there(lambda: failing(code), "nothing") == "nothing"
    assert is_absent(OSError(code, ""))


@pytest.mark.parametrize("code", UNSEEN)
def test_what_cannot_be_seen_is_not_absent(code: int) -> None:
    with pytest.raises(OSError, match=r"\[Errno") as raised:
        if_there(lambda: failing(code), "nothing")
    assert raised.value.errno == code


def test_what_is_there_is_given() -> None:
    assert if_there(lambda: "seen", "nothing") == "seen"
    assert not is_absent(OSError("without a number"))
