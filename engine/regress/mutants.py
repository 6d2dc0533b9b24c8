"""Small changes of a policy, each of which a good suite should notice.

A mutant is the compiled policy with one constant, one expression, or the order of its matches changed; only
what is changed is checked anew.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from typing import Any

from engine.cel import ast
from engine.cel import types as t
from engine.cel.checker import CelCheckError, Checked, check
from engine.documents import Document
from engine.errors import Path, Place
from engine.policy.compiled import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledSearch,
    CompiledVariable,
    Expression,
    rules,
    uses,
)
from engine.records import record, replace

_SWAPS = {
    "_<_": ("<", "<="), "_<=_": ("<=", "<"), "_>_": (">", ">="), "_>=_": (">=", ">"), "_==_": ("==", "!="),
    "_!=_": ("!=", "=="), "_&&_": ("&&", "||"), "_||_": ("||", "&&"), "_+_": ("+", "-"), "_-_": ("-", "+"),
    "_*_": ("*", "/"), "_/_": ("/", "*"),
}  # fmt: skip
"""What an operator between two operands is written as, and what it becomes."""

_RENAMED = {
    "min": "max", "max": "min", "math.least": "math.greatest", "math.greatest": "math.least",
    "math.ceil": "math.floor", "math.floor": "math.ceil", "startsWith": "endsWith", "endsWith": "startsWith",
}  # fmt: skip
_MACROS = {"all": "exists", "exists": "all"}
_TENTH = 0.1
_AROUND = 24
_WORD = re.compile(r"[\w.]{2}")


@record(eq=False)
class Mutant:
    """One change: `name` tells it from all others of the policy, `diff` is what it would be in the file."""

    name: str
    policy: CompiledPolicy
    place: Place
    diff: tuple[str, ...]


@record
class _Edit:
    """A piece of an expression's text with what it becomes."""

    start: int
    end: int
    text: str


def mutants(policy: CompiledPolicy) -> Iterator[Mutant]:
    """All mutants of a policy, always in the same order."""
    yield from _of_constants(policy)
    yield from _of_expressions(policy)
    yield from _of_matches(policy)


# --- constants ----------------------------------------------------------------------------------------


def _of_constants(policy: CompiledPolicy) -> Iterator[Mutant]:
    for name, constant in policy.constants.items():
        for value in _neighbours(constant.value):
            changed = {**policy.constants, name: replace(constant, value=value)}
            path: Path = ("constants", name, "value")
            yield Mutant(
                f"constants.{name}: {_written(constant.value)} → {_written(value)}",
                replace(policy, constants=changed),
                policy.document.place(path),
                _scalar_diff(policy.document, path, _written(value)),
            )


def _neighbours(value: Any) -> list[Any]:
    """A number a step and a tenth to either side; the other bool; of a list, one without each element."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        tenth = max(1, round(abs(value) * _TENTH))
        return list(dict.fromkeys([value + 1, value - 1, value + tenth, value - tenth]))
    if isinstance(value, float):
        step = _step(value)
        found = [value + step, value - step, value * (1 + _TENTH), value * (1 - _TENTH)]
        return [each for each in dict.fromkeys(map(_rounded, found)) if each != value and math.isfinite(each)]
    if isinstance(value, list):
        return [[*value[:position], *value[position + 1 :]] for position in range(len(value))]
    return []


def _step(value: float) -> float:
    """One in the last digit that a double is written with: 0.1 of 100.0, 0.01 of 0.85."""
    digits, _, exponent = repr(value).partition("e")
    decimals = len(digits.partition(".")[2])
    return float(f"1e{int(exponent or 0) - decimals}")


def _rounded(value: float) -> float:
    return float(f"{value:.15g}")


def _written(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else repr(value)


# --- expressions --------------------------------------------------------------------------------------


def _of_expressions(policy: CompiledPolicy) -> Iterator[Mutant]:
    for use in uses(policy):
        expression = use.expression
        checked = expression.checked
        for edit in _edits(checked):
            text = checked.text[: edit.start] + edit.text + checked.text[edit.end :]
            try:
                changed = check(text, checked.environment)
            except CelCheckError:
                continue
            if changed.type != checked.type:
                continue
            before, after = _around(checked, edit)
            yield Mutant(
                f"{use.name}: {before} → {after}",
                replace(policy, rule=_with(policy.rule, expression, replace(expression, checked=changed))),
                expression.place(edit.start),
                _expression_diff(expression, edit),
            )


def _edits(checked: Checked) -> Iterator[_Edit]:
    seen = set()
    for node in checked.root.walk():
        for edit in _edits_of(checked, node):
            if edit not in seen and checked.text[edit.start : edit.end] != edit.text:
                seen.add(edit)
                yield edit


def _edits_of(checked: Checked, node: ast.Node) -> Iterator[_Edit]:
    if isinstance(node, ast.Literal):
        yield from _of_literal(checked, node)
    if isinstance(node, ast.Comprehension) and node.macro in _MACROS:
        yield from _renamed(checked, node.range.end, node.body.start, node.macro, _MACROS[node.macro])
    call = checked.calls.get(node)
    if call is None:
        return
    arguments = call.arguments
    if call.function in _SWAPS and len(arguments) == 2:
        left, right = arguments
        yield from _renamed(checked, left.end, right.start, *_SWAPS[call.function])
    if call.function in ("_&&_", "_||_"):
        left, right = arguments
        yield _Edit(node.start, node.end, _bracketed(checked.source(left)))
        yield _Edit(node.start, node.end, _bracketed(checked.source(right)))
    elif call.function == "!_":
        yield _Edit(node.start, node.end, _bracketed(checked.source(arguments[0])))
    elif call.function == "_?_:_":
        condition, yes, no = map(checked.source, arguments)
        yield _Edit(node.start, node.end, f"({condition} ? {no} : {yes})")
    elif call.function in _RENAMED:
        yield from _renamed(checked, node.start, node.end, call.function, _RENAMED[call.function])


def _of_literal(checked: Checked, node: ast.Literal) -> Iterator[_Edit]:
    value = node.value
    if isinstance(value, bool):
        yield _Edit(node.start, node.end, "false" if value else "true")
    elif isinstance(value, int):
        suffix = "u" if node.type == t.UINT else ""
        yield _Edit(node.start, node.end, f"{value + 1}{suffix}")
    elif isinstance(value, float):
        yield _Edit(node.start, node.end, repr(value + 1.0))


def _renamed(checked: Checked, start: int, end: int, old: str, new: str) -> Iterator[_Edit]:
    """A word or an operator between two places, with another in its place."""
    short_old, short_new = old.rpartition(".")[2], new.rpartition(".")[2]
    edge = r"\b" if short_old[0].isalpha() else ""
    places = list(re.finditer(f"{edge}{re.escape(short_old)}{edge}", checked.text[start:end]))
    if places:
        # The target of a method may hold the same word; its own name is the one that is called last.
        found = places[0] if short_old == old and not edge else _own(places, checked.text[start:end])
        yield _Edit(start + found.start(), start + found.end(), short_new)


def _own(places: list[re.Match[str]], text: str) -> re.Match[str]:
    depths = [_depth(text[: place.start()]) for place in places]
    return places[max(index for index, depth in enumerate(depths) if depth == min(depths))]


def _depth(text: str) -> int:
    return sum(text.count(each) for each in "([{") - sum(text.count(each) for each in ")]}")


def _bracketed(text: str) -> str:
    return f"({text})"


def _around(checked: Checked, edit: _Edit) -> tuple[str, str]:
    """The edit with what stands around it, so that a name tells where it is."""
    start = max(0, edit.start - _AROUND)
    while start > 0 and _WORD.match(checked.text[start - 1 : start + 1]):
        start -= 1
    end = min(len(checked.text), edit.end + _AROUND)
    while end < len(checked.text) and _WORD.match(checked.text[end - 1 : end + 1]):
        end += 1
    before = checked.text[start:end]
    after = checked.text[start : edit.start] + edit.text + checked.text[edit.end : end]
    return " ".join(before.split()), " ".join(after.split())


def _with(rule: CompiledRule, old: Expression, new: Expression) -> CompiledRule:
    """The rule with one expression in the place of another."""

    def swap(expression: Expression | None) -> Any:
        return new if expression is old else expression

    variables: dict[str, CompiledVariable] = {
        name: replace(variable, expression=swap(variable.expression))
        for name, variable in rule.variables.items()
    }
    matches = tuple(
        replace(
            match,
            condition=swap(match.condition),
            output=swap(match.output),
            explanation=swap(match.explanation),
            arguments={name: swap(argument) for name, argument in match.arguments.items()},
            rule=None if match.rule is None else _with(match.rule, old, new),
            search=None if match.search is None else _with_search(match.search, old, new),
        )
        for match in rule.matches
    )
    return CompiledRule(rule.id, variables, matches)


def _with_search(search: CompiledSearch, old: Expression, new: Expression) -> CompiledSearch:
    def swap(expression: Expression) -> Expression:
        return new if expression is old else expression

    return replace(
        search,
        rule=_with(search.rule, old, new),
        scores=tuple(replace(each, expression=swap(each.expression)) for each in search.scores),
        results={name: swap(each) for name, each in search.results.items()},
        remedies=tuple(replace(each, values=swap(each.values)) for each in search.remedies),
    )


# --- matches ------------------------------------------------------------------------------------------


def _of_matches(policy: CompiledPolicy) -> Iterator[Mutant]:
    for rule in rules(policy.rule):
        for position, match in enumerate(rule.matches):
            if len(rule.matches) > 1:
                rest = (*rule.matches[:position], *rule.matches[position + 1 :])
                yield _reordered(policy, rule, rest, f"match {match.id} dropped", match)
            if position + 1 < len(rule.matches):
                other = rule.matches[position + 1]
                swapped = (*rule.matches[:position], other, match, *rule.matches[position + 2 :])
                yield _reordered(policy, rule, swapped, f"matches {match.id} and {other.id} swapped", match)


def _reordered(
    policy: CompiledPolicy,
    old: CompiledRule,
    matches: tuple[CompiledMatch, ...],
    name: str,
    match: CompiledMatch,
) -> Mutant:
    rule = _with_rule(policy.rule, old, replace(old, matches=matches))
    place = policy.document.place(match.path)
    return Mutant(name, replace(policy, rule=rule), place, (f"@@ line {place.line} @@", f"  {name}"))


def _with_rule(rule: CompiledRule, old: CompiledRule, new: CompiledRule) -> CompiledRule:
    if rule is old:
        return new
    return replace(
        rule,
        matches=tuple(
            match if match.rule is None else replace(match, rule=_with_rule(match.rule, old, new))
            for match in rule.matches
        ),
    )


# --- what a mutant is in the file ---------------------------------------------------------------------


def _scalar_diff(document: Document, path: Path, text: str) -> tuple[str, ...]:
    span = document.positions.values.get(path)
    if span is None:
        return (f"  {document.place(path)}: {text}",)
    return _text_diff(document, span.start, span.end, text)


def _expression_diff(expression: Expression, edit: _Edit) -> tuple[str, ...]:
    """The file's lines with the edit in them; the expression's own where its text is escaped in the file."""
    document = expression.document
    start, end = (_offset(expression, offset) for offset in (edit.start, max(edit.start, edit.end - 1)))
    written = document.text[start : end + 1]
    if written.split() == expression.checked.text[edit.start : edit.end].split():
        return _text_diff(document, start, end + 1, edit.text)
    before, after = _around(expression.checked, edit)
    return (f"@@ line {expression.place(edit.start).line} @@", f"-{before}", f"+{after}")


def _offset(expression: Expression, offset: int) -> int:
    place = expression.place(offset)
    lines = expression.document.text.split("\n")
    return sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1


def _text_diff(document: Document, start: int, end: int, text: str) -> tuple[str, ...]:
    changed = document.text[:start] + text + document.text[end:]
    lines = difflib.unified_diff(document.text.splitlines(), changed.splitlines(), n=0, lineterm="")
    return tuple(lines)[2:]
