"""Speculative decoding, LoRA adapters and models without their towers in launch commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

import engine
from engine.base.errors import RenderError
from tests.render.launching import commands, decision, flags, render

MTP: dict[str, Any] = {"speculative": "mtp", "speculative_tokens": 2}
DEEPSEEK: dict[str, Any] = {"model": "deepseek-v3", "quantization": "fp8"}
H200 = "8xH200-SXM"


def config(serving: dict[str, Any]) -> dict[str, Any]:
    """Return vLLM's `--speculative-config`."""
    (words,) = commands("vllm", decision(H200, {"tp": 8}, **DEEPSEEK, serving=serving))
    return dict(json.loads(str(flags(words)["--speculative-config"])))


def test_vllm_takes_json() -> None:
    assert config(MTP) == {"method": "mtp", "num_speculative_tokens": 2}
    assert config({"speculative": "mtp"}) == {"method": "mtp", "num_speculative_tokens": 1}
    head = {"speculative": "eagle3", "draft_model": "some/head"}
    assert config(head) == {"method": "eagle3", "num_speculative_tokens": 3, "model": "some/head"}
    assert config({"speculative": "ngram"}) == {
        "method": "ngram",
        "num_speculative_tokens": 3,
        "prompt_lookup_max": 4,
    }


def test_an_unnamed_head_is_a_placeholder_with_a_comment() -> None:
    text = render("vllm", decision(H200, {"tp": 8}, **DEEPSEEK, serving={"speculative": "eagle3"}))
    assert text.startswith("# DRAFT_MODEL: what drafts tokens for eagle3\n")
    assert '"model": "DRAFT_MODEL"' in text


def test_sglang_drafts_a_chain() -> None:
    (words,) = commands("sglang", decision(H200, {"tp": 8}, **DEEPSEEK, serving=MTP))
    expected = {
        "--speculative-algorithm": "NEXTN",
        "--speculative-num-steps": "2",
        "--speculative-eagle-topk": "1",
        "--speculative-num-draft-tokens": "3",
    }
    assert expected.items() <= flags(words).items()
    (words,) = commands("sglang", decision(H200, {"tp": 8}, **DEEPSEEK, serving={"speculative": "ngram"}))
    assert flags(words)["--speculative-num-draft-tokens"] == "3"
    assert "--speculative-num-steps" not in flags(words)


def test_llama_cpp_loads_a_file() -> None:
    drafts = {"speculative": "draft_model", "draft_params": 1000, "draft_layers": 2, "draft_kv_numbers": 1}
    for model, word in (("some/model", "$DRAFT_GGUF"), ("draft.gguf", "draft.gguf")):
        serving = {**drafts, "draft_model": model}
        (words,) = commands("llama.cpp", decision("1xRTX-4090", {}, model="qwen3-8b", serving=serving))
        found = flags(words)
        assert (found["-md"], found["-ngld"], found["--spec-draft-n-max"]) == (word, "999", "3")
        assert found["--spec-type"] == "draft-simple"
        old = decision("1xRTX-4090", {}, model="qwen3-8b", serving={**serving, "server_version": "b9000"})
        (words,) = commands("llama.cpp", old)
        found = flags(words)
        assert (found["-md"], found["--draft-max"]) == (word, "3")
        assert "--spec-type" not in found


def test_llama_cpp_drafts_with_layers_of_the_model() -> None:
    (words,) = commands("llama.cpp", decision("1xRTX-5090", {}, model="qwen3.6-27b", serving=MTP))
    found = flags(words)
    assert (found["--spec-type"], found["--spec-draft-n-max"]) == ("draft-mtp", "2")
    assert not {"-md", "-ngld"} & found.keys()


def test_tensorrt_llm_reads_it_from_its_file() -> None:
    text = render("trtllm-serve", decision(H200, {"tp": 8}, **DEEPSEEK, serving=MTP))
    assert "speculative_config:\n  decoding_type: MTP\n  num_nextn_predict_layers: 2\n" in text


def test_dynamo_and_ray_serve_pass_it_on() -> None:
    serving = {**MTP, "server": "tensorrt-llm"}
    document = yaml.safe_load(render("dynamo", decision(H200, {"tp": 8}, **DEEPSEEK, serving=serving)))
    words = document["spec"]["services"]["Worker"]["extraPodSpec"]["mainContainer"]["args"]
    overridden = json.loads(words[words.index("--override-engine-args") + 1])
    assert overridden["speculative_config"] == {"decoding_type": "MTP", "num_nextn_predict_layers": 2}
    document = yaml.safe_load(render("ray-serve", decision(H200, {"tp": 8}, **DEEPSEEK, serving=MTP)))
    arguments = document["applications"][0]["args"]["llm_configs"][0]["engine_kwargs"]
    assert arguments["speculative_config"] == {"method": "mtp", "num_speculative_tokens": 2}


@pytest.mark.parametrize(
    ("target", "serving", "words"),
    [
        ("vllm", {**MTP, "server": "vllm@0.11"}, "speculative decoding by mtp are not known"),
        ("trtllm-serve", {"speculative": "ngram"}, "speculative decoding by ngram are not known"),
        ("vllm", {"speculative": "eagle3", "draft_model": "-x"}, "not a valid command argument"),
    ],
)
def test_what_a_server_has_no_options_for(target: str, serving: dict[str, Any], words: str) -> None:
    with pytest.raises(RenderError, match=words):
        render(target, decision(H200, {"tp": 8}, **DEEPSEEK, serving=serving))


def test_adapters() -> None:
    (words,) = commands("vllm", decision(H200, {"tp": 8}, serving={"max_loras": 4, "max_lora_rank": 32}))
    expected = {"--enable-lora": None, "--max-loras": "4", "--max-lora-rank": "32"}
    assert expected.items() <= flags(words).items()
    (words,) = commands("sglang", decision(H200, {"tp": 8}, serving={"max_lora_rank": 24}))
    expected = {
        "--enable-lora": None,
        "--max-loras-per-batch": "1",
        "--max-lora-rank": "24",
        "--lora-target-modules": "all",
    }
    assert expected.items() <= flags(words).items()


def test_adapters_have_the_rank_that_the_policy_planned() -> None:
    asked = {"inventory": "1xH100-SXM", "model": "qwen3-8b", "quantization": "bf16"}
    planned = render("vllm", engine.decide(**asked, max_lora_rank=24))
    assert "--max-lora-rank 32" in planned
    assert "--max-lora-rank 16" in render("vllm", engine.decide(**asked, max_loras=2))


@pytest.mark.parametrize(
    ("target", "model", "there"),
    [
        ("vllm", "qwen3-vl-32b", True),
        ("sglang", "qwen3-vl-32b", True),
        ("vllm", "qwen3-32b", False),
        ("llama.cpp", "qwen3-vl-32b", False),
    ],
)
def test_towers_are_left_out_by_a_flag_where_there_are_some(target: str, model: str, there: bool) -> None:
    serving = {"language_model_only": True}
    text = render(target, decision("1xH100-SXM", {}, model=model, serving=serving))
    assert ("--language-model-only" in text) == there


def test_older_versions_have_no_such_options() -> None:
    towers = {"server": "vllm@0.12", "language_model_only": True}
    with pytest.raises(RenderError, match=r"vLLM 0\.12 has no option for the plan's text_only"):
        render("vllm", decision(H200, {}, model="qwen3-vl-32b", serving=towers))
    adapters = {"server": "sglang@0.4.6", "max_loras": 1}
    (words,) = commands("sglang", decision(H200, {}, serving={"server": "sglang@0.5", "max_loras": 1}))
    assert "--enable-lora" in flags(words)
    with pytest.raises(RenderError, match="has no option for the plan's lora"):
        render("sglang", decision(H200, {}, serving=adapters))
