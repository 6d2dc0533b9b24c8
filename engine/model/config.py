"""A model's `config.json`, as Hugging Face's hub has it: shapes, and the exact count of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path, RequestError
from engine.model.architectures import CLASSES, TYPES, Architecture
from engine.model.counting import CHUNKED, FULL, LINEAR, SLIDING, Counts, Shapes
from engine.model.fields import Fields
from engine.model.types import Model


def read_config(value: Mapping[str, Any], name: str | None = None, path: Path = ()) -> Model:
    """The model of a configuration; of one that sees or hears as well, the part that reads and writes text.

    Raises:
        RequestError: an architecture that isn't known, a field that is missing or absurd; with its path.
    """
    architectures = value.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise RequestError("architectures: expected a list of names", path=(*path, "architectures"))
    inner = value.get("text_config")
    text = {**value, **inner} if isinstance(inner, dict) else value
    inside = (*path, "text_config") if isinstance(inner, dict) else path
    kind = CLASSES.get(architectures[0])
    if kind is None and isinstance(inner, dict):
        kind = inner.get("model_type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise RequestError(
            f"unknown architecture '{architectures[0]}': its parameters can't be counted from its shapes",
            path=(*path, "architectures", 0),
            hint="give its weights' headers (.safetensors, .gguf), or the count with --params",
        )
    architecture = TYPES[kind]
    return _model(Fields(text, architecture.defaults, inside), architecture, architectures[0], name)


def _model(fields: Fields, architecture: Architecture, class_name: str, name: str | None) -> Model:
    shapes = Shapes(fields, architecture)
    parameters = Counts(fields, architecture, shapes).parameters()
    quantization = fields.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else None
    dtype = fields.get("torch_dtype") or fields.get("dtype")
    head_dim, latent = shapes.head_dim, None
    if architecture.latent:
        rope = fields.number("qk_rope_head_dim")
        head_dim, latent = fields.number("qk_nope_head_dim") + rope, fields.number("kv_lora_rank") + rope
    window, layers = _window(fields, shapes)
    return Model(
        params=parameters.total,
        name=name,
        architecture=class_name,
        parameters=parameters,
        layers=shapes.layers,
        hidden_size=shapes.hidden,
        attention_heads=shapes.heads,
        kv_heads=shapes.kv_heads,
        head_dim=head_dim,
        vocabulary=shapes.vocabulary,
        context=fields.number("max_position_embeddings", default=0, least=0) or None,
        dtype=dtype if isinstance(dtype, str) else None,
        quantization=method if isinstance(method, str) else None,
        intermediate_size=fields.number("intermediate_size", default=0, least=0) or None,
        experts=shapes.experts or None,
        experts_per_token=shapes.used or None,
        expert_intermediate_size=shapes.expert_size or None,
        latent_size=latent,
        sliding_window=window,
        sliding_layers=layers,
        quantization_group=_group(quantization),
        tied_embeddings=shapes.tied,
    )


def _window(fields: Fields, shapes: Shapes) -> tuple[int | None, int | None]:
    """The window that some layers look back over, and how many do.

    A layer with a state of fixed size counts as one whose window has as many keys and values as that state
    has numbers: what it keeps doesn't grow with a request either.
    """
    kinds = shapes.attention
    if LINEAR in kinds:
        number = fields.number
        state = (
            number("linear_num_value_heads") * number("linear_key_head_dim") * number("linear_value_head_dim")
        )
        return -(-state // (2 * shapes.kv_heads * shapes.head_dim)), kinds.count(LINEAR)
    if CHUNKED in kinds:
        return fields.number("attention_chunk_size"), kinds.count(CHUNKED)
    if SLIDING in kinds:
        return fields.number("sliding_window"), kinds.count(SLIDING)
    if fields.get("sliding_window") is None or fields.get("use_sliding_window") is False:
        return None, None
    return fields.number("sliding_window"), shapes.layers - sum(kind == FULL for kind in kinds)


def _group(quantization: Any) -> int | None:
    """The largest number of weights in a row that share a scale, as a `quantization_config` says it."""
    if not isinstance(quantization, dict):
        return None
    block = quantization.get("weight_block_size")
    found = block if isinstance(block, list) else [quantization.get("group_size")]
    sizes = [each for each in found if isinstance(each, int) and not isinstance(each, bool) and each > 0]
    return max(sizes, default=None)
