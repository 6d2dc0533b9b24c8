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
    return Model(read_params(value["params"], (*path, "params")), value.get("name"))


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
