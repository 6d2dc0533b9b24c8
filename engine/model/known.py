"""Well-known models by name, of the catalog `models`."""

from __future__ import annotations

from engine.errors import RequestError
from engine.model.types import Model
from engine.names import Names


def model_of(known: Names, name: str) -> Model:
    """The model of that name: `llama-3.1-70b`, `meta-llama/Meta-Llama-3.1-70B`.

    Raises:
        RequestError: it isn't known; the hint names the nearest.
    """
    entry = known.exact(name) or known.exact(name.lower()) or known.loose(name)
    if entry is None:
        hint = known.nearest(name) or "give a config.json, or the count with --params 70B"
        raise RequestError(f"no file and no well-known model '{name}'", hint=hint)
    row = known.rows[entry]
    return Model(
        params=row["params"],
        name=entry,
        architecture=row["architecture"],
        layers=row["layers"],
        hidden_size=row["hidden_size"],
        attention_heads=row["attention_heads"],
        kv_heads=row["kv_heads"],
        head_dim=row["head_dim"],
        vocabulary=row["vocabulary"],
        context=row["context"],
        dtype=row["dtype"],
        source=row["hub"],
    )
