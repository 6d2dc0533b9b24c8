"""How checkpoints store weights: sections of quantization, contradictions, and sections that are too odd."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.base.errors import RequestError
from engine.model import Model, read_model
from tests.conftest import Run

SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
FP8 = {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}, "targets": ["Linear"]}
INT4 = {
    "weights": {"num_bits": 4, "type": "int", "group_size": 128, "symmetric": True},
    "targets": ["Linear"],
}
SECTIONS: dict[str, tuple[dict[str, Any], str | None, float]] = {
    "fp8-dynamic": (
        {"quant_method": "compressed-tensors", "config_groups": {"g": FP8}, "ignore": ["lm_head"]},
        "fp8",
        8,
    ),
    "w4a16": (
        {"quant_method": "compressed-tensors", "config_groups": {"g": INT4}, "ignore": ["lm_head"]},
        "int4",
        4.125,
    ),
    "gptq-8": ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8", 8.1875),
    "gptq-2": ({"quant_method": "gptq", "bits": 2, "group_size": 64}, "int2", 2 + 18 / 64),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", 4.15625),
    "fp8-block": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8 + 32 / 128**2),
    "modelopt-fp8": ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 8),
    "modelopt-nvfp4": ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, "nvfp4", 4.5),
    "bnb-4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4", 4.125),
    "bnb-8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", 8),
    "quark": (
        {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int4"}}},
        "int4",
        4.15625,
    ),
    "torchao": ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, "int8", 8),
    "hqq": (
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
        "int4",
        4.5,
    ),
    "eetq": ({"quant_method": "eetq", "weights": "int8"}, "int8", 8),
    "aqlm": (
        {"quant_method": "aqlm", "nbits_per_codebook": 16, "in_group_size": 8, "num_codebooks": 1},
        "int2",
        2,
    ),
    "mxfp8": ({"quant_method": "mxfp8"}, "mxfp8", 8.25),
    "intel": ({"quant_method": "intel/auto-round", "bits": 4, "group_size": 128}, "int4", 4.15625),
    "gptq-channel": ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "int4", 4),
    "awq-old-names": ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, "int4", 4 + 20 / 64),
    "bnb-whole-scales": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": False},
        "nf4",
        4.5,
    ),
    "bnb-unnamed": ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nf4", 4.125),
    "torchao-group": (
        {
            "quant_method": "torchao",
            "quant_type": "int4_weight_only",
            "quant_type_kwargs": {"group_size": 64},
        },
        "int4",
        4 + 20 / 64,
    ),
    "fp-quant-nvfp4": ({"quant_method": "fp_quant", "forward_dtype": "nvfp4"}, "nvfp4", 4.5),
    "bitnet": ({"quant_method": "bitnet", "linear_class": "autobitlinear"}, "int2", 2),
    "hf-quant-config": (
        {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16}},
        "nvfp4",
        4.5,
    ),
    "mxfp8-groups": (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"g": {"weights": {"num_bits": 8, "type": "float", "group_size": 32}}},
        },
        "mxfp8",
        8.25,
    ),
    "block-as-text": (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "g": {"weights": {"num_bits": 8, "type": "float", "block_structure": "128x128"}}
            },
        },
        "fp8",
        8 + 32 / 128**2,
    ),
}
"""Sections with the type and the bits of an MLP's weights: scales of 16 bits, zero points as wide as a
weight.
"""


def stored(section: Any) -> Model:
    return read_model({**SHAPE, "quantization_config": section})


@pytest.mark.parametrize(
    ("field", "section", "method"),
    [
        ("quantization_config", {"config_groups": {"g": INT4}}, "compressed-tensors"),
        ("compression_config", {"config_groups": {"g": INT4}, "bits": 4}, "compressed-tensors"),
        ("quantization_config", {"quant_algo": "FP8"}, "modelopt"),
        ("quantization_config", {"quant_algo": "FP8", "config_groups": {"g": FP8}}, "modelopt"),
        ("quantization", {"bits": 4, "group_size": 64}, "mlx"),
        ("quantization", {"quant_algo": "FP8", "bits": 8}, "modelopt"),
        ("quantization_config", {"bits": 4}, "unnamed"),
        ("quantization_config", {"quant_method": 7}, "7"),
    ],
)
def test_a_section_without_a_method_is_known_by_its_signs(
    field: str, section: dict[str, Any], method: str
) -> None:
    storage = read_model({**SHAPE, field: section}).storage
    assert storage is not None
    assert storage.method == method


def test_a_patch_adds_the_signs_of_a_method(tmp_path: Path, run: Run) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**SHAPE, "quantization_config": {"acme_bits": 8}}))
    patch = tmp_path / "own" / "patch" / "acme" / "1.0.0.yaml"
    patch.parent.mkdir(parents=True)
    patch.write_text(
        "apiVersion: engine/v1\nkind: CatalogPatch\nname: acme\nversion: 1.0.0\n"
        "base: quantization_methods@1\nentries:\n  acme: {bits: acme_bits, signs: [acme_bits]}\n"
    )
    show = ("model", "show", tmp_path / "config.json", "--format", "json")
    assert run(*show).json["quantization"]["method"] == "unnamed"
    assert run(*show, "--policies", tmp_path / "own").json["quantization"]["method"] == "acme"


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_has_the_bits_of_its_method(name: str) -> None:
    section, quantization, bits = SECTIONS[name]
    model = stored(section)
    assert model.storage is not None
    assert (model.storage.name, model.quantization) == (quantization, quantization)
    assert model.storage.bits["dense"] == pytest.approx(bits, rel=1e-3)
    assert model.storage.bits["embedding"] == 16


@pytest.mark.parametrize(
    ("name", "method", "group"),
    [
        ("fp8-dynamic", "compressed-tensors", None),
        ("w4a16", "compressed-tensors", 128),
        ("awq", "awq", 128),
        ("fp8-block", "fp8", 128),
        ("modelopt-nvfp4", "modelopt", 16),
        ("intel", "auto-round", 128),
    ],
)
def test_a_section_has_a_method_and_perhaps_groups(name: str, method: str, group: int | None) -> None:
    model = read_model({**SHAPE, "quantization_config": SECTIONS[name][0]})
    assert (model.quantization_method, model.quantization_group) == (method, group)


def test_a_method_goes_by_its_name_in_the_catalog() -> None:
    assert read_model(SHAPE).quantization_method is None
    section = {"quant_method": "AWQ_Marlin", "bits": 4, "group_size": 64}
    assert read_model({**SHAPE, "quantization_config": section}).quantization_method == "awq"
    assert read_model({**SHAPE, "quantization_config": {"quant_method": "new"}}).quantization_method is None


@pytest.mark.parametrize(("architecture", "group"), [("Qwen3ForCausalLM", 128), ("LlamaForCausalLM", 1)])
def test_fp8_checkpoints_of_an_architecture_have_blocks_or_not(architecture: str, group: int) -> None:
    assert read_model({**SHAPE, "architectures": [architecture]}).fp8_group == group


@pytest.mark.parametrize(
    ("ignore", "attention", "dense"),
    [
        (["model.layers.*.self_attn*"], 16.0, 4.5),
        (["re:.*self_attn.*"], 16.0, 4.5),
        (
            [f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(80) for name in "qkvo"],
            16.0,
            4.5,
        ),
        ([f"model.layers.{layer}.mlp*" for layer in range(40)], 4.5, (16 + 4.5) / 2),
        (["model.language_model.layers.0*", "lm_head"], 4.5 + 11.5 / 80, 4.5 + 11.5 / 80),
        (["lm_head"], 4.5, 4.5),
    ],
)
def test_modules_that_stay_unquantized_keep_their_type(
    ignore: list[str], attention: float, dense: float
) -> None:
    model = stored({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "ignore": ignore})
    assert model.storage is not None
    # Layer 0 with `layers.0*` only: `layers.0*` is no prefix of `layers.10`.
    assert model.storage.bits["attention"] == pytest.approx(attention, rel=1e-3)
    assert model.storage.bits["dense"] == pytest.approx(dense, rel=1e-3)


def test_layers_that_are_listed_have_their_own_type() -> None:
    layers: dict[str, Any] = {}
    for layer in range(80):
        layers |= {f"model.layers.{layer}.self_attn.{name}_proj": {"quant_algo": "FP8"} for name in "qkvo"}
        layers |= {
            f"model.layers.{layer}.mlp.{name}_proj": {"quant_algo": "W4A16_NVFP4"}
            for name in ("gate", "up", "down")
        }
    model = stored({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers})
    assert model.storage is not None
    assert (model.storage.bits["attention"], model.storage.bits["dense"]) == (8.0, 4.5)
    assert model.storage.bits["head"] == 16.0
    assert model.storage.name == "nvfp4"


def test_a_layer_that_is_listed_with_an_odd_type_is_not_quantized() -> None:
    layers = {"model.layers.0.mlp.up_proj": {"quant_algo": ["FP8"], "bits": {}}}
    model = stored({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers})
    assert model.storage is not None
    assert model.storage.bits["dense"] == 16


def test_a_kv_cache_type_is_the_one_that_the_checkpoint_asks_for() -> None:
    scheme = {"num_bits": 8, "type": "float"}
    model = stored({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_scheme": scheme})
    assert model.storage is not None
    assert (model.kv_bits, model.storage.kv_dtype) == (8, "fp8")


def test_a_file_beside_the_configuration_says_how_it_is_stored(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SHAPE))
    section = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    beside = tmp_path / "hf_quant_config.json"
    beside.write_text(json.dumps({"quantization": section}))
    shown = run("model", "show", tmp_path, "--format", "json").ok().json
    assert shown["quantization"]["name"] == "nvfp4"
    assert shown["quantization"]["kv_dtype"] == "fp8"
    assert shown["quantization"]["bits"]["head"] == 16
    beside.write_text("[]")
    ran = run("model", "show", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert str(beside) in ran.err


def test_a_contradiction_and_an_unknown_method_are_errors(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**SHAPE, "quantization_config": SECTIONS["awq"][0]}))
    asked = ("eval", "--inventory", "2xH100-SXM", "--model", path)
    assert "stored as int4 (awq), not bf16" in run(*asked, "--quantization", "bf16").err
    assert run(*asked, "--format", "json").ok().json["quantization"] == "int4"
    path.write_text(json.dumps({**SHAPE, "quantization_config": {"quant_method": "novel"}}))
    for extra in ((), ("--quantization", "auto")):
        ran = run(*asked, *extra)
        assert (ran.code, ran.out) == (2, "")
        assert "the bits of the checkpoint's weights are unknown: novel" in ran.err


def test_a_context_beyond_the_model_s_is_an_error(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SHAPE))
    ran = run("eval", "--inventory", "8xH100-SXM", "--model", path, "--context", "200000")
    assert (ran.code, ran.out) == (2, "")
    assert "200,000 tokens are more than the model's context of 131,072" in ran.err


ABSURD = [None, True, -1, 0, 1.5, 2**60, "x", "", [], {}, [1], {"a": 1}, [None], "re:(", "*" * 50]


@pytest.mark.slow
def test_no_section_is_too_odd() -> None:
    """Whatever a section holds, a model is read or the error names the field."""
    rng = random.Random(11)
    for _ in range(1_500):
        section = json.loads(json.dumps(rng.choice(list(SECTIONS.values()))[0]))
        for _ in range(rng.randint(1, 3)):
            place: Any = section
            while isinstance(place, dict) and place:
                key = rng.choice(sorted(place))
                if isinstance(place[key], dict) and rng.random() < 0.6:
                    place = place[key]
                    continue
                place[key] = rng.choice(ABSURD)
                break
        with suppress(RequestError):
            assert stored(section).params > 0


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"quant_method": "gptq", "bits": 0}, "bits"),
        ({"quant_method": "gptq", "bits": 2**60}, "bits: expected a whole number up to 64"),
        ({"quant_method": "awq", "bits": 4, "group_size": -7}, "group_size"),
        ({"quant_method": "fp8", "weight_block_size": [2**61, 1]}, "weight_block_size"),
        ({"quant_method": "compressed-tensors", "config_groups": []}, "config_groups: expected a mapping"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": "x"}}}},
            "num_bits",
        ),
        ({"quant_method": "awq", "bits": 4, "modules_to_not_convert": [1]}, "modules_to_not_convert"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["re:("]}, "is no regular expression"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["re:(a+)+$"]}, "repetitions"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["re:(?:.*.*)*x"]}, "repetitions"),
    ],
)
def test_an_absurd_section_is_an_error_that_names_the_field(section: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        stored(section)
    assert message in caught.value.message
    assert "quantization_config" in caught.value.problems[0].path


# --- sections that differ between modules -------------------------------------------------------------------

ATTENTION = 2 * 8192**2 + 2 * 8192 * 1024
"""Parameters of the attention of a layer."""


def test_gptq_overrides_by_regular_expressions() -> None:
    dynamic = {r"+:.*\.down_proj.*": {"bits": 8, "group_size": 32}, r"-:.*\.self_attn\..*": {}, "lm_head": {}}
    model = stored({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": dynamic})
    assert model.storage is not None
    assert model.storage.bits["head"] == 16  # the flag lm_head alone quantizes it
    assert model.storage.bits["attention"] == 16
    assert model.storage.bits["dense"] == pytest.approx((2 * 4.15625 + 8 + 24 / 32) / 3)


def test_gptq_of_listed_modules_only() -> None:
    only = [["self_attn.k_proj", "self_attn.v_proj"], ["mlp.up_proj"]]
    model = stored(
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "modules_in_block_to_quantize": only}
    )
    assert model.storage is not None
    assert model.storage.bits["dense"] == pytest.approx((2 * 16 + 4.15625) / 3)
    keys = 2 * 8192 * 1024
    assert model.storage.bits["attention"] == pytest.approx(16 - (16 - 4.15625) * keys / ATTENTION)


@pytest.mark.parametrize(
    "section",
    [
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": True},
        {"quant_method": "auto-round", "bits": 4, "group_size": 128, "quant_lm_head": True},
    ],
)
def test_an_output_layer_that_is_quantized_as_well(section: dict[str, Any]) -> None:
    for flag, bits in ((True, 4.15625), (False, 16)):
        model = stored({name: flag if value is True else value for name, value in section.items()})
        assert model.storage is not None
        assert model.storage.bits["head"] == bits


def test_quark_overrides_by_module() -> None:
    section = {
        "quant_method": "quark",
        "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}},
        "layer_quant_config": {"*self_attn*": {"weight": {"dtype": "fp8_e4m3"}}},
        "exclude": ["lm_head"],
    }
    model = stored(section)
    assert model.storage is not None
    assert (model.storage.bits["attention"], model.storage.bits["dense"]) == (8, 4.25)


def test_mlx_mixes_bits_and_states_its_section_twice() -> None:
    """`mlx_lm.convert` writes the same content as quantization and quantization_config."""
    section = {
        "bits": 4,
        "group_size": 64,
        "lm_head": {"bits": 6, "group_size": 64},
        **{f"model.layers.{layer}.mlp.down_proj": {"bits": 8, "group_size": 32} for layer in range(80)},
        "model.layers.3.self_attn.v_proj": False,
    }
    model = read_model({**SHAPE, "quantization": section, "quantization_config": section})
    assert model.storage is not None
    assert (model.storage.method, model.storage.bits["head"]) == ("mlx", 6.5)
    assert model.storage.bits["dense"] == pytest.approx((2 * 4.5 + 9) / 3)
    assert model.storage.bits["attention"] == pytest.approx(4.5 + 11.5 * 8192 * 1024 / (80 * ATTENTION))


@pytest.mark.parametrize("listed", ["self_attn.q_proj", "model.layers.7.self_attn.q_proj"])
def test_a_listed_name_of_several_components(listed: str) -> None:
    model = stored({"quant_method": "fp8", "modules_to_not_convert": [listed]})
    layers = 1 if "7" in listed else 80
    assert model.storage is not None
    assert model.storage.bits["attention"] == pytest.approx(8 + 8 * layers * 8192**2 / (80 * ATTENTION))


@pytest.mark.parametrize(
    "section",
    [
        {"quant_method": "compressed-tensors", "config_groups": {}, "ignore": []},
        {"quant_method": "modelopt", "quant_algo": None},
        {"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": False},
    ],
)
def test_sections_that_quantize_no_weights(section: dict[str, Any]) -> None:
    cached = {"kv_cache_scheme": {"num_bits": 8, "type": "float"}}
    for section_ in (section, {**section, **cached}):
        model = stored(section_)
        assert model.storage is not None
        assert (model.storage.name, model.storage.bits["dense"], model.storage.known) == ("bf16", 16, True)
    assert model.storage.kv_bits == 8


def test_sparse_weights_are_noted() -> None:
    section = {
        "quant_method": "compressed-tensors",
        "config_groups": {"g": FP8},
        "sparsity_config": {"format": "sparse-24-bitmask", "sparsity_structure": "2:4"},
    }
    assert stored(section).notes == ("sparse weights are counted as dense ones; the checkpoint is smaller",)


def test_an_empty_section_is_none() -> None:
    assert stored({}).storage == read_model(SHAPE).storage


@pytest.mark.parametrize("section", ["fp8", ["fp8"], 8])
def test_a_section_that_is_no_mapping_is_refused(section: Any) -> None:
    with pytest.raises(RequestError, match="quantization_config: expected a mapping, found"):
        stored(section)
