"""Mutants: small changes of a policy that a good suite detects.

A mutant is a compiled policy with one constant, one expression, one output or the order of matches changed.
Only the changed expression is checked again. Explanations are prose: their texts stay as they are.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from engine.base.errors import Path, Place
from engine.base.records import record, replace
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.checker import CelCheckError, Checked, check
from engine.cel.literals import UINT_MAX
from engine.cel.times import SECOND, Duration, TimeRangeError, Timestamp
from engine.cel.unparse import quoted_text
from engine.cel.values import Uint, json_key, to_json
from engine.documents import Document
from engine.policy.compiled import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledSearch,
    CompiledVariable,
    Constant,
    Expression,
    rules,
    uses,
)
from engine.policy.table_domains import Domains
from engine.regress.vocabulary import duration_of, timestamp_of

_SWAPS = {
    "_<_": ("<", "<="), "_<=_": ("<=", "<"), "_>_": (">", ">="), "_>=_": (">=", ">"), "_==_": ("==", "!="),
    "_!=_": ("!=", "=="), "_&&_": ("&&", "||"), "_||_": ("||", "&&"), "_+_": ("+", "-"), "_-_": ("-", "+"),
    "_*_": ("*", "/"), "_/_": ("/", "*"),
}  # fmt: skip
"""Source of binary operators, and their replacements."""

_RENAMED = {
    "min": "max", "max": "min", "math.least": "math.greatest", "math.greatest": "math.least",
    "math.ceil": "math.floor", "math.floor": "math.ceil", "startsWith": "endsWith", "endsWith": "startsWith",
}  # fmt: skip
_MACROS = {"all": "exists", "exists": "all"}
_MARK = "~"
"""Added to a text to make another one; it means nothing in regular expressions and paths."""
_TENTH = 0.1
_AROUND = 24
_WORD = re.compile(r"[\w.]{2}")


@record(eq=False)
class Mutant:
    """One change: `name` is unique in the policy, `diff` shows the change in the file."""

    name: str
    policy: CompiledPolicy
    place: Place
    diff: tuple[str, ...]


@record
class _Edit:
    """A replacement in the text of an expression."""

    start: int
    end: int
    text: str


def mutants(policy: CompiledPolicy) -> Iterator[Mutant]:
    """Yield all mutants of a policy in a fixed order."""
    yield from _of_constants(policy)
    yield from _of_expressions(policy)
    yield from _of_outputs(policy)
    yield from _of_matches(policy)


# --- constants ----------------------------------------------------------------------------------------


def _of_constants(policy: CompiledPolicy) -> Iterator[Mutant]:
    for name, constant in policy.constants.items():
        if constant.is_table:
            yield from _of_table(policy, name, constant)
            continue
        if isinstance(constant.value, dict):
            yield from _of_map(policy, name, constant)
            continue
        for value in neighbours(constant.value):
            changed = {**policy.constants, name: replace(constant, value=value)}
            document, path = policy.constant_origin(name)
            path = (*path, "value")
            yield Mutant(
                f"constants.{name}: {_written(constant.value)} → {_written(value)}",
                replace(policy, constants=changed),
                document.place(path),
                _scalar_diff(document, path, _written(value)),
            )


def _of_table(policy: CompiledPolicy, name: str, table: Constant) -> Iterator[Mutant]:
    """Yield tables without one of their rows, and with one step more or less in a cell."""
    document, path = policy.constant_origin(name)
    for number, row in enumerate(table.value):
        own: Path = (*path, "table", "rows", number)
        others = [*table.value[:number], *table.value[number + 1 :]]
        place = document.place(own)
        label = f"constants.{name}: row {number + 1}"
        if others:
            yield Mutant(
                f"{label} dropped",
                replace(policy, constants={**policy.constants, name: replace(table, value=others)}),
                place,
                (f"@@ line {place.line} @@", f"  {label} dropped"),
            )
        for position, (column, cell) in enumerate(row.items()):
            for value in neighbours(cell)[:2]:
                rows = [*table.value[:number], {**row, column: value}, *table.value[number + 1 :]]
                yield Mutant(
                    f"{label}, {column}: {_written(cell)} → {_written(value)}",
                    replace(policy, constants={**policy.constants, name: replace(table, value=rows)}),
                    document.place((*own, position)),
                    _scalar_diff(document, (*own, position), _written(value)),
                )


def _of_map(policy: CompiledPolicy, name: str, constant: Constant) -> Iterator[Mutant]:
    """Yield maps with one step more or less in a value."""
    document, path = policy.constant_origin(name)
    for key, each in constant.value.items():
        own: Path = (*path, "value", json_key(key))
        place = document.place(own)
        for value in neighbours(each)[:2]:
            changed = replace(constant, value={**constant.value, key: value})
            label = f"constants.{name}.{json_key(key)}: {_written(each)} → {_written(value)}"
            parts = isinstance(each, (list, dict))
            yield Mutant(
                label,
                replace(policy, constants={**policy.constants, name: changed}),
                place,
                (f"@@ line {place.line} @@", f"  {label}")
                if parts
                else _scalar_diff(document, own, _written(value)),
            )


def neighbours(value: object) -> list[Any]:
    """Return other values: a number ± one step and ± 10 %, the other bool, another text.

    Elements of a list are left out in turn; those that are texts or bools are also changed. Of a map, each
    value is changed in turn. Times are one second later and earlier.
    """
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Uint):
        return [Uint(each) for each in neighbours(int(value)) if 0 <= each <= UINT_MAX]
    if isinstance(value, (Duration, Timestamp)):
        return list(_other_times(value))
    if isinstance(value, dict):
        return [{**value, key: other} for key, each in value.items() for other in neighbours(each)[:2]]
    if isinstance(value, int):
        tenth = max(1, round(abs(value) * _TENTH))
        return list(dict.fromkeys([value + 1, value - 1, value + tenth, value - tenth]))
    if isinstance(value, float):
        step = _step(value)
        candidates = [value + step, value - step, value * (1 + _TENTH), value * (1 - _TENTH)]
        return [n for n in dict.fromkeys(map(_rounded, candidates)) if n != value and math.isfinite(n)]
    if isinstance(value, str):
        return [_other_text(value)]
    if isinstance(value, list):
        positions = range(len(value))
        shorter = [[*value[:position], *value[position + 1 :]] for position in positions]
        words = [position for position in positions if isinstance(value[position], (str, bool))]
        return shorter + [
            [*value[:position], neighbours(value[position])[0], *value[position + 1 :]] for position in words
        ]
    return []


def _other_times(value: Duration | Timestamp) -> Iterator[Duration | Timestamp]:
    for seconds in (1, -1):
        with suppress(TimeRangeError):
            yield value + Duration(seconds * SECOND)


def _other_text(text: str) -> str:
    """Return a text that nothing else is, near a given one: a time or a length of time one second later."""
    timestamp, duration = timestamp_of(text), duration_of(text)
    with suppress(TimeRangeError):
        if timestamp is not None:
            return str(timestamp + Duration(SECOND))
        if duration is not None and text[-1].isalpha():
            return str(duration + Duration(SECOND))
    return f"{text}{_MARK}"


def _step(value: float) -> float:
    """Return one unit in the last written digit of a double: 0.1 for 100.0, 0.01 for 0.85."""
    digits, _, exponent = repr(value).partition("e")
    decimals = len(digits.partition(".")[2])
    return float(f"1e{int(exponent or 0) - decimals}")


def _rounded(value: float) -> float:
    return float(f"{value:.15g}")


def _written(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else repr(to_json(value))


# --- expressions --------------------------------------------------------------------------------------


def _of_expressions(policy: CompiledPolicy) -> Iterator[Mutant]:
    for use in uses(policy):
        expression = use.expression
        checked = expression.checked
        prose = use.match is not None and expression is use.match.explanation
        for edit in _edits(checked, prose):
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


def _of_outputs(policy: CompiledPolicy) -> Iterator[Mutant]:
    """Yield mutants in which a match has another match's output."""
    outputs = [
        (use, use.expression)
        for use in uses(policy)
        if use.match is not None and use.expression is use.match.output
    ]
    texts = list(dict.fromkeys(expression.checked.text for _, expression in outputs))
    for use, expression in outputs:
        checked = expression.checked
        start = texts.index(checked.text) + 1
        for text in [*texts[start:], *texts[: start - 1]]:
            try:
                changed = check(text, checked.environment)
            except CelCheckError:
                continue
            if changed.type != checked.type:
                continue
            before, after = (" ".join(words.split()) for words in (checked.text, text))
            yield Mutant(
                f"{use.name}: {before} → {after}",
                replace(policy, rule=_with(policy.rule, expression, replace(expression, checked=changed))),
                expression.place(),
                (f"@@ line {expression.place().line} @@", f"-{before}", f"+{after}"),
            )
            break


def _edits(checked: Checked, prose: bool = False) -> Iterator[_Edit]:
    """Yield the edits of an expression.

    Args:
        checked: the expression.
        prose: its texts are for people.
    """
    seen = set()
    if checked.type == t.BOOL and checked.root not in checked.calls:
        # Without an operator, there is nothing else to change.
        text = checked.source(checked.root)
        if not isinstance(checked.root, ast.Literal):
            seen.add(edit := _Edit(checked.root.start, checked.root.end, f"!{_bracketed(text)}"))
            yield edit
    for node in checked.root.walk():
        if prose and isinstance(node, ast.Literal) and isinstance(node.value, str):
            continue
        for edit in _edits_of(checked, node):
            if edit not in seen and checked.text[edit.start : edit.end] != edit.text:
                seen.add(edit)
                yield edit


def _edits_of(checked: Checked, node: ast.Node) -> Iterator[_Edit]:
    if isinstance(node, ast.Literal):
        yield from _of_literal(checked, node)
    if isinstance(node, ast.ListLiteral):
        yield from _shortened(checked, node)
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
    elif isinstance(value, str):
        yield _Edit(node.start, node.end, _as_written(_other_text(value), checked.source(node)))
    elif isinstance(value, bytes):
        yield _Edit(node.start, node.end, f"(b{quoted_text(_MARK)} + {checked.source(node)})")


def _as_written(text: str, source: str) -> str:
    """Return a text as a literal, in the quotes of another one if they suffice."""
    quote = source[:1]
    return f"{quote}{text}{quote}" if quote == "'" and not set("'\\\n") & set(text) else quoted_text(text)


def _shortened(checked: Checked, node: ast.ListLiteral) -> Iterator[_Edit]:
    """Yield the edits that leave out one element of a list."""
    if len(node.elements) < 2 or node.optionals:  # the type of an empty list is another one
        return
    for position in range(len(node.elements)):
        kept = [element for index, element in enumerate(node.elements) if index != position]
        yield _Edit(node.start, node.end, f"[{', '.join(map(checked.source, kept))}]")


def _renamed(checked: Checked, start: int, end: int, old: str, new: str) -> Iterator[_Edit]:
    """Replace a word or an operator between two offsets."""
    short_old, short_new = old.rpartition(".")[2], new.rpartition(".")[2]
    edge = r"\b" if short_old[0].isalpha() else ""
    places = list(re.finditer(f"{edge}{re.escape(short_old)}{edge}", checked.text[start:end]))
    if places:
        # The target of a method may contain the same word; the name of the call is the last one.
        place = places[0] if short_old == old and not edge else _called(places, checked.text[start:end])
        yield _Edit(start + place.start(), start + place.end(), short_new)


def _called(places: list[re.Match[str]], text: str) -> re.Match[str]:
    depths = [_depth(text[: place.start()]) for place in places]
    return places[max(index for index, depth in enumerate(depths) if depth == min(depths))]


def _depth(text: str) -> int:
    return sum(text.count(char) for char in "([{") - sum(text.count(char) for char in ")]}")


def _bracketed(text: str) -> str:
    return f"({text})"


def _around(checked: Checked, edit: _Edit) -> tuple[str, str]:
    """Return the text around an edit before and after it, for the name of the mutant."""
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
    """Return the rule with one expression replaced."""

    def swap(expression: Expression) -> Expression:
        return new if expression is old else expression

    def swap_any(expression: Expression | None) -> Expression | None:
        return None if expression is None else swap(expression)

    variables: dict[str, CompiledVariable] = {
        name: replace(variable, expression=swap(variable.expression))
        for name, variable in rule.variables.items()
    }
    matches = tuple(
        replace(
            match,
            condition=swap_any(match.condition),
            output=swap_any(match.output),
            explanation=swap_any(match.explanation),
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

    bounds = search.negotiation
    return replace(
        search,
        rule=_with(search.rule, old, new),
        scores=tuple(replace(score, expression=swap(score.expression)) for score in search.scores),
        results={name: swap(result) for name, result in search.results.items()},
        remedies=tuple(
            replace(
                remedy,
                values=swap(remedy.values),
                asked=None if remedy.asked is None else swap(remedy.asked),
            )
            for remedy in search.remedies
        ),
        negotiation=bounds
        and replace(
            bounds,
            most_candidates=swap(bounds.most_candidates),
            most_combinations=swap(bounds.most_combinations),
        ),
    )


# --- matches ------------------------------------------------------------------------------------------


def _of_matches(policy: CompiledPolicy) -> Iterator[Mutant]:
    constants = {name: constant.value for name, constant in policy.constants.items()}
    for rule in rules(policy.rule):
        exclusive = _exclusive_rows(rule, constants)
        for position, match in enumerate(rule.matches):
            if len(rule.matches) > 1:
                rest = (*rule.matches[:position], *rule.matches[position + 1 :])
                yield _reordered(policy, rule, rest, f"match {match.id} dropped", match)
            if position + 1 < len(rule.matches) and position not in exclusive:
                other = rule.matches[position + 1]
                swapped = (*rule.matches[:position], other, match, *rule.matches[position + 2 :])
                yield _reordered(policy, rule, swapped, f"matches {match.id} and {other.id} swapped", match)


def _exclusive_rows(rule: CompiledRule, constants: Mapping[str, object]) -> frozenset[int]:
    """Return the rows of a table whose order with the next row changes nothing: no request holds both."""
    table = rule.table
    if table is None or table.hit == "collect":
        return frozenset()
    if table.hit in ("unique", "any"):
        return frozenset(range(len(rule.matches)))
    overlaps = Domains(table.columns, table.tests, constants).overlaps()
    together = {each.first for each in overlaps if each.second == each.first + 1}
    return frozenset(range(len(table.tests))) - together


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


# --- diffs ---------------------------------------------------------------------------------------------


def _scalar_diff(document: Document, path: Path, text: str) -> tuple[str, ...]:
    document, path = document.origin(path)
    span = document.positions.values.get(path)
    if span is None:
        return (f"  {document.place(path)}: {text}",)
    return _text_diff(document, span.start, span.end, text)


def _expression_diff(expression: Expression, edit: _Edit) -> tuple[str, ...]:
    """Return the diff of the file, or of the expression if its text is escaped in the file."""
    document, _ = expression.document.origin(expression.path)
    start, end = (_offset(expression, offset) for offset in (edit.start, max(edit.start, edit.end - 1)))
    written = document.text[start : end + 1]
    if written.split() == expression.checked.text[edit.start : edit.end].split():
        return _text_diff(document, start, end + 1, edit.text)
    before, after = _around(expression.checked, edit)
    return (f"@@ line {expression.place(edit.start).line} @@", f"-{before}", f"+{after}")


def _offset(expression: Expression, offset: int) -> int:
    place = expression.place(offset)
    document, _ = expression.document.origin(expression.path)
    lines = document.text.split("\n")
    return sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1


def _text_diff(document: Document, start: int, end: int, text: str) -> tuple[str, ...]:
    changed = document.text[:start] + text + document.text[end:]
    lines = difflib.unified_diff(document.text.splitlines(), changed.splitlines(), n=0, lineterm="")
    return tuple(lines)[2:]
