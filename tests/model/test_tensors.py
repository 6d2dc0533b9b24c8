"""Models from headers of weights: counts by tensor, and files that are no such thing."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import Run

pytestmark = pytest.mark.usefixtures("first_version")

SHAPES = {
    "model.embed_tokens.weight": (100, 8),
    "lm_head.weight": (100, 8),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.mlp.up_proj.weight": (16, 8),
    "model.layers.0.mlp.experts.0.up_proj.weight": (4, 8),
    "model.layers.0.input_layernorm.weight": (8,),
}
PARTS = {"embedding": 1600, "attention": 64, "dense": 128, "routed_expert": 32, "other": 8, "total": 1832}


def write(path: Path, names: list[str] | None = None, dtype: Any = np.float16) -> Path:
    save_file({name: np.zeros(SHAPES[name], dtype) for name in names or SHAPES}, path)
    return path


def shown(run: Run, path: Path) -> dict[str, Any]:
    ran = run("model", "show", path, "--format", "json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    return found


def test_safetensors(run: Run, tmp_path: Path) -> None:
    found = shown(run, write(tmp_path / "model.safetensors"))
    assert {name: found["parameters"][name] for name in PARTS} == PARTS
    assert found["dtype"] == "F16"
    assert shown(run, tmp_path) == found


def test_an_index_of_several(run: Run, tmp_path: Path) -> None:
    names = list(SHAPES)
    write(tmp_path / "model-00001-of-00002.safetensors", names[:3])
    write(tmp_path / "model-00002-of-00002.safetensors", names[3:])
    weight_map = {name: f"model-0000{1 + (i >= 3)}-of-00002.safetensors" for i, name in enumerate(names)}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert shown(run, index)["parameters"]["total"] == PARTS["total"]
    assert shown(run, tmp_path)["parameters"]["total"] == PARTS["total"]
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    ran = run("model", "show", tmp_path)
    assert ran.code == 2
    assert "model-00002-of-00002.safetensors: no such file" in ran.err


def test_a_gguf_list_that_claims_more_than_there_is(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    # One key whose value is a list (9) of bytes (0), 2^60 of them.
    entry = (
        (1).to_bytes(8, "little")
        + b"k"
        + (9).to_bytes(4, "little")
        + bytes(4)
        + (2**60).to_bytes(8, "little")
    )
    path.write_bytes(
        b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + (1).to_bytes(8, "little") + entry + bytes(64)
    )
    ran = run("model", "show", path)
    assert (ran.code, ran.out) == (2, "")
    assert "incomplete or no GGUF file" in ran.err


def test_gguf(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(2048)
    writer.add_head_count(2)
    writer.add_tensor("token_embd.weight", np.zeros((100, 8), np.float16))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((8, 8), np.float16))
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((16, 8), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = shown(run, path)
    assert found["parameters"]["total"] == 800 + 64 + 128
    assert (found["layers"], found["context"], found["attention_heads"]) == (1, 2048, 2)
    assert found["architecture"] == "llama"
    path.write_bytes(path.read_bytes()[:60])
    ran = run("model", "show", path)
    assert (ran.code, ran.out) == (2, "")
    assert "incomplete or no GGUF file" in ran.err


def test_eval_counts_them(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors")
    asked = ("eval", "--inventory", "h100", "--quantization", "int8", "--format", "json", "--model", path)
    assert run(*asked).json["plan"]["total_memory_bytes"] == 1832 + 1832 // 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 10) + b'{"a":',
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 70)
        + json.dumps({"a": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 4]}}).encode(),
    ],
)
def test_broken_headers(content: bytes, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    ran = run("model", "show", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {path}: ")
    assert "Traceback" not in ran.err


def test_packed_weights_are_not_counted(run: Run, tmp_path: Path) -> None:
    ran = run("model", "show", write(tmp_path / "model.safetensors", dtype=np.int32))
    assert ran.code == 2
    assert "is packed as I32" in ran.err


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"weight_map": {}}', '{"weight_map": {"a": "../b.safetensors"}}']
)
def test_broken_indexes(text: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    ran = run("model", "show", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {path}: ")


def test_an_index_without_its_files_has_the_size_that_it_states(run: Run, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index.write_text(json.dumps({"metadata": {"total_size": 16_060_522_496}, "weight_map": files}))
    ran = run("model", "show", index)
    assert "parameters      8,030,261,248" in ran.out
    assert "its files are missing" in " ".join(ran.out.split())


def test_one_file_of_several_is_refused(run: Run, tmp_path: Path) -> None:
    ran = run("model", "show", write(tmp_path / "model-00001-of-00002.safetensors"))
    assert (ran.code, ran.out) == (2, "")
    assert "one of 2 files of a model" in ran.err
    assert "model.safetensors.index.json" in ran.err
