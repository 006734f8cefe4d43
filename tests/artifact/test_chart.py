# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Helm chart and the kustomize base of the DaemonSet: what they make, and which values are refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
import yaml
from qat_device_plugin.settings import ENVIRONMENT_PREFIX, parse_settings

from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_json
from ansible_collections.accel.qat.tools.artifacts import chart, image
from ansible_collections.accel.qat.tools.artifacts.go_programs import program
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

Object = dict[str, t.Any]
Objects = dict[tuple[str, str], Object]

NAME = "accel-qat-device-plugin"
DAEMONSET, CONFIGMAP = ("DaemonSet", NAME), ("ConfigMap", NAME)
TWO_POOLS = [
    {"name": "crypto", "nodeSelector": {"pool": "crypto"}, "devices": [{"services": ["sym", "asym"], "advertise": 8}]},
    {"name": "host", "nodeSelector": {"pool": "host"}, "configurationOfHost": True},
]


def objects(text: str) -> Objects:
    """By kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text) if one}


def rendered(tmp_path: Path, **values: t.Any) -> Objects:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))
    return objects(chart.rendered("--values", file))


@pytest.fixture(scope="module", name="default")
def _default() -> Objects:
    return objects(chart.rendered())


def pod_of(daemonset: Object) -> Object:
    pod: Object = daemonset["spec"]["template"]["spec"]
    return pod


def environment(daemonset: Object) -> dict[str, str]:
    (container,) = pod_of(daemonset)["containers"]
    return {one["name"]: one.get("value", "") for one in container["env"]}


# The chart, and what is made of it.


def test_helm_has_nothing_against_it_and_it_is_packed_the_same_twice(tmp_path: Path, default: Objects) -> None:
    assert "0 chart(s) failed" in chart.helm("lint", "--strict", chart.CHART)
    first, second = chart.pack(tmp_path / "first"), chart.pack(tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()
    assert objects(chart.rendered(chart=first)) == default
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    about = yaml.safe_load(chart.helm("show", "chart", first))
    assert (about["version"], about["appVersion"]) == (version, version)


def test_what_somebody_keeps_beside_the_chart_is_not_packed(tmp_path: Path) -> None:
    known = subprocess.run(
        ["git", "ls-files", "."], cwd=chart.CHART, check=True, capture_output=True, text=True
    ).stdout.split()
    shutil.copytree(chart.CHART, tmp_path / "chart")
    for name in (".env", "values-of-mine.yaml", "templates/.values.yaml.swp", "charts/other-1.0.0.tgz"):
        (tmp_path / "chart" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "chart" / name).write_text("password: x\n")
    with tarfile.open(chart.pack(tmp_path, tmp_path / "chart")) as archive:
        assert sorted(archive.getnames()) == sorted(f"{NAME}/{name}" for name in known)


def test_what_is_made_of_the_chart_is_current() -> None:
    """`make chart` writes it."""
    assert chart.SCHEMA.read_text() == chart.schema_text(), "run make chart"
    assert {path.name: path.read_text() for path in chart.BASE.iterdir()} == chart.base()


def test_kustomize_makes_of_the_base_what_helm_makes_of_the_chart(default: Objects) -> None:
    done = subprocess.run([program("kustomize"), "build", chart.BASE], capture_output=True, text=True, check=True)
    found = objects(done.stdout)
    assert found.pop(("Namespace", "accel-qat"))["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "privileged"
    }
    for one in default.values():
        assert one["metadata"]["labels"].pop("app.kubernetes.io/managed-by") == "Helm"
    assert found == default


def test_an_overlay_names_the_image_and_the_rules(tmp_path: Path) -> None:
    """As docs/daemonset.md has it."""
    page = (CHECKOUT / "docs/daemonset.md").read_text()
    (text,) = re.findall(r"# kustomization\.yaml\n(.*?)```", page, re.DOTALL)
    (resource,) = yaml.safe_load(text)["resources"]
    assert "/deploy/kubernetes/base?ref=" in resource
    (tmp_path / "kustomization.yaml").write_text(text.replace(resource, "base"))
    (tmp_path / "base").mkdir()
    for path in chart.BASE.iterdir():
        (tmp_path / "base" / path.name).write_text(path.read_text())
    done = subprocess.run([program("kustomize"), "build", tmp_path], capture_output=True, text=True, check=True)
    found = objects(done.stdout)
    (container,) = pod_of(found[DAEMONSET])["containers"]
    assert container["image"].startswith("registry.example/")
    assert len(parse_json(found[CONFIGMAP]["data"]["node.json"], "node.json")) == 2


# What it makes.


def test_the_pod_may_do_little(default: Objects) -> None:
    pod = pod_of(default[DAEMONSET])
    (container,) = pod["containers"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "serviceAccountName"} & set(pod)
    assert pod["automountServiceAccountToken"] is False
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["resources"]["limits"] == {"memory": "256Mi"}


def test_the_new_pod_comes_before_the_old_one_goes(default: Objects) -> None:
    strategy = default[DAEMONSET]["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    (container,) = pod_of(default[DAEMONSET])["containers"]
    assert "hostPort" not in container["ports"][0]
    for probe, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "metrics"}


def test_only_what_is_written_can_be_written(default: Objects) -> None:
    pod = pod_of(default[DAEMONSET])
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {
        "/var/lib/kubelet/device-plugins",
        "/run/accel-qat/device-plugin",
        "/var/run/cdi",
    }
    places = {volume["name"]: volume for volume in pod["volumes"]}
    # Who shares a directory with the host, as the lock's, has to have one name for it.
    for path, mount in mounts.items():
        volume = places.pop(mount["name"])
        assert "configMap" in volume or volume["hostPath"]["path"] == path
    assert places == {}


def test_each_mount_is_explained(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/daemonset.md").read_text()
    rows = set(re.findall(r"^\| `(/[^`]*)` \|", page, re.MULTILINE))
    mounts = pod_of(rendered(tmp_path, nfd=True)[DAEMONSET])["containers"][0]["volumeMounts"]
    assert rows == {mount["mountPath"] for mount in mounts}


def test_the_program_understands_its_environment(default: Objects) -> None:
    found = environment(default[DAEMONSET])
    plain = {**vars(parse_settings([], {})), "deployment": "daemonset", "metrics_address": ("", 9482)}
    plain["kubelet_root"] = "/var/lib/kubelet"
    assert vars(parse_settings([], found)) == plain
    flags = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in plain}
    assert set(found) <= flags
    (container,) = pod_of(default[DAEMONSET])["containers"]
    (instance,) = (one for one in container["env"] if one["name"] == f"{ENVIRONMENT_PREFIX}INSTANCE")
    assert instance["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


def test_the_program_understands_other_values(tmp_path: Path) -> None:
    found = rendered(
        tmp_path,
        kubelet={"devicePlugins": "/k/device-plugins", "root": "/data/k"},
        cdi={"names": True, "directory": "/cdi"},
        allocationPolicy="packed",
        period=0.5,
        logLevel="debug",
        logFormat="json",
        metrics={"port": 9000, "podLabels": False},
        nfd=True,
        debugfs=False,
        seLinuxType="",
        priorityClassName="",
    )
    settings = parse_settings([], environment(found[DAEMONSET]))
    assert (settings.socket_dir, settings.cdi, settings.cdi_dir) == (Path("/k/device-plugins"), True, Path("/cdi"))
    assert (settings.allocation_policy, settings.period, settings.pod_labels) == ("packed", 0.5, False)
    assert settings.kubelet_roots == ("/data/k",)
    assert (settings.log_level, settings.log_format, settings.metrics_address) == ("debug", "json", ("", 9000))
    pod = pod_of(found[DAEMONSET])
    paths = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert settings.nfd
    assert {"/k/device-plugins", "/data/k/pod-resources", "/cdi", str(settings.nfd_dir)} <= paths
    assert "/sys/kernel/debug" not in paths
    assert "seLinuxOptions" not in pod["securityContext"]
    assert "priorityClassName" not in pod
    assert pod["containers"][0]["ports"][0]["containerPort"] == 9000


def test_an_image_that_was_imported_on_the_node_has_the_name_of_the_default(default: Objects) -> None:
    """A name without a host would be one of a public registry."""
    (container,) = pod_of(default[DAEMONSET])["containers"]
    repository, _colon, version = container["image"].rpartition(":")
    assert f"localhost/{image.NAME}" == repository
    assert version == yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]


def test_the_rules_of_the_default_offer_whatever_the_host_has_made(default: Objects) -> None:
    (rule,) = parse_json(default[CONFIGMAP]["data"]["node.json"], "node.json")
    assert (rule.services, rule.vfs, rule.advertise) == (None, None, None)


def test_each_pool_has_a_daemonset_and_rules_of_its_own_or_those_of_its_hosts(tmp_path: Path) -> None:
    found = rendered(tmp_path, pools=TWO_POOLS)
    assert {key for key in found if key[0] == "ConfigMap"} == {("ConfigMap", f"{NAME}-crypto")}
    crypto, host = (found["DaemonSet", f"{NAME}-{name}"] for name in ("crypto", "host"))
    assert pod_of(crypto)["nodeSelector"] == {"pool": "crypto"}
    assert pod_of(host)["nodeSelector"] == {"pool": "host"}
    selectors = [one["spec"]["selector"]["matchLabels"] for one in (crypto, host)]
    assert selectors[0] != selectors[1]
    for one, selector in zip((crypto, host), selectors, strict=True):
        assert selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    volumes = [
        next(volume for volume in pod_of(one)["volumes"] if volume["name"] == "configuration") for one in (crypto, host)
    ]
    assert volumes[0]["configMap"] == {"name": f"{NAME}-crypto"}
    assert volumes[1]["hostPath"] == {"path": "/etc/accel-qat", "type": "Directory"}
    (rule,) = parse_json(found["ConfigMap", f"{NAME}-crypto"]["data"]["node.json"], "node.json")
    assert rule.advertise == 8


@pytest.mark.parametrize(
    ("wanted", "reference"),
    [
        ({"repository": "registry.example/plugin"}, "registry.example/plugin:@"),
        ({"tag": "mine"}, f"localhost/{NAME}:mine"),
        ({"tag": "mine", "digest": f"sha256:{'0' * 64}"}, f"localhost/{NAME}@sha256:{'0' * 64}"),
    ],
)
def test_the_image(tmp_path: Path, wanted: dict[str, str], reference: str) -> None:
    version = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["appVersion"]
    found = rendered(tmp_path, image=wanted, imagePullSecrets=["key"])
    pod = pod_of(found[DAEMONSET])
    assert pod["containers"][0]["image"] == reference.replace(":@", f":{version}")
    assert pod["imagePullSecrets"] == [{"name": "key"}]


# What is refused.

POOL = {"name": "a", "nodeSelector": {"a": "b"}, "devices": [{}]}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"pools": [{**POOL, "devices": [{"services": ["crypto"]}]}]}, "services"),
        ({"pools": [{**POOL, "devices": [{"service": ["sym"]}]}]}, "service"),
        ({"pools": [{**POOL, "devices": []}]}, "devices"),
        ({"pools": [{**POOL, "configurationOfHost": True}]}, "pools"),
        ({"pools": [{"name": "a", "nodeSelector": {"a": "b"}}]}, "pools"),
        ({"pools": [{**POOL, "nodeSelector": {}}]}, "nodeSelector"),
        ({"pools": [{**POOL, "name": "A b"}]}, "name"),
        ({"pools": []}, "pools"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"maxSurge": 0}, "maxSurge"),
        ({"maxSurge": "0%"}, "maxSurge"),
        ({"kubelet": {"root": "var/lib/kubelet"}}, "root"),
        ({"metrics": {"port": 0}}, "port"),
        ({"logLevel": "loud"}, "logLevel"),
        ({"priority": "high"}, "priority"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_wrong_values_are_refused_where_they_are(tmp_path: Path, values: Object, where: str) -> None:
    with pytest.raises(chart.ChartError) as refused:
        rendered(tmp_path, **values)
    assert "values don't meet the specifications of the schema" in str(refused.value)
    assert where in str(refused.value)


def test_the_schema_knows_each_value_and_no_other() -> None:
    def names(value: t.Any, schema: Object, path: str) -> t.Iterator[str]:
        if not isinstance(value, dict) or "properties" not in schema:
            return
        assert {*value} | {"global"} == {*schema["properties"]} | {"global"}, path
        for name, below in value.items():
            yield name
            yield from names(below, schema["properties"][name], f"{path}.{name}")

    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    assert "image" in set(names(values, chart.schema(), ""))
    pool = chart.schema()["properties"]["pools"]["items"]["properties"]
    assert {*values["pools"][0]} == {*pool} - {"tolerations"}
