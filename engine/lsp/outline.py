"""Where a position is in YAML that may be half written: by indentation, not by a parser."""

from __future__ import annotations

import re

from engine.base.errors import Path
from engine.base.records import record

_TOKEN = re.compile(r"(?P<dash>-(?=\s|$))|(?P<key>[A-Za-z_][\w.-]*|\"[^\"]*\"|'[^']*')\s*:(?=\s|$)")
_BLOCK = re.compile(r":\s*[|>][-+0-9]*\s*$|^\s*-\s+[|>][-+0-9]*\s*$")


@record
class Outline:
    """What is written at a position.

    Attributes:
        path: of the value that is written, or of the mapping or list that a key is added to.
        text: the value, or the key, up to the position.
        is_key: it may be a key.
    """

    path: Path
    text: str
    is_key: bool


def outline(text: str) -> Outline:
    """Return what is written at the end of a text."""
    lines = text.split("\n")
    block = _block(lines)
    if block is not None:
        return block
    current = lines[-1]
    tokens, end = _tokens(current)
    rest = current[end:]
    if rest.strip()[:1] in ("{", "["):
        return _flow(_above(lines[:-1], tokens, len(current)), rest.strip())
    column = len(current) - len(current.lstrip()) if not tokens else end
    if tokens and tokens[-1][1] != "-":
        return Outline(_above(lines[:-1], tokens, column), rest.strip().lstrip("\"'"), False)
    path = _above(lines[:-1], tokens, len(current) - len(rest.lstrip()) if rest.strip() else column)
    return Outline(path, rest.strip().lstrip("\"'"), True)


def _block(lines: list[str]) -> Outline | None:
    """Return what is written in a block scalar, if the last line is in one."""
    indent = _indent(lines[-1]) if lines[-1].strip() else len(lines[-1])
    for number in range(len(lines) - 2, -1, -1):
        line = lines[number]
        if not line.strip() or _indent(line) >= indent > 0:
            continue
        if not _BLOCK.search(line):
            return None
        tokens, end = _tokens(line)
        written = " ".join(each.strip() for each in lines[number + 1 :])
        return Outline(_above(lines[:number], tokens, end), written, False)
    return None


def _tokens(line: str) -> tuple[list[tuple[int, str]], int]:
    """Return the dashes and keys that a line begins with, by column, and where they end."""
    tokens: list[tuple[int, str]] = []
    position = _indent(line)
    while True:
        found = _TOKEN.match(line, position)
        if found is None:
            return tokens, position
        tokens.append((position, "-" if found["dash"] else found["key"].strip("\"'")))
        position = found.end()
        while position < len(line) and line[position] == " ":
            position += 1
        if not found["dash"]:
            return tokens, position


def _above(lines: list[str], tokens: list[tuple[int, str]], column: int) -> Path:
    """Return the path of what is at a column, behind some tokens of its own line and below other lines."""
    path: list[str | int] = []
    key_limit = dash_limit = column
    counting: int | None = None
    for own, line_tokens in ((True, tokens), *((False, _tokens(line)[0]) for line in reversed(lines))):
        for at, token in reversed(line_tokens):
            if counting is not None and token == "-" and at == counting:
                assert isinstance(path[0], int)
                path[0] += 1
            elif token == "-" and (own or at < dash_limit):
                path.insert(0, 0)
                counting, dash_limit, key_limit = at, at, at + 1
            elif token != "-" and (own or at < key_limit):
                path.insert(0, token)
                counting, dash_limit, key_limit = None, at, at
    return tuple(path)


def _flow(path: Path, text: str) -> Outline:
    """Return what is written in a mapping or list in brackets, of which a line has the beginning."""
    keys: list[tuple[str, str | int]] = []
    start, quote, skip = 0, "", False
    for position, character in enumerate(text):
        if skip or quote:
            skip = not skip and quote == '"' and character == "\\"
            quote = "" if character == quote and not skip else quote
        elif character in "\"'" and not text[start:position].strip().rpartition(":")[2].strip():
            quote = character
        elif character in "{[":
            if keys and keys[-1][0] == "{":
                keys[-1] = ("{", text[start:position].strip().rstrip(":").strip("\"' "))
            keys.append((character, 0))
            start = position + 1
        elif character in "}]" and keys:
            keys.pop()
        elif character == "," and keys:
            kind, key = keys[-1]
            keys[-1] = (kind, key + 1 if isinstance(key, int) and kind == "[" else "")
            start = position + 1
    inner = (*path, *(key for _, key in keys[:-1]))
    if not keys:
        return Outline(path, "", False)
    written = text[start:].lstrip()
    if keys[-1][0] == "[":
        return Outline((*inner, keys[-1][1]), written.lstrip("\"'"), False)
    key, colon, value = written.partition(":")
    if colon and (value[:1] in ("", " ") or value[:1] in "\"'"):
        return Outline((*inner, key.strip("\"' ")), value.strip().lstrip("\"'"), False)
    return Outline(inner, written, True)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
