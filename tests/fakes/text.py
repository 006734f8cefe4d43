# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel reads numbers and switches that somebody writes (Linux lib/kstrtox.c, lib/string_helpers.c)."""

from __future__ import annotations

import errno

from .tree import failure


def number(text: str, base: int = 10, at_most: int = 0xFFFFFFFF) -> int:
    """kstrtouint and its kind: one newline at the end is tolerated, a blank is not. Base 0 distinguishes 0x10 and 020 from 16."""
    digits = text[:-1] if text.endswith("\n") else text
    digits = digits[1:] if digits.startswith("+") else digits
    if base == 0:
        base, digits = _base_of(digits)
    try:
        value = int(digits, base) if digits.isalnum() else -1
    except ValueError:
        value = -1
    if value < 0:
        raise failure(errno.EINVAL)
    if value > at_most:
        raise failure(errno.ERANGE)
    return value


def _base_of(digits: str) -> tuple[int, str]:
    if digits[:2].lower() == "0x":
        return 16, digits[2:]
    if digits[:1] == "0" and len(digits) > 1:
        return 8, digits[1:]
    return 10, digits


def switch(text: str) -> bool:
    """kstrtobool: only the first letters count."""
    start = text[:2].lower()
    if start[:1] in ("y", "t", "1") or start == "on":
        return True
    if start[:1] in ("n", "f", "0") or start == "of":
        return False
    raise failure(errno.EINVAL)


def line(text: str) -> str:
    """What sysfs_streq compares: the text without one newline at its end."""
    return text[:-1] if text.endswith("\n") else text
