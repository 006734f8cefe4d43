# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect standard input and output to a TCP port: QEMU runs one of these for each connection of a forward."""

from __future__ import annotations

import os
import selectors
import socket


def run(host: str, port: int) -> None:
    """Copy both ways until the far side closes."""
    with socket.create_connection((host, port)) as line, selectors.DefaultSelector() as ready:
        ready.register(0, selectors.EVENT_READ)
        ready.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                data = os.read(key.fd, 65536)
                if key.fd == 0 and not data:
                    line.shutdown(socket.SHUT_WR)
                    ready.unregister(0)
                elif not data:
                    return
                elif key.fd == 0:
                    line.sendall(data)
                else:
                    _write_all(1, data)


def _write_all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]
