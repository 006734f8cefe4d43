# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes quantities that are whole numbers, and the names of extended resources.

Sources: k8s.io/apimachinery pkg/api/resource/quantity.go; k8s.io/kubernetes pkg/apis/core/v1/helper/helpers.go (IsExtendedResourceName)
and pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import re
from fractions import Fraction

from .._node.errors import ConfigurationError

LARGEST = 2**63 - 1

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST_PREFIX = 253 - len("requests.")
"""A quota names the resource with `requests.` in front, which must be a DNS subdomain of 253 characters too."""


def parse_number(text: object) -> Fraction:
    """The number that a quantity such as `500m`, `1e3` or `2Gi` stands for; raises ValueError with what is wrong with it."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{str(text)!r} is not a quantity")
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix in _BINARY:
        number *= 2 ** _BINARY[suffix]
    else:
        number *= Fraction(10) ** (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))
    return number


def parse_quantity(text: object) -> int:
    """The whole number that a quantity such as `4`, `1k` or `2Ki` stands for; raises ValueError with what is wrong with it."""
    number = parse_number(text)
    if number.denominator != 1:
        raise ValueError(f"{text} is not a whole number, and extended resources are counted in whole numbers")
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{text} is not between 0 and {LARGEST}")
    return int(number)


def check_name(name: str, where: str) -> None:
    """Raise ConfigurationError unless this is the name of an extended resource."""
    problem = _problem_of(name)
    if problem:
        raise ConfigurationError(
            f"{name!r} is not the name of an extended resource, {problem}",
            where=where,
            remedy="name it after a domain of your own, such as example.com/dongle",
        )


def _problem_of(name: str) -> str:
    prefix, slash, rest = name.partition("/")
    if not slash:
        return "it has no domain before a slash"
    if prefix == "kubernetes.io" or prefix.endswith(".kubernetes.io"):
        return "kubernetes.io is for Kubernetes itself"
    if prefix.startswith("requests."):
        return "'requests.' is for quotas"
    if len(prefix) > _LONGEST_PREFIX or not all(
        _LABEL.fullmatch(label) and len(label) < 64 for label in prefix.split(".")
    ):
        return f"{prefix!r} is not a DNS name in lower case of at most {_LONGEST_PREFIX} characters"
    if len(rest) > 63 or not _NAME.fullmatch(rest):
        return f"{rest!r} is not 1 to 63 letters, digits, '-', '_' and '.' that begin and end with a letter or a digit"
    return ""
