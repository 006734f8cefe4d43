# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands end in time, and what is kept of their output is bounded."""

from __future__ import annotations

import time

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._support.commands import run_bounded


def sh(text: str, seconds: float = 20.0, most: int = 100) -> tuple[int, str, str]:
    result = run_bounded(["/bin/sh", "-c", text], seconds, most)
    return result.code, result.out, result.err


def test_both_outputs_and_the_code() -> None:
    assert sh("echo a; echo b >&2; exit 3") == (3, "a\n", "b\n")


def test_the_last_whole_lines_are_kept() -> None:
    code, out, _err = sh("i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done")
    assert code == 0
    assert out.endswith("line 198\nline 199\n")
    assert len(out) <= 100
    assert out.startswith("line ")


@pytest.mark.parametrize(
    "text", ["sleep 60", "sleep 60 & sleep 60", "exec >&- 2>&-; sleep 60", "trap '' TERM; sleep 60"]
)
def test_one_that_does_not_end(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(NodeError, match="has not ended after"):
        sh(text, 0.2)
    assert time.monotonic() - started < 30


def test_one_that_is_not_there() -> None:
    with pytest.raises(NodeError, match="/no/such: cannot be run: No such file or directory"):
        run_bounded(["/no/such"])
