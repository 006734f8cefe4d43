# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON that this collection has written and that anything may have happened to since: read as what it should be, or refused."""

from __future__ import annotations

import json
import typing as t


def read_object(text: str) -> Part:
    """The object that the text is. Raises ValueError where it is something else, or nested too deeply."""
    try:
        return Part(json.loads(text), "")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class Part:
    """An object of a JSON document, and where it stands. Every method raises ValueError where something else is there."""

    def __init__(self, value: t.Any, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where or 'the document'} is not an object")
        self._value = value
        self._where = where + "." if where else ""

    def has(self, key: str) -> bool:
        return key in self._value

    def value(self, key: str) -> t.Any:
        """What the key has, whatever it is."""
        if key not in self._value:
            raise ValueError(f"{self._where}{key} is missing")
        return self._value[key]

    def get(self, key: str, *kinds: type) -> t.Any:
        """What the key has, which is of one of these kinds; true and false are no numbers."""
        value = self.value(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{self._where}{key} is of another kind than it should be")
        return value

    def texts(self, key: str, fits: t.Callable[[str], object]) -> list[str]:
        """The texts in a list, all of which have to fit."""
        values = self.get(key, list)
        if not all(isinstance(value, str) and fits(value) for value in values):
            raise ValueError(f"{self._where}{key} has something that does not belong there")
        return list(values)

    def text(self, key: str, fits: t.Callable[[str], object]) -> str | None:
        """The text, which has to fit, or None."""
        value: str | None = self.get(key, str, type(None))
        if value is not None and not fits(value):
            raise ValueError(f"{self._where}{key} does not fit")
        return value

    def part(self, key: str) -> Part:
        """The object that the key has."""
        return Part(self.value(key), f"{self._where}{key}")

    def parts(self, key: str) -> list[Part]:
        """The objects in a list."""
        return [Part(value, f"{self._where}{key}[{index}]") for index, value in enumerate(self.get(key, list))]

    def named(self, key: str) -> dict[str, Part]:
        """The objects in an object, by their names."""
        return {name: Part(value, f"{self._where}{key}.{name}") for name, value in self.get(key, dict).items()}


def is_content(text: str) -> bool:
    """Whether a text can be what is in a file: of the code points that are no characters only those by which Python keeps other bytes."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def is_path(text: str) -> bool:
    """Whether a text can be the whole path of a file."""
    return text.startswith("/") and "\0" not in text and is_content(text)
