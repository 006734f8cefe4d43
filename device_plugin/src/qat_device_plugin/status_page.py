# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves /metrics, /healthz and /readyz over HTTP: three answers to GET, for which asyncio's streams do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import typing as t

if t.TYPE_CHECKING:
    from .service import Service

log = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"
_REQUEST_SECONDS = 5.0
_RETRY_SECONDS = 5.0


class StatusPage:
    """Listens until it is cancelled. An address in use is tried again: the old instance may be on its way out."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service = service
        self._host = host
        self._port = port

    async def run(self) -> None:
        """Serve; a problem with the address is logged and never ends the service."""
        while True:
            try:
                server = await asyncio.start_server(self._connected, self._host or None, self._port)
            except OSError as error:
                self._service.statistics.errors["http"] += 1
                fields = {"address": f"{self._host}:{self._port}", "problem": error.strerror or str(error)}
                log.error("cannot listen for HTTP", extra={"fields": fields})
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_SECONDS)
            writer.write(self._answer(head))
            await asyncio.wait_for(writer.drain(), _REQUEST_SECONDS)
        writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, target = [*head.split(b" ", 2), b"", b""][:2]
        status, kind, body = self._page(method.decode("latin-1"), target.decode("latin-1").partition("?")[0])
        lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == b"HEAD" else body)

    def _page(self, method: str, path: str) -> tuple[str, str, bytes]:
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", _TEXT, b"only GET\n"
        if path == "/metrics":
            # Imported here: most of its time and memory is spent on things that only a scrape needs.
            from .exposition import CONTENT_TYPE, exposition  # noqa: PLC0415

            return "200 OK", CONTENT_TYPE, exposition(self._service)
        if path in ("/healthz", "/readyz"):
            problems = self._service.unhealthy() if path == "/healthz" else self._service.unready()
            status = "503 Service Unavailable" if problems else "200 OK"
            return status, _TEXT, ("\n".join(problems or ["ok"]) + "\n").encode()
        return "404 Not Found", _TEXT, b"there are /metrics, /healthz and /readyz\n"
