# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves the node of the files of K3s and RKE2: kubelet's arguments in any form in which they can be written, and nothing else."""

from __future__ import annotations

import json

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import option
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.rancher import (
    Said,
    arguments_in_force,
    kubelet_arguments,
    what_is_said,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError

RANCHER = {
    "agent-token": "secret-1",
    "kubelet-arg": ["cpu-manager-policy=static", "kube-reserved=cpu=2,memory=4Gi"],
    "node-label": ["kubelet-arg=secret-2"],
    "token": "secret-3",
}
ARGUMENTS = ("cpu-manager-policy=static", "kube-reserved=cpu=2,memory=4Gi")
PLUS = {name.replace("kubelet-arg", "kubelet-arg+"): value for name, value in RANCHER.items()}

REPLACES = {
    "JSON": json.dumps(RANCHER, indent=2),
    "JSON in one line": json.dumps(RANCHER),
    "JSON indented by tabs": json.dumps(RANCHER, indent="\t"),
    "JSON behind a mark and comments": "\ufeff# Rancher\n\n" + json.dumps(RANCHER, indent=2),
    "JSON with an escaped name": json.dumps(RANCHER).replace("kubelet-arg", "kubelet\\u002darg"),
    "JSON with other line ends": json.dumps(RANCHER, indent=2).replace("\n", "\r\n"),
    "braces of YAML": "{token: secret, kubelet-arg: [cpu-manager-policy=static, 'kube-reserved=cpu=2,memory=4Gi']}",
    "a list": "token: secret\nkubelet-arg:\n- cpu-manager-policy=static\n\n  # why\n- kube-reserved=cpu=2,memory=4Gi\nc: secret\n",
    "an indented list": "kubelet-arg:\n    - 'cpu-manager-policy=static'\n    - \"kube-reserved=cpu=2,memory\\x3d4Gi\" # secret\n",
    "a quoted name": "'kubelet-arg' : [cpu-manager-policy=static, \"kube-reserved=cpu=2,memory=4Gi\"]\n",
    "a name in double quotes": "\"kubelet-arg\":\n- cpu-manager-policy=static\n- kube-reserved=cpu=2,memory=4Gi",
    "a closing bracket in the first column": "kubelet-arg: [\n cpu-manager-policy=static,\n 'kube-reserved=cpu=2,memory=4Gi',\n]\n",
    "an alias": "kubelet-arg: *args\n".join(
        ["x-args: &args\n- cpu-manager-policy=static\n- kube-reserved=cpu=2,memory=4Gi\n", "token: secret\n"]
    ),
    "names indented alike": "  token: secret\n  kubelet-arg:\n  - cpu-manager-policy=static\n  - kube-reserved=cpu=2,memory=4Gi\n",
    "blocks of text": "kubelet-arg:\n- |\n  cpu-manager-policy=static\n- >-\n  kube-reserved=cpu=2,memory=4Gi\n",
    "behind a block of text": "t: |\n  kubelet-arg: [secret]\nkubelet-arg: [cpu-manager-policy=static, 'kube-reserved=cpu=2,memory=4Gi']\n",
    "other line ends": "token: secret\r\nkubelet-arg:\r\n- cpu-manager-policy=static\r\n- kube-reserved=cpu=2,memory=4Gi\r\n",
    "a document with its marks": "---\nkubelet-arg:\n- cpu-manager-policy=static\n- kube-reserved=cpu=2,memory=4Gi\n...\n",
    "after one with a plus": "kubelet-arg+: [v=2]\nkubelet-arg: [cpu-manager-policy=static, 'kube-reserved=cpu=2,memory=4Gi']\n",
    "with one with a plus": "kubelet-arg: cpu-manager-policy=static\nkubelet-arg+: kube-reserved=cpu=2,memory=4Gi\n",
}  # fmt: skip


@pytest.mark.parametrize("text", REPLACES.values(), ids=list(REPLACES))
def test_every_form_says_the_same(text: str) -> None:
    assert what_is_said(text, "there") == Said(ARGUMENTS, replaces=True)
    given = kubelet_arguments(text)
    assert json.loads(given) == {"kubelet-arg": list(ARGUMENTS)}
    assert "secret" not in given


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(PLUS, indent=2), Said(ARGUMENTS)),
        ("kubelet-arg+: v=2\n", Said(("v=2",))),
        ("kubelet-arg:\n", Said((), replaces=True)),
        ("kubelet-arg: []\n", Said((), replaces=True)),
        ("# kubelet-arg: [v=2]\n", Said()),
        ("node-label:\n  kubelet-arg: v=2\n", Said()),
        ('{"node-label": {"kubelet-arg": ["v=2"]}}', Said()),
        ('{"data-dir": "/srv", "kubelet-arg+": ["v=2"]}', Said(("v=2",), data_dir="/srv")),
        ("{\n  data-dir: /srv\n}\n", Said(data_dir="/srv")),
        ("data-dir: '/srv' # moved\n", Said(data_dir="/srv")),
        ("  data-dir:\n    /srv\n", Said(data_dir="/srv")),
        ("d: /srv\n", Said(data_dir="/srv")),
    ],
)
def test_what_a_file_says(text: str, said: Said) -> None:
    assert what_is_said(text, "there") == said


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("token: secret\n<<: *base\nkubelet-arg: [v=2]\n", "f:2", "a merge key"),
        ("x: &base\n  y: secret\nkubelet-arg:\n  <<: *base\n", "f:4", "a merge key"),
        ("token: secret\n---\nkubelet-arg: [v=2]\n", "f:2", "a second document"),
        ("kubelet-arg: !!seq [v=2]\n", "f:1", "something that is not known here"),
        ("kubelet-arg:\n\t- v=2\n", "f:2", "a tab in the indentation"),
        ("kubelet-arg:\n- max-pods: 2\n", "f", "a value of kubelet-arg that is no text of one line"),
        ("kubelet-arg: |\n  v=2\n  max-pods=9\n", "f", "a value of kubelet-arg that is no text of one line"),
        ("kubelet-arg: [v=2]\nkubelet-arg: [v=3]\n", "f:2", "a name that is given twice"),
        ('{"kubelet-arg": ["v=2"], "kubelet-arg": []}', "f", "a name that is given twice"),
        ('{"token": "secret", "kubelet-arg": ["v=2"', "f:1", "a bracket that is not closed"),
        ('{"kubelet\\u002darg": ["v=2"', "f:1", "a bracket that is not closed"),
        ("token: 'secret\ndata-dir: /srv\n", "f:3", "a quote that is not closed"),
        ('{"kubelet-arg": ' + "[" * 100_000, "f:1", "too many levels"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_where_it_may_matter(text: str, where: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        what_is_said(text, "f")
    assert caught.value.sentence() == (
        f"{where}: what the file says of kubelet-arg and data-dir cannot be made out, because of {why}; write it in plain YAML, "
        "kubelet-arg as a list with one text a line; nothing was written"
    )


@pytest.mark.parametrize("text", ["token: !!str secret\n", "a: 1\n---\nb: 2\n", "{", "- a\n"])
def test_a_file_that_is_of_no_concern_may_be_anything(text: str) -> None:
    assert what_is_said(text, "f") == Said()


def test_the_order_of_files() -> None:
    said = [Said(("v=1", "root-dir=/a"), replaces=True), Said(("--root-dir='/b'",)), Said(("max-pods=9",))]
    assert arguments_in_force(said) == ["v=1", "root-dir=/a", "--root-dir='/b'", "max-pods=9"]
    assert option(arguments_in_force(said), "root-dir") == "/b"
    assert arguments_in_force([*said, Said(("v=2",), replaces=True)]) == ["v=2"]
    assert option(["v=2"], "root-dir") == ""
