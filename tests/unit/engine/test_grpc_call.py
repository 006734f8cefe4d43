# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC client against servers that a test writes down byte by byte; device_plugin/tests has it against a real one."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.grpc_call import RpcError, call, fields_of

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
