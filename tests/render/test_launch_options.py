"""Options in catalog `commands`, held against the options that each version of a server takes."""

from __future__ import annotations

import json

import pytest

from engine.catalogs.hardware import load_names
from engine.catalogs.servers import numbers
from tests.conftest import DATA, Run

OPTIONS: dict[str, dict[str, list[str]]] = {
    server: {version: names.split() for version, names in versions.items()}
    for server, versions in json.loads((DATA / "launch" / "options.json").read_text()).items()
}
ROWS = load_names("commands").rows
PAIRS = [
    (entry, version)
    for entry, row in ROWS.items()
    for version in OPTIONS.get(row["server"], ())
    if numbers(row["since"]) <= numbers(version)
    and (row["until"] is None or numbers(version) <= numbers(row["until"]))
]


def spelled(name: str) -> str:
    """Return an option as it is written."""
    return name if name.startswith("-") else f"--{name}"


@pytest.mark.parametrize(("entry", "version"), PAIRS)
def test_catalog_commands_options_are_known_to_the_version(entry: str, version: str) -> None:
    row = ROWS[entry]
    names = {name if row["server"] == "ollama" else spelled(name) for name in row["options"].values()}
    unknown = names - set(OPTIONS[row["server"]][version])
    assert not unknown


@pytest.mark.parametrize("server", OPTIONS)
def test_catalog_commands_rows_cover_each_version_once(server: str) -> None:
    found = [version for entry, version in PAIRS if ROWS[entry]["server"] == server]
    assert sorted(found) == sorted(OPTIONS[server])


def test_catalog_commands_newest_row_has_the_newest_version() -> None:
    for server, versions in OPTIONS.items():
        rows = [row for row in ROWS.values() if row["server"] == server]
        newest = max(versions, key=numbers)
        assert any(row["until"] is None or numbers(row["until"]) == numbers(newest) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--target", "vllm"), 0, ""),
        (("--target", "vllm@0.33"), 0, ""),
        (("--target", "vllm@0.8"), 0, ""),
        (("--target", "trtllm"), 0, ""),
        (("--target", "vlm"), 2, "unknown server 'vlm'\n  hint: did you mean 'vllm'?"),
        (("--target", "vllm@0.99"), 2, "unknown version '0.99' of vllm\n  hint: known: 0.8.5 to 0.33.0"),
        (("--target", "vllm@0.7"), 2, "unknown version '0.7' of vllm"),
        (("--target", "vllm@latest"), 2, "unknown version 'latest' of vllm"),
        (("--target", "vllm@"), 2, "unknown version '' of vllm"),
        (("--target", "vllm@0.33@1"), 2, "unknown version '0.33@1' of vllm"),
        (("--target", "@1"), 2, "unknown server ''"),
        (("--target", ""), 0, ""),
        (("--target", "sglang@0.5.10.post1"), 0, ""),
        (("--target", "llama.cpp@b9999", "--pin", "dp=1"), 0, ""),
        (("--kv-dtype", "fp8_e4m3"), 0, ""),
        (("--kv-dtype", "FP8"), 0, ""),
        (("--kv-dtype", "fp9"), 2, "unknown KV cache type 'fp9'\n  hint: did you mean 'fp8'"),
        (
            ("--target", "sglang", "--format", "vllm"),
            2,
            "the request names server sglang\n  hint: use --format",
        ),
        (("--target", "sglang", "--format", "dynamo"), 0, ""),
        (("--target", "tensorrt-llm", "--format", "dynamo"), 0, ""),
        (("--target", "vllm@0.11", "--format", "vllm"), 0, ""),
    ],
)
def test_eval_target_names_a_known_server_and_version(
    arguments: tuple[str, ...], code: int, words: str, run: Run
) -> None:
    asked = ("--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", "--quantization", "bf16")
    ran = run("eval", *asked, *arguments)
    assert ran.code == code, ran.err
    assert words in ran.err


def test_eval_unknown_server_in_a_file_is_an_error_with_its_place(run: Run) -> None:
    request = (
        "inventory: {devices: [{kind: CudaGpu, memory: 80GiB}]}\n"
        "model: {params: 8B}\n"
        "quantization: bf16\n"
        "serving:\n"
        "  server: vlllm\n"
    )
    ran = run("eval", "--request", "-", stdin=request)
    assert ran.code == 2
    assert "5:11: unknown server 'vlllm'" in ran.err


def test_eval_format_of_a_policy_without_serving_goals_implies_nothing(run: Run) -> None:
    asked = ("--inventory", "8xH100-SXM", "--model", "llama-3.1-70b", "--quantization", "bf16")
    ran = run("eval", *asked, "--policy", "sharding@1.0.0", "--format", "vllm")
    assert ran.code == 0, ran.err


def test_decide_server_sets_name_and_version() -> None:
    import engine

    decided = engine.decide(
        inventory="8xH100-SXM",
        model="llama-3.1-8b",
        quantization="bf16",
        server="SGLang@0.5",
        kv_dtype="fp8",
        batched_tokens=4096,
    )
    assert decided.request is not None
    assert decided.request.inputs["serving"] == {
        "server": "sglang",
        "server_version": "0.5",
        "kv_dtype": "fp8",
        "batched_tokens": 4096,
    }


def test_decide_unknown_server_raises_with_near_names() -> None:
    import engine

    with pytest.raises(engine.EngineError) as caught:
        engine.decide(inventory="h100", model="llama-3.1-8b", quantization="bf16", server="sglan")
    assert caught.value.hint == "did you mean 'sglang'?"
