"""Well-known models by name, of the catalog `models`."""

from __future__ import annotations

from engine.errors import RequestError
from engine.model.types import Model, Parameters
from engine.names import Names, Row


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
        parameters=_parameters(row),
        intermediate_size=row["intermediate_size"],
        experts=row["experts"],
        experts_per_token=row["experts_per_token"],
        expert_intermediate_size=row["expert_intermediate_size"],
        latent_size=row["latent_size"],
        sliding_window=row["sliding_window"],
        sliding_layers=row["sliding_layers"],
        tied_embeddings=row["tied"],
    )


def _parameters(row: Row) -> Parameters:
    """Where a model's parameters are; what the catalog doesn't tell apart counts as dense."""
    total, embedding, routed = row["params"], row["embedding"], row["routed_expert"] or 0
    return Parameters(
        total=total,
        active=row["active"] or total,
        embedding=embedding,
        attention=0,
        dense=total - embedding - routed,
        routed_expert=routed,
        other=0,
    )
