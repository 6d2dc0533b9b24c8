"""Models: their type, and one reader a source."""

from __future__ import annotations

from typing import Any

from engine.documents import validate
from engine.errors import Path, RequestError
from engine.model.types import Model, Parameters
from engine.quantities import parse_count

__all__ = ["Model", "Parameters", "read_model", "read_params"]


def read_model(value: Any, path: Path = ()) -> Model:
    """The model in a decoded document: the engine's own form (schemas/model.schema.json), or a `config.json`.

    Raises:
        RequestError: what is wrong, with the paths under `path`.
    """
    if isinstance(value, dict) and ("architectures" in value or "model_type" in value):
        from engine.model.config import read_config

        return read_config(value, path=path)
    problems = validate(value, "model")
    if problems:
        raise RequestError([problem.under(path) for problem in problems])
    return _native(value, path)


_PARAMS = ("active_params", "embedding_params", "expert_params")


def _native(value: dict[str, Any], path: Path) -> Model:
    """The model in a document that keeps to the schema.

    Raises:
        RequestError: a count that can't be read, or of more than there are.
    """
    total = read_params(value["params"], (*path, "params"))
    counts = {name: read_params(value[name], (*path, name)) for name in _PARAMS if name in value}
    for name, count in counts.items():
        if count > total:
            message = f"{name}: {count} are more than the {total} parameters of the model"
            raise RequestError(message, path=(*path, name))
    parameters = None
    if counts:
        embedding, routed = counts.get("embedding_params"), counts.get("expert_params", 0)
        if (embedding or 0) + routed > total:
            message = f"expert_params: with the embedding's they are more than the {total} of the model"
            raise RequestError(message, path=(*path, "expert_params"))
        parameters = Parameters(
            total=total,
            active=counts.get("active_params", total),
            embedding=embedding,
            attention=0,
            dense=total - (embedding or 0) - routed,
            routed_expert=routed,
            other=0,
        )
    plain = {name: _whole(value[name]) for name in value.keys() - {"apiVersion", "kind", "params", *_PARAMS}}
    return Model(params=total, parameters=parameters, **plain)


def _whole(value: Any) -> Any:
    """A number of a document without its `.0`; text as it stands."""
    return int(value) if isinstance(value, float) else value


def read_params(value: int | str, path: Path | None = None) -> int:
    """A count of parameters: 70B, 8030261248.

    Raises:
        RequestError: not a count.
    """
    if not isinstance(value, str):
        return int(value)
    try:
        return parse_count(value)
    except ValueError as error:
        raise RequestError(str(error), path=path) from None
