"""Discovery of readers of models: modules under `readers/`, then entry points of other packages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from engine.base.discovery import guard, modules, plugins
from engine.base.records import replace
from engine.model.reader import ModelDocumentReader, ModelFileReader, ModelNameReader, ModelReader

PACKAGE = "engine.model.readers"
GROUP = "engine.readers"
"""Group of entry points, shared with readers of inventories."""
KINDS = (ModelDocumentReader, ModelFileReader, ModelNameReader)


@cache
def documentation() -> dict[str, ModelReader]:
    """Return the built-in readers by the names of their modules, whose docstrings describe them."""
    registered = ((module.__name__, getattr(module, "READER", None)) for module in modules(PACKAGE))
    return {name: reader for name, reader in registered if isinstance(reader, KINDS)}


def document_readers() -> Iterator[ModelDocumentReader]:
    """Yield the built-in readers of documents."""
    return (reader for reader in documentation().values() if isinstance(reader, ModelDocumentReader))


def file_readers() -> Iterator[ModelFileReader]:
    """Yield the built-in readers of files."""
    return (reader for reader in documentation().values() if isinstance(reader, ModelFileReader))


def name_readers() -> Iterator[ModelNameReader]:
    """Yield the built-in readers of names."""
    return (reader for reader in documentation().values() if isinstance(reader, ModelNameReader))


def plugin_readers() -> Iterator[ModelReader]:
    """Load the readers that other packages register.

    Raises:
        EngineError: one cannot be loaded.
    """
    for entry, loaded in plugins(GROUP):
        reader = getattr(loaded, "READER", loaded)
        if isinstance(reader, ModelDocumentReader):
            yield replace(reader, takes=guard(reader.takes, entry), read=guard(reader.read, entry))
        elif isinstance(reader, ModelFileReader):  # noqa: SIM114  (one type each, for the checker)
            yield replace(reader, read=guard(reader.read, entry))
        elif isinstance(reader, ModelNameReader):
            yield replace(reader, read=guard(reader.read, entry))
