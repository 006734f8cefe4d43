# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the Kubernetes API: plain requests, and what tests ask of pods and nodes."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any

from ..errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]

SECONDS = 120
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class ApiError(LabError):
    """kube-apiserver refused a request; code is the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"kube-apiserver answered {code}: {message}")


class Api:
    """Requests to one kube-apiserver with one token.

    Every method raises ApiError if it is refused, and OSError if nobody answers within two minutes.
    """

    def __init__(self, host: str, port: int, authority: Path, token: str) -> None:
        self._address = (host, port)
        self._trust = ssl.create_default_context(cafile=str(authority))
        self._token = token

    def get(self, path: str) -> Document:
        """The document at a path such as /api/v1/nodes."""
        return self._json("GET", path)

    def post(self, path: str, document: Document) -> Document:
        """Make a document of a kind."""
        return self._json("POST", path, document)

    def patch(self, path: str, changes: Document | list[Document], kind: str = MERGE) -> Document:
        """Change a document: by MERGE, or by JSON_PATCH, whose changes are a list."""
        return self._json("PATCH", path, changes, kind)

    def delete(self, path: str) -> Document:
        """Remove a document."""
        return self._json("DELETE", path)

    def text(self, path: str) -> str:
        """The answer at a path that has no document, such as /readyz."""
        return self._ask("GET", path, b"", "")

    def _json(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Document:
        data = b"" if body is None else json.dumps(body).encode()
        document: Document = json.loads(self._ask(method, path, data, kind))
        return document

    def _ask(self, method: str, path: str, data: bytes, kind: str) -> str:
        headers = {"Authorization": f"Bearer {self._token}"}
        if data:
            headers["Content-Type"] = kind
        line = http.client.HTTPSConnection(*self._address, timeout=SECONDS, context=self._trust)
        try:
            line.request(method, path, data or None, headers)
            answer = line.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"kube-apiserver broke off: {error!r}") from error
        finally:
            line.close()
        if answer.status >= 300:
            raise ApiError(answer.status, _message(text))
        return text


def _message(text: str) -> str:
    """The sentence of a Status document, or the text itself."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
