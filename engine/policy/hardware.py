"""The catalogs that readers of inventories and models need."""

from __future__ import annotations

from collections.abc import Sequence

from engine.inventory.products import Hardware
from engine.names import Names
from engine.policy.catalog import compile_catalog
from engine.policy.schema_types import schema_types
from engine.policy.store import PolicyStore


def load_hardware(folders: Sequence[str] = ()) -> Hardware:
    """What is known of hardware, by the newest catalogs; one that is faulty is an error where it is used."""
    return Hardware(lambda name: load_names(name, folders))


def load_names(name: str, folders: Sequence[str] = ()) -> Names:
    """The newest catalog of that name: its rows, and the names that mean them.

    Raises:
        PolicyError: it is missing or faulty.
        DocumentError: it can't be read.
    """
    store = PolicyStore(folders)
    document = store.read(store.find("catalog", name))
    rows = compile_catalog(document, schema_types()).table()
    aliases = {
        alias: entry for entry, row in document.value["entries"].items() for alias in row.get("aliases", ())
    }
    return Names(rows, aliases)
