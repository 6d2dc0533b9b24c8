"""A search as functions of a candidate: its worth, why it is refused, what its plan says, what to try."""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby

from engine.cel.runtimes.codegen import assign, constant, is_not_none, name
from engine.cel.runtimes.identifiers import CANDIDATE, REQUIREMENT, SEARCH, TEMPORARY, UNSET, VARIABLE
from engine.fastpath.levels import CANDIDATE as EACH_CANDIDATE
from engine.fastpath.levels import EXPERTS, FIELDS, GROUP, LEVELS, LOAD, PIPELINE, TENSOR, Levels
from engine.fastpath.variable_code import (
    Scope,
    Store,
    Variable,
    VariableWriter,
    define,
    field,
    level_name,
    level_parameters,
    set_attribute,
    shared_name,
)
from engine.policy.compiled import CompiledMatch, CompiledRule, CompiledSearch, Expression

_MOST_KEPT = 4096
"""Keys of a level of candidates whose results are kept at a time."""


class SearchWriter(VariableWriter):
    """What writes the functions of a search's candidates."""

    def search(self, match: CompiledMatch, search: CompiledSearch, scope: Scope) -> list[py.expr]:
        """Functions of a candidate: what it is worth, why it is refused, what its plan says, what to try.

        What they read beyond the candidate is computed ahead of them.
        """
        expressions = [
            *(variable.expression for variable in search.rule.variables.values()),
            *(each.condition for each in search.rule.matches if each.condition is not None),
            *(each.explanation for each in search.rule.matches if each.explanation is not None),
            *(score.expression for score in search.scores),
            *search.results.values(),
            *(() if match.explanation is None else (match.explanation,)),
            *_tried(search),
        ]
        own = {f"variables.{each}" for each in search.rule.variables}
        for expression in expressions:
            for each in expression.checked.free_names():
                if each.startswith("variables.") and each not in own:
                    self.ensure(scope.find(each.partition(".")[2]))
        functions: dict[str, Callable[[Scope], None]] = {
            "judge": partial(self.judge, search),
            "refuse": partial(self.refuse, search),
            "describe": partial(self.describe, match, search),
        }
        if search.lazy:
            self.sharing = True
            made = self.sharing_functions(search, scope, functions)
            self.sharing = False
        else:
            made = [
                self.candidate_function(purpose, search.rule, scope, write)
                for purpose, write in functions.items()
            ]
        no_rule = CompiledRule(f"{match.id}: remedies", {}, ())
        tries = self.candidate_function("tries", no_rule, scope, partial(self.tries, search))
        return [*map(name, made), name(tries)]

    def candidate_scope(self, rule: CompiledRule, outer: Scope) -> Scope:
        """Return the scope of the variables of candidates."""
        variables = {
            each: Variable(variable, self.writer.fresh(VARIABLE, each))
            for each, variable in rule.variables.items()
        }
        scope = Scope(variables, outer, weighing=True)
        for each, variable in variables.items():
            variable.scope = scope.without(each) if variable.compiled.shadows_itself else scope
        return scope

    @contextmanager
    def candidate_functions(self) -> Iterator[None]:
        """Write functions of candidates, which read variables that are computed ahead of them."""
        known = set().union(*(block.known for block in self.writer.blocks))
        kept = self.writer.blocks, self.local, self.names, self.written, self.maybe
        self.writer.blocks, self.outside = self.writer.blocks[:0], known
        self.local, self.names, self.written, self.maybe = Store(), {}, set(), set()
        try:
            yield
        finally:
            self.writer.blocks, self.local, self.names, self.written, self.maybe = kept
            self.outside = set()

    def candidate_function(
        self, purpose: str, rule: CompiledRule, outer: Scope, write: Callable[[Scope], None]
    ) -> str:
        """Emit a function of a candidate, and of the number of a requirement; its name."""
        function = self.writer.fresh(SEARCH, purpose)
        scope = self.candidate_scope(rule, outer)
        with self.candidate_functions():
            with self.writer.block("function") as block:
                write(scope)
            body = [*self.local.begin(self.writer), *block.statements]
        self.writer.emit(define(function, [CANDIDATE, REQUIREMENT], body))
        return function

    # --- what candidates share ---

    def sharing_functions(
        self, search: CompiledSearch, outer: Scope, functions: dict[str, Callable[[Scope], None]]
    ) -> list[str]:
        """Emit functions of a candidate, and those that keep what candidates share; the names of the former.

        What candidates of one level and key share is an object, whose attributes are the variables of that
        level, computed where they are first needed. The functions that compute them take the objects of all
        levels up to their own.
        """
        self.levels = levels = Levels(search)
        self.shared_nodes = {}
        functions = {**functions, "judge": partial(self.judge_by_level, search, levels)}
        scope = self.candidate_scope(search.rule, outer)
        for each in levels.names:
            scope.variables[each].level = max(levels.of_variable(each), GROUP)
        cuts = {level: [scope.variables[each] for each in levels.cuts(level)] for level in LEVELS}
        stores = {level: Store() for level in LEVELS}
        self.stores = dict(stores)
        made: dict[str, py.stmt] = {}
        finding: list[py.stmt] = []
        with self.candidate_functions():
            self.outside = self.outside | {each.name for own in cuts.values() for each in own}
            for purpose, write in functions.items():
                self.local = Store()
                function, body = self.writer.fresh(SEARCH, purpose), self.function_of(partial(write, scope))
                body = [*self.local.begin(self.writer), *body]
                made[function] = define(function, [CANDIDATE, REQUIREMENT], body)
            for level in reversed(LEVELS):
                del self.stores[level]
                self.outside = self.outside - {each.name for each in cuts[level]}
                self.local, self.inline = Store(), frozenset(cuts[level])
                self.given = level - 1 if level > PIPELINE else 0
                self.level = self.given + 1
                found = self.function_of(partial(self.find, level, levels, scope, cuts[level]), self.given)
                found = [*self.local.begin(self.writer), *found]
                kept = assign(level_name("kept", level), py.Dict([], []))
                finding += [kept, define(level_name("find", level), level_parameters(self.given), found)]
            self.inline, self.given, self.level = frozenset(), 0, EACH_CANDIDATE
        self.levels = None
        for level, store in stores.items():
            attributes = (*store.unset, *(each.name for each in cuts[level]))
            self.writer.symbols[level_name("level", level)] = ("shared", attributes)
        self.writer.symbols[UNSET] = ("unset",)
        computing = [function for store in stores.values() for function in store.functions.values()]
        for statement in [*finding, *computing, *made.values()]:
            self.writer.emit(statement)
        return [*made]

    def find(self, level: int, levels: Levels, scope: Scope, cuts: list[Variable]) -> None:
        """Write the statements that return what candidates of a level and key share."""
        key, found = self.writer.fresh(TEMPORARY, "key"), self.writer.fresh(TEMPORARY, "found")
        outer = py.Call(name(level_name("find", level - 1)), [name(CANDIDATE)], [])
        if level == TENSOR:
            self.writer.emit(assign(shared_name(GROUP), outer))
        values = self.key(level, levels, scope)
        kept = level_name("kept", level)
        self.writer.emit(assign(key, py.Tuple(values, py.Load())))
        get = py.Attribute(name(kept), "get", py.Load())
        self.writer.emit(assign(found, py.Call(get, [name(key)], [])))
        full = py.Compare(py.Call(name("len"), [name(kept)], []), [py.GtE()], [constant(_MOST_KEPT)])
        clear = py.Expr(py.Call(py.Attribute(name(kept), "clear", py.Load()), [], []))
        place = py.Subscript(name(kept), name(key), py.Store())
        made = py.Call(name(level_name("level", level)), [], [])
        making: list[py.stmt] = [
            py.If(full, [clear], []),
            py.Assign([py.Name(found, py.Store()), place], made),
            *(set_attribute(found, each.name, name(each.name)) for each in cuts),
        ]
        if level == TENSOR:
            making.append(set_attribute(found, shared_name(GROUP), name(shared_name(GROUP))))
        if level == PIPELINE:
            making.append(set_attribute(found, shared_name(TENSOR), outer))
        if level in (GROUP, PIPELINE):  # what an id in the key stands for must live as long
            making.append(set_attribute(found, CANDIDATE, name(CANDIDATE)))
        self.writer.emit(py.If(py.Compare(name(found), [py.Is()], [constant(None)]), making, []))
        self.writer.emit(py.Return(name(found)))

    def key(self, level: int, levels: Levels, scope: Scope) -> list[py.expr]:
        """Return the values in which candidates agree that share a level, and those before it."""
        if level == GROUP:
            first = py.Subscript(field("stages"), constant(0), py.Load())
            return [py.Call(name("id"), [py.Attribute(first, "device", py.Load())], [])]
        if level == PIPELINE:  # whose stages tell the device, too
            return [*map(_as_key, (*FIELDS[TENSOR], *FIELDS[PIPELINE]))]
        made = [name(shared_name(level - 1)), *map(_as_key, FIELDS.get(level, ()))]
        if level == EXPERTS:
            tests = [self.emitter(found, scope).expression(node, {}) for found, node in levels.comparisons()]
            made += {py.dump(test): test for test in tests}.values()
        for cut in levels.cuts(level):
            variable = scope.variables[cut]
            self.ensure(variable)
            made.append(_distinct(name(variable.name)) if level == LOAD else name(variable.name))
        return made

    # --- decisions between candidates ---

    def judge(self, search: CompiledSearch, scope: Scope) -> None:
        """Return the number of the first requirement that fails, or -1 and the scores."""
        for number, requirement in enumerate(search.rule.matches):
            assert requirement.condition is not None
            emitter = self.emitter(requirement.condition, scope)
            holds = emitter.boolean(requirement.condition.checked.root, {})
            refused = py.Return(py.Tuple([constant(number), constant(None)], py.Load()))
            self.writer.emit(py.If(py.UnaryOp(py.Not(), holds), [refused], []))
        scores = py.Tuple([self.expression(each.expression, scope) for each in search.scores], py.Load())
        self.writer.emit(py.Return(py.Tuple([constant(-1), scores], py.Load())))

    def judge_by_level(self, search: CompiledSearch, levels: Levels, scope: Scope) -> None:
        """Return what `judge` does; of scores, only those up to the first that is lower than the best's."""
        for level, numbered in groupby(
            enumerate(search.rule.matches), lambda each: levels.of_expression(_condition(each[1]))
        ):
            requirements = list(numbered)
            if level == EACH_CANDIDATE:
                for number, requirement in requirements:
                    refused = py.Tuple([constant(number), constant(None)], py.Load())
                    self.unless(requirement, scope, py.Return(refused))
                continue
            write = partial(self.refused, requirements, scope)
            refused_by = self.keep(max(level, GROUP), "refused", write)
            fails = py.Compare(refused_by, [py.GtE()], [constant(0)])
            answer = py.Tuple([refused_by, constant(None)], py.Load())
            self.writer.emit(py.If(fails, [py.Return(answer)], []))
        best, tied = name(REQUIREMENT), self.writer.fresh(TEMPORARY, "tied")
        self.writer.emit(assign(tied, is_not_none(best)))
        scores: list[py.expr] = []
        for place, score in enumerate(search.scores):
            level = levels.of_expression(score.expression)
            if level == EACH_CANDIDATE:
                value = self.expression(score.expression, scope)
            else:
                value = self.keep(
                    max(level, GROUP), "score", partial(self.expression, score.expression, scope)
                )
            kept = self.writer.fresh(TEMPORARY, "score")
            self.writer.emit(assign(kept, value))
            scores.append(name(kept))
            answer = py.Tuple([constant(-1), py.Tuple([*scores], py.Load())], py.Load())
            other = py.Subscript(best, constant(place), py.Load())
            worse = py.If(py.Compare(name(kept), [py.Lt()], [other]), [py.Return(answer)], [])
            still = assign(tied, py.Compare(name(kept), [py.Eq()], [other]))
            self.writer.emit(py.If(name(tied), [worse, still], []))
        self.writer.emit(py.Return(py.Tuple([constant(-1), py.Tuple([*scores], py.Load())], py.Load())))

    def refused(self, requirements: list[tuple[int, CompiledMatch]], scope: Scope) -> py.expr:
        """Write the statements that find the first requirement of some that fails; its number, or -1."""
        found = self.writer.fresh(TEMPORARY, "found")
        self.writer.emit(assign(found, constant(-1)))
        with self.writer.block("branch") as block:
            for number, requirement in requirements:
                self.unless(requirement, scope, assign(found, constant(number)), py.Break())
        self.writer.emit(py.While(constant(True), [*block.statements, py.Break()], []))
        return name(found)

    def unless(self, requirement: CompiledMatch, scope: Scope, *statements: py.stmt) -> None:
        """Write statements that are run where a requirement does not hold."""
        condition = _condition(requirement)
        holds = self.emitter(condition, scope).boolean(condition.checked.root, {})
        self.writer.emit(py.If(py.UnaryOp(py.Not(), holds), [*statements], []))

    def refuse(self, search: CompiledSearch, scope: Scope) -> None:
        """Return the explanation of the requirement of that number."""
        for number, requirement in enumerate(search.rule.matches):
            if requirement.explanation is None:
                continue
            with self.writer.block("branch") as block:
                self.writer.emit(py.Return(self.expression(requirement.explanation, scope)))
            test = py.Compare(name(REQUIREMENT), [py.Eq()], [constant(number)])
            self.writer.emit(py.If(test, block.statements, []))
        self.writer.emit(py.Return(constant(None)))

    def describe(self, match: CompiledMatch, search: CompiledSearch, scope: Scope) -> None:
        """Return the explanation of a choice, and the builder's results by name."""
        explanation = constant(None)
        if match.explanation is not None:
            explanation = self.expression(match.explanation, scope)
        results = self.mapping(search.results, scope)
        self.writer.emit(py.Return(py.Tuple([explanation, results], py.Load())))

    def tries(self, search: CompiledSearch, scope: Scope) -> None:
        """Return the values of each remedy and what the request has, and the bounds of the negotiation."""
        remedies: list[py.expr] = [
            py.Tuple(
                [
                    self.expression(each.values, scope),
                    constant(None) if each.asked is None else self.expression(each.asked, scope),
                ],
                py.Load(),
            )
            for each in search.remedies
        ]
        bounds = search.negotiation
        limits = (
            [constant(0), constant(0)]
            if bounds is None
            else [
                self.expression(bounds.most_candidates, scope),
                self.expression(bounds.most_combinations, scope),
            ]
        )
        self.writer.emit(py.Return(py.Tuple([py.List(remedies, py.Load()), *limits], py.Load())))


def _condition(requirement: CompiledMatch) -> Expression:
    assert requirement.condition is not None
    return requirement.condition


def _as_key(field_name: str) -> py.expr:
    """Return the value that stands for a candidate's field in a key."""
    value = field(field_name)
    if field_name == "stages":
        return py.Call(name("id"), [value], [])
    return _distinct(value) if field_name == "fabric_gbs" else value


def _distinct(value: py.expr) -> py.expr:
    """Return what stands for a double in a key: two zeros are equal, but not the same."""
    return py.BoolOp(py.Or(), [value, py.Call(name("repr"), [value], [])])


def _tried(search: CompiledSearch) -> Iterator[Expression]:
    """Yield what is evaluated if no candidate is feasible."""
    for remedy in search.remedies:
        yield from remedy.expressions
    if search.negotiation is not None:
        yield from (search.negotiation.most_candidates, search.negotiation.most_combinations)
