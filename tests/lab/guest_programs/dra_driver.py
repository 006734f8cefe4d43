# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the machine: what kubelet needs of a DRA driver that has one device, with the libraries of the device plugin.

    dra_driver.py DRIVER POOL DEVICE [CDI_NAME]

Prints "registered" once kubelet has taken it. Each claim is given the device, with its name for the container runtime if there is one.
Ends by a signal, and takes its sockets away.

Sources: k8s.io/kubelet pkg/apis/dra/v1/api.proto and pkg/apis/pluginregistration/v1/api.proto.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from qat_device_plugin.messages import PLUGIN_REGISTRATION_SERVICE, _messages, pluginregistration

KUBELET = Path("/var/lib/kubelet")
SERVICE = "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"

# A map is on the wire what entries are that repeat.
dra: Any = _messages(
    "dra",
    """
Claim: namespace string = 1, uid string = 2, name string = 3
Claims: claims Claim* = 1
Device: request_names string* = 1, pool_name string = 2, device_name string = 3, cdi_device_ids string* = 4
Prepared: devices Device* = 1, error string = 2
Entry: key string = 1, value Prepared = 2
Answer: claims Entry* = 1
""",
)


def prepared(pool: str, name: str, cdi_names: list[str]) -> Any:
    """What kubelet hears of each claim."""
    return dra.Prepared(devices=[dra.Device(pool_name=pool, device_name=name, cdi_device_ids=cdi_names)])


def answering(value: Any) -> grpc.RpcMethodHandler:
    """A method that has this answer for each claim."""

    def answer(request: Any, _context: object) -> Any:
        return dra.Answer(claims=[dra.Entry(key=claim.uid, value=value) for claim in request.claims])

    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=dra.Claims.FromString, response_serializer=dra.Answer.SerializeToString
    )


def registration(driver: str, endpoint: Path) -> grpc.GenericRpcHandler:
    """What kubelet asks at the socket that it finds."""

    def get_info(_request: bytes, _context: object) -> bytes:
        information = {"type": "DRAPlugin", "name": driver, "endpoint": str(endpoint)}
        answer: bytes = pluginregistration.PluginInfo(
            supported_versions=["v1.DRAPlugin"], **information
        ).SerializeToString()
        return answer

    def notify(request: bytes, _context: object) -> bytes:
        status = pluginregistration.RegistrationStatus.FromString(request)
        print("registered" if status.plugin_registered else f"refused: {status.error}", flush=True)
        return b""

    methods = {"GetInfo": get_info, "NotifyRegistrationStatus": notify}
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler(PLUGIN_REGISTRATION_SERVICE, handlers)


def main(driver: str, pool: str, device: str, *cdi_names: str) -> None:
    """Serve until a signal comes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])  # in all threads to come
    endpoint = KUBELET / "plugins" / driver / "dra.sock"
    registry = KUBELET / "plugins_registry" / f"{driver}-reg.sock"
    methods = {
        "NodePrepareResources": answering(prepared(pool, device, list(cdi_names))),
        "NodeUnprepareResources": answering(dra.Prepared()),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (registration(driver, endpoint), grpc.method_handlers_generic_handler(SERVICE, methods))
    )
    # That of registration last: kubelet asks the other one as soon as it knows of it.
    for socket in (endpoint, registry):
        socket.parent.mkdir(parents=True, exist_ok=True)
        socket.unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{socket}")
    server.start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    server.stop(1).wait()
    for socket in (registry, endpoint):
        socket.unlink(missing_ok=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
