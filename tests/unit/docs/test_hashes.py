# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/controller.md says of hosts in FIPS mode: which hashes there are, and where TLS is."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PYTHON = [path for place in ("plugins", "device_plugin/src") for path in sorted((CHECKOUT / place).rglob("*.py"))]
TEXTS = [
    path
    for place in ("plugins", "device_plugin/src", "roles", "playbooks", "molecule")
    for path in sorted((CHECKOUT / place).rglob("*"))
    if path.suffix in (".py", ".yml", ".j2")
]


def hashes(path: Path) -> t.Iterator[tuple[str, bool]]:
    """The functions of hashlib that are called, each with whether it says that it is for no security."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and re.fullmatch(r"hashlib\.\w+", ast.unparse(node.func)):
            said = {word.arg: ast.unparse(word.value) for word in node.keywords}
            yield ast.unparse(node.func).partition(".")[2], said.get("usedforsecurity") == "False"


def test_sha_256_and_for_marks_of_change_sha_1() -> None:
    found = {one for path in PYTHON for one in hashes(path)}
    assert found == {("sha256", False), ("sha1", True)}
    for path in PYTHON:
        assert not re.search(r"^\s*from hashlib import", path.read_text(), re.MULTILINE), path


def test_filters_of_templates() -> None:
    found = {
        name
        for path in TEXTS
        for name in re.findall(r"\|\s*(?:hash|checksum|md5|sha1)\(?['\"]?(\w*)", path.read_text())
    }
    assert found == {"sha1", "sha256"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_md5_is_nowhere(path: Path) -> None:
    assert not re.search(r"md5", path.read_text(), re.IGNORECASE)


def test_the_device_plugin_has_no_tls() -> None:
    for path in sorted((CHECKOUT / "device_plugin/src").rglob("*.py")):
        text = path.read_text()
        assert not re.search(
            r"^\s*(import ssl\b|from ssl import)|secure_channel\(|add_secure_port\(|ssl_\w*credentials",
            text,
            re.MULTILINE,
        ), path


def test_the_page_says_so() -> None:
    _before, heading, section = (CHECKOUT / "docs/controller.md").read_text().partition("\n## Hosts in FIPS mode\n")
    assert heading
    section = section.partition("\n## ")[0]
    for word in ("MD5", "SHA-1", "SHA-256", "BoringSSL", "TLS"):
        assert word in section
