"""Models from GGUF files: counts, exact bytes, cache by layer, split files, and files that are no models."""

from __future__ import annotations

import random
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_names
from engine.model import Model
from engine.model.source import find_model
from tests.conftest import Run

TYPES = {"F32": 0, "F16": 1, "Q4_K": 12, "Q6_K": 14, "Q8_0": 8, "MXFP4": 39}
ROWS, WIDTH = 64, 256
"""A tensor of 64 rows of 256 numbers, one block of K-quants each."""
SHAPE = {"block_count": 2, "context_length": 4096, "embedding_length": 256, "attention.head_count": 8}
LAYER = {"attn_q": "Q4_K", "attn_v": "Q6_K", "ffn_up": "Q4_K", "ffn_down": "Q6_K", "attn_norm": "F32"}


def write(
    path: Path,
    kind: str,
    fields: Mapping[str, Any],
    tensors: Mapping[str, str],
    general: Mapping[str, Any] | None = None,
) -> Path:
    """Write a file whose tensors have ROWS rows of WIDTH numbers of a type."""
    writer = gguf.GGUFWriter(path, kind)
    for name, value in {
        **{f"{kind}.{name}": value for name, value in fields.items()},
        **(general or {}),
    }.items():
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        else:
            writer.add_uint32(name, value)
    for name, type_name in tensors.items():
        type_ = GGMLQuantizationType(TYPES[type_name])
        block, size = GGML_QUANT_SIZES[type_]
        data = np.zeros((ROWS, WIDTH // block * size), np.uint8)
        writer.add_tensor(name, data, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama(path: Path, **fields: Any) -> Path:
    tensors = {"token_embd.weight": "Q4_K", "output.weight": "Q6_K", "output_norm.weight": "F32"}
    tensors |= {f"blk.{n}.{name}.weight": type_ for n in range(2) for name, type_ in LAYER.items()}
    return write(
        path, "llama", {**SHAPE, "attention.head_count_kv": 2, **fields}, tensors, {"general.file_type": 15}
    )


def read(path: Path) -> Model:
    return find_model(str(path), load_names)[0]


def test_a_mixed_file_has_the_exact_bytes_of_its_tensors(tmp_path: Path, run: Run) -> None:
    path = llama(tmp_path / "model.gguf")
    shown = run("model", "show", path, "--format", "json").ok().json
    numbers = ROWS * WIDTH
    # Bits of K-quants: 144 and 210 bytes for 256 weights.
    attention = 2 * numbers * (4.5 + 6.5625) / 8
    embedding, head, norms = numbers * 4.5 / 8, numbers * 6.5625 / 8, 3 * numbers * 4
    assert shown["weights_bytes"] == 2 * attention + embedding + head + norms
    assert shown["quantization"]["name"] == "q4_k_m"
    assert shown["quantization"]["bits"]["attention"] == (4.5 + 6.5625) / 2
    assert shown["quantization"]["bits"]["head"] == 6.5625
    assert shown["tied_embeddings"] is False
    assert (shown["layers"], shown["kv_heads"], shown["head_dim"], shown["context"]) == (2, 2, 32, 4096)
    assert shown["vocabulary"] == ROWS
    assert shown["kv_cache"]["bytes_per_token_bf16"] == 2 * 2 * 2 * 32 * 2


def test_the_key_length_is_the_head_dimension(tmp_path: Path) -> None:
    model = read(llama(tmp_path / "m.gguf", **{"attention.key_length": 128, "attention.value_length": 64}))
    assert model.head_dim == 128
    assert [(layers.kind, layers.numbers) for layers in model.cache] == [("full", 2 * (128 + 64))]


def test_windows_follow_the_family_or_the_file(tmp_path: Path) -> None:
    fields = {**SHAPE, "block_count": 12, "attention.head_count_kv": 2, "attention.sliding_window": 1024}
    model = read(write(tmp_path / "a.gguf", "gemma3", fields, {"token_embd.weight": "Q8_0"}))
    assert {layers.kind: (layers.count, layers.window) for layers in model.cache} == {
        "window": (10, 1024),
        "full": (2, None),
    }
    assert model.tied_embeddings
    flags = [True, False] * 6
    listed = {**fields, "attention.sliding_window_pattern": flags}
    model = read(write(tmp_path / "b.gguf", "novel", listed, {"token_embd.weight": "Q8_0"}))
    assert {layers.kind: layers.count for layers in model.cache} == {"window": 6, "full": 6}


def test_latent_attention_caches_one_vector(tmp_path: Path) -> None:
    fields = {
        **SHAPE,
        "attention.kv_lora_rank": 512,
        "rope.dimension_count": 64,
        "expert_count": 4,
        "expert_used_count": 2,
    }
    tensors = {"token_embd.weight": "F16", "blk.1.ffn_up_exps.weight": "MXFP4"}
    model = read(write(tmp_path / "m.gguf", "deepseek2", fields, tensors))
    assert model.latent_size == 576
    assert [(layers.kind, layers.count, layers.numbers) for layers in model.cache] == [("latent", 2, 576)]
    assert model.parameters is not None
    assert model.parameters.active == ROWS * WIDTH + ROWS * WIDTH // 2
    assert model.expert_bits == 4.25


def test_layers_without_kv_heads_have_a_state(tmp_path: Path) -> None:
    fields = {
        **SHAPE,
        "block_count": 4,
        "attention.head_count_kv": [0, 0, 0, 8],
        "ssm.inner_size": 512,
        "ssm.state_size": 16,
        "ssm.conv_kernel": 4,
        "ssm.group_count": 1,
    }
    model = read(write(tmp_path / "m.gguf", "granitehybrid", fields, {"token_embd.weight": "F16"}))
    state, full = model.cache
    assert (state.kind, state.count, state.state_bytes) == ("state", 3, 4 * 512 * 16)
    assert state.convolution_bytes == 4 * 3 * (512 + 2 * 16)
    assert (full.kind, full.count, full.numbers) == ("full", 1, 2 * 8 * 32)


def test_any_part_of_a_split_model_stands_for_all(tmp_path: Path) -> None:
    names = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    write(names[0], "llama", SHAPE, {"token_embd.weight": "Q4_K"}, {"split.count": 2})
    write(names[1], "llama", {}, {"blk.0.attn_q.weight": "Q4_K"}, {"split.count": 2})
    for name in names:
        model = read(name)
        assert (model.params, model.layers, model.source) == (2 * ROWS * WIDTH, 2, str(names[0]))
    names[1].unlink()
    with pytest.raises(EngineError, match="parts of the split model are missing: m-00002-of-00002"):
        read(names[0])
    renamed = names[0].rename(tmp_path / "whole.gguf")
    with pytest.raises(EngineError, match="one of 2 parts of a split model"):
        read(renamed)


@pytest.mark.parametrize(
    ("kind", "general", "message"),
    [
        ("llama", {"general.type": "adapter"}, "this is a LoRA adapter"),
        ("clip", {}, "the projector of a model for images"),
    ],
)
def test_a_file_that_is_no_model_is_refused_by_name(
    kind: str, general: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.gguf", kind, {}, {"token_embd.weight": "F16"}, general)
    with pytest.raises(EngineError, match=message):
        read(path)


def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    path = llama(tmp_path / "model.gguf")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EngineError, match="incomplete: its tensors end at byte"):
        read(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("attention.head_count_kv", [2, 2, 2, 2][:1], "expected 2 values, found 1"),
        ("context_length", "long", "expected a whole number"),
        ("attention.sliding_window_pattern", [True], "expected 2 values, found 1"),
    ],
)
def test_a_contradictory_field_is_named(name: str, value: Any, message: str, tmp_path: Path) -> None:
    path = llama(tmp_path / "m.gguf", **{"attention.sliding_window": 512, name: value})
    with pytest.raises(EngineError, match=message) as caught:
        read(path)
    assert name in str(caught.value)


@pytest.mark.slow
def test_damaged_headers_are_one_error(tmp_path: Path) -> None:
    data = llama(tmp_path / "model.gguf").read_bytes()
    path = tmp_path / "damaged.gguf"
    rng = random.Random(7)
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(1_500)] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
        path.write_bytes(damaged[: rng.choice((len(damaged), rng.randrange(len(damaged))))])
        with suppress(EngineError):
            read(path)


def test_llama_cpp_runs_the_file(tmp_path: Path, run: Run) -> None:
    path = llama(tmp_path / "my model.gguf")
    ran = run("eval", "--inventory", "rtx-4090", "--model", path, "--format", "llama.cpp").ok()
    words = shlex.split(ran.out)
    assert words[words.index("-m") + 1 if "-m" in words else words.index("--model") + 1] == str(path)
