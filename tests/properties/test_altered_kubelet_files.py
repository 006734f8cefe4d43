# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever has become of kubelet's files: what is asked for stands in them and nothing else has changed, or they are refused."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._kubelet.drop_ins import drop_ins
from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import expand, read_file
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import GATES_FIELD
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.rancher import kubelet_arguments, what_is_said
from ansible_collections.accel.qat.plugins.module_utils._kubelet.small_yaml import NotUnderstoodError, read_mapping
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import parse_version
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.documents import (
    ArgumentLines,
    ConfigurationFile,
    Document,
    K3sArguments,
    NodeConfig,
)
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.layers import layers_of
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.yaml_text import YamlText
from ansible_collections.accel.qat.tests.properties.altered import altered_texts, examples, in_time, see_sentence
from ansible_collections.accel.qat.tests.unit.plugins.plugin_utils import nodes

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

WORDS = (
    *("kubelet-arg", "kubelet-arg+:", "data-dir: /x", "token: x", "feature-gates=A=true", "config=/etc/x", "max-pods=1", "- a=b"),
    *("featureGates:", "  DevicePlugins: false", "cpuManagerPolicy: static", "evictionHard: {}", "reservedMemory:", "kind: List", "a: &x"),
    *("--feature-gates=A=maybe", "--cpu-manager-policy=none", "kubeletArguments:", "limits:", "numaNode: x", "2001-13-45", "1:60:99"),
)  # fmt: skip
RANCHER = (
    "# by the platform team\ntoken: K10::x\nkubelet-arg:\n  - max-pods=150\n  - 'kube-reserved=cpu=1,memory=2Gi'\nnode-label: [a=b, c=d]\n",
    'server: https://n1:9345\nkubelet-arg+: ["feature-gates=NodeSwap=true"]\ndata-dir: "/srv/rke2"\ntls-san:\n- >-\n  n1.example\n',
    '{\n  "kubelet-arg": ["max-pods=150", "v=2"],\n  "node-taint": [],\n  "protect-kernel-defaults": true\n}\n',
)
CONFIGURATION = (
    """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# kept here
clusterDNS:
- 10.0.0.10
evictionHard: {memory.available: 200Mi, nodefs.available: '5%'}
featureGates:
  NodeSwap: true  # try
  A: false
systemReserved:
  cpu: 500m
cpuManagerPolicy: none
topologyManagerScope: container
""",
    '{"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "maxPods": 110, "featureGates": {"A": true}}\n',
    "---\nkind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nreservedMemory:\n- numaNode: 0\n  limits: {memory: 1Gi}\n",
)
OPENSHIFT = (nodes.NODE_CONFIG,)
LINES = (nodes.MICROK8S_ARGS, "--cpu-manager-policy=none\n--feature-gates=A=true,B=false\n--system-reserved=cpu=1\n")
K3S = ("# Managed by accel.qat.kubelet_config\nkubelet-arg+:\n- feature-gates+=A=true\n- cpu-manager-policy=none\n",)
ENVIRONMENT = (
    '# For people\nKUBELET_EXTRA_ARGS="--max-pods=150 \\\n  --v=2"\nKUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/x\n',
    "A='one two'\nexport B=1\n; no\nC=a\\ b \\\nc\n",
)
KINDS: dict[str, tuple[t.Callable[[str, str], Document], t.Sequence[str]]] = {
    "configuration": (ConfigurationFile, CONFIGURATION),
    "lines": (ArgumentLines, LINES),
    "node-config": (NodeConfig, OPENSHIFT),
    "k3s": (K3sArguments, K3S),
}
FIELDS: tuple[tuple[tuple[str, ...], t.Any], ...] = (
    ((GATES_FIELD, "DevicePlugins"), True),
    ((GATES_FIELD, "A"), False),
    (("cpuManagerPolicy",), "static"),
    (("evictionHard", "memory.available"), "300Mi"),
    (("systemReserved", "cpu"), "1"),
    (("reservedMemory",), [{"numaNode": 0, "limits": {"memory": "2Gi"}}]),
)


@examples(6)
@given(altered_texts(RANCHER, WORDS))
def test_files_of_rancher_are_made_out_or_refused(text: str) -> None:
    with in_time():
        try:
            said = what_is_said(text, "/etc/rancher/rke2/config.yaml")
        except ConfigurationError as refusal:
            event("refused")
            see_sentence(refusal)
            return
        event("read")
        assert all(one and "\n" not in one for one in said.arguments)
        given_on = kubelet_arguments(text)
    again = what_is_said(given_on, "")
    assert (again.arguments, again.replaces) == (said.arguments, said.replaces)


@examples(6)
@given(altered_texts([*RANCHER, *CONFIGURATION, *OPENSHIFT], WORDS))
def test_the_small_reader_ends_with_names_or_gives_up(text: str) -> None:
    with in_time():
        try:
            assert isinstance(read_mapping(text), dict)
        except NotUnderstoodError as refusal:
            line, why = refusal.line, str(refusal)
        else:
            return
    assert 0 <= line <= text.count("\n") + 1
    assert why.isprintable()


@examples(6)
@given(altered_texts(ENVIRONMENT, WORDS))
def test_variables_are_made_out(text: str) -> None:
    with in_time():
        variables = read_file(text)
        words, doubtful = expand(["/usr/bin/kubelet", "$KUBELET_EXTRA_ARGS", "${A}$B", "x${C}"], variables)
    assert all(name.isascii() and name.isidentifier() for name in variables)
    assert words[0] == "/usr/bin/kubelet"
    assert doubtful <= {"KUBELET_EXTRA_ARGS", "A", "B", "C"}


_NAMES = st.sampled_from(
    ["10.conf", "a", ".b", "c.conf", "é.conf", "\udcff.conf", "x\n.conf", "\x1b.conf", "d.conf.bak", ".conf", " "]
)


@examples(20)
@given(st.lists(st.lists(_NAMES, min_size=1, max_size=5), max_size=6))
def test_drop_ins_are_found_under_any_name(paths: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as root, in_time():
        made = set()
        for parts in paths:
            place = Path(root, "d", *parts)
            if not any(above.is_file() for above in place.parents) and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
                made.add("/".join(["/d", *parts]))
        found = drop_ins(root, "/d")
    assert set(found) == {path for path in made if path.endswith(".conf")}
    assert found == sorted(found, key=lambda path: path.split("/"))
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", KINDS)
def test_one_field_changes_nothing_else(name: str) -> None:
    kind, texts = KINDS[name]

    # Four of them take four minutes.
    @examples(15)
    @given(altered_texts(texts, WORDS), st.sampled_from(FIELDS))
    def hold(text: str, field: tuple[tuple[str, ...], t.Any]) -> None:
        path, value = field
        with in_time():
            try:
                document = kind(text, "/there")
                before = document.fields()
                changed = document.with_value(path, value)
                after = changed.fields()
            except NodeError as refusal:
                event("refused")
                see_sentence(refusal)
                return
        event("written")
        assert _at(after, path) == value
        assert _without(after, path) == _without(before, path)
        assert changed.with_value(path, value).text == changed.text
        assert _without(changed.without(path).fields(), path) == _without(before, path)
        if name != "k3s":  # all its own
            assert _rest(kind, changed.text, path) == _rest(kind, text, path)

    hold()


def _at(fields: t.Any, path: tuple[str, ...]) -> t.Any:
    for name in path:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


def _without(fields: t.Mapping[str, t.Any], path: tuple[str, ...]) -> dict[str, t.Any]:
    rest = {name: value for name, value in fields.items() if name != path[0]}
    entries = fields.get(path[0])
    if len(path) > 1 and isinstance(entries, dict):
        inner = {name: value for name, value in entries.items() if name != path[1]}
        rest.update({path[0]: inner} if inner else {})
    return rest


def _rest(kind: t.Any, text: str, path: tuple[str, ...]) -> t.Any:
    """All that the text says of other fields: as a library of YAML reads it, or line by line."""
    flag = {"featureGates": "feature-gates", "cpuManagerPolicy": "cpu-manager-policy", "evictionHard": "eviction-hard",
            "systemReserved": "system-reserved", "reservedMemory": "reserved-memory"}[path[0]]  # fmt: skip
    if kind is ArgumentLines:
        return [line for line in text.split("\n") if flag not in line and line]
    data = yaml.safe_load(text) or {}
    if kind is NodeConfig:
        arguments = {name: value for name, value in (data.get("kubeletArguments") or {}).items() if name != flag}
        return repr({**data, "kubeletArguments": arguments})
    return repr(_without(data, path)), repr(list(data)[:1])


@examples(15)
@given(
    altered_texts(CONFIGURATION, WORDS),
    altered_texts(RANCHER, WORDS),
    st.sampled_from(["kubeadm", "drop-in", "k3s", "microk8s"]),
)
def test_layers_are_read_or_refused(configuration: str, rancher: str, flavour: str) -> None:
    observed = {
        "kubeadm": lambda: nodes.kubeadm(config=configuration),
        "drop-in": lambda: nodes.with_drop_ins(site=configuration),
        "k3s": lambda: nodes.rancher("k3s", "1.28.4", config=rancher),
        "microk8s": lambda: nodes.microk8s(arguments=configuration),
    }[flavour]()
    with in_time():
        try:
            layers = layers_of(observed, parse_version(observed.version))
            layers.effective()
            layers.thresholds({})
            json.dumps(layers.effective(), default=str)
        except NodeError as refusal:
            event("refused")
            see_sentence(refusal)


@examples(10)
@given(altered_texts([*CONFIGURATION, *OPENSHIFT, *RANCHER], WORDS))
def test_yaml_is_a_mapping_or_refused(text: str) -> None:
    with in_time():
        try:
            found = YamlText(text, "/there")
        except ConfigurationError as refusal:
            see_sentence(refusal)
            return
    assert isinstance(found.data, dict)
    assert os.fsencode(found.text) == os.fsencode(text)
