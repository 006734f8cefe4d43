# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of Debian's package prometheus, as `make setup` has them; and a server for as long as a test needs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ansible_collections.accel.qat.tools.building.cache import cache_directory

READY_SECONDS = 300.0


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    unpacked = cache_directory() / "programs/prometheus/usr/bin" / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else None)
    assert found, f"there is no {name}: run `make setup`"
    return found


def promtool(*arguments: object, said: bytes = b"") -> str:
    """What it prints when this is said to it; fails where it finds something."""
    command = [program("promtool"), *map(str, arguments)]
    result = subprocess.run(command, input=said, capture_output=True, check=False, timeout=300)
    words = (result.stdout + result.stderr).decode()
    assert result.returncode == 0, words
    return words


class Prometheus:
    """A server on 127.0.0.1 that keeps what it scrapes in a directory. Ends with `close`."""

    def __init__(self, directory: Path, configuration: str, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        (directory / "prometheus.yml").write_text(configuration)
        self.log = directory / "prometheus.log"
        command = [
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with self.log.open("w") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait_until_ready(self) -> None:
        self.until(lambda: self._text("/-/ready") is not None)

    def until(self, condition: t.Callable[[], object]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def query(self, expression: str) -> list[dict[str, t.Any]]:
        """The series that answer it now: `metric` has the labels, `value` time and value. Fails where Prometheus takes it for none."""
        return self._result("query", query=expression)

    def query_range(self, expression: str, begin: float, end: float, step: float) -> list[dict[str, t.Any]]:
        """The series in this time: `values` are pairs of time and value."""
        return self._result("query_range", query=expression, start=begin, end=end, step=step)

    def _result(self, how: str, **parameters: object) -> list[dict[str, t.Any]]:
        text = self._text(f"/api/v1/{how}?" + urllib.parse.urlencode(parameters))
        answer = json.loads(text or "{}")
        assert answer.get("status") == "success", f"{parameters}: {answer}"
        data = answer["data"]
        found: list[dict[str, t.Any]] = data["result"] if data["resultType"] in ("vector", "matrix") else []
        return found

    def _text(self, path: str) -> str | None:
        """None where it does not listen as yet, or is not ready."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=60) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return None if error.code == 503 else str(error.read().decode())
        except OSError:
            return None
