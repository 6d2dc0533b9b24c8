"""Published configurations against their index: counts, KV cache per token, windows, states, storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.base.errors import RequestError
from engine.model import Model, read_model
from engine.model.sidecar import with_sidecar
from engine.render.model import as_dict
from tests.conftest import TOP

CONFIGS = TOP.parent / "shared" / "reference" / "configs"
LINES = (CONFIGS / "index.jsonl").read_text().splitlines() if CONFIGS.exists() else []
INDEX: list[dict[str, Any]] = [json.loads(line) for line in LINES]
pytestmark = pytest.mark.skipif(not INDEX, reason="the reference data is not here")

REFUSED = {
    "hub--lora-adapter.json": "LoRA adapter",
    "mb--nemotron_h_bridge_0.json": "no n_routed_experts",  # its pattern has MoE layers
    "min--head_dim-0.json": "head_dim",
    "min--heads-not-multiple.json": "not a multiple",
    "min--layer_types-conv.json": "not a kind of layer",
    "min--layer_types-unknown-kind.json": "not a kind of layer",
    "min--layer_types-wrong-length.json": "expected 36 values",
    "min--moe-string-step.json": "decoder_sparse_step",
    "min--text-config-with-top-arch-null.json": "text_config",
}
"""What the error says of configurations that describe no model."""
OTHERWISE = {
    # The index has the defaults of transformers' class, which does not read this file's `thinker_config`.
    "mb--qwen3_asr_config_1.json",
}
STORED = {
    "fp8 (8 bit)": "fp8",
    "3 bit": "int3",
    "4 bit": "int4",
    "8 bit": "mxfp8",
    "by layer": None,  # the section names no layers
    None: "bf16",
}
"""Names in the catalog of what the index calls otherwise."""


def read(name: str) -> Model:
    value = json.loads((CONFIGS / name).read_text(encoding="utf-8-sig"))
    beside = CONFIGS / f"{name.removesuffix('.json')}.hf_quant_config.json"
    return read_model(with_sidecar(value, json.loads(beside.read_text())) if beside.exists() else value)


@pytest.mark.parametrize(
    "row", [row for row in INDEX if row["file"] not in REFUSED], ids=lambda row: row["file"]
)
def test_a_configuration_has_the_shape_and_sizes_of_the_index(row: dict[str, Any]) -> None:
    model = read(row["file"])
    if row["file"] in OTHERWISE:
        return
    shown: Any = as_dict(model)
    parameters, cache = shown["parameters"], shown["kv_cache"]
    found = {
        "parameters_text": parameters["total"] - parameters["vision"],
        "parameters_with_vision_audio": parameters["total"],
        "layers": shown["layers"],
        "attention_heads": shown["attention_heads"],
        "kv_heads": shown["kv_heads"],
        "context": shown["context"],
        "kv_bytes_per_token_bf16": cache["bytes_per_token_bf16"],
        "kv_windows": cache["windows"],
        "state_bytes_per_request": cache["state_bytes_per_request"],
    }
    expected = {name: row[name] for name in found if name in row}
    if "kv_bytes_per_token_bf16" in expected:
        expected.setdefault("kv_windows", [])
    assert {name: found[name] for name in expected} == expected
    if "stored_as" in row:
        assert shown["quantization"]["name"] == STORED.get(row["stored_as"], row["stored_as"])


@pytest.mark.parametrize("name", REFUSED if INDEX else [])
def test_a_configuration_that_describes_no_model_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(RequestError, match=REFUSED[name]):
        read(name)


def test_all_configurations_are_in_the_index() -> None:
    files = {path.name for path in Path(CONFIGS).glob("*.json") if "hf_quant_config" not in path.name}
    assert files == {row["file"] for row in INDEX}
