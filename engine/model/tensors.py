"""Models from the tensors in files of weights: parameters are counted by the names of tensors."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable

from engine.base.errors import DocumentError
from engine.base.records import record
from engine.model.model import Model, Parameters

_PACKED = {"I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F4"}
"""Types that hold several packed weights per number, so that numbers are no parameters."""

_PARTS = (
    ("embedding", re.compile(r"embed|lm_head|wte|\boutput\.weight|token_types")),
    ("routed_expert", re.compile(r"\.experts\.|_exps\b")),
    ("other", re.compile(r"norm|router|\.gate\.|gate_inp|rotary|rope|bias_correction")),
    ("attention", re.compile(r"attn|attention|\bq_|\bk_|\bv_|\bo_proj")),
    ("dense", re.compile(r"mlp|ffn|feed_forward|fc\d|shared_expert")),
)


@record
class Tensor:
    """One tensor of a file: its name, the count of its numbers, and their type."""

    name: str
    count: int
    dtype: str


def folder_of(path: str) -> str:
    """Return the folder of a file in a form that no server takes for an option."""
    folder = os.path.dirname(path) or "."
    return os.path.join(".", folder) if folder.startswith("-") else folder


def model_of_tensors(tensors: Iterable[Tensor], path: str, *, packed: bool = False) -> Model:
    """Return the model in the tensors of a file.

    Args:
        tensors: all tensors of the model.
        path: of the file, for errors and as the model's source.
        packed: counts are of parameters, even for packed types.

    Raises:
        DocumentError: there are no tensors, or weights are packed and cannot be counted.
    """
    parts: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for tensor in tensors:
        if not packed and tensor.dtype in _PACKED and tensor.count > 1:
            raise DocumentError(
                f"{path}: {tensor.name} is packed as {tensor.dtype}; its parameters cannot be counted",
                hint="use the model's config.json, or set the parameter count with --params",
            )
        part = next((part for part, pattern in _PARTS if pattern.search(tensor.name)), "other")
        parts[part] += tensor.count
        types[tensor.dtype] += tensor.count
    total = sum(parts.values())
    if not total:
        raise DocumentError(f"{path}: no weights in the file")
    counts = {name: parts[name] for name in ("embedding", "attention", "dense", "routed_expert", "other")}
    return Model(
        params=total,
        parameters=Parameters(total=total, active=total, **counts),
        dtype=types.most_common(1)[0][0],
        source=folder_of(path),
    )


def library_missing(path: str, library: str) -> DocumentError:
    """Return the error for a file whose library is not installed."""
    return DocumentError(
        f"{path}: {library} is not installed", hint="pip install 'shard-policy-engine[models]'"
    )
