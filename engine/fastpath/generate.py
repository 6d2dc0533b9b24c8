"""A compiled policy as one Python function: what `engine policies show NAME --python` prints.

The function takes the policy's inputs as the compiled runtime keeps them, and `spend`, which counts steps. It
returns the position of the chosen match among all matches, its explanation, and its output or its builder's
arguments by name; None where no match holds.

A variable is a local, computed where it is first needed and at most once. One that is needed first in several
places is written out in each of them while that is short, and else is a function of its own. So is one that
may end in an error where that is absorbed: the function remembers the error for those who read it again.
"""

from __future__ import annotations

import ast as py

from engine.base.records import record
from engine.cel.runtimes.codegen import constant
from engine.cel.runtimes.compiled import function_definition
from engine.cel.runtimes.identifiers import DECIDE, SPEND, VARIABLE
from engine.cel.runtimes.link import Symbol
from engine.fastpath.search_code import SearchWriter
from engine.fastpath.variable_code import Scope, Variable
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule

_PASSES = 20
"""Times that a policy is written before it is taken to be too long."""
_LONGEST = 200_000
"""Nodes of Python's syntax: a policy that needs more is evaluated expression by expression."""


class TooLongError(Exception):
    """A policy that is too long to be one function."""


@record
class Generated:
    """A policy's function as syntax, the names that it uses, and the matches by their positions."""

    function: py.stmt
    symbols: dict[str, Symbol]
    matches: tuple[CompiledMatch, ...]

    @property
    def source(self) -> str:
        """The function as people read it."""
        return py.unparse(py.fix_missing_locations(py.Module([self.function], []))) + "\n"


def generate(policy: CompiledPolicy, open_constants: frozenset[str] = frozenset()) -> Generated:
    """The policy's function.

    Args:
        policy: the policy.
        open_constants: those that are names in it instead of their values, so that they can be changed.

    Raises:
        TooLongError: the policy is too long, or its variables read each other too deeply.
    """
    apart: set[Variable] = set()
    try:
        for _ in range(_PASSES):
            known = len(apart)
            generated = _Generator(policy, apart, open_constants).generate()
            if len(apart) > known:  # what was written before these were found is not as it must be
                continue
            if sum(1 for _ in py.walk(generated.function)) > _LONGEST:
                raise TooLongError
            return generated
        raise TooLongError
    except RecursionError:
        raise TooLongError from None


class _Generator(SearchWriter):
    """What writes the rules of a policy."""

    def generate(self) -> Generated:
        self.rule(self.policy.rule, None, py.Return(constant(None)))
        statements = self.writer.blocks[0].statements
        statements[:0] = self.local.begin(self.writer)
        parameters = [*self.inputs.values(), SPEND]
        function = function_definition(DECIDE, parameters, self.writer, constant(None))
        return Generated(function, self.writer.symbols, tuple(self.matches))

    def rule(self, rule: CompiledRule, outer: Scope | None, end: py.stmt) -> None:
        """Write a rule's matches; `end` is what leaves the rule without a result."""
        variables = {
            each: Variable(variable, self.writer.fresh(VARIABLE, each))
            for each, variable in rule.variables.items()
        }
        scope = Scope(variables, outer)
        for each, variable in variables.items():
            variable.scope = scope.without(each) if variable.compiled.shadows_itself else scope
        for match in rule.matches:
            self.match(match, scope, end)

    def match(self, match: CompiledMatch, scope: Scope, end: py.stmt) -> None:
        if match.condition is None:
            self.outcome(match, scope, end)
            return
        emitter = self.emitter(match.condition, scope)
        condition = emitter.boolean(match.condition.checked.root, {})
        with self.writer.block("branch") as block:
            self.outcome(match, scope, end)
            if match.rule is not None:  # a conditional nested rule without a result ends the rule around it
                self.writer.emit(end)
        self.writer.emit(py.If(condition, block.statements, []))

    def outcome(self, match: CompiledMatch, scope: Scope, end: py.stmt) -> None:
        if match.rule is not None and match.condition is not None:
            self.rule(match.rule, scope, end)
            return
        if match.rule is not None:
            # Without a result it goes on behind an unconditional rule: a loop, run once, that break leaves.
            with self.writer.block("branch") as block:
                self.rule(match.rule, scope, py.Break())
            self.writer.emit(py.While(constant(True), [*block.statements, py.Break()], []))
            return
        position = len(self.matches)
        self.matches.append(match)
        explanation = constant(None)
        if match.explanation is not None and match.search is None:
            explanation = self.expression(match.explanation, scope)
        if match.output is not None:
            value = self.expression(match.output, scope)
        else:
            value = self.mapping(match.arguments, scope)
        if match.search is not None:
            functions = self.search(match, match.search, scope)
            value = py.Tuple([value, *functions], py.Load())
        answer = py.Tuple([constant(position), explanation, value], py.Load())
        self.writer.emit(py.Return(answer))
