# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS with the API server that does not come about: what is wrong for good is reported at once, and who closes is asked again."""

from __future__ import annotations

import ipaddress
import json
import os
import ssl
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.module_utils._cluster.tls import fault
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.modules import cluster_access, cluster_node_info
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api
from ansible_collections.accel.qat.tests.unit.cluster.api_server import raw_server
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller, kubeconfig_of

NODE = {"metadata": {"name": "node1"}, "status": {"conditions": []}}
TIME = "see the clocks of the controller and of the API server, and renew its certificate if they are right"
NAME = "give its address as the certificate has it, or that name as tls-server-name in the kubeconfig"
AUTHORITY = (
    "give the CA of this cluster in the kubeconfig or with ca_cert, and see that the address is the API server's"
)
FILES = "see ca_cert, client_cert and client_key, or the files that the kubeconfig names"
CLOSED = "the connection was closed during TLS; see that the address is right and that the controller may connect to it"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Make(t.Protocol):
    """Writes a certificate that is its own authority, with its key, for an address and from one day to another; returns its path."""

    def __call__(self, name: str, address: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> str: ...


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(name: str, address: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + timedelta(days[0])).not_valid_after(now + timedelta(days[1]))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = tmp_path / name
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.01)


def context_of(certificate: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def whole() -> list[bytes]:
    text = json.dumps(NODE).encode()
    return [HEAD + f"Content-Length: {len(text)}\r\n\r\n".encode() + text]


def ask(controller: Controller, url: str, **arguments: t.Any) -> t.Any:
    """Whoever asks again hangs or fails: who answers in these tests does so once."""
    return controller.run(cluster_node_info, node="node1", host=url, **{"wait_timeout": 60, **arguments})


def reached(url: str, words: str) -> str:
    return f"{url}: the API server cannot be reached: {words}"


def test_one_that_speaks_http_alone(controller: Controller) -> None:
    url, thread = raw_server([b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"])
    url = url.replace("http:", "https:")
    failed = ask(controller, url)
    thread.join(60)
    remedy = "see that the port is the right one, and whether the address begins with http:// there"
    assert failed["msg"] == reached(url, f"what listens at the address does not speak TLS; {remedy}")


def test_one_that_closes_before_it_serves(controller: Controller, make: Make) -> None:
    """As a load balancer while its only API server reboots."""
    certificate = make("ours")
    url, thread = raw_server(whole(), closes=2, context=context_of(certificate))
    found = ask(controller, url, ca_cert=certificate)
    thread.join(60)
    assert not found.get("failed"), found


def test_one_that_closes_for_good(controller: Controller) -> None:
    url, thread = raw_server([])
    url = url.replace("http:", "https:")
    failed = ask(controller, url, wait_timeout=0)
    thread.join(60)
    assert failed["msg"] == reached(url, CLOSED)


@pytest.mark.parametrize(
    ("served", "trusted", "words"),
    [
        ("ours", "others", f"its certificate is refused: self-signed certificate; {AUTHORITY}"),
        (
            "of-another-name",
            "",
            f"its certificate is refused: IP address mismatch, certificate is not valid for '127.0.0.1'; {NAME}",
        ),
        ("old", "", f"its certificate is refused: certificate has expired; {TIME}"),
        ("early", "", f"its certificate is refused: certificate is not yet valid; {TIME}"),
    ],
)
def test_a_certificate_that_is_wrong_is_reported_at_once(
    controller: Controller, make: Make, served: str, trusted: str, words: str
) -> None:
    options: dict[str, dict[str, t.Any]] = {
        "of-another-name": {"address": "127.0.0.2"},
        "old": {"days": (-2, -1)},
        "early": {"days": (1, 2)},
    }
    certificate = make(served, **options.get(served, {}))
    url, thread = raw_server(whole(), context=context_of(certificate))
    failed = ask(controller, url, ca_cert=make(trusted) if trusted else certificate)
    thread.join(60)
    # OpenSSL 1.1 writes it without the hyphen.
    assert failed["msg"].replace("self signed", "self-signed") == reached(url, words)


def test_one_whose_certificate_nobody_wants_to_see(controller: Controller, make: Make) -> None:
    url, thread = raw_server(whole(), context=context_of(make("ours")))
    found = ask(controller, url, validate_certs=False)
    thread.join(60)
    assert not found.get("failed"), found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ca_cert": "/missing"}, f"a file of certificates or keys cannot be read: No such file or directory; {FILES}"),
        (
            {"client_cert": "/missing", "client_key": "/missing"},
            f"a file of certificates or keys cannot be read: No such file or directory; {FILES}",
        ),
        ({"client_cert": "ours", "client_key": "others"}, "TLS fails: key values mismatch; see what listens at "),
    ],
    ids=["ca_cert", "client_cert", "client_key"],
)
def test_files_that_cannot_be_used(controller: Controller, make: Make, given: dict[str, str], words: str) -> None:
    paths = {name: make(name) for name in ("ours", "others")}
    url, thread = raw_server([], context=context_of(paths["ours"]))
    failed = ask(
        controller, url, **{"ca_cert": paths["ours"], **{key: paths.get(one, one) for key, one in given.items()}}
    )
    thread.join(60)
    assert failed["msg"].startswith(reached(url, words))


def test_one_with_which_no_cipher_is_agreed_on(controller: Controller, make: Make) -> None:
    """It says itself that it does not go on."""
    certificate = make("ours")
    context = context_of(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # for which it has no key
    url, thread = raw_server([], context=context)
    failed = ask(controller, url, ca_cert=certificate)
    thread.join(60)
    assert failed["msg"].startswith(reached(url, "TLS fails: "))
    assert " alert handshake failure; see what listens at the address" in failed["msg"]


def test_tls_that_breaks_in_the_answer(controller: Controller, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make("ours")
    sockets: list[ssl.SSLSocket] = []
    wrap = ssl.SSLContext.wrap_socket

    def remember(*arguments: t.Any, **options: t.Any) -> ssl.SSLSocket:
        made = wrap(*arguments, **options)
        sockets.extend([made] if options.get("server_side") else [])
        return made

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", remember)

    def answer() -> t.Iterator[bytes]:
        yield HEAD + b"Content-Length: 100\r\n\r\n{"
        os.write(sockets[0].fileno(), b"not of TLS " * 20)

    url, thread = raw_server(answer(), context=context_of(certificate))
    failed = ask(controller, url, ca_cert=certificate)
    thread.join(60)
    assert failed["msg"].startswith(reached(url, "what listens at the address does not speak TLS; "))


def test_what_is_asked_before_all_else_reports_it(controller: Controller, make: Make) -> None:
    url, thread = raw_server([], context=context_of(make("ours")))
    questions = [{"purpose": "drain", "node": "node1"}]
    (answer,) = controller.run(cluster_access, host=url, questions=questions, wait_timeout=60, ca_cert=make("others"))[
        "answers"
    ]
    thread.join(60)
    assert "its certificate is refused: " in answer["missing"][0]


def test_the_wait_for_a_node_reports_it(make: Make, tmp_path: Path) -> None:
    url, thread = raw_server([], context=context_of(make("ours")))
    with pytest.raises(NodeError) as caught:
        Api(kubeconfig_of(tmp_path / "kubeconfig", url), "node1", 60)
    thread.join(60)
    sentence = caught.value.sentence()
    assert sentence.startswith("node node1: the API server cannot be reached: its certificate is refused: "), sentence
    assert sentence.endswith(f"; {AUTHORITY}; nothing was written")


@pytest.mark.parametrize(
    ("cause", "reason", "away"),
    [
        (
            ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:1)"),
            "the connection was closed during TLS",
            True,
        ),
        (ssl.SSLZeroReturnError(6, "closed"), "the connection was closed during TLS", True),
        (ssl.SSLError(1, "[SSL: A_B] an alert (_ssl.c:1006)"), "TLS fails: an alert", False),
        (
            ValueError("hostname 'a' doesn't match 'b'"),
            "its certificate is refused: hostname 'a' doesn't match 'b'",
            False,
        ),
    ],
)
def test_words_of_a_cause(cause: Exception, reason: str, away: bool) -> None:
    found = fault(cause)
    assert (found.reason, found.away, bool(found.remedy)) == (reason, away, True)
