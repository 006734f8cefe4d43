# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Expectations of a Node object: JMESPath expressions and what they should say. Decisions only."""

from __future__ import annotations

import traceback
import typing as t

from .._node.errors import ConfigurationError
from .objects import Object
from .quantity import parse_quantity

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    HAS_JMESPATH = False
    IMPORT_ERROR: str | None = traceback.format_exc()
else:
    HAS_JMESPATH = True
    IMPORT_ERROR = None


class Expectation(t.NamedTuple):
    """What a query should say. `where` is its place in the module's arguments."""

    name: str
    query: str
    equals: t.Any
    where: str


def parse_expectations(entries: t.Sequence[Object]) -> tuple[Expectation, ...]:
    """The entries `{name, query, equals}` of the module; raises ConfigurationError for a query that is no JMESPath."""
    found = []
    for index, entry in enumerate(entries):
        where, query = f"expectations[{index}]", str(entry["query"])
        try:
            jmespath.compile(query)
        except JMESPathError as error:
            raise ConfigurationError(
                f"{query!r} is not JMESPath: {_one_line(error)}", where=f"{where}.query", remedy="correct it"
            ) from None
        equals = True if entry.get("equals") is None else entry["equals"]
        found.append(Expectation(str(entry.get("name") or query), query, equals, where))
    return tuple(found)


def check(expectation: Expectation, node: Object) -> dict[str, t.Any]:
    """How the node is compared with an expectation: `found`, `ok`, and the reason where it is not."""
    try:
        found = jmespath.search(expectation.query, node)
        problem = ""
    except JMESPathError as error:
        found, problem = None, _one_line(error)
    ok = not problem and _alike(found, expectation.equals)
    reason = problem or f"{expectation.name} is {shown(found)} and should be {shown(expectation.equals)}"
    return {
        "name": expectation.name,
        "query": expectation.query,
        "expected": expectation.equals,
        "found": found,
        "ok": ok,
        "reason": "" if ok else reason,
    }


def _alike(found: t.Any, expected: t.Any) -> bool:
    """Equal, where a number and its text are alike: quantities are text in the API, and Ansible makes text of numbers."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return str(found).lower() == str(expected).lower()
    if isinstance(found, (int, str)) and isinstance(expected, (int, str)):
        return str(found) == str(expected) or _same_quantity(found, expected)
    return bool(found == expected)


def _same_quantity(found: int | str, expected: int | str) -> bool:
    """The API server writes 1000 as 1k."""
    try:
        return parse_quantity(found) == parse_quantity(expected)
    except ValueError:
        return False


def shown(value: t.Any) -> str:
    """A value in a sentence."""
    return "not there" if value is None else str(value)


def _one_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(":")
