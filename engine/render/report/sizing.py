"""A sizing as text, JSON, CSV, Markdown and SVG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

from engine.base.paint import Paint, is_colored
from engine.base.printable import finished, printable
from engine.decide.capacity.sizing import Option, Sizing
from engine.render.chart import Picture, number
from engine.render.layout import Cell, Column, grid, table, wrap

_SERVING = {
    "request_rate": "{:g} requests/s",
    "max_ttft_ms": "TTFT ≤ {:g} ms",
    "max_tpot_ms": "TPOT ≤ {:g} ms",
    "percentile": "p{}",
    "input_tokens": "prompts of {:,} tokens",
    "output_tokens": "outputs of {:,} tokens",
    "context": "context {:,} tokens",
}
_FIELDS = (
    *("machine", "product", "feasible", "devices", "machines", "instances", "plan", "server", "quantization"),
    *("concurrency", "requests_per_sec", "capacity_requests_per_sec", "utilization"),
    *("throughput_tokens_per_sec", "time_to_first_token_ms", "time_per_output_token_ms"),
    *("price_per_hour", "price_per_million_tokens", "currency", "binding", "explanation"),
)


def goal_words(serving: Mapping[str, object]) -> str:
    """Return the goals in words."""
    words = (form.format(serving[name]) for name, form in _SERVING.items() if serving.get(name) is not None)
    return ", ".join(words)


def text(sizing: Sizing, width: int, paint: Paint) -> str:
    """Return the options as a table, the best one in detail, and why the others cannot meet the goals."""
    return finished("\n".join(_lines(sizing, width, paint)) + "\n", is_colored(paint))


def _lines(sizing: Sizing, width: int, paint: Paint) -> Iterator[str]:
    best = sizing.best
    head = "No machine meets the goals" if best is None else _headline(best, sizing)
    yield from (paint(line, "1;31" if best is None else "1;32") for line in wrap(printable(head), width))
    goals = goal_words(sizing.serving) or "none"
    facts = [("model", sizing.model), ("goals", goals), ("policy", sizing.policy)]
    if best is not None:
        facts += list(_details(best, sizing))
    yield from grid([(label, printable(value)) for label, value in facts], width, paint, label_width=12)
    feasible = [option for option in sizing.options if option.feasible]
    if feasible:
        yield ""
        yield from table(_columns(sizing), [_row(option, sizing) for option in feasible], width, paint)
    refused = [option for option in sizing.options if not option.feasible]
    if refused:
        yield ""
        yield paint("Cannot meet the goals:", "1")
        rows = [(f"  {option.machine.name}", printable(_why(option))) for option in refused]
        yield from grid(rows, width, paint, dim=1)
    if sizing.prices:
        yield ""
        used = (f"{name} {amount:g} {sizing.currency}/h ({source})" for name, amount, source in sizing.prices)
        yield from wrap(printable("prices: " + "; ".join(used)), width)


def _headline(best: Option, sizing: Sizing) -> str:
    product = best.machine.product or best.machine.name
    return f"{best.devices} × {product} ({best.plan})" + _price_words(best, sizing)


def _price_words(option: Option, sizing: Sizing) -> str:
    if option.price_per_hour is None:
        return ""
    return f", {option.price_per_hour:,.2f} {sizing.currency}/h"


def _details(best: Option, sizing: Sizing) -> Iterator[tuple[str, str]]:
    layout = best.layout
    assert layout is not None
    estimates = layout.estimates
    bounds = estimates.bounds or {}

    def interval(name: str, factor: int = 1) -> str:
        if name not in bounds:
            return ""
        low, high = bounds[name]
        return f" [{number(low * factor)} to {number(high * factor)}]"

    if best.quantization is not None:
        yield "quantization", best.quantization
    if layout.server is not None:
        yield "server", layout.server
    many = "1 instance" if best.instances == 1 else f"{best.instances:,} instances"
    each = f"{layout.devices} device" + ("" if layout.devices == 1 else "s")
    where = best.machine.name if best.machines == 1 else f"{best.machines:,} × {best.machine.name}"
    yield "machines", f"{where}: {many} on {each} each, {best.concurrency:,} requests in flight"
    if estimates.loaded_time_to_first_token_ms is not None:
        ttft = number(estimates.loaded_time_to_first_token_ms)
        yield "TTFT", f"{ttft} ms{interval('loaded_time_to_first_token_ms')}" + _goal(sizing, best, "ttft")
    if estimates.loaded_time_per_output_token_ms is not None:
        tpot = number(estimates.loaded_time_per_output_token_ms)
        yield "TPOT", f"{tpot} ms{interval('loaded_time_per_output_token_ms')}" + _goal(sizing, best, "tpot")
    tokens = best.total("saturated_tokens_per_sec")
    if tokens is not None:
        yield "throughput", f"{number(tokens)} tok/s{interval('saturated_tokens_per_sec', best.instances)}"
    yield (
        "utilization",
        f"{100 * best.utilization:.0f} %: {number(best.requests_per_sec)} of "
        f"{number(best.capacity_requests_per_sec)} requests/s within the limits",
    )
    if best.explanation is not None:
        yield "limited by", best.explanation
    if best.price_per_million_tokens is not None:
        yield (
            "price",
            (
                f"{best.price_per_hour:,.2f} {sizing.currency}/h, {number(best.price_per_million_tokens)} "
                f"{sizing.currency} per million output tokens"
            ),
        )


def _goal(sizing: Sizing, option: Option, name: str) -> str:
    """Return the time at the percentile of the goals, if there is one."""
    percentile = sizing.serving.get("percentile")
    if percentile is None or option.layout is None:
        return ""
    estimates = option.layout.estimates
    time = (
        estimates.goal_time_to_first_token_ms if name == "ttft" else estimates.goal_time_per_output_token_ms
    )
    return "" if time is None else f", p{percentile} {number(time)} ms"


def _columns(sizing: Sizing) -> list[Column]:
    columns = [
        Column("machine"),
        Column("devices", align_right=True),
        Column("plan", folds=True),
        Column("TTFT", align_right=True),
        Column("TPOT", align_right=True),
        Column("tok/s", align_right=True),
        Column("load", align_right=True),
    ]
    if sizing.prices:
        columns += [
            Column(f"{sizing.currency}/h", align_right=True),
            Column("per 1M tok", align_right=True),
        ]
    return columns


def _row(option: Option, sizing: Sizing) -> list[Cell]:
    layout = option.layout
    assert layout is not None
    estimates = layout.estimates
    machines = f"{option.machines:,} × " if option.machines > 1 else ""
    row: list[Cell] = [
        printable(machines + option.machine.name),
        f"{option.devices:,}",
        option.plan,
        f"{number(estimates.loaded_time_to_first_token_ms)} ms",
        f"{number(estimates.loaded_time_per_output_token_ms)} ms",
        number(option.total("saturated_tokens_per_sec")),
        f"{100 * option.utilization:.0f} %",
    ]
    if sizing.prices:
        row += [_amount(option.price_per_hour), number(option.price_per_million_tokens)]
    return row


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _why(option: Option) -> str:
    """Return the requirement that keeps a machine from meeting the goals, and the nearest that it can."""
    parts = [part for part in (option.binding, option.explanation) if part]
    why = ": ".join(parts) or "no layout is possible"
    return why if option.nearest is None else f"{why}; nearest: {option.nearest}"


def as_json(sizing: Sizing) -> str:
    """Return a JSON document (schemas/sizing.schema.json)."""
    return json.dumps(sizing.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(sizing: Sizing) -> str:
    """Return one line per option, with a header."""
    written = io.StringIO()
    rows = csv.DictWriter(written, _FIELDS, lineterminator="\n", restval="", extrasaction="ignore")
    rows.writeheader()
    for option in sizing.options:
        values = {name: _plain(value) for name, value in option.to_dict().items()}
        rows.writerow({**values, "currency": sizing.currency or ""})
    return written.getvalue()


def _plain(value: object) -> object:
    """Return a cell that a spreadsheet takes for no formula."""
    if isinstance(value, str):
        value = printable(value)
        return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def markdown(sizing: Sizing) -> str:
    """Return a table of the options for a design document."""
    lines = [f"**{_cell(sizing.model)}**: {_cell(goal_words(sizing.serving))}", ""]
    columns = [*_columns(sizing), Column("limited by")]
    lines.append(f"| {' | '.join(_cell(column.header) for column in columns)} |")
    lines.append(f"|{'|'.join('--:' if column.align_right else '---' for column in columns)}|")
    for option in sizing.options:
        if option.feasible:
            cells = [*map(str, _row(option, sizing)), option.binding or ""]
        else:
            cells = [option.machine.name, *[""] * (len(columns) - 2), _why(option)]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return finished("\n".join(lines) + "\n")


def _cell(value: str) -> str:
    return printable(value).replace("|", "\\|").replace("\n", " ")


def svg(sizing: Sizing) -> str:
    """Return a bar for each option: its devices, or its price if there are prices."""
    feasible = [option for option in sizing.options if option.feasible]
    refused = [option for option in sizing.options if not option.feasible]
    best = sizing.best
    picture = Picture(
        _headline(best, sizing) if best else "No machine meets the goals",
        (f"{sizing.model}: {goal_words(sizing.serving)}", f"{sizing.policy}, modelled estimates"),
    )
    priced = bool(feasible) and all(option.price_per_hour is not None for option in feasible)
    unit = f"{sizing.currency}/h" if priced else "devices"

    def size(option: Option) -> float:
        return (option.price_per_hour or 0.0) if priced else float(option.devices)

    most = max(map(size, feasible), default=1.0)
    left, right, row = 170.0, 690.0, 58.0
    y = picture.top + 22
    picture.text(left, y - 12, unit, "quiet")
    for position, option in enumerate(feasible):
        layout = option.layout
        assert layout is not None
        machines = f"{option.machines:,} × " if option.machines > 1 else ""
        picture.text(left - 12, y + 19, machines + option.machine.name, "end strong")
        length = max(3.0, (right - left) * size(option) / most)
        picture.rect(left, y, length, 28, "chosen" if position == 0 else "bar")
        shown = f"{size(option):,.2f}" if priced else f"{option.devices:,}"
        picture.text(left + length + 8, y + 19, shown, "strong")
        estimates = layout.estimates
        parts = [
            f"{option.devices} × {option.machine.product or 'device'}" if priced else "",
            option.plan,
            f"TTFT {number(estimates.loaded_time_to_first_token_ms)} ms",
            f"TPOT {number(estimates.loaded_time_per_output_token_ms)} ms",
            f"{number(option.total('saturated_tokens_per_sec'))} tok/s",
            f"load {100 * option.utilization:.0f} %",
        ]
        picture.text(left, y + 44, " · ".join(filter(None, parts)), "quiet")
        y += row
    for option in refused:
        picture.text(left - 12, y + 12, option.machine.name, "end strong")
        for line in wrap(printable(_why(option)), 95):
            picture.text(left, y + 12, line, "over")
            y += 18
        y += 12
    return picture.finish(y + 6)


FORMS: Sequence[str] = ("text", "json", "csv", "markdown", "svg")
"""The values of `--format`."""
