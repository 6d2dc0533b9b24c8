"""For people: what is to be done, who decided it and why, the shards as a table, the trace."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cel.values import to_json
from engine.decision import Decision
from engine.inventory import Inventory
from engine.plan import Estimates, Plan, Shard, Strategy, device_memory
from engine.quantities import format_bytes, format_count
from engine.remedies import Remedied
from engine.render import Screen
from engine.render.trace import print_trace

_MOST_ROWS = 48
"""Longer tables are cut in the middle, and say so."""


def render(decision: Decision, screen: Screen) -> str:
    """The decision for a terminal of that width."""
    console = Console(
        file=io.StringIO(),
        width=screen.width,
        force_terminal=screen.color,
        color_system="standard" if screen.color else None,
        no_color=not screen.color,
        highlight=False,
        emoji=False,
        markup=False,
    )
    console.print(_title(decision))
    console.print(_facts(decision))
    if decision.plan is not None:
        _print_plan(console, decision, decision.plan)
    if decision.remedies:
        _print_remedies(console, decision.remedies)
    if decision.trace is not None:
        for name, chooser in decision.auto.items():
            if chooser.trace is not None:
                print_trace(console, chooser.trace, f"{name}, by {_policy(chooser)}")
        print_trace(console, decision.trace, _policy(decision))
    written = console.file
    assert isinstance(written, io.StringIO)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _policy(decision: Decision) -> str:
    return f"{decision.policy_name}@{decision.policy_version}"


def _title(decision: Decision) -> Text:
    style = "bold green" if decision.feasible else "bold red"
    return Text(headline(decision), style=style)


def headline(decision: Decision) -> str:
    """What came out, in a few words."""
    if decision.outcome == "no_match":
        return "No match: no rule of the policy holds for this request"
    if decision.outcome == "infeasible":
        binding = None if decision.refusal is None else decision.refusal.requirement
        return "No plan is possible" + ("" if binding is None else f": {binding}")
    if decision.plan is None:
        return json.dumps(to_json(decision.output), ensure_ascii=False)
    strategy = decision.plan.strategy
    names = {
        "none": "One device",
        "tensor_parallel": f"Tensor parallel over {strategy.tensor_parallel} devices",
        "pipeline_parallel": f"Pipeline parallel in {strategy.pipeline_parallel} stages",
        "data_parallel": f"Data parallel, {strategy.data_parallel} replicas",
        "hybrid": _degrees(strategy),
    }
    if not decision.plan.shards:
        return "Nothing can be placed"
    doubt = "" if decision.feasible else ", which does not fit"
    experts = strategy.expert_parallel or 1
    spread = f", experts spread over {experts}" if experts > 1 else ""
    return names[strategy.kind] + spread + doubt


def _degrees(strategy: Strategy) -> str:
    """The degrees that are more than one: `Tensor parallel 8 × pipeline parallel 2`."""
    named = {
        "tensor parallel": strategy.tensor_parallel,
        "pipeline parallel": strategy.pipeline_parallel,
        "data parallel": strategy.data_parallel,
    }
    words = " × ".join(f"{name} {degree}" for name, degree in named.items() if degree > 1)
    return words[:1].upper() + words[1:]


def _facts(decision: Decision) -> Table:
    """Who decided what, and why, as two columns of words."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    model = decision.request.model if decision.request else None
    if model is not None:
        name = f"{model.name}, " if model.name else ""
        table.add_row("model", f"{name}{format_count(model.params)} parameters")
    if decision.quantization is not None:
        chooser = decision.auto.get("quantization")
        why = "" if chooser is None else f", chosen by {_policy(chooser)}: {chooser.explanation}"
        table.add_row("quantization", decision.quantization + why)
    table.add_row("policy", f"{_policy(decision)}  {decision.policy_digest[:19]}…")
    if decision.match_id is not None:
        table.add_row("match", decision.match_id)
    if decision.explanation is not None:
        table.add_row("because", decision.explanation)
    return table


def _print_plan(console: Console, decision: Decision, plan: Plan) -> None:
    if plan.shards:
        console.print()
        console.print(_table(plan, decision.request.inventory if decision.request else None))
        console.print()
    summary = Table.grid(padding=(0, 2, 0, 0))
    summary.add_column(style="dim", no_wrap=True)
    summary.add_column(overflow="fold")
    summary.add_row("total", format_bytes(plan.total_memory_bytes) + _fit(decision))
    if plan.estimates is not None:
        for row in estimate_rows(plan.estimates, plan.strategy.data_parallel):
            summary.add_row(*row)
    elif plan.estimated_tokens_per_sec is not None:
        summary.add_row("estimate", f"{_number(plan.estimated_tokens_per_sec)} tokens/s")
    console.print(summary)
    for warning in plan.warnings:
        console.print(Text.assemble(("warning: ", "bold yellow"), warning))


def estimate_rows(estimates: Estimates, replicas: int) -> Iterator[tuple[str, str]]:
    """What there is room for, what one request gets and what it is made of, and what all get together."""
    if estimates.context is not None and estimates.concurrency is not None:
        many = "1 request" if estimates.concurrency == 1 else f"{estimates.concurrency:,} requests"
        where = ", in each replica" if replicas > 1 else ""
        yield "room for", f"{many} of {estimates.context:,} tokens at a time{where}"
    if estimates.time_per_output_token_ms is not None:
        rate = f"{_number(1000 / estimates.time_per_output_token_ms)} tokens/s"
        yield "one request", f"{rate}, {_number(estimates.time_per_output_token_ms)} ms a token"
    parts = estimates.parts_ms or {}
    shown = sorted(((time, name) for name, time in parts.items() if time > 0), reverse=True)
    if shown:
        words = ", ".join(f"{name.replace('_', ' ')} {_number(time)}" for time, name in shown)
        yield "made of", f"{words} ms"
    if estimates.time_to_first_token_ms is not None:
        yield "first token", f"after {_number(estimates.time_to_first_token_ms)} ms"
    if estimates.saturated_tokens_per_sec is not None:
        yield "all requests", f"{_number(estimates.saturated_tokens_per_sec)} tokens/s together"


_CHANGED = {
    "devices": "{} more of the same devices",
    "quantization": "{}",
    "serving.context": "a context of {} tokens",
    "serving.concurrency": "{} requests at the same time",
}


WOULD_HELP = "Each of these by itself would make one possible"


def remedy_rows(remedies: Sequence[Remedied]) -> Iterator[tuple[str, str]]:
    """What would make a plan possible, and which."""
    for each in remedies:
        strategy = each.strategy
        plan = "one device" if strategy.kind == "none" else _degrees(strategy).lower()
        yield _CHANGED[each.change].format(each.value), plan


def _print_remedies(console: Console, remedies: Sequence[Remedied]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for change, plan in remedy_rows(remedies):
        table.add_row(f"  {change}", plan)
    console.print()
    console.print(Text(WOULD_HELP, style="bold"))
    console.print(table)


def _fit(decision: Decision) -> str:
    if decision.fits_in_memory is None or not (decision.plan and decision.plan.shards):
        return ""
    return ", fits the available memory" if decision.fits_in_memory else ", more than the available memory"


def _table(plan: Plan, inventory: Inventory | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("shard", justify="right", no_wrap=True)
    table.add_column("device", overflow="fold")
    table.add_column("layers", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("of device", justify="right", no_wrap=True)
    shards = plan.shards
    cut = len(shards) - _MOST_ROWS
    shown = shards if cut <= 1 else (*shards[: _MOST_ROWS // 2], *shards[-(_MOST_ROWS // 2) :])
    for position, shard in enumerate(shown):
        if cut > 1 and position == _MOST_ROWS // 2:
            table.add_row("…", f"{cut} more; --format json has them all")
        table.add_row(*_row(shard, plan, inventory))
    return table


def _row(shard: Shard, plan: Plan, inventory: Inventory | None) -> tuple[str | Text, ...]:
    device = str(shard.device) + (f"  {shard.device.name}" if shard.device.name else "")
    return (
        str(shard.shard_id),
        device,
        _layers(shard, plan),
        format_bytes(shard.memory_bytes),
        _share(shard, inventory),
    )


def _layers(shard: Shard, plan: Plan) -> str:
    if plan.strategy.pipeline_parallel == 1:
        return "all"
    first, last = shard.layer_range
    return f"{first}–{last}" if first <= last else "none"


def _share(shard: Shard, inventory: Inventory | None) -> str | Text:
    """How much of its device's memory a shard takes."""
    memory = device_memory(shard.device, inventory)
    if memory is None:
        return "?"
    if memory == 0:
        return "0 B"
    share = f"{shard.memory_bytes / memory:.1%}"
    return Text(share, style="bold red") if shard.memory_bytes > memory else share


def _number(value: float) -> str:
    """A speed for people: three digits at least, no exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"
