# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others say cannot move a cursor, forge a line, or end one."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.plugins.module_utils._node.printable import printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("qemu-system-x86", "qemu-system-x86"),
        ("Schlüssel 鍵", "Schlüssel 鍵"),
        ("\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\n0000:ff:00.0", r"a\x0a0000:ff:00.0"),
        ("\r\t\x00\x7f\x9b", r"\x0d\x09\x00\x7f\x9b"),
        ("line\u2028break\u202eturned", r"line\u2028break\u202eturned"),
        ("lone \udcff byte", r"lone \udcff byte"),
        ("\U000e0001", r"\U000e0001"),
        ("", ""),
    ],
)
def test_is_one_line_of_printed_characters(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_a_long_text_of_others_is_shown_by_its_ends() -> None:
    error = ConfigurationError(f"begin {'x' * 9000} end", f"{'y' * 9000}\x1b", "fix it")
    assert len(str(error)) < 3500
    assert str(error).startswith("yyy")
    assert str(error).endswith("x end; fix it")
    assert len(error.as_dict()["problem"]) < 1600
    assert shortened("as it was") == "as it was"
    assert len(str(NodeError("\x1b" * 1500))) < 1600
