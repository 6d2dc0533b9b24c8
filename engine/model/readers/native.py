"""The engine's own model document, as people write it (`schemas/model.schema.json`)."""

from __future__ import annotations

from engine.base.errors import Path
from engine.base.jsontypes import Json, JsonObject
from engine.model.model import Model
from engine.model.native import read_native
from engine.model.reader import Catalogs, ModelDocumentReader


def takes(value: Json) -> bool:
    """Test for a parameter count."""
    return (
        isinstance(value, dict) and "params" in value and not {"architectures", "model_type"} & value.keys()
    )


def read(value: JsonObject, catalogs: Catalogs, path: Path) -> Model:
    """Return the model.

    Raises:
        RequestError: what is wrong, with paths.
    """
    return read_native(value, path)


READER = ModelDocumentReader(
    name="engine model",
    takes=takes,
    read=read,
    files=(),
    hint="see schemas/model.schema.json",
    example="""\
name: my-model
params: 70B
layers: 80
hidden_size: 8192
kv_heads: 8
head_dim: 128
context: 131072
""",
)
