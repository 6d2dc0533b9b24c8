"""A model as text or JSON: its shape, its parameters by component, how it is stored, and what it caches."""

from __future__ import annotations

import json
import textwrap

from engine.base.printable import cleaned, finished
from engine.base.quantities import format_bytes, format_count
from engine.model import Model
from engine.model.cache import (
    KIB_NUMBER_BYTES,
    bytes_per_token,
    convolution_bytes,
    request_bytes,
    state_bytes,
    windows,
)

_PARTS = ("embedding", "attention", "dense", "routed_expert", "vision", "other")
_WIDTH = 16
_LINE = 80


def text(model: Model) -> str:
    """Return one property per line; unknown properties are omitted."""
    model = cleaned(model)
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
        ("vocabulary", None if model.vocabulary is None else f"{model.vocabulary:,} tokens"),
        ("context", None if model.context is None else f"{model.context:,} tokens"),
        ("stored as", _stored(model)),
        *_weights(model),
        *_cache(model),
    ]
    lines = [f"{name:{_WIDTH}}{value}\n" for name, value in rows if value is not None]
    for note in model.notes:
        lines.append(textwrap.fill(f"note: {note}", _LINE, subsequent_indent="  ") + "\n")
    return finished("".join(lines))


def _heads(model: Model) -> str | None:
    if model.attention_heads is None:
        return None
    return f"{model.attention_heads} ({model.kv_heads} KV heads), dimension {model.head_dim}"


def _shown(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _stored(model: Model) -> str | None:
    storage = model.storage
    if storage is None or storage.method is None:
        return ", ".join(filter(None, (model.dtype, model.quantization))) or None
    name = storage.name or "unknown type"
    return f"{name} ({storage.method}), {model.dtype}" if model.dtype else f"{name} ({storage.method})"


def _weights(model: Model) -> list[tuple[str, str | None]]:
    """Return the size of the weights, and the bits of components that differ."""
    storage = model.storage
    if storage is None or storage.total_bytes is None:
        return []
    rows: list[tuple[str, str | None]] = [("weights", format_bytes(storage.total_bytes))]
    if storage.speculative_bytes:
        rows.append(
            (
                "  speculative",
                f"{format_bytes(storage.speculative_bytes)}, loaded for speculative decoding only",
            )
        )
    if storage.quantized:
        for part, bits in storage.bits.items():
            rows.append((f"  {part.replace('_', ' ')}", f"{bits:.5g} bits"))
    return rows


def _cache(model: Model) -> list[tuple[str, str | None]]:
    """Return the sizes of the KV cache and of states, in bf16 unless the checkpoint says another type."""
    if not model.cache:
        return []
    rows: list[tuple[str, str | None]] = [
        ("KV cache", f"{bytes_per_token(model.cache):,} bytes per token (bf16)")
    ]
    dtype = _kv_dtype(model)
    if dtype != "bf16":
        rows.append(
            (
                "",
                f"{bytes_per_token(model.cache, _number_bytes(model)):,} bytes per token ({dtype}, as the "
                "checkpoint asks)",
            )
        )
    for tokens, size in windows(model.cache).items():
        rows.append(("", f"{size:,} bytes per token in windows of {tokens:,} tokens"))
    state, convolution = state_bytes(model.cache), convolution_bytes(model.cache)
    if state or convolution:
        rows.append(("", f"{format_bytes(state + convolution)} of state per request"))
    if model.context is not None:
        size = request_bytes(model.cache, model.context, _number_bytes(model))
        rows.append(("", f"{format_bytes(size)} per request of {model.context:,} tokens"))
    return rows


def _kv_dtype(model: Model) -> str:
    return "bf16" if model.storage is None or model.storage.kv_dtype is None else model.storage.kv_dtype


def _number_bytes(model: Model) -> float:
    bits = None if model.storage is None else model.storage.kv_bits
    return KIB_NUMBER_BYTES if bits is None else bits / 8


def as_json(model: Model) -> str:
    """Return a JSON document."""
    return json.dumps(as_dict(model), indent=2, ensure_ascii=False) + "\n"


def as_dict(model: Model) -> dict[str, object]:
    """Return the JSON form, with the sizes of weights and of the KV cache."""
    value: dict[str, object] = dict(model.to_dict())
    storage = model.storage
    value["weights_bytes"] = None if storage is None else storage.total_bytes
    value["loaded_bytes"] = None if storage is None else storage.loaded_bytes
    if not model.cache:
        value["kv_cache"] = None
        return value
    value["kv_cache"] = {
        "bytes_per_token": bytes_per_token(model.cache, _number_bytes(model)),
        "bytes_per_token_bf16": bytes_per_token(model.cache),
        "dtype": _kv_dtype(model),
        "windows": [
            {"tokens": tokens, "bytes_per_token_bf16": size} for tokens, size in windows(model.cache).items()
        ],
        "state_bytes_per_request": state_bytes(model.cache),
        "convolution_bytes_per_request": convolution_bytes(model.cache),
        "layers": [layers.to_dict() for layers in model.cache],
    }
    return value
