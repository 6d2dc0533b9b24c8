"""A model for people: its shape, and where its parameters are."""

from __future__ import annotations

import json

from engine.model import Model
from engine.quantities import format_count

_PARTS = ("embedding", "attention", "dense", "routed_expert", "other")


def text(model: Model) -> str:
    """Names and numbers, one a line; what isn't known is left out."""
    rows = [("name", model.name), ("architecture", model.architecture)]
    rows.append(("parameters", f"{model.params:,} ({format_count(model.params)})"))
    parts = model.parameters
    if parts is not None:
        for name in _PARTS:
            count = getattr(parts, name)
            if count:
                rows.append((f"  {name.replace('_', ' ')}", f"{count:,}"))
        if parts.active != parts.total:
            rows.append(("  active", f"{parts.active:,} ({format_count(parts.active)})"))
    rows += [
        ("layers", _shown(model.layers)),
        ("hidden size", _shown(model.hidden_size)),
        ("heads", _heads(model)),
        ("vocabulary", _shown(model.vocabulary)),
        ("context", _shown(model.context)),
        ("stored as", ", ".join(filter(None, (model.dtype, model.quantization))) or None),
    ]
    return "".join(f"{name:16}{value}\n" for name, value in rows if value is not None)


def _heads(model: Model) -> str | None:
    if model.attention_heads is None:
        return None
    return f"{model.attention_heads}, {model.kv_heads} for keys and values, of {model.head_dim}"


def _shown(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def as_json(model: Model) -> str:
    """One JSON document."""
    return json.dumps(model.to_dict(), indent=2, ensure_ascii=False) + "\n"
