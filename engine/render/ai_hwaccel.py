"""The plan as JSON in the format of the ai-hwaccel planner.

Programs that read that planner's output can read it. It has no hybrid strategies and no outcome other than
a plan.
"""

from __future__ import annotations

import json

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.plan import Plan, ShardDevice, Strategy
from engine.render import Screen, Target
from engine.render.as_json import compact


def render(decision: Decision, screen: Screen) -> str:
    """Return the plan as an indented JSON document.

    Raises:
        RenderError: There is no plan, or ai-hwaccel has no such strategy.
    """
    return json.dumps(to_dict(decision), indent=2, ensure_ascii=False) + "\n"


def line(decision: Decision) -> bytes:
    """Return the plan on one line, for JSON Lines.

    Raises:
        RenderError: There is no plan, or ai-hwaccel has no such strategy.
    """
    return compact(to_dict(decision))


def to_dict(decision: Decision) -> dict[str, object]:
    """Return the plan in the terms of ai-hwaccel.

    Raises:
        RenderError: There is no plan or more than one, or ai-hwaccel has no such strategy.
    """
    if decision.plan is None:
        raise RenderError(
            f"the ai-hwaccel format holds only plans, but the outcome is {decision.outcome}",
            hint="use --format json, which holds every outcome",
        )
    if decision.plan.further:
        raise RenderError(
            f"the ai-hwaccel format holds one plan, but the decision has {len(decision.plan.groups)}",
            hint="use --format json, or plan one group by pinning its degrees",
        )
    return {
        "id": decision.id,
        "plan": _plan(decision.plan),
        "fits_in_memory": decision.fits_in_memory,
    }


def _plan(plan: Plan) -> dict[str, object]:
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


def _device(device: ShardDevice) -> str | dict[str, object]:
    """Return a device; a kind without fields is written as its name."""
    return {device.kind: dict(device.identity)} if device.identity else device.kind


def _strategy(strategy: Strategy) -> str | dict[str, object]:
    if strategy.kind == "none":
        return "None"
    if strategy.kind == "tensor_parallel":
        return {"TensorParallel": {"num_devices": strategy.tensor_parallel}}
    if strategy.kind == "pipeline_parallel":
        return {"PipelineParallel": {"num_stages": strategy.pipeline_parallel}}
    if strategy.kind == "data_parallel":
        return {"DataParallel": {"num_replicas": strategy.data_parallel}}
    raise RenderError(f"the ai-hwaccel format has no strategy {strategy.kind}")


TARGET = Target("ai-hwaccel", render, "json")
