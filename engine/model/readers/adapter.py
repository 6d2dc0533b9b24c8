"""`adapter_config.json` of PEFT: recognised, and refused with the name of the model that it changes."""

from __future__ import annotations

from engine.base.errors import Path, RequestError, quote
from engine.base.jsontypes import Json, JsonObject
from engine.model.model import Model
from engine.model.reader import Catalogs, ModelDocumentReader


def takes(value: Json) -> bool:
    """Test for the configuration of an adapter."""
    return isinstance(value, dict) and "peft_type" in value


def read(value: JsonObject, catalogs: Catalogs, path: Path) -> Model:
    """Refuse the adapter.

    Raises:
        RequestError: always: an adapter is no model.
    """
    base = value.get("base_model_name_or_path")
    of = f" of {quote(base)}" if isinstance(base, str) and base else ""
    kind = str(value["peft_type"])
    label = "LoRA" if kind.upper() == "LORA" else kind
    hint = f"give the base model: --model {base}" if of else "give the base model"
    raise RequestError(f"this is a {label} adapter{of}, not a model", path=(*path, "peft_type"), hint=hint)


READER = ModelDocumentReader(
    name="adapter_config.json",
    takes=takes,
    read=read,
    files=("adapter_config.json",),
    hint="give the base model",
    example="""\
{
  "peft_type": "LORA",
  "base_model_name_or_path": "meta-llama/Llama-3.1-8B",
  "r": 16
}
""",
    refuses=True,
)
