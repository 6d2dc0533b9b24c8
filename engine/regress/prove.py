"""Proofs about a policy, by the SMT solver z3: for all requests, or refuted by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from typing import Any, Literal

import z3

from engine.cel import types as t
from engine.cel.checker import CelCheckError, Checked, Environment, check
from engine.cel.types import Type
from engine.decide import Policy
from engine.documents import Document
from engine.errors import EngineError, PolicyError, Problem, near
from engine.errors import Path as DocumentPath
from engine.policy.compiled import CompiledMatch, CompiledPolicy, CompiledRule
from engine.records import field, record
from engine.regress.encode import Encoder, NoFormula, Term, Unknowns, literal, opaque_texts, plain
from engine.request import Request

Verdict = Literal["proved", "refuted", "unknown"]

_NO_MATCH = ""
"""What `match` is where none is chosen; no id is empty."""


@record
class Proof:
    """What became of a claim.

    `witness` refutes it: values of the request's scalars and of what has no formula, or a whole request
    where all is `concrete`; `verified` says that it has been decided, and came out so. `abstract` lists
    what was taken to have any value.
    """

    kind: Literal["reachable", "total", "overlap", "assertion"]
    claim: str
    verdict: Verdict
    witness: Mapping[str, Any] = field(default_factory=dict)
    concrete: bool = False
    verified: bool = False
    abstract: tuple[str, ...] = ()
    match: str | None = None
    problem: Problem | None = None

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "kind": self.kind,
            "claim": self.claim,
            "verdict": self.verdict,
            "witness": dict(self.witness) or None,
            "concrete": self.concrete,
            "verified": self.verified,
            "abstract": list(self.abstract),
        }


class Prover:
    """Claims about one policy."""

    def __init__(self, policy: Policy, *, seconds: float = 10.0) -> None:
        """`seconds` for each claim; then it is unknown."""
        self.policy = policy
        self.compiled = policy.compiled
        self.milliseconds = int(seconds * 1000)

    def proofs(self) -> Iterator[Proof]:
        """Each match can be chosen; some match always is; which pairs overlap."""
        unknowns = Unknowns()
        made = _Encoding(self.compiled, unknowns)
        for match, chosen in made.chosen.items():
            found = self.solved(unknowns, [chosen])
            yield self.reach(match, found, unknowns)
        none = z3.And(z3.Not(made.failed), *(z3.Not(chosen) for chosen in made.chosen.values()))
        found = self.solved(unknowns, [none])
        yield self.proof("total", "some match holds for every request", found, unknowns, expected=None)
        for (first, holds), (second, also) in combinations(made.holds.items(), 2):
            found = self.solved(unknowns, [holds, also])
            claim = f"{first} and {second} never hold together"
            yield self.proof("overlap", claim, found, unknowns, expected=first, match=second, early=True)

    def reach(self, match: str, found: Any, unknowns: Unknowns) -> Proof:
        """A match that can't be chosen is proved to be out of reach; else a request that reaches it."""
        claim = f"{match} can never be chosen"
        return self.proof("reachable", claim, found, unknowns, expected=match, match=match)

    def assertion(self, document: Document, position: int) -> Proof:
        """A stated property of a suite.

        Raises:
            PolicyError: it doesn't type-check.
        """
        stated = document.value["assert"][position]
        path = ("assert", position)
        names = _environment(self.compiled)
        checked = {
            part: _checked(document, (*path, part), names, self.compiled)
            for part in ("assume", "holds")
            if part in stated
        }
        used = {name.partition(".")[0] for each in checked.values() for name in each.free_names()}
        unknowns = Unknowns()
        requests = ("a.", "b.") if used & {"a", "b"} else ("",)
        cut = self.cut(document, (*path, "differ"), stated.get("differ", []))
        encodings = {prefix: _Encoding(self.compiled, unknowns, prefix, cut) for prefix in requests}

        def read(name: str) -> Term | None:
            prefix = next((each for each in requests if each and name.startswith(each)), requests[0])
            own = encodings[prefix]
            local = name.removeprefix(prefix)
            return Term(own.match(), own.failed) if local == "match" else own.read(local)

        def encoded(part: str) -> Term:
            first = encodings[requests[0]]
            return Encoder(checked[part], read, unknowns, "", first.tables, first.counts).encode()

        holds = encoded("holds")
        wanted = [z3.Or(holds.error, z3.Not(holds.value))]
        # A request that ends in an error has no match to speak of.
        wanted += [z3.Not(each.failed) for each in encodings.values()]
        if "differ" in stated:
            wanted += _same_but(unknowns, cut)
        if "assume" in checked:
            assumed = encoded("assume")
            wanted += [z3.Not(assumed.error), assumed.value]
        found = self.solved(unknowns, wanted)
        place = document.place((*path, "holds"))
        problem = Problem(f"'{stated['name']}' does not hold", place, path=(*path, "holds"), code="E115")
        return self.proof(
            "assertion",
            stated["name"],
            found,
            unknowns,
            expected=None,
            problem=problem,
            lone=len(requests) == 1,
        )

    def cut(self, document: Document, path: DocumentPath, names: list[str]) -> frozenset[str]:
        """The variables in which two requests may differ.

        Raises:
            PolicyError: there is no such variable.
        """
        known = self.compiled.rule.variables
        for position, name in enumerate(names):
            namespace, _, variable = name.partition(".")
            if namespace != "variables" or variable not in known:
                place = document.place((*path, position))
                hint = near(name, [f"variables.{each}" for each in known])
                message = f"'{name}' is no variable"
                raise PolicyError(Problem(message, place, hint, (*path, position), code="E102"))
        return frozenset(name.partition(".")[2] for name in names)

    def solved(self, unknowns: Unknowns, wanted: list[Any]) -> Any:
        """A model of all that is wanted; None where there is none, and "unknown" where time ran out."""
        solver = z3.Solver()
        solver.set("timeout", self.milliseconds)
        solver.add(*unknowns.facts, *wanted)
        verdict = solver.check()
        if verdict == z3.sat:
            return solver.model()
        return None if verdict == z3.unsat else "unknown"

    def proof(
        self,
        kind: Literal["reachable", "total", "overlap", "assertion"],
        claim: str,
        found: Any,
        unknowns: Unknowns,
        *,
        expected: str | None,
        match: str | None = None,
        problem: Problem | None = None,
        early: bool = False,
        lone: bool = True,
    ) -> Proof:
        """What became of a claim, given a model of its contrary."""
        abstract = tuple(opaque_texts(unknowns))
        if found is None:
            return Proof(kind, claim, "proved", abstract=abstract, match=match)
        if isinstance(found, str):
            return Proof(kind, claim, "unknown", abstract=abstract, match=match)
        witness = {
            unknown.text: plain(found.eval(unknown.symbol, model_completion=True), unknown.type)
            for unknown in unknowns.found.values()
        }
        concrete = lone and not abstract
        verified = False
        if concrete:
            inputs = _inputs(self.compiled, witness)
            verified = kind != "assertion" and self.verified(inputs, expected, early=early)
            witness = inputs
        return Proof(kind, claim, "refuted", witness, concrete, verified, abstract, match, problem)

    def verified(self, inputs: Mapping[str, Any], expected: str | None, *, early: bool) -> bool:
        """Whether a request is decided as the witness says; an overlap's first match may be preceded."""
        try:
            found = self.policy.decide(Request(dict(inputs))).match_id
        except EngineError:
            return False
        return found is not None if early else found == expected


class _Encoding:
    """A policy's rules as formulas: when each match holds, and when it is the one that is chosen."""

    def __init__(
        self,
        policy: CompiledPolicy,
        unknowns: Unknowns,
        prefix: str = "",
        cut: frozenset[str] = frozenset(),
    ) -> None:
        """`cut` names variables that are taken to have any value, whatever they are computed from."""
        self.policy = policy
        self.cut = cut
        self.unknowns = unknowns
        self.prefix = prefix
        self.variables: dict[str, Term | None] = {}
        self.open: list[CompiledRule] = []
        self.chosen: dict[str, Any] = {}
        self.holds: dict[str, Any] = {}
        self.failed: Any = z3.BoolVal(False)
        self.tables = {name: catalog.table() for name, catalog in policy.catalogs.items()}
        self.counts = frozenset(
            f"{name}.params" for name, each in policy.inputs.items() if each.type_name == "Model"
        )
        self.names = {
            catalog.describes: sorted(catalog.entries)
            for catalog in policy.catalogs.values()
            if catalog.describes and catalog.by is None
        }
        self.rule(policy.rule, z3.BoolVal(True))

    def rule(self, rule: CompiledRule, reached: Any) -> Any:
        """Walks a rule that is reached under a condition; gives when none of its matches is chosen."""
        self.open.append(rule)
        for match in rule.matches:
            reached = self.one(match, reached)
        self.open.pop()
        return reached

    def one(self, match: CompiledMatch, reached: Any) -> Any:
        """Walks a match; gives when the search goes on behind it."""
        term = self.term(match)
        self.failed = z3.Or(self.failed, z3.And(reached, term.error))
        holds = z3.And(z3.Not(term.error), term.value)
        fails = z3.And(reached, z3.Not(term.error), z3.Not(term.value))
        if match.rule is not None:
            rest = self.rule(match.rule, z3.And(reached, holds))
            # An unconditional nested rule without a result goes on; a conditional one is final.
            return z3.Or(fails, rest) if match.condition is None else fails
        self.chosen[match.id] = z3.And(reached, holds)
        if match.condition is not None:
            self.holds[match.id] = holds
        return fails

    def term(self, match: CompiledMatch) -> Term:
        if match.condition is None:
            return Term(z3.BoolVal(True), z3.BoolVal(False))
        return self.encoder(match.condition.checked).encode()

    def encoder(self, checked: Checked) -> Encoder:
        return Encoder(checked, self.read, self.unknowns, self.prefix, self.tables, self.counts)

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
        declared = self.policy.inputs.get(name)
        if declared is None or declared.type not in (t.BOOL, t.INT, t.UINT, t.DOUBLE, t.STRING):
            return None
        text = f"{self.prefix}{name}"
        unknown = self.unknowns.get(text, text, declared.type, opaque=False)
        if declared.type_name in self.names:
            names = self.names[declared.type_name]
            self.unknowns.facts.append(z3.Or([unknown.symbol == z3.StringVal(each) for each in names]))
        return Term(unknown.symbol, z3.BoolVal(False))

    def variable(self, name: str) -> Term | None:
        """A variable's term, made once; of the innermost rule that has it."""
        rules = self.open or [self.policy.rule]
        for rule in reversed(rules):
            variable = rule.variables.get(name)
            if variable is None:
                continue
            if name in self.cut:
                return self.any_value(f"{self.prefix}variables.{name}", variable.expression.checked.type)
            key = f"{id(rule)} {name}"
            if key not in self.variables:
                self.variables[key] = None  # of a variable that shadows itself, the outer one stays unknown
                with suppress(NoFormula):
                    self.variables[key] = self.encoder(variable.expression.checked).encode()
            return self.variables[key]
        return None

    def any_value(self, text: str, type_: Type) -> Term:
        unknown = self.unknowns.get(text, text, type_, opaque=True)
        return Term(unknown.symbol, z3.BoolVal(False))

    def match(self) -> Any:
        """The chosen match's id as a text."""
        text: Any = z3.StringVal(_NO_MATCH)
        for name, chosen in self.chosen.items():
            text = z3.If(chosen, z3.StringVal(name), text)
        return text


def _same_but(unknowns: Unknowns, cut: frozenset[str]) -> Iterator[Any]:
    """Two requests are the same in all but the cut variables."""
    apart = {f"a.variables.{name}" for name in cut}
    for text, unknown in unknowns.found.items():
        if text not in apart and "a." in text:
            twin = unknowns.found.get(re.sub(r"\ba\.", "b.", text))
            if twin is not None:
                yield unknown.symbol == twin.symbol


def _environment(policy: CompiledPolicy) -> dict[str, Type]:
    """What assertions may read: of the one request, or of two as `a.` and `b.`."""
    own: dict[str, Type] = {name: each.type for name, each in policy.inputs.items()}
    own |= {
        f"variables.{name}": variable.expression.checked.type
        for name, variable in policy.rule.variables.items()
    }
    own["match"] = t.STRING
    names = own | {f"constants.{name}": constant.type for name, constant in policy.constants.items()}
    return names | {f"{request}.{name}": type_ for request in "ab" for name, type_ in own.items()}


def _checked(
    document: Document, path: tuple[Any, ...], names: dict[str, Type], policy: CompiledPolicy
) -> Checked:
    text = document.value
    for step in path:
        text = text[step]
    try:
        found = check(text, Environment(names, policy.objects))
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
    if found.type != t.BOOL:
        message = f"{path[-1]}: expected 'bool', the expression gives '{found.type}'"
        raise PolicyError(Problem(message, document.place(path), path=path, code="E104"))
    return found


def _inputs(policy: CompiledPolicy, witness: Mapping[str, Any]) -> dict[str, Any]:
    """A request of a witness's scalars; of what decides nothing, the least there is."""
    inputs: dict[str, Any] = {}
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
        else:
            inputs[name] = fields or _least(policy, declared.type, declared.type_name)
    return inputs


def _least(policy: CompiledPolicy, type_: Type, type_name: str) -> Any:
    for catalog in policy.catalogs.values():
        if catalog.describes == type_name and catalog.by is None:
            return min(catalog.entries)
    least: dict[Type, Any] = {t.BOOL: False, t.INT: 0, t.UINT: 0, t.DOUBLE: 0.0, t.STRING: ""}
    if type_.kind is t.Kind.LIST:
        return []
    return least.get(type_, {})
