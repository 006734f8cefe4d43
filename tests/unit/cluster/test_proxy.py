# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy that leads to the API server: how it is named, and what it answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.modules import cluster_access, node_drain
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller

HOST = "https://cluster.example:6443"
NO_URL = "proxy: is no URL of an HTTP proxy; write http://HOST:PORT, with % for special characters of a password"

# How one is named.


@pytest.mark.parametrize("secret", ["p#ss", "1234#ss", "1234/ss", "1234?ss", "1/2@3"])
@pytest.mark.parametrize("way", ["argument", "variable", "kubeconfig"])
def test_a_password_that_breaks_the_address_is_not_shown(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str, way: str
) -> None:
    proxy = f"http://user:{secret}@proxy.example:3128"
    controller.access = {"host": HOST, "api_key": TOKEN}
    if way == "argument":
        controller.access["proxy"] = proxy
    elif way == "variable":
        monkeypatch.setenv("K8S_AUTH_PROXY", proxy)
    else:
        controller.access = {"kubeconfig": kubeconfig(tmp_path / "config", server=HOST, proxy=proxy)}
    failed = controller.run(node_drain, node="node1", wait_timeout=0)
    assert (failed["msg"], failed["failure"]["kind"]) == (NO_URL, "configuration")
    answer = controller.run(cluster_access, questions=[{"purpose": "drain", "node": "node1"}], wait_timeout=0)
    assert answer["answers"][0]["missing"] == [NO_URL]
    assert secret not in json.dumps([failed, answer])


@pytest.mark.parametrize(
    "proxy", ["proxy.example:3128", "ftp://proxy.example", "https://", "http://:3128", "socks9://proxy"]
)
def test_an_address_that_is_none(controller: Controller, proxy: str) -> None:
    failed = controller.run(node_drain, node="node1", proxy=proxy, wait_timeout=0)
    assert (failed["msg"], failed["failure"]["kind"]) == (NO_URL, "configuration")


def test_a_kubeconfig_whose_proxy_is_no_text(controller: Controller, tmp_path: Path) -> None:
    path = Path(kubeconfig(tmp_path / "config", HOST, proxy="x"))
    path.write_text(path.read_text().replace("proxy-url: x", "proxy-url: 3128"))
    controller.access = {"kubeconfig": str(path)}
    assert controller.run(node_drain, node="node1", wait_timeout=0)["msg"] == NO_URL


def test_a_kind_of_proxy_that_takes_a_package_which_is_missing(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    failed = controller.run(node_drain, node="node1", proxy="socks5://proxy.example:1080", wait_timeout=0)
    assert failed["msg"] == NO_URL


def test_a_host_that_is_no_url(controller: Controller) -> None:
    failed = controller.run(node_drain, node="node1", host="https://[::1", wait_timeout=0)
    assert failed["msg"] == "host: is no URL; write https://HOST:PORT"


def kubeconfig(path: Path, server: str, token: str = TOKEN, proxy: str = "") -> str:
    cluster = {"server": server, **({"proxy-url": proxy} if proxy else {})}
    content = {
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)
