"""Discovery of readers and detectors: modules under `readers/`, then entry points of other packages.

Importing all readers costs a process's start, so documents of the engine's own form never come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from engine.base.discovery import guard, modules, plugins
from engine.base.records import replace
from engine.inventory.inventory import Imported
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, DocumentReader, JsonReader, Reader, TextReader
from engine.inventory.seen import Lines, Seen

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PACKAGE = "engine.inventory.readers"
GROUP = "engine.readers"
"""Group of entry points. Each names a TextReader, JsonReader or DocumentReader, or a ModelReader."""
AUTO = "auto"
"""The value of `--from` that tries every reader."""


_DETECTION = "detect"
"""How names of modules begin that only detection needs."""


@cache
def documentation() -> dict[str, Reader]:
    """Return the built-in readers by the names of their modules, whose docstrings describe them."""
    found = modules(PACKAGE, lambda name: not name.startswith(_DETECTION))
    registered = ((module.__name__, getattr(module, "READER", None)) for module in found)
    kinds = (TextReader, JsonReader, DocumentReader)
    return {name: reader for name, reader in registered if isinstance(reader, kinds)}


@cache
def text_readers() -> tuple[TextReader, ...]:
    """Return the built-in readers of text, in the order in which they run."""
    return _ranked(found for found in documentation().values() if isinstance(found, TextReader))


@cache
def json_readers() -> tuple[JsonReader, ...]:
    """Return the built-in readers of tools' JSON, in the order of their names."""
    found = [found for found in documentation().values() if isinstance(found, JsonReader)]
    return tuple(sorted(found, key=lambda reader: reader.name))


@cache
def document_readers() -> tuple[DocumentReader, ...]:
    """Return the built-in readers of documents, in the order of their names."""
    found = [found for found in documentation().values() if isinstance(found, DocumentReader)]
    return tuple(sorted(found, key=lambda reader: reader.name))


@cache
def detectors() -> tuple[Detector, ...]:
    """Return the detectors in the order of their ranks."""
    found: list[Detector] = [module.DETECTOR for module in modules(PACKAGE, _DETECTION.__eq__)]
    return tuple(sorted(found, key=lambda detector: detector.rank))


def sources() -> list[str]:
    """Return the values of `--from`, "auto" first."""
    names = {source for reader in documentation().values() for source in reader.sources}
    return [AUTO, *sorted(names)]


def memory_commands(kind: str) -> list[str]:
    """Return the commands that a maker's detector names for the memory of its kind of device."""
    return [
        detector.states_memory for detector in detectors() if kind == detector.kind and detector.states_memory
    ]


def plugin_readers(name: str | None = None) -> Iterator[Reader]:
    """Load the readers that other packages register, or only the one of an entry point's name.

    Raises:
        EngineError: one cannot be loaded.
    """
    for entry, loaded in plugins(GROUP, name):
        loaded = getattr(loaded, "READER", loaded)
        if isinstance(loaded, TextReader | JsonReader | DocumentReader):
            yield _guarded(loaded, entry)


def _guarded(reader: Reader, entry: EntryPoint) -> Reader:
    """Return a package's reader whose faults are errors that name the package."""
    if isinstance(reader, TextReader):
        read = reader.read

        def read_all(text: Lines, hardware: Hardware) -> list[Seen | Imported]:
            return list(read(text, hardware))

        return replace(reader, read=guard(read_all, entry))
    return replace(reader, takes=guard(reader.takes, entry), read=guard(reader.read, entry))


def _ranked(readers: Iterable[TextReader]) -> tuple[TextReader, ...]:
    return tuple(sorted(readers, key=lambda reader: (reader.priority, reader.name)))


def readable() -> str:
    """Return the commands whose output is read, grouped by tool: `rocm-smi --showtopo, …; lscpu`."""
    forms: dict[str, set[str]] = {}
    for reader in documentation().values():
        tool, _, arguments = reader.name.partition(" ")
        forms.setdefault(tool, set()).add(arguments)
    return "; ".join(
        " ".join([tool, ", ".join(sorted(arguments - {""}))]).strip()
        for tool, arguments in sorted(forms.items())
    )
