"""`model_index.json` of Diffusers: recognised, and refused: a pipeline for images is no language model."""

from __future__ import annotations

from engine.base.errors import Path, RequestError, quote
from engine.base.jsontypes import Json, JsonObject
from engine.model.model import Model
from engine.model.reader import Catalogs, ModelDocumentReader


def takes(value: Json) -> bool:
    """Test for the index of a pipeline."""
    return isinstance(value, dict) and "_class_name" in value and "_diffusers_version" in value


def read(value: JsonObject, catalogs: Catalogs, path: Path) -> Model:
    """Refuse the pipeline.

    Raises:
        RequestError: always: it is no language model.
    """
    name = quote(value["_class_name"])
    raise RequestError(
        f"this is a Diffusers pipeline ({name}), not a language model",
        path=(*path, "_class_name"),
        hint="give a text model: a folder with config.json, or weights",
    )


READER = ModelDocumentReader(
    name="model_index.json",
    takes=takes,
    read=read,
    files=("model_index.json",),
    hint="give a text model",
    example="""\
{
  "_class_name": "StableDiffusionXLPipeline",
  "_diffusers_version": "0.30.0"
}
""",
    refuses=True,
)
