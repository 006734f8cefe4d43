# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a YAML text changes, and no other byte; a second YAML library says what the texts mean."""

from __future__ import annotations

import difflib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, RefusedError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.documents import ArgumentLines, ConfigurationFile
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.yaml_text import YamlText

WHERE = "/var/lib/kubelet/config.yaml"

WRITTEN_BY_HAND = """\
---
# Kept by the platform team.
apiVersion: "kubelet.config.k8s.io/v1beta1"
kind: KubeletConfiguration
clusterDNS:
    - 10.96.0.10   # the cluster's own
evictionHard: {memory.available: 100Mi,  nodefs.available: "10%"}
volumePluginDir: null

# Two of them by order of the storage team.
featureGates:
    RotateKubeletServerCertificate: true   # since March
    GracefulNodeShutdown:   false
authentication:
    x509:
        clientCAFile: /etc/kubernetes/pki/ca.crt
systemReserved:
cpuManagerPolicy:   none   # for now
# The end.
"""


def meaning(text: str) -> t.Any:
    return YAML(typ="safe", pure=True).load(text)


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        (
            ("cpuManagerPolicy",),
            "static",
            ["-cpuManagerPolicy:   none   # for now", "+cpuManagerPolicy:   static   # for now"],
        ),
        (("topologyManagerScope",), "pod", ["+topologyManagerScope: pod"]),
        (("featureGates", "DevicePlugins"), True, ["+    DevicePlugins: true"]),
        (
            ("featureGates", "GracefulNodeShutdown"),
            True,
            ["-    GracefulNodeShutdown:   false", "+    GracefulNodeShutdown:   true"],
        ),
        (
            ("evictionHard", "memory.available"),
            "200Mi",
            [
                '-evictionHard: {memory.available: 100Mi,  nodefs.available: "10%"}',
                "+evictionHard: {memory.available: 200Mi, nodefs.available: 10%}",
            ],
        ),
        (("kubeReserved", "cpu"), "1", ["+kubeReserved:", '+  cpu: "1"']),
        (("systemReserved", "cpu"), "500m", ["+  cpu: 500m"]),
        (("volumePluginDir",), "/opt", ["-volumePluginDir: null", "+volumePluginDir: /opt"]),
        (
            ("reservedMemory",),
            [{"numaNode": 0, "limits": {"memory": "1Gi"}}],
            ["+reservedMemory:", "+- numaNode: 0", "+  limits:", "+    memory: 1Gi"],
        ),
        (("reservedSystemCPUs",), "0-1,8", ["+reservedSystemCPUs: 0-1,8"]),
        (("reservedSystemCPUs",), "0", ['+reservedSystemCPUs: "0"']),
    ],
)
def test_only_the_entry_changes(path: tuple[str, ...], value: t.Any, lines: list[str]) -> None:
    after = YamlText(WRITTEN_BY_HAND, WHERE).with_value(path, value)
    assert changed_lines(WRITTEN_BY_HAND, after.text) == lines
    place = meaning(after.text)
    for name in path:
        place = place[name]
    assert place == value
    assert after.get(path) == value


@pytest.mark.parametrize(
    "path", [("topologyManagerScope",), ("kubeReserved", "cpu"), ("featureGates", "DevicePlugins")]
)
def test_what_was_put_in_comes_out_without_a_trace(path: tuple[str, ...]) -> None:
    text = YamlText(WRITTEN_BY_HAND, WHERE)
    assert text.with_value(path, "x").without(path).text == WRITTEN_BY_HAND


def test_a_mapping_goes_with_its_last_entry() -> None:
    text = YamlText("a: 1\nfeatureGates:\n  X: true\nb: 2\n", WHERE)
    assert text.without(("featureGates", "X")).text == "a: 1\nb: 2\n"


def test_removing_what_is_not_there_changes_nothing() -> None:
    text = YamlText(WRITTEN_BY_HAND, WHERE)
    assert text.without(("featureGates", "Bogus")).text == text.without(("bogus", "one")).text == WRITTEN_BY_HAND


@pytest.mark.parametrize("indented", ["    ", "\t"], ids=["by spaces", "by tabs"])
def test_a_file_written_as_json_stays_json(indented: str) -> None:
    before = f'{{\n{indented}"kind": "KubeletConfiguration",\n{indented}"featureGates": {{"A": true}}\n}}\n'
    after = YamlText(before, WHERE).with_value(("featureGates", "DevicePlugins"), True).text
    assert changed_lines(before, after) == [
        f'-{indented}"featureGates": {{"A": true}}',
        f'+{indented}"featureGates": {{',
        f'+{indented}{indented}"A": true,',
        f'+{indented}{indented}"DevicePlugins": true',
        f"+{indented}}}",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1", "a: 1\nb: 2\n"),
        ("a: 1\r\n", "a: 1\r\nb: 2\r\n"),
        ("", "b: 2\n"),
        ("# nothing yet\n", "# nothing yet\nb: 2\n"),
        ("a: |\n  text\n\n# end\n", "a: |\n  text\n\nb: 2\n# end\n"),
        ("a: 1\n...\n", "a: 1\nb: 2\n...\n"),
        ("b:\na: 1\n", "b: 2\na: 1\n"),
        ("b: {x: 1}\n", "b: 2\n"),
        ("b:\n- 1\n- 2\nc: 3\n", "b: 2\nc: 3\n"),
    ],
)
def test_edges_of_the_file(before: str, after: str) -> None:
    assert YamlText(before, WHERE).with_value(("b",), 2).text == after


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n  b: 2\n", f"{WHERE}:2: the YAML is malformed: mapping values are not allowed here; repair it"),
        ("a: [1\nb: 2\n", f"{WHERE}:2: the YAML is malformed: expected ',' or ']', but got ':'; repair it"),
        (
            "a: 1\n\tb: 2\n",
            f"{WHERE}:2: the YAML is malformed: found character '\\t' that cannot start any token; repair it",
        ),
        ("a: 1\n---\nb: 2\n", f"{WHERE}: there is more than one YAML document; leave one"),
        ("- a\n", f"{WHERE}: it is no mapping of names to values; repair it"),
        ("a: 1\nb: 2\na: 3\n", f"{WHERE}: a is given twice, in lines 1 and 3; leave one of them"),
        ("f:\n  x: 1\n  x: 2\n", f"{WHERE}: f.x is given twice, in lines 2 and 3; leave one of them"),
    ],
)
def test_a_malformed_file_is_reported_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        YamlText(text, WHERE)
    assert caught.value.sentence() == message


@pytest.mark.parametrize(
    "text",
    ["x: &gates {A: true}\nfeatureGates: *gates\n", "x: &gates\n  A: true\nfeatureGates:\n  <<: *gates\n  B: true\n"],
)
def test_aliases_are_left_to_people(text: str) -> None:
    with pytest.raises(RefusedError, match="an alias or a merge key"):
        YamlText(text, WHERE).with_value(("featureGates", "C"), True)


NAMES = st.sampled_from(["a", "b", "featureGates", "x.y", "zed"])
SCALARS = st.one_of(
    st.booleans(), st.integers(), st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=9)
)
MAPS = st.dictionaries(NAMES, SCALARS, min_size=1, max_size=3)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """YAML as people write it: comments, blank lines, indentation of any width, braces here and there."""
    lines: list[str] = draw(st.sampled_from([[], ["---"], ["# head", ""]]))
    lines = list(lines)
    for name, value in draw(st.dictionaries(NAMES, st.one_of(SCALARS, MAPS), max_size=4)).items():
        lines += draw(st.sampled_from([[], ["# about it"], [""]]))
        if not isinstance(value, dict):
            lines.append(f"{name}: {_scalar(value)}{draw(st.sampled_from(['', '   # so']))}")
        elif draw(st.booleans()):
            lines.append(f"{name}: {{{', '.join(f'{key}: {_scalar(one)}' for key, one in value.items())}}}")
        else:
            indentation = " " * draw(st.integers(1, 5))
            lines += [f"{name}:", *(f"{indentation}{key}: {_scalar(one)}" for key, one in value.items())]
    return "\n".join(lines) + draw(st.sampled_from(["\n", "\n\n# end\n"]))


def _scalar(value: t.Any) -> str:
    return (
        ("true" if value else "false")
        if isinstance(value, bool)
        else str(value)
        if isinstance(value, int)
        else _quoted(value)
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@given(texts(), st.one_of(st.tuples(NAMES), st.tuples(NAMES, NAMES)), SCALARS)
def test_any_text_any_entry(text: str, path: tuple[str, ...], value: t.Any) -> None:
    before = meaning(text) or {}
    inner: t.Any = before.get(path[0])
    if len(path) == 2 and not isinstance(inner, dict):
        expected = {**before, path[0]: {path[1]: value}}
    elif len(path) == 2:
        expected = {**before, path[0]: {**inner, path[1]: value}}
    else:
        expected = {**before, path[0]: value}
    document = YamlText(text, WHERE)
    if len(path) == 2 and inner is not None and not isinstance(inner, dict):
        with pytest.raises(RefusedError):
            document.with_value(path, value)
        return
    after = document.with_value(path, value)
    assert meaning(after.text) == expected
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in after.text.splitlines() if line.startswith("#")
    ]
    assert after.with_value(path, value).text == after.text
    gone = {name: one for name, one in expected.items() if name != path[0]}
    if len(path) == 2:
        rest = {name: one for name, one in expected[path[0]].items() if name != path[1]}
        gone = {**gone, path[0]: rest} if rest else gone
    left = meaning(after.without(path).text) or {}
    assert {name: one for name, one in left.items() if one != {}} == gone


@pytest.mark.parametrize(
    "value",
    ["2001-13-45", "9" * 5000, "!!int ''", "!!bool x", "!!timestamp x", "!!float x", "[" * 3000, "{a: " * 3000],
)
def test_a_value_that_the_library_trips_over_is_refused_in_a_sentence(value: str) -> None:
    why = "has a value that is none|is nested too deeply"
    with pytest.raises(ConfigurationError, match=f"^{WHERE}: the YAML ({why})") as caught:
        YamlText(f"a: {value}\n", WHERE)
    assert len(str(caught.value)) < 5000


def test_numbers_that_no_kubelet_has_are_refused_or_kept_as_they_are() -> None:
    head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
    long = f"0x{'f' * 6000}"
    with pytest.raises(ConfigurationError, match="has a number that is too long"):
        ConfigurationFile(f"{head}reservedMemory:\n- numaNode: {long}\n  limits: {{memory: 1Gi}}\n", WHERE).fields()
    assert ArgumentLines("--reserved-memory=\u00b2:memory=1Gi\n", WHERE).fields() == {"reservedMemory": []}


def test_only_a_line_feed_ends_a_line_of_arguments() -> None:
    text = "--a=1\r--feature-gates=A=true\x0b--b=2\u2028x\n--v=2"
    assert (
        ArgumentLines(text, WHERE).with_value(("featureGates", "B"), True).text == f"{text}\n--feature-gates=B=true\n"
    )


def doubled(levels: int, level: str = "[*l{0}, *l{0}]") -> str:
    """Each level has the one before it twice."""
    return "l0: &l0 {x: 1}\n" + "".join(f"l{one + 1}: &l{one + 1} {level.format(one)}\n" for one in range(levels))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: *a}\n",
        "a: &a [*a]\n",
        "a: &a\n  b:\n  - c: *a\n",
        "&a {a: *a}\n",
        "a: &a {<<: *a}\n",
        doubled(100),
        doubled(100, "{{<<: [*l{0}, *l{0}]}}"),
        f"{doubled(1100)}a: &a [*a, *l1100]\n",
    ],
)
def test_aliases_without_end_are_refused_in_a_sentence(text: str) -> None:
    """What comes of them cannot be compared, nor written out."""
    with pytest.raises(ConfigurationError) as caught:
        YamlText(text, "here")
    assert caught.value.sentence() == ("here: the YAML has more than 100000 values; write those of aliases out")


def test_what_is_there_many_times_is_left_as_it_is() -> None:
    text = doubled(10)
    assert YamlText(text, "here").with_value(("z",), "1").text == f'{text}z: "1"\n'
