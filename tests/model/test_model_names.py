"""Models by name: as people write them, with storage at the end of a name, and without wrong guesses."""

from __future__ import annotations

import json
import re

import pytest

from engine.base.errors import RequestError
from engine.catalogs.resolved import Catalogs
from engine.model import Model
from engine.model.cache import bytes_per_token
from engine.model.source import find_model
from tests.conftest import DATA, Run

PUBLISHED: dict[str, int] = json.loads((DATA / "names" / "published.json").read_text())
"""Parameters of models as their publishers count them, without layers for speculation."""

NAMES = {
    "meta-llama/Llama-3.3-70B-Instruct": "llama-3.1-70b",
    "meta-llama/Meta-Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Llama-3.2-3B-Instruct": "llama-3.2-3b",
    "llama3.1": None,
    "llama3.1:8b": "llama-3.1-8b",
    "llama3.1:70b-instruct-q4_K_M": "llama-3.1-70b",
    "llama3.3": "llama-3.1-70b",
    "llama3.2:1b": "llama-3.2-1b",
    "llama4:scout": "llama-4-scout-17b-16e",
    "RedHatAI/Meta-Llama-3.1-70B-Instruct-quantized.w4a16": "llama-3.1-70b",
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic": "llama-3.1-8b",
    "neuralmagic/Meta-Llama-3.1-405B-Instruct-FP8": "llama-3.1-405b",
    "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4": "llama-3.1-70b",
    "nvidia/Llama-3.1-405B-Instruct-FP4": "llama-3.1-405b",
    "unsloth/Llama-3.2-1B-Instruct-bnb-4bit": "llama-3.2-1b",
    "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF": "llama-3.1-8b",
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": "llama-3.1-70b",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": "qwen2.5-32b",
    "DeepSeek-R1-Distill-Qwen-1.5B": "deepseek-r1-distill-qwen-1.5b",
    "deepseek-ai/DeepSeek-V3-0324": "deepseek-v3",
    "deepseek-ai/DeepSeek-V3.1": "deepseek-v3",
    "deepseek-ai/DeepSeek-V3.2-Exp": "deepseek-v3.2",
    "deepseek-v4-flash": "deepseek-v4-flash",
    "deepseek-r1:671b": "deepseek-r1",
    "nvidia/DeepSeek-R1-0528-NVFP4": "deepseek-r1-nvfp4",
    "Qwen/Qwen2.5-72B-Instruct-AWQ": "qwen2.5-72b-awq",
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8": "qwen2.5-7b",
    "qwen2.5-coder:32b": "qwen2.5-32b",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2.5-vl-7b",
    "Qwen/QwQ-32B": "qwq-32b",
    "Qwen/Qwen3-4B": "qwen3-4b",
    "Qwen/Qwen3-4B-Instruct-2507": "qwen3-4b-2507",
    "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b-2507",
    "Qwen/Qwen3-235B-A22B-Thinking-2507-FP8": "qwen3-235b-a22b-2507",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8": "qwen3-coder-480b-a35b",
    "Qwen/Qwen3-Next-80B-A3B-Instruct": "qwen3-next-80b-a3b",
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3-vl-8b",
    "Qwen/Qwen3-32B-AWQ": "qwen3-32b",
    "qwen3:30b": "qwen3-30b-a3b",
    "qwen3": None,
    "Qwen/Qwen3-Embedding-8B": "qwen3-embedding-8b",
    "Qwen/Qwen3.5-397B-A17B": "qwen3.5-397b-a17b",
    "nvidia/Qwen3.6-27B-NVFP4": "qwen3.6-27b",
    "google/gemma-2-27b-it": "gemma-2-27b",
    "google/gemma-3-27b-it": "gemma-3-27b",
    "gemma3:12b": "gemma-3-12b",
    "gemma3": None,
    "google/gemma-3n-E4B-it": "gemma-3n-e4b",
    "google/gemma-4-31B-it": "gemma-4-31b",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistral-7b-v0.3",
    "TheBloke/Mistral-7B-Instruct-v0.2-GPTQ": "mistral-7b-v0.2",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistral-small-3.1-24b",
    "mistralai/Devstral-Small-2507": "devstral-small-24b",
    "mistralai/Magistral-Small-2506": "devstral-small-24b",
    "mistral-nemo": "mistral-nemo-12b",
    "mistralai/Mixtral-8x7B-Instruct-v0.1": "mixtral-8x7b-v0.1",
    "mixtral:8x22b": "mixtral-8x22b-v0.1",
    "mistralai/Ministral-3-14B-Instruct-2512": "ministral-3-14b",
    "microsoft/phi-4": "phi-4",
    "microsoft/Phi-4-mini-instruct": "phi-4-mini",
    "phi4:14b": "phi-4",
    "zai-org/GLM-4.5-Air-FP8": "glm-4.5-air",
    "zai-org/GLM-4.7": "glm-4.6",
    "zai-org/GLM-5.2-FP8": "glm-5.2",
    "moonshotai/Kimi-K2-Instruct-0905": "kimi-k2-0905",
    "moonshotai/Kimi-K2-Thinking": "kimi-k2-thinking",
    "moonshotai/Kimi-K2.5": "kimi-k2.5",
    "nvidia/Kimi-K2.5-NVFP4": "kimi-k2.5-nvfp4",
    "MiniMaxAI/MiniMax-M2": "minimax-m2.5",
    "MiniMaxAI/MiniMax-M1-80k": "minimax-m1-80k",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "gpt-oss:20b": "gpt-oss-20b",
    "gpt-oss": None,
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "nemotron-3-nano-30b-a3b",
    "ibm-granite/granite-3.3-8b-instruct": "granite-3.3-8b",
    "ibm-granite/granite-4.0-h-small": "granite-4.0-h-small",
    "CohereLabs/c4ai-command-a-03-2025": "command-a",
    "command-r": "command-r-08-2024",
    "allenai/OLMo-2-0325-32B-Instruct": "olmo-2-32b",
    "ByteDance-Seed/Seed-OSS-36B-Instruct": "seed-oss-36b",
    "baidu/ERNIE-4.5-300B-A47B-PT": "ernie-4.5-300b-a47b",
    "tiiuae/Falcon3-10B-Instruct": "falcon3-10b",
    "HuggingFaceTB/SmolLM3-3B": "smollm3-3b",
    "BAAI/bge-m3": "bge-m3",
    "intfloat/e5-mistral-7b-instruct": "e5-mistral-7b",
    "openai/whisper-large-v3": "whisper-large-v3",
    "XiaomiMiMo/MiMo-V2-Flash": "mimo-v2-flash",
    "stepfun-ai/Step-3.7-Flash": "step-3.7-flash",
    "meta-llama/Llama-3.2-11B-Vision-Instruct": "llama-3.2-11b-vision",
    "meta-llama/Llama-Guard-4-12B": "llama-guard-4-12b",
    "Qwen/Qwen2-57B-A14B-Instruct-GPTQ-Int4": "qwen2-57b-a14b",
    "Qwen/QVQ-72B-Preview": "qwen2-vl-72b",
    "Qwen/Qwen2.5-Math-7B-Instruct": "qwen2.5-math-7b",
    "mistralai/Pixtral-12B-2409": "pixtral-12b",
    "mistralai/Mamba-Codestral-7B-v0.1": "codestral-mamba-7b",
    "deepseek-ai/deepseek-moe-16b-chat": "deepseek-moe-16b",
    "deepseek-r1:32b": "qwen2.5-32b",
    "deepseek-r1:8b": "deepseek-r1-0528-qwen3-8b",
    "zai-org/GLM-4.5V": "glm-4.5v",
    "OpenGVLab/InternVL3-78B-AWQ": "internvl3-78b",
    "inclusionAI/Ring-1T": "ling-1t",
    "rednote-hilab/dots.llm1.inst": "dots.llm1",
    "ibm-granite/granite-4.0-h-tiny": "granite-4.0-h-tiny",
    "tiiuae/falcon-mamba-7b-instruct": "falcon-mamba-7b",
    "databricks/dbrx-instruct": "dbrx",
    "xai-org/grok-2": "grok-2",
    "google/flan-t5-xxl": "flan-t5-xxl",
    "openai/whisper-small": "whisper-small",
    "answerdotai/ModernBERT-large": "modernbert-large",
    "phi3.5": "phi-3-mini-128k",
    "bartowski/Qwen_Qwen3-32B-GGUF": "qwen3-32b",
    "bartowski/google_gemma-3-27b-it-GGUF": "gemma-3-27b",
}
"""Rows by names that people write; None for a family, whose size must be named."""

STORED = {
    "Qwen/Qwen3-32B-AWQ": ("int4", 4.15625),
    "Qwen/Qwen3-32B-FP8": ("fp8", 8.0),
    "RedHatAI/Meta-Llama-3.1-70B-Instruct-quantized.w4a16": ("int4", 4.125),
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8": ("int8", 8.0),
    "nvidia/Llama-3.1-405B-Instruct-NVFP4": ("nvfp4", 4.5),
    "unsloth/Llama-3.2-1B-Instruct-bnb-4bit": ("nf4", 4.127),
    "llama3.1:70b-instruct-q4_K_M": ("q4_k_m", 4.85),
    "bartowski/Qwen3-14B-GGUF:Q6_K": ("q6_k", 6.5625),
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8": ("int8", 8.1875),
    "mlx-community/Qwen3-8B-4bit": ("int4", 4.5),
    "meta-llama/Llama-3.1-8B": ("bf16", 16.0),
    "openai/gpt-oss-20b": ("mxfp4", None),
    "deepseek-ai/DeepSeek-R1": ("fp8", 8.0),
    "google/gemma-3-27b-it-qat-q4_0-gguf": ("q4_0", 4.5),
    "bartowski/Qwen_Qwen3-32B-GGUF:Q4_K_M": ("q4_k_m", 4.85),
}


CATALOGS = Catalogs()


def find(name: str) -> Model:
    return find_model(name, CATALOGS)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_its_row_or_asks(name: str) -> None:
    expected = NAMES[name]
    if expected is None:
        with pytest.raises(RequestError, match="is a family of several models") as caught:
            find(name)
        assert "name one: " in str(caught.value.hint)
        return
    assert find(name).name == expected


@pytest.mark.parametrize("name", STORED)
def test_the_end_of_a_name_says_how_weights_are_stored(name: str) -> None:
    model = find(name)
    assert model.storage is not None
    quantization, bits = STORED[name]
    assert model.storage.name == quantization
    if bits is not None:
        assert model.storage.bits["dense"] == pytest.approx(bits, rel=1e-3)


def test_a_repository_of_gguf_files_does_not_say_its_type() -> None:
    (note,) = find("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF").notes
    assert "name one after a colon" in note
    assert find("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q8_0").notes == ()


@pytest.mark.parametrize(
    "name",
    ["gpt-4", "stepfun-ai/step3", "claude-3", "llama_3_9b", "meta-llama/Llama-Guard-5-1B"],
)
def test_a_hint_names_no_model_that_is_unlike(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        find(name)
    assert "did you mean" not in str(caught.value.hint)
    assert "known:" not in str(caught.value.hint)


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_of_rows_are_the_published_ones(name: str) -> None:
    assert find(name).params == PUBLISHED[name]


@pytest.mark.slow
def test_the_catalog_has_at_least_150_checkpoints() -> None:
    known = CATALOGS("models")
    assert len(known.rows) >= 150
    for name in known.rows:
        model = find(name)
        assert model.notes == (), name
        assert model.context or not bytes_per_token(model.cache), name  # recurrent models have no limit


@pytest.mark.parametrize("name", ["qwen3-5b", "Qwen3-40B", "llama-3.1-71b", "qwen3-17b", "gemma-5-27b"])
def test_a_number_that_no_row_has_gets_no_wrong_hint(name: str, run: Run) -> None:
    ran = run("model", "show", name)
    assert (ran.code, ran.out) == (2, "")
    assert "no file and no well-known model" in ran.err
    assert "did you mean" not in ran.err


def test_a_misspelt_name_is_hinted_at(run: Run) -> None:
    assert "did you mean 'qwen3-32b'" in run("model", "show", "qwn3-32b").err


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("llama-3.1-70b", "meta-llama/Meta-Llama-3.1-70B"),
        ("Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("llama-3.3-70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("llama3.3:70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("qwen2.5-coder:7b", "Qwen/Qwen2.5-Coder-7B-Instruct"),
        ("qwen2.5:7b", "Qwen/Qwen2.5-7B-Instruct"),
        ("magistral", "mistralai/Magistral-Small-2506"),
        ("mistral-small3.2:24b", "mistralai/Mistral-Small-3.2-24B-Instruct-2506"),
        ("RedHatAI/Qwen3-32B-quantized.w4a16", "RedHatAI/Qwen3-32B-quantized.w4a16"),
        ("llama3.1:70b-instruct-q4_K_M", None),
    ],
)
def test_servers_load_the_name_on_the_hub(name: str, source: str | None) -> None:
    assert find(name).source == source


@pytest.mark.slow
def test_a_short_name_is_never_loaded_as_another_model() -> None:
    """Every word and version of a short name, sizes aside, is in the name of the repository."""
    known = CATALOGS("models")
    for alias in [*known.rows, *(each for each in known.aliases if "/" not in each)]:
        source = find(alias).source
        assert source is not None, alias
        loaded = re.sub(r"[^a-z0-9.]", "", source.casefold().replace("_", "."))
        words = re.findall(r"\d+\.\d+|[a-z]{3,}", re.sub(r"[-:]?\d+(\.\d+)?b\b", " ", alias.casefold()))
        assert [word for word in words if word not in loaded] == [], f"{alias}: {source}"
