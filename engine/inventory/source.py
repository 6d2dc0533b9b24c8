"""Inventories from whatever people have: a document, pasted output of tools, or a shorthand like 8xH100-SXM.

Documents of the engine's own form are read without the other readers, whose import costs a process's start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.base.errors import DocumentError, EngineError, RequestError, quote
from engine.base.jsontypes import Json
from engine.base.records import record, replace
from engine.documents import Document, parse_document, read_text
from engine.inventory.inventory import Imported, Inventory
from engine.inventory.native import read_inventory

if TYPE_CHECKING:
    from engine.inventory.products import Hardware
    from engine.inventory.reader import DocumentReader


@record(eq=False)
class Found:
    """An inventory, the document that it was read from if there is one, and notes on what is unknown."""

    inventory: Inventory
    document: Document | None = None
    notes: tuple[str, ...] = ()


def read_source(source: str, hardware: Callable[[], Hardware]) -> Found:
    """Return the inventory that an argument names.

    Args:
        source: a file, "-" for standard input, or a shorthand.
        hardware: called if the catalogs of products and links are needed.

    Raises:
        DocumentError: the text cannot be read or is damaged; with its place.
        RequestError: what is wrong with its content.
    """
    if source != "-" and not os.path.exists(source):
        from engine.inventory.shorthand import is_shorthand, read_shorthand  # deferred: start-up time

        if is_shorthand(source) and not source.endswith(_SUFFIXES):
            imported = read_shorthand(source, hardware())
            return Found(imported.inventory, None, imported.notes)
    try:
        text = read_text(source)
    except DocumentError as error:
        if error.hint is not None or os.path.exists(source) or "/" in source or source.endswith(_SUFFIXES):
            raise
        hint = "name a file, or describe the machine in words: 8xH100-SXM"
        raise DocumentError(error.message, place=error.place, hint=hint) from None
    name = "<stdin>" if source == "-" else source
    return _read_text(name, text, hardware)


_SUFFIXES = (".yaml", ".yml", ".json", ".txt", ".csv")
"""Of names that are those of files, not words for a machine."""


def _read_text(name: str, text: str, hardware: Callable[[], Hardware]) -> Found:
    """Return the inventory in a text: a document, or what tools printed, whatever the text begins with."""
    if not _is_document(text):
        from engine.inventory.margins import plain  # deferred: start-up time
        from engine.inventory.prompts import document_after_prompt  # deferred: start-up time

        inner = plain(text)
        is_list = text.lstrip().startswith("- ")  # of YAML, of which a margin must not be taken off
        printed = inner if _is_document(inner) and not is_list else document_after_prompt(inner)
        captured = _read_capture(name, text, hardware) if printed is None else None
        if captured is not None:
            return Found(captured.inventory, None, captured.notes)
        text = text if printed is None else printed
    try:
        document = parse_document(text, name)
        imported = _read_document(document, hardware)
    except EngineError:
        from engine.inventory.recognize import is_capture, unreadable  # deferred: start-up time

        if not is_capture(text):
            refusal = None if _is_ours_by(name, text) else unreadable(name, text)
            if refusal is None:
                raise
            described = _read_words(text, hardware)
            if described is not None:
                return described
            raise refusal from None
        captured = _read_capture(name, text, hardware)
        assert captured is not None
        return Found(captured.inventory, None, captured.notes)
    return Found(imported.inventory, document, imported.notes)


def _read_words(text: str, hardware: Callable[[], Hardware]) -> Found | None:
    """Return the machine that a text of one line describes in words; None if it describes none."""
    from engine.inventory.shorthand import is_shorthand, read_shorthand  # deferred: start-up time

    words = text.strip()
    if "\n" in words or not is_shorthand(words):
        return None
    try:
        imported = read_shorthand(words, hardware())
    except RequestError:
        return None
    return Found(imported.inventory, None, imported.notes)


def _read_capture(name: str, text: str, hardware: Callable[[], Hardware]) -> Imported | None:
    """Return the inventory in a tool's output; None if no reader recognises the text."""
    from engine.inventory.recognize import is_capture, read_captures, read_plugins  # deferred: start-up time

    if is_capture(text):
        return read_captures([(name, text)], hardware())
    return read_plugins(name, text, hardware())


def _is_ours_by(name: str, text: str) -> bool:
    """Test whether a text that cannot be read was meant as a document, by its file's name or its fields."""
    is_named = name.endswith((".yaml", ".yml", ".json"))
    return is_named or _is_document(text) or _DEVICES.search(text) is not None


_DEVICES = re.compile(r"^devices:", re.MULTILINE)


def _read_document(document: Document, hardware: Callable[[], Hardware]) -> Imported:
    value = document.value
    try:
        if isinstance(value, dict) and _is_ours(value):
            return Imported(read_inventory(value))
        from engine.inventory import discovery, recognize  # deferred: start-up time

        for reader in discovery.document_readers():
            if reader.takes(value):
                return reader.read(value, hardware())
        for read in (recognize.read_printed, recognize.read_plugin_document):
            imported = read(value, hardware())
            if imported is not None:
                return imported
        _refuse_foreign(value)
        return Imported(read_inventory(value))
    except RequestError as error:
        raise error.located(document) from None


def _refuse_foreign(value: Json) -> None:
    """Check that a document that no reader takes has a field of an inventory.

    Raises:
        RequestError: it has none, or it is an object of Kubernetes that describes no machine.
    """
    if not isinstance(value, dict) or value.keys() & _FIELDS or value.keys() <= _COMMON_FIELDS:
        return
    if "apiVersion" in value and "kind" in value:
        message = f"{quote(str(value['kind']))} describes no machine"
        raise RequestError(message, path=("kind",), hint="kubectl get nodes -o json")
    from engine.inventory.discovery import readable  # deferred: start-up time

    message = "the document has no field 'devices', and it is not the output of a tool that is read"
    raise RequestError(message, path=(), hint=f"paste the output of: {readable()}")


_FIELDS = frozenset({"devices", "interconnects", "links", "numbering", "profiles", "schema_version"})
"""Fields of inventories and registries that no other document has."""
_COMMON_FIELDS = frozenset({"apiVersion", "description", "kind", "name"})


def _is_ours(value: dict[str, object]) -> bool:
    """Test for an inventory or a registry, which need no other reader."""
    is_ours = "devices" in value or "profiles" in value
    return is_ours and "items" not in value and value.get("kind") != "Node"


def import_texts(texts: Sequence[tuple[str, str]], hardware: Hardware, source: str = "auto") -> Imported:
    """Return the inventory that some texts of one machine describe together; one may be a document.

    Args:
        texts: names, for messages, and contents.
        hardware: the catalogs of products and links.
        source: a value of `--from`.

    Raises:
        DocumentError: a text cannot be read or is damaged; with its place.
        RequestError: what is wrong with its content.
    """
    from engine.inventory.recognize import read_captures  # deferred: start-up time

    expected = _document_reader(source)
    if expected:
        if len(texts) > 1:
            raise RequestError(f"{source}: expected one document, found {len(texts)} files")
        document = parse_document(texts[0][1], texts[0][0])
        if not expected.takes(document.value):
            message = f"expected {expected.expected}"
            raise RequestError(message, path=(), hint=expected.hint).located(document)
        try:
            return expected.read(document.value, hardware)
        except RequestError as error:
            raise error.located(document) from None
    if source == "auto" and len(texts) == 1:
        found = _read_text(*texts[0], lambda: hardware)
        return Imported(found.inventory, found.notes)
    return read_captures(texts, hardware, source)


def _document_reader(source: str) -> DocumentReader | None:
    """Return the reader of documents that a value of `--from` selects; None if it selects readers of text."""
    from engine.inventory import discovery  # deferred: start-up time
    from engine.inventory.reader import DocumentReader  # deferred: start-up time

    if source in discovery.sources():
        return next((reader for reader in discovery.document_readers() if source in reader.sources), None)
    plugins = [reader for reader in discovery.plugin_readers(source) if isinstance(reader, DocumentReader)]
    return plugins[0] if plugins else None


def _is_document(text: str) -> bool:
    """Test whether a text begins as YAML or JSON of ours does; text that tools print never does."""
    for line in text.splitlines():
        if line.strip() and not line.startswith(("#", "%", "---")):
            return _START.match(line.lstrip()) is not None or line.startswith(_KEYS)
    return False


_START = re.compile(r"\{|\[\s*(?:[\[{\"\]]|\Z)")
"""Start of JSON or of YAML in brackets; `[root@host ~]#` is none."""
_KEYS = (
    "devices",
    "name:",
    "interconnects",
    "links:",
    "profiles",
    "schema_version",
    "system_io",
    "apiVersion",
    "kind:",
)
"""Top-level keys of inventories, registries and Kubernetes' objects."""


def on_node(inventory: Inventory, node: str | None) -> Inventory:
    """Return the inventory with a node for the devices that have none."""
    if node is None:
        return inventory
    devices = tuple(
        device if device.node is not None else replace(device, node=node) for device in inventory.devices
    )
    return replace(inventory, devices=devices)


def with_memory(inventory: Inventory, size: int | None) -> Inventory:
    """Return the inventory with a memory size, in bytes, for the devices that have none.

    Devices that are not available need none, and get 0.

    Raises:
        RequestError: there are such devices, and `size` is None.
    """
    unknown = [device for device in inventory.devices if device.memory_bytes is None]
    if not unknown:
        return inventory
    missing = [device for device in unknown if device.available]
    if missing and size is None:
        name = missing[0].name or f"{missing[0].kind} {missing[0].device_id}"
        raise RequestError(
            f"unknown memory of {len(missing)} device{'s' * (len(missing) > 1)} ({name})",
            hint=f"add --memory 80GiB{_memory_commands(missing[0].kind)}",
        )
    devices = tuple(
        replace(device, memory_bytes=(size or 0) if device.available else 0)
        if device.memory_bytes is None
        else device
        for device in inventory.devices
    )
    return replace(inventory, devices=devices)


def _memory_commands(kind: str) -> str:
    """Return words for the commands whose output states the memory of a kind of device."""
    from engine.inventory.discovery import memory_commands  # deferred: start-up time

    commands = " or ".join(memory_commands(kind))
    return f", or output that states it: {commands}" if commands else ""
