# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module ends."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.plugins.module_utils._run import run_module

PLUGINS = Path(__file__).parents[3] / "plugins"


class Ended(Exception):
    """The module has ended."""


class Module:
    """Keeps what a module would print."""

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        raise Ended(result)

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        raise Ended({"failed": True, **result})


def ended(work: t.Callable[[], dict[str, t.Any]], **options: t.Any) -> t.Any:
    with pytest.raises(Ended) as caught:
        run_module(t.cast("t.Any", Module()), work, **options)
    return caught.value.args[0]


def refuse() -> t.NoReturn:
    raise RefusedError("is in use", "0000:6b:00.0", "stop what uses it")


def test_ends_with_the_result() -> None:
    assert ended(lambda: {"changed": True, "a": 1}) == {"changed": True, "a": 1}


@pytest.mark.parametrize("changed", [False, True])
def test_ends_with_the_sentence(changed: bool) -> None:
    parts = {"kind": "refused", "where": "0000:6b:00.0", "problem": "is in use", "remedy": "stop what uses it"}
    expected = {
        "failed": True,
        "msg": "0000:6b:00.0: is in use; stop what uses it",
        "failure": {**parts, "kernel_log": []},
        "changed": changed,
    }
    assert ended(refuse, has_changed=lambda error: changed and isinstance(error, RefusedError)) == expected
    assert changed or ended(refuse) == expected


def test_other_errors_are_faults_of_ours() -> None:
    with pytest.raises(ZeroDivisionError):
        ended(lambda: {"a": 1 // 0})


def test_nobody_else_turns_an_error_into_a_result() -> None:
    wrong = re.compile(r"failure=|\"failure\": error|fail_json\(\s*msg=error")
    found = {str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py") if wrong.search(path.read_text())}
    assert found == {"module_utils/_run.py"}
