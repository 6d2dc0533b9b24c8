"""Usual decoders: how a configuration is counted whose architecture the catalog does not have.

The catalog `unknown_architectures` says which fields make a usual decoder, and how far off the count may be.
"""

from __future__ import annotations

from engine.base.aliases import Row
from engine.base.errors import PolicyError
from engine.base.jsontypes import JsonObject
from engine.model.architectures import Catalogs, find_entry


def usual_decoder(fields: JsonObject, catalogs: Catalogs) -> Row | None:
    """Return the row of catalog `unknown_architectures` for a configuration; None if it is no usual decoder.

    Args:
        fields: of the configuration's text part.
        catalogs: loads a catalog by its name.
    """
    rows = sorted(catalogs("unknown_architectures").rows.values(), key=lambda row: -int(row["rank"]))
    return next((row for row in rows if _takes(row, fields)), None)


def unusual(fields: JsonObject, catalogs: Catalogs) -> str | None:
    """Return a field of a configuration that no row takes; None if that is not why none takes it."""
    rows = [row for row in catalogs("unknown_architectures").rows.values() if _has_numbers(row, fields)]
    names = [[name for name in row["none_of"] if fields.get(name)] for row in rows]
    return next((name for name in (names[-1] if names else ()) if all(name in each for each in names)), None)


def _takes(row: Row, fields: JsonObject) -> bool:
    """Return whether a configuration has the fields that a row asks for, and none that it rules out."""
    return _has_numbers(row, fields) and not any(fields.get(name) for name in row["none_of"])


def _has_numbers(row: Row, fields: JsonObject) -> bool:
    if not all(isinstance(fields.get(name), int) for name in row["numbers"]):
        return False
    return not row["any_of"] or any(fields.get(name) for name in row["any_of"])


def counted_as(row: Row, catalogs: Catalogs) -> str:
    """Return the row of catalog `architectures` by which a row's models are counted.

    Raises:
        PolicyError: there is none.
    """
    known = catalogs("architectures")
    entry = find_entry(known, row["architecture"])
    if entry is None:
        message = f"catalog unknown_architectures: no architecture '{row['architecture']}'"
        raise PolicyError(message, hint=known.nearest(row["architecture"]))
    return entry


def interval(row: Row) -> str:
    """Return how far the true size may be from the count, for a note."""
    return f"its true size may be {100 * row['smaller']:g} % smaller or {100 * row['larger']:g} % larger"
