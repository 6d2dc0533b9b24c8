"""CSV (RFC 4180) read with the place of every cell."""

from __future__ import annotations

from engine.base.errors import DocumentError, Path
from engine.documents.document import Document, Limits, Positions
from engine.documents.spans import Span


def load_csv(data: bytes, name: str, limits: Limits) -> Document:
    """Return the rows of a CSV file as lists of texts; empty lines are left out.

    Args:
        data: the file's bytes: UTF-8, cells separated by commas.
        name: how messages call it.
        limits: the most cells.

    Raises:
        DocumentError: not UTF-8, a quote that does not fit, or over a limit; with its place.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        raise DocumentError(f"{name}:{line}: not UTF-8", hint="save the table as UTF-8") from None
    return _Reader(text, name, limits).document()


class _Reader:
    def __init__(self, text: str, name: str, limits: Limits) -> None:
        self.file = Document(name, text, None)
        self.limits = limits
        self.spans: dict[Path, Span] = {}
        self.rows: list[list[str]] = []

    def document(self) -> Document:
        text, position, row = self.file.text, 0, list[str]()
        while position < len(text):
            start = position
            if text[position] == '"':
                cell, position = self.quoted(position)
            else:
                position = self.unquoted_end(position)
                cell = text[start:position].strip()
                start += len(text[start:position]) - len(text[start:position].lstrip())
            self.add(row, cell, start, position)
            if position < len(text) and text[position] == ",":
                position += 1
                if position == len(text):
                    self.add(row, "", position, position)
                continue
            position = self.line_end(position)
            self.end(row)
            row = []
        if row:
            self.end(row)
        positions = Positions(self.spans)
        return Document(self.file.name, text, self.rows, lambda: positions)

    def quoted(self, position: int) -> tuple[str, int]:
        text, start = self.file.text, position
        end = position + 1
        while True:
            end = text.find('"', end)
            if end < 0:
                place = self.file.place_at(start)
                raise DocumentError("a quoted cell that does not end", place=place, hint='close it with "')
            if text[end + 1 : end + 2] != '"':
                break
            end += 2
        after = end + 1
        while text[after : after + 1] == " ":
            after += 1
        if text[after : after + 1] not in ("", ",", "\n", "\r"):
            if "\n" in text[start:after]:
                place = self.file.place_at(start)
                raise DocumentError("a quoted cell that does not end", place=place, hint='close it with "')
            hint = 'double the quotes inside a quoted cell: ""'
            raise DocumentError("text after a quoted cell", place=self.file.place_at(after), hint=hint)
        return text[start + 1 : end].replace('""', '"'), after

    def unquoted_end(self, position: int) -> int:
        text = self.file.text
        while position < len(text) and text[position] not in ",\r\n":
            position += 1
        return position

    def line_end(self, position: int) -> int:
        text = self.file.text
        if text.startswith("\r\n", position):
            return position + 2
        return position + 1

    def add(self, row: list[str], cell: str, start: int, end: int) -> None:
        place = self.file.place_at(start)
        style = '"' if self.file.text[start : start + 1] == '"' else ""
        self.spans[len(self.rows), len(row)] = Span(start, end, place.line, place.column, style)
        row.append(cell)
        if len(self.spans) > self.limits.nodes:
            raise DocumentError(f"more than {self.limits.nodes:,} cells", place=place)

    def end(self, row: list[str]) -> None:
        number = len(self.rows)
        if row == [""] and self.spans[number, 0].style != '"':
            del self.spans[number, 0]
            return
        first, last = self.spans[number, 0], self.spans[number, len(row) - 1]
        self.spans[number,] = Span(first.start, last.end, first.line, first.column)
        self.rows.append(row)
