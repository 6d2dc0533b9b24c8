"""Rows of a catalog that comes with the engine, read without YAML's and CEL's libraries.

Importing those takes longer than a bare interpreter needs to start, and a command that reads one model's
configuration needs some plain rows only. This is a fast path: it takes sections of one flow mapping a line,
or one cell a line, with constants, and answers None to whatever it is not sure to read as `yaml_source` and
the compiler of catalogs do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

Rows = dict[str, dict[str, Any]]
_Cell = TypeVar("_Cell")

_KEY = r'("[^"\\]*"|[A-Za-z_][\w.-]*)'
_LINE = re.compile(rf" {{2}}{_KEY}: (\{{.*\}})")
_TOP = re.compile(r"^[^\s#].*", re.MULTILINE)
"""Lines that are not indented."""
_TOP_KEYS = frozenset(
    {
        *("apiVersion", "kind", "name", "version", "description", "describes", "identifies", "fields"),
        *("columns", "entries"),
    }
)
_HEAD = re.compile(rf" {{2}}{_KEY}:")
_CELL = re.compile(rf" {{4}}{_KEY}: ([^\r]+)")
_SCALAR = re.compile(r'"(?:[^"\\\n]|\\.)*"|[A-Za-z0-9_](?:[^\n,\[\]{}":#]|:(?![\s,\[\]{}]|$))*')
"""In quotes, or plain, with colons inside only."""
_NUMBER = re.compile(r"(?:0|[1-9]\d*)(?:\.\d+)?")
_WORDS = frozenset({"true", "false", "null"})


class _NotPlain(ValueError):
    """Something that only the library reads for sure."""


def plain_rows(text: str, name: str, version: str) -> tuple[Rows, dict[str, str]] | None:
    """The rows of a catalog's text with every column, and entries by their aliases; None if it isn't plain.

    Columns that a row leaves out have their default, or are null.
    """
    if f"\nname: {name}\nversion: {version}\n" not in text:
        return None
    try:
        keys = [line.partition(":")[0] for line in _TOP.findall(text)]
        if len({*keys}) != len(keys) or not _TOP_KEYS.issuperset(keys):
            return None
        columns, entries = _section(text, "columns"), _section(text, "entries")
        owners = [
            (alias, entry)
            for entry, row in entries.items()
            for alias in _checked(row.pop("aliases", []), "list(string)")
        ]
        aliases = _without_duplicates(owners)
        if any(entries.get(alias, entries[owner]) is not entries[owner] for alias, owner in owners):
            return None
        return _complete(columns, entries), aliases
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _section(text: str, name: str) -> Rows:
    """The mapping of a top-level key: names with a flow mapping on the line, or a cell on each line below."""
    if text.count(f"\n{name}:") == 1 and text.endswith(f"\n{name}: {{}}\n"):
        return {}
    _, found, rest = text.partition(f"\n{name}:\n")
    if not found or f"\n{name}:" in rest:
        raise _NotPlain
    lines: list[str] = []
    cells: list[str] | None = None
    for line in rest.split("\n"):
        if line[:1].isalpha():
            break
        if not line or line.lstrip(" ").startswith("#"):
            continue
        if cells is not None and (cell := _CELL.fullmatch(line)):
            json.loads(_json(cell[2]))  # one value: a comma in it would begin another cell
            cells.append(_pair(cell))
            continue
        _close(lines, cells)
        cells = None
        if match := _LINE.fullmatch(line):
            lines.append(_pair(match))
        elif head := _HEAD.fullmatch(line):
            lines.append(_key(head[1]))
            cells = []
        else:
            raise _NotPlain
    _close(lines, cells)
    value: Rows = json.loads("{" + ",".join(lines) + "}", object_pairs_hook=_without_duplicates)
    return value


def _close(lines: list[str], cells: list[str] | None) -> None:
    """Add the cells of a name to its line; a name without any has no mapping."""
    if cells is None:
        return
    if not cells:
        raise _NotPlain
    lines[-1] += ": {" + ",".join(cells) + "}"


def _pair(match: re.Match[str]) -> str:
    return f"{_key(match[1])}: {_json(match[2])}"


def _json(text: str) -> str:
    """A flow value or a scalar as JSON writes it; a backslash has a meaning in quotes only."""
    if "\\" in text and "\\" in _SCALAR.sub("", text):
        raise _NotPlain
    return _SCALAR.sub(_as_json, text)


def _key(name: str) -> str:
    return name if name[0] == '"' else _SCALAR.sub(_as_json, name)


def _as_json(match: re.Match[str]) -> str:
    """A scalar as JSON writes it."""
    return _json_of(match[0])


@lru_cache(maxsize=4096)
def _json_of(text: str) -> str:
    text = text.rstrip()
    if text[0] == '"' or text in _WORDS or _NUMBER.fullmatch(text):
        return text
    if text.casefold() in _WORDS or (text[0].isdigit() and not _is_text(text)):
        raise _NotPlain
    return json.dumps(text)


def _is_text(text: str) -> bool:
    """Whether what begins with a digit is no number in any notation."""
    return text[:2].lower() not in ("0x", "0o") and re.search(r"[^\d.eE_+-]", text) is not None


def _without_duplicates(pairs: Iterable[tuple[str, _Cell]]) -> dict[str, _Cell]:
    listed = list(pairs)
    value = dict(listed)
    if len(value) != len(listed):
        raise _NotPlain
    return value


def _complete(columns: Rows, entries: Rows) -> Rows:
    """Rows with a value for every column, each held against its column's type."""
    blank = {}
    for name, column in columns.items():
        if "default" in column and "optional" in column:
            raise _NotPlain
        if "default" in column:
            blank[name] = _checked(column["default"], column["type"])
        elif column.get("optional", False):
            blank[name] = None
    rows = {}
    for entry, row in entries.items():
        cells = {name: _checked(cell, columns[name]["type"]) for name, cell in row.items()}
        rows[entry] = {name: cells[name] if name in cells else blank[name] for name in columns}
    return rows


def _checked(cell: Any, type_: str) -> Any:
    if not _TYPES[type_](cell):
        raise _NotPlain
    return float(cell) if type_ == "double" else cell


def _every(type_: type) -> Callable[[Iterable[object]], bool]:
    return lambda cells: all(type(cell) is type_ for cell in cells)


def _map(type_: type) -> Callable[[object], bool]:
    every = _every(type_)
    return lambda cell: isinstance(cell, dict) and every(cell.values())


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda cell: isinstance(cell, str),
    "bool": lambda cell: isinstance(cell, bool),
    "int": lambda cell: type(cell) is int and cell < 2**63,
    "double": lambda cell: type(cell) in (int, float),
    "list(string)": lambda cell: isinstance(cell, list) and _every(str)(cell),
    "map(string, int)": _map(int),
    "map(string, bool)": _map(bool),
    "map(string, string)": _map(str),
}
