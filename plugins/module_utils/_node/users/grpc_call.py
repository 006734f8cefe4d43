# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One gRPC call over a unix socket, with the standard library alone, since a managed node has no gRPC library.

Enough of HTTP/2 (RFC 9113), HPACK (RFC 7541) and gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md) for one call that has one answer. The
peer is asked to keep no table of headers, which leaves little of HPACK. Whoever has made the socket may answer what he likes: everything
that he can send has a bound, as has the time in which it is read and understood.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import time
import typing as t

from ..absence import if_there
from ..printable import printable

LARGEST_ANSWER = 16 << 20
"""Bytes of an answer, as much as kubelet's own clients take."""

LARGEST_FRAME = 16384
"""Bytes of a frame for whoever has not asked for more (RFC 9113, 4.2)."""

LARGEST_HEADERS = 64 << 10
"""Bytes of all headers of an answer."""

_LARGEST_WHOLE = 2 * LARGEST_ANSWER
"""Bytes of all that is read, with the frames around the answer."""

_LONGEST_WORDS = 1024
"""Characters of what a server says of a failure."""

_LAST_STATUS = 16

CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 1, 2, 4, 8, 12, 13
"""Status codes of gRPC."""

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_STREAM = 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE = 1, 2, 4


class RpcError(Exception):
    """The server's refusal: the status code of gRPC, and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(printable(message[:_LONGEST_WORDS]) or f"gRPC status {code}")
        self.code = code


def call(
    path: str, method: str, request: bytes, seconds: float, connected: t.Callable[[], object] = lambda: None
) -> bytes:
    """The answer to one request, both as their bytes; `method` is such as `/v1.PodResourcesLister/List`.

    The request goes out in one frame, so it has at most 16 379 bytes; those to kubelet have none. `connected` is called when somebody
    listens, before anything is sent, and what it raises ends the call.

    Raises RpcError, TimeoutError when the whole takes longer than `seconds`, or another OSError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        exchange = _Exchange(connection, time.monotonic() + seconds)
        try:
            exchange.open(path)
            connected()
            exchange.send(method, request, seconds)
            return exchange.answer()
        except RpcError as error:
            if error.code != DEADLINE_EXCEEDED:
                raise
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path) from None
        except socket.timeout:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path) from None


def listens_at(path: str, seconds: float) -> bool:
    """Whether somebody takes connections there, or may in a while. Nothing is sent. Raises OSError where that cannot be seen."""

    def connects() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            _Exchange(connection, time.monotonic() + seconds).open(path)
        return True

    try:
        return if_there(connects, False)
    except ConnectionRefusedError:
        return False
    except (TimeoutError, socket.timeout):
        return True


class _Exchange:
    """One connection with one call on it."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = bytearray()
        self._received = 0
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._block: bytearray | None = None  # of headers that go on in the next frame
        self._body = bytearray()
        self._ends = self._ended = False

    def open(self, path: str) -> None:
        self._limit()
        # A path in the socket's address has at most 107 bytes; through the directory's descriptor it is short.
        directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        except BlockingIOError:
            # What a unix socket answers when it has a time limit and nobody takes connections.
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path) from None
        finally:
            os.close(directory)

    def send(self, method: str, request: bytes, seconds: float) -> None:
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW_SIZE, LARGEST_ANSWER))
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "accel-qat",
            "grpc-timeout": f"{max(1, int(seconds * 1000))}m",
        }
        frames = (
            _frame(_SETTINGS, 0, 0, b"".join(struct.pack(">HI", *setting) for setting in settings)),
            _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_ANSWER)),
            _frame(_HEADERS, _END_HEADERS, _STREAM, b"".join(_header(*header) for header in headers.items())),
            _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, len(request)) + request),
        )
        self._write(_PREFACE + b"".join(frames))

    def answer(self) -> bytes:
        try:
            while not self._ended:
                self._take(*self._read_frame())
        except (IndexError, struct.error):  # something of it is cut off
            raise RpcError(INTERNAL, "the answer is not HTTP/2") from None
        if self._headers.get(":status", "200") != "200":
            raise RpcError(UNKNOWN, f"HTTP status {self._headers[':status']}")
        code = _status(self._headers.get("grpc-status", ""))
        if code:
            raise RpcError(code, _percent_decoded(self._headers.get("grpc-message", "")))
        if len(self._body) < 5 or self._body[0] or struct.unpack(">I", self._body[1:5])[0] != len(self._body) - 5:
            raise RpcError(INTERNAL, "the answer is not one message without compression")
        return bytes(self._body[5:])

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and (kind, stream) != (_CONTINUATION, _STREAM):
            raise _not_http2("headers that do not go on")
        if kind == _SETTINGS and not flags & _ACK:
            self._write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            if len(payload) != 8:
                raise _not_http2("a ping of another size")
            self._write(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY and struct.unpack(">I", payload[:4])[0] < _STREAM:
            raise RpcError(UNKNOWN, "the server closes the connection: " + payload[8:].decode("utf-8", "replace"))
        elif stream == _STREAM:
            self._take_of_call(kind, flags, payload)

    def _take_of_call(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _RST_STREAM:
            raise RpcError(CANCELLED, f"the server ends the call with HTTP/2 error {struct.unpack('>I', payload)[0]}")
        if kind == _DATA:
            self._body += _without_padding(flags, payload)
            if len(self._body) > LARGEST_ANSWER:
                raise RpcError(RESOURCE_EXHAUSTED, f"the answer has more than {LARGEST_ANSWER >> 20} MiB")
            self._ended = bool(flags & _END_STREAM)
        elif kind == _HEADERS:
            payload = _without_padding(flags, payload)
            if flags & _PRIORITY and len(payload) < 5:
                raise _not_http2("a priority that is cut off")
            self._ends = bool(flags & _END_STREAM)
            self._take_headers(flags, payload[5:] if flags & _PRIORITY else payload)
        elif kind == _CONTINUATION:
            if self._block is None:
                raise _not_http2("headers that did not begin")
            self._take_headers(flags, payload)

    def _take_headers(self, flags: int, piece: bytes) -> None:
        """One frame of a block of headers."""
        self._header_bytes += len(piece)
        if self._header_bytes > LARGEST_HEADERS:
            raise RpcError(RESOURCE_EXHAUSTED, f"the answer has more than {LARGEST_HEADERS >> 10} KiB of headers")
        if self._block is None:
            self._block = bytearray()
        self._block += piece
        if flags & _END_HEADERS:
            self._headers.update(_headers_in(bytes(self._block), self._left))
            self._block = None
            self._ended = self._ends

    def _read_frame(self) -> tuple[int, int, int, bytes]:
        self._left()
        head = self._read(9)
        length = int.from_bytes(head[:3], "big")
        if length > LARGEST_FRAME:
            raise _not_http2(f"a frame of {length} bytes")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream & 0x7FFFFFFF, self._read(length)

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._limit()
            received = self._connection.recv(65536)
            if not received:
                raise ConnectionResetError(errno.ECONNRESET, "the connection was closed before the answer was whole")
            self._buffer += received
            self._received += len(received)
            if self._received > _LARGEST_WHOLE:
                raise RpcError(RESOURCE_EXHAUSTED, f"the server sends more than {_LARGEST_WHOLE >> 20} MiB")
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _write(self, data: bytes) -> None:
        self._limit()
        self._connection.sendall(data)

    def _limit(self) -> None:
        """Let the next operation take what is left of the time."""
        self._connection.settimeout(self._left())

    def _left(self) -> float:
        """The seconds that are left; raises TimeoutError where there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return left


def _not_http2(what: str) -> RpcError:
    return RpcError(INTERNAL, f"the answer is not HTTP/2: it has {what}")


def _status(text: str) -> int:
    """The status code in grpc-status; what is none of gRPC's is unknown (grpc/doc/statuscodes.md)."""
    known = re.fullmatch("0|[1-9][0-9]?", text, re.ASCII)
    return int(text) if known and int(text) <= _LAST_STATUS else UNKNOWN


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _without_padding(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise _not_http2("more padding than there is room for")
    return payload[1 : len(payload) - payload[0]]  # noqa: E203


def _header(name: str, value: str) -> bytes:
    """A header as a literal that goes into no table (RFC 7541, 6.2.2)."""
    return b"\0" + _string(name) + _string(value)


def _string(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, length = len(data) - 127, bytearray([127])
    while rest >= 128:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes(length) + bytes([rest]) + data


_STATUS_CODES = {8: "200", 9: "204", 10: "206", 11: "304", 12: "400", 13: "404", 14: "500"}
"""The entries of the static table that have the name :status; what other entries say is of no interest here."""

_LAST_STATIC = 61
_LONGEST_INTEGER = 5
"""Bytes after the first one of a number: enough for 32 bits."""


def _headers_in(block: bytes, go_on: t.Callable[[], object]) -> dict[str, str]:
    """The headers of a block whose names matter here. Raises RpcError where it refers to the table that we have not.

    `go_on` is called now and then, and raises TimeoutError when that has taken too long.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(block):
        go_on()
        first = block[position]
        if first & 0x80:
            index, position = _integer(block, position, 7)
            name, value = _static(index)
        elif first & 0xE0 == 0x20:
            _size, position = _integer(block, position, 5)
            continue
        else:
            index, position = _integer(block, position, 6 if first & 0x40 else 4)
            name = _static(index)[0]
            if index == 0:
                name, position = _text(block, position)
            value, position = _text(block, position)
        if name:
            found[name] = value
    return found


def _static(index: int) -> tuple[str, str]:
    if index > _LAST_STATIC:
        raise RpcError(INTERNAL, "the answer's headers refer to a table that was declined")
    return (":status", _STATUS_CODES[index]) if index in _STATUS_CODES else ("", "")


def _integer(data: bytes, position: int, bits: int) -> tuple[int, int]:
    """A number with a prefix of so many bits (RFC 7541, 5.1), and where it ends."""
    most = (1 << bits) - 1
    value = data[position] & most
    position += 1
    if value < most:
        return value, position
    for shift in range(0, 7 * _LONGEST_INTEGER, 7):
        value += (data[position] & 127) << shift
        position += 1
        if not data[position - 1] & 128:
            return value, position
    raise _not_http2("a number that does not end")


def _text(data: bytes, position: int) -> tuple[str, int]:
    is_huffman = bool(data[position] & 0x80)
    length, position = _integer(data, position, 7)
    raw = data[position : position + length]  # noqa: E203
    if len(raw) < length:
        raise _not_http2("a header that is cut off")
    return _huffman(raw) if is_huffman else raw.decode("latin-1"), position + length


_HUFFMAN = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
    19: "\\",
}
"""The characters by the length of their code in bits (RFC 7541, appendix B). The code is canonical, and what is left out, bytes that
no header of gRPC has, comes after these."""


def _huffman(data: bytes) -> str:
    """The text, with a mark that no header has where a byte follows that is not in the table."""
    text: list[str] = []
    code = length = 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            character = _CODES.get((length, code))
            if character is not None:
                text.append(character)
                code = length = 0
            elif length > _LONGEST_CODE:
                return "".join(text) + "\ufffd"
    return "".join(text)


def _codes() -> dict[tuple[int, int], str]:
    codes: dict[tuple[int, int], str] = {}
    code = 0
    for length in range(1, max(_HUFFMAN) + 1):
        for character in _HUFFMAN.get(length, ""):
            codes[length, code] = character
            code += 1
        code <<= 1
    return codes


_CODES = _codes()
_LONGEST_CODE = 30


def _percent_decoded(text: str) -> str:
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("latin-1", "replace"))
    return raw.decode("utf-8", "replace")


Field = t.Tuple[int, t.Union[int, bytes]]  # noqa: UP006


def fields_of(message: bytes) -> t.Iterator[Field]:
    """The fields of a protobuf message in their order: number, and a number or bytes. Raises ValueError where it is none."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            length, position = _varint(message, position)
        elif not length:
            raise ValueError(f"a field of wire type {kind}")
        if position + length > len(message):
            raise ValueError("a field that is cut off")
        yield number, message[position : position + length]  # noqa: E203
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number that does not end")
        value |= (data[position] & 127) << shift
        shift += 7
        position += 1
        if not data[position - 1] & 128:
            return value, position
