"""The JSON that the ai-hwaccel planner prints, so that its readers can take a decision's plan."""

from __future__ import annotations

import json
from typing import Any

from engine.decision import Decision
from engine.errors import RenderError
from engine.plan import Plan, ShardDevice, Strategy
from engine.render import Screen
from engine.render.json import compact


def render(decision: Decision, screen: Screen) -> str:
    """The decision as one JSON document.

    Raises:
        RenderError: no plan, or a strategy that this form doesn't know.
    """
    return json.dumps(to_dict(decision), indent=2, ensure_ascii=False) + "\n"


def line(decision: Decision) -> bytes:
    """The decision on one line, for JSON Lines.

    Raises:
        RenderError: no plan, or a strategy that this form doesn't know.
    """
    return compact(to_dict(decision))


def to_dict(decision: Decision) -> dict[str, Any]:
    """The decision in that tool's terms.

    Raises:
        RenderError: no plan, or a strategy that this form doesn't know.
    """
    if decision.plan is None:
        raise RenderError(
            f"ai-hwaccel's form holds plans, and the outcome is {decision.outcome}",
            hint="--format json has every outcome",
        )
    return {
        "id": decision.id,
        "plan": _plan(decision.plan),
        "fits_in_memory": decision.fits_in_memory,
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "shards": [
            {
                "shard_id": shard.shard_id,
                "layer_range": list(shard.layer_range),
                "device": _device(shard.device),
                "memory_bytes": shard.memory_bytes,
            }
            for shard in plan.shards
        ],
        "strategy": _strategy(plan.strategy),
        "total_memory_bytes": plan.total_memory_bytes,
        "estimated_tokens_per_sec": plan.estimated_tokens_per_sec,
    }


def _device(device: ShardDevice) -> str | dict[str, Any]:
    """A kind without fields of its own is written as its bare name."""
    return {device.kind: dict(device.identity)} if device.identity else device.kind


def _strategy(strategy: Strategy) -> str | dict[str, Any]:
    if strategy.kind == "none":
        return "None"
    if strategy.kind == "tensor_parallel":
        return {"TensorParallel": {"num_devices": strategy.tensor_parallel}}
    if strategy.kind == "pipeline_parallel":
        return {"PipelineParallel": {"num_stages": strategy.pipeline_parallel}}
    if strategy.kind == "data_parallel":
        return {"DataParallel": {"num_replicas": strategy.data_parallel}}
    raise RenderError(f"ai-hwaccel's form has no strategy {strategy.kind}")
