"""Plans that could not run as they stand: warned about, never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import engine

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: pipeline
version: 1.0.0
inputs:
  - {name: inventory, type: Inventory}
  - {name: ranges, type: list(list(int))}
  - {name: bytes_each, type: int}
catalogs: [accelerators@1.0.0]
rule:
  match:
    - plan:
        builder: pipeline_parallel
        arguments:
          devices: >-
            ranges.map(r, inventory.devices[ranges.size() == inventory.devices.size() ? r[0] / 10 : 0])
          shard_memory_bytes: bytes_each
          layer_ranges: ranges
          total_memory_bytes: bytes_each * ranges.size()
"""
DEVICES = {"devices": [{"kind": "CudaGpu", "count": 3, "memory": 1000}]}


@pytest.fixture
def policy(tmp_path: Path) -> engine.Policy:
    file = tmp_path / "pipeline" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(POLICY)
    return engine.load_policy("pipeline", tmp_path)


def warnings(
    policy: engine.Policy, ranges: list[list[int]], bytes_each: int, inventory: Any = DEVICES
) -> Any:
    request = engine.Request.from_inputs({"inventory": inventory, "ranges": ranges, "bytes_each": bytes_each})
    plan = policy.decide(request).plan
    assert plan is not None
    assert [list(shard.layer_range) for shard in plan.shards] == ranges
    assert {shard.memory_bytes for shard in plan.shards} == {bytes_each}
    return plan.warnings


def test_a_sound_plan_has_none(policy: engine.Policy) -> None:
    assert warnings(policy, [[0, 9], [10, 19], [20, 29]], 1000) == ()


def test_a_shard_larger_than_its_device(policy: engine.Policy) -> None:
    assert warnings(policy, [[0, 9], [10, 19], [20, 29]], 1001) == (
        "shard 0 needs 1001 B, device CudaGpu 0 has 1000 B",
        "shard 1 needs 1001 B, device CudaGpu 1 has 1000 B",
        "shard 2 needs 1001 B, device CudaGpu 2 has 1000 B",
    )


def test_missing_layers(policy: engine.Policy) -> None:
    assert warnings(policy, [[0, 9], [12, 19], [20, 29]], 1) == (
        "layers 10 to 11 are on no shard before shard 1",
    )


def test_layers_twice(policy: engine.Policy) -> None:
    assert warnings(policy, [[0, 12], [10, 19], [20, 29]], 1) == (
        "layers 10 to 12 are on shard 1 a second time",
    )


def test_an_inverted_range(policy: engine.Policy) -> None:
    assert warnings(policy, [[0, 9], [10, 19], [20, 15]], 1) == (
        "shard 2 has no layers: its range is 20 to 15",
    )


def test_a_device_twice_and_too_small_for_both(policy: engine.Policy) -> None:
    assert warnings(policy, [[0, 9], [10, 19]], 600) == (
        "device CudaGpu 0 is used 2 times, by shards 0, 1",
        "2 shards need 1.17 KiB, device CudaGpu 0 has 1000 B",
    )


def test_the_reference_planner_makes_such_plans_and_they_are_kept() -> None:
    """More stages than layers: the last range of sharding 1.0.0 is inverted, as the reference's is."""
    request = engine.Request.from_dict(
        {
            "inventory": {"devices": [{"kind": "CudaGpu", "count": 12, "memory": "1GiB"}]},
            "model": {"params": "2B"},
            "quantization": "fp16",
        }
    )
    decision = engine.load_policy("sharding@1.0.0").decide(request)
    assert decision.plan is not None
    assert decision.plan.shards[-1].layer_range == (11, 7)
    assert "shard 11 has no layers: its range is 11 to 7" in decision.plan.warnings


@pytest.mark.parametrize(
    ("ranges", "message"),
    [([[0, 1, 2], [10, 19], [20, 29]], "a layer range is a first and a last layer")],
)
def test_arguments_that_make_no_plan(policy: engine.Policy, ranges: list[list[int]], message: str) -> None:
    request = engine.Request.from_inputs({"inventory": DEVICES, "ranges": ranges, "bytes_each": 1})
    with pytest.raises(engine.EvaluationError, match=message) as caught:
        policy.decide(request)
    assert caught.value.place is not None
    assert caught.value.place.line == 18
