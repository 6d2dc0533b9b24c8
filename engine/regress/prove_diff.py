"""Prove that two policies decide alike for every request, or find one on which they differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import z3

from engine.base.records import record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.checker import Checked
from engine.cel.unparse import unparse
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule, Expression, uses
from engine.regress.diff import differs, outcome
from engine.regress.encode import NoFormula, Unknowns, opaque_texts
from engine.regress.fuzz_diff import Found, search
from engine.regress.prove import Encoding, model_inputs

_EXAMPLES = 2_000
"""Requests to try where the solver's difference depends on what it does not model."""


@record
class Equality:
    """The verdict on two policies.

    Attributes:
        verdict: `equal`; `different` with a request that tells them apart; or `unknown`.
        found: the request, and both outcomes.
        abstract: expressions without a formula, unknowns of which both policies see the same value.
        unmodelled: parts of the policies that were not compared.
        timeout: the solver ran out of time.
    """

    verdict: Literal["equal", "different", "unknown"]
    found: Found | None = None
    abstract: tuple[str, ...] = ()
    unmodelled: tuple[str, ...] = ()
    timeout: bool = False


def prove_equal(left: Policy, right: Policy, *, seconds: float = 60.0, seed: int | None = None) -> Equality:
    """Prove that two policies with the same inputs choose the match and result alike for all requests.

    Explanations are not compared.

    Args:
        left: a policy.
        right: the other one.
        seconds: time for the solver.
        seed: random seed of the search that follows an inconclusive proof.
    """
    unknowns = Unknowns()
    comparison = _Comparison(left.compiled, right.compiled, unknowns)
    goal = comparison.differ()
    solver = z3.Solver()
    solver.set("timeout", int(seconds * 1000))
    solver.add(*unknowns.facts, goal)
    verdict = solver.check()
    abstract = tuple(dict.fromkeys(opaque_texts(unknowns)))
    unmodelled = tuple(dict.fromkeys(comparison.unmodelled))
    if verdict == z3.unsat:
        return Equality("equal", None, abstract, unmodelled)
    if verdict == z3.sat:
        inputs: dict[str, object] = {**model_inputs(left.compiled, solver.model(), unknowns)}
        request = Request(inputs)
        before, after = outcome(left, request), outcome(right, request)
        if differs(before, after):
            return Equality("different", Found(inputs, before, after), abstract, unmodelled)
    searched = search(left, right, examples=_EXAMPLES, seed=seed)
    if searched.found is not None:
        return Equality("different", searched.found, abstract, unmodelled)
    return Equality("unknown", None, abstract, unmodelled, verdict != z3.sat)


class _Meaning(Encoding):
    """Formulas of one of two policies: what has no formula is shared where both define it alike."""

    def meaning(self, names: Iterable[str]) -> tuple[str, frozenset[str]]:
        """Return a suffix that is equal for names that mean the same."""
        read = frozenset().union(*map(self.determined, names))
        definitions = sorted(definition for name in read for definition in self.definitions(name))
        if not definitions:
            return "", read
        digest = hashlib.sha256("\n".join(definitions).encode()).hexdigest()[:16]
        return f" by {digest}", read

    def definitions(self, name: str) -> Iterator[str]:
        """Yield what a name stands for; nothing for inputs."""
        namespace, _, rest = name.partition(".")
        if namespace == "constants":
            yield f"{name} = {self.policy.constants[rest].value!r}"
        elif namespace == "catalogs":
            catalog = self.policy.catalogs[rest]
            yield f"{name} = {hashlib.sha256(catalog.document.text.encode()).hexdigest()}"
        elif namespace == "variables":
            for use in uses(self.policy):
                if use.name == name and use.match is None:
                    yield f"{name} = {_text(use.expression.checked)}"


def _text(checked: Checked) -> str:
    return unparse(checked, lambda _: None)


class _Comparison:
    """The formula of a difference between two policies."""

    def __init__(self, left: CompiledPolicy, right: CompiledPolicy, unknowns: Unknowns) -> None:
        self.left = _Meaning(left, unknowns)
        self.right = _Meaning(right, unknowns)
        self.unmodelled: list[str] = []

    def differ(self) -> Any:
        """Return when the policies decide otherwise."""
        left, right = self.left, self.right
        numbers = {id_: number for number, id_ in enumerate([*left.chosen, *right.chosen], 1)}
        both = [id_ for id_ in left.outputs if id_ in right.outputs]
        outputs = [z3.And(left.chosen[id_], right.chosen[id_], self.results(id_)) for id_ in both]
        fails = left.failed, right.failed
        decided = z3.And(z3.Not(fails[0]), z3.Not(fails[1]))
        matches = [_number(encoding, numbers) for encoding in (left, right)]
        return z3.Or(fails[0] != fails[1], z3.And(decided, z3.Or(matches[0] != matches[1], *outputs)))

    def results(self, id_: str) -> Any:
        """Return when the results of two matches of one id differ."""
        (left, opened_left), (right, opened_right) = self.left.outputs[id_], self.right.outputs[id_]
        parts = [(_results(left), _results(right))]
        left_parts, right_parts = parts[0]
        if left.builder != right.builder or left_parts.keys() != right_parts.keys():
            return z3.BoolVal(True)
        differences = [
            self.expressions(left_parts[name], right_parts[name], opened_left, opened_right)
            for name in left_parts
        ]
        if not self.same_search(left, right):
            self.unmodelled.append(f"the search of match {id_}")
            differences.append(z3.FreshBool("search"))
        return z3.Or(differences)

    def same_search(self, left: CompiledMatch, right: CompiledMatch) -> bool:
        """Return True if the searches of two matches are written alike and read alike."""
        if left.search is None and right.search is None:
            return True
        texts = []
        for match, encoding in ((left, self.left), (right, self.right)):
            texts.append(
                [
                    (
                        use.name,
                        _text(use.expression.checked),
                        encoding.meaning(use.expression.checked.free_names())[0],
                    )
                    for use in uses(encoding.policy)
                    if use.match is match or use.rule is (match.search and match.search.rule)
                ]
            )
        return texts[0] == texts[1]

    def expressions(
        self,
        left: Expression,
        right: Expression,
        opened_left: list[CompiledRule],
        opened_right: list[CompiledRule],
    ) -> Any:
        """Return when two expressions differ in value or in failing."""
        kept = self.left.open, self.right.open
        self.left.open, self.right.open = opened_left, opened_right
        try:
            return self.nodes(left.checked, left.checked.root, right.checked, right.checked.root)
        finally:
            self.left.open, self.right.open = kept

    def nodes(self, left: Checked, first: ast.Node, right: Checked, second: ast.Node) -> Any:
        first, second = _bare(left, first), _bare(right, second)
        if isinstance(first, ast.MapLiteral) and isinstance(second, ast.MapLiteral):
            entries = [_entries(first), _entries(second)]
            if entries[0] is not None and entries[1] is not None:
                if entries[0].keys() != entries[1].keys():
                    return z3.BoolVal(True)
                return z3.Or(
                    [self.nodes(left, entries[0][key], right, entries[1][key]) for key in entries[0]]
                )
        if isinstance(first, ast.ListLiteral) and isinstance(second, ast.ListLiteral):
            if len(first.elements) != len(second.elements):
                return z3.BoolVal(True)
            pairs = zip(first.elements, second.elements, strict=True)
            return z3.Or([self.nodes(left, one, right, other) for one, other in pairs])
        types = left.types[first], right.types[second]
        if types[0] == types[1]:
            try:
                terms = self.left.encoder(left).encode(first), self.right.encoder(right).encode(second)
            except NoFormula:
                pass
            else:
                different = _different(terms[0].value, terms[1].value, types[0] == t.DOUBLE)
                errors = terms[0].error, terms[1].error
                return z3.Or(errors[0] != errors[1], z3.And(z3.Not(errors[0]), different))
        parts = left.part(first), right.part(second)
        if _text(parts[0]) == _text(parts[1]) and (
            self.left.meaning(parts[0].free_names())[0] == self.right.meaning(parts[1].free_names())[0]
        ):
            return z3.BoolVal(False)
        self.unmodelled.append(_text(parts[0]))
        return z3.FreshBool("unmodelled")


def _number(encoding: Encoding, numbers: dict[str, int]) -> Any:
    """Return the number of the chosen match; 0 for none."""
    chosen: Any = z3.IntVal(0)
    for id_, holds in encoding.chosen.items():
        chosen = z3.If(holds, z3.IntVal(numbers[id_]), chosen)
    return chosen


def _results(match: CompiledMatch) -> dict[str, Expression]:
    """Return the expressions that make a match's result, by name."""
    return {"output": match.output} if match.output is not None else dict(match.arguments)


def _bare(checked: Checked, node: ast.Node) -> ast.Node:
    """Return a node without `dyn()` around it."""
    call = checked.calls.get(node)
    return call.arguments[0] if call is not None and call.function == "dyn" else node


def _entries(node: ast.MapLiteral) -> dict[str, ast.Node] | None:
    """Return the values of a map by its keys; None if a key is no literal text."""
    entries = {}
    for key, value in node.entries:
        if not isinstance(key, ast.Literal) or not isinstance(key.value, str):
            return None
        entries[key.value] = value
    return entries


def _different(first: Any, second: Any, double: bool) -> Any:
    if not double:
        return first != second
    return z3.And(z3.Not(z3.fpEQ(first, second)), z3.Not(z3.And(z3.fpIsNaN(first), z3.fpIsNaN(second))))
