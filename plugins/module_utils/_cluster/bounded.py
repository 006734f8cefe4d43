# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A client of the API server that reads no more than it has to, be the answer a refusal, and for no longer."""

from __future__ import annotations

import contextlib
import io
import time
import typing as t

from .tls import FILES, TlsError

with contextlib.suppress(ImportError):  # then nobody has a client to give
    import urllib3
    import urllib3.exceptions

LONGEST = 64 << 20
"""Bytes of an answer. The longest that is asked for are the pods of one node: 500 of 64 KiB, with who wrote each field, have 32 MiB."""

SECONDS = 120.0
"""How long an answer may take. Each of its parts has the time of a request."""

_PIECE = 64 * 1024

_HEADERS = ("content-type", "location")
"""By the first the client decodes text, and the second says where an answer points."""


class UnboundedError(Exception):
    """An answer is longer, or takes longer, than any that was asked for. Its text says which, as the end of a sentence."""


def bound(api: t.Any, longest: int, seconds: float) -> t.Any:
    """The same ApiClient, whose calls raise UnboundedError and TlsError from now on."""
    rest: t.Any = api.rest_client
    rest.pool_manager = _Pool(rest.pool_manager, longest, seconds)
    return api


class _Pool:
    """urllib3's pool, as far as the client uses it."""

    def __init__(self, pool: t.Any, longest: int, seconds: float) -> None:
        self._pool = pool
        self._longest = longest
        self._seconds = seconds

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._pool, name)

    def request(self, *arguments: t.Any, **options: t.Any) -> t.Any:
        """An answer that was read whole. One that points elsewhere is not followed there: what it says would be read to its end."""
        try:
            return self._request(*arguments, **options)
        except urllib3.exceptions.SSLError as error:
            raise TlsError(_innermost(error)) from None
        except urllib3.exceptions.ProtocolError as error:
            if isinstance(_innermost(error), FILES):  # that of a client's certificate
                raise TlsError(_innermost(error)) from None
            raise

    def _request(self, *arguments: t.Any, **options: t.Any) -> t.Any:
        end = time.monotonic() + self._seconds
        response = self._pool.request(*arguments, **{**options, "preload_content": False, "redirect": False})
        try:
            body = self._read(response, end)
        finally:
            response.close()
        headers = {name: value for name, value in response.headers.items() if name.lower() in _HEADERS}
        return urllib3.HTTPResponse(
            io.BytesIO(body), headers=headers, status=response.status, reason=response.reason, preload_content=False
        )

    def _read(self, response: t.Any, end: float) -> bytes:
        body = bytearray()
        while True:
            piece = _piece(response)
            if not piece:
                return bytes(body)
            body += piece
            if len(body) > self._longest:
                raise UnboundedError(f"longer than {self._longest} bytes")
            if time.monotonic() > end:
                raise UnboundedError(f"not whole after {self._seconds:g} seconds")


def _piece(response: t.Any) -> bytes:
    """What has come so far of an answer, so that one that comes by drops is given up in time; empty at its end.

    `read` of urllib3 waits for all that it is to read. Its older releases have no other, and http.client has.
    """
    if hasattr(response, "read1"):
        return bytes(response.read1(_PIECE))
    with response._error_catcher():
        piece = bytes(response._fp.read1(_PIECE))
    if not piece and response._fp.length:  # by its own word there is more
        raise urllib3.exceptions.ProtocolError("the answer ends before its end")
    return piece


def _innermost(error: BaseException) -> BaseException:
    """What urllib3 has wrapped."""
    return next((one for one in reversed(error.args) if isinstance(one, BaseException)), error)
