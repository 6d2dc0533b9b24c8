"""The trace of a decision as text: matches in order, the parts of their conditions, candidates, variables."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from engine.base.paint import Paint
from engine.base.printable import cleaned, printable, printable_lines
from engine.cel.values import to_json
from engine.decide.tracing import MatchTrace, Part, RuleTrace, Trace, VariableTrace
from engine.plan.search.judging import Verdict
from engine.render.layout import Cell, Column, table

_MARKS = {"chosen": ("✓", "1;32"), "failed": ("✗", "31"), "no_match": ("✗", "31")}
_REASONS = {
    "chosen": "chosen",
    "failed": "condition is false",
    "no_match": "no match of its rule applies",
    "not_reached": "not reached, an earlier match was chosen",
}


def trace_lines(trace: Trace, title: str, width: int, paint: Paint) -> Iterator[str]:
    """Yield the lines of a trace, below a title."""
    yield ""
    yield paint(f"Trace of {title} ({trace.runtime})", "1")
    yield from _rule_lines(trace.rule, 1, width, paint)
    if trace.candidates:
        yield from _candidate_lines(trace.candidates, width, paint)
    if trace.variables:
        yield ""
        yield paint("Variables, in evaluation order", "1")
        several = len({variable.rule for variable in trace.variables}) > 1
        for variable in trace.variables:
            yield from _variable_lines(variable, several, width, paint)


_MOST_CANDIDATES = 60

_CANDIDATE_COLUMNS = (
    Column("  "),
    Column("TP", align_right=True),
    Column("PP", align_right=True),
    Column("DP", align_right=True),
    Column("EP", align_right=True),
    Column("devices", folds=True),
    Column("", folds=True),
)


def _candidate_lines(candidates: list[Verdict], width: int, paint: Paint) -> Iterator[str]:
    """Yield a table of candidates: feasible ones with their scores, the best first, then the rest with the
    requirement that each fails.
    """
    candidates = cleaned(candidates)
    feasible = sorted((one for one in candidates if one.failed is None), key=_rank, reverse=True)
    refused = [one for one in candidates if one.failed is not None]
    yield ""
    yield paint(f"Candidates: {len(feasible)} of {len(candidates)} are feasible, best first", "1")
    rows: list[list[Cell]] = []
    for candidate in [*feasible, *refused][:_MOST_CANDIDATES]:
        mark, style = ("✓", "1;32") if candidate.chosen else ("✗", "31") if candidate.failed else ("·", "2")
        why = f"fails {candidate.failed}" if candidate.failed else _scores(candidate)
        rows.append([(f"  {mark}", style), *map(str, candidate.degrees[:4]), candidate.devices, why])
    yield from table(_CANDIDATE_COLUMNS, rows, width, paint, header_style="2")
    if len(candidates) > _MOST_CANDIDATES:
        yield paint(f"  … {len(candidates) - _MOST_CANDIDATES} more (all with --format json)", "2")


def _rank(verdict: Verdict) -> tuple[bool | float, ...]:
    return (verdict.chosen, *verdict.scores.values())


def _scores(verdict: Verdict) -> str:
    return ", ".join(f"{name} {score:.4g}" for name, score in verdict.scores.items())


def _rule_lines(rule: RuleTrace, depth: int, width: int, paint: Paint) -> Iterator[str]:
    yield f"{'  ' * depth}rule {printable(rule.id)}"
    for match in rule.matches:
        yield from _match_lines(match, depth + 1, width, paint)


def _match_lines(match: MatchTrace, depth: int, width: int, paint: Paint) -> Iterator[str]:
    mark, style = _MARKS.get(match.result, ("·", "2"))
    name = paint(f"{mark} {printable(match.id)}", style)
    yield f"{'  ' * depth}{name}{paint('  ' + _REASONS[match.result], '2')}"
    if match.condition is not None:
        yield from _part_lines(match.condition, depth + 2, width, paint)
    elif match.result != "not_reached" and match.rule is None:
        yield paint(f"{'  ' * (depth + 2)}no condition: always applies", "2")
    if match.rule is not None:
        yield from _rule_lines(match.rule, depth + 1, width, paint)


def _part_lines(part: Part, depth: int, width: int, paint: Paint) -> Iterator[str]:
    yield from _equation_lines("  " * depth, part.text, _result(part), width, paint)
    for inner in part.parts:
        yield from _part_lines(inner, depth + 1, width, paint)


def _variable_lines(variable: VariableTrace, several: bool, width: int, paint: Paint) -> Iterator[str]:
    name = f"{variable.rule}: {variable.name}" if several else variable.name
    value = f"error: {variable.error}" if variable.error is not None else _shown(variable.value)
    yield from _equation_lines("  ", name, value, width, paint)
    if variable.place is not None:
        yield paint(f"      {printable(variable.place)}", "2")


def _equation_lines(indent: str, left: str, right: str, width: int, paint: Paint) -> Iterator[str]:
    """Yield `left = right`; a long expression wraps, and the value is painted."""
    # Policies write expressions over several lines; wrapping turns the line breaks into spaces.
    left, right = printable_lines(left), printable(right.replace("\n", " "))
    lines = textwrap.wrap(
        f"{left} = {right}",
        width=max(width, len(indent) + 24),
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = "\n".join(lines)
    plain = max(len(text) - len(right), 0)
    position = 0
    for line in lines:
        cut = min(max(plain - position, 0), len(line))
        yield line[:cut] + (paint(line[cut:], "36") if line[cut:] else "")
        position += len(line) + 1


def _result(part: Part) -> str:
    if not part.evaluated:
        return "not needed"
    return f"error: {part.error}" if part.error is not None else _shown(part.value)


def _shown(value: object) -> str:
    """Format a value: devices and links by name, long lists by their first elements and their length."""
    if isinstance(value, dict) and "kind" in value:
        number = value.get("device_id")
        return str(value["kind"]) + (f" {number}" if number is not None else "")
    if isinstance(value, list):
        if len(value) <= 4:
            return "[" + ", ".join(map(_shown, value)) + "]"
        return f"[{', '.join(map(_shown, value[:2]))}, …] ({len(value)})"
    return json.dumps(to_json(value), ensure_ascii=False)
