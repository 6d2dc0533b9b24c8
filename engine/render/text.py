"""The decision as text for a terminal: headline, reason, shards, estimates, remedies and trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.base.paint import Paint, painter
from engine.base.printable import finished, printable
from engine.base.quantities import format_bytes, format_count
from engine.decide.decision import Decision
from engine.decide.found import Found
from engine.decide.goals import PERCENTILE, RATE, goal_times, serving_of
from engine.decide.remedies import Change, Remedied, Speed
from engine.inventory import Inventory
from engine.plan import Estimates, Plan, Shard, Strategy, device_memory
from engine.render import Screen, Target
from engine.render.devices import devices_text
from engine.render.layout import Cell, Column, grid, table, wrap
from engine.render.sanitize import sanitised

_MOST_ROWS = 48
"""Longer shard tables are cut in the middle, with a row that says so."""

_LABEL_WIDTH = 12
"""Facts and estimates are aligned with each other; the longest label is `quantization`."""

_COLUMNS = (
    Column("shard", align_right=True),
    Column("device", folds=True),
    Column("layers", align_right=True),
    Column("memory", align_right=True),
    Column("of device", align_right=True),
)


def render(decision: Decision, screen: Screen) -> str:
    """Return the decision laid out for the screen's width."""
    decision = sanitised(decision)
    text = "\n".join(_lines(decision, screen.width, painter(screen.color)))
    return finished(text.rstrip("\n") + "\n", screen.color)


def _lines(decision: Decision, width: int, paint: Paint) -> Iterator[str]:
    style = "1;32" if decision.feasible else "1;31"
    yield from (paint(line, style) for line in wrap(headline(decision), width))
    yield from grid(list(_facts(decision)), width, paint, label_width=_LABEL_WIDTH)
    if decision.plan is not None:
        yield from _plan_lines(decision, decision.plan, width, paint)
    for title, rows in help_tables(decision):
        yield ""
        yield from (paint(line, "1") for line in wrap(title, width))
        for line in table(_HELP_COLUMNS, rows, width - 2, paint, header_style="2"):
            yield f"  {line}"
    if decision.trace is not None:
        # Only --explain needs it.
        from engine.render.tracing import trace_lines  # deferred: start-up time

        for name, chooser in decision.auto.items():
            if chooser.trace is not None:
                yield from trace_lines(chooser.trace, f"{name}, by {_policy(chooser)}", width, paint)
        yield from trace_lines(decision.trace, _policy(decision), width, paint)


def _policy(decision: Decision) -> str:
    return f"{decision.policy_name}@{decision.policy_version}"


def headline(decision: Decision) -> str:
    """Return the outcome in one line: the parallelism of the plan, or why there is none."""
    if decision.outcome == "no_match":
        return "No match: no rule of the policy applies to this request"
    if decision.outcome == "infeasible":
        binding = None if decision.refusal is None else decision.refusal.requirement
        return "No feasible plan" + ("" if binding is None else f": {binding}")
    if decision.plan is None:
        # A policy that returns a value, not a plan.
        import json  # deferred: start-up time

        from engine.cel.values import to_json  # deferred: start-up time

        return printable(json.dumps(to_json(decision.output), ensure_ascii=False))
    if not decision.plan.shards:
        return "Nothing can be placed"
    doubt = "" if decision.feasible else " (does not fit)"
    return " + ".join(strategy_text(plan.strategy) for plan in decision.plan.groups) + doubt


def strategy_text(strategy: Strategy) -> str:
    """Return a strategy in words and degrees: `Tensor parallel over 8 devices (TP 8)`."""
    tensor, pipeline, data = (
        strategy.tensor_parallel,
        strategy.pipeline_parallel,
        strategy.data_parallel,
    )
    if strategy.kind == "none":
        return "Single device"
    degrees = {"TP": tensor, "PP": pipeline, "DP": data, "EP": strategy.expert_parallel or 1}
    short = ", ".join(f"{name} {degree}" for name, degree in degrees.items() if degree > 1)
    if strategy.kind == "tensor_parallel":
        words = f"Tensor parallel over {tensor} devices"
    elif strategy.kind == "pipeline_parallel":
        words = f"Pipeline parallel in {pipeline} stages"
    elif strategy.kind == "data_parallel":
        words = f"Data parallel with {data} replicas"
    else:
        words = _product(strategy)
    return f"{words} ({short})" if short else words


def _product(strategy: Strategy) -> str:
    """Return the degrees above 1 as a product: `Tensor parallel 8 × pipeline parallel 2`."""
    named = {
        "tensor parallel": strategy.tensor_parallel,
        "pipeline parallel": strategy.pipeline_parallel,
        "data parallel": strategy.data_parallel,
    }
    words = " × ".join(f"{name} {degree}" for name, degree in named.items() if degree > 1)
    return words[:1].upper() + words[1:]


def _facts(decision: Decision) -> Iterator[tuple[str, str]]:
    """Yield what was decided on, by which policy, and why."""
    model = decision.request.model if decision.request else None
    if model is not None:
        name = f"{model.name}, " if model.name else ""
        yield "model", f"{name}{format_count(model.params)} parameters"
    if decision.quantization is not None:
        chooser = decision.auto.get("quantization")
        why = "" if chooser is None else f", chosen by {_policy(chooser)}: {chooser.explanation}"
        yield "quantization", decision.quantization + why
    if decision.plan is not None and decision.plan.server is not None:
        yield "server", decision.plan.server
    yield "policy", f"{_policy(decision)}  {decision.policy_digest[:19]}…"
    if decision.match_id is not None:
        yield "match", decision.match_id
    if decision.explanation is not None:
        yield "reason", decision.explanation
    if decision.conflict and any(each.value is not None for each in decision.conflict):
        demands = [change_text(each) for each in decision.conflict if each.value is not None]
        together = " and ".join(filter(None, (", ".join(demands[:-1]), demands[-1])))
        yield "conflict", f"no plan for {together}"


def _plan_lines(decision: Decision, plan: Plan, width: int, paint: Paint) -> Iterator[str]:
    if plan.further:
        yield from _group_lines(decision, plan, width, paint)
        return
    yield from _shard_lines(decision, plan, width, paint)
    rows = [("memory", _memory(decision, plan)), *plan_rows(decision, plan)]
    rows += list(goal_rows(decision, plan))
    yield from grid(rows, width, paint, label_width=_LABEL_WIDTH)
    yield from _warning_lines(plan, width, paint)


def _group_lines(decision: Decision, plan: Plan, width: int, paint: Paint) -> Iterator[str]:
    """Yield each of several groups, then what they serve together."""
    for number, group in enumerate(plan.groups):
        yield ""
        title = f"Group {number + 1}: {strategy_text(group.strategy)}"
        yield from (paint(line, "1") for line in wrap(title, width))
        if number:
            facts = (("server", group.server), ("reason", group.explanation))
            rows = [(label, value) for label, value in facts if value is not None]
            yield from grid(rows, width, paint, label_width=_LABEL_WIDTH)
        yield from _shard_lines(decision, group, width, paint)
        rows = [("memory", _memory(decision, group)), *group_rows(decision, plan, number)]
        yield from grid(rows, width, paint, label_width=_LABEL_WIDTH)
        yield from _warning_lines(group, width, paint)
    yield ""
    yield paint("All groups", "1")
    rows = [*fleet_rows(plan), *_idle_rows(plan), *goal_rows(decision, plan)]
    yield from grid(rows, width, paint, label_width=_LABEL_WIDTH)


def _shard_lines(decision: Decision, plan: Plan, width: int, paint: Paint) -> Iterator[str]:
    inventory = decision.request.inventory if decision.request else None
    if plan.shards:
        yield ""
        yield from table(_COLUMNS, list(_rows(plan, inventory)), width, paint)
        yield ""


def _warning_lines(plan: Plan, width: int, paint: Paint) -> Iterator[str]:
    for warning in plan.warnings:
        head, *rest = wrap(f"warning: {warning}", width)
        yield head.replace("warning:", paint("warning:", "1;33"), 1)
        yield from rest


def goal_rows(decision: Decision, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the goals of the request with the plan's estimates, and the concurrency that was found.

    Of several groups, the longest time and the rate of all count.
    """
    serving = {} if decision.request is None else serving_of(decision.request)
    groups = [goal_times(group.estimates) for group in plan.groups]
    times = {name: max(each[name] or 0.0 for each in groups) or None for name in groups[0]}
    percentile = serving.get(PERCENTILE)
    at = "" if percentile is None else f" (p{percentile})"
    parts = []
    for name, label in (("max_ttft_ms", "TTFT"), ("max_tpot_ms", "TPOT")):
        limit, time = serving.get(name), times[name]
        if isinstance(limit, (int, float)) and time is not None:
            parts.append(f"{label} {_number(time)} of at most {limit:g} ms{at}")
    rate = serving.get(RATE)
    served = plan.estimates if plan.fleet is None else plan.fleet
    if isinstance(rate, (int, float)) and served is not None and served.requests_per_sec:
        parts.append(f"{served.requests_per_sec:.4g} of {rate:g} requests/s")
    if parts:
        yield "goals", ", ".join(parts)
    if decision.found is not None and not plan.further:
        yield "concurrency", found_words(decision.found)


def found_words(found: Found) -> str:
    """Return a concurrency that was found, and what limits it."""
    how = "smallest for the rate" if found.found == "smallest_for_rate" else "largest within the limits"
    beyond = "" if found.explanation is None else f"; beyond: {found.explanation}"
    return f"{found.value:,}, {how}{beyond}"


def plan_rows(decision: Decision, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the policy's estimates for a plan, as labels and values with units."""
    if plan.estimates is not None:
        yield from _estimate_rows(plan.estimates, plan.strategy.data_parallel, _concurrency(decision))
    elif plan.estimated_tokens_per_sec is not None:
        yield "estimate", f"{_number(plan.estimated_tokens_per_sec)} tok/s per request"
    yield from _idle_rows(plan)


def _idle_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    for idle in plan.idle:
        yield "idle", str(idle)


def group_rows(decision: Decision, plan: Plan, number: int) -> Iterator[tuple[str, str]]:
    """Yield the estimates of one of several groups, the first of which may be for all requests."""
    group, fleet = plan.groups[number], plan.fleet
    if group.estimates is None or fleet is None:
        return
    own = fleet.groups[number].concurrency
    asked = _concurrency(decision) if number == 0 else own
    alone = number == 0 and asked != own
    yield from _estimate_rows(group.estimates, group.strategy.data_parallel, asked, alone=alone)
    if number == 0 and decision.found is not None:
        yield "concurrency", found_words(decision.found)


def fleet_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what several groups serve together, and the part of each."""
    fleet = plan.fleet
    if fleet is None:
        return
    if fleet.throughput_tokens_per_sec is not None:
        bounds = "" if fleet.bounds is None else " [{} to {}]".format(*map(_number, fleet.bounds))
        load = f"at concurrency {fleet.concurrency:,}"
        yield "throughput", f"{_number(fleet.throughput_tokens_per_sec)} tok/s{bounds} {load}"
    yield "rate", f"{fleet.requests_per_sec:.4g} requests/s"
    for number, (part, group) in enumerate(zip(fleet.groups, plan.groups, strict=True), 1):
        rate = part.throughput_tokens_per_sec
        tokens = "" if rate is None else f", {_number(rate)} tok/s"
        words = f"{part.share:.1%} of the requests, concurrency {part.concurrency:,}{tokens}"
        yield f"group {number}", f"{devices_text(group)}: {words}"


def _concurrency(decision: Decision) -> int | None:
    """Return the concurrency that the request asks for."""
    serving = decision.request.inputs.get("serving") if decision.request else None
    asked = serving.get("concurrency") if isinstance(serving, dict) else None
    return asked if isinstance(asked, int) else None


def _estimate_rows(
    estimates: Estimates, replicas: int, concurrency: int | None, *, alone: bool = False
) -> Iterator[tuple[str, str]]:
    where = " per replica" if replicas > 1 else ""
    if estimates.kv_capacity_tokens is not None and estimates.kv_capacity_requests is not None:
        count = estimates.kv_capacity_requests
        many = "1 request" if count == 1 else f"{count:,} requests"
        of = "" if estimates.context is None else f": {many} of {estimates.context:,} tokens"
        yield "KV capacity", f"{estimates.kv_capacity_tokens:,} tokens{where}{of}"
    elif estimates.context is not None and estimates.concurrency is not None:
        yield "KV capacity", f"{estimates.concurrency:,} × {estimates.context:,} tokens{where}"
    if estimates.host_memory_bytes:
        many = f", {estimates.host_layers:,} layers" if estimates.host_layers else ""
        yield "host memory", f"{format_bytes(estimates.host_memory_bytes)} of weights{many}"
    if estimates.time_per_output_token_ms is not None:
        milliseconds = estimates.time_per_output_token_ms
        bounds = _bounds(estimates, "time_per_output_token_ms")
        yield "TPOT", f"{_number(milliseconds)} ms{bounds} ({_number(1000 / milliseconds)} tok/s per request)"
    parts = estimates.parts_ms or {}
    shown = sorted(((time, name) for name, time in parts.items() if time > 0), reverse=True)
    if shown:
        words = (f"{_PARTS.get(name, name.replace('_', ' '))} {_part(time)} ms" for time, name in shown)
        yield "  breakdown", ", ".join(words)
    if estimates.time_to_first_token_ms is not None:
        bounds = _bounds(estimates, "time_to_first_token_ms")
        yield "TTFT", f"{_number(estimates.time_to_first_token_ms)} ms{bounds}"
    if concurrency is None and replicas == 1:
        concurrency = estimates.concurrency
    load = "the default concurrency" if concurrency is None else f"concurrency {concurrency:,}"
    load += ", serving all requests alone" if alone else ""
    if estimates.saturated_tokens_per_sec is not None:
        bounds = _bounds(estimates, "saturated_tokens_per_sec")
        yield "throughput", f"{_number(estimates.saturated_tokens_per_sec)} tok/s{bounds} at {load}"
    if concurrency is not None and concurrency > 1 and estimates.loaded_time_per_output_token_ms is not None:
        ttft = estimates.loaded_time_to_first_token_ms
        first = "" if ttft is None else f", TTFT {_number(ttft)} ms"
        yield "  under load", f"TPOT {_number(estimates.loaded_time_per_output_token_ms)} ms{first}"
    if estimates.basis is not None and estimates.basis != _MODELLED:
        yield "basis", estimates.basis


_MODELLED = "modelled"
"""The usual basis of estimates, which text output does not mention."""


def _bounds(estimates: Estimates, name: str) -> str:
    """Return the bounds of an estimate in brackets, or nothing if it has none."""
    if estimates.bounds is None or name not in estimates.bounds:
        return ""
    low, high = estimates.bounds[name]
    return f" [{_number(low)} to {_number(high)}]"


_PARTS = {"kv_cache": "KV", "all_reduce": "all-reduce", "hops": "stage hops"}
"""Parts of TPOT as the breakdown calls them; other parts go by their own names."""

_CHANGED = {
    "devices": "+{} identical devices",
    "quantization": "quantization {}",
    "serving.context": "context {:,} tokens",
    "serving.concurrency": "concurrency {:,}",
    "serving.kv_dtype": "KV cache in {}",
    "serving.utilization": "memory utilization {}",
    "serving.max_ttft_ms": "TTFT limit {:g} ms",
    "serving.max_tpot_ms": "TPOT limit {:g} ms",
    "serving.request_rate": "rate {:g}/s",
}

WOULD_HELP = "Any one of these would make it fit:"
PAIRS_HELP = "No single change helps; any one of these pairs would make it fit:"

_HELP_COLUMNS = (
    Column("change", folds=True),
    Column("plan", folds=True),
    Column("TPOT", align_right=True),
    Column("throughput", align_right=True),
    Column("of best", align_right=True),
)
"""Remedies beside each other: throughput also as a share of the highest one that is listed."""


def help_tables(decision: Decision) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield the title and the rows of each table of remedies."""
    if decision.remedies:
        singles = [(remedy_text(each), each) for each in decision.remedies]
        yield WOULD_HELP, [_help_row(text, each.strategy, each.speed) for text, each in singles]
    if decision.combinations:
        pairs = [(" and ".join(map(change_text, each.changes)), each) for each in decision.combinations]
        yield PAIRS_HELP, [_help_row(text, each.strategy, each.speed) for text, each in pairs]


def _help_row(change: str, strategy: Strategy, speed: Speed | None) -> tuple[str, ...]:
    plan = "single device" if strategy.kind == "none" else _product(strategy).lower()
    if speed is None:
        return change, plan, "", "", ""
    tpot, rate, share = speed.time_per_output_token_ms, speed.throughput_tokens_per_sec, speed.share
    return (
        change,
        plan,
        "" if tpot is None else f"{_number(tpot)} ms",
        "" if rate is None else f"{_number(rate)} tok/s",
        "" if share is None else f"{share:.0%}",
    )


def remedy_text(remedy: Remedied) -> str:
    """Return a change in words; limits and rates with their distance from what was asked for."""
    if isinstance(remedy.value, dict):  # several goals at once
        values = remedy.value.items()
        return " and ".join(_CHANGED[f"{remedy.change}.{name}"].format(value) for name, value in values)
    change = Change(remedy.id, remedy.change, remedy.value, remedy.asked, remedy.text)
    if not remedy.text and isinstance(remedy.asked, float) and isinstance(remedy.value, float):
        return f"{change_text(change)} ({100 * (remedy.value / remedy.asked - 1):+.3g} %)"
    return change_text(change)


def change_text(change: Change) -> str:
    """Return a change in words: the policy's, if it has any."""
    text = change.text or _CHANGED.get(change.change, f"{change.id} {{}}").format(change.value)
    return text.removesuffix("s") if change.change == "devices" and change.value == 1 else text


def _memory(decision: Decision, plan: Plan) -> str:
    total = f"{format_bytes(plan.total_memory_bytes)} in total"
    if decision.fits_in_memory is None or not plan.shards:
        return total
    return f"{total}, fits" if decision.fits_in_memory else f"{total}, exceeds the available memory"


def _rows(plan: Plan, inventory: Inventory | None) -> Iterator[Sequence[Cell]]:
    shards = plan.shards
    cut = len(shards) - _MOST_ROWS
    if cut <= 1:
        yield from (_row(shard, plan, inventory) for shard in shards)
        return
    half = _MOST_ROWS // 2
    yield from (_row(shard, plan, inventory) for shard in shards[:half])
    yield ("…", f"{cut} more (all with --format json)", "", "", "")
    yield from (_row(shard, plan, inventory) for shard in shards[-half:])


def _row(shard: Shard, plan: Plan, inventory: Inventory | None) -> Sequence[Cell]:
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


def _share(shard: Shard, inventory: Inventory | None) -> Cell:
    """Return the share of its device's memory that a shard takes."""
    memory = device_memory(shard.device, inventory)
    if memory is None:
        return "?"
    if memory == 0:
        return "0 B"
    share = f"{shard.memory_bytes / memory:.1%}"
    return (share, "1;31") if shard.memory_bytes > memory else share


def _number(value: float) -> str:
    """Format a rate or a time with at least three digits and without an exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _part(milliseconds: float) -> str:
    """Format a part of TPOT with at most two decimals."""
    if milliseconds >= 1:
        return f"{milliseconds:,.1f}"
    return f"{milliseconds:.2f}" if milliseconds >= 0.005 else "<0.01"


TARGET = Target("text", render, "text", shows_trace=True)
