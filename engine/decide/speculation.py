"""Speculative decoding in a request: its method by any of its names, and the size of its draft model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.base.errors import EngineError, RequestError

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs

CATALOG = "speculative_methods"
GOALS = ("speculative", "speculative_tokens", "acceptance_length", "draft_model", "draft_params")
"""Serving goals of speculative decoding."""


def speculation_fields(goals: Mapping[str, object], catalogs: Catalogs) -> dict[str, object]:
    """Return the serving goals that follow from a method and a draft model.

    Args:
        goals: the serving goals of a request.
        catalogs: the catalogs of the policy that decides.

    Raises:
        RequestError: the policy plans no speculative decoding, or the method or the draft model is unknown.
    """
    asked = next((name for name in GOALS if goals.get(name) is not None), None)
    if asked is None:
        return {}
    if catalogs.references and CATALOG not in catalogs.references:
        raise RequestError(
            "the policy does not plan speculative decoding",
            path=("serving", asked),
            hint="use a policy that does: --policy sharding@3",
        )
    method = goals.get("speculative")
    if not isinstance(method, str):
        return {}
    methods = catalogs(CATALOG)
    found = methods.exact(method) or methods.exact(method.lower())
    if found is None:
        raise RequestError(
            f"unknown method of speculative decoding '{method}'",
            path=("serving", "speculative"),
            hint=methods.nearest(method) or f"known: {', '.join(methods.rows)}",
        )
    drafts = methods.rows[found]["drafter"] == "model" and goals.get("draft_params") is None
    source = goals.get("draft_model") if drafts else None
    return {"speculative": found, **({} if not isinstance(source, str) else _draft(source, catalogs))}


def _draft(source: str, catalogs: Catalogs) -> dict[str, object]:
    """Return what planning reads of a draft model.

    Raises:
        RequestError: it is unknown, or its shape is.
    """
    from engine.model.source import find_model  # deferred: start-up time

    try:
        model, _ = find_model(source, catalogs)
    except EngineError as error:
        raise RequestError(
            f"draft_model: {error.message}", path=("serving", "draft_model"), hint=error.hint
        ) from None
    numbers = sum(layers.count * layers.numbers for layers in model.cache)
    if model.layers is None or not numbers:
        raise RequestError(
            f"draft_model: the layers of {source} are unknown",
            path=("serving", "draft_model"),
            hint="use its config.json, or set draft_params, draft_layers and draft_kv_numbers",
        )
    return {
        "draft_model": model.source or source,
        "draft_params": model.params,
        "draft_layers": model.layers,
        "draft_kv_numbers": numbers,
        "draft_kv_heads": 1 if model.latent_size is not None else model.kv_heads or 1,
    }
