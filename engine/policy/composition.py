"""From documents as they are written to the one document that is compiled: overlays on their bases."""

from __future__ import annotations

from engine.base.errors import EngineError, Path, PolicyError, Problem
from engine.catalogs.store import Entry, PolicyStore
from engine.documents import Document
from engine.policy.aggregates import expand_aggregates
from engine.policy.compiled import Reads
from engine.policy.json_types import expand_schemas
from engine.policy.libraries import library_policy
from engine.policy.objectives import expand_objectives
from engine.policy.overlays import CODE, apply_overlay
from engine.policy.tables import expand_tables

MOST_OVERLAYS = 20
"""Overlays that are based on each other."""


def compose(document: Document, store: PolicyStore) -> tuple[Document, Reads]:
    """Return a policy's document with all that it is composed of.

    Args:
        document: a policy or an overlay that matches its schema.
        store: where bases are found.

    Returns:
        The document to compile, and the references of the documents that it is composed of.

    Raises:
        PolicyError: a base is missing, its own base, or does not fit; with the place in the overlay.
    """
    composed, reads = _compose(document, store, ())
    return expand_objectives(composed), reads


def _compose(document: Document, store: PolicyStore, above: tuple[str, ...]) -> tuple[Document, Reads]:
    if document.value["kind"] == "Library":
        return library_policy(expand_schemas(document, store)), ()
    if document.value["kind"] != "Overlay":
        return expand_tables(expand_aggregates(expand_schemas(document, store)), store), ()
    reference: str = document.value["base"]
    if len(above) >= MOST_OVERLAYS:
        place = document.place(("base",))
        raise PolicyError(Problem(f"more than {MOST_OVERLAYS} overlays on each other", place, code=CODE))
    this = f"{document.value['name']}@{document.value['version']}"
    try:
        entry = _base(reference, this, (*above, this), store)
        base, reads = _compose(store.read(entry), store, (*above, this))
    except EngineError as error:
        path: Path = ("base",)
        raise PolicyError([each.at(document.place(path)).coded(CODE) for each in error.problems]) from None
    return apply_overlay(document, base), (("policy", reference), *reads)


def _base(reference: str, this: str, above: tuple[str, ...], store: PolicyStore) -> Entry:
    entry = store.find("policy", reference)
    found = f"{entry.name}@{entry.version}"
    if found in above:
        hint = f"name an older version than {this}" if found == this else None
        raise PolicyError(
            Problem(f"overlays are based on each other: {' → '.join((*above, found))}", hint=hint)
        )
    return entry
