"""A decision as a row of a table: main fields as columns, and the complete decision as JSON."""

from __future__ import annotations

from engine.base.errors import Problem
from engine.decide.decision import Decision
from engine.render.as_json import compact


def line(decision: Decision) -> bytes:
    """Return the row as one line of JSON."""
    row: dict[str, object] = {
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
    """Return the row for a request that could not be decided."""
    text = problem.message if problem.place is None else f"{problem.place}: {problem.message}"
    return compact({"id": None if id_ is None else str(id_), "line": number, "error": text})
