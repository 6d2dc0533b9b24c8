"""Decides expression by expression, on any runtime: slower than a program, with a trace, places and words."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.cel import ast
from engine.cel.budget import Budget, BudgetError, steps_allowed
from engine.cel.checker import Checked
from engine.cel.runtime import Native, Program, Runtime
from engine.cel.types import STRING as STRING_TYPE
from engine.cel.types import Type, map_of, object_type, parse_type
from engine.cel.values import CelError, Value, limited
from engine.decision import Decision, quantization_name
from engine.errors import EvaluationError
from engine.facts import FactBinder
from engine.plan import BUILDERS, BuilderError, Plan, with_warnings
from engine.policy import CompiledMatch, CompiledPolicy, CompiledRule, CompiledVariable, Expression
from engine.policy.compiled import CompiledSearch
from engine.policy.schema_types import schema_types
from engine.records import replace
from engine.request import Request
from engine.trace import MatchTrace, Part, RuleTrace, Trace, VariableTrace

if TYPE_CHECKING:
    from engine.plan.search.judging import Judging
    from engine.remedies import Tries


class Evaluator:
    """One policy on one runtime; programs are made when they are first needed."""

    def __init__(self, policy: CompiledPolicy, runtime: Runtime) -> None:
        self.policy = policy
        self.runtime = runtime
        self.binder = FactBinder(policy, runtime)
        self.programs: dict[ast.Node, Program] = {}
        self.steps = steps_allowed()
        self.globals = self._globals()

    def variant(self, policy: CompiledPolicy) -> Evaluator:
        """One for a policy that differs in constants, expressions or matches; the programs are shared."""
        made = copy.copy(self)
        made.policy = policy
        made.globals = {**self.globals, **made._constants()}
        return made

    def _constants(self) -> dict[str, Native]:
        return {
            f"constants.{name}": self.runtime.encode(constant.value, constant.type)
            for name, constant in self.policy.constants.items()
        }

    def _globals(self) -> dict[str, Native]:
        """Constants and catalogs, the same for every request."""
        values = self._constants()
        for name, catalog in self.policy.catalogs.items():
            type_ = map_of(STRING_TYPE, object_type(catalog.entry_type.name))
            values[f"catalogs.{name}"] = self.runtime.encode(catalog.table(), type_)
        return values

    def encoded(self, inputs: Mapping[str, Value]) -> dict[str, Native]:
        """Bound inputs as the runtime's expressions read them."""
        return {
            name: self.runtime.encode(value, self.policy.inputs[name].type) for name, value in inputs.items()
        }

    def chosen(self, values: Mapping[str, Native]) -> str | None:
        """The match that is chosen for encoded inputs, and nothing of what follows from it.

        Raises:
            EvaluationError: a condition ended in an error.
        """
        scope = _RuleScope(
            self, self.policy.rule, _Globals({**self.globals, **values}, Budget(self.steps)), None
        )
        found = _Walk(self, None).rule(self.policy.rule, scope, None)
        return None if found is None else found[0].id

    def decide(self, request: Request, *, explain: bool) -> Decision:
        """The decision on a request that is prepared (Policy.prepared)."""
        return self.decide_with_tries(request, explain=explain)[0]

    def decide_with_tries(self, request: Request, *, explain: bool) -> tuple[Decision, Tries]:
        """The decision, and the remedies to try where it is that nothing fits."""
        inputs = self.binder.bind(request)
        values = self.encoded(inputs)
        trace = Trace(self.runtime.name, RuleTrace(self.policy.rule.id)) if explain else None
        scope = _RuleScope(
            self, self.policy.rule, _Globals({**self.globals, **values}, Budget(self.steps)), trace
        )
        found = _Walk(self, trace).rule(self.policy.rule, scope, trace.rule if trace else None)
        decision = Decision(
            id=request.id,
            policy_name=self.policy.name,
            policy_version=self.policy.version,
            policy_digest=self.policy.digest,
            outcome="no_match",
            match_id=None,
            explanation=None,
            output=None,
            plan=None,
            fits_in_memory=None,
            quantization=quantization_name(inputs),
            trace=trace,
            request=request,
        )
        if found is None:
            return decision, ()
        match, chosen = found
        if match.search is not None:
            return self.searched(decision, match, match.search, chosen)
        return self.answer(decision, *found), ()

    def searched(
        self, decision: Decision, match: CompiledMatch, search: CompiledSearch, scope: _RuleScope
    ) -> tuple[Decision, Tries]:
        """The decision of a match that searches, and the remedies to try where nothing is found."""
        from engine.plan.search import builder

        inventory = decision.request.inventory if decision.request else None
        judging = _Judge(self, match, search, scope).judging()
        try:
            found = builder.search(self.arguments(match, scope), judging, inventory)
        except BuilderError as error:
            raise _refused(match, error) from None
        decision = replace(decision, match_id=match.id, explanation=found.explanation)
        if isinstance(found, Plan):
            plan = with_warnings(found, inventory)
            return replace(decision, outcome="plan", plan=plan, fits_in_memory=plan.fits_in_memory), ()
        tries = [(each.id, each.change, self.value(each.values, scope)) for each in search.remedies]
        return replace(decision, outcome="infeasible", refusal=found), tries

    def answer(self, decision: Decision, match: CompiledMatch, scope: _RuleScope) -> Decision:
        """The decision that a chosen match leads to."""
        explanation = None if match.explanation is None else self.value(match.explanation, scope)
        decision = replace(decision, match_id=match.id, explanation=explanation)
        if match.output is not None:
            return replace(decision, outcome="value", output=self.value(match.output, scope))
        plan = self.plan(match, scope)
        inventory = decision.request.inventory if decision.request else None
        return replace(
            decision, outcome="plan", plan=with_warnings(plan, inventory), fits_in_memory=plan.fits_in_memory
        )

    def plan(self, match: CompiledMatch, scope: _RuleScope) -> Plan:
        try:
            return BUILDERS[match.builder or ""].build(self.arguments(match, scope))
        except BuilderError as error:
            raise _refused(match, error) from None

    def arguments(self, match: CompiledMatch, scope: _RuleScope) -> dict[str, Value]:
        """The builder's arguments as plain Python."""
        parameters = BUILDERS[match.builder or ""].signature.parameters
        return {
            name: self.argument(parameters[name].type, expression, scope)
            for name, expression in match.arguments.items()
        }

    def argument(self, type_text: str, expression: Expression, scope: _RuleScope) -> Value:
        value = self.native(expression, scope)
        return self.runtime.decode(value, parse_type(type_text, schema_types().named))

    def value(self, expression: Expression, scope: Any) -> Value:
        """An expression's value as plain Python."""
        native = self.native(expression, scope)
        try:
            return self.decoded(native, expression.checked.type)
        except CelError as error:
            raise evaluation_error(error, expression) from None

    def decoded(self, native: Native, type_: Type) -> Value:
        """The runtime's value as plain Python.

        Raises:
            CelError: it is too large to be written out.
        """
        return self.runtime.decode(limited(native), type_)

    def native(self, expression: Expression, scope: Any) -> Native:
        """An expression's value as the runtime keeps it.

        Raises:
            EvaluationError: it ended in an error.
        """
        try:
            return self.program(expression.checked).evaluate(scope, scope.budget)
        except CelError as error:
            raise evaluation_error(error, expression) from None
        except BudgetError as error:
            raise budget_error(error, expression) from None

    def program(self, checked: Checked) -> Program:
        program = self.programs.get(checked.root)
        if program is None:
            program = self.programs[checked.root] = self.runtime.compile(checked)
        return program


def _refused(match: CompiledMatch, error: BuilderError) -> EvaluationError:
    """A builder's error, at the argument at fault."""
    return EvaluationError(
        f"builder {match.builder}: {error.message}", place=match.arguments[error.argument].place()
    )


class VariableError(CelError):
    """A variable ended in an error; the place is in the variable's own expression."""

    def __init__(self, error: CelError, expression: Expression) -> None:
        super().__init__(error.message, error.offset)
        self.expression = expression


def evaluation_error(error: CelError, expression: Expression) -> EvaluationError:
    """The error of an expression, at the place where it arose."""
    if isinstance(error, VariableError):
        expression = error.expression
    return EvaluationError(
        f"{error.message} in {_short(expression.text)}", place=expression.place(error.offset)
    )


def budget_error(error: BudgetError, expression: Expression) -> EvaluationError:
    """The error of a decision that takes too many steps, at the expression that took the last one."""
    if error.expression is not None:
        expression = error.expression
    return EvaluationError(
        f"{error} in {_short(expression.text)}", place=expression.place(), hint="ENGINE_STEPS allows more"
    )


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"


class _Globals:
    """Inputs, constants and catalogs; and what may be spent on reading them."""

    def __init__(self, values: Mapping[str, Native], budget: Budget) -> None:
        self.values = values
        self.budget = budget

    def resolve(self, name: str) -> Native:
        return self.values[name]


class _RuleScope:
    """A rule's variables, evaluated when they are first read, before what is outside of the rule."""

    def __init__(self, evaluator: Evaluator, rule: CompiledRule, outer: Any, trace: Trace | None) -> None:
        self.evaluator = evaluator
        self.rule = rule
        self.outer = outer
        self.budget: Budget = outer.budget
        self.trace = trace
        self.values: dict[str, Native | CelError] = {}

    def resolve(self, name: str) -> Native:
        if name in self.values:
            value = self.values[name]
            if isinstance(value, CelError):
                raise value
            return value
        variable = self.rule.variables.get(name[10:]) if name.startswith("variables.") else None
        return self.outer.resolve(name) if variable is None else self.evaluate(name, variable)

    def evaluate(self, name: str, variable: CompiledVariable) -> Native:
        scope = _Hiding(self, name) if variable.shadows_itself else self
        try:
            value = self.evaluator.program(variable.expression.checked).evaluate(scope, self.budget)
        except BudgetError as error:
            if error.expression is None:
                error.expression = variable.expression
            raise
        except CelError as error:
            located = error if isinstance(error, VariableError) else VariableError(error, variable.expression)
            self.values[name] = located
            self.note(variable, None, located.message)
            raise located from None
        self.values[name] = value
        self.note(variable, value, None)
        return value

    def note(self, variable: CompiledVariable, value: Native, error: str | None) -> None:
        if self.trace is None:
            return
        checked = variable.expression.checked
        try:
            plain = None if error is not None else self.evaluator.decoded(value, checked.type)
        except CelError as too_large:
            plain, error = None, too_large.message
        self.trace.variables.append(
            VariableTrace(variable.name, self.rule.id, variable.expression.text, plain, error)
        )


class _CandidateScope:
    """A rule's scope, and one candidate."""

    def __init__(self, candidate: Native, outer: _RuleScope) -> None:
        self.candidate = candidate
        self.outer = outer
        self.budget = outer.budget

    def resolve(self, name: str) -> Native:
        return self.candidate if name == "candidate" else self.outer.resolve(name)


class _Judge:
    """A match's say on candidates."""

    def __init__(
        self, evaluator: Evaluator, match: CompiledMatch, search: CompiledSearch, scope: _RuleScope
    ) -> None:
        self.evaluator = evaluator
        self.match = match
        self.search = search
        self.scope = scope

    def judging(self) -> Judging:
        from engine.plan.search.judging import Judging, Requirement

        trace = self.scope.trace
        requirements = self.search.rule.matches
        monotone = self.search.monotone
        return Judging(
            tuple(Requirement(each.id, frozenset(monotone[each.id])) for each in requirements),
            tuple(score.id for score in self.search.scores),
            self.candidate,
            self.judge,
            self.refuse,
            self.describe,
            None if trace is None else trace.candidates,
        )

    def candidate(self, fields: Mapping[str, Any]) -> Native:
        return self.evaluator.runtime.encode(dict(fields), object_type("Candidate"))

    def of(self, candidate: Native, trace: Trace | None = None) -> _RuleScope:
        """The scope of the expressions that read a candidate."""
        outer = _CandidateScope(candidate, self.scope)
        return _RuleScope(self.evaluator, self.search.rule, outer, trace)

    def judge(self, candidate: Native) -> tuple[int, tuple[Value, ...] | None]:
        scope = self.of(candidate)
        for number, requirement in enumerate(self.search.rule.matches):
            assert requirement.condition is not None
            if self.evaluator.value(requirement.condition, scope) is not True:
                return number, None
        return -1, tuple(self.evaluator.value(each.expression, scope) for each in self.search.scores)

    def refuse(self, candidate: Native, number: int) -> str | None:
        explanation = self.search.rule.matches[number].explanation
        if explanation is None:
            return None
        text: str = self.evaluator.value(explanation, self.of(candidate))
        return text

    def describe(self, candidate: Native) -> tuple[str | None, dict[str, Value]]:
        scope = self.of(candidate, self.scope.trace)
        explanation = None
        if self.match.explanation is not None:
            explanation = self.evaluator.value(self.match.explanation, scope)
        results = self.search.results.items()
        return explanation, {name: self.evaluator.value(each, scope) for name, each in results}


class _Hiding:
    """A rule's scope without one of its variables: what a variable that shadows itself reads."""

    def __init__(self, scope: _RuleScope, hidden: str) -> None:
        self.scope = scope
        self.budget = scope.budget
        self.hidden = hidden

    def resolve(self, name: str) -> Native:
        return self.scope.outer.resolve(name) if name == self.hidden else self.scope.resolve(name)


Found = tuple[CompiledMatch, _RuleScope]


class _Walk:
    """Goes through a policy's matches as cel-go's policy compiler composes them."""

    def __init__(self, evaluator: Evaluator, trace: Trace | None) -> None:
        self.evaluator = evaluator
        self.trace = trace

    def rule(self, rule: CompiledRule, scope: _RuleScope, trace: RuleTrace | None) -> Found | None:
        """The match that is chosen, with the scope that it is evaluated in; None where none holds."""
        found: Found | None = None
        ended = False
        for match in rule.matches:
            noted = MatchTrace(match.id, "not_reached")
            if trace is not None:
                trace.matches.append(noted)
            if not ended:
                found, ended = self.match(match, scope, noted)
        return found

    def match(self, match: CompiledMatch, scope: _RuleScope, noted: MatchTrace) -> tuple[Found | None, bool]:
        """What a match leads to, and whether the search ends with it."""
        if match.condition is not None and not self.holds(match.condition, scope, noted):
            noted.result = "failed"
            return None, False
        if match.rule is None:
            noted.result = "chosen"
            return (match, scope), True
        inner = _RuleScope(self.evaluator, match.rule, scope, self.trace)
        noted.rule = RuleTrace(match.rule.id)
        found = self.rule(match.rule, inner, noted.rule)
        noted.result = "no_match" if found is None else "chosen"
        # An unconditional nested rule without a result goes on; a conditional one is final.
        return found, found is not None or match.condition is not None

    def holds(self, condition: Expression, scope: _RuleScope, noted: MatchTrace) -> bool:
        if self.trace is not None:
            noted.condition = _Parts(self.evaluator, condition, scope).part(condition.checked.root)
        value = self.evaluator.value(condition, scope)
        if not isinstance(value, bool):
            raise EvaluationError("a condition must be a bool", place=condition.place())
        return value


_LOGICAL = {"_&&_": False, "_||_": True}
_COMPARISONS = {"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_in_"}


class _Parts:
    """A condition's parts with their values: operands of logic and comparisons, down to names."""

    def __init__(self, evaluator: Evaluator, expression: Expression, scope: _RuleScope) -> None:
        self.evaluator = evaluator
        self.expression = expression
        self.checked = expression.checked
        self.scope = scope

    def part(self, node: ast.Node, *, needed: bool = True) -> Part:
        text = " ".join(self.checked.source(node).split())
        if not needed:
            return Part(text, evaluated=False)
        parts = self.inner(node)
        part = self.checked.part(node)
        try:
            native = self.evaluator.program(part).evaluate(self.scope, self.scope.budget)
            value = self.evaluator.decoded(native, part.type)
        except CelError as error:
            return Part(text, error=error.message, parts=parts)
        return Part(text, value, parts=parts)

    def inner(self, node: ast.Node) -> tuple[Part, ...]:
        call = self.checked.calls.get(node)
        if call is None:
            return ()
        if call.function in _LOGICAL:
            left = self.part(call.arguments[0])
            decided = left.error is None and left.value is _LOGICAL[call.function]
            return (left, self.part(call.arguments[1], needed=not decided))
        if call.function == "_?_:_":
            condition = self.part(call.arguments[0])
            return (
                condition,
                self.part(call.arguments[1], needed=condition.value is True),
                self.part(call.arguments[2], needed=condition.value is False),
            )
        if call.function == "!_":
            return (self.part(call.arguments[0]),)
        if call.function in _COMPARISONS:
            operands = (a for a in call.arguments if not isinstance(a, (ast.Literal, ast.ListLiteral)))
            return tuple(self.part(operand) for operand in operands)
        return ()
