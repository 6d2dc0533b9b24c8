"""A compiled policy as one Python function: what `engine policies show NAME --python` prints.

The function takes the policy's inputs as the compiled runtime keeps them, and `spend`, which counts steps. It
returns the position of the chosen match among all matches, its explanation, and its output or its builder's
arguments by name; None where no match holds.

A variable is a local, computed where it is first needed and at most once. One that is needed first in several
places is written out in each of them while that is short, and else is a function of its own.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from engine.cel.codegen import Emitter, Writer, assign, constant, name
from engine.cel.compiled_runtime import function_definition
from engine.cel.link import Symbol
from engine.policy.compiled import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledSearch,
    CompiledVariable,
    Expression,
)
from engine.records import record

_SHORT = 40
"""Nodes of syntax: what is shorter may be written out more than once."""
_REQUIREMENT = "requirement_number"
_LONGEST = 200_000
"""Nodes of Python's syntax: a policy that needs more is evaluated expression by expression."""


def constant_name(constant: str) -> str:
    """What a constant that can be changed is called in the function."""
    return f"constant_{constant}"


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
    apart: set[_Variable] = set()
    try:
        while True:
            generator = _Generator(policy, apart, open_constants)
            try:
                generated = generator.generate()
            except _NeededAgain as needed:
                apart.add(needed.variable)
                continue
            if sum(1 for _ in py.walk(generated.function)) > _LONGEST:
                raise TooLongError
            return generated
    except RecursionError:
        raise TooLongError from None


class _Variable:
    """A variable of one rule, and the scope that its expression is read in."""

    def __init__(self, compiled: CompiledVariable, python_name: str) -> None:
        self.compiled = compiled
        self.name = python_name
        self.scope: _Scope | None = None

    def __hash__(self) -> int:
        return hash(self.compiled.expression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Variable) and self.compiled is other.compiled


class _Scope:
    """The variables that can be read in a rule, those of the rules around it behind its own."""

    def __init__(self, variables: dict[str, _Variable], outer: _Scope | None) -> None:
        self.variables = variables
        self.outer = outer

    def find(self, variable_name: str) -> _Variable:
        if variable_name in self.variables:
            return self.variables[variable_name]
        assert self.outer is not None, variable_name
        return self.outer.find(variable_name)

    def without(self, variable_name: str) -> _Scope:
        """What a variable that shadows itself reads."""
        return _Scope({n: v for n, v in self.variables.items() if n != variable_name}, self.outer)


class _NeededAgain(Exception):
    def __init__(self, variable: _Variable) -> None:
        super().__init__(variable.name)
        self.variable = variable


class _Generator:
    def __init__(self, policy: CompiledPolicy, apart: set[_Variable], open_constants: frozenset[str]) -> None:
        self.policy = policy
        self.apart = apart
        self.open_constants = open_constants
        self.writer = Writer()
        self.inputs = {each: self.writer.fresh(each) for each in policy.inputs}
        self.candidate = self.writer.fresh("candidate")
        # Variables of the rule that a candidate's functions stand in, computed ahead of these.
        self.outside: set[str] = set()
        self.matches: list[CompiledMatch] = []
        self.written: set[_Variable] = set()
        # Variables that some path has computed already, and those that must be UNSET at the beginning.
        self.maybe: set[str] = set()
        self.unset: dict[str, None] = {}
        self.functions: dict[_Variable, py.stmt] = {}
        self.names: dict[_Variable, str] = {}
        self.failing: dict[_Variable, bool] = {}

    def generate(self) -> Generated:
        self.rule(self.policy.rule, None, py.Return(constant(None)))
        body: list[py.stmt] = []
        if self.unset:
            self.writer.symbols["UNSET"] = ("unset",)
            targets: list[py.expr] = [py.Name(each, py.Store()) for each in self.unset]
            body.append(py.Assign(targets, name("UNSET")))
        statements = self.writer.blocks[0].statements
        statements[:0] = [*body, *self.functions.values()]
        parameters = [*self.inputs.values(), "spend"]
        function = function_definition("decide", parameters, self.writer, constant(None))
        return Generated(function, self.writer.symbols, tuple(self.matches))

    # --- rules and matches --------------------------------------------------------------------------------

    def rule(self, rule: CompiledRule, outer: _Scope | None, end: py.stmt) -> None:
        """Write a rule's matches; `end` is what leaves the rule without a result."""
        variables = {
            each: _Variable(variable, self.writer.fresh(each)) for each, variable in rule.variables.items()
        }
        scope = _Scope(variables, outer)
        for each, variable in variables.items():
            variable.scope = scope.without(each) if variable.compiled.shadows_itself else scope
        for match in rule.matches:
            self.match(match, scope, end)

    def match(self, match: CompiledMatch, scope: _Scope, end: py.stmt) -> None:
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

    def outcome(self, match: CompiledMatch, scope: _Scope, end: py.stmt) -> None:
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

    def mapping(self, expressions: Mapping[str, Expression], scope: _Scope) -> py.expr:
        keys: list[py.expr | None] = [constant(each) for each in expressions]
        return py.Dict(keys, [self.expression(each, scope) for each in expressions.values()])

    # --- searches -----------------------------------------------------------------------------------------

    def search(self, match: CompiledMatch, search: CompiledSearch, scope: _Scope) -> list[py.expr]:
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
        ]
        own = {f"variables.{each}" for each in search.rule.variables}
        for expression in expressions:
            for each in expression.checked.free_names():
                if each.startswith("variables.") and each not in own:
                    self.ensure(scope.find(each.partition(".")[2]))
        judge = self.candidate_function("judge", search.rule, scope, partial(self.judge, search))
        refuse = self.candidate_function("refuse", search.rule, scope, partial(self.refuse, search))
        describe = self.candidate_function(
            "describe", search.rule, scope, partial(self.describe, match, search)
        )
        remedies = py.List([self.expression(each.values, scope) for each in search.remedies], py.Load())
        return [name(judge), name(refuse), name(describe), remedies]

    def candidate_function(
        self, purpose: str, rule: CompiledRule, outer: _Scope, write: Callable[[_Scope], None]
    ) -> str:
        """Emit a function of a candidate, and of the number of a requirement; its name."""
        function = self.writer.fresh(purpose)
        variables = {
            each: _Variable(variable, self.writer.fresh(each)) for each, variable in rule.variables.items()
        }
        scope = _Scope(variables, outer)
        for each, variable in variables.items():
            variable.scope = scope.without(each) if variable.compiled.shadows_itself else scope
        known = set().union(*(block.known for block in self.writer.blocks))
        kept = self.writer.blocks, self.unset, self.functions, self.names, self.written, self.maybe
        self.writer.blocks, self.outside = self.writer.blocks[:0], known
        self.unset, self.functions, self.names, self.written, self.maybe = {}, {}, {}, set(), set()
        with self.writer.block("function") as block:
            write(scope)
        body = [*self.functions.values(), *block.statements]
        if self.unset:
            self.writer.symbols["UNSET"] = ("unset",)
            body.insert(0, py.Assign([py.Name(each, py.Store()) for each in self.unset], name("UNSET")))
        self.writer.blocks, self.unset, self.functions, self.names, self.written, self.maybe = kept
        self.outside = set()
        parameters = [self.candidate, _REQUIREMENT]
        definition = function_definition(function, parameters, Writer(), constant(None))
        assert isinstance(definition, py.FunctionDef)
        definition.body = body
        self.writer.emit(definition)
        return function

    def judge(self, search: CompiledSearch, scope: _Scope) -> None:
        """Return the number of the first requirement that fails, or -1 and the scores."""
        for number, requirement in enumerate(search.rule.matches):
            assert requirement.condition is not None
            emitter = self.emitter(requirement.condition, scope)
            holds = emitter.boolean(requirement.condition.checked.root, {})
            refused = py.Return(py.Tuple([constant(number), constant(None)], py.Load()))
            self.writer.emit(py.If(py.UnaryOp(py.Not(), holds), [refused], []))
        scores = py.Tuple([self.expression(each.expression, scope) for each in search.scores], py.Load())
        self.writer.emit(py.Return(py.Tuple([constant(-1), scores], py.Load())))

    def refuse(self, search: CompiledSearch, scope: _Scope) -> None:
        """Return the explanation of the requirement of that number."""
        for number, requirement in enumerate(search.rule.matches):
            if requirement.explanation is None:
                continue
            with self.writer.block("branch") as block:
                self.writer.emit(py.Return(self.expression(requirement.explanation, scope)))
            test = py.Compare(name(_REQUIREMENT), [py.Eq()], [constant(number)])
            self.writer.emit(py.If(test, block.statements, []))
        self.writer.emit(py.Return(constant(None)))

    def describe(self, match: CompiledMatch, search: CompiledSearch, scope: _Scope) -> None:
        """Return the explanation of a choice, and the builder's results by name."""
        explanation = constant(None)
        if match.explanation is not None:
            explanation = self.expression(match.explanation, scope)
        results = self.mapping(search.results, scope)
        self.writer.emit(py.Return(py.Tuple([explanation, results], py.Load())))

    # --- expressions and variables ------------------------------------------------------------------------

    def expression(self, expression: Expression, scope: _Scope) -> py.expr:
        return self.emitter(expression, scope).expression()

    def emitter(self, expression: Expression, scope: _Scope) -> Emitter:
        def read(global_name: str) -> py.expr:
            return self.read(global_name, scope)

        def fails(global_name: str) -> bool:
            kind, _, each = global_name.partition(".")
            return kind == "variables" and bool(each) and self.fails(scope.find(each))

        return Emitter(self.writer, expression.checked, read, fails)

    def read(self, global_name: str, scope: _Scope) -> py.expr:
        kind, _, each = global_name.partition(".")
        if global_name == "candidate":
            return name(self.candidate)
        if not each:
            return name(self.inputs[global_name])
        if kind == "variables":
            variable = scope.find(each)
            self.ensure(variable)
            return name(variable.name)
        if kind == "constants":
            value = self.policy.constants[each].value
            if each in self.open_constants:
                identifier = constant_name(each)
                self.writer.symbols[identifier] = ("constant", each, value)
                return name(identifier)
            if isinstance(value, (int, float, str)):
                return constant(value)
            return py.List([constant(element) for element in value], py.Load())
        identifier = f"catalog_{each.replace('-', '_')}"
        self.writer.symbols[identifier] = ("catalog", each)
        return name(identifier)

    def known(self, variable: _Variable) -> bool:
        return variable.name in self.outside or any(
            variable.name in block.known for block in self.writer.blocks
        )

    def fails(self, variable: _Variable) -> bool:
        """True where computing a variable may end in an error; never once it is computed."""
        if self.known(variable):
            return False
        if variable not in self.failing:
            assert variable.scope is not None
            expression = variable.compiled.expression
            emitter = self.emitter(expression, variable.scope)
            self.failing[variable] = True  # while it is being found out
            fails = emitter.can_fail(expression.checked.root)
            if any(self.writer.blocks[0].known):  # what is known here may not be known elsewhere
                del self.failing[variable]
                return fails
            self.failing[variable] = fails
        return self.failing[variable]

    def ensure(self, variable: _Variable) -> None:
        """Write what computes a variable, unless it is sure to be computed by now."""
        if self.known(variable):
            return
        within = [position for position, block in enumerate(self.writer.blocks) if block.kind == "body"]
        if within and not self.fails(variable):
            # Computed ahead of the loop, whether or not an element needs it: that can do no harm.
            self.write_at(within[0] - 1, variable)
        elif within == [len(self.writer.blocks) - 1]:
            self.hoist(variable)
        else:
            self.write(variable, in_loop=bool(within))

    def write_at(self, position: int, variable: _Variable) -> None:
        inner = self.writer.blocks[position + 1 :]
        del self.writer.blocks[position + 1 :]
        try:
            self.write(variable, in_loop=False)
        finally:
            self.writer.blocks += inner

    def hoist(self, variable: _Variable) -> None:
        """Each element needs it first of all: it is computed where there is an element."""
        body = self.writer.blocks.pop()
        try:
            with self.writer.block("branch") as block:
                self.write(variable, in_loop=False)
            body.hoisted += block.statements
            body.known |= block.known
        finally:
            self.writer.blocks.append(body)

    def write(self, variable: _Variable, *, in_loop: bool) -> None:
        guarded = in_loop or variable.name in self.maybe
        known = self.writer.blocks[-1].known
        if not guarded:
            self.compute(variable)
        else:
            self.unset[variable.name] = None
            with self.writer.block("branch") as block:
                self.compute(variable)
            test = py.Compare(name(variable.name), [py.Is()], [name("UNSET")])
            self.writer.emit(py.If(test, block.statements, []))
        self.maybe.add(variable.name)
        known.add(variable.name)

    def compute(self, variable: _Variable) -> None:
        if variable in self.apart:
            self.writer.emit(py.Expr(py.Call(name(self.function(variable)), [], [])))
            return
        if variable in self.written and self.length(variable) > _SHORT:
            raise _NeededAgain(variable)
        self.written.add(variable)
        self.writer.emit(assign(variable.name, self.value(variable)))

    def value(self, variable: _Variable) -> py.expr:
        assert variable.scope is not None
        return self.expression(variable.compiled.expression, variable.scope)

    def length(self, variable: _Variable) -> int:
        """Nodes of a variable's expression, with those of the variables that it would have to compute."""
        total, waiting, seen = 0, [variable], {variable}
        while waiting and total <= _SHORT:
            each = waiting.pop()
            assert each.scope is not None
            checked = each.compiled.expression.checked
            total += sum(1 for _ in checked.root.walk())
            for read in checked.free_names():
                kind, _, read_name = read.partition(".")
                if kind != "variables" or not read_name:
                    continue
                found = each.scope.find(read_name)
                if found not in seen and not self.known(found) and found not in self.apart:
                    seen.add(found)
                    waiting.append(found)
        return total

    def function(self, variable: _Variable) -> str:
        """The name of the function that computes a variable."""
        if variable not in self.names:
            self.names[variable] = self.writer.fresh(f"compute_{variable.name}")
        identifier = self.names[variable]
        if variable not in self.functions:
            self.functions[variable] = py.Pass()  # its place, in front of those that call it
            blocks, self.writer.blocks = self.writer.blocks, self.writer.blocks[:0]
            try:
                self.function_body(variable, identifier)
            finally:
                self.writer.blocks = blocks
        return identifier

    def function_body(self, variable: _Variable, identifier: str) -> None:
        maybe, self.maybe = self.maybe, (everything := _Everything())
        with self.writer.block("function") as block:
            self.unset[variable.name] = None
            self.writer.emit(assign(variable.name, self.value(variable)))
        self.maybe = maybe
        for each in everything.added:
            maybe.add(each)
        assigned = [each for each in _assigned(block.statements) if each in self.unset]
        definition = function_definition(identifier, [], Writer(), constant(None))
        assert isinstance(definition, py.FunctionDef)
        definition.body = [py.Nonlocal(sorted(set(assigned))), *block.statements]
        # Behind the functions that it calls itself.
        del self.functions[variable]
        self.functions[variable] = definition


class _Everything(set[str]):
    """What may have been computed before a function is called: anything."""

    def __init__(self) -> None:
        super().__init__()
        self.added: set[str] = set()

    def __contains__(self, item: object) -> bool:
        return True

    def add(self, item: str) -> None:
        self.added.add(item)


def _assigned(statements: list[py.stmt]) -> Iterator[str]:
    for statement in statements:
        for node in py.walk(statement):
            if isinstance(node, py.Name) and isinstance(node.ctx, py.Store):
                yield node.id
