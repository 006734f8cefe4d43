# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster.quantity import LARGEST, check_name, parse_quantity
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4),
        (4, 4),
        (" 0 ", 0),
        ("+7", 7),
        ("2k", 2000),
        ("1.5k", 1500),
        ("2Ki", 2048),
        ("0.5Mi", 524288),
        ("3e3", 3000),
        ("3E-0", 3),
        ("4000m", 4),
        (".5k", 500),
        ("1E", 10**18),
        (str(LARGEST), LARGEST),
    ],
)
def test_whole_numbers(text: object, number: int) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a quantity"),
        ("four", "'four' is not a quantity"),
        ("4 k", "'4 k' is not a quantity"),
        ("1KB", "'1KB' is not a quantity"),
        ("0.5", "0.5 is not a whole number, and extended resources are counted in whole numbers"),
        ("1500m", "1500m is not a whole number, and extended resources are counted in whole numbers"),
        ("-1", f"-1 is not between 0 and {LARGEST}"),
        (str(LARGEST + 1), f"{LARGEST + 1} is not between 0 and {LARGEST}"),
        ("9E999", f"9E999 is not between 0 and {LARGEST}"),
    ],
)
def test_what_is_none(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_quantity(text)


@pytest.mark.parametrize(
    "name",
    [
        "example.com/dongle",
        "qat.intel.com/cy",
        "intel.com/QAT_4xxx.v2",
        "a/b",
        "kubernetes.io.example.com/x",
        "a" * 63 + ".x/" + "b" * 63,
    ],
)
def test_names(name: str) -> None:
    check_name(name, "resources[0].name")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("dongle", "it has no domain before a slash"),
        ("kubernetes.io/dongle", "kubernetes.io is for Kubernetes itself"),
        ("node.kubernetes.io/dongle", "kubernetes.io is for Kubernetes itself"),
        ("requests.example.com/dongle", "'requests.' is for quotas"),
        ("/dongle", "'' is not a DNS name in lower case of at most 244 characters"),
        ("Example.com/dongle", "'Example.com' is not a DNS name in lower case of at most 244 characters"),
        ("exa_mple.com/dongle", "'exa_mple.com' is not a DNS name in lower case of at most 244 characters"),
        ("example.com\n/d", "'example.com\\n' is not a DNS name in lower case of at most 244 characters"),
        (f"{'a' * 64}.com/d", f"'{'a' * 64}.com' is not a DNS name in lower case of at most 244 characters"),
        (
            f"{'.'.join(['a' * 50] * 5)}/d",
            f"'{'.'.join(['a' * 50] * 5)}' is not a DNS name in lower case of at most 244 characters",
        ),
    ]
    + [
        (
            f"example.com/{rest}",
            f"{rest!r} is not 1 to 63 letters, digits, '-', '_' and '.' that begin and end with a letter or a digit",
        )
        for rest in ("", "-a", "a-", "a/b", "a~b", "b" * 64, "a\n")
    ],
)
def test_what_is_no_name(name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_name(name, "resources[0].name")
    assert str(caught.value) == (
        f"resources[0].name: {name!r} is not the name of an extended resource, {problem}; "
        "name it after a domain of your own, such as example.com/dongle"
    )
