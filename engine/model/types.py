"""A model as far as planning reads it."""

from __future__ import annotations

from typing import Any

from engine.records import record


@record
class Parameters:
    """How many parameters a model has, and where.

    `embedding` has the output layer too, where it isn't the same; `dense` has shared experts; `active`
    are those that one token goes through.
    """

    total: int
    active: int
    embedding: int
    attention: int
    dense: int
    routed_expert: int
    other: int

    def to_dict(self) -> dict[str, int]:
        """As programs read it."""
        return {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]


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

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {"name": self.name, "params": self.params}

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        parameters = {"total": self.params} if self.parameters is None else self.parameters.to_dict()
        rest = {name: getattr(self, name) for name in self.__record__}  # type: ignore[attr-defined]
        del rest["params"], rest["parameters"]
        return {"name": rest.pop("name"), "parameters": parameters, **rest}
