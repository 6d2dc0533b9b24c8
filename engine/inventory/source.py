"""Inventories from whatever people have: a document, pasted output of tools, machines in a word."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.documents import Document, parse_document, read_text
from engine.errors import DocumentError, RequestError
from engine.inventory import read_inventory
from engine.inventory.types import Imported, Inventory
from engine.records import record, replace

if TYPE_CHECKING:
    from engine.inventory.products import Hardware


@record(eq=False)
class Found:
    """An inventory, the document that it was read from where there is one, and what its source left open."""

    inventory: Inventory
    document: Document | None = None
    notes: tuple[str, ...] = ()


def read_source(source: str, hardware: Callable[[], Hardware]) -> Found:
    """The inventory that an argument means: a file, "-" for standard input, or machines in a word.

    Args:
        source: the argument.
        hardware: called where the catalogs of products and links are needed.

    Raises:
        DocumentError: it can't be read, or is damaged; with its place.
        RequestError: what is wrong with what it says.
    """
    if source != "-" and not os.path.exists(source):
        from engine.inventory.shorthand import is_shorthand, read_shorthand

        if is_shorthand(source) and not source.endswith((".yaml", ".yml", ".json", ".txt", ".csv")):
            meant = read_shorthand(source, hardware())
            return Found(meant.inventory, None, meant.notes)
    text = read_text(source)
    name = "<stdin>" if source == "-" else source
    if not _is_document(text):
        from engine.inventory.captures import is_capture, read_captures

        if is_capture(text):
            imported = read_captures([(name, text)], hardware())
            return Found(imported.inventory, None, imported.notes)
    document = _parse(text, name)
    imported = _of_document(document, hardware)
    return Found(imported.inventory, document, imported.notes)


def _parse(text: str, name: str) -> Document:
    """The document; a text that isn't meant as one gets a hint at what is read besides."""
    try:
        return parse_document(text, name)
    except DocumentError as error:
        meant = name.endswith((".yaml", ".yml", ".json")) or _is_document(text) or "devices" in text
        if meant or not text.strip():
            raise
        hint = "neither an inventory nor what a tool prints of accelerators, such as nvidia-smi topo -m"
        raise DocumentError(error.message, place=error.place, hint=hint) from None


def _of_document(document: Document, hardware: Callable[[], Hardware]) -> Imported:
    try:
        if (isinstance(document.value, dict) and "items" in document.value) or _is_node(document.value):
            from engine.inventory.kubernetes import is_nodes, read_nodes

            if is_nodes(document.value):
                return read_nodes(document.value, hardware())
        if _may_be_printed(document.value):
            from engine.inventory.captures import read_printed

            printed = read_printed(document.value, hardware())
            if printed is not None:
                return printed
        return Imported(read_inventory(document.value))
    except RequestError as error:
        raise error.located(document) from None


def _may_be_printed(value: object) -> bool:
    """Whether a decoded document may be what a tool printed, rather than an inventory or a registry."""
    return isinstance(value, list) or (
        isinstance(value, dict) and not value.keys() & {"devices", "profiles"} and "kind" not in value
    )


def _is_node(value: object) -> bool:
    return isinstance(value, dict) and value.get("kind") == "Node"


def import_texts(texts: Sequence[tuple[str, str]], hardware: Hardware, source: str = "auto") -> Imported:
    """The inventory that some texts together describe; one of them may be a document.

    Raises:
        DocumentError: it can't be read, or is damaged; with its place.
        RequestError: what is wrong with what it says.
    """
    from engine.inventory.captures import read_captures

    if source in _DOCUMENTS or (len(texts) == 1 and source == "auto" and _is_document(texts[0][1])):
        if len(texts) > 1:
            raise RequestError(f"{source}: one document, not {len(texts)} files")
        document = parse_document(texts[0][1], texts[0][0])
        _check_kind(document, source)
        return _of_document(document, lambda: hardware)
    return read_captures(texts, hardware, source)


_DOCUMENTS = ("kubernetes", "registry")


def _check_kind(document: Document, source: str) -> None:
    """That a document is what `--from` says.

    Raises:
        RequestError: it isn't.
    """
    from engine.inventory.kubernetes import is_nodes

    value = document.value
    fits = {
        "kubernetes": ("nodes, as kubectl get nodes -o json prints them", is_nodes(value)),
        "registry": ("a registry with profiles", isinstance(value, dict) and "profiles" in value),
    }
    what, is_so = fits.get(source, ("", True))
    if not is_so:
        raise RequestError(f"expected {what}", path=()).located(document)


def _is_document(text: str) -> bool:
    """Whether a text begins as YAML or JSON of ours does; output of tools never does."""
    for line in text.splitlines():
        if line.strip() and not line.startswith(("#", "%", "---")):
            return line.lstrip().startswith(("{", "[")) or line.startswith(_KEYS)
    return False


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


def on_node(inventory: Inventory, node: str | None) -> Inventory:
    """The inventory with a node for the devices of which none is known."""
    if node is None:
        return inventory
    devices = tuple(
        device if device.node is not None else replace(device, node=node) for device in inventory.devices
    )
    return replace(inventory, devices=devices)


def with_memory(inventory: Inventory, size: int | None) -> Inventory:
    """The inventory with a size for the devices of which none is known.

    Raises:
        RequestError: there are such devices, and no size is given.
    """
    unknown = [device for device in inventory.devices if device.memory_bytes is None]
    if not unknown:
        return inventory
    if size is None:
        named = unknown[0].name or f"{unknown[0].kind} {unknown[0].device_id}"
        raise RequestError(
            f"the memory of {len(unknown)} devices is not known ({named})",
            hint="say it with --memory 80GiB, or add what "
            "nvidia-smi --query-gpu=index,name,memory.total --format=csv prints",
        )
    devices = tuple(
        replace(device, memory_bytes=size) if device.memory_bytes is None else device
        for device in inventory.devices
    )
    return replace(inventory, devices=devices)
