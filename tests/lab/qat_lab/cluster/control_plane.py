# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane of a cluster, on this host: etcd, kube-apiserver with its way to the kubelets, scheduler and controllers.

kube-apiserver listens on 127.0.0.1; etcd and the tunnel on Unix sockets in the directory of the cluster; the others on nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import sys
import time
from typing import TYPE_CHECKING

from ansible_collections.accel.qat.tools.building import host

from .. import image, processes
from ..errors import LabError
from ..paths import SOURCES
from . import programs
from .api import Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .releases import Release

HOST = "127.0.0.1"
GUEST_ADDRESS = "10.0.2.100"
"""Where a machine finds kube-apiserver: an address of QEMU's own network."""
GUEST_PORT = 6443
_NODE_NETWORK = "10.77.0."
"""All machines have the same address in a network of their own each; so every node has one more, which is its alone."""

ADMIN = "admin"
SCHEDULER = "system:kube-scheduler"
CONTROLLERS = "system:kube-controller-manager"

# In this order they are started, and in the other stopped.
_OF_A_RELEASE = ("kube-apiserver", "kube-scheduler", "kube-controller-manager")
PROGRAMS = ("etcd", "tunnel", *_OF_A_RELEASE)
START_SECONDS = 300
TRIES = 3

# etcd wants an address with a port, and takes the whole of it as the name of a socket in its directory.
_CLIENTS, _PEERS = "unix://etcd.sock:1", "unix://peer.sock:1"

_TUNNEL = "tunnel.sock"


def start(directory: Path, release: Release) -> None:
    """Start a control plane of a release in a new directory.

    LabError if one of its programs ends at once, or kube-apiserver does not become ready.
    """
    directory.mkdir(parents=True, mode=0o700)
    _make_certificate(directory)
    _make_tokens(directory)
    _write_egress(directory)
    processes.start(directory, "etcd", _etcd(release))
    processes.start(directory, "tunnel", [sys.executable, str(SOURCES / "lab"), "tunnel", _TUNNEL])
    # kube-apiserver waits 20 s before it tries a second time.
    _wait_for_etcd(directory)
    _start_api_server_somewhere(directory, release)
    for user, token in _tokens(directory).items():
        content = _kubeconfig(f"https://{HOST}:{port(directory)}", directory, {"token": token})
        kubeconfig(directory, user).write_bytes(content)
    _start_clients(directory, release)


def upgrade(directory: Path, release: Release) -> None:
    """Have the programs of another release in the place of those that run, and wait until they answer; LabError as for `start`."""
    for name in reversed(_OF_A_RELEASE):
        processes.stop(directory, name)
    if not _start_api_server(directory, release):
        raise LabError(f"kube-apiserver does not listen: {_last_words(directory, 'kube-apiserver')}")
    _start_clients(directory, release)
    wait(directory)


def stop(directory: Path) -> None:
    """End all programs of a control plane; it is no error if they have ended."""
    for name in reversed(PROGRAMS):
        processes.stop(directory, name)


def running(directory: Path) -> bool:
    """Whether all of its programs run."""
    return all(processes.pid(directory, name) is not None for name in PROGRAMS)


def api(directory: Path) -> Api:
    """A client with every right."""
    return Api(HOST, port(directory), directory / "server.crt", _tokens(directory)[ADMIN])


def kubeconfig(directory: Path, user: str = ADMIN) -> Path:
    """The file by which a client on this host, such as kubectl, knows kube-apiserver, and is known by it."""
    return directory / f"{user.removeprefix('system:')}.conf"


def port(directory: Path) -> int:
    """The port of kube-apiserver on 127.0.0.1."""
    return int((directory / "port").read_text())


def wait(directory: Path) -> None:
    """Wait until kube-apiserver is ready; LabError with the last lines of a program that ended, or after five minutes."""
    _wait(directory, PROGRAMS)


def _wait(directory: Path, names: Iterable[str]) -> None:
    """As `wait`, with these programs alone running."""
    deadline = time.monotonic() + START_SECONDS
    client = api(directory)
    while True:
        for name in names:
            _check(directory, name)
        with contextlib.suppress(ApiError, OSError):
            client.text("/readyz")
            return
        if time.monotonic() > deadline:
            raise LabError(
                f"kube-apiserver was not ready within {START_SECONDS} s: see {directory}/kube-apiserver.log."
            )
        time.sleep(0.2)


def kubeconfig_of_nobody(directory: Path) -> bytes:
    """The file by which a machine knows kube-apiserver, which does not know it yet."""
    return _kubeconfig(f"https://{GUEST_ADDRESS}:{GUEST_PORT}", directory, {})


def join_token(directory: Path) -> str:
    """What a machine shows that may become a node, once kubeadm has written it to kube-apiserver."""
    return (directory / "join-token").read_text()


def node_address(number: int) -> str:
    """The address of a node of a cluster, which are counted from 1."""
    return f"{_NODE_NETWORK}{number}"


def node_number(address: str) -> int:
    """Which node has this address; ValueError if it is none of a node."""
    network, _, number = address.rpartition(".")
    if f"{network}." != _NODE_NETWORK:
        raise ValueError(address)
    return int(number)


# Certificates, tokens and files.


def _make_certificate(directory: Path) -> None:
    """A certificate of the server that is the cluster's authority too: its key signs those of kubelets, and tokens of accounts.

    To kubelets the server shows it too, as a client that may do everything.
    """
    subject = [
        "-subj",
        "/O=system:masters/CN=kube-apiserver",
        "-addext",
        f"subjectAltName=IP:{HOST},IP:{GUEST_ADDRESS}",
    ]
    # Python 3.13 and newer wants the use of an authority's key said.
    use = ["-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", *subject, *use]
    host.run([*words, "-keyout", "server.key", "-out", "server.crt"], cwd=directory)


def _make_tokens(directory: Path) -> None:
    (directory / "join-token").write_text(f"{secrets.token_hex(3)}.{secrets.token_hex(8)}")
    users = {ADMIN: "system:masters", SCHEDULER: "", CONTROLLERS: ""}
    tokens = {user: secrets.token_hex(16) for user in users}
    (directory / "tokens.json").write_text(json.dumps(tokens))
    lines = [f'{tokens[user]},{user},{user},"{group}"' for user, group in users.items()]
    (directory / "tokens.csv").write_text("\n".join(lines) + "\n")


def _write_egress(directory: Path) -> None:
    """Have kube-apiserver take the tunnel to all that is in the cluster."""
    transport = {"uds": {"udsName": _TUNNEL}}
    connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
    document = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }
    (directory / "egress.json").write_text(json.dumps(document, indent=2) + "\n")


def _tokens(directory: Path) -> dict[str, str]:
    tokens: dict[str, str] = json.loads((directory / "tokens.json").read_text())
    return tokens


def _kubeconfig(server: str, directory: Path, user: dict[str, str]) -> bytes:
    trusted = _encoded((directory / "server.crt").read_bytes())
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": trusted}}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    # JSON is YAML.
    return json.dumps(document, indent=2).encode() + b"\n"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Programs.


def _etcd(release: Release) -> list[str]:
    clients = ["--listen-client-urls", _CLIENTS, "--advertise-client-urls", _CLIENTS]
    peers = [
        "--listen-peer-urls",
        _PEERS,
        "--initial-advertise-peer-urls",
        _PEERS,
        "--initial-cluster",
        f"default={_PEERS}",
    ]
    return [str(image.etcd(release.debian)), "--data-dir", "etcd", *clients, *peers]


def _api_server(release: Release, number: int) -> list[str]:
    return [
        str(programs.program(release, "kube-apiserver")),
        f"--etcd-servers={_CLIENTS}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={number}",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=server.crt",
        "--token-auth-file=tokens.csv",
        "--enable-bootstrap-token-auth=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-account-issuer=https://{HOST}",
        "--service-account-signing-key-file=server.key",
        "--service-account-key-file=server.key",
        "--service-cluster-ip-range=10.89.0.0/16",
        "--endpoint-reconciler-type=none",
        # The tunnel finds the machine by it. kube-apiserver would look up a name before it hands on a request to a node.
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-client-certificate=server.crt",
        "--kubelet-client-key=server.key",
        "--egress-selector-config-file=egress.json",
    ]


def _scheduler(release: Release) -> list[str]:
    program = programs.program(release, "kube-scheduler")
    return [str(program), "--kubeconfig=kube-scheduler.conf", *release.component_flags]


def _controllers(release: Release) -> list[str]:
    return [
        str(programs.program(release, "kube-controller-manager")),
        "--kubeconfig=kube-controller-manager.conf",
        "--use-service-account-credentials=true",
        "--service-account-private-key-file=server.key",
        "--root-ca-file=server.crt",
        "--cluster-signing-cert-file=server.crt",
        "--cluster-signing-key-file=server.key",
        *release.component_flags,
    ]


def _start_api_server_somewhere(directory: Path, release: Release) -> None:
    """Start kube-apiserver on a free port, and see that it gets it: another program may be quicker."""
    for _ in range(TRIES):
        with socket.create_server((HOST, 0)) as probe:
            (directory / "port").write_text(f"{probe.getsockname()[1]}\n")
        if _start_api_server(directory, release):
            return
    raise LabError(f"kube-apiserver does not listen: {_last_words(directory, 'kube-apiserver')}")


def _start_api_server(directory: Path, release: Release) -> bool:
    """Whether it listens; it has been ended if not."""
    address = (HOST, port(directory))
    process = processes.start(directory, "kube-apiserver", _api_server(release, address[1]))
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(address):
            return True
        time.sleep(0.05)
    processes.stop(directory, "kube-apiserver")
    return False


def _start_clients(directory: Path, release: Release) -> None:
    # kube-controller-manager ends if kube-apiserver is not healthy within 10 s of its own start.
    _wait(directory, PROGRAMS[: PROGRAMS.index("kube-apiserver") + 1])
    processes.start(directory, "kube-scheduler", _scheduler(release))
    processes.start(directory, "kube-controller-manager", _controllers(release))


def _wait_for_etcd(directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (directory / _CLIENTS.removeprefix("unix://")).exists():
        _check(directory, "etcd")
        if time.monotonic() > deadline:
            raise LabError(f"etcd did not listen within {START_SECONDS} s: {_last_words(directory, 'etcd')}")
        time.sleep(0.05)


def _check(directory: Path, name: str) -> None:
    if processes.pid(directory, name) is None:
        raise LabError(f"{name} ended: {_last_words(directory, name)}")


def _last_words(directory: Path, name: str) -> str:
    return "\n".join(processes.words(directory, name).splitlines()[-5:]) or "it said nothing."
