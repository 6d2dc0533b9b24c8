"""Models as planning reads them: types, parameter counts, one reader per source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.errors import Path
from engine.base.jsontypes import Json
from engine.base.lazy import face
from engine.model.model import Model, Parameters, Storage, refuse_unknown
from engine.model.native import FIELDS, read_native, read_params

if TYPE_CHECKING:
    from engine.base.aliases import Names
    from engine.model.architectures import Architectures, shipped_catalog
    from engine.model.configuration import TYPES
    from engine.model.model import VALUE_FIELDS, CacheLayers
    from engine.model.source import find_model

__all__ = [
    "TYPES",
    "VALUE_FIELDS",
    "CacheLayers",
    "Model",
    "Parameters",
    "Storage",
    "find_model",
    "read_model",
    "read_params",
    "refuse_unknown",
    "shipped_catalog",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "architectures": "shipped_catalog",
            "configuration": "TYPES",
            "model": "CacheLayers VALUE_FIELDS",
            "source": "find_model",
        },
        "cache",
    )


def read_model(
    value: Json, path: Path = (), *, architectures: Architectures | None = None, strict: bool = False
) -> Model:
    """Return the model in a decoded document: the engine's own form, a `config.json`, or a package's form.

    Args:
        value: the decoded document.
        path: of the model in its document, for errors.
        architectures: loads the catalog by which a `config.json` is counted; the shipped one if it is None.
        strict: refuse an architecture that the catalog does not have, instead of counting it as a usual
            decoder.

    Raises:
        RequestError: what is wrong, with paths below `path`.
    """
    if isinstance(value, dict) and value.keys() <= FIELDS:
        return read_native(value, path)
    from engine.model.architectures import shipped_catalog  # deferred: start-up time
    from engine.model.documents import read_document_model  # deferred: start-up time

    def catalogs(name: str) -> Names:
        return (
            architectures()
            if architectures is not None and name == "architectures"
            else shipped_catalog(name)
        )

    return refuse_unknown(read_document_model(value, catalogs, path), path, strict=strict)
