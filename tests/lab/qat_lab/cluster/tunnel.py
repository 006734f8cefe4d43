# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from kube-apiserver to the kubelets, for logs of pods: a proxy on a Unix socket that connects through ssh.

kube-apiserver asks for ADDRESS:PORT by HTTP's CONNECT, as its egress selector configuration has it. The address of a node says which of
the cluster's machines it is; from this host none can be reached by it, and no port of this host is taken.
"""

from __future__ import annotations

import re
import socketserver
import subprocess
from pathlib import Path

from ..errors import LabError
from ..machine import Machine
from . import control_plane

_LONGEST = 4096
_REQUEST = re.compile(rb"CONNECT ([0-9.]+):(\d+) HTTP/1\.1\r\n")


def serve(path: Path) -> None:
    """Connect whoever asks at this socket in the directory of a cluster, until the process is ended."""
    path.unlink(missing_ok=True)
    with _Server(str(path), _Handler) as server:
        server.serve_forever()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def machine_at(self, address: str) -> Machine:
        """The machine of the node with this address; LabError or ValueError if there is none."""
        cluster = Path(str(self.server_address)).absolute().parent.name
        return Machine(f"{cluster}-{control_plane.node_number(address)}")


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        request = _REQUEST.match(self._head())
        if request is None:
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        try:
            machine = self.server.machine_at(request[1].decode())
        except (LabError, ValueError):
            self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        # From here on ssh has the connection to itself; it ends when one of both sides does.
        command = machine.connection.forward(f"127.0.0.1:{request[2].decode()}")
        subprocess.run(command, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL, check=False)

    def _head(self) -> bytes:
        """The request; its sender says no more before it is answered."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _LONGEST:
            data: bytes = self.request.recv(_LONGEST)
            if not data:
                break
            head += data
        return head
