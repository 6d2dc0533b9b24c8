"""Speculative decoding in requests: names of methods, draft models, MTP layers, bad input."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from engine.base.errors import RequestError
from engine.catalogs.resolved import Catalogs
from engine.decide.sources import Sources, read_sources
from engine.model import read_model
from engine.model.configuration import read_config
from tests.conftest import Run

QWEN: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 3072,
    "vocab_size": 1000,
}
GLM: dict[str, Any] = {
    **QWEN,
    "architectures": ["Glm4MoeForCausalLM"],
    "model_type": "glm4_moe",
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 512,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 1,
}


def decide(**asked: Any) -> engine.Decision:
    return engine.decide(inventory="8xH100-SXM", quantization="bf16", **asked)


def test_a_draft_model_is_sized_by_its_name() -> None:
    decision = decide(model="qwen3-32b", speculative="draft", draft_model="qwen3-0.6b")
    assert decision.request is not None
    serving = decision.request.inputs["serving"]
    assert isinstance(serving, dict)
    # Qwen3-0.6B: 28 layers, keys and values of 8 heads of 128.
    assert serving["speculative"] == "draft_model"
    assert serving["draft_model"] == "Qwen/Qwen3-0.6B"
    assert (serving["draft_layers"], serving["draft_kv_numbers"], serving["draft_kv_heads"]) == (28, 57344, 8)
    assert serving["draft_params"] == 596_049_920


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"speculative": "mpt"}, "unknown method of speculative decoding 'mpt'"),
        ({"speculative": "draft", "draft_model": "qwen3-0.7b-x"}, "draft_model: "),
        ({"speculative": "mtp", "speculative_tokens": 0}, "speculative_tokens: 0 is less than 1"),
        ({"speculative": "mtp", "acceptance_length": 0.5}, "acceptance_length: 0.5 is less than 1"),
        ({"max_lora_rank": 0}, "max_lora_rank: 0 is less than 1"),
        ({"max_loras": 0}, "max_loras: 0 is less than 1"),
        ({"prefix_cache_hit_rate": 1.5}, "prefix_cache_hit_rate: 1.5 is more than 1"),
        ({"speculative": "mtp", "policy": "sharding@2"}, "the policy does not plan speculative decoding"),
    ],
)
def test_bad_goals_are_errors(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        decide(model="qwen3-32b", **asked)
    assert words in str(caught.value)


def test_a_model_without_mtp_layers_refuses_mtp() -> None:
    decision = decide(model="llama-3.1-70b", speculative="mtp")
    assert decision.explanation == "the model has no MTP layers: use eagle3, draft_model or ngram"


def test_accepted_tokens_make_a_step_worth_more() -> None:
    times = [
        engine.decide(
            inventory="8xH200-SXM",
            model="deepseek-v3",
            quantization="fp8",
            speculative="mtp",
            acceptance_length=length,
        ).plan
        for length in (1.0, 2.0)
    ]
    first, second = (plan.estimates for plan in times if plan is not None)
    assert first is not None
    assert second is not None
    assert first.time_per_output_token_ms == pytest.approx(2 * (second.time_per_output_token_ms or 0.0))
    assert sum((second.parts_ms or {}).values()) == pytest.approx(second.time_per_output_token_ms)


def test_mtp_layers_of_a_configuration() -> None:
    catalogs = Catalogs()
    model = read_config(GLM, catalogs)
    hidden = 1024
    attention = 2 * hidden * 16 * 64 + 2 * hidden * 8 * 64
    experts = 8 * 3 * hidden * 512
    shared = 3 * hidden * 512
    router = 8 * hidden + 8
    norms, joining = 2 * hidden, 2 * hidden * hidden + 3 * hidden
    assert model.mtp_layers == 1
    assert model.mtp_expert_params == experts
    total = attention + experts + shared + router + norms + joining + 2 * 1000 * hidden
    assert model.mtp_params == total
    assert read_config(QWEN, catalogs).mtp_layers == 0
    assert read_config({**GLM, "num_nextn_predict_layers": 0}, catalogs).mtp_layers == 0


@pytest.mark.parametrize(
    ("source", "layers"),
    [
        ({**QWEN, "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next"}, 1),
        (
            {
                **QWEN,
                "architectures": ["MiMoForCausalLM"],
                "model_type": "mimo",
                "num_nextn_predict_layers": 2,
            },
            2,
        ),
    ],
)
def test_mtp_layers_of_families_whose_shape_is_not_modelled(source: dict[str, Any], layers: int) -> None:
    model = read_config(source, Catalogs())
    assert (model.mtp_layers, model.mtp_params) == (layers, None)


def test_a_model_of_the_engines_own_form_states_its_mtp_layers() -> None:
    model = read_model({"params": "8B", "mtp_layers": 1, "mtp_params": "250M", "mtp_bits": 8}, ())
    assert (model.mtp_layers, model.mtp_params, model.mtp_bits) == (1, 250_000_000, 8.0)


def test_command_line(run: Run) -> None:
    result = run(
        *("eval", "--inventory", "8xH200-SXM", "--model", "deepseek-v3", "--quantization", "fp8"),
        *("--speculative", "nextn", "--speculative-tokens", "2", "--acceptance-length", "2.4"),
        *("--prefix-cache-hit-rate", "0.5", "--max-loras", "2", "--max-lora-rank", "8"),
        *("--language-model-only", "--format", "vllm"),
    )
    assert result.code == 0
    assert """--speculative-config '{"method": "mtp", "num_speculative_tokens": 2}'""" in result.out
    assert "--max-lora-rank 8" in result.out


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("qwen3.5-27b", 1),
        ("qwen3.6-35b-a3b", 1),
        ("qwen3.5-397b-a17b-nvfp4", 1),
        ("ernie-4.5-21b-a3b", 1),
        ("ernie-4.5-300b-a47b", 1),
        ("glm-4.6", 1),
        ("qwen3-32b", 0),
    ],
)
def test_well_known_models_have_their_mtp_layers(name: str, layers: int) -> None:
    sources = Sources(inventory="1xH200-SXM", model=name, quantization="auto")
    request = read_sources(sources, Catalogs()).request
    assert request.model is not None
    assert request.model.mtp_layers == layers
