"""Text layout for a terminal: word wrap, two-column grids and tables, in plain Python.

Libraries for this take longer to import than a decision takes, and the default output has to start fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.base.paint import Paint
from engine.base.records import record

Cell = str | tuple[str, str]
"""The text of a cell, or its text and style (the parameters of an ANSI SGR sequence, such as `1;31`)."""

_GAP = 2
_LEAST_FOLDED = 10
"""A folding column that would be narrower than this gets the room of narrower gaps."""

_NARROW = frozenset("…–→≥≤✓✗")
"""Characters of the output itself, beyond Latin, that take one terminal column."""


@record
class Column:
    """A column of a table."""

    header: str
    align_right: bool = False
    folds: bool = False
    """The column is wrapped if the table is too wide; the other columns keep their width."""


def cell_width(text: str) -> int:
    """Return how many terminal columns a printable text occupies; East Asian wide characters take two."""
    if text.isascii() or all(character < "\u0300" or character in _NARROW for character in text):
        return len(text)
    from unicodedata import combining, east_asian_width  # deferred: start-up time

    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1 for character in text
    )


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns, at spaces; longer words are folded."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        rest = paragraph
        while cell_width(rest) > width:
            cut = _fitting(rest, width)
            space = rest.rfind(" ", 0, cut + 1)
            if not rest[: max(space, 0)].strip():
                lines.append(rest[:cut])
                rest = rest[cut:]
            else:
                lines.append(rest[:space].rstrip())
                rest = rest[space:].lstrip()
        lines.append(rest)
    return lines


def _fitting(text: str, width: int) -> int:
    """Return how many characters fit in `width` columns; always at least one."""
    if text.isascii():
        return max(width, 1)
    used = 0
    for position, character in enumerate(text):
        used += cell_width(character)
        if used > width:
            return max(position, 1)
    return len(text)


def grid(
    rows: Sequence[tuple[str, str]], width: int, paint: Paint, *, dim: int = 0, label_width: int = 0
) -> Iterator[str]:
    """Lay out labels and values in two columns; values wrap below themselves.

    Args:
        rows: pairs of label and value.
        width: columns of the terminal.
        paint: painter for the dim column.
        dim: position of the column that is dimmed.
        label_width: least width of the labels, to align several grids.
    """
    indent = max((cell_width(label) for label, _ in rows), default=0)
    indent = max(indent, label_width) + _GAP
    for label, value in rows:
        head = label + " " * (indent - cell_width(label))
        for line in wrap(value, max(width - indent, 1)):
            left = paint(head, "2") if dim == 0 and head.strip() else head
            yield f"{left}{paint(line, '2') if dim == 1 and line else line}".rstrip()
            head = " " * indent


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    width: int,
    paint: Paint,
    header_style: str = "1",
) -> Iterator[str]:
    """Lay out a table without borders."""
    header: list[Cell] = [(column.header, header_style) for column in columns]
    every = [header, *rows]
    widths = [max(cell_width(_text(row[number])) for row in every) for number in range(len(columns))]
    gap = _fold(columns, widths, width)
    for row in every:
        yield from _row(columns, row, widths, gap, paint)


def _fold(columns: Sequence[Column], widths: list[int], width: int) -> int:
    """Narrow the columns that fold until the table fits. Return the gap between columns."""
    gap = _GAP
    excess = sum(widths) + gap * (len(widths) - 1) - width
    folding = [number for number, column in enumerate(columns) if column.folds]
    if excess > 0 and sum(widths[number] for number in folding) - excess < _LEAST_FOLDED * len(folding):
        gap = 1
        excess -= len(widths) - 1
    while excess > 0:
        widest = max(folding, key=lambda number: widths[number], default=None)
        if widest is None or widths[widest] <= 1:
            break
        widths[widest] -= 1
        excess -= 1
    return gap


def _row(
    columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], gap: int, paint: Paint
) -> Iterator[str]:
    cells = [
        wrap(_text(cell), most) if column.folds else [_text(cell)]
        for column, cell, most in zip(columns, row, widths, strict=True)
    ]
    for number in range(max(map(len, cells), default=0)):
        line = ""
        for position, (lines, most) in enumerate(zip(cells, widths, strict=True)):
            text = lines[number] if number < len(lines) else ""
            cell = row[position]
            shown = paint(text, cell[1]) if text and isinstance(cell, tuple) and cell[1] else text
            padding = " " * (most - cell_width(text))
            line += (padding + shown if columns[position].align_right else shown + padding) + " " * gap
        yield line.rstrip()


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]
