# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole module exporter_info, with somebody who answers in place of the exporter."""

from __future__ import annotations

import json
import socket
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.accel.qat.plugins.module_utils._kubelet.listener import NotBelieved
from ansible_collections.accel.qat.plugins.modules import exporter_info
from ansible_collections.accel.qat.tests.unit.kubelet.test_listener import server

METRICS = b"# TYPE qat_exporter_collection_success gauge\nqat_exporter_collection_success 1.0\n"


def pages(*answers: tuple[int, bytes]) -> t.Callable[[socket.socket], None]:
    """Somebody who gives these answers, in turn, whatever is asked."""
    left = iter(answers)

    def say(one: socket.socket) -> None:
        status, body = next(left)
        one.sendall(b"HTTP/1.1 %d Any\r\n\r\n%s" % (status, body))

    return say


def problem(output: pytest.CaptureFixture[str], address: str) -> str:
    with patch_module_args({"address": address}), pytest.raises(SystemExit) as caught:
        exporter_info.main()
    assert not caught.value.code
    result = json.loads(output.readouterr().out)
    assert result["changed"] is False
    return str(result["problem"])


def test_it_sees_the_devices(capsys: pytest.CaptureFixture[str]) -> None:
    with server(pages((200, METRICS), (200, b"ok\n"))) as port:
        assert problem(capsys, f"127.0.0.1:{port}") == ""


def test_an_address_of_every_interface_is_asked_here(capsys: pytest.CaptureFixture[str]) -> None:
    with server(pages((200, METRICS), (200, b"ok\n"))) as port:
        assert problem(capsys, f":{port}") == ""


def test_it_does_not_see_them(capsys: pytest.CaptureFixture[str]) -> None:
    with server(pages((200, METRICS), (503, b"no descriptors\x1b\nand more\n"))) as port:
        found = problem(capsys, f"127.0.0.1:{port}")
    assert found == (
        "the exporter does not see the devices: no descriptors\\x1b and more; journalctl -u accel-qat-exporter says why"
    )


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with server(pages()) as port:
        pass
    assert problem(capsys, f"127.0.0.1:{port}") == (
        f"the exporter could not be asked at 127.0.0.1:{port}: Connection refused; journalctl -u accel-qat-exporter says why"
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [((200, b"other_metric 1\n"), "its metrics are those of something else"), ((99999, b""), "it does not speak HTTP")],
)
def test_somebody_else_answers(capsys: pytest.CaptureFixture[str], answer: tuple[int, bytes], why: str) -> None:
    with server(pages(answer, (200, b"ok\n"))) as port:
        assert (
            problem(capsys, f"127.0.0.1:{port}")
            == f"what answers for the exporter at 127.0.0.1:{port} is not it: {why}"
        )


def test_a_container_is_not_believed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_arguments: t.Any) -> t.NoReturn:
        raise NotBelieved("the user with id 7 listens on port 1, not root")

    monkeypatch.setattr(exporter_info, "fetch", refuses)
    assert problem(capsys, "127.0.0.1:1") == (
        "what answers for the exporter is not believed: the user with id 7 listens on port 1, not root"
    )
