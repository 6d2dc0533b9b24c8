"""HTML tables, which notebooks show for decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

from engine.base.printable import printable
from engine.base.quantities import format_bytes

if TYPE_CHECKING:
    from engine.plan import Plan


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return an HTML table of names and values."""
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th>'
        f'<td style="text-align: left">{escape(printable(value))}</td></tr>'
        for name, value in rows
    )
    return f"<table><tbody>{cells}</tbody></table>"


def plan_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the numbers of a plan by name, with their units."""
    strategy = plan.strategy
    degrees = {
        "TP": strategy.tensor_parallel,
        "PP": strategy.pipeline_parallel,
        "DP": strategy.data_parallel,
        "EP": strategy.expert_parallel or 1,
    }
    named = ", ".join(f"{name} {degree}" for name, degree in degrees.items() if degree != 1)
    yield "strategy", strategy.kind.replace("_", " ") + (f" ({named})" if named else "")
    devices = {(shard.device.kind, repr(shard.device.identity), shard.device.index) for shard in plan.shards}
    yield "devices", str(len(devices))
    yield "memory", format_bytes(plan.total_memory_bytes)
    estimates = plan.estimates
    if estimates is not None:
        if estimates.time_to_first_token_ms is not None:
            yield "TTFT", f"{estimates.time_to_first_token_ms:.1f} ms"
        if estimates.time_per_output_token_ms is not None:
            yield "TPOT", f"{estimates.time_per_output_token_ms:.2f} ms"
    elif plan.estimated_tokens_per_sec is not None:
        yield "estimate", f"{plan.estimated_tokens_per_sec:.1f} tok/s"
    for number, group in enumerate(plan.further, 2):
        yield f"group {number}", ", ".join(value for _, value in list(plan_rows(group))[:2])
    if plan.fleet is not None:
        shares = ", ".join(f"{load.share:.1%}" for load in plan.fleet.groups)
        yield "all groups", f"{plan.fleet.requests_per_sec:.4g} requests/s ({shares})"
    for warning in plan.warnings:
        yield "warning", warning
