"""Text out of what carried it as a whole: JSON, notebooks, HTML, lines with `\\n`, terminals that wrap.

Margins, which each line has of its own, are taken off elsewhere (`engine.inventory.margins`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from engine.base.jsontypes import Json

_GLYPHS = str.maketrans(
    {**dict.fromkeys("│┃║¦｜", "|"), **dict.fromkeys("“”„", '"'), **dict.fromkeys("‘’", "'")}
)
"""Bars and quotes as word processors and terminals draw them."""
_BOX = re.compile(r"[╭┌╔┏├╞╰└╚┗]|│(?P<inner>[^│]*)│\s*\Z|\s*\Z")
_TAGS = re.compile(
    r"</?(?:p|div|span|details|summary|b|strong|em|i|li|ul|tt|kbd|blockquote|font|table|tbody|thead)"
    r"(?: [^<>\n]{0,200})?/?>",
    re.IGNORECASE,
)
_BREAK = re.compile(r"<br ?/?>\n?", re.IGNORECASE)
_ROW = re.compile(
    r"\n?[ \t]{0,20}<tr(?: [^<>\n]{0,200})?>(?P<cells>(?:(?!<tr)[\s\S]){0,5000}?)</tr>", re.IGNORECASE
)
_CELL = re.compile(r"<t(?P<head>[dh])(?: [^<>\n]{0,200})?>(?P<content>[^<>]{0,500})", re.IGNORECASE)


def without_wrapping(text: str) -> str:
    """Return the text that was carried; any other text as it is."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        text = text if "\n" in text else text.replace("\r", "\n")
    if "\\n" in text:
        text = _decoded(text)
    elif text.lstrip()[:1] == "{":
        text = _logged(text) or text
    if "<" in text and "<nvidia_smi_log" not in text:
        text = _without_tags(text)
    if not text.isascii():
        text = (_unboxed(text) if "│" in text else text).translate(_GLYPHS)
    return _joined_rows(_without_doubled_breaks(text))


def _unboxed(text: str) -> str:
    """Return a text without the box that a program draws around the whole of it."""
    matches = [_BOX.match(line.strip()) for line in text.split("\n")]
    if any(match is None for match in matches):
        return text
    return "\n".join((match["inner"] or "").removeprefix(" ") for match in matches if match is not None)


def _without_tags(text: str) -> str:
    text = _TAGS.sub("", _BREAK.sub("\n", text))
    return _ROW.sub(_row, text) if "<tr" in text else text


def _row(match: re.Match[str]) -> str:
    """Return a row of an HTML table as Markdown writes it."""
    cells = list(_CELL.finditer(match["cells"]))
    row = "\n| " + " | ".join(cell["content"].strip() for cell in cells) + " |"
    is_header = any(cell["head"].lower() == "h" for cell in cells)
    return f"{row}\n{'|---' * len(cells)}|" if is_header else row


_QUOTED = re.compile(r"\s*(?P<string>\"(?:[^\"\\]|\\.)*\"),?\s*\Z")
_MOST_REAL = 3
"""A text with more line breaks than this for each `\\n` has them for another reason."""


def _decoded(text: str) -> str:
    """Return a text without JSON around it or around each of its lines, or with line breaks for `\\n`."""
    stripped = text.strip()
    if stripped[0] in '{["':
        carried = _logged(text)
        if carried is not None:
            return carried
        if stripped[0] != '"':
            return text
    lines = text.split("\n")
    quoted = [match for line in lines if (match := _QUOTED.match(line))]
    if quoted and len(quoted) * 2 > sum(1 for line in lines if line.strip()):
        return "\n".join(_string(match["string"]).removesuffix("\n") for match in quoted)
    if text.count("\\n") * _MOST_REAL < stripped.count("\n"):
        return text
    text = text.replace("\\r", "").replace("\\n", "\n").replace("\\t", "\t")
    return text.replace('\\"', '"').replace("\\u001b", "\x1b")


def _string(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted.strip('"')


_MESSAGES = ("log", "message", "msg", "MESSAGE", "textPayload")


def _logged(text: str) -> str | None:
    """Return the text in a notebook's outputs, or in JSON Lines of a log; None for any other text."""
    try:
        values = [json.loads(text)]
    except (ValueError, RecursionError):
        try:
            values = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            return None
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    if len(values) == 1 and isinstance(values[0], dict) and isinstance(values[0].get("cells"), list):
        return "\n".join(_outputs(values[0]["cells"]))
    messages = [
        next((value[key] for key in _MESSAGES if isinstance(value.get(key), str)), None)
        if isinstance(value, dict)
        else None
        for value in values
    ]
    if not messages or None in messages:
        return None
    return "\n".join(str(message).removesuffix("\n") for message in messages)


def _outputs(cells: list[Json]) -> Iterator[str]:
    """Yield the texts that the cells of a notebook printed."""
    for cell in cells:
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            data = output.get("data") if isinstance(output, dict) else None
            lines = output.get("text") if isinstance(output, dict) else None
            if lines is None and isinstance(data, dict):
                lines = data.get("text/plain")
            if isinstance(lines, list):
                yield "".join(map(str, lines))
            elif isinstance(lines, str):
                yield lines


_FEWEST_DOUBLED = 5


def _without_doubled_breaks(text: str) -> str:
    """Return a text whose every second line is empty without those."""
    if "\n\n" not in text:
        return text
    lines = text.strip("\n").split("\n")
    if len(lines) < _FEWEST_DOUBLED or any(line.strip() for line in lines[1::2]):
        return text
    first = text[: len(text) - len(text.lstrip("\n"))]
    return first + "\n".join(lines[::2]) + "\n"


def _joined_rows(text: str) -> str:
    """Return a text with the rows of its tables whole that a terminal wrapped: a row ends with its bar."""
    if "\n|" not in text and not text.startswith("|"):
        return text
    lines = text.split("\n")
    joined: list[str] = []
    for line in lines:
        before = joined[-1] if joined else ""
        if (
            before[:1] in ("|", "+")
            and line
            and line[0] not in "|+"
            and not before.endswith((before[0], before[0] + " "))
            and len(before) >= _NARROWEST
            and line.rstrip().endswith(before[0])
        ):
            joined[-1] = before + line
        else:
            joined.append(line)
    return "\n".join(joined)


_NARROWEST = 60
