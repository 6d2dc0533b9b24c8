"""A decision as one row of a table: its main fields as columns, and the whole of it as JSON."""

from __future__ import annotations

from typing import Any

from engine.decision import Decision
from engine.errors import Problem
from engine.render.json import compact


def line(decision: Decision) -> bytes:
    """The row as one line of JSON."""
    row: dict[str, Any] = {
        "id": None if decision.id is None else str(decision.id),
        "policy": f"{decision.policy_name}@{decision.policy_version}",
        "digest": decision.policy_digest,
        "outcome": decision.outcome,
        "match": decision.match_id,
        "explanation": decision.explanation,
        "fits_in_memory": decision.fits_in_memory,
        "quantization": decision.quantization,
        "decision": compact(decision.to_dict()).decode().rstrip("\n"),
    }
    plan = decision.plan
    if plan is not None:
        row |= {
            "strategy": plan.strategy.kind,
            "tensor_parallel": plan.strategy.tensor_parallel,
            "pipeline_parallel": plan.strategy.pipeline_parallel,
            "data_parallel": plan.strategy.data_parallel,
            "shards": len(plan.shards),
            "total_memory_bytes": plan.total_memory_bytes,
            "estimated_tokens_per_sec": plan.estimated_tokens_per_sec,
            "warnings": list(plan.warnings),
        }
    return compact(row)


def error_line(id_: str | int | None, problem: Problem, number: int) -> bytes:
    """The row in the place of a decision."""
    text = problem.message if problem.place is None else f"{problem.place}: {problem.message}"
    return compact({"id": None if id_ is None else str(id_), "line": number, "error": text})
