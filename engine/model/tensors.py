"""Models from the files of their weights: counts by tensor, of headers alone. No weight is loaded.

safetensors and GGUF are read by the libraries of their makers (extra: models).
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from engine.errors import DocumentError
from engine.model.types import Model, Parameters
from engine.records import record

_INDEX = "model.safetensors.index.json"
_PACKED = {"I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F4"}
"""Types that weights are packed in, several to a number: the count of numbers is not that of parameters."""

_PARTS = (
    ("embedding", re.compile(r"embed|lm_head|wte|\boutput\.weight|token_types")),
    ("routed_expert", re.compile(r"\.experts\.|_exps\b")),
    ("other", re.compile(r"norm|router|\.gate\.|gate_inp|rotary|rope|bias_correction")),
    ("attention", re.compile(r"attn|attention|\bq_|\bk_|\bv_|\bo_proj")),
    ("dense", re.compile(r"mlp|ffn|feed_forward|fc\d|shared_expert")),
)


@record
class Tensor:
    """One tensor of a file: its name, how many numbers it has, and of which type."""

    name: str
    count: int
    dtype: str


def is_weights(path: str) -> bool:
    """Whether a file's name is that of weights, or of an index of them."""
    return path.endswith((".safetensors", ".gguf", ".safetensors.index.json"))


def weights_in(folder: str) -> str | None:
    """What to read in a folder without a configuration: its index, or its only file of weights."""
    if os.path.exists(os.path.join(folder, _INDEX)):
        return os.path.join(folder, _INDEX)
    found = sorted(name for name in os.listdir(folder) if name.endswith((".safetensors", ".gguf")))
    return os.path.join(folder, found[0]) if len(found) == 1 else None


def read_weights(path: str) -> Model:
    """The model in files of weights: .safetensors, an index of several, or .gguf.

    Raises: DocumentError: a file that is missing, cut off or none; weights that are packed; a library
    that isn't there.
    """
    if path.endswith(".gguf"):
        return _read_gguf(path)
    return _model(list(_safetensors(path)), path)


def _safetensors(path: str) -> Iterator[Tensor]:
    for file in _files(path):
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError:
            raise _missing(path, "safetensors") from None
        try:
            with safe_open(file, framework="np") as opened:
                for name in opened.keys():  # noqa: SIM118  (not a mapping)
                    part = opened.get_slice(name)
                    yield Tensor(name, _product(part.get_shape()), str(part.get_dtype()))
        except FileNotFoundError:
            raise DocumentError(f"{file}: no such file") from None
        except (SafetensorError, OSError, ValueError) as error:
            reason = str(error).split("\n")[0].removeprefix("Error while deserializing header: ")
            raise DocumentError(f"{file}: not a whole safetensors file: {reason[:200]}") from None


def _files(path: str) -> list[str]:
    """The files that an index names, in the index's folder; of a file, itself."""
    if not path.endswith(".index.json"):
        return [path]
    try:
        with open(path, encoding="utf-8") as file:
            names = json.load(file)["weight_map"].values()
        files = sorted({str(name) for name in names})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DocumentError(f"{path}: not an index of safetensors, which has a weight_map") from None
    folder = os.path.dirname(path)
    if not files or any(os.path.basename(name) != name for name in files):
        raise DocumentError(f"{path}: expected names of files in the same folder")
    return [os.path.join(folder, name) for name in files]


def _read_gguf(path: str) -> Model:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise _missing(path, "gguf") from None

    class Bounded(GGUFReader):
        """Without looking behind the file's end, as the library does, however long a list claims to be."""

        def _get(self, offset: Any, dtype: Any, count: Any = 1, override_order: Any = None) -> Any:
            found = super()._get(offset, dtype, count, override_order)
            if len(found) < int(count):
                raise ValueError("it ends early")
            return found

    try:
        reader = Bounded(path)
        tensors = [
            Tensor(str(each.name), int(each.n_elements), str(each.tensor_type.name))
            for each in reader.tensors
        ]
        fields = {name: each.contents() for name, each in reader.fields.items() if _is_short(name)}
    except FileNotFoundError:
        raise DocumentError(f"{path}: no such file") from None
    except Exception as error:  # the library raises whatever numpy does on a damaged file
        raise DocumentError(f"{path}: not a whole GGUF file: {str(error)[:200]}") from None
    architecture = str(fields.get("general.architecture", ""))

    def number(name: str) -> int | None:
        value = fields.get(f"{architecture}.{name}")
        return value if isinstance(value, int) and value > 0 else None

    found = _model(tensors, path, packed=True)
    return Model(
        params=found.params,
        name=str(fields["general.name"]) if fields.get("general.name") else found.name,
        architecture=architecture or None,
        parameters=found.parameters,
        layers=number("block_count"),
        hidden_size=number("embedding_length"),
        attention_heads=number("attention.head_count"),
        kv_heads=number("attention.head_count_kv"),
        context=number("context_length"),
        dtype=found.dtype,
        source=path,
    )


def _is_short(name: str) -> bool:
    """Fields that are numbers and names, rather than a vocabulary."""
    return not name.startswith("tokenizer.")


def _model(tensors: Iterable[Tensor], path: str, *, packed: bool = False) -> Model:
    """`packed`: the counts are those of parameters, whatever they are packed in."""
    parts: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for tensor in tensors:
        if not packed and tensor.dtype in _PACKED and tensor.count > 1:
            raise DocumentError(
                f"{path}: {tensor.name} is packed as {tensor.dtype}: its parameters can't be counted",
                hint="give the model's config.json, or the count with --params",
            )
        part = next((part for part, pattern in _PARTS if pattern.search(tensor.name)), "other")
        parts[part] += tensor.count
        types[tensor.dtype] += tensor.count
    total = sum(parts.values())
    if not total:
        raise DocumentError(f"{path}: no weights in it")
    counts = {name: parts[name] for name in ("embedding", "attention", "dense", "routed_expert", "other")}
    return Model(
        params=total,
        parameters=Parameters(total=total, active=total, **counts),
        dtype=types.most_common(1)[0][0],
        source=os.path.dirname(path) or ".",
    )


def _product(shape: Iterable[int]) -> int:
    total = 1
    for size in shape:
        total *= int(size)
    return total


def _missing(path: str, library: str) -> DocumentError:
    return DocumentError(
        f"{path}: {library} is not installed", hint="pip install 'shard-policy-engine[models]'"
    )
