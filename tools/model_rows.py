"""Print rows of the catalog `models` for `config.json` files of Hugging Face Transformers.

    python tools/model_rows.py --hub OWNER/NAME config.json

A row keeps the fields that counts, caches and contexts depend on; the engine reads it as the configuration
itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

SECTIONS = ("text_config", "llm_config", "language_config")
LISTS = (
    *("layer_types", "hybrid_override_pattern", "hybrid_layer_pattern", "moe_layer_freq", "mlp_layer_types"),
    *(
        "compress_ratios",
        "indexer_types",
        "layers_block_type",
        "attn_type_list",
        "full_attn_idxs",
        "num_key_value_heads",
        "intermediate_size",
        "cross_attention_layers",
        "attention_layers",
        "attn_layer_indices",
    ),
)
NULLS = {
    "q_lora_rank",
    "sliding_window",
    "kv_lora_rank",
    "num_key_value_heads",
    "n_inner",
    "intermediate_size",
}
"""Fields for which null differs from a default."""
TEXTS = {"model_type", "norm_type", "feed_forward_proj", "version", "hybrid_override_pattern"}
"""Texts that counts depend on."""
SKIPPED = {
    *(
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "use_cache",
        "pretraining_tp",
        "initializer_range",
        "index_topk",
    ),
    *(
        "rope_theta",
        "n_group",
        "topk_group",
        "norm_topk_prob",
        "chunk_size",
        "ep_size",
    ),
    *(
        "output_router_logits",
        "router_aux_loss_coef",
        "rope_interleave",
        "indexer_rope_interleave",
        "use_mamba_kernels",
    ),
    *(
        "rescale_prenorm_residual",
        "residual_in_fp32",
        "num_logits_to_keep",
        "moe_shared_expert_overlap",
        "unk_token_id",
    ),
    *(
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "is_decoder",
        "is_encoder_decoder",
        "use_flash_attn",
    ),
    *(
        "image_token_id",
        "video_token_id",
        "vision_start_token_id",
        "vision_end_token_id",
        "mamba_chunk_size",
        "num_mtp_modules",
    ),
}


def run_lengths(values: list[Any]) -> str:
    """Return a list as text: `full_attention sliding_attention*5`."""
    runs = ((value, len(list(group))) for value, group in groupby(map(str, values)))
    return " ".join(value if count == 1 else f"{value}*{count}" for value, count in runs)


def row_of(config: dict[str, Any], hub: str) -> dict[str, Any]:
    """Return the row of a configuration."""
    section = next((name for name in SECTIONS if isinstance(config.get(name), dict)), None)
    text = {**config, **config[section]} if section else config
    row: dict[str, Any] = {"class": config["architectures"][0], "hub": hub}
    numbers, flags, lists = {}, {}, {}
    for name, value in text.items():
        if name in SKIPPED or name.endswith("_token_id"):
            continue
        if name in LISTS and isinstance(value, list):
            lists[name] = run_lengths(value)
        elif isinstance(value, bool):
            flags[name] = value
        elif isinstance(value, int):
            numbers[name] = value
    row["dtype"] = text.get("dtype") or text.get("torch_dtype") or "bfloat16"
    nulls = [name for name, value in text.items() if value is None and name in NULLS]
    words = {name: str(text[name]) for name in TEXTS if isinstance(text.get(name), (str, float))}
    row |= {name: value for name, value in (("nulls", nulls), ("texts", words)) if value}
    vision = config.get("vision_config")
    if isinstance(vision, dict):
        kinds = {"vision": int, "vision_flags": bool, "vision_texts": str}
        for column, kind in kinds.items():
            row[column] = {
                name: value
                for name, value in vision.items()
                if type(value) is kind and (kind is not str or name in TEXTS)
            }
    return {**row, "numbers": numbers, "flags": flags, "lists": lists}


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hub", required=True)
    parser.add_argument("config", type=Path)
    arguments = parser.parse_args()
    json.dump(row_of(json.loads(arguments.config.read_text()), arguments.hub), sys.stdout)
    print()


if __name__ == "__main__":
    main()
