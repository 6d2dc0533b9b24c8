"""The interpreter: decides expression by expression on any runtime, with a trace and diagnostics."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.base.errors import EvaluationError
from engine.catalogs.schema_types import schema_types
from engine.cel import syntax as ast
from engine.cel.budget import Budget, BudgetError, steps_allowed
from engine.cel.celtypes import STRING as STRING_TYPE
from engine.cel.celtypes import Type, map_of, object_type, parse_type
from engine.cel.checker import Checked
from engine.cel.limits import TRACE_ELEMENTS, TRACED_VALUE
from engine.cel.runtimes.protocol import Native, Program, Runtime
from engine.cel.values import CelError, Value, limited, within
from engine.decide.binding import FactBinder
from engine.decide.decision import Decision
from engine.decide.outcome import Chosen, Identity, decision_of
from engine.decide.request import Request
from engine.decide.tracing import MatchTrace, Part, RuleTrace, Trace, VariableTrace
from engine.plan import BUILDERS, BuilderError, Plan
from engine.plan.search.tries import Tries, Try
from engine.policy import CompiledMatch, CompiledPolicy, CompiledRule, CompiledVariable, Expression
from engine.policy.compiled import CompiledSearch

if TYPE_CHECKING:
    from typing import Protocol

    from engine.catalogs.resolved import Catalogs
    from engine.cel.runtimes.protocol import Scope
    from engine.plan.search.judging import Judging
    from engine.plan.search.survey import Survey

    class _Names(Scope, Protocol):
        """What an expression reads, and what evaluating it may cost."""

        budget: Budget


class Evaluator:
    """One policy on one runtime; expressions are compiled when first needed."""

    def __init__(self, policy: CompiledPolicy, runtime: Runtime, catalogs: Catalogs | None = None) -> None:
        self.policy = policy
        self.runtime = runtime
        self.binder = FactBinder(policy, runtime, catalogs)
        self.programs: dict[ast.Node, Program] = {}
        self.steps = steps_allowed()
        self.globals = self._globals()

    def variant(self, policy: CompiledPolicy) -> Evaluator:
        """Return an evaluator for a changed policy, which shares the compiled expressions."""
        made = copy.copy(self)
        made.policy = policy
        made.globals = {**self.globals, **made._constants()}
        return made

    def with_catalogs(self, policy: CompiledPolicy) -> Evaluator:
        """Return an evaluator for a policy with changed rows of catalogs; it shares compiled expressions."""
        made = copy.copy(self)
        made.policy = policy
        made.binder = FactBinder(policy, self.runtime)
        made.globals = made._globals()
        return made

    def _constants(self) -> dict[str, Native]:
        return {
            f"constants.{name}": self.runtime.encode(constant.value, constant.type)
            for name, constant in self.policy.constants.items()
        }

    def _globals(self) -> dict[str, Native]:
        """Return constants and catalogs, which are the same for every request."""
        values = self._constants()
        for name, catalog in self.policy.catalogs.items():
            type_ = map_of(STRING_TYPE, object_type(catalog.entry_type.name))
            values[f"catalogs.{name}"] = self.runtime.encode(catalog.table(), type_)
        return values

    def encoded(self, inputs: Mapping[str, Value]) -> dict[str, Native]:
        """Return bound inputs as the runtime's expressions read them."""
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

    def decide(
        self,
        request: Request,
        *,
        auto: Mapping[str, Decision] | None = None,
        explain: bool = False,
        effort: float = 1.0,
    ) -> tuple[Decision, Tries | None]:
        """Decide a prepared request (Policy.prepared).

        Args:
            request: the request, with the inputs that other policies chose.
            auto: the decisions that chose these inputs.
            explain: record a trace.
            effort: the fraction of the candidate budget that a search may spend.

        Returns:
            The decision without remedies, and the remedies to try if it is a refusal.

        Raises:
            RequestError: an input is missing, or violates its type or a catalog.
            EvaluationError: an expression ended in an error; with its place.
        """
        inputs = self.binder.bind(request)
        values = self.encoded(inputs)
        trace = Trace(self.runtime.name, RuleTrace(self.policy.rule.id)) if explain else None
        scope = _RuleScope(
            self, self.policy.rule, _Globals({**self.globals, **values}, Budget(self.steps)), trace
        )
        found = _Walk(self, trace).rule(self.policy.rule, scope, trace.rule if trace else None)
        chosen: Chosen | None = None
        tries: Tries | None = None
        if found is not None:
            chosen, tries = self.follow(*found, request, effort)
        identity = Identity(self.policy.name, self.policy.version, self.policy.digest)
        return decision_of(identity, request, inputs, chosen, auto=auto or {}, trace=trace), tries

    def follow(
        self, match: CompiledMatch, scope: _RuleScope, request: Request, effort: float
    ) -> tuple[Chosen, Tries | None]:
        """Return what a chosen match leads to, and the remedies to try if that is no plan."""
        if match.search is not None:
            return self.searched(match, match.search, scope, request, effort)
        explanation = None if match.explanation is None else self.value(match.explanation, scope)
        if match.output is not None:
            return Chosen(match.id, explanation, value=self.value(match.output, scope)), None
        return Chosen(match.id, explanation, plan=self.plan(match, scope)), None

    def searched(
        self,
        match: CompiledMatch,
        search: CompiledSearch,
        scope: _RuleScope,
        request: Request,
        effort: float,
    ) -> tuple[Chosen, Tries | None]:
        """Return what a match that searches leads to."""
        from engine.plan.search import builder  # deferred: start-up time

        judging = _Judge(self, match, search, scope).judging()
        try:
            result = builder.search(self.arguments(match, scope), judging, request.inventory, effort)
        except BuilderError as error:
            raise _refused(match, error) from None
        if isinstance(result, Plan):
            return Chosen(match.id, result.explanation, plan=result), None
        return Chosen(match.id, result.explanation, refusal=result), self.tries(search, scope)

    def tries(self, search: CompiledSearch, scope: _RuleScope) -> Tries:
        """Return the remedies to try, now that a search is refused."""
        changes = tuple(
            Try(
                remedy.id,
                remedy.change,
                self.value(remedy.values, scope),
                None if remedy.asked is None else self.value(remedy.asked, scope),
                remedy.text,
                remedy.asked_text,
            )
            for remedy in search.remedies
        )
        bounds = search.negotiation
        if bounds is None:
            return Tries(changes)
        most = self.value(bounds.most_candidates, scope), self.value(bounds.most_combinations, scope)
        return Tries(changes, *most)

    def survey(self, request: Request) -> Survey | None:
        """Survey the search that a prepared request leads to; None if it leads to none.

        Raises:
            RequestError: as `decide`.
            EvaluationError: as `decide`.
        """
        from engine.plan.search import builder  # deferred: start-up time

        values = self.encoded(self.binder.bind(request))
        names = _Globals({**self.globals, **values}, Budget(self.steps))
        found = _Walk(self, None).rule(
            self.policy.rule, _RuleScope(self, self.policy.rule, names, None), None
        )
        if found is None or found[0].search is None:
            return None
        match, scope = found
        assert match.search is not None
        judging = _Judge(self, match, match.search, scope).judging()
        try:
            return builder.survey(self.arguments(match, scope), judging, request.inventory)
        except BuilderError as error:
            raise _refused(match, error) from None

    def plan(self, match: CompiledMatch, scope: _RuleScope) -> Plan:
        try:
            return BUILDERS[match.builder or ""].build(self.arguments(match, scope))
        except BuilderError as error:
            raise _refused(match, error) from None

    def arguments(self, match: CompiledMatch, scope: _RuleScope) -> dict[str, Value]:
        """Return the builder's arguments as plain Python."""
        parameters = BUILDERS[match.builder or ""].signature.parameters
        return {
            name: self.argument(parameters[name].type, expression, scope)
            for name, expression in match.arguments.items()
        }

    def argument(self, type_text: str, expression: Expression, scope: _RuleScope) -> Value:
        value = self.native(expression, scope)
        return self.runtime.decode(value, parse_type(type_text, schema_types().named))

    def value(self, expression: Expression, scope: _Names) -> Value:
        """Return an expression's value as plain Python."""
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

    def traced(self, native: Native, type_: Type, trace: Trace) -> Value:
        """A value as a trace keeps it.

        Raises:
            CelError: it is too large to be written out, or the trace holds too many elements with it.
        """
        limit = min(trace.room, TRACED_VALUE)
        left = 0
        try:
            left = within(native, limit)
        except CelError:
            if limit == TRACED_VALUE:
                raise
            raise CelError(f"not shown: the trace holds {TRACE_ELEMENTS:,} elements already") from None
        finally:
            trace.room -= limit - left
        return self.runtime.decode(native, type_)

    def native(self, expression: Expression, scope: _Names) -> Native:
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
    """Return a builder's error with the place of the invalid argument."""
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
    return EvaluationError(str(error), place=expression.place(error.offset))


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

    def __init__(self, evaluator: Evaluator, rule: CompiledRule, outer: _Names, trace: Trace | None) -> None:
        self.evaluator = evaluator
        self.rule = rule
        self.outer = outer
        self.budget = outer.budget
        self.trace = trace
        self.values: dict[str, Native | CelError] = {}

    def resolve(self, name: str) -> Native:
        if name in self.values:
            value = self.values[name]
            if isinstance(value, CelError):
                # It is raised for each reader: what they add to its traceback must not pile up.
                raise value.with_traceback(None)
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
            raise located.with_traceback(None) from None
        self.values[name] = value
        self.note(variable, value, None)
        return value

    def note(self, variable: CompiledVariable, value: Native, error: str | None) -> None:
        if self.trace is None:
            return
        checked = variable.expression.checked
        try:
            plain = None if error is not None else self.evaluator.traced(value, checked.type, self.trace)
        except CelError as too_large:
            plain, error = None, too_large.message
        self.trace.variables.append(
            VariableTrace(
                variable.name, self.rule.id, variable.expression.text, plain, error, _library_place(variable)
            )
        )


def _library_place(variable: CompiledVariable) -> str | None:
    """Return file and line of a library's variable; None for the policy's own."""
    if "." not in variable.name:
        return None
    place = variable.expression.place()
    return f"{place.file}:{place.line}"


class _CandidateScope:
    """A rule's scope, and one candidate."""

    def __init__(self, candidate: Native, outer: _RuleScope) -> None:
        self.candidate = candidate
        self.outer = outer
        self.budget = outer.budget

    def resolve(self, name: str) -> Native:
        return self.candidate if name == "candidate" else self.outer.resolve(name)


class _Judge:
    """Judges candidates by the requirements and scores of a match."""

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
            requirements=tuple(Requirement(rule.id, frozenset(monotone[rule.id])) for rule in requirements),
            scores=tuple(score.id for score in self.search.scores),
            candidate=self.candidate,
            judge=self.judge,
            refuse=self.refuse,
            describe=self.describe,
            verdicts=None if trace is None else trace.candidates,
            labels=None if trace is None else self.labels,
        )

    def candidate(self, values: tuple[Value, ...]) -> Native:
        from engine.plan.search.candidates import FIELDS  # deferred: start-up time

        fields = dict(zip(FIELDS, values, strict=True))
        return self.evaluator.runtime.encode(fields, object_type("Candidate"))

    def of(self, candidate: Native, trace: Trace | None = None) -> _RuleScope:
        """The scope of the expressions that read a candidate."""
        outer = _CandidateScope(candidate, self.scope)
        return _RuleScope(self.evaluator, self.search.rule, outer, trace)

    def judge(
        self, candidate: Native, best: tuple[Value, ...] | None
    ) -> tuple[int, tuple[Value, ...] | None]:
        scope = self.of(candidate)
        for number, requirement in enumerate(self.search.rule.matches):
            assert requirement.condition is not None
            if self.evaluator.value(requirement.condition, scope) is not True:
                return number, None
        return -1, tuple(self.evaluator.value(each.expression, scope) for each in self.search.scores)

    def labels(self, candidate: Native) -> tuple[str, ...]:
        scope = self.of(candidate)
        return tuple(
            score.id if score.label is None else str(self.evaluator.value(score.label, scope))
            for score in self.search.scores
        )

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
    """Evaluates matches in order, composed as cel-go's policy compiler composes them."""

    def __init__(self, evaluator: Evaluator, trace: Trace | None) -> None:
        self.evaluator = evaluator
        self.trace = trace

    def rule(self, rule: CompiledRule, scope: _RuleScope, trace: RuleTrace | None) -> Found | None:
        """Return the chosen match with its scope; None if none holds."""
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
        """Return what a match leads to, and whether evaluation ends with it."""
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
            parts = _Parts(self.evaluator, condition, scope, self.trace)
            noted.condition = parts.part(condition.checked.root)
        value = self.evaluator.value(condition, scope)
        if not isinstance(value, bool):
            raise EvaluationError("a condition must be a bool", place=condition.place())
        return value


_LOGICAL = {"_&&_": False, "_||_": True}
_COMPARISONS = {"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_in_"}


class _Parts:
    """A condition's parts with their values: operands of logic and comparisons, down to names."""

    def __init__(self, evaluator: Evaluator, expression: Expression, scope: _RuleScope, trace: Trace) -> None:
        self.evaluator = evaluator
        self.expression = expression
        self.checked = expression.checked
        self.scope = scope
        self.trace = trace
        # Parts are evaluated beside the decision: what they take must not change what it comes to.
        self.budget = Budget(evaluator.steps)

    def part(self, node: ast.Node, *, needed: bool = True) -> Part:
        text = " ".join(self.checked.source(node).split())
        if not needed:
            return Part(text, evaluated=False)
        parts = self.inner(node)
        part = self.checked.part(node)
        try:
            native = self.evaluator.program(part).evaluate(self.scope, self.budget)
            value = self.evaluator.traced(native, part.type, self.trace)
        except CelError as error:
            return Part(text, error=error.message, parts=parts)
        except BudgetError as error:
            if error.expression is not None:  # of a variable, which the decision itself would need
                raise
            return Part(text, error=str(error), parts=parts)
        return Part(text, value, parts=parts)

    def inner(self, node: ast.Node) -> tuple[Part, ...]:
        call = self.checked.calls.get(node)
        self.trace.parts -= 1
        if call is None or self.trace.parts < 0:
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
