# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a server says, the gRPC client ends in time, with an answer or with an error that its callers expect.

`pytest tests/properties/test_grpc_client.py --hypothesis-profile=nightly` looks longer.
"""

from __future__ import annotations

import struct
import time
import typing as t

from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.users.grpc_call import RpcError, _Exchange, fields_of

_GOOD = b"\0\0\1\1\4\0\0\0\1\x88\0\0\7\0\0\0\0\0\1\0\0\0\0\2hi\0\0\x0f\1\5\0\0\0\1\x40\x0bgrpc-status\x010"
_SECONDS = 5.0


class Connection:
    """A server that has said all it will say."""

    def __init__(self, said: bytes, piece: int) -> None:
        self._said = said
        self._piece = piece

    def settimeout(self, seconds: float) -> None:
        assert 0 < seconds <= _SECONDS

    def sendall(self, data: bytes) -> None:
        """Heard, and of no interest."""

    def recv(self, size: int) -> bytes:
        taken, self._said = self._said[: min(size, self._piece)], self._said[min(size, self._piece) :]
        return taken


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


_integers = st.sampled_from(
    [b"", b"\x7f", b"\x80", b"\xff", b"\x80\x01", b"\xff" * 6, b"\x0b", b"\x8b", b"\x3f", b"\x1f"]
)
_words = st.sampled_from([b"grpc-status", b"grpc-message", b":status", b"0", b"12", b"%1b", b"%", b"\x07\x07", b"\xb2"])
_header_blocks = st.lists(
    st.one_of(_integers, _words, st.binary(max_size=4), st.just(b"\x40\x0bgrpc-status\x010")), max_size=12
).map(b"".join)
_payloads = st.one_of(_header_blocks, st.binary(max_size=40), st.just(b"\0\0\0\0\2hi"), st.just(bytes(8)))
_frames = st.builds(
    _frame,
    st.one_of(st.integers(0, 9), st.integers(0, 255)),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D]), st.integers(0, 255)),
    st.sampled_from([0, 1, 1, 1, 3, 1 << 31 | 1]),
    _payloads,
)
_answers = st.lists(st.one_of(_frames, _frames, _frames, st.binary(max_size=20)), max_size=20).map(b"".join)
_altered = st.builds(
    lambda place, bits, more: bytes([*_GOOD[:place], _GOOD[place] ^ bits, *_GOOD[place + 1 :], *more]),
    st.integers(0, len(_GOOD) - 1),
    st.integers(0, 255),
    st.binary(max_size=4),
)


def _answer(said: bytes, piece: int = 1 << 16) -> bytes:
    return _Exchange(t.cast("t.Any", Connection(said, piece)), time.monotonic() + _SECONDS).answer()


def test_the_answer_that_is_altered_is_one() -> None:
    assert _answer(_GOOD) == b"hi"
    assert _answer(_GOOD, 1) == b"hi"


@given(st.one_of(_answers, _altered), st.sampled_from([1, 7, 1 << 16]))
@example(b"\0\0\0\3\0\0\0\0\1", 1 << 16)
def test_ends_with_an_answer_or_an_error_that_is_expected(said: bytes, piece: int) -> None:
    begin = time.process_time()
    code, words = 1, "an answer"
    try:
        _answer(said, piece)
    except RpcError as refusal:
        code, words = refusal.code, str(refusal)
    except OSError as error:
        words = str(error)
    assert 1 <= code <= 16
    assert words
    assert words.isprintable()
    assert time.process_time() - begin < _SECONDS


@given(st.lists(st.one_of(_integers, st.binary(max_size=6)), max_size=20).map(b"".join))
def test_a_message_is_read_or_is_none(message: bytes) -> None:
    try:
        fields = list(fields_of(message))
    except ValueError:
        return
    assert all(isinstance(value, (int, bytes)) for _number, value in fields)
