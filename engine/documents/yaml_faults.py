"""What is wrong with a file that is not YAML, from the lines around the place where its reader stopped.

YAML's reader stops where nothing fits any more, often lines after the slip. Each case here finds one slip;
where none is certain, the reader's own words stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from engine.base.records import record


@record
class Fault:
    """A message with its line and column, from 1, and a hint."""

    message: str
    line: int
    column: int
    hint: str


_LONGEST = 4_096
"""Characters of a line that are looked at."""


@record
class Stop:
    """Where the reader stopped, and where what it was reading begins: lines and columns from 0."""

    lines: Sequence[str]
    problem: str
    line: int
    column: int
    began: int
    began_column: int

    def at(self, number: int) -> str:
        """Return the beginning of a line of the file, or nothing."""
        return self.lines[number][:_LONGEST] if 0 <= number < len(self.lines) else ""


def find_fault(stop: Stop) -> Fault | None:
    """Return the slip that made a reader stop, if it is certain."""
    for case in _CASES:
        fault = case(stop)
        if fault is not None:
            return fault
    return None


_KEY = r"\s*(?:- )*([A-Za-z_][\w.-]*):"


def _tab(stop: Stop) -> Fault | None:
    for number in (stop.line, stop.line + 1):
        indent = re.match(r"[ \t]*", stop.at(number))
        if indent and "\t" in indent[0]:
            column = indent[0].index("\t") + 1
            return Fault(
                "tabs are not allowed in YAML's indentation", number + 1, column, "indent with spaces"
            )
    return None


def _unclosed_quote(stop: Stop) -> Fault | None:
    """A quote that is not closed in its line, and whose end is where the reader stopped, or nowhere."""
    for number in range(min(stop.line, len(stop.lines) - 1), max(-1, stop.line - 200), -1):
        opening = _open_quote(stop.at(number))
        if opening is None:
            continue
        quote, column = opening
        end = _closing(stop, number, column + 1, quote)
        if end is None or (end[0] > number and end[0] == stop.line and 0 <= stop.column - end[1] <= 2):
            message = f"the quote {quote} opened in line {number + 1} is not closed"
            return Fault(message, number + 1, column + 1, "close it in its line")
        return None
    return None


def _open_quote(line: str) -> tuple[str, int] | None:
    """Return a quote at the beginning of a value which the line does not close, and its column."""
    start = re.match(r"(?:\s*(?:- )*(?:[\w.-]+: +|- +))(['\"])", line) or re.match(r"\s*(['\"])", line)
    if start is None:
        return None
    quote, column = start[1], start.end() - 1
    body = line[column + 1 :]
    ends = r"(?:[^']|'')*'(?!')" if quote == "'" else r'(?:[^"\\]|\\.)*"'
    return None if re.match(ends, body) else (quote, column)


def _closing(stop: Stop, number: int, column: int, quote: str) -> tuple[int, int] | None:
    """Return the line of the first such quote after a place, and the column behind it."""
    for line in range(number, len(stop.lines)):
        found = stop.at(line).find(quote, column if line == number else 0)
        if found >= 0:
            return line, found + 1
    return None


def _after_quotes(stop: Stop) -> Fault | None:
    """`condition: "a" in b`: a value that begins with a quote is all of it in quotes."""
    line = stop.at(stop.line)
    quoted = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'|\[[^\[\]]*\]|\{[^{}]*\}"
    value = re.match(rf"({_KEY} +|\s*(?:- +)+)({quoted})[ \t]*(?=[^\s#,}}\]])", line)
    if value is None or not value.end(1) <= stop.column <= len(line):
        return None
    text = line[value.end(1) :].strip()
    noun = "text" if value[2] in ("description", "name", "unit", "hint", "title") else "expression"
    whole: str | None
    inner = re.fullmatch(r"(['\"])(.*)\1", text)
    if inner is not None and value[3][0] == inner[1]:
        other = '"' if inner[1] == "'" else "'"
        free = other not in inner[2] and not (other == '"' and "\\" in inner[2])
        doubled = inner[2].replace("'", "''")
        whole = f"{other}{inner[2]}{other}" if free else f"'{doubled}'"
    else:
        whole = next((f"{quote}{text}{quote}" for quote in "'\"" if quote not in text), None)
    hint = f"put the whole {noun} in quotes: {whole}" if whole else "write the expression after | in a block"
    closing = "bracket" if value[3][0] in "[{" else "quote"
    return Fault(
        f"text after a closing {closing}",
        stop.line + 1,
        value.end() + 1,
        hint,
    )


def _tag(stop: Stop) -> Fault | None:
    """`condition: !a.b`, `!a > b`: YAML takes what begins with ! for a tag."""
    for line in dict.fromkeys((stop.began, stop.line)):
        value = re.match(rf"{_KEY} +(?=!)", stop.at(line))
        if value is not None or "tag" in stop.problem:
            column = value.end() if value else stop.began_column
            text = stop.at(line)[column:].strip()
            hint = _quoted_hint(text, "it")
            return Fault("an unquoted ! begins a YAML tag", line + 1, column + 1, hint)
    return None


def _quoted_hint(text: str, noun: str) -> str:
    """Return the hint to put quotes around a text, and how if one kind of quotes is free."""
    quote = next(
        (quote for quote in "'\"" if quote not in text and not (quote == '"' and "\\" in text)), None
    )
    return (
        f"put quotes around {noun}: {quote}{text}{quote}"
        if quote
        else "write it after |- on lines of its own"
    )


def _block(stop: Stop) -> Fault | None:
    """`condition: > a` and `| a`: the text of a block begins on the next line."""
    value = re.match(rf"({_KEY} +)([|>])[-+0-9]* +(?=[^\s#])", stop.at(stop.line))
    if "block scalar" not in stop.problem or value is None:
        return None
    text = stop.at(stop.line)[value.end(1) :].strip()
    hint = f"write the text on the next line, indented; {_quoted_hint(text, 'text that begins so')}"
    return Fault(f"text after {value[3]}", stop.line + 1, value.end() + 1, hint)


def _dash(stop: Stop) -> Fault | None:
    """`condition: - a`: a list's element after a key."""
    if "block sequence entries are not allowed" not in stop.problem:
        return None
    text = stop.at(stop.line)[stop.column :].strip()
    hint = f"elements stand on lines of their own; {_quoted_hint(text, 'text that begins with -')}"
    return Fault("'- ' after a key", stop.line + 1, stop.column + 1, hint)


def _mark(stop: Stop) -> Fault | None:
    """`&& b` on a line of its own, `*important*`: YAML takes & and * for anchors and aliases."""
    if "scanning an anchor" not in stop.problem and "scanning an alias" not in stop.problem:
        return None
    line = stop.at(stop.began)
    character = line[stop.began_column : stop.began_column + 1]
    continued = re.match(r"\s*(&&|\|\|)", line)
    if continued is not None:
        hint = "a comment ends the text before it: write the expression after |- without comments of YAML"
        return Fault(f"{continued[1]} begins no expression", stop.began + 1, stop.began_column + 1, hint)
    if re.match(r"\s*\* ", line):
        return Fault(
            "'* ' begins no element", stop.began + 1, stop.began_column + 1, "an element begins with '- '"
        )
    text = line[stop.began_column :].strip()
    return Fault(
        f"text can't begin with {character!r}",
        stop.began + 1,
        stop.began_column + 1,
        _quoted_hint(text, "it"),
    )


def _no_colon(stop: Stop) -> Fault | None:
    """`condition = a`, `// a comment`: a line without a key."""
    if "expected ':'" not in stop.problem:
        return None
    line = stop.at(stop.began)
    column = _indent(line) + 1
    if line.lstrip().startswith(("//", "/*", "--", ";")):
        return Fault("a line without a key", stop.began + 1, column, "a comment begins with #")
    key = re.match(r"\s*(?:- )?([A-Za-z_]\w*)\s*(=>|:=|=)?\s*(\S.*)?$", line)
    if key is None:
        return None
    hint = "indent text that belongs to the line above"
    if key[3] and not re.search(r"[|>][-+0-9]*\s*$", stop.at(stop.began - 1)):
        text = f"'{key[1]}: {key[3].strip()[:60]}'"
        hint = f"write {text}" if key[2] else f"write {text}, or {hint}"
    return Fault(f"no colon after '{key[1]}'", stop.began + 1, column, hint)


def _escape(stop: Stop) -> Fault | None:
    """`"\\d"`: in double quotes, YAML reads what follows a backslash."""
    if "unknown escape character" not in stop.problem:
        return None
    escape = stop.at(stop.line)[stop.column : stop.column + 2]
    hint = "put the text in single quotes, in which YAML reads no escapes"
    return Fault(f"unknown escape {escape}", stop.line + 1, stop.column + 1, hint)


def _empty_cell(stop: Stop) -> Fault | None:
    """`[a, , b]`: nothing between two commas."""
    if "node content" not in stop.problem or stop.at(stop.line)[stop.column : stop.column + 1] not in (
        ",",
        "]",
    ):
        return None
    before = stop.at(stop.line)[: stop.column].rstrip()
    if before.endswith("-"):
        return Fault("a dash without quotes", stop.line + 1, len(before), 'write "-"')
    hint = 'write null or ""; in a decision table, "-" passes any value'
    return Fault("nothing between two commas", stop.line + 1, stop.column + 1, hint)


def _end_mark(stop: Stop) -> Fault | None:
    if "<document start>" not in stop.problem:
        return None
    for number in range(stop.line, -1, -1):
        if stop.at(number).rstrip() == "...":
            return Fault("'...' ends the document", number + 1, 1, "remove the line")
    return None


def _indentation(stop: Stop) -> Fault | None:
    """A line that begins neither where the line before it does nor where one further out does."""
    if "block" not in stop.problem or not stop.at(stop.line).strip():
        return None
    indent = _indent(stop.at(stop.line))
    before = [each for number in range(stop.line) for each in _indents(stop.at(number))]
    if stop.column != indent or not before or indent in before or indent > before[-1]:
        return None
    if stop.at(stop.line).lstrip().startswith("- "):
        before = [
            _indent(line) for line in map(stop.at, range(stop.line)) if line.lstrip().startswith("- ")
        ] or before
        around = min(before, key=lambda each: (abs(each - indent), -each))
    else:
        around = next((each for each in reversed(before) if each > indent), before[-1])
    hint = f"line {stop.line + 1} is indented by {indent} spaces, those before it by {around}"
    return Fault("wrong indentation", stop.line + 1, indent + 1, hint)


def _no_space(stop: Stop) -> Fault | None:
    """`condition:a > b`: a key needs a space after its colon."""
    for number in dict.fromkeys((stop.began, stop.line, stop.line - 1)):
        line = stop.at(number)
        key = re.match(_KEY + r"(?=[^\s:/])", line)
        if key is not None and "://" not in line[: key.end() + 2]:
            hint = f"write '{key[1]}: ' with a space"
            return Fault(f"no space after '{key[1]}:'", number + 1, key.end() + 1, hint)
    return None


def _list_among_keys(stop: Stop) -> Fault | None:
    """A list's element after keys of the same indentation, or the other way round."""
    line, first = stop.at(stop.line), stop.at(stop.began)
    if "block" not in stop.problem or _indent(line) != _indent(first):
        return None
    if line.lstrip().startswith("- ") is first.lstrip().startswith("- "):
        return None
    owner = next(
        (number for number in range(stop.began - 1, -1, -1) if _is_owner(stop.at(number), _indent(first))),
        None,
    )
    key = re.match(_KEY, stop.at(owner)) if owner is not None else None
    if key is None or owner is None:
        return None
    listed = key[1] in ("match", "variables", "inputs", "tests", "cases") or line.lstrip().startswith("- ")
    hint = "each of its elements begins with '- '" if listed else "its elements have no '- '"
    message = f"'{key[1]}' of line {owner + 1} must be {'a list' if listed else 'fields, not a list'}"
    return Fault(message, stop.line + 1, _indent(line) + 1, hint)


def _is_owner(line: str, indent: int) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#") and _indent(line) < indent


def _indents(line: str) -> list[int]:
    """Return the columns at which something begins in a line: a list's element, and the key in it."""
    if not line.strip() or line.lstrip().startswith("#"):
        return []
    dashes = re.match(r" *(?:- +)*", line)
    inner = dashes.end() if dashes else 0
    return [_indent(line), inner] if inner > _indent(line) else [_indent(line)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _unclosed_flow(stop: Stop) -> Fault | None:
    """`{a: 1` or `[1, 2` without its end."""
    if "flow" not in stop.problem:
        return None
    bracket = stop.at(stop.began)[stop.began_column : stop.began_column + 1]
    if bracket not in ("{", "["):
        return None
    closing = {"{": "}", "[": "]"}[bracket]
    if stop.began == stop.line:
        hint = "put quotes around text with a comma, a colon, a quote or a bracket"
        typed = re.search(r"type: *(\w*)\[(\w*)\]", stop.at(stop.line))
        if typed is not None:
            hint = f"the type of a list is written list({typed[2] or typed[1]})"
        message = f"text in {bracket} {closing} that needs quotes"
        return Fault(message, stop.line + 1, stop.column + 1, hint)
    hint = f"write {closing} at its end; text with a comma or a bracket needs quotes"
    message = f"{bracket!r} opened in line {stop.began + 1} is not closed"
    return Fault(message, stop.began + 1, stop.began_column + 1, hint)


def _colon(stop: Stop) -> Fault | None:
    if "mapping values are not allowed" not in stop.problem:
        return None
    line, above = stop.at(stop.line), stop.at(stop.line - 1)
    if re.fullmatch(r"\s*(?:- +)*[\w.-]+", line[: stop.column]):
        hint = f"check the indentation of line {stop.line + 1}"
        if re.match(_KEY + r" +\S", above) and _indent(above) + 1 < _indent(line):
            hint = f"check the indentation of lines {stop.line} and {stop.line + 1}"
    elif "?" in line[: stop.column]:
        hint = "an expression with ': ' needs quotes around it"
    elif re.match(_KEY, line) and ": " in line[: stop.column + 2]:
        hint = "a colon inside text needs quotes around the text"
    else:
        hint = f"check the indentation of line {stop.line + 1}"
    return Fault("a colon where none can be", stop.line + 1, stop.column + 1, hint)


def _first_character(stop: Stop) -> Fault | None:
    """`@x`, `%x`, a backtick: characters that no plain text begins with."""
    character = stop.at(stop.line)[stop.column : stop.column + 1]
    if "cannot start any token" not in stop.problem or not character.strip():
        return None
    return Fault(
        f"text can't begin with {character!r}", stop.line + 1, stop.column + 1, "put quotes around the text"
    )


_CASES: tuple[Callable[[Stop], Fault | None], ...] = (
    *(_tab, _tag, _block, _dash, _mark, _escape, _empty_cell, _end_mark, _after_quotes, _unclosed_quote),
    *(_no_space, _no_colon, _unclosed_flow, _list_among_keys, _colon, _first_character, _indentation),
)
