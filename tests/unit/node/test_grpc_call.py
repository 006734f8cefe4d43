# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC client against servers that a test writes down byte by byte; device_plugin/tests has it against a real one."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.users.grpc_call import RpcError, call, fields_of

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 0x20
OK_200 = b"\x88"  # :status 200, an entry of the static table


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def header(name: bytes, value: bytes, first: int = 0x40) -> bytes:
    """A literal, which the sender would like to be put into the table when `first` is 0x40."""
    return bytes([first, len(name)]) + name + bytes([len(value)]) + value


def message(body: bytes) -> bytes:
    return struct.pack(">BI", 0, len(body)) + body


STATUS_0 = header(b"grpc-status", b"0")
GOOD = frame(HEADERS, END_HEADERS, OK_200) + frame(DATA, 0, message(b"hi"))
END = frame(HEADERS, END_HEADERS | END_STREAM, STATUS_0)


class Server:
    """Says `answer`, and keeps what it hears. `closes` is whether it hangs up then."""

    def __init__(self, directory: Path, answer: bytes, closes: bool) -> None:
        self.path = str(directory / "s")
        self.heard = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._answer, self._closes = answer, closes
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _address = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            self.heard += connection.recv(65536)
            connection.sendall(self._answer)
            if self._closes:
                return
            while True:
                more = connection.recv(65536)
                if not more:
                    return
                self.heard += more

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


def ask(answer: bytes, closes: bool = False, seconds: float = 5.0) -> tuple[bytes, bytes]:
    """What the call returns, and what the server heard."""
    with tempfile.TemporaryDirectory(prefix="qgc") as directory:
        server = Server(Path(directory), answer, closes)
        try:
            said = call(server.path, "/v1.PodResourcesLister/List", b"", seconds)
        finally:
            server.close()
        return said, server.heard


@pytest.mark.parametrize(
    "answer",
    [
        GOOD + END,
        frame(SETTINGS, 0, b"", 0) + frame(SETTINGS, 1, b"", 0) + GOOD + END,
        frame(HEADERS, END_HEADERS | PADDED, b"\x03" + OK_200 + b"\0\0\0") + frame(DATA, 0, message(b"hi")) + END,
        frame(HEADERS, END_HEADERS | PRIORITY, b"\0\0\0\0\x10" + OK_200) + frame(DATA, 0, message(b"hi")) + END,
        frame(HEADERS, END_HEADERS, OK_200) + frame(DATA, PADDED, b"\x01" + message(b"hi") + b"\0") + END,
        frame(HEADERS, END_HEADERS, OK_200) + b"".join(frame(DATA, 0, bytes([one])) for one in message(b"hi")) + END,
        GOOD + frame(HEADERS, END_STREAM, STATUS_0[:5]) + frame(CONTINUATION, END_HEADERS, STATUS_0[5:]),
        frame(HEADERS, END_HEADERS, b"\x20" + OK_200) + frame(DATA, 0, message(b"hi")) + END,
        frame(HEADERS, END_HEADERS, b"\x3f\xe1\x1f" + OK_200) + frame(DATA, 0, message(b"hi")) + END,
        frame(HEADERS, END_HEADERS, b"\x88\x5f\x10application/grpc") + frame(DATA, 0, message(b"hi")) + END,
        frame(HEADERS, END_HEADERS, b"\x48\x03200") + frame(DATA, 0, message(b"hi")) + END,
        GOOD + frame(GOAWAY, 0, struct.pack(">II", 1, 0), 0) + END,
        frame(DATA, 0, b"for another call", 3) + GOOD + END,
    ],
    ids=[
        "plain",
        "settings",
        "padded headers",
        "priority",
        "padded data",
        "data in pieces",
        "continuation",
        "table of no size",
        "table of another size",
        "content type",
        "status as a literal",
        "going away afterwards",
        "another stream",
    ],
)
def test_answers(answer: bytes) -> None:
    assert ask(answer)[0] == b"hi"


def test_what_it_says() -> None:
    heard = ask(frame(SETTINGS, 0, b"", 0) + frame(PING, 0, b"12345678", 0) + GOOD + END)[1]
    assert heard.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"\0\x05:path\x1b/v1.PodResourcesLister/List" in heard
    assert b"\0\x0a:authority\x09localhost" in heard
    assert b"\0\x0cgrpc-timeout\x055000m" in heard
    assert heard.endswith(frame(SETTINGS, 1, b"", 0) + frame(PING, 1, b"12345678", 0))


def trailers(*headers: bytes) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, b"".join(headers))


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (
            trailers(OK_200, header(b"grpc-status", b"12"), header(b"grpc-message", b"unknown%20service")),
            12,
            "unknown service",
        ),
        (trailers(OK_200, header(b"grpc-status", b"5", 0x10)), 5, "gRPC status 5"),
        (trailers(OK_200), 2, "gRPC status 2"),
        (trailers(b"\x8d"), 2, "HTTP status 404"),
        (trailers(b"\xbe"), 13, "the answer's headers refer to a table that was declined"),
        (trailers(b"\x40"), 13, "the answer is not HTTP/2"),
        (frame(RST_STREAM, 0, struct.pack(">I", 7)), 1, "the server ends the call with HTTP/2 error 7"),
        (frame(GOAWAY, 0, struct.pack(">II", 0, 2) + b"bye", 0), 2, "the server closes the connection: bye"),
        (frame(HEADERS, END_HEADERS, OK_200) + END, 13, "the answer is not one message without compression"),
        (GOOD + frame(DATA, 0, b"x") + END, 13, "the answer is not one message without compression"),
        (
            frame(HEADERS, END_HEADERS, OK_200) + frame(DATA, 0, b"\x01" + message(b"hi")[1:]) + END,
            13,
            "the answer is not one message without compression",
        ),
        # "8" and "no" in Huffman's code: 011110 00, and 10101000 11111111.
        (
            trailers(OK_200, b"\x40\x0bgrpc-status\x81\x7b", b"\x40\x0cgrpc-message\x82\xa8\xff"),
            8,
            "no",
        ),
    ],
)
def test_refusals(answer: bytes, code: int, words: str) -> None:
    with pytest.raises(RpcError) as caught:
        ask(answer)
    assert (caught.value.code, str(caught.value)) == (code, words)


def test_nothing_is_said_when_the_caller_changes_its_mind(tmp_path: Path) -> None:
    def changes_its_mind() -> None:
        raise LookupError

    server = Server(tmp_path, b"", closes=True)
    with pytest.raises(LookupError):
        call(server.path, "/service/Method", b"request", 5.0, changes_its_mind)
    server.close()
    assert server.heard == b""


def test_a_server_that_hangs_up() -> None:
    with pytest.raises(ConnectionResetError, match="the connection was closed before the answer was whole"):
        ask(GOOD, closes=True)


def test_a_server_that_says_nothing_more() -> None:
    with pytest.raises(TimeoutError):
        ask(GOOD, seconds=0.2)


def test_a_deadline_that_the_server_keeps() -> None:
    with pytest.raises(TimeoutError):
        ask(trailers(OK_200, header(b"grpc-status", b"4")))


def test_an_answer_without_end() -> None:
    flood = b"".join(frame(DATA, 0, bytes(1 << 14)) for _ in range(1 << 10))
    with pytest.raises(RpcError, match=r"^the answer has more than 16 MiB$"):
        ask(frame(HEADERS, END_HEADERS, OK_200) + flood + frame(DATA, 0, b"\0"))


# What is more than an answer may be.

TOO_MANY_HEADERS = (8, "the answer has more than 64 KiB of headers")


def no_http2(what: str) -> tuple[int, str]:
    return 13, f"the answer is not HTTP/2: it has {what}"


def continued(block: bytes, size: int = 16384) -> bytes:
    """Headers in as many frames as it takes."""
    pieces = [block[place : place + size] for place in range(0, len(block), size)]
    kinds = [HEADERS, *(CONTINUATION for _ in pieces[1:])]
    flags = [*(0 for _ in pieces[1:]), END_HEADERS]
    return b"".join(frame(kind, flag, piece) for kind, flag, piece in zip(kinds, flags, pieces))


def string(length: int) -> bytes:
    """The length of a string of at least 127 bytes that is not in Huffman's code."""
    rest, data = length - 127, bytearray([127])
    while rest >= 128:
        data.append(rest & 127 | 128)
        rest >>= 7
    return bytes(data) + bytes([rest])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            frame(HEADERS, 0, OK_200) + frame(CONTINUATION, 0, bytes(16384)) * 400, TOO_MANY_HEADERS, id="flood"
        ),
        pytest.param(continued(b"\x20" * 65537), TOO_MANY_HEADERS, id="table-updates"),
        pytest.param(frame(HEADERS, END_HEADERS, OK_200 * 16384) * 5, TOO_MANY_HEADERS, id="many-blocks"),
        pytest.param(continued(b"\xff" * 60000), no_http2("a number that does not end"), id="index"),
        pytest.param(continued(b"\x3f" + b"\xff" * 60000), no_http2("a number that does not end"), id="table-size"),
        pytest.param(trailers(b"\x3f" + b"\x80" * 5 + b"\0"), no_http2("a number that does not end"), id="six-bytes"),
        pytest.param(trailers(b"\x40\x7f" + b"\xff" * 5 + b"\0"), no_http2("a number that does not end"), id="length"),
        pytest.param(trailers(b"\x40\x05grpc"), no_http2("a header that is cut off"), id="name-cut-off"),
        pytest.param(
            trailers(b"\x40\x04grpc\x7f\xff\xff\x7f"), no_http2("a header that is cut off"), id="value-cut-off"
        ),
        pytest.param(frame(DATA, 0, bytes(16385)), no_http2("a frame of 16385 bytes"), id="frame"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", no_http2("a frame of 4740180 bytes"), id="http-1"),
        pytest.param(frame(DATA, PADDED, b""), no_http2("more padding than there is room for"), id="no-padding"),
        pytest.param(frame(DATA, PADDED, b"\x04abc"), no_http2("more padding than there is room for"), id="padding"),
        pytest.param(
            frame(HEADERS, END_HEADERS | PADDED, b"\xff\x88"),
            no_http2("more padding than there is room for"),
            id="headers",
        ),
        pytest.param(
            frame(HEADERS, END_HEADERS | PRIORITY, b"\0\0\0"), no_http2("a priority that is cut off"), id="priority"
        ),
        pytest.param(
            frame(CONTINUATION, END_HEADERS, OK_200), no_http2("headers that did not begin"), id="no-beginning"
        ),
        pytest.param(frame(HEADERS, 0, OK_200) + END, no_http2("headers that do not go on"), id="two-beginnings"),
        pytest.param(
            frame(HEADERS, 0, OK_200) + frame(PING, 0, bytes(8), 0),
            no_http2("headers that do not go on"),
            id="interrupted",
        ),
        pytest.param(
            frame(HEADERS, 0, OK_200) + frame(CONTINUATION, 0, b"", 3),
            no_http2("headers that do not go on"),
            id="of-another",
        ),
        pytest.param(frame(PING, 0, b"123", 0), no_http2("a ping of another size"), id="ping"),
        pytest.param(frame(RST_STREAM, 0, b"12"), (13, "the answer is not HTTP/2"), id="reset"),
        pytest.param(frame(GOAWAY, 0, b"12", 0), (13, "the answer is not HTTP/2"), id="goaway"),
        pytest.param(trailers(b""), (2, "gRPC status 2"), id="no-headers"),
    ],
)
def test_what_is_more_than_an_answer_may_be(answer: bytes, expected: tuple[int, str]) -> None:
    begin = time.process_time()
    with pytest.raises(RpcError) as caught:
        ask(answer, closes=True)
    assert (caught.value.code, str(caught.value)) == expected
    assert time.process_time() - begin < 2.0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"\xb2", 2),
        (b"9" * 5000, 2),
        (b"17", 2),
        (b"-1", 2),
        (b"", 2),
        (b" 0", 2),
        (b"00", 2),
        (b"0\n", 2),
        (b"1_0", 2),
        (b"16", 16),
        (b"1", 1),
    ],
)
def test_a_status_that_is_none(status: bytes, code: int) -> None:
    block = b"\x40\x0bgrpc-status" + (string(len(status)) if len(status) > 126 else bytes([len(status)])) + status
    with pytest.raises(RpcError) as caught:
        ask(GOOD + frame(HEADERS, END_HEADERS | END_STREAM, block))
    assert caught.value.code == code


@pytest.mark.parametrize("answer", [b"\x40\x0bgrpc-status\x85\x07\xff\xff\xff\xff"])
def test_a_status_that_begins_well(answer: bytes) -> None:
    """A zero in Huffman's code, 00000, and then what no header of gRPC has."""
    with pytest.raises(RpcError) as caught:
        ask(GOOD + trailers(answer))
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            trailers(OK_200, header(b"grpc-status", b"2"), header(b"grpc-message", b"%1b[2J%0a<0>evil")),
            r"\x1b[2J\x0a<0>evil",
        ),
        (trailers(OK_200, header(b"grpc-status", b"2"), header(b"grpc-message", b"%")), "%"),
        (trailers(OK_200, header(b"grpc-status", b"2"), header(b"grpc-message", b"%ff\xff")), "\ufffd\ufffd"),
        (
            frame(GOAWAY, 0, struct.pack(">II", 0, 2) + b"\x1b]0;x\x07", 0),
            r"the server closes the connection: \x1b]0;x\x07",
        ),
        (trailers(b"\x48\x04\x1b[2J"), r"HTTP status \x1b[2J"),
    ],
)
def test_words_of_the_server_are_escaped(answer: bytes, words: str) -> None:
    with pytest.raises(RpcError) as caught:
        ask(answer)
    assert str(caught.value) == words


def test_words_of_the_server_have_an_end() -> None:
    words = b"\x40\x0cgrpc-message" + string(60000) + b"x" * 60000
    with pytest.raises(RpcError) as caught:
        ask(continued(OK_200 + header(b"grpc-status", b"2") + words) + frame(DATA, END_STREAM, b""))
    assert str(caught.value) == "x" * 1024


@pytest.mark.parametrize(
    "piece",
    [
        frame(SETTINGS, 1, b"", 0),
        frame(PING, 1, bytes(8), 0),
        frame(DATA, 0, b""),
        frame(DATA, 0, b"", 3),
        frame(0xFF, 0, bytes(100), 0),
        frame(HEADERS, END_HEADERS, b""),
        frame(PING, 0, bytes(8), 0),
    ],
    ids=["settings", "ping", "empty", "another-call", "unknown", "headers", "ping-to-answer"],
)
def test_a_server_that_never_comes_to_the_point(piece: bytes) -> None:
    begin = time.monotonic()
    # Whichever comes first: the deadline, or the end of what may be sent.
    with pytest.raises((TimeoutError, RpcError)) as caught:
        ask(piece * (40_000_000 // len(piece)), seconds=1.0, closes=True)
    assert isinstance(caught.value, TimeoutError) or str(caught.value) == "the server sends more than 32 MiB"
    assert time.monotonic() - begin < 60.0


@pytest.mark.parametrize("size", [1, 4])
def test_many_small_strings_in_huffman_s_code(size: int) -> None:
    one = b"\0" + bytes([0x80 | size]) + b"\x07" * size + bytes([0x80 | size]) + b"\x07" * size
    begin = time.process_time()
    said = ask(
        frame(HEADERS, END_HEADERS, OK_200)
        + continued(one * (60000 // len(one)))
        + frame(DATA, 0, message(b"hi"))
        + END
    )
    assert said[0] == b"hi"
    assert time.process_time() - begin < 2.0


def test_a_long_string_in_huffman_s_code() -> None:
    data = b"\x07" * 60000
    length = bytearray(string(len(data)))
    length[0] |= 0x80
    begin = time.process_time()
    assert ask(continued(OK_200 + b"\0\x01x" + bytes(length) + data) + frame(DATA, 0, message(b"hi")) + END)[0] == b"hi"
    assert time.process_time() - begin < 2.0


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        call(str(tmp_path / "none" / "s"), "/a/b", b"", 1)
    with pytest.raises(FileNotFoundError):
        call(str(tmp_path / "s"), "/a/b", b"", 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\x08\x96\x01", [(1, 150)]),
        (b"\x12\x02hi\x18\x00", [(2, b"hi"), (3, 0)]),
        (b"\x09" + bytes(8) + b"\x15" + bytes(4), [(1, bytes(8)), (2, bytes(4))]),
    ],
)
def test_fields(data: bytes, expected: t.Any) -> None:
    assert list(fields_of(data)) == expected


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x08", "a number that does not end"),
        (b"\x08" + b"\xff" * 11, "a number that does not end"),
        (b"\x12\x05hi", "a field that is cut off"),
        (b"\x0b", "a field of wire type 3"),
    ],
)
def test_what_is_no_message(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        list(fields_of(data))
