"""Models of the engine's own form, as people write them (schemas/model.schema.json)."""

from __future__ import annotations

from typing import Any

from engine.base.errors import Path, RequestError, quote
from engine.base.jsontypes import Json
from engine.base.quantities import parse_count
from engine.documents import validate
from engine.model.model import VALUE_FIELDS, CacheLayers, Model, Parameters
from engine.model.shapes import with_cache

_BITS = frozenset({"dense_bits", "expert_bits", "embedding_bits", "head_bits", "tower_bits", "mtp_bits"})
_PARAMS = ("active_params", "embedding_params", "expert_params", "tower_params")
_MTP_PARAMS = ("mtp_params", "mtp_expert_params")


FIELDS = frozenset({*VALUE_FIELDS, "apiVersion", "kind", "architecture", "source"})
"""Fields of a document of this form."""


def read_native(value: Json, path: Path = ()) -> Model:
    """Return the model in a decoded document.

    Args:
        value: the decoded document.
        path: of the model in its document, for errors.

    Raises:
        RequestError: the document violates the schema, or a count is unreadable or exceeds the total.
    """
    problems = validate(value, "model")
    if problems or not isinstance(value, dict):
        raise RequestError([problem.under(path) for problem in problems])
    return _model(value, path)


def _model(value: dict[str, Any], path: Path) -> Model:
    if str(value.get("source", "")).startswith("-"):
        message = f"source: {quote(value['source'])} begins with '-', like an option of a server"
        raise RequestError(message, path=(*path, "source"), hint="put ./ in front of a folder's name")
    total = read_params(value["params"], (*path, "params"))
    counts = {name: read_params(value[name], (*path, name)) for name in _PARAMS if name in value}
    for name, count in counts.items():
        if count > total:
            message = f"{name}: {count} exceeds the model's {total} parameters"
            raise RequestError(message, path=(*path, name))
    parameters = None
    if counts:
        embedding, routed = counts.get("embedding_params"), counts.get("expert_params", 0)
        towers = counts.get("tower_params", 0)
        if (embedding or 0) + routed > total:
            message = f"expert_params: with embedding_params, they exceed the model's {total} parameters"
            raise RequestError(message, path=(*path, "expert_params"))
        if (embedding or 0) + routed + towers > total:
            message = f"tower_params: with other components, they exceed the model's {total} parameters"
            raise RequestError(message, path=(*path, "tower_params"))
        parameters = Parameters(
            total=total,
            active=counts.get("active_params", total),
            embedding=embedding,
            attention=0,
            dense=total - (embedding or 0) - routed - towers,
            routed_expert=routed,
            other=0,
            vision=towers,
        )
    other = value.keys() - {"apiVersion", "kind", "params", "cache", *_PARAMS, *_MTP_PARAMS}
    fields: dict[str, Any] = {
        name: float(value[name]) if name in _BITS else _whole(value[name]) for name in other
    }
    fields |= {name: read_params(value[name], (*path, name)) for name in _MTP_PARAMS if name in value}
    if (fields.get("mtp_expert_params") or 0) > (fields.get("mtp_params") or 0):
        message = "mtp_expert_params: they exceed mtp_params"
        raise RequestError(message, path=(*path, "mtp_expert_params"))
    cache = tuple(
        CacheLayers(**{name: _whole(part) for name, part in layers.items()})
        for layers in value.get("cache", ())
    )
    return with_cache(Model(params=total, parameters=parameters, cache=cache, **fields))


def _whole(value: Any) -> Any:
    """Return a number without its `.0`; other values unchanged."""
    return int(value) if isinstance(value, float) else value


def read_params(value: int | str, path: Path | None = None) -> int:
    """Return a count of parameters: 70B, 8030261248.

    Raises:
        RequestError: it is no count.
    """
    if not isinstance(value, str):
        return int(value)
    try:
        return parse_count(value)
    except ValueError as error:
        raise RequestError(str(error), path=path) from None
