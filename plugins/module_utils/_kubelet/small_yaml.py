# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads one YAML document that is a mapping, without a library: nodes have none, and their files have secrets that stay there.

It knows what configuration files use: block and flow collections, all scalars, comments, anchors and aliases. Whatever else there is
in YAML makes it give up with a line number; it never guesses. Scalars are text, as they stand; nothing at all is None.
"""

from __future__ import annotations

import re
import typing as t

Value = t.Union[None, str, "list[t.Any]", "dict[str, t.Any]", "_Unclear"]

_DEEPEST = 40
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_CODES = {"x": 2, "u": 4, "U": 8}
# Line breaks to some readers and not to others, and what no reader takes.
_FOREIGN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NULL = ("", "~", "null", "Null", "NULL")


class NotUnderstoodError(Exception):
    """The text is malformed, or has something that is not known here. `line` counts from 1."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


class _Unclear:
    """A scalar whose text was not worked out."""


UNCLEAR = _Unclear()


def read_mapping(text: str) -> dict[str, t.Any]:
    """The names and values of the document, empty for an empty one. Raises NotUnderstoodError."""
    reader = _Reader(text.lstrip("\ufeff").replace("\r\n", "\n"))
    return reader.document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._deep = 0
        self._anchors: dict[str, Value] = {}

    def document(self) -> dict[str, t.Any]:
        foreign = _FOREIGN.search(self._text)
        if foreign:
            self._at = foreign.start()
            raise self._error("a control character")
        self._skip()
        if self._marker("---"):
            self._at += 3
            self._end_of_line("what is beside ---")
            self._skip()
        if self._ends():
            return self._ended({})
        value = self._flow(False) if self._peek() == "{" else self._block(self._column())
        if self._column():
            self._end_of_line("what comes after a value")
        if not isinstance(value, dict):
            raise self._error("something else than names and values")
        return self._ended(value)

    def _ended(self, value: dict[str, t.Any]) -> dict[str, t.Any]:
        self._skip()
        if self._marker("..."):
            self._at += 3
            self._skip()
        if self._at < len(self._text):
            raise self._error("a second document" if self._marker("---") else "an indentation that fits to nothing")
        return value

    # Where we are.

    def _error(self, why: str) -> NotUnderstoodError:
        return NotUnderstoodError(why, self._text.count("\n", 0, self._at) + 1)

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._text[place] if place < len(self._text) else ""

    def _column(self) -> int:
        return self._at - (self._text.rfind("\n", 0, self._at) + 1)

    def _blank(self, ahead: int = 0) -> bool:
        return self._peek(ahead) in ("", " ", "\t", "\n")

    def _marker(self, mark: str) -> bool:
        return self._column() == 0 and self._text.startswith(mark, self._at) and self._blank(len(mark))

    def _ends(self) -> bool:
        return self._at >= len(self._text) or self._marker("---") or self._marker("...")

    def _skip(self) -> None:
        """To the next thing that is neither white space nor a comment."""
        begins = self._column() == 0
        while self._at < len(self._text):
            one = self._peek()
            if one == "\n":
                begins = True
            elif one == "#" and (begins or self._text[self._at - 1] in " \t\n"):
                self._at = self._line_end() - 1
            elif one == "\t" and begins and self._text[self._at : self._line_end()].strip(" \t")[:1] not in ("", "#"):  # noqa: E203
                raise self._error("a tab in the indentation")
            elif one not in " \t":
                return
            self._at += 1

    def _line_end(self) -> int:
        end = self._text.find("\n", self._at)
        return len(self._text) if end < 0 else end

    def _spaces(self) -> None:
        while self._peek() in (" ", "\t"):
            self._at += 1

    def _end_of_line(self, what: str) -> None:
        """Pass over what may follow a value in its line."""
        before = self._at
        self._spaces()
        if self._peek() == "#" and (self._at > before or not self._column()):
            self._at = self._line_end()
        if self._peek() not in ("", "\n"):
            raise self._error(what)

    # Blocks.

    def _block(self, column: int) -> Value:
        """A collection whose entries begin here, in this column."""
        self._deep += 1
        if self._deep > _DEEPEST:
            raise self._error("too many levels")
        if self._peek() == "-" and self._blank(1):
            value: Value = self._sequence(column)
        else:
            value = self._mapping(column)
        self._deep -= 1
        return value

    def _sequence(self, column: int) -> list[t.Any]:
        values = []
        while not self._ends() and self._column() == column and self._peek() == "-" and self._blank(1):
            self._at += 1
            values.append(self._value(column, False))
            self._skip()
        return values

    def _mapping(self, column: int) -> dict[str, t.Any]:
        values: dict[str, t.Any] = {}
        while not self._ends() and self._column() == column and not (self._peek() == "-" and self._blank(1)):
            name = self._key()
            if name is None:
                raise self._error("something else than a name and a value")
            if name in values or name == "<<":
                raise self._error("a merge key" if name == "<<" else "a name that is given twice")
            values[name] = self._value(column, True)
            self._skip()
        if not self._ends() and self._column() > column:
            raise self._error("an indentation that fits to nothing")
        return values

    def _key(self) -> str | None:
        """The name before a colon, and past the colon; None, and nothing passed, where there is none in this line."""
        begin = self._at
        line = self._line_end()
        if self._peek() in ("'", '"'):
            name: str | None = self._quoted()
        elif self._peek() in tuple("[]{},#&*!|>%@`?") or (self._peek() in "-:" and self._blank(1)):
            name = None
        else:
            found = re.compile(r"(?:[^:#\n]|:(?=[^\s])|(?<=\S)#)*").match(self._text, self._at)
            name = found.group().rstrip(" \t") if found else ""
            self._at += len(found.group()) if found else 0
        if name is not None and self._at <= line:
            self._spaces()
            if self._peek() == ":" and self._blank(1):
                self._at += 1
                return name
        self._at = begin
        return None

    def _value(self, column: int, of_mapping: bool) -> Value:
        """What belongs to the name or dash that stands in this column and was passed."""
        self._spaces()
        anchor = self._anchor()
        inline = self._peek() not in ("", "\n") and not (self._peek() == "#" and self._text[self._at - 1] in " \t")
        value: Value
        if inline:
            value = self._inline(column, of_mapping or bool(anchor))
        else:
            self._skip()
            here = self._column()
            dash = self._peek() == "-" and self._blank(1)
            if self._ends() or here < column or (here == column and not (of_mapping and dash)):
                value = None
            elif self._peek() in tuple("&!"):
                raise self._error("an anchor or a tag in a line of its own")
            else:
                value = self._collection_or_scalar(here, column)
        if anchor:
            self._anchors[anchor] = value
        return value

    def _anchor(self) -> str:
        if self._peek() != "&":
            return ""
        found = _NAME.match(self._text, self._at + 1)
        if found is None:
            raise self._error("an anchor of another form")
        self._at = found.end()
        if not self._blank():
            raise self._error("an anchor of another form")
        self._spaces()
        return found.group()

    def _inline(self, column: int, scalar_only: bool) -> Value:
        """What begins in the line of its name or dash."""
        if self._peek() == "*":
            return self._ended_line(self._alias())
        if self._peek() in ("|", ">"):
            return self._block_scalar(column)
        if scalar_only:
            return self._scalar_or_flow(column)
        return self._collection_or_scalar(self._column(), column)

    def _collection_or_scalar(self, here: int, column: int) -> Value:
        if self._peek() == "-" and self._blank(1):
            return self._block(here)
        begin = self._at
        if self._key() is not None:
            self._at = begin
            return self._block(here)
        if self._peek() == "*":
            return self._ended_line(self._alias())
        if self._peek() in ("|", ">"):
            return self._block_scalar(column)
        return self._scalar_or_flow(column)

    def _scalar_or_flow(self, column: int) -> Value:
        if self._peek() in ("'", '"', "[", "{"):
            return self._ended_line(self._flow(False))
        return self._plain_block(column)

    def _ended_line(self, value: Value) -> Value:
        self._end_of_line("what comes after a value")
        return value

    def _alias(self) -> Value:
        found = _NAME.match(self._text, self._at + 1)
        if found is None or found.group() not in self._anchors:
            raise self._error("an alias without its anchor")
        self._at = found.end()
        return self._anchors[found.group()]

    def _plain_block(self, column: int) -> Value:
        """Plain text, over all lines that are indented by more than this column."""
        if self._peek() in tuple("]},#&!%@`?") or (self._peek() in "-:" and self._blank(1)):
            raise self._error("something that is not known here")
        parts: list[str] = []
        while True:
            found = re.compile(r"(?:[^:#\n]|:(?=\S)|(?<=\S)#)*").match(self._text, self._at)
            parts.append(found.group().strip(" \t") if found else "")
            self._at = found.end() if found else self._at
            if self._peek() == ":":
                raise self._error("a colon inside of a text")
            commented = self._peek() == "#"
            end = self._at
            self._skip()
            if self._ends() or self._column() <= column:
                self._at = min(self._at, len(self._text))
                break
            if commented or "#" in self._text[end : self._at]:  # noqa: E203
                raise self._error("a comment inside of a text")
            parts.append(_folded(self._text.count("\n", end, self._at)))
        text = "".join(parts)
        return None if text in _NULL else text

    def _block_scalar(self, column: int) -> Value:
        style = self._peek()
        head = re.compile(r"[|>]([-+]?)[ \t]*(?:[ \t]#[^\n]*)?(?=\n|\Z)").match(self._text, self._at)
        if head is None:
            raise self._error("a block of text with an indentation of its own")
        self._at = min(head.end() + 1, len(self._text))
        lines: list[str] = []
        ending = ""
        while self._at < len(self._text):
            line = self._text[self._at : self._line_end()]  # noqa: E203
            if line.strip(" ") and len(line) - len(line.lstrip(" ")) <= column:
                break
            lines.append(line)
            ending = "\n" if self._line_end() < len(self._text) else ""
            self._at = min(self._line_end() + 1, len(self._text))
        trailing = 0
        while lines and not lines[-1].strip(" "):
            trailing = max(trailing, len(lines.pop()))
            ending = "\n"
        indents = {len(line) - len(line.lstrip(" ")) for line in lines}
        if not lines:
            return ""
        if len(indents) != 1 or trailing > max(indents) or any(line.lstrip(" ")[:1] in ("", "\t") for line in lines):
            self._require_indented(lines)
            return UNCLEAR
        text = ("\n" if style == "|" else " ").join(line.lstrip(" ") for line in lines)
        return UNCLEAR if head.group(1) == "+" else text if head.group(1) == "-" else text + ending

    def _require_indented(self, lines: t.Sequence[str]) -> None:
        """Less than the first line is malformed."""
        written = [line for line in lines if line.strip(" ")]
        first = len(written[0]) - len(written[0].lstrip(" "))
        blank = [len(line) for line in lines[: lines.index(written[0])]]
        if any(len(line) - len(line.lstrip(" ")) < first for line in written) or any(size > first for size in blank):
            raise self._error("an indentation that fits to nothing")

    # Flows and quoted text.

    def _flow(self, inside: bool) -> Value:
        self._deep += 1
        if self._deep > _DEEPEST:
            raise self._error("too many levels")
        one = self._peek()
        value: Value
        if one == "[":
            value = self._flow_sequence()
        elif one == "{":
            value = self._flow_mapping()
        elif one in ("'", '"'):
            value = self._quoted()
        elif one == "*":
            value = self._alias()
        elif one == "&":
            anchor = self._anchor()
            self._skip()
            value = self._anchors[anchor] = self._flow(inside)
        else:
            value = self._plain_flow()
        self._deep -= 1
        return value

    def _flow_sequence(self) -> list[t.Any]:
        values: list[t.Any] = []
        self._at += 1
        while self._flow_goes_on("]"):
            values.append(self._flow(True))
            self._flow_skip()
            if self._peek() == ":":
                raise self._error("a name and a value in a list")
            self._comma("]")
        return values

    def _flow_mapping(self) -> dict[str, t.Any]:
        values: dict[str, t.Any] = {}
        self._at += 1
        while self._flow_goes_on("}"):
            quoted = self._peek() in ("'", '"')
            begin = self._at
            name = self._flow(True)
            if not isinstance(name, str) or "\n" in self._text[begin : self._at] or self._text[begin] in "*&":  # noqa: E203
                raise self._error("something else than a name")
            if name in values or name == "<<":
                raise self._error("a merge key" if name == "<<" else "a name that is given twice")
            self._flow_skip()
            values[name] = None
            if self._peek() == ":" and (quoted or self._blank(1) or self._peek(1) in ",]}"):
                self._at += 1
                self._flow_skip()
                if self._peek() not in (",", "}"):
                    values[name] = self._flow(True)
            self._comma("}")
        return values

    def _flow_goes_on(self, closing: str) -> bool:
        self._flow_skip()
        if self._peek() == closing:
            self._at += 1
            return False
        return True

    def _comma(self, closing: str) -> None:
        self._flow_skip()
        if self._peek() == ",":
            self._at += 1
        elif self._peek() != closing:
            raise self._error("no comma between two values")

    def _flow_skip(self) -> None:
        """Inside of brackets the indentation says nothing."""
        while self._at < len(self._text):
            one = self._peek()
            if one == "#" and self._text[self._at - 1] in " \t\n":
                self._at = self._line_end()
            elif one not in " \t\n":
                break
            else:
                self._at += 1
        if self._ends():
            raise self._error("a bracket that is not closed")

    def _plain_flow(self) -> Value:
        dash = self._peek() == "-" and not self._blank(1) and self._peek(1) not in tuple(",[]{}")
        if self._peek() in tuple("|>!%@`?,]}#-:") and not dash:
            raise self._error("something that is not known here")
        parts: list[str] = []
        while True:
            found = re.compile(r"(?:[^:#\n,\[\]{}?]|:(?=[^\s,\[\]{}])|(?<=\S)#)*").match(self._text, self._at)
            parts.append(found.group().strip(" \t") if found else "")
            self._at = found.end() if found else self._at
            if self._peek() in tuple("[{?"):
                raise self._error("a bracket inside of a text")
            end = self._at
            self._flow_skip()
            if self._peek() in tuple(",]}:") or self._peek() == "#":
                break
            if "#" in self._text[end : self._at]:  # noqa: E203
                raise self._error("a comment inside of a text")
            if self._peek() in tuple("'\"&*!|>%@`-"):
                raise self._error("something that is not known here")
            parts.append(_folded(self._text.count("\n", end, self._at)))
        text = "".join(parts)
        return None if text in _NULL else text

    def _quoted(self) -> str:
        quote = self._peek()
        self._at += 1
        parts: list[str] = []
        while True:
            one = self._peek()
            if not one:
                raise self._error("a quote that is not closed")
            if one == quote:
                if quote == '"' or self._peek(1) != "'":
                    self._at += 1
                    return "".join(parts)
                parts.append("'")
                self._at += 2
            elif one == "\\" and quote == '"':
                parts.append(self._escape())
            elif one in " \t\n":
                parts.append(self._white())
            else:
                parts.append(one)
                self._at += 1

    def _white(self) -> str:
        """White space inside of quotes: as it is in one line, folded where a line ends in it."""
        found = re.compile(r"[ \t\n]+").match(self._text, self._at)
        white = found.group() if found else ""
        self._at += len(white)
        if "\n" not in white:
            return white
        if self._ends():
            raise self._error("a quote that is not closed")
        return _folded(white.count("\n"))

    def _escape(self) -> str:
        code = self._peek(1)
        if code == "\n":
            self._at += 2
            self._spaces()
            if self._peek() == "\n":
                raise self._error("an empty line behind a backslash")
            return ""
        if code in _CODES:
            found = re.compile(rf"[0-9A-Fa-f]{{{_CODES[code]}}}").match(self._text, self._at + 2)
            if found is None or int(found.group(), 16) > 0x10FFFF or 0xD800 <= int(found.group(), 16) < 0xE000:
                raise self._error("an escape that is not known")
            self._at = found.end()
            return chr(int(found.group(), 16))
        if code not in _ESCAPES:
            raise self._error("an escape that is not known")
        self._at += 2
        return _ESCAPES[code]


def _folded(breaks: int) -> str:
    """What line breaks inside of a text mean."""
    return " " if breaks < 2 else "\n" * (breaks - 1)
