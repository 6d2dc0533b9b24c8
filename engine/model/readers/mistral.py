"""`params.json` of Mistral and of Llama's first releases: the fields of their own format, read as those of
a `config.json`.
"""

from __future__ import annotations

from engine.base.errors import Path, RequestError
from engine.base.jsontypes import Json, JsonObject
from engine.model.model import Model
from engine.model.reader import Catalogs, ModelDocumentReader

_NAMES = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "head_dim": "head_dim",
    "vocab_size": "vocab_size",
    "sliding_window": "sliding_window",
    "max_position_embeddings": "max_position_embeddings",
    "max_seq_len": "max_position_embeddings",
    "tied_embeddings": "tie_word_embeddings",
    "q_lora_rank": "q_lora_rank",
    "kv_lora_rank": "kv_lora_rank",
    "qk_rope_head_dim": "qk_rope_head_dim",
    "qk_nope_head_dim": "qk_nope_head_dim",
    "v_head_dim": "v_head_dim",
}
"""Fields of a `config.json` by their names in a `params.json`."""
_EXPERTS = {
    "num_experts": "num_local_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "expert_hidden_dim": "moe_intermediate_size",
    "num_shared_experts": "n_shared_experts",
    "first_k_dense_replace": "first_k_dense_replace",
}


def takes(value: Json) -> bool:
    """Test for the fields of the format."""
    return isinstance(value, dict) and {"dim", "n_layers", "n_heads"} <= value.keys()


def read(value: JsonObject, catalogs: Catalogs, path: Path) -> Model:
    """Return the model.

    Raises:
        RequestError: a field is missing or absurd, with its path in the document's own names where possible.
    """
    from engine.model.configuration import read_config  # deferred: start-up time

    fields: JsonObject = {name: value[own] for own, name in _NAMES.items() if value.get(own) is not None}
    moe = value.get("moe")
    if isinstance(moe, dict):
        fields |= {name: moe[own] for own, name in _EXPERTS.items() if moe.get(own) is not None}
    if "intermediate_size" not in fields:
        raise RequestError(
            "the configuration has no hidden_dim", path=path, hint="use the config.json of the same model"
        )
    latent = "kv_lora_rank" in fields
    family = "deepseek_v3" if latent else "mixtral" if isinstance(moe, dict) else "mistral"
    fields.setdefault("sliding_window", None)
    if not latent and isinstance(moe, dict) and "n_shared_experts" in fields:
        raise RequestError("shared experts are read from config.json only", path=(*path, "moe"))
    vision = value.get("vision_encoder")
    model = read_config({**fields, "model_type": family, "torch_dtype": "bfloat16"}, catalogs, path=path)
    if isinstance(vision, dict):
        from engine.base.records import replace  # deferred: start-up time

        note = "vision_encoder: the encoder for images is not counted"
        return replace(model, notes=(*model.notes, note))
    return model


READER = ModelDocumentReader(
    name="params.json",
    takes=takes,
    read=read,
    files=("params.json",),
    hint="use the config.json of the same model",
    example="""\
{
  "dim": 4096,
  "n_layers": 32,
  "head_dim": 128,
  "hidden_dim": 14336,
  "n_heads": 32,
  "n_kv_heads": 8,
  "vocab_size": 32768
}
""",
)
