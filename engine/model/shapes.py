"""The cache of a model whose shape is known without its configuration."""

from __future__ import annotations

from engine.base.records import replace
from engine.model.model import CacheLayers, Model

_KEYS_AND_VALUES = 2


def with_cache(model: Model) -> Model:
    """Return a model with its layers by what they cache, from its shape; unchanged if that is unknown."""
    if model.cache or model.layers is None:
        return model
    windowed = model.sliding_layers if model.sliding_window is not None and model.sliding_layers else 0
    windowed = min(windowed, model.layers)
    if model.latent_size is not None:
        layers = CacheLayers("latent", 1, model.latent_size)
    elif model.kv_heads is not None and model.head_dim is not None:
        numbers = _KEYS_AND_VALUES * model.kv_heads * model.head_dim
        layers = CacheLayers("full", 1, numbers, split="kv_heads", heads=model.kv_heads)
    else:
        return model
    groups = [replace(layers, count=model.layers - windowed)] if windowed < model.layers else []
    if windowed:
        groups.append(replace(layers, kind="window", count=windowed, window=model.sliding_window))
    return replace(model, cache=tuple(groups))
