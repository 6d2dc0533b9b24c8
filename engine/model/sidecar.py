"""Files beside a configuration that say how its checkpoint is stored: `hf_quant_config.json` of NVIDIA's
Model Optimizer.
"""

from __future__ import annotations

import os

from engine.base.errors import DocumentError, RequestError
from engine.base.jsontypes import Json, JsonObject

NAME = "hf_quant_config.json"
_LONGEST = 16 * 1024 * 1024


def sidecar_of(path: str) -> str | None:
    """Return the file beside a configuration, or beside one that is named after a model; None if there is
    none.
    """
    folder, name = os.path.split(path)
    options = [NAME] if name == "config.json" else [f"{name.removesuffix('.json')}.{NAME}"]
    found = (os.path.join(folder, option) for option in options)
    return next((option for option in found if os.path.isfile(option)), None)


def with_sidecar(value: JsonObject, sidecar: Json, path: str = NAME) -> JsonObject:
    """Return a configuration whose quantization section has what the file beside it says as well.

    Args:
        value: the configuration.
        sidecar: the file's decoded content.
        path: of the file, for errors.

    Raises:
        RequestError: it has no section `quantization`, or names another algorithm than the configuration.
    """
    section = sidecar.get("quantization") if isinstance(sidecar, dict) else None
    if not isinstance(section, dict):
        raise RequestError(f"{path}: expected a mapping with quantization")
    holder = next(
        (name for name in ("quantization_config", "compression_config") if isinstance(value.get(name), dict)),
        None,
    )
    present = value.get(holder) if holder else None
    assert present is None or isinstance(present, dict)
    if present is not None:
        mine, theirs = present.get("quant_algo"), section.get("quant_algo")
        if isinstance(mine, str) and isinstance(theirs, str) and mine != theirs:
            raise RequestError(f"{path}: quant_algo is {theirs}, but {mine} in {holder} of the configuration")
    merged: JsonObject = {"quant_method": "modelopt", **section, **(present or {})}
    return {**value, holder or "quantization_config": merged}


def read_sidecar(path: str) -> Json:
    """Return the content of the file.

    Raises:
        DocumentError: it cannot be read, or is no JSON.
    """
    from engine.documents import Limits, read_text  # deferred: start-up time
    from engine.documents.json_source import decode_json  # deferred: start-up time

    try:
        content: Json = decode_json(read_text(path, Limits(bytes=_LONGEST), pipes=False))
    except ValueError as error:
        raise DocumentError(f"{path}: {str(error)[:200]}") from None
    return content
