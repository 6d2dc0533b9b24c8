"""Well-known models by name, of the catalog `models`."""

from __future__ import annotations

from engine.errors import RequestError
from engine.model.types import Model, Parameters
from engine.names import Names, Row, same_name

_SAME = (
    *("params", "architecture", "layers", "hidden_size", "attention_heads", "kv_heads", "head_dim"),
    *("vocabulary", "context", "dtype", "intermediate_size", "experts", "experts_per_token"),
    *("expert_intermediate_size", "latent_size", "sliding_window", "sliding_layers"),
)
"""Columns that are called as the model's fields are."""


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
        name=entry,
        source=_hub_name(known, entry, name) or row["hub"],
        parameters=_parameters(row),
        tied_embeddings=row["tied"],
        **{name: row[name] for name in _SAME},
    )


def _hub_name(known: Names, entry: str, name: str) -> str | None:
    """The alias with an owner that a name means, with its owner or without; None where it is the entry's own.

    Tuned models of one shape share an entry, and each is loaded by its own name.
    """
    if same_name(name, entry):
        return None
    hub_names = [each for each, of in known.aliases.items() if of == entry and "/" in each]
    for each in hub_names:
        if same_name(name, each) or same_name(name, each.rpartition("/")[2]):
            return each
    return None


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
