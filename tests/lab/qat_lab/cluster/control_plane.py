# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane of a cluster, on this host: etcd, kube-apiserver with its way to the kubelets, and kube-scheduler.

kube-apiserver listens on 127.0.0.1; etcd and the tunnel on Unix sockets in the directory of the cluster; the scheduler on nothing.
There is no controller manager: nodes get no taints, pods need no service account, and a namespace is never cleared away.
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

from .. import host, image, processes
from ..errors import LabError
from ..paths import SOURCES
from . import programs
from .api import Api, ApiError

if TYPE_CHECKING:
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

# In this order they are started, and in the other stopped.
PROGRAMS = ("etcd", "tunnel", "kube-apiserver", "kube-scheduler")
START_SECONDS = 120
TRIES = 3

# etcd wants an address with a port, and takes the whole of it as the name of a socket in its directory.
_CLIENTS, _PEERS = "unix://etcd.sock:1", "unix://peer.sock:1"

_TUNNEL = "tunnel.sock"


def start(directory: Path, release: Release) -> None:
    """Start a control plane of a release in a new directory; returns before it answers.

    LabError if one of its programs ends at once.
    """
    directory.mkdir(parents=True, mode=0o700)
    _make_certificate(directory)
    _make_tokens(directory)
    _write_egress(directory)
    processes.start(directory, "etcd", _etcd(release))
    processes.start(directory, "tunnel", [sys.executable, str(SOURCES / "lab"), "tunnel", _TUNNEL])
    # kube-apiserver waits 20 s before it tries a second time.
    _wait_for_etcd(directory)
    _start_api_server(directory, release)
    for user, token in _tokens(directory).items():
        content = _kubeconfig(f"https://{HOST}:{port(directory)}", directory, {"token": token})
        kubeconfig(directory, user).write_bytes(content)
    processes.start(directory, "kube-scheduler", _scheduler(release))


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
    """Wait until kube-apiserver is ready; LabError with the last lines of a program that ended, or after two minutes."""
    deadline = time.monotonic() + START_SECONDS
    client = api(directory)
    while True:
        for name in PROGRAMS:
            _check(directory, name)
        with contextlib.suppress(ApiError, OSError):
            client.text("/readyz")
            return
        if time.monotonic() > deadline:
            raise LabError(
                f"kube-apiserver was not ready within {START_SECONDS} s: see {directory}/kube-apiserver.log."
            )
        time.sleep(0.2)


def authority(directory: Path) -> bytes:
    """The certificate by which a kubelet knows kube-apiserver when that is the one who connects."""
    return (directory / "server.crt").read_bytes()


def kubeconfig_of_node(directory: Path, node: str) -> bytes:
    """The file by which a kubelet in a machine knows kube-apiserver, and is known by it."""
    key, certificate = _make_node_certificate(directory, node)
    user = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
    return _kubeconfig(f"https://{GUEST_ADDRESS}:{GUEST_PORT}", directory, user)


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
    """A certificate of the server that is its own authority; its key also signs what little the API wants signed.

    To kubelets the server shows it too, as a client that may do everything.
    """
    names = f"subjectAltName=IP:{HOST},IP:{GUEST_ADDRESS}"
    # Python 3.13 and newer wants the use of an authority's key said.
    use = "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign"
    _make_key(directory, "server", "/O=system:masters/CN=kube-apiserver", "-addext", names, "-addext", use)


def _make_node_certificate(directory: Path, node: str) -> tuple[bytes, bytes]:
    """Key and certificate of a kubelet. kubeadm reads from it which node it is on."""
    subject = f"/O=system:nodes/CN=system:node:{node}"
    _make_key(directory, node, subject, "-CA", "server.crt", "-CAkey", "server.key")
    return (directory / f"{node}.key").read_bytes(), (directory / f"{node}.crt").read_bytes()


def _make_key(directory: Path, name: str, subject: str, *options: str) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", subject, *options]
    host.run([*words, "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=directory)


def _make_tokens(directory: Path) -> None:
    users = {ADMIN: "system:masters", SCHEDULER: ""}
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
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # Both rely on the controller manager: it makes the accounts, and takes the taint of a new node away.
        "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
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
    return [str(program), "--kubeconfig=kube-scheduler.conf", *release.scheduler_flags]


def _start_api_server(directory: Path, release: Release) -> None:
    """Start kube-apiserver on a free port, and see that it gets it: another program may be quicker."""
    for _ in range(TRIES):
        with socket.create_server((HOST, 0)) as probe:
            number = probe.getsockname()[1]
        (directory / "port").write_text(f"{number}\n")
        process = processes.start(directory, "kube-apiserver", _api_server(release, number))
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, number)):
                return
            time.sleep(0.05)
        processes.stop(directory, "kube-apiserver")
    raise LabError(f"kube-apiserver does not listen: {_last_words(directory, 'kube-apiserver')}")


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
