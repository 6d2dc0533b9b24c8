"""People change YAML, nobody changes Python: each constant, and kinds that nobody has heard of yet.

The expected plans come from the hand-written planner with the same change made by hand.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import engine
from benchmarks.handwritten import BITS, KINDS, NUMBERS, Kind, Numbers
from benchmarks.handwritten import plan as handwritten_plan
from tests.conftest import TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

CHANGES: dict[str, Any] = {
    "bits_per_byte": 4,
    "fp32_bits": 64.0,
    "activation_overhead_divisor": 2,
    "params_per_layer_estimate": 100_000_000,
    "tokens_per_sec_base": 5e8,
    "cpu_multiplier": 3.0,
    "tpu_tp_ici_bonus": 2.5,
    "nvswitch_tp_bonus": 1.25,
    "max_non_nvswitch_tp_bonus": 0.3,
    "tp_interconnect_bw_divisor": 400.0,
    "tp_min_interconnect_bw": 20.0,
    "tp_max_devices_without_nvswitch": 2,
    "pp_high_bw_efficiency": 0.9,
    "pp_pcie_only_efficiency": 0.5,
    "numa_node_if_unknown": 0,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policies, to edit."""
    return Path(shutil.copytree(TOP / "policies", tmp_path / "policies"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(re.findall(old, text)) == 1, old
    file.write_text(re.sub(old, new, text), encoding="utf-8")


def set_constant(folder: Path, name: str, value: Any) -> None:
    edit(
        folder / "sharding" / "1.0.0.yaml",
        rf"(\b{name}:\s+(?:\{{)?\s*value: )[-\d.e]+",
        rf"\g<1>{value!r}",
    )


def requests(plans: list[dict[str, Any]], step: int) -> list[engine.Request]:
    return [engine.Request.from_dict(line) for line in plans[::step]]


def same_plan(found: engine.Plan | None, expected: engine.Plan) -> bool:
    return found is not None and replace(found, warnings=()) == expected


def test_every_constant_is_changed_below() -> None:
    assert {field.name for field in fields(Numbers)} == set(CHANGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_constant(name: str, folder: Path, plans: list[dict[str, Any]]) -> None:
    set_constant(folder, name, CHANGES[name])
    policy = engine.load_policy("sharding@1.0.0", folder)
    numbers = replace(NUMBERS, **{name: CHANGES[name]})
    differ = 0
    # Pipelines with unknown NUMA nodes beside known ones are few: for that constant, look at more.
    for request in requests(plans, 3 if name == "numa_node_if_unknown" else 12):
        expected = handwritten_plan(request, numbers)
        assert same_plan(policy.decide(request).plan, expected)
        differ += expected != handwritten_plan(request)
    assert differ > 0


def test_an_invented_accelerator(folder: Path) -> None:
    edit(
        folder / "catalog" / "accelerators" / "1.0.0.yaml",
        r"  GroqLpu: .*\n",
        "  PhotonChip:\n"
        "    family: ai_asic\n"
        "    throughput_multiplier: {expression: '40.0 + double(device.lasers)'}\n"
        "    rank: 99\n"
        "    fields: [device_id, lasers]\n",
    )
    edit(
        folder / "catalog" / "accelerators" / "1.0.0.yaml",
        r"  core_count: .*\n",
        "  core_count: {type: int, description: Cores.}\n  lasers: {type: int, description: Lasers.}\n",
    )
    devices = [
        {"kind": "PhotonChip", "count": 3, "lasers": 8, "memory": "64GiB"},
        {"kind": "Cpu", "memory": "1TiB"},
    ]
    links = [{"kind": "NVLink", "bandwidth_gbps": 150}]
    policy = engine.load_policy("sharding@1.0.0", folder)
    kinds = {**KINDS, "PhotonChip": Kind("ai_asic", 48.0, 99, ("device_id", "lasers"))}
    for params, match in (("10B", "single-device"), ("70B", "tensor-parallel"), ("700B", "cpu-fallback")):
        request = engine.Request.from_dict(
            {
                "inventory": {"devices": devices, "interconnects": links},
                "model": {"params": params},
                "quantization": "bf16",
            }
        )
        decision = policy.decide(request)
        assert decision.match_id == match
        assert same_plan(decision.plan, handwritten_plan(request, kinds=kinds))


def test_an_invented_quantization(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(
        folder / "catalog" / "quantization" / "1.0.0.yaml",
        r"(  int4: .*\n)",
        r"\1  int2: {bits_per_param: 2, label: INT2, aliases: [ternary]}" + "\n",
    )
    monkeypatch.setitem(BITS, "ternary", 2)
    request = engine.Request.from_dict(
        {
            "inventory": {"devices": [{"kind": "CudaGpu", "memory": "24GiB"}]},
            "model": {"params": "70B"},
            "quantization": "ternary",
        }
    )
    decision = engine.load_policy("sharding@1.0.0", folder).decide(request)
    assert decision.quantization == "int2"
    assert same_plan(decision.plan, handwritten_plan(request))
    assert decision.match_id == "single-device"


def test_an_invented_interconnect(folder: Path, run: Run, tmp_path: Path) -> None:
    edit(
        folder / "catalog" / "interconnects" / "1.0.0.yaml",
        r"(  NVLink: .*\n)",
        r"\1  PhotonMesh: {fabric: nvlink, switched: true}" + "\n",
    )
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(
        "devices: [{kind: CudaGpu, count: 4, memory: 24GiB}]\n"
        "interconnects: [{kind: PhotonMesh, bandwidth_gbps: 10}]\n"
    )
    arguments = (
        "eval",
        "--inventory",
        inventory,
        "--params",
        "30B",
        "--quantization",
        "bf16",
        "--format",
        "json",
    )
    refused = run(*arguments)
    assert refused.code == 2
    assert "'PhotonMesh' is not in catalog interconnects@1.0.0" in refused.err
    ran = run(*arguments, "--policies", folder)
    assert ran.code == 0
    assert ran.json["match"] == "tensor-parallel"
    # slowest 20.0 × 4 devices × 32/16 × 1.8, as behind an NVSwitch
    assert ran.json["plan"]["estimated_tokens_per_sec"] == 20.0 * 4 * 2.0 * 1.8


def test_one_number_on_the_command_line(folder: Path, run: Run) -> None:
    arguments = (
        "eval", "--inventory", TOP / "examples" / "8x-a100.yaml", "--params", "70B", "--quantization", "bf16",
        "--format", "json",
    )  # fmt: skip
    before = run(*arguments).json
    set_constant(folder, "nvswitch_tp_bonus", 1.5)
    after = run(*arguments, "--policies", folder).json
    assert before["plan"]["estimated_tokens_per_sec"] == 20.0 * 8 * 2.0 * 1.8
    assert after["plan"]["estimated_tokens_per_sec"] == 20.0 * 8 * 2.0 * 1.5
    assert before["policy"]["digest"] != after["policy"]["digest"]
