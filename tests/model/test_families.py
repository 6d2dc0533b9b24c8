"""Configurations of many families against parameter counts from elsewhere.

The counts are those of the classes of Hugging Face's transformers 5.24, built without weights, or those that
publishers state.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.base.errors import RequestError
from engine.model import read_model
from engine.model.cache import bytes_per_token, convolution_bytes, state_bytes, windows
from tests.conftest import DATA

LINES = (DATA / "models" / "counted.jsonl").read_text().splitlines()
FAMILIES: dict[str, Any] = {row["name"]: row for row in map(json.loads, LINES)}
LLAMA = json.loads((DATA / "models" / "meta-llama--Meta-Llama-3.1-8B.json").read_text())


def config(name: str, **changes: Any) -> dict[str, Any]:
    return {**FAMILIES[name]["config"], **changes}


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_are_those_of_the_class(name: str) -> None:
    model = read_model(config(name))
    assert model.params == FAMILIES[name]["parameters"]
    assert not model.guessed
    assert not [note for note in model.notes if "not counted" in note]


CACHES = {
    "deepseek-moe-16b": (28 * 16 * 128 * 2 * 2, {}),  # plain attention, though the class is DeepSeek's
    "EXAONE-3.5-2.4B": (30 * 8 * 80 * 2 * 2, {}),
    "paligemma-3b-224": (18 * 256 * 2 * 2, {}),  # Gemma 1 has no window
    "gpt-neo-2.7B": (16 * 2560 * 2 * 2, {256: 16 * 2560 * 2 * 2}),
    "dbrx": (40 * 8 * 128 * 2 * 2, {}),
    "bloom": (70 * 14336 * 2 * 2, {}),
    "Zamba2-2.7B": (9 * 32 * 160 * 2 * 2, {}),
    "t5-3b": (24 * 32 * 128 * 2 * 2, {}),
    "falcon-mamba-7b": (0, {}),
}
"""Bytes per token in bf16 of layers that keep all tokens, and of those with a window, by its tokens."""


@pytest.mark.parametrize("name", CACHES)
def test_the_cache_is_that_of_the_layers(name: str) -> None:
    cache = read_model(config(name)).cache
    assert (bytes_per_token(cache), windows(cache)) == CACHES[name]


def test_recurrent_models_keep_a_state() -> None:
    """A state in 32 bits, and the last three inputs of the convolution in 16."""
    cache = read_model(config("falcon-mamba-7b")).cache
    assert (state_bytes(cache), convolution_bytes(cache)) == (64 * 4 * 8192 * 16, 64 * 2 * 8192 * 3)
    cache = read_model(config("Mamba-Codestral-7B")).cache
    channels = 8192 + 2 * 8 * 128
    assert (state_bytes(cache), convolution_bytes(cache)) == (64 * 4 * 8192 * 128, 64 * 2 * channels * 3)


@pytest.mark.parametrize("name", ["mamba-2.8b-hf", "Mamba-Codestral-7B", "rwkv-4-pile-7b"])
def test_models_without_attention_have_no_heads(name: str) -> None:
    model = read_model(config(name))
    assert (model.attention_heads, model.kv_heads, model.head_dim) == (None, None, None)


def test_a_multimodal_class_has_the_text_model_that_its_section_names() -> None:
    """Qwen 2 has biases where Llama has none; LLaVA may hold either."""
    value = config("pixtral-12b")
    text = value["text_config"] | {"sliding_window": None, "use_sliding_window": False}
    mistral = read_model({**value, "text_config": text}).params
    qwen = read_model({**value, "text_config": {**text, "model_type": "qwen2"}}).params
    assert qwen - mistral == 40 * (4096 + 2 * 1024)


def test_the_flag_around_the_text_section_ties_embeddings() -> None:
    value = config("lighton-ocr")
    tied = read_model({**value, "tie_word_embeddings": True}).params
    untied = read_model({**value, "tie_word_embeddings": False}).params
    assert value["text_config"]["tie_word_embeddings"] is True
    assert untied - tied == 151936 * 1024


def test_sizes_of_another_family_are_no_defaults() -> None:
    """EXAONE counts like Llama, but has its own number of layers."""
    value = config("InternVL2_5-8B")["llm_config"]  # InternLM 2 counts like Llama
    assert read_model(value).layers == 32
    del value["num_hidden_layers"]
    with pytest.raises(RequestError, match="no num_hidden_layers"):
        read_model(value)


@pytest.mark.parametrize("word", ["moe", "hash_moe", "sparse"])
def test_words_for_layers_with_experts(word: str) -> None:
    value = config("dots.llm1", mlp_layer_types=["dense"] + [word] * 61)
    assert read_model(value).params == FAMILIES["dots.llm1"]["parameters"]


def test_an_unknown_word_for_an_mlp_is_refused() -> None:
    with pytest.raises(RequestError, match="mlp_layer_types: 'wide' is not a kind of MLP"):
        read_model(config("dots.llm1", mlp_layer_types=["wide"] * 62))


def test_biases_of_latent_attention() -> None:
    value = config("dots.llm1")
    latent = {
        **value,
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "attention_bias": True,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "q_lora_rank": 1536,
    }
    biased, plain = read_model(latent).params, read_model({**latent, "attention_bias": False}).params
    assert biased - plain == 62 * (1536 + 512 + 64 + 4096)


def test_latent_attention_may_be_off() -> None:
    """DeepSeek-OCR's text model names DeepSeek V2's class, with plain attention."""
    value = config("deepseek-moe-16b", architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2")
    none = dict.fromkeys(("kv_lora_rank", "q_lora_rank"))
    model = read_model({**value, **none, "use_mla": False, "qk_rope_head_dim": 0, "v_head_dim": 0})
    assert model.params == FAMILIES["deepseek-moe-16b"]["parameters"]
    assert bytes_per_token(model.cache) == 28 * 16 * 128 * 2 * 2


def test_layers_replaced_with_one_projection() -> None:
    def block(linear: str) -> dict[str, Any]:
        attention = {"n_heads_in_group": 4, "no_op": False, "replace_with_linear": linear == "attention"}
        feed = {"ffn_mult": 2.625, "no_op": False, "replace_with_linear": linear == "ffn"}
        return {"attention": attention, "ffn": feed}

    value = {**LLAMA, "architectures": ["DeciLMForCausalLM"], "model_type": "nemotron-nas"}
    value |= {"num_hidden_layers": 1, "num_key_value_heads": None, "intermediate_size": None}
    whole, attention, feed = (
        read_model({**value, "block_configs": [block(name)]}).params for name in ("", "attention", "ffn")
    )
    size = 7168  # 2 * 2.625 * 4096 / 3, a multiple of 256
    assert whole - attention == 2 * 4096 * 4096 + 2 * 4096 * 1024 - 4096 * 4096
    assert whole - feed == 3 * 4096 * size - 4096 * 4096


def test_sections_that_no_row_counts_are_noted() -> None:
    value = {
        "architectures": ["GraniteSpeechForConditionalGeneration"],
        "model_type": "granite_speech",
        "text_config": {**LLAMA, "model_type": "granite"},
        "projector_config": {"hidden_size": 1024},
        "encoder_config": {"hidden_dim": 1024, "num_layers": 10},
        "generation_config": {"top_k": 1},
    }
    noted = [note.partition(":")[0] for note in read_model(value).notes]
    assert noted == ["projector_config", "encoder_config"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("AlbertForMaskedLM", "use the weights"),
        ("LlamasForCausalLM", "did you mean 'LlamaForCausalLM'"),
        ("MChatbotModel", "use the weights"),
    ],
)
def test_a_hint_names_families_that_are_alike(name: str, hint: str) -> None:
    """Endings like ForCausalLM make any two classes alike."""
    with pytest.raises(RequestError) as caught:
        read_model({"architectures": [name], "model_type": "novel"})
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        ({"type": "linear", "factor": 4.0}, 4 * 131072),
        ({"rope_type": "dynamic", "factor": 6.0}, 6 * 131072),
        ({"rope_type": "llama3", "factor": 8.0}, 131072),
        ({"rope_type": "longrope", "factor": 8.0}, 131072),
        ({"rope_type": "linear", "factor": "8"}, 131072),
    ],
)
def test_scaled_positions_give_the_context_that_servers_derive(scaling: Any, context: int) -> None:
    assert (
        read_model({**LLAMA, "max_position_embeddings": 131072, "rope_scaling": scaling}).context == context
    )


def test_gemma_3_states_its_context_scaled() -> None:
    value = {**LLAMA, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text"}
    scaling = {"rope_type": "linear", "factor": 8.0}
    assert read_model({**value, "max_position_embeddings": 131072, "rope_scaling": scaling}).context == 131072
