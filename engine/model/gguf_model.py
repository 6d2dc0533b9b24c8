"""A model from the headers of GGUF files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from engine.base.aliases import Row
from engine.base.errors import DocumentError, quote
from engine.model.architectures import Architecture, Catalogs, find_entry
from engine.model.gguf_header import Header, Length, TensorInfo, read_header
from engine.model.model import CacheLayers, Model, Parameters, Storage
from engine.model.storage import bits_of

_SPLIT = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_MOST_PARTS = 1_000
_MOST = 2**40
_PARTS = (
    ("vision", re.compile(r"(?:v|a|mm)\.")),
    ("embedding", re.compile(r"token_embd\.|per_layer_token_embd|position_embd|token_types")),
    ("head", re.compile(r"output\.weight|output\.bias")),
    ("routed_expert", re.compile(r".*_exps\.")),
    ("shared_expert", re.compile(r".*_(?:shexp|chexps)\.")),
    ("other", re.compile(r".*(?:norm|gate_inp|exp_probs|rope|_scale|attn_sinks)")),
    ("attention", re.compile(r"blk\.\d+\.(?:attn|ssm|shortconv|indexer|time_mix)")),
    ("dense", re.compile(r"blk\.\d+\.(?:ffn|channel_mix|laurel|altup|inp_gate|proj)")),
)


def read_gguf(path: str, catalogs: Catalogs) -> Model:
    """Return the model in a file, or in all parts of a split one.

    Args:
        path: of the file, or of any part.
        catalogs: loads a catalog by its name.

    Raises:
        DocumentError: a file is missing, cut off or something else.
    """
    paths = _parts(path)
    headers = [read_header(part) for part in paths]
    types = {row["id"]: (name, row) for name, row in catalogs("ggml_types").rows.items()}
    for part, header in zip(paths, headers, strict=True):
        _check(part, header, types)
    fields = headers[0].fields
    count = fields.get("split.count", 1)
    if isinstance(count, int) and count > 1 and len(paths) != count:
        raise DocumentError(
            f"{path}: one of {count} parts of a split model",
            hint="name the parts as llama.cpp's gguf-split does: NAME-00001-of-00003.gguf",
        )
    tensors = [tensor for header in headers for tensor in header.tensors]
    return _Reader(path, fields, tensors, types, catalogs).model(paths[0])


def _parts(path: str) -> list[str]:
    """Return all parts of a split model; the file itself if it is no part.

    Raises:
        DocumentError: parts are missing.
    """
    folder, name = os.path.split(path)
    match = _SPLIT.fullmatch(name)
    if match is None:
        return [path]
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count <= _MOST_PARTS:
        raise DocumentError(
            f"{path}: part {match['number']} of {match['count']} is not a part of a split model"
        )
    names = [f"{match['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    missing = [part for part in names if not os.path.exists(os.path.join(folder, part))]
    if missing:
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DocumentError(f"{path}: parts of the split model are missing: {listed}")
    return [os.path.join(folder, part) for part in names]


def _check(path: str, header: Header, types: Mapping[int, tuple[str, Row]]) -> None:
    """Check the types of tensors, and that the file holds them all."""
    end = 0
    for tensor in header.tensors:
        if tensor.type_id not in types:
            raise DocumentError(f"{path}: {tensor.name} has unknown type {tensor.type_id}")
        end = max(end, tensor.offset + _size(tensor, types))
    if header.data_start + end > header.size:
        expected, found = header.data_start + end, header.size
        raise DocumentError(
            f"{path}: incomplete: its tensors end at byte {expected:,}, the file at {found:,}"
        )


def _size(tensor: TensorInfo, types: Mapping[int, tuple[str, Row]]) -> int:
    """Return the bytes of a tensor."""
    row = types[tensor.type_id][1]
    size: int = -(-tensor.count // row["block"]) * row["bytes"]
    return size


class _Reader:
    """Reads the metadata of one model."""

    def __init__(
        self,
        path: str,
        fields: Mapping[str, Any],
        tensors: Sequence[TensorInfo],
        types: Mapping[int, tuple[str, Row]],
        catalogs: Catalogs,
    ) -> None:
        self.path = path
        self.fields = fields
        self.tensors = tensors
        self.types = types
        self.catalogs = catalogs
        self.kind = str(fields.get("general.architecture", ""))

    def model(self, source: str) -> Model:
        """Return the model."""
        if self.fields.get("general.type") == "adapter":
            raise DocumentError(
                f"{self.path}: this is a LoRA adapter, not a model", hint="give the base model"
            )
        if self.kind == "clip" or self.fields.get("general.type") == "mmproj":
            raise DocumentError(
                f"{self.path}: this is the projector of a model for images (mmproj), not a model",
                hint="give the file of the text model",
            )
        counts, sizes = self._sizes()
        total = sum(counts.values())
        if not total:
            raise DocumentError(f"{self.path}: no weights in the file")
        layers, hidden = self.number("block_count"), self.number("embedding_length")
        heads = self.largest("attention.head_count")
        experts, used = self.number("expert_count"), self.number("expert_used_count")
        routed = counts["routed_expert"]
        idle = routed - routed * min(used or experts or 1, experts or 1) // (experts or 1)
        tied = counts["head"] == 0
        parameters = Parameters(
            total=total,
            active=total - idle,
            embedding=counts["embedding"] + counts["head"],
            attention=counts["attention"],
            dense=counts["dense"] + counts["shared_expert"],
            routed_expert=routed,
            vision=counts["vision"],
            other=counts["other"],
        )
        storage = self._storage(counts, sizes)
        latent = self._latent()
        head_dim = self.number("attention.key_length")
        if head_dim is None and heads and hidden:
            head_dim = hidden // heads
        cache = self._cache(layers or 0, head_dim or 0, latent)
        window = next((layers.window for layers in cache if layers.kind == "window"), None)
        name = self.fields.get("general.name")
        return Model(
            params=total,
            name=str(name) if name else None,
            architecture=self.kind or None,
            parameters=parameters,
            layers=layers,
            hidden_size=hidden,
            attention_heads=heads,
            kv_heads=self.largest("attention.head_count_kv") or heads,
            head_dim=head_dim,
            vocabulary=self._vocabulary(),
            context=self.number("context_length"),
            dtype=next(iter(self._amounts())),
            quantization=storage.name if storage.quantized else None,
            source=os.path.join(".", source) if source.startswith("-") else source,
            intermediate_size=self.largest("feed_forward_length"),
            experts=experts,
            experts_per_token=used,
            expert_intermediate_size=self.number("expert_feed_forward_length"),
            latent_size=latent,
            sliding_window=window,
            sliding_layers=sum(layers.count for layers in cache if layers.kind == "window")
            if window
            else None,
            tied_embeddings=tied,
            storage=storage,
            cache=cache,
            **bits_of(storage, parameters, tied=tied),
        )

    # --- fields ---------------------------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """Return a field of the architecture."""
        return self.fields.get(f"{self.kind}.{name}")

    def number(self, name: str) -> int | None:
        """Return a number; None if it is missing or 0.

        Raises:
            DocumentError: it is no whole number, or absurd.
        """
        value = self.get(name)
        if value is None or value == 0:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST:
            message = f"{self.path}: {self.kind}.{name}: expected a whole number, found {quote(value)}"
            raise DocumentError(message)
        return value

    def by_layer(self, name: str, layers: int) -> list[int] | None:
        """Return a list with one number per layer; None if it is missing or a single number.

        Raises:
            DocumentError: it has another length, or is no list of numbers.
        """
        value = self.get(name)
        if not isinstance(value, (list, Length)):
            return None
        if isinstance(value, Length) or len(value) < layers:
            size = value.size if isinstance(value, Length) else len(value)
            raise DocumentError(f"{self.path}: {self.kind}.{name}: expected {layers} values, found {size}")
        if not all(isinstance(number, int) and 0 <= number <= _MOST for number in value):
            raise DocumentError(f"{self.path}: {self.kind}.{name}: expected whole numbers")
        return [int(number) for number in value[:layers]]

    def largest(self, name: str) -> int | None:
        """Return a number, the largest if there is one per layer; None if it is missing or 0."""
        if isinstance(self.get(name), (list, Length)):
            return max(self.by_layer(name, 0) or self._listed(name), default=0) or None
        return self.number(name)

    def _listed(self, name: str) -> list[int]:
        value = self.get(name)
        return [number for number in value if isinstance(number, int)] if isinstance(value, list) else []

    def _vocabulary(self) -> int | None:
        size = self.number("vocab_size")
        if size is not None:
            return size
        words = self.fields.get("tokenizer.ggml.tokens")
        if isinstance(words, Length):
            return words.size
        if isinstance(words, list) and words:
            return len(words)
        shapes = (tensor.shape for tensor in self.tensors if tensor.name == "token_embd.weight")
        return next((shape[-1] for shape in shapes if len(shape) > 1), None)

    def _latent(self) -> int | None:
        rank, rope = self.number("attention.kv_lora_rank"), self.number("rope.dimension_count")
        return None if rank is None else rank + (rope or 0)

    # --- storage --------------------------------------------------------------------------------------------

    def _sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return parameters and bytes by component."""
        counts: dict[str, int] = defaultdict(int)
        sizes: dict[str, int] = defaultdict(int)
        for tensor in self.tensors:
            part = next((part for part, pattern in _PARTS if pattern.match(tensor.name)), "other")
            counts[part] += tensor.count
            sizes[part] += _size(tensor, self.types)
        return counts, sizes

    def _amounts(self) -> dict[str, int]:
        """Return the numbers of each type of tensor, the most frequent first."""
        amounts: dict[str, int] = defaultdict(int)
        for tensor in self.tensors:
            amounts[self.types[tensor.type_id][0]] += tensor.count
        return dict(sorted(amounts.items(), key=lambda item: -item[1]))

    def _storage(self, counts: Mapping[str, int], sizes: Mapping[str, int]) -> Storage:
        from engine.model.configuration import TYPES  # deferred: start-up time

        rows, types = self.catalogs(TYPES).rows, self.catalogs("ggml_types").rows
        names = [str(types[name]["quantization"] or name) for name in self._amounts()]
        packed = [name for name in names if name not in rows or rows[name]["kind"] != "none"]
        number = self.fields.get("general.file_type")
        by_number = {row["file_type"]: name for name, row in rows.items() if row["file_type"] is not None}
        most = (packed or names)[0]
        name = by_number.get(number, most) if isinstance(number, int) else most
        return Storage(
            name=name if name in rows else None,
            method="gguf",
            bits={part: 8 * sizes[part] / counts[part] for part in counts if counts[part]},
            bytes=dict(sizes),
            names=tuple(dict.fromkeys((name, *packed))),
            known=name in rows,
            quantized=bool(packed),
        )

    # --- cache ----------------------------------------------------------------------------------------------

    def _cache(self, layers: int, head_dim: int, latent: int | None) -> tuple[CacheLayers, ...]:
        """Return the layers by what they cache."""
        if not layers or layers > 10_000:
            return ()
        if latent is not None:
            return (CacheLayers("latent", layers, latent),)
        kv_list = self.by_layer("attention.head_count_kv", layers)
        single = self.largest("attention.head_count_kv") or self.largest("attention.head_count")
        key = self.number("attention.key_length") or head_dim
        value = self.number("attention.value_length") or key
        if not key or not (kv_list or single):
            return ()
        windows = self._windows(layers)
        shared = self.number("attention.shared_kv_layers") or 0
        interval = self.number("full_attention_interval")
        counts: dict[CacheLayers, int] = defaultdict(int)
        for layer in range(layers):
            heads = kv_list[layer] if kv_list else single or 0
            recurrent = heads == 0 or (interval is not None and (layer + 1) % interval != 0)
            if layer >= layers - shared:
                counts[CacheLayers("shared", 1)] += 1
            elif recurrent:
                counts[self._state()] += 1
            elif windows is not None and windows[layer]:
                wide = self.number("attention.key_length_swa") or key
                tall = self.number("attention.value_length_swa") or value
                window = self.number("attention.sliding_window")
                counts[
                    CacheLayers("window", 1, heads * (wide + tall), window, split="kv_heads", heads=heads)
                ] += 1
            else:
                counts[CacheLayers("full", 1, heads * (key + value), split="kv_heads", heads=heads)] += 1
        return tuple(CacheLayers(**{**group.to_dict(), "count": count}) for group, count in counts.items())  # type: ignore[arg-type]

    def _windows(self, layers: int) -> list[bool] | None:
        """Return which layers have a sliding window: as the file lists them, else by the family's pattern."""
        if self.number("attention.sliding_window") is None:
            return None
        name = "attention.sliding_window_pattern"
        listed = self.get(name)
        if isinstance(listed, list) and listed:
            if len(listed) < layers:
                raise DocumentError(
                    f"{self.path}: {self.kind}.{name}: expected {layers} values, found {len(listed)}"
                )
            return [bool(flag) for flag in listed[:layers]]
        known = self.catalogs("architectures")
        entry = find_entry(known, f"gguf:{self.kind}")
        family = None if entry is None else Architecture.of(known.rows[entry])
        pattern = self.number(name) if isinstance(listed, int) else family.window_pattern if family else None
        if pattern is None:
            return None
        return [(layer + 1) % pattern != 0 for layer in range(layers)]

    def _state(self) -> CacheLayers:
        """Return a recurrent layer; llama.cpp keeps states and convolutions in 32 bits."""
        inner, state = self.number("ssm.inner_size") or 0, self.number("ssm.state_size") or 0
        kernel, groups = self.number("ssm.conv_kernel") or 1, self.number("ssm.group_count") or 0
        if not inner:
            return CacheLayers("none", 1)
        channels = inner + 2 * groups * state
        return CacheLayers(
            "state", 1, state_bytes=4 * inner * state, convolution_bytes=4 * (kernel - 1) * channels
        )
