# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration while the service runs: which file is news, what is taken of it, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import typing as t
from collections import Counter
from pathlib import Path

import pytest
from qat_device_plugin.configuration import Configuration, read_rules

UNSEEN = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES, errno.EINTR)
STAYS = "the old configuration stays"


class Followed:
    """A configuration whose file offers 16 VFs of each PF at the start, and what was counted since."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "node.json"
        self.write(16)
        self.reloads: Counter[str] = Counter()
        self.configuration = Configuration(self.path, read_rules(self.path), self.reloads)
        self.configuration.differs()  # as the first look does: what is in the file is known from then on

    def write(self, advertise: int, indent: int | None = None) -> None:
        """Put another file in the place of the one there is, as all do that write it in one step."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"devices": [{"advertise": advertise}]}, indent=indent))
        new.replace(self.path)

    @property
    def advertised(self) -> int | None:
        return self.configuration.rules[0].advertise


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


def test_a_file_that_nobody_has_written_is_no_news(followed: Followed) -> None:
    assert not followed.configuration.is_written()
    assert not followed.configuration.differs()


def test_what_was_written_since_the_start_is_news_though_the_file_was_not_looked_at(tmp_path: Path) -> None:
    path = Followed(tmp_path).path
    configuration = Configuration(path, (), Counter())
    assert configuration.is_written()
    assert configuration.differs()


def test_what_says_the_same_in_other_bytes_is_written_and_does_not_differ(followed: Followed) -> None:
    followed.write(16, indent=4)
    assert followed.configuration.is_written()
    assert not followed.configuration.differs()
    assert not followed.configuration.is_written()
    assert not followed.reloads


def test_what_says_something_else_is_taken(followed: Followed) -> None:
    followed.write(4)
    assert followed.configuration.differs()
    assert followed.advertised == 16  # until it is reloaded
    assert followed.configuration.reload()
    assert followed.advertised == 4
    assert not followed.configuration.is_written()
    assert followed.reloads == {"succeeded": 1}


def test_what_is_wrong_is_refused_once(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    followed.write(-1)
    assert followed.configuration.differs()
    assert not followed.configuration.reload()
    assert not followed.configuration.differs()
    assert followed.advertised == 16
    assert followed.reloads == {"failed": 1}
    assert caplog.text.count(STAYS) == 1


def test_a_file_that_is_gone_is_refused_and_taken_when_it_is_back(followed: Followed) -> None:
    followed.path.unlink()
    assert followed.configuration.differs()
    assert not followed.configuration.reload()
    assert followed.advertised == 16
    followed.write(4)
    assert followed.configuration.differs()
    assert followed.configuration.reload()
    assert followed.advertised == 4


@pytest.mark.parametrize("code", UNSEEN)
def test_what_cannot_be_read_is_reported_once_and_looked_at_until_it_can(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(path: str, *_more: object, **_named: object) -> t.NoReturn:
        raise OSError(code, os.strerror(code), path)

    followed.write(4)
    with monkeypatch.context() as patched:
        patched.setattr("qat_device_plugin._node.devices.rules.read_whole", refuse)
        assert not any(followed.configuration.differs() for _ in range(3))
        assert caplog.text.count(STAYS) == 1
        assert not followed.configuration.reload()  # each signal that asks for it is answered
        assert caplog.text.count(STAYS) == 2
    assert followed.advertised == 16
    assert followed.reloads == {"failed": 2}
    assert followed.configuration.differs()
    assert followed.configuration.reload()
    assert followed.advertised == 4
