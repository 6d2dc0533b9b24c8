"""Prove claims about a policy for all requests with the SMT solver z3, or refute them with one request."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from typing import Literal, TypeAlias

import z3

from engine.base.errors import EngineError, PolicyError, Problem, near
from engine.base.errors import Path as DocumentPath
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import field, record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Bounds, Type
from engine.cel.checker import CelCheckError, Checked, Environment, check
from engine.cel.values import Value, to_json
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.documents import Document
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule, rules
from engine.policy.table_cells import literal as literal_text
from engine.regress.encode import Encoder, Items, NoFormula, Term, Unknowns, literal, opaque_texts, plain

_Model: TypeAlias = "z3.ModelRef | Literal['unknown'] | None"
"""Values that meet all goals; None if there are none."""

Verdict = Literal["proved", "refuted", "unknown"]

_SCALARS = (t.BOOL, t.INT, t.UINT, t.DOUBLE, t.STRING, t.TIMESTAMP, t.DURATION)
_NO_MATCH = ""
"""Value of `match` if none is chosen; no id is empty."""


@record
class Proof:
    """The verdict on a claim.

    Attributes:
        witness: a counterexample: values of the request's scalars and of expressions without a formula, or a
            complete request if it is `concrete`.
        verified: the engine has decided the witness, and the decision refutes the claim.
        abstract: expressions without a formula, treated as unconstrained.
    """

    kind: Literal["reachable", "total", "overlap", "assertion"]
    claim: str
    verdict: Verdict
    witness: Mapping[str, Json] = field(default_factory=dict)
    concrete: bool = False
    verified: bool = False
    abstract: tuple[str, ...] = ()
    match: str | None = None
    problem: Problem | None = None

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        return {
            "kind": self.kind,
            "claim": self.claim,
            "verdict": self.verdict,
            "witness": dict(self.witness) or None,
            "concrete": self.concrete,
            "verified": self.verified,
            "abstract": list(self.abstract),
        }


@record(eq=False)
class _Claim:
    """A claim about a policy; `goals` together refute it."""

    kind: Literal["reachable", "total", "overlap"]
    text: str
    goals: tuple[z3.BoolRef, ...]
    expected: str | None = None
    match: str | None = None


class Prover:
    """Prove claims about one policy."""

    def __init__(self, policy: Policy, *, seconds: float = 10.0, total_seconds: float = 60.0) -> None:
        """Prepare proofs.

        Args:
            policy: the policy.
            seconds: time for one claim; without a verdict it is unknown.
            total_seconds: time for all claims; the remaining ones are unknown.
        """
        self.policy = policy
        self.compiled = policy.compiled
        self.seconds = seconds
        self.seconds_left = total_seconds

    def proofs(self) -> Iterator[Proof]:
        """Check which matches are reachable, whether one always matches, and which pairs overlap."""
        coarse, exact = Unknowns(coarse=True), Unknowns()
        coarse_claims = self.claims(coarse)
        exact_claims = self.claims(exact) if coarse.skipped else coarse_claims
        for number, (quick, claim) in enumerate(zip(coarse_claims, exact_claims, strict=True)):
            if claim.kind == "overlap" and self.seconds_left <= 0:
                left = len(exact_claims) - number
                yield Proof("overlap", f"{left:,} more pairs of matches never hold together", "unknown")
                return
            # What holds whatever the doubles are is shown faster; a request that shows it, too.
            proof = self.claimed(quick, coarse)
            if coarse.skipped and proof.verdict != "proved" and not proof.verified:
                proof = self.claimed(claim, exact)
            yield proof

    def claims(self, unknowns: Unknowns) -> list[_Claim]:
        """Return the claims about the policy, as formulas of their negations."""
        encoding = Encoding(self.compiled, unknowns)
        claims = [
            _Claim("reachable", f"{match} can never be chosen", (chosen,), match, match)
            for match, chosen in encoding.chosen.items()
        ]
        none = z3.And(
            z3.Not(encoding.failed),
            *(z3.Not(chosen) for chosen in encoding.chosen.values()),
            *self.possible(encoding),
        )
        claims.append(_Claim("total", "some match holds for every request", (none,)))
        return claims + [
            _Claim("overlap", f"{first} and {second} never hold together", (holds, also), first, second)
            for (first, holds), (second, also) in combinations(encoding.holds.items(), 2)
        ]

    def possible(self, encoding: Encoding) -> Iterator[z3.BoolRef]:
        """Yield what the columns of a decision table state about their inputs: the values that there are."""
        table = self.compiled.rule.table
        for column in table.columns if table is not None else ():
            if not column.values:
                continue
            listed = ", ".join(literal_text(value, column.type) for value in column.values)
            environment = Environment(_environment(self.compiled), self.compiled.objects)
            term = encoding.encoder(check(f"({column.input}) in [{listed}]", environment)).encode()
            yield z3.And(term.value, z3.Not(term.error))

    def claimed(self, claim: _Claim, unknowns: Unknowns) -> Proof:
        """Prove a claim, or find a request against it."""
        return self.proof(
            claim.kind,
            claim.text,
            self.solve(unknowns, list(claim.goals)),
            unknowns,
            expected=claim.expected,
            match=claim.match,
            early=claim.kind == "overlap",
        )

    def assertion(self, document: Document, position: int) -> Proof:
        """Prove an assertion of a suite.

        Raises:
            PolicyError: the assertion does not type-check.
        """
        coarse = Unknowns(coarse=True)
        proof = self.asserted(document, position, coarse)
        if coarse.skipped and proof.verdict != "proved":
            proof = self.asserted(document, position, Unknowns())
        return proof

    def asserted(self, document: Document, position: int, unknowns: Unknowns) -> Proof:
        """Prove an assertion with these unknowns.

        Raises:
            PolicyError: the assertion does not type-check.
        """
        assertion = document.value["assert"][position]
        path = ("assert", position)
        names = _environment(self.compiled)
        checked = {
            part: _checked(document, (*path, part), names, self.compiled)
            for part in ("assume", "holds")
            if part in assertion
        }
        used = {
            name.partition(".")[0]
            for expression in checked.values()
            for name in expression.free_names()
            if "." in name  # an input may be named `a`
        }
        requests = ("a.", "b.") if used & {"a", "b"} else ("",)
        cut = self.cut(document, (*path, "differ"), assertion.get("differ", []))
        encodings = {prefix: Encoding(self.compiled, unknowns, prefix, cut) for prefix in requests}

        def read(name: str) -> Term | None:
            encoding, local = located(name)
            return Term(encoding.match(), encoding.failed) if local == "match" else encoding.read(local)

        def located(name: str) -> tuple[Encoding, str]:
            prefix = next(
                (request for request in requests if request and name.startswith(request)), requests[0]
            )
            return encodings[prefix], name.removeprefix(prefix)

        def read_items(name: str) -> Items | None:
            encoding, local = located(name)
            return encoding.read_items(local)

        def meaning(names: Iterable[str]) -> tuple[str, frozenset[str]]:
            return encodings[requests[0]].meaning([located(name)[1] for name in names])

        def encode(part: str) -> Term:
            first = encodings[requests[0]]
            return Encoder(
                checked[part],
                read,
                unknowns,
                "",
                first.tables,
                first.counts,
                items=read_items,
                meaning=meaning,
                value=first.constant,
                output="output" not in self.compiled.inputs,
            ).encode()

        holds = encode("holds")
        goals = [z3.Or(holds.error, z3.Not(holds.value))]
        if "assume" in checked:
            assumed = encode("assume")
            goals += [z3.Not(assumed.error), assumed.value]
        # A request that fails has no match.
        goals += [z3.Not(encoding.failed) for encoding in encodings.values()]
        if "differ" in assertion:
            goals += _equal_except(unknowns, cut)
        model = self.solve(unknowns, goals)
        place = document.place((*path, "holds"))
        problem = Problem(f"'{assertion['name']}' does not hold", place, path=(*path, "holds"), code="E115")
        return self.proof(
            "assertion",
            assertion["name"],
            model,
            unknowns,
            expected=None,
            problem=problem,
            lone=len(requests) == 1,
        )

    def cut(self, document: Document, path: DocumentPath, names: list[str]) -> frozenset[str]:
        """Return the inputs, parts of inputs and variables in which two requests may differ.

        Raises:
            PolicyError: one does not exist.
        """
        variables = [f"variables.{name}" for name in self.compiled.rule.variables]
        inputs = self.compiled.inputs
        for position, name in enumerate(names):
            head = name.partition(".")[0]
            if name not in variables and not (head in inputs and self.has_part(name)):
                place = document.place((*path, position))
                hint = near(name, [*variables, *inputs])
                message = f"unknown variable or input '{name}'"
                raise PolicyError(Problem(message, place, hint, (*path, position), code="E102"))
        return frozenset(names)

    def has_part(self, name: str) -> bool:
        """Return True if an expression may read a path in an input."""
        names = {input_name: declared.type for input_name, declared in self.compiled.inputs.items()}
        try:
            check(name, Environment(names, self.compiled.objects))
        except CelCheckError:
            return False
        return True

    def solve(self, unknowns: Unknowns, goals: list[z3.BoolRef]) -> _Model:
        """Return a model of the goals, None if they are unsatisfiable, or "unknown" after a timeout."""
        if self.seconds_left <= 0:
            return "unknown"
        start = time.monotonic()
        solver = z3.Solver()
        solver.set("timeout", int(max(0.001, min(self.seconds, self.seconds_left)) * 1000))
        solver.add(*unknowns.facts, *goals)
        verdict = solver.check()
        self.seconds_left -= time.monotonic() - start
        if verdict == z3.sat:
            return solver.model()
        return None if verdict == z3.unsat else "unknown"

    def proof(
        self,
        kind: Literal["reachable", "total", "overlap", "assertion"],
        claim: str,
        model: _Model,
        unknowns: Unknowns,
        *,
        expected: str | None,
        match: str | None = None,
        problem: Problem | None = None,
        early: bool = False,
        lone: bool = True,
    ) -> Proof:
        """Return the verdict on a claim from a model of its negation."""
        abstract = tuple(opaque_texts(unknowns))
        if model is None:
            return Proof(kind, claim, "proved", abstract=abstract, match=match)
        if isinstance(model, str):
            return Proof(kind, claim, "unknown", abstract=abstract, match=match)
        witness = _witness(model, unknowns)
        concrete = lone and not abstract
        verified = False
        if lone:
            inputs = inputs_of(self.compiled, witness)
            verified = kind != "assertion" and self.verify(inputs, expected, early=early)
            # A decision that confirms the witness outweighs what the solver does not model.
            concrete = concrete or (verified and not early)
            witness = inputs if concrete else witness
        return Proof(
            kind=kind,
            claim=claim,
            verdict="refuted",
            witness=witness,
            concrete=concrete,
            verified=verified,
            abstract=abstract,
            match=match,
            problem=problem,
        )

    def verify(self, inputs: JsonObject, expected: str | None, *, early: bool) -> bool:
        """Decide a witness; for an overlap, `early` accepts an earlier match."""
        try:
            match = self.policy.decide(Request(dict(inputs))).match_id
        except EngineError:
            return False
        return match is not None if early else match == expected


class Encoding:
    """Formulas of a policy's rules: when each match holds, and when it is chosen."""

    def __init__(
        self,
        policy: CompiledPolicy,
        unknowns: Unknowns,
        prefix: str = "",
        cut: frozenset[str] = frozenset(),
    ) -> None:
        """Encode a policy; the variables in `cut` are unconstrained."""
        self.policy = policy
        self.cut = cut
        self.unknowns = unknowns
        self.prefix = prefix
        self.variables: dict[str, Term | None] = {}
        self.open: list[CompiledRule] = []
        # A variable that shadows itself, while its expression is encoded: it reads the outer one.
        self.hidden: str | None = None
        self.chosen: dict[str, z3.BoolRef] = {}
        self.holds: dict[str, z3.BoolRef] = {}
        self.outputs: dict[str, tuple[CompiledMatch, list[CompiledRule]]] = {}
        self.failed: z3.BoolRef = z3.BoolVal(False)
        self.lists: dict[str, Items | None] = {}
        self.meanings: dict[str, frozenset[str]] = {}
        self.tables = {name: catalog.table() for name, catalog in policy.catalogs.items()}
        self.counts = frozenset(
            f"{name}.params" for name, declared in policy.inputs.items() if declared.type_name == "Model"
        )
        self.names = {
            catalog.describes: sorted(catalog.entries)
            for catalog in policy.catalogs.values()
            if catalog.describes and catalog.by is None
        }
        self.rule(policy.rule, z3.BoolVal(True))

    def rule(self, rule: CompiledRule, reached: z3.BoolRef) -> z3.BoolRef:
        """Encode a rule that is reached under a condition; return when none of its matches is chosen."""
        self.open.append(rule)
        for match in rule.matches:
            reached = self.encode_match(match, reached)
        self.open.pop()
        return reached

    def encode_match(self, match: CompiledMatch, reached: z3.BoolRef) -> z3.BoolRef:
        """Encode a match; return when evaluation continues after it."""
        term = self.term(match)
        self.failed = z3.Or(self.failed, z3.And(reached, term.error))
        holds = z3.And(z3.Not(term.error), term.value)
        fails = z3.And(reached, z3.Not(term.error), z3.Not(term.value))
        if match.rule is not None:
            rest = self.rule(match.rule, z3.And(reached, holds))
            # After an unconditional nested rule without a result, evaluation continues.
            return z3.Or(fails, rest) if match.condition is None else fails
        self.chosen[match.id] = z3.And(reached, holds)
        self.outputs[match.id] = (match, list(self.open))
        if match.condition is not None:
            self.holds[match.id] = holds
        return fails

    def term(self, match: CompiledMatch) -> Term:
        if match.condition is None:
            return Term(z3.BoolVal(True), z3.BoolVal(False))
        return self.encoder(match.condition.checked).encode()

    def encoder(self, checked: Checked) -> Encoder:
        return Encoder(
            checked,
            self.read,
            self.unknowns,
            self.prefix,
            self.tables,
            self.counts,
            self.where,
            items=self.read_items,
            meaning=self.meaning,
            value=self.constant,
        )

    def constant(self, name: str) -> Value:
        """Return the value of a constant."""
        return self.policy.constants[name].value

    def meaning(self, names: Iterable[str]) -> tuple[str, frozenset[str]]:
        """Return what determines the values of names: inputs, and variables in which requests may differ."""
        return "", frozenset().union(*map(self.determined, names))

    def determined(self, name: str) -> frozenset[str]:
        """Return the inputs and variables that determine a name's value, that name included."""
        if name not in self.meanings:
            self.meanings[name] = frozenset({name})
            namespace, _, variable = name.partition(".")
            if namespace == "variables":
                expressions = [
                    rule.variables[variable].expression
                    for rule in rules(self.policy.rule)
                    if variable in rule.variables
                ]
                inner = [free for expression in expressions for free in expression.checked.free_names()]
                self.meanings[name] = frozenset({name}).union(*map(self.determined, inner))
        return self.meanings[name]

    def read_items(self, name: str) -> Items | None:
        """Return a list by name: a constant, or a variable that makes one of literals and constants."""
        namespace, _, rest = name.partition(".")
        if namespace == "constants":
            constant = self.policy.constants[rest]
            if constant.type.kind is not t.Kind.LIST:
                return None
            try:
                elements = tuple(
                    (z3.BoolVal(True), Term(literal(value, constant.type.element), z3.BoolVal(False)))
                    for value in constant.value
                )
            except NoFormula:
                return None
            return Items(elements, constant.type.element, z3.BoolVal(False))
        if namespace != "variables" or name in self.cut:
            return None
        opened = self.open or [self.policy.rule]
        depth = self.depth(rest)
        variable = opened[depth].variables.get(rest)
        if variable is None:
            return None
        key = f"{id(opened[depth])} {rest}"
        if key not in self.lists:
            self.lists[key] = None
            kept = self.open, self.hidden
            self.open, self.hidden = opened[: depth + 1], rest if variable.shadows_itself else None
            with suppress(NoFormula):
                checked = variable.expression.checked
                self.lists[key] = self.encoder(checked).items(checked.root)
            self.open, self.hidden = kept
        return self.lists[key]

    def output(self, path: tuple[str, ...]) -> Term | None:
        """Return the term of the chosen match's output or of a part of it; None if it has no formula.

        It fails where no match is chosen; a request whose output fails counts as one that fails.
        """
        value: z3.ExprRef | None = None
        for id_, (match, opened) in self.outputs.items():
            if match.output is None:
                return None
            kept, self.open = self.open, opened
            try:
                checked = match.output.checked
                node = part_of(checked, checked.root, path)
                if node is None:
                    return None
                term = self.encoder(checked).encode(node)
            except NoFormula:
                return None
            finally:
                self.open = kept
            self.failed = z3.Or(self.failed, z3.And(self.chosen[id_], term.error))
            value = term.value if value is None else z3.If(self.chosen[id_], term.value, value)
        if value is None:
            return None
        return Term(value, z3.Not(z3.Or(list(self.chosen.values()))))

    def where(self, name: str) -> str:
        """Return a suffix that identifies a nested rule's variable; empty for other names."""
        namespace, _, variable = name.partition(".")
        depth = self.depth(variable) if namespace == "variables" else 0
        return f" of rule {id(self.open[depth])}" if depth else ""

    def depth(self, variable: str) -> int:
        """Return the index of the innermost open rule that declares a variable."""
        innermost = len(self.open) - (2 if variable == self.hidden else 1)
        depths = (depth for depth in range(innermost, -1, -1) if variable in self.open[depth].variables)
        return next(depths, 0)

    def read(self, name: str) -> Term | None:
        namespace, _, rest = name.partition(".")
        if namespace == "variables":
            return self.variable(rest)
        if namespace == "constants":
            constant = self.policy.constants[rest]
            try:
                return Term(literal(constant.value, constant.type), z3.BoolVal(False))
            except NoFormula:
                return None
        if namespace == "output" and "output" not in self.policy.inputs:
            return self.output(tuple(name.split(".")[1:]))
        declared = self.policy.inputs.get(name)
        if declared is None or declared.type not in _SCALARS:
            return None
        text = f"{self.prefix}{name}"
        unknown = self.unknowns.get(text, text, declared.type, opaque=False, reads=frozenset({name}))
        if declared.type_name in self.names:
            names = self.names[declared.type_name]
            self.unknowns.facts.append(z3.Or([unknown.symbol == z3.StringVal(entry) for entry in names]))
        return Term(unknown.symbol, z3.BoolVal(False))

    def variable(self, name: str) -> Term | None:
        """Return the term of a variable of the innermost rule that declares it; encoded once."""
        rules = self.open or [self.policy.rule]
        depth = self.depth(name)
        rule = rules[depth]
        variable = rule.variables.get(name)
        if variable is None:
            return None
        if f"variables.{name}" in self.cut and depth == 0:
            return self.any_value(f"{self.prefix}variables.{name}", variable.expression.checked.type)
        key = f"{id(rule)} {name}"
        if key not in self.variables:
            self.variables[key] = None
            # It sees the scope of its own rule, not that of nested rules.
            kept = self.open, self.hidden
            self.open, self.hidden = rules[: depth + 1], name if variable.shadows_itself else None
            with suppress(NoFormula):
                self.variables[key] = self.encoder(variable.expression.checked).encode()
            self.open, self.hidden = kept
        return self.variables[key]

    def any_value(self, text: str, type_: Type) -> Term:
        reads = frozenset({text.removeprefix(self.prefix)})
        unknown = self.unknowns.get(text, text, type_, opaque=True, reads=reads)
        return Term(unknown.symbol, z3.BoolVal(False))

    def match(self) -> z3.SeqRef:
        """Return the id of the chosen match as a string term."""
        text: z3.SeqRef = z3.StringVal(_NO_MATCH)
        for name, chosen in self.chosen.items():
            text = z3.If(chosen, z3.StringVal(name), text)
        return text


def part_of(checked: Checked, node: ast.Node, path: tuple[str, ...]) -> ast.Node | None:
    """Return the expression of a part of a value: of a map that is written out; None for any other."""
    for name in path:
        if not isinstance(node, ast.MapLiteral):
            return None
        parts = [value for key, value in node.entries if isinstance(key, ast.Literal) and key.value == name]
        if not parts:
            return None
        node = parts[0]
        call = checked.calls.get(node)
        if call is not None and call.function == "dyn":
            node = call.arguments[0]
    return node


def _equal_except(unknowns: Unknowns, cut: frozenset[str]) -> Iterator[z3.BoolRef]:
    """Yield constraints that make two requests equal except in what they may differ in."""
    for name, unknown in unknowns.by_name.items():
        if "a." not in name or any(_overlap(read, different) for read in unknown.reads for different in cut):
            continue
        twin_name = re.sub(r"\ba\.", "b.", name)
        twin = unknowns.by_name.get(twin_name)
        if twin is not None and twin is not unknown:
            yield unknown.symbol == twin.symbol
            if unknown.opaque:
                yield z3.Bool(f"error of {name}") == z3.Bool(f"error of {twin_name}")


def _overlap(first: str, second: str) -> bool:
    """Return True if a path is another one, or in it."""
    return first == second or first.startswith(f"{second}.") or second.startswith(f"{first}.")


def _environment(policy: CompiledPolicy) -> dict[str, Type]:
    """Return the names that assertions may read: of one request, or of two as `a.` and `b.`."""
    local: dict[str, Type] = {name: declared.type for name, declared in policy.inputs.items()}
    local |= {
        f"variables.{name}": variable.expression.checked.type
        for name, variable in policy.rule.variables.items()
    }
    local["match"] = t.STRING
    if policy.output_type is not None:
        local.setdefault("output", policy.output_type)
    names = local | {f"constants.{name}": constant.type for name, constant in policy.constants.items()}
    requests = [request for request in "ab" if not _has_fields(policy, request)]
    return names | {f"{request}.{name}": type_ for request in requests for name, type_ in local.items()}


def _has_fields(policy: CompiledPolicy, name: str) -> bool:
    """Return True if an input of that name may have fields: `a.x` is then such a field."""
    return name in policy.inputs and policy.inputs[name].type not in _SCALARS


def _checked(
    document: Document, path: DocumentPath, names: dict[str, Type], policy: CompiledPolicy
) -> Checked:
    text = document.value
    for step in path:
        text = text[step]
    try:
        libraries = {
            name.removeprefix("variables."): name for name in names if name.count(".") > 1
        }  # `speed.tpot_ms`, as the policy's own expressions read it
        types = names | {short: names[name] for short, name in libraries.items()}
        checked = check(text, Environment(types, policy.objects, libraries))
    except CelCheckError as error:
        raise PolicyError(
            [
                Problem(
                    fault.message,
                    document.place_in_scalar(path, fault.offset),
                    fault.hint,
                    path,
                    code=fault.code,
                )
                for fault in error.faults
            ]
        ) from None
    if checked.type != t.BOOL:
        message = f"{path[-1]}: expected 'bool', the expression gives '{checked.type}'"
        raise PolicyError(Problem(message, document.place(path), path=path, code="E104"))
    return checked


def model_inputs(policy: CompiledPolicy, model: z3.ModelRef, unknowns: Unknowns) -> JsonObject:
    """Return the request that a model of the solver describes, with minimal values for the rest."""
    return inputs_of(policy, _witness(model, unknowns))


def _witness(model: z3.ModelRef, unknowns: Unknowns) -> JsonObject:
    """Return the value of each unknown by its text."""
    return {
        unknown.text: plain(model.eval(unknown.symbol, model_completion=True), unknown.type)
        for unknown in unknowns.by_name.values()
    }


def inputs_of(policy: CompiledPolicy, witness: Mapping[str, Json]) -> JsonObject:
    """Return a request with the witness's scalars and minimal values for everything else."""
    inputs: JsonObject = {}
    for name, declared in policy.inputs.items():
        fields = {
            path.partition(".")[2]: value for path, value in witness.items() if path.startswith(f"{name}.")
        }
        if name in witness:
            inputs[name] = witness[name]
        elif declared.type_name == "Inventory":
            inputs[name] = {"devices": []}
        elif declared.type_name == "Model":
            inputs[name] = {"params": 0, **fields}
        elif declared.type.exact.kind is t.Kind.OBJECT and policy.objects[declared.type.exact.name].declared:
            inputs[name] = _value_of(policy, declared.type.exact, name, witness)
        else:
            inputs[name] = fields or _least(policy, declared.type, declared.type_name)
        if declared.type.kind is t.Kind.WRAPPER and not _is_there(name, witness):
            del inputs[name]
    return inputs


def _value_of(policy: CompiledPolicy, type_: Type, path: str, witness: Mapping[str, Json]) -> Json:
    """Return a value of a declared type with the witness's scalars, and minimal values for what it needs."""
    if type_.kind is not t.Kind.OBJECT or not policy.objects[type_.name].declared:
        return witness.get(path, _least(policy, type_, str(type_)))
    value: JsonObject = {}
    for name, declared in policy.objects[type_.name].fields.items():
        inner = f"{path}.{name}"
        needed = declared.type.kind is not t.Kind.WRAPPER and declared.default is None
        if needed or _is_there(inner, witness):
            value[name] = _value_of(policy, declared.type.exact, inner, witness)
    return value


def _is_there(path: str, witness: Mapping[str, Json]) -> bool:
    """Return True if the witness says that an optional value is there, or what it is."""
    return bool(witness.get(f"has({path})", path in witness))


def _least(policy: CompiledPolicy, type_: Type, type_name: str) -> Json:
    for catalog in policy.catalogs.values():
        if catalog.describes == type_name and catalog.by is None:
            return min(catalog.entries)
    least: dict[Type, Json] = {
        t.BOOL: False,
        t.INT: 0,
        t.UINT: 0,
        t.DOUBLE: 0.0,
        t.STRING: "",
        t.BYTES: "",
        t.TIMESTAMP: "1970-01-01T00:00:00Z",
        t.DURATION: "0s",
    }
    if type_.kind is t.Kind.LIST:
        return []
    if type_.bounds is not None:
        return _least_allowed(type_.bounds, least.get(type_))
    return least.get(type_, {})


def _least_allowed(bounds: Bounds, usual: Json) -> Json:
    """Return a value that is allowed: the usual one of the type if it is."""
    if bounds.enum:
        return to_json(bounds.enum[0])
    if bounds.minimum is not None and (not isinstance(usual, (int, float)) or usual < bounds.minimum):
        return to_json(bounds.minimum)
    if bounds.maximum is not None and (not isinstance(usual, (int, float)) or usual > bounds.maximum):
        return to_json(bounds.maximum)
    return usual
