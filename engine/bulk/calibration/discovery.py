"""Discovery of readers of measurements: modules below `readers/`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from engine.base.discovery import modules
from engine.base.errors import DocumentError, Place
from engine.bulk.calibration.measurement import Measurement, MeasurementReader, Text
from engine.bulk.streams import is_parquet, kind
from engine.bulk.streams import read as read_stream
from engine.documents import open_binary, read_text

PACKAGE = "engine.bulk.calibration.readers"


@cache
def readers() -> dict[str, MeasurementReader]:
    """Return the readers by the names of their modules, whose docstrings describe them."""
    registered = ((module.__name__, getattr(module, "READER", None)) for module in modules(PACKAGE))
    return {name: reader for name, reader in registered if isinstance(reader, MeasurementReader)}


def read_measurements(name: str) -> Iterator[Measurement]:
    """Yield the measurements in a file, in whatever format it is; `-` is standard input.

    Raises:
        DocumentError: it can't be read, is of no known format, or is damaged.
    """
    text = _text(name)
    if not text.text.strip():
        raise DocumentError("the file is empty", place=Place(text.name, 1, 1))
    for reader in readers().values():
        if reader.takes(text):
            found = list(reader.read(text))
            if not found:
                raise DocumentError(f"{text.name}: no result of {reader.name}", hint=reader.hint)
            for measurement in found:
                if not measurement.rated and measurement.kv_tokens is None:
                    message = f"{reader.name}: the result has neither a time nor a rate"
                    raise DocumentError(message, place=measurement.place, hint=reader.hint)
            yield from found
            return
    known = ", ".join(reader.name for reader in readers().values())
    raise DocumentError("not a file of measurements", place=text.place(1), hint=f"these are read: {known}")


def _text(name: str) -> Text:
    if name == "-" or kind(name) == "lines":
        return Text("<stdin>" if name == "-" else name, read_text(name))
    if is_parquet(name):
        raise DocumentError(f"{name}: Parquet is not read here", hint="write the rows as CSV")
    with open_binary(name) as source:
        lines = b"".join(line.text for line in read_stream(source, name))
    return Text(name, lines.decode("utf-8-sig", "replace"))
