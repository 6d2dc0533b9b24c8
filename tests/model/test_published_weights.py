"""Sizes of checkpoints against what their publishers' repositories hold, within 2 %.

Sizes are those of the weights' files: `total_size` of the index of safetensors, or the sum of the files.
"""

from __future__ import annotations

import pytest

from engine.catalogs.resolved import Catalogs
from engine.model.source import find_model

GIB = 2**30 / 1e9
PUBLISHED = {
    "meta-llama/Llama-3.1-8B": 16.06,
    "meta-llama/Llama-3.1-70B": 141.1,
    "meta-llama/Llama-3.1-405B": 811.7,
    "mistralai/Mixtral-8x7B-v0.1": 93.4,
    "google/gemma-3-27b-it": 54.86,
    "Qwen/Qwen2.5-7B-Instruct": 15.23,
    "zai-org/GLM-4.5-Air": 220.9,
    "openai/gpt-oss-20b": 13.76,
    "openai/gpt-oss-120b": 65.2,
    "deepseek-ai/DeepSeek-R1": 688.6,
    "moonshotai/Kimi-K2.5": 594.0,
    "nvidia/Kimi-K2.5-NVFP4": 591.0,
    "nvidia/DeepSeek-R1-NVFP4": 385 * GIB,
    "nvidia/Gemma-4-31B-IT-NVFP4": 31 * GIB,
    "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4": 39.77,
    "Qwen/Qwen2.5-7B-Instruct-AWQ": 5.57,
    "Qwen/Qwen2.5-72B-Instruct-AWQ": 41.6,
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8": 8.87,
    "Qwen/Qwen3-235B-A22B-FP8": 236.4,
    "Qwen/Qwen3-32B-FP8": 34.3,
    "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic": 72.7,
    "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M": 4.92,
    "bartowski/Meta-Llama-3.1-70B-Instruct-GGUF:Q4_K_M": 42.5,
}
"""Gigabytes (10^9 bytes)."""
CATALOGS = Catalogs()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_checkpoint_has_its_published_size(name: str) -> None:
    storage = find_model(name, CATALOGS)[0].storage
    assert storage is not None
    assert storage.total_bytes is not None
    assert storage.total_bytes / 1e9 == pytest.approx(PUBLISHED[name], rel=0.02)
