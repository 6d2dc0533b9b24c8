"""The trace of a decision for people: matches in order, the parts of their conditions, the variables."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cel.values import to_json
from engine.plan.search.judging import Verdict
from engine.trace import MatchTrace, Part, RuleTrace, Trace, VariableTrace

_MARKS = {"chosen": ("✓", "bold green"), "failed": ("✗", "red"), "no_match": ("✗", "red")}
_REASONS = {
    "chosen": "chosen",
    "failed": "its condition is false",
    "no_match": "nothing in its rule holds",
    "not_reached": "not reached, an earlier one was chosen",
}


def print_trace(console: Console, trace: Trace, title: str) -> None:
    """Print the trace below a title."""
    console.print()
    console.print(Text(f"Trace of {title} ({trace.runtime})", style="bold"))
    _print_rule(console, trace.rule, 1)
    if trace.candidates:
        _print_candidates(console, trace.candidates)
    if trace.variables:
        console.print()
        console.print(Text("Variables, in the order of their evaluation", style="bold"))
        several = len({variable.rule for variable in trace.variables}) > 1
        for variable in trace.variables:
            _print_variable(console, variable, several)


_MOST_CANDIDATES = 60


def _print_candidates(console: Console, candidates: list[Verdict]) -> None:
    """Each candidate with the requirement that it fails, or its scores; those that are allowed first."""
    allowed = sorted((each for each in candidates if each.failed is None), key=_rank, reverse=True)
    refused = [each for each in candidates if each.failed is not None]
    console.print()
    title = f"Candidates: {len(allowed)} of {len(candidates)} are allowed, the best first"
    console.print(Text(title, style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("  ", no_wrap=True)
    for name in ("tensor", "pipeline", "data", "expert"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("devices", overflow="fold")
    table.add_column("", overflow="fold")
    for each in [*allowed, *refused][:_MOST_CANDIDATES]:
        mark = ("✓", "bold green") if each.chosen else ("✗", "red") if each.failed else ("·", "dim")
        why = f"fails {each.failed}" if each.failed else _scored(each)
        table.add_row(Text.assemble("  ", mark), *map(str, each.degrees), each.devices, why)
    console.print(table)
    if len(candidates) > _MOST_CANDIDATES:
        more = f"  … {len(candidates) - _MOST_CANDIDATES} more; --format json has them all"
        console.print(Text(more, style="dim"))


def _rank(verdict: Verdict) -> tuple[Any, ...]:
    return (verdict.chosen, *verdict.scores.values())


def _scored(verdict: Verdict) -> str:
    return ", ".join(f"{name} {score:.4g}" for name, score in verdict.scores.items())


def _print_rule(console: Console, rule: RuleTrace, depth: int) -> None:
    indent = "  " * depth
    console.print(Text(f"{indent}rule {rule.id}"))
    for match in rule.matches:
        _print_match(console, match, depth + 1)


def _print_match(console: Console, match: MatchTrace, depth: int) -> None:
    indent = "  " * depth
    mark, style = _MARKS.get(match.result, ("·", "dim"))
    reason = _REASONS[match.result]
    console.print(Text.assemble(indent, (f"{mark} {match.id}", style), (f"  {reason}", "dim")))
    if match.condition is not None:
        _print_part(console, match.condition, depth + 2)
    elif match.result != "not_reached" and match.rule is None:
        console.print(Text(f"{'  ' * (depth + 2)}no condition: always holds", style="dim"))
    if match.rule is not None:
        _print_rule(console, match.rule, depth + 1)


def _print_part(console: Console, part: Part, depth: int) -> None:
    _print_equation(console, "  " * depth, part.text, _result(part))
    for inner in part.parts:
        _print_part(console, inner, depth + 1)


def _print_variable(console: Console, variable: VariableTrace, several: bool) -> None:
    name = f"{variable.rule}: {variable.name}" if several else variable.name
    value = f"error: {variable.error}" if variable.error is not None else _shown(variable.value)
    _print_equation(console, "  ", name, value)


def _print_equation(console: Console, indent: str, left: str, right: str) -> None:
    """`left = right`: a long expression goes over several lines, a value stays whole."""
    lines = textwrap.wrap(
        f"{left} = {right}",
        width=max(console.width, len(indent) + 24),
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = Text("\n".join(lines))
    text.stylize("cyan", len(text) - len(right))
    console.print(text, soft_wrap=True)


def _result(part: Part) -> str:
    if not part.evaluated:
        return "not needed"
    return f"error: {part.error}" if part.error is not None else _shown(part.value)


def _shown(value: Any) -> str:
    """A value for people: devices and links by their names, lists with their lengths."""
    if isinstance(value, dict) and "kind" in value:
        number = value.get("device_id")
        return str(value["kind"]) + (f" {number}" if number is not None else "")
    if isinstance(value, list):
        if len(value) <= 4:
            return "[" + ", ".join(map(_shown, value)) + "]"
        return f"[{', '.join(map(_shown, value[:2]))}, …] ({len(value)})"
    return json.dumps(to_json(value), ensure_ascii=False)
