"""What several readers share: results in JSON and JSON Lines as fields with places."""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import DocumentError, Place
from engine.bulk.calibration.measurement import Fields, Text
from engine.documents import Document, Limits, parse_document

_LIMITS = Limits(infinite=True)
"""Python's benchmarks write NaN where nothing was measured."""


def json_results(text: Text) -> Iterator[Fields]:
    """Yield each mapping of a JSON document, a list of them, or JSON Lines.

    Raises:
        DocumentError: the text is not JSON, or ends early; with its place.
    """
    lines = [(number, line) for number, line in enumerate(text.text.split("\n"), 1) if line.strip()]
    first = lines[0][1].strip()
    if len(lines) > 1 and first.startswith("{") and first.endswith("}"):
        for number, line in lines:
            yield _line(text, number, line)
        return
    document = parse_document(text.text, text.name, _LIMITS)
    if isinstance(document.value, list):
        for number, value in enumerate(document.value):
            yield _mapping(document, value, (number,))
    else:
        yield _mapping(document, document.value, ())


def _mapping(document: Document, value: object, path: tuple[str | int, ...]) -> Fields:
    if not isinstance(value, dict):
        raise DocumentError("expected a mapping of results", place=document.place(path))
    return Fields(value, lambda name: document.place((*path, name) if name else path, key=bool(name)))


def _line(text: Text, number: int, line: str) -> Fields:
    try:
        value = parse_document(line, f"{text.name}.json", _LIMITS).value
    except DocumentError as error:
        column = 1 if error.place is None else error.place.column
        hint = "the line may be cut off" if number == text.text.rstrip().count("\n") + 1 else error.hint
        raise DocumentError(error.message, place=text.place(number, column), hint=hint) from None
    if not isinstance(value, dict):
        raise DocumentError("expected a mapping of results", place=text.place(number))

    def place(name: str) -> Place:
        return text.place(number, line.find(f'"{name}"') + 1 if name else 1)

    return Fields(value, place)


def inside(fields: Fields, name: str) -> Fields | None:
    """Return the fields of a mapping within a result; None if it is absent.

    Raises:
        DocumentError: it is something else.
    """
    value = fields.values.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise fields.fault(name, "expected a mapping")
    return Fields(value, lambda _: fields.place(name), f"{fields.prefix}{name}.")


def holds(text: Text, *names: str) -> bool:
    """Return True if a text looks like JSON with all of these keys."""
    start = text.text.lstrip()[:1]
    return start in ("{", "[") and all(f'"{name}"' in text.text for name in names)
