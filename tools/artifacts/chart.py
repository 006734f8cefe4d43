# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Helm chart of the DaemonSet, in dist/, and what is made of it: the schema of its values, and the kustomize base.

The chart is where the manifests are written. The same checkout gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import RULE

from .go_programs import program

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "deploy/kubernetes/chart"
BASE = CHECKOUT / "deploy/kubernetes/base"
SCHEMA = CHART / "values.schema.json"
DIST = CHECKOUT / "dist"
NAME = "accel-qat-device-plugin"
# By their names: people keep values of their own beside these, with what they need to pull an image.
_PARTS = ("Chart.yaml", "values.yaml", "values.schema.json", "templates/*.tpl", "templates/*.yaml")
RELEASE, NAMESPACE = "accel-qat", "accel-qat"
KUBERNETES = "1.37.0"
"""For which the chart is rendered here: without a cluster Helm has a release of its own in mind."""

_HEAD = """\
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Made of the chart by make chart.
"""
_SOURCE = re.compile(rf"^---\n# Source: {NAME}/templates/(\w+)\.yaml\n", re.MULTILINE)
_OF_HELM = re.compile(r"^ +app\.kubernetes\.io/managed-by: Helm\n", re.MULTILINE)
_PATH = r"^/[A-Za-z0-9._/-]*[A-Za-z0-9._-]$"


class ChartError(Exception):
    """Helm refuses; the message is what it says."""


def helm(*arguments: str | Path) -> str:
    """What Helm prints; raises ChartError."""
    done = subprocess.run([program("helm"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChartError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def rendered(*arguments: str | Path, chart: Path = CHART) -> str:
    """The objects that the chart makes; raises ChartError where its values are refused."""
    return helm("template", RELEASE, chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES, *arguments)


def base() -> dict[str, str]:
    """The files of the kustomize base by their names: what the chart makes with its own values, and the namespace."""
    parts = _SOURCE.split(rendered("--set", "namespace.create=true"))
    files = {
        f"{name}.yaml": _HEAD + _OF_HELM.sub("", text) for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    order = sorted(files, key=lambda name: (name != "namespace.yaml", name))
    lines = [
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"namespace: {NAMESPACE}",
        "resources:",
    ]
    return {**files, "kustomization.yaml": _HEAD + "\n".join([*lines, *(f"  - {name}" for name in order)]) + "\n"}


def schema() -> dict[str, Any]:
    """JSON Schema of the chart's values. The rules are those of node.json."""
    text, switch = {"type": "string"}, {"type": "boolean"}
    path = {"type": "string", "pattern": _PATH}
    words = {"type": "object", "additionalProperties": text}
    pool = _exactly(
        name={"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"},
        nodeSelector={**words, "minProperties": 1},
        devices={"type": "array", "items": RULE, "minItems": 1},
        configurationOfHost=switch,
        tolerations={"type": "array", "items": {"type": "object"}},
    )
    pool["required"] = ["name", "nodeSelector"]
    pool["oneOf"] = [
        {"required": ["devices"], "properties": {"configurationOfHost": {"const": False}}},
        {"required": ["configurationOfHost"], "properties": {"configurationOfHost": {"const": True}, "devices": False}},
    ]
    values = _exactly(
        image=_exactly(
            repository={"type": "string", "minLength": 1},
            tag=text,
            digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        ),
        imagePullSecrets={"type": "array", "items": text},
        namespace=_exactly(create=switch),
        pools={"type": "array", "items": pool, "minItems": 1},
        tolerations={"type": "array", "items": {"type": "object"}},
        priorityClassName=text,
        maxSurge={"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^([1-9][0-9]?|100)%$"}]},
        resources={"type": "object"},
        podAnnotations=words,
        podLabels=words,
        kubelet=_exactly(devicePlugins=path, root=path),
        cdi=_exactly(names=switch, directory=path),
        nfd=switch,
        debugfs=switch,
        seLinuxType=text,
        allocationPolicy={"enum": ["balanced", "packed"]},
        period={"type": "number", "minimum": 0.05, "maximum": 3600},
        logLevel={"enum": ["debug", "info", "warning", "error"]},
        logFormat={"enum": ["text", "json"]},
        metrics=_exactly(port={"type": "integer", "minimum": 1, "maximum": 65535}, podLabels=switch),
    )
    values["properties"]["global"] = {"type": "object"}  # Helm's own
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Values of the chart", **values}


def _exactly(**properties: Any) -> dict[str, Any]:
    """An object that may have these, and no other."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def schema_text() -> str:
    """The schema as it is in its file."""
    return json.dumps(schema(), indent=2) + "\n"


def write() -> None:
    """Write what is made of the chart."""
    SCHEMA.write_text(schema_text())
    BASE.mkdir(exist_ok=True)
    for name, text in base().items():
        (BASE / name).write_text(text)


def pack(target: Path, chart: Path = CHART) -> Path:
    """The chart as Helm installs one; no time, no user and no file of this machine is in it."""
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
    archive = target / f"{NAME}-{version}.tgz"
    paths = sorted(path for pattern in _PARTS for path in chart.glob(pattern))
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in paths:
            content = path.read_bytes()
            member = tarfile.TarInfo(f"{NAME}/{path.relative_to(chart)}")
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    target.mkdir(parents=True, exist_ok=True)
    with archive.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(data.getvalue())
    return archive


def main() -> int:
    """Write what is made of the chart, look through it, and pack it."""
    parser = argparse.ArgumentParser(prog="chart", description=__doc__)
    parser.add_argument("--output", type=Path, default=DIST, metavar="DIRECTORY", help="where the archive goes")
    output = parser.parse_args().output
    try:
        write()
        print(helm("lint", "--strict", CHART).strip())
    except ChartError as error:
        print(f"chart: {error}", file=sys.stderr)
        return 1
    print(pack(output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
