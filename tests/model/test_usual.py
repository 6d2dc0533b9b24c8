"""Unknown architectures: how they are counted, the stated interval, and patches of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.base.errors import RequestError
from engine.model.architectures import shipped_catalog
from engine.model.cache import bytes_per_token
from engine.model.usual import usual_decoder
from engine.model.well_known import configuration
from tests.conftest import DATA, Run

LLAMA = json.loads((DATA / "models" / "meta-llama--Meta-Llama-3.1-8B.json").read_text())
NOVEL = {**LLAMA, "architectures": ["NovelForCausalLM"], "model_type": "novel"}
PATCH = """\
apiVersion: engine/v1
kind: CatalogPatch
name: ours
version: 1.0.0
base: unknown_architectures@1
entries:
"""


@pytest.fixture
def patched(tmp_path: Path, run: Run) -> Any:
    """Shows a configuration with a patch of catalog unknown_architectures."""

    def show(entries: str, **changes: Any) -> Any:
        config = tmp_path / "config.json"
        config.write_text(json.dumps({**NOVEL, **changes}))
        patch = tmp_path / "own" / "patch" / "ours" / "1.0.0.yaml"
        patch.parent.mkdir(parents=True, exist_ok=True)
        patch.write_text(PATCH + entries)
        return run("model", "show", config, "--policies", tmp_path / "own", "--format", "json")

    return show


def test_every_row_counts_by_a_row_of_the_catalog_and_states_a_source() -> None:
    known = shipped_catalog("architectures")
    for row in shipped_catalog("unknown_architectures").rows.values():
        assert row["architecture"] in known.rows
        assert 0 < row["smaller"] < 1
        assert row["larger"] > 0
        assert row["source"]


def test_the_note_states_the_interval_of_the_row() -> None:
    row = shipped_catalog("unknown_architectures").rows["decoder"]
    smaller, larger = round(100 * row["smaller"]), round(100 * row["larger"])
    (note,) = engine.read_model(NOVEL).notes
    assert note == (
        "unknown architecture 'NovelForCausalLM': counted as a usual decoder; "
        f"its true size may be {smaller} % smaller or {larger} % larger"
    )


def unknown(value: dict[str, Any]) -> dict[str, Any]:
    """A configuration under the names of a class that nobody knows."""
    sections = (
        {"text_config": {**value["text_config"], "model_type": "novel"}} if "text_config" in value else {}
    )
    return {**value, "architectures": ["NovelForCausalLM"], "model_type": "novel", **sections}


@pytest.mark.slow
def test_known_models_are_within_the_interval_if_their_architecture_is_taken_for_unknown() -> None:
    """Encoders apart, whose sizes the interval does not cover: a note says that they are not counted."""
    taken: dict[str, int] = {}
    for name, row in shipped_catalog("models").rows.items():
        value = configuration(row)
        text = {**value, **value.get("text_config", {})}  # type: ignore[dict-item]
        usual = usual_decoder(text, shipped_catalog)
        if usual is None:
            continue
        try:
            counted = engine.read_model(unknown(value)).params
        except RequestError:
            continue  # layers that the family has not
        model = engine.read_model(value)
        assert model.parameters is not None
        true = model.params - (model.parameters.vision or 0)
        assert -usual["smaller"] <= true / counted - 1 <= usual["larger"], name
        taken[usual["architecture"]] = taken.get(usual["architecture"], 0) + 1
    assert taken.keys() == {
        row["architecture"] for row in shipped_catalog("unknown_architectures").rows.values()
    }
    assert sum(taken.values()) > 150


@pytest.mark.parametrize("name", ["moonlight-16b-a3b", "deepseek-v2-lite", "kimi-k2", "minicpm3-4b"])
def test_an_unknown_model_with_latent_attention_caches_its_latent_vectors(name: str) -> None:
    value = configuration(shipped_catalog("models").rows[name])
    counted, true = (bytes_per_token(engine.read_model(each).cache) for each in (unknown(value), value))
    assert counted == true > 0


@pytest.mark.parametrize("name", ["mixtral-8x7b-v0.1", "gpt-oss-20b", "phi-3.5-moe"])
def test_experts_of_the_size_of_a_dense_mlp_are_counted(name: str) -> None:
    """The size of Qwen 3's experts, 768, would make a tenth of the model."""
    value = configuration(shipped_catalog("models").rows[name])
    counted, true = engine.read_model(unknown(value)).params, engine.read_model(value).params
    assert counted == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_experts": 64},  # how many are active?
        {"moe_num_experts": 64, "moe_k": 6},
        {"moe_intermediate_size": 768},
        {"hybrid_override_pattern": "M-M*"},
        {"type_vocab_size": 2},
        {"relative_attention_num_buckets": 32},
        {"mamba_d_state": 128},
        {"linear_attn_config": {"num_heads": 32}},
        {"block_types": ["recurrent", "attention"]},
        {"kv_lora_rank": 512},  # latent attention, with widths missing
    ],
)
def test_parts_that_a_usual_decoder_does_not_have_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="unknown architecture 'NovelForCausalLM': its parameters cannot"):
        engine.read_model({**NOVEL, **fields})


def test_the_hint_names_a_field_that_no_usual_decoder_has() -> None:
    for field, value in (("hybrid_override_pattern", "M-M*"), ("type_vocab_size", 2)):
        with pytest.raises(RequestError) as caught:
            engine.read_model({**NOVEL, field: value})
        assert str(caught.value.hint).startswith(f"no usual decoder has {field}; use the weights")


def test_embeddings_are_tied_unless_a_configuration_says_otherwise() -> None:
    """Files leave out what PretrainedConfig has as well."""
    silent = {name: value for name, value in NOVEL.items() if name != "tie_word_embeddings"}
    difference = engine.read_model(NOVEL).params - engine.read_model(silent).params
    assert difference == NOVEL["vocab_size"] * NOVEL["hidden_size"]


@pytest.mark.parametrize("field", shipped_catalog("unknown_architectures").rows["decoder"]["numbers"])
def test_a_configuration_without_a_usual_field_is_refused(field: str) -> None:
    for value in ({**NOVEL, field: "many"}, {name: NOVEL[name] for name in NOVEL if name != field}):
        with pytest.raises(RequestError, match="unknown architecture 'NovelForCausalLM': its parameters"):
            engine.read_model(value)


def test_a_patch_changes_the_interval(patched: Any) -> None:
    shown = patched("  decoder: {smaller: 0.07, larger: 1.5}\n").json
    assert "its true size may be 7 % smaller or 150 % larger" in shown["notes"][0]


def test_a_patch_asks_for_other_fields(patched: Any) -> None:
    ran = patched("  decoder: {numbers: [hidden_size, novel_size]}\n")
    assert ran.code == 2
    assert "unknown architecture 'NovelForCausalLM'" in ran.err
    assert patched("  decoder: {numbers: [hidden_size, novel_size]}\n", novel_size=1).code == 0


def test_a_patch_adds_a_row_that_is_tried_first(patched: Any) -> None:
    """Qwen 3 is Llama with norms of 128 numbers for queries and for keys in each of 32 layers."""
    row = "{rank: 30, architecture: qwen3, numbers: [novel_size], smaller: 0.0, larger: 0.0, source: ours}"
    shown = patched(f"  novel: {row}\n", novel_size=1).json
    assert shown["parameters"]["total"] == engine.read_model(LLAMA).params + 32 * 2 * 128
    assert "0 % smaller or 0 % larger" in shown["notes"][0]


def test_a_row_that_names_no_architecture_is_an_error(patched: Any) -> None:
    ran = patched("  decoder: {architecture: lama}\n")
    assert ran.code == 2
    assert "catalog unknown_architectures: no architecture 'lama'" in ran.err
    assert "Traceback" not in ran.err
