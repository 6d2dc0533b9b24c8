"""A model as far as planning reads it."""

from __future__ import annotations

from typing import Any

from engine.records import record


@record
class Parameters:
    """How many parameters a model has, and where; None of a part of which nothing is said.

    `embedding` has the output layer too, where it isn't the same; `dense` has shared experts; `active`
    are those that one token goes through.
    """

    total: int
    active: int
    embedding: int | None
    attention: int
    dense: int
    routed_expert: int
    other: int

    def to_dict(self) -> dict[str, int | None]:
        """As programs read it."""
        return {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]


VALUE_FIELDS = (
    *("name", "params", "active_params", "embedding_params", "expert_params", "layers", "hidden_size"),
    *("attention_heads", "kv_heads", "head_dim", "latent_size", "vocabulary", "intermediate_size"),
    *("experts", "experts_per_token", "expert_intermediate_size", "sliding_window", "sliding_layers"),
    *("quantization_group", "tied_embeddings", "context", "dtype", "quantization"),
)
"""What expressions read of a model, in the order of schemas/types.schema.json."""


@record
class Model:
    """The model that is to be served; `params` is its count of parameters.

    What else is known comes of its configuration, and is None where that doesn't say it. `context` is in
    tokens, `dtype` and `quantization` are as the configuration names them.
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
    """Where servers load it from: a folder, or its name on Hugging Face's hub."""
    intermediate_size: int | None = None
    experts: int | None = None
    """Routed ones of a layer that has some."""
    experts_per_token: int | None = None
    expert_intermediate_size: int | None = None
    latent_size: int | None = None
    """Numbers that are kept of a token and a layer where keys and values are compressed into one vector."""
    sliding_window: int | None = None
    sliding_layers: int | None = None
    """Layers that look back over the window only."""
    quantization_group: int | None = None
    """Weights that share a scale, of a checkpoint that is quantized in groups or blocks."""
    tied_embeddings: bool | None = None
    """The output layer is the embedding."""

    @property
    def active_params(self) -> int | None:
        """Those that one token goes through."""
        return None if self.parameters is None else self.parameters.active

    @property
    def embedding_params(self) -> int | None:
        """Of the embedding and the output layer."""
        return None if self.parameters is None else self.parameters.embedding

    @property
    def expert_params(self) -> int | None:
        """Of routed experts."""
        return None if self.parameters is None else self.parameters.routed_expert

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {name: getattr(self, name) for name in VALUE_FIELDS}

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        parameters = {"total": self.params} if self.parameters is None else self.parameters.to_dict()
        rest = {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]
        del rest["params"], rest["parameters"]
        return {"name": rest.pop("name"), "parameters": parameters, **rest}
