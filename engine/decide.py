"""Request + policy → decision, with its trace where it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Literal

from engine.cel import ast
from engine.cel.budget import STEPS, Budget, BudgetError, steps_allowed
from engine.cel.checker import Checked
from engine.cel.compiled_runtime import plain
from engine.cel.runtime import RUNTIMES, Native, Program, Runtime, create_runtime
from engine.cel.types import STRING as STRING_TYPE
from engine.cel.types import map_of, object_type, parse_type
from engine.cel.values import CelError, Value, to_json
from engine.documents import Document, is_path_like
from engine.errors import EvaluationError, PolicyError, RequestError
from engine.facts import FactBinder
from engine.plan import BUILDERS, BuilderError, Plan, signatures, with_warnings
from engine.policy import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledVariable,
    Expression,
    Input,
    PolicyStore,
    compile_policy,
)
from engine.policy.generate import TooLongError
from engine.policy.image import image
from engine.policy.schema_types import schema_types
from engine.policy.store import read_policy_document
from engine.program import NotQuick, PolicyProgram
from engine.records import field, record, replace
from engine.request import Request
from engine.trace import MatchTrace, Part, RuleTrace, Trace, VariableTrace

Outcome = Literal["plan", "value", "infeasible", "no_match"]

_SHORTER = "put several steps into one expression"

AUTO = "auto"
"""What a request says of an input that a policy is to choose."""


@record
class Decision:
    """The answer to one request."""

    id: str | int | None
    policy_name: str
    policy_version: str
    policy_digest: str
    outcome: Outcome
    match_id: str | None
    explanation: str | None
    output: Value
    plan: Plan | None
    fits_in_memory: bool | None
    quantization: str | None = None
    auto: Mapping[str, Decision] = field(default_factory=dict)
    """The decisions that chose inputs for which the request says `auto`, by input."""
    trace: Trace | None = None
    request: Request | None = None

    @property
    def feasible(self) -> bool:
        """False for a negative answer: nothing is placed, or by the policy's own word it doesn't fit."""
        if self.outcome == "plan":
            return self.plan is not None and bool(self.plan.shards) and self.fits_in_memory is not False
        return self.outcome == "value"

    def to_dict(self) -> dict[str, Any]:
        """As programs read it (schemas/decision.schema.json)."""
        result: dict[str, Any] = {
            "id": self.id,
            "policy": {
                "name": self.policy_name,
                "version": self.policy_version,
                "digest": self.policy_digest,
            },
            "outcome": self.outcome,
            "match": self.match_id,
            "explanation": self.explanation,
            "output": to_json(self.output),
            "plan": None if self.plan is None else self.plan.to_dict(),
            "fits_in_memory": self.fits_in_memory,
            "quantization": self.quantization,
        }
        if self.auto:
            result["auto"] = {name: decision.to_dict() for name, decision in self.auto.items()}
        if self.trace is not None:
            result["trace"] = self.trace.to_dict()
        return result


class Policy:
    """A policy ready to decide; one object may be used from several threads."""

    def __init__(self, compiled: CompiledPolicy) -> None:
        self.compiled = compiled
        self._types = {declared.name: declared.type_name for declared in compiled.inputs.values()}
        self._program: PolicyProgram | None = None
        self._has_program = True
        self._steps = STEPS
        self._evaluators: dict[str, _Evaluator] = {}
        self._choosers: dict[str, Policy] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.compiled.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.compiled.version

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides: the policy and the catalogs that it reads."""
        return self.compiled.digest

    def decide(self, request: Request, *, explain: bool = False, runtime: str = RUNTIMES[0]) -> Decision:
        """Decide one request.

        Args:
            request: values for the policy's inputs.
            explain: keep a trace of what was evaluated.
            runtime: the CEL runtime's name.

        Raises:
            RequestError: the request lacks an input, or holds what types or catalogs don't allow.
            EvaluationError: an expression ended in an error; with its place in the policy.
            RuntimeUnavailableError: the runtime isn't installed.
        """
        request = request.typed(self._types)
        auto = self._choose(request, explain, runtime)
        if auto:
            request = request.with_inputs(**{name: decision.output for name, decision in auto.items()})
        if runtime == RUNTIMES[0] and not explain:
            quick = self._decide_quickly(request, auto)
            if quick is not None:
                return quick
        try:
            decision = self._evaluator(runtime).decide(request, explain=explain)
        except RecursionError:
            raise EvaluationError(
                f"policy {self.name}: variables that read each other, too many in a row", hint=_SHORTER
            ) from None
        return replace(decision, auto=auto) if auto else decision

    def _decide_quickly(self, request: Request, auto: Mapping[str, Decision]) -> Decision | None:
        """The decision by the policy's program; None for what it doesn't take."""
        program = self._program
        if program is None:
            if not self._has_program:
                return None
            program = self._link()
            if program is None:
                return None
        try:
            bound, found = program.run(request.inputs, self._steps)
            outcome: Outcome = "no_match"
            match_id = explanation = output = plan = None
            if found is not None:
                position, explanation, value = found
                match_id, builder = program.matches[position]
                if builder is None:
                    outcome, output = "value", plain(value)
                else:
                    outcome = "plan"
                    plan = with_warnings(BUILDERS[builder].build(value), request.inventory)
        except (NotQuick, BuilderError):
            return None
        return Decision(
            request.id,
            self.compiled.name,
            self.compiled.version,
            self.compiled.digest,
            outcome,
            match_id,
            explanation,
            output,
            plan,
            None if plan is None else plan.fits_in_memory,
            _quantization(dict(zip(self._types, bound, strict=True))),
            auto,
            None,
            request,
        )

    def _link(self) -> PolicyProgram | None:
        """The policy's program, made once; None where it is too long for one."""
        with self._lock:
            if self._program is None and self._has_program:
                self._steps = steps_allowed()
                try:
                    self._program = PolicyProgram(image(self.compiled))
                except (TooLongError, CelError, RecursionError, MemoryError, SyntaxError):
                    self._has_program = False
            return self._program

    def prepare(self, runtime: str = RUNTIMES[0]) -> None:
        """Make the runtime ready, so that a missing one is told before the first request.

        Raises:
            RuntimeUnavailableError: the runtime isn't installed.
        """
        if runtime != RUNTIMES[0] or self._link() is None:
            self._evaluator(runtime)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads of a request."""
        return tuple(self.compiled.inputs.values())

    def _choose(self, request: Request, explain: bool, runtime: str) -> dict[str, Decision]:
        """The decisions of other policies on the inputs for which the request says `auto`."""
        chosen: dict[str, Decision] = {}
        for declared in self.inputs:
            if declared.auto is None or request.inputs.get(declared.name) != AUTO:
                continue
            decision = self._chooser(declared.auto).decide(request, explain=explain, runtime=runtime)
            if decision.outcome == "no_match":
                name = f"{declared.auto.name}@{declared.auto.version}"
                raise RequestError(
                    f"{declared.name}: policy {name}, which is to choose it, has no match for this request",
                    path=(declared.name,),
                )
            chosen[declared.name] = decision
        return chosen

    def _chooser(self, compiled: CompiledPolicy) -> Policy:
        with self._lock:
            return self._choosers.setdefault(compiled.name, Policy(compiled))

    def _evaluator(self, runtime: str) -> _Evaluator:
        with self._lock:
            if runtime not in self._evaluators:
                made = create_runtime(runtime, self.compiled.objects)
                self._evaluators[runtime] = _Evaluator(self.compiled, made)
            return self._evaluators[runtime]


def load_policy(reference: str, policies: FilePath | str | Sequence[FilePath | str] | None = None) -> Policy:
    """The policy of that reference, checked and ready to decide.

    Args:
        reference: `name`, `name@1`, `name@1.0.0`, or the path of a policy's file.
        policies: a folder, or several, that stand in front of the shipped policies.

    Raises:
        PolicyError: there is none, or it has faults, all of which are reported.
        DocumentError: its file can't be read, or breaks the schema.
    """
    folders = [policies] if isinstance(policies, (str, FilePath)) else list(policies or ())
    store = PolicyStore(folders)
    document = _document(reference, store)
    try:
        return Policy(compile_policy(document, store, signatures()))
    except RecursionError:
        raise PolicyError(
            f"{document.name}: variables that read each other, too many in a row", hint=_SHORTER
        ) from None


def _document(reference: str, store: PolicyStore) -> Document:
    if is_path_like(reference):
        return read_policy_document(reference, "policy")
    return store.read(store.find("policy", reference))


class _Evaluator:
    """One policy on one runtime; programs are made when they are first needed."""

    def __init__(self, policy: CompiledPolicy, runtime: Runtime) -> None:
        self.policy = policy
        self.runtime = runtime
        self.binder = FactBinder(policy, runtime)
        self.programs: dict[ast.Node, Program] = {}
        self.steps = steps_allowed()
        self.globals = self._globals()

    def _globals(self) -> dict[str, Native]:
        """Constants and catalogs, the same for every request."""
        values = {
            f"constants.{name}": self.runtime.encode(constant.value, constant.type)
            for name, constant in self.policy.constants.items()
        }
        for name, catalog in self.policy.catalogs.items():
            type_ = map_of(STRING_TYPE, object_type(catalog.entry_type.name))
            values[f"catalogs.{name}"] = self.runtime.encode(catalog.table(), type_)
        return values

    def decide(self, request: Request, *, explain: bool) -> Decision:
        inputs = self.binder.bind(request)
        values = {
            name: self.runtime.encode(value, self.policy.inputs[name].type) for name, value in inputs.items()
        }
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
            quantization=_quantization(inputs),
            trace=trace,
            request=request,
        )
        if found is None:
            return decision
        return self.answer(decision, *found)

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
        builder = BUILDERS[match.builder or ""]
        arguments = {
            name: self.argument(builder.signature.parameters[name].type, expression, scope)
            for name, expression in match.arguments.items()
        }
        try:
            return builder.build(arguments)
        except BuilderError as error:
            raise EvaluationError(
                f"builder {match.builder}: {error.message}", place=match.arguments[error.argument].place()
            ) from None

    def argument(self, type_text: str, expression: Expression, scope: _RuleScope) -> Value:
        value = self.native(expression, scope)
        return self.runtime.decode(value, parse_type(type_text, schema_types().named))

    def value(self, expression: Expression, scope: Any) -> Value:
        """An expression's value as plain Python."""
        return self.runtime.decode(self.native(expression, scope), expression.checked.type)

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


def _quantization(inputs: Mapping[str, Value]) -> str | None:
    """The quantization's own name, of a policy that reads one."""
    name = inputs.get("quantization")
    return name if isinstance(name, str) else None


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

    def __init__(self, evaluator: _Evaluator, rule: CompiledRule, outer: Any, trace: Trace | None) -> None:
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
        plain = None if error is not None else self.evaluator.runtime.decode(value, checked.type)
        self.trace.variables.append(
            VariableTrace(variable.name, self.rule.id, variable.expression.text, plain, error)
        )


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

    def __init__(self, evaluator: _Evaluator, trace: Trace | None) -> None:
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

    def __init__(self, evaluator: _Evaluator, expression: Expression, scope: _RuleScope) -> None:
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
        except CelError as error:
            return Part(text, error=error.message, parts=parts)
        return Part(text, self.evaluator.runtime.decode(native, part.type), parts=parts)

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
