"""Types of a model, as planning reads it."""

from __future__ import annotations

from collections.abc import Mapping

from engine.base.errors import Path, RequestError
from engine.base.jsontypes import JsonObject
from engine.base.records import record


@record
class Parameters:
    """Parameters of a model by part; None for a part that is unknown.

    `embedding` includes an untied output layer; `dense` includes shared experts; `active` are the parameters
    that one token uses.
    """

    total: int
    active: int
    embedding: int | None
    attention: int
    dense: int
    routed_expert: int
    other: int
    vision: int = 0
    """Towers for images, video and audio, with their projectors."""

    def to_dict(self) -> dict[str, int | None]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]


@record
class Storage:
    """How a checkpoint stores its weights.

    Attributes:
        name: row of catalog `quantization` that most quantized weights have; that of the unquantized type
            without
            any; None if unknown.
        method: method of quantization that the configuration names; None without one.
        bits: bits per parameter by component, scales included.
        bytes: weights by component, in bytes.
        group: weights that share a scale.
        activation_bits: bits of activations, if they are quantized.
        kv_dtype: type of the KV cache that the checkpoint asks for.
        kv_bits: bits of its numbers.
        names: rows of catalog `quantization` of all weights that are quantized.
        speculative_bytes: weights of layers for speculative decoding (MTP), which servers load on request
            only.
        known: the checkpoint says how its weights are stored.
        quantized: some weights are quantized.
    """

    name: str | None
    bits: Mapping[str, float]
    bytes: Mapping[str, int]
    method: str | None = None
    group: int | None = None
    activation_bits: int | None = None
    kv_dtype: str | None = None
    kv_bits: int | None = None
    names: tuple[str, ...] = ()
    speculative_bytes: int = 0
    known: bool = True
    quantized: bool = False

    @property
    def loaded_bytes(self) -> int | None:
        """Bytes of the weights that servers load; None if unknown."""
        return sum(self.bytes.values()) if self.known else None

    @property
    def total_bytes(self) -> int | None:
        """Bytes of the checkpoint, with layers for speculative decoding; None if unknown."""
        return sum(self.bytes.values()) + self.speculative_bytes if self.known else None

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        return {
            "name": self.name,
            "method": self.method,
            "bits": {part: round(bits, 5) for part, bits in self.bits.items()} if self.known else None,
            "group": self.group,
            "activation_bits": self.activation_bits,
            "kv_dtype": self.kv_dtype,
        }


@record
class CacheLayers:
    """Layers of a model that cache alike.

    Attributes:
        kind: full, window, chunked, latent, state, cross, shared (with a layer before) or none.
        count: number of layers.
        numbers: cached numbers per token and layer.
        window: tokens that are cached at most; None for all.
        state_bytes: recurrent state per request and layer.
        convolution_bytes: convolution state per request and layer.
        index_bytes: bytes per token and layer of an index, whatever the type of the KV cache.
        split: what tensor parallelism splits the cache by: kv_heads, value_heads or none.
        heads: number of these heads; 1 if it is not split.
    """

    kind: str
    count: int
    numbers: int = 0
    window: int | None = None
    state_bytes: int = 0
    convolution_bytes: int = 0
    index_bytes: int = 0
    split: str = "none"
    heads: int = 1

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]


VALUE_FIELDS = (
    *("name", "params", "active_params", "embedding_params", "expert_params", "layers", "hidden_size"),
    *("attention_heads", "kv_heads", "head_dim", "latent_size", "vocabulary", "intermediate_size"),
    *("experts", "experts_per_token", "expert_intermediate_size", "shared_expert_size"),
    *("sliding_window", "sliding_layers"),
    *(
        "quantization_group",
        "quantization_method",
        "fp8_group",
        "tied_embeddings",
        "context",
        "dtype",
        "quantization",
        "dense_bits",
        "expert_bits",
    ),
    *("embedding_bits", "head_bits", "kv_bits"),
    *("tower_params", "tower_bits", "mtp_layers", "mtp_params", "mtp_expert_params", "mtp_bits", "cache"),
)
"""Fields that expressions read, in the order of schemas/types.schema.json."""


@record
class Model:
    """A model to serve; `params` is its parameter count.

    The other fields come from its configuration and are None if that lacks them. `context` is in tokens;
    `dtype` and `quantization` are named as in the configuration.
    """

    params: int
    name: str | None = None
    architecture: str | None = None
    parameters: Parameters | None = None
    layers: int | None = None
    hidden_size: int | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocabulary: int | None = None
    context: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    source: str | None = None
    """What servers load: a folder, or a repository on Hugging Face's hub."""
    intermediate_size: int | None = None
    experts: int | None = None
    """Routed experts per MoE layer."""
    experts_per_token: int | None = None
    expert_intermediate_size: int | None = None
    shared_expert_size: int | None = None
    """MLP width of all shared experts of a layer together."""
    latent_size: int | None = None
    """KV cache per token and layer with latent attention (MLA), in numbers."""
    sliding_window: int | None = None
    sliding_layers: int | None = None
    """Layers with sliding-window attention."""
    quantization_group: int | None = None
    """Weights that share a scale in a checkpoint quantized by groups or blocks."""
    quantization_method: str | None = None
    """Method of a quantized checkpoint, by name in the catalog `quantization_methods`."""
    fp8_group: int | None = None
    """Weights that share a scale in FP8 checkpoints of such models; 1 if those of a channel do."""
    tied_embeddings: bool | None = None
    """The output layer shares the embedding's weights."""
    storage: Storage | None = None
    """How the checkpoint stores its weights."""
    dense_bits: float | None = None
    """Bits per parameter of a quantized checkpoint: all but routed experts, embedding and output layer."""
    expert_bits: float | None = None
    embedding_bits: float | None = None
    head_bits: float | None = None
    kv_bits: int | None = None
    tower_bits: float | None = None
    """Bits per parameter of a quantized checkpoint's towers for images, video and audio."""
    mtp_layers: int | None = None
    """Layers for multi-token prediction (MTP), which are no part of `layers`; None if unknown."""
    mtp_params: int | None = None
    """Parameters of these layers; None if they are not counted."""
    mtp_expert_params: int | None = None
    """Parameters of their routed experts."""
    mtp_bits: float | None = None
    """Bits per parameter of a quantized checkpoint's MTP layers."""
    cache: tuple[CacheLayers, ...] = ()
    """Layers by what they cache; empty if unknown."""
    notes: tuple[str, ...] = ()
    """What was assumed or is not modelled."""
    guessed: bool = False
    """Its architecture is unknown, and counted as a usual decoder."""
    named: bool = False
    """Known by its name, in the storage it was first published in; others may have quantized it otherwise."""

    @classmethod
    def value_types(cls) -> dict[str, type]:
        """Return the types of the fields that expressions read, without `cache`; most may be None."""
        types = {"str": str, "int": int, "float": float, "bool": bool}
        written = {name: str(kind).partition(" ")[0] for name, kind in cls.__annotations__.items()}
        return {name: types[written.get(name, "int")] for name in VALUE_FIELDS if name != "cache"}

    @property
    def active_params(self) -> int | None:
        """Parameters that one token uses."""
        return None if self.parameters is None else self.parameters.active

    @property
    def embedding_params(self) -> int | None:
        """Parameters of the embedding and the output layer."""
        return None if self.parameters is None else self.parameters.embedding

    @property
    def expert_params(self) -> int | None:
        """Parameters of routed experts."""
        return None if self.parameters is None else self.parameters.routed_expert

    @property
    def tower_params(self) -> int | None:
        """Parameters of towers for images, video and audio."""
        return None if self.parameters is None else self.parameters.vision

    def to_value(self) -> JsonObject:
        """Return the fields that expressions read."""
        value: JsonObject = {name: getattr(self, name) for name in VALUE_FIELDS}
        value["cache"] = [layers.to_dict() for layers in self.cache]
        return value

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        parameters = {"total": self.params} if self.parameters is None else self.parameters.to_dict()
        rest = {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]
        bits = tuple(name for name in rest if name.endswith("_bits"))
        for name in ("params", "parameters", "storage", "cache", "notes", "guessed", "named", *bits):
            del rest[name]
        quantization = rest.pop("quantization")
        if self.storage is not None:
            quantization = self.storage.to_dict()
        return {
            "name": rest.pop("name"),
            "parameters": parameters,
            **rest,
            "quantization": quantization,
            "notes": list(self.notes),
        }


def refuse_unknown(model: Model, path: Path = (), *, strict: bool) -> Model:
    """Return a model.

    Raises:
        RequestError: its architecture is unknown, and `strict` refuses these.
    """
    if strict and model.guessed:
        message = f"unknown architecture '{model.architecture}': its parameters cannot be counted"
        hint = "use the weights (.safetensors, .gguf), or set the parameter count with --params"
        raise RequestError(message, path=path, hint=hint)
    return model
