"""Rows of catalogs that launch targets read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.base.aliases import Row

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.model import Model


def load_rows(catalog: str = "launch", catalogs: Catalogs | None = None) -> Mapping[str, Row]:
    """Return the rows of a catalog.

    Args:
        catalog: its name.
        catalogs: the set that the decision was made by (`Decision.catalogs`); the shipped ones if it is None.
    """
    return catalogs_or_shipped(catalogs)(catalog).rows


def catalogs_or_shipped(catalogs: Catalogs | None) -> Catalogs:
    """Return a set of catalogs; the newest shipped ones for None."""
    from engine.catalogs.resolved import Catalogs  # deferred: start-up time

    return catalogs or Catalogs()


def is_published_quantized(model: Model, catalogs: Catalogs | None) -> bool:
    """Return True if a model that is known by its name was first published with quantized weights."""
    row = load_rows("models", catalogs).get(model.name or "") if model.named else None
    return row is not None and row.get("method") is not None


def checkpoint(source: str, quantization: str, server: Row, catalogs: Catalogs | None) -> str | None:
    """Return the name of a model's checkpoint in a quantization that a server loads; None if none is known.

    Args:
        source: the model's name on Hugging Face's hub.
        quantization: the quantization.
        server: the server's row in the catalog `commands`.
        catalogs: as `load_rows`.
    """
    row = load_rows("checkpoints", catalogs).get(source)
    if row is None or quantization not in (server["checkpoints"] or ()):
        return None
    if (row["methods"] or {}).get(quantization) in (server["unloadable"] or ()):
        return None
    name: str | None = row.get(quantization)
    return name
