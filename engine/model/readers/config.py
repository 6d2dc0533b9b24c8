"""`config.json` of Hugging Face Transformers: shapes, from which parameters are counted exactly.

The catalog `architectures` says how each architecture's parameters follow from its configuration. Of a
multimodal model, only the text part is counted (`text_config`).
"""

from __future__ import annotations

from engine.base.errors import Path
from engine.base.jsontypes import Json, JsonObject
from engine.model.model import Model
from engine.model.reader import Catalogs, ModelDocumentReader


def takes(value: Json) -> bool:
    """Test for a configuration."""
    return isinstance(value, dict) and ("architectures" in value or "model_type" in value)


def read(value: JsonObject, catalogs: Catalogs, path: Path) -> Model:
    """Return the model.

    Raises:
        RequestError: the architecture is unknown, or a field is missing or absurd; with its path.
    """
    from engine.model.configuration import read_config  # deferred: start-up time

    return read_config(value, catalogs, path=path)


READER = ModelDocumentReader(
    name="config.json",
    takes=takes,
    read=read,
    files=("config.json",),
    hint="use the weights (.safetensors, .gguf), or set the parameter count with --params",
    example="""\
{
  "architectures": ["LlamaForCausalLM"],
  "hidden_size": 4096,
  "intermediate_size": 14336,
  "max_position_embeddings": 131072,
  "num_attention_heads": 32,
  "num_hidden_layers": 32,
  "num_key_value_heads": 8,
  "torch_dtype": "bfloat16",
  "vocab_size": 128256
}
""",
)
