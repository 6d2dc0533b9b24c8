"""Models from their configurations: counts against what publishers state, shapes, and what is wrong."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import RequestError
from engine.model import read_model
from tests.conftest import DATA, Run

pytestmark = pytest.mark.usefixtures("first_version")

MODELS = DATA / "models"
PUBLISHED = {
    "meta-llama--Meta-Llama-3.1-8B": 8_030_261_248,
    "meta-llama--Meta-Llama-3.1-70B": 70_553_706_496,
    "meta-llama--Meta-Llama-3.1-405B": 405_853_388_800,
    "Qwen--Qwen3-8B": 8_190_735_360,
    "Qwen--Qwen3-0.6B": 596_049_920,
    "mistralai--Mixtral-8x7B-v0.1": 46_702_792_704,
    "deepseek-ai--DeepSeek-V3": 671_026_419_200,
}
GEMMA4 = "google--gemma-4-26B-A4B"
COUNTED = [json.loads(line) for line in (MODELS / "architectures.jsonl").read_text().splitlines()]
"""Configurations with the counts of the modules that transformers makes of them."""


def config(name: str) -> Any:
    return json.loads((MODELS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", PUBLISHED)
def test_totals_are_the_published_ones(name: str, run: Run) -> None:
    found = run("model", "show", MODELS / f"{name}.json", "--format", "json").json
    parts = found["parameters"]
    assert parts["total"] == PUBLISHED[name]
    kinds = ("embedding", "attention", "dense", "routed_expert", "other")
    assert sum(parts[kind] for kind in kinds) == parts["total"]
    assert (parts["active"] < parts["total"]) is bool(parts["routed_expert"])


def test_shapes(run: Run) -> None:
    found = run("model", "show", MODELS / "meta-llama--Meta-Llama-3.1-70B.json", "--format", "json").json
    expected = {"layers": 80, "attention_heads": 64, "kv_heads": 8, "head_dim": 128, "vocabulary": 128256}
    assert {name: found[name] for name in expected} == expected
    assert (found["context"], found["dtype"], found["quantization"]["name"]) == (131072, "bfloat16", "bf16")
    assert found["parameters"]["embedding"] == 2 * 128256 * 8192
    eight = config("Qwen--Qwen3-8B")
    seeing = read_model(config("Qwen--Qwen3-VL-8B-Instruct")).parameters
    assert seeing is not None
    assert seeing.total == 8_767_123_696  # as its publisher states, with the encoder for images
    assert seeing.total - seeing.vision == read_model(eight).params
    assert read_model(config("Qwen--Qwen3-32B-FP8")).quantization == "fp8"
    assert read_model(config("openai--gpt-oss-20b")).quantization == "mxfp4"
    deepseek = read_model(config("deepseek-ai--DeepSeek-V3")).parameters
    assert deepseek is not None
    assert 37.4e9 < deepseek.active < 37.7e9  # 37B active, by its publisher


def test_tied_embeddings_count_once() -> None:
    tied = config("Qwen--Qwen3-0.6B")
    untied = {**tied, "tie_word_embeddings": False}
    assert read_model(untied).params - read_model(tied).params == tied["vocab_size"] * tied["hidden_size"]


def test_eval_takes_files_folders_and_names(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((MODELS / "Qwen--Qwen3-8B.json").read_text())
    asked = ("eval", "--inventory", "8xH100-SXM", "--quantization", "bf16", "--format", "json", "--model")
    for source, params in (
        (MODELS / "Qwen--Qwen3-8B.json", PUBLISHED["Qwen--Qwen3-8B"]),
        (tmp_path, PUBLISHED["Qwen--Qwen3-8B"]),
        ("llama-3.1-70b", PUBLISHED["meta-llama--Meta-Llama-3.1-70B"]),
        ("meta-llama/Meta-Llama-3.1-70B", PUBLISHED["meta-llama--Meta-Llama-3.1-70B"]),
    ):
        ran = run(*asked, source)
        weights = params * 2
        assert ran.json["plan"]["total_memory_bytes"] == weights + weights // 5


@pytest.mark.parametrize("name", sorted(path.stem for path in MODELS.glob("*.json")))
def test_the_catalog_agrees_with_the_configurations(name: str, run: Run) -> None:
    """Where the catalog has the model at all: parameters, shapes, windows, experts."""
    ran = run("model", "show", name.replace("--", "/"), "--format", "json")
    if ran.code:
        assert name in ("Qwen--Qwen3-VL-8B-Instruct", "Qwen--Qwen3-32B-FP8"), ran.err
        return
    shown, counted = ran.json, read_model(config(name)).to_dict()
    unlike = {
        "name",
        "weights_bytes",
        "loaded_bytes",
        "kv_cache",
        "notes",
        "quantization",
        "quantization_group",
        "source",
        "parameters",
        "dtype",
        "shared_expert_size",
    }
    for field in shown.keys() - unlike:
        if field != "head_dim" or counted["latent_size"] is None:
            assert shown[field] == counted[field], field
    assert shown["parameters"]["total"] == counted["parameters"]["total"]
    assert shown["parameters"]["active"] == counted["parameters"]["active"]


def test_an_unknown_architecture_says_so(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({**config(GEMMA4), "architectures": ["Gemma9ForCausalLM"], "text_config": {}}, indent=2)
    )
    ran = run("model", "show", path)
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}:3:5: unknown architecture 'Gemma9ForCausalLM'" in ran.err


@pytest.mark.parametrize("kind", dict.fromkeys(each["config"]["model_type"] for each in COUNTED))
def test_counts_are_those_of_the_modules(kind: str) -> None:
    for each in COUNTED:
        if each["config"]["model_type"] == kind:
            parameters = read_model(each["config"]).parameters
            assert parameters is not None
            found = {name: getattr(parameters, name) for name in each["counts"]}
            assert found == each["counts"], each["config"]
            parts = ("embedding", "attention", "dense", "routed_expert", "other")
            assert sum(getattr(parameters, name) for name in parts) == parameters.total


FAMILIES = [json.loads(line) for line in (MODELS / "families.jsonl").read_text().splitlines()]
"""Small configurations of more families, with the counts of the modules that transformers 5.24 makes of
them.
"""


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row["config"]["model_type"])
def test_more_families_have_the_counts_of_their_modules(row: dict[str, Any]) -> None:
    """Buffers that checkpoints hold, such as corrections of routers, may be counted as well."""
    model = read_model(row["config"])
    assert row["parameters"] <= model.params <= row["parameters"] + row["buffers"]
    assert sum(layers.count for layers in model.cache) >= (model.layers or 0)


DROPPED = [json.loads(line) for line in (MODELS / "dropped.jsonl").read_text().splitlines()]
"""Counts of the modules that transformers 5.24 makes of a configuration without one of its fields, by its
`model_type`.
"""
FIRST = {row["config"]["model_type"]: row["config"] for row in reversed(COUNTED)}


def counted(configuration: dict[str, Any]) -> int | RequestError:
    """Return the parameters of a configuration, or why it is refused."""
    try:
        return read_model(configuration).params
    except RequestError as error:
        return error


@pytest.mark.parametrize("kind", FIRST)
def test_a_field_that_is_left_out_has_the_default_of_its_class(kind: str) -> None:
    """A default that contradicts the other fields, as 8 KV heads do 4 query heads, is refused."""
    for row in DROPPED:
        if row["model_type"] != kind:
            continue
        configuration = {name: value for name, value in FIRST[kind].items() if name != row["dropped"]}
        found = counted(configuration)
        if isinstance(found, RequestError):
            assert "are not a multiple of" in found.message, row
            continue
        assert row["parameters"] <= found <= row["parameters"] + row["buffers"], row


def test_gemma_4() -> None:
    """26B, 4B of them active, by its name; its modules have 25,233,141,760 parameters and a scale a layer.

    With the encoder for images, they have 25,805,933,872, and two vectors of 1,152 numbers besides.
    """
    model = read_model(config(GEMMA4))
    assert model.parameters is not None
    assert model.params - model.parameters.vision == 25_233_141_760 + 30
    assert model.params == 25_805_933_872 + 30 + 2 * 1152
    assert 3.7e9 < model.parameters.active < 4.1e9
    assert (model.experts, model.experts_per_token, model.expert_intermediate_size) == (128, 8, 704)
    assert (model.sliding_window, model.sliding_layers, model.layers) == (1024, 25, 30)


def test_the_part_for_text_of_a_class_that_is_not_known() -> None:
    llama = config("meta-llama--Meta-Llama-3.1-8B")
    outer = {"architectures": ["SeesForConditionalGeneration"], "vision_config": {}, "text_config": llama}
    assert read_model(outer).params == read_model(llama).params


@pytest.mark.parametrize(
    ("name", "change", "window", "layers"),
    [
        ("meta-llama--Meta-Llama-3.1-8B", {}, None, None),
        ("mistralai--Mixtral-8x7B-v0.1", {"sliding_window": 4096}, 4096, 32),
        ("Qwen--Qwen3-8B", {"sliding_window": 4096, "use_sliding_window": False}, None, None),
        (
            "Qwen--Qwen3-8B",
            {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 28},
            4096,
            8,
        ),
        ("openai--gpt-oss-20b", {}, 128, 12),
        ("openai--gpt-oss-20b", {"layer_types": None}, 128, 12),
        ("openai--gpt-oss-20b", {"architectures": ["Gemma3ForCausalLM"], "layer_types": None}, 128, 20),
        (
            "meta-llama--Meta-Llama-3.1-8B",
            {"architectures": ["Llama4ForCausalLM"], "attention_chunk_size": 8192, "num_local_experts": 16},
            8192,
            24,
        ),
    ],
)
def test_windows(name: str, change: dict[str, Any], window: int | None, layers: int | None) -> None:
    model = read_model({**config(name), **change})
    assert (model.sliding_window, model.sliding_layers) == (window, layers)


def test_a_state_of_fixed_size_counts_as_a_window() -> None:
    """32 heads of 128 x 128 numbers of 4 bytes take as much as the keys and values (2 heads of 256) of
    1,024 tokens; the last 3
    inputs of the convolution (8,192 channels), as those of 24 tokens.
    """
    shapes = {
        "num_hidden_layers": 48,
        "hidden_size": 2048,
        "intermediate_size": 5120,
        "vocab_size": 151936,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "num_experts": 512,
        "num_experts_per_tok": 10,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    }
    model = read_model({"architectures": ["Qwen3NextForCausalLM"], **shapes})
    assert (model.sliding_window, model.sliding_layers) == (1024 + 24, 36)
    assert model.params == 79_674_391_296  # of the modules that transformers 5.24 makes of it


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "the configuration has no hidden_size"),
        ({"hidden_size": -1}, "hidden_size: expected a whole number from 1, found -1"),
        ({"hidden_size": 4096.5}, "hidden_size: expected a whole number"),
        ({"num_hidden_layers": 10**30}, "num_hidden_layers: expected a whole number"),
        ({"num_hidden_layers": 10_001}, "num_hidden_layers: expected a whole number from 1 to 10000"),
        ({"num_hidden_layers": True}, "num_hidden_layers: expected a whole number"),
        ({"num_key_value_heads": 7}, "not a multiple of 7 key-value heads"),
        ({"intermediate_size": None}, "the configuration has no intermediate_size"),
        ({"architectures": []}, "architectures: expected a list of names"),
        ({"architectures": {}}, "architectures: expected a list of names"),
        ({"architectures": ["LamaForCausalLM"], "model_type": None, "vocab_size": None}, "LlamaForCausalLM"),
    ],
)
def test_absurd_configurations(change: dict[str, Any], message: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config("meta-llama--Meta-Llama-3.1-8B"), **change}, indent=1))
    ran = run("model", "show", path)
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}:" in ran.err
    assert message in ran.err


ODD = [None, True, -1, 0, 1.5, 2**60, "x", [], {}, [1], {"a": 1}]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in MODELS.glob("*.json")))
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_configuration_is_too_odd(name: str, seed: int) -> None:
    rng = random.Random(seed)
    value = config(name)
    for _ in range(rng.randint(1, 3)):
        inner = value.get("text_config")
        place = inner if isinstance(inner, dict) and inner and rng.random() < 0.5 else value
        key = rng.choice(sorted(place))
        if rng.random() < 0.3:
            del place[key]
        else:
            place[key] = rng.choice(ODD)
    if "architectures" not in value and "model_type" not in value:
        return
    with suppress(RequestError):
        assert read_model(value).params > 0


def test_names_that_are_not_known(run: Run) -> None:
    ran = run("eval", "--inventory", "h100", "--quantization", "bf16", "--model", "llama-3.1-71b")
    assert (ran.code, ran.out) == (2, "")
    assert "no file and no well-known model 'llama-3.1-71b'" in ran.err
    assert "no such file" in run("eval", "--inventory", "h100", "--model", "config.json").err


@pytest.mark.parametrize(
    ("name", "loaded", "shape"),
    [
        ("llama-3.1-70b", "meta-llama/Meta-Llama-3.1-70B", "llama-3.1-70b"),
        ("meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("llama-3.3-70b-instruct", "meta-llama/Llama-3.3-70B-Instruct", "llama-3.1-70b"),
        ("google/gemma-2-9b-it", "google/gemma-2-9b-it", "gemma-2-9b"),
    ],
)
def test_a_tuned_model_is_loaded_by_its_own_name(name: str, loaded: str, shape: str, run: Run) -> None:
    asked = ("eval", "--inventory", "16xH200-SXM", "--format")
    assert f"vllm serve {loaded} " in run(*asked, "vllm", "--model", name).out
    plans = [run(*asked, "json", "--model", each).json["plan"] for each in (name, shape)]
    assert plans[0] == plans[1]
