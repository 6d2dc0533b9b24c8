"""Compile the rules of a policy: matches, outputs, plans and searches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from engine.base.errors import Path, is_near, near
from engine.base.records import replace
from engine.cel import celtypes as t
from engine.cel.celtypes import Substitution, Type, parse_type
from engine.cel.checker import Environment
from engine.policy.compiled import (
    CompiledMatch,
    CompiledRule,
    CompiledSearch,
    CompiledVariable,
    Expression,
    Negotiation,
    Remedy,
    Score,
    collected,
)
from engine.policy.expressions import ExpressionCompiler
from engine.policy.libraries import Link, Linker, Loaded, bound_variables
from engine.policy.signature import BuilderSignature
from engine.policy.table_rows import TableReader
from engine.policy.variables import VariableResolver

if TYPE_CHECKING:
    from engine.policy.dicts import (
        CandidateDict,
        CollectedDict,
        MatchDict,
        PlanDict,
        PreferenceDict,
        RemedyDict,
        RequirementDict,
        RuleDict,
    )

PINNED = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
"""Degrees that a request may pin, which a remedy may leave to the search."""

_CHANGED = {
    "quantization": t.STRING,
    "serving.server": t.STRING,
    "serving.objective": t.STRING,
    "serving.speculative": t.wrapper_of(t.STRING),
    "serving.kv_dtype": t.STRING,
    "serving.utilization": t.DOUBLE,
    "serving.max_ttft_ms": t.wrapper_of(t.DOUBLE),
    "serving.max_tpot_ms": t.wrapper_of(t.DOUBLE),
    "serving.request_rate": t.wrapper_of(t.DOUBLE),
    **{f"pin.{name}": t.wrapper_of(t.INT) for name in PINNED},
}
"""Types of the values that a remedy tries, by what it changes; whole numbers otherwise."""


class RuleCompiler(ExpressionCompiler):
    """Compiles rules, their matches and searches."""

    libraries: Mapping[Path, tuple[Loaded, ...]] = MappingProxyType({})
    """The libraries that are listed for a rule or for the candidates of a search, by its path."""
    linker: Linker | None = None

    def rule(self, path: Path, outer: Environment, default_id: str) -> CompiledRule:
        rule = self.at(path)
        rule_id = rule.get("id", default_id)
        variables, environment = self.variables(path, rule, outer)
        table = TableReader(self, path, rule["table"]) if "table" in rule else None
        sound = table is None or table.check_columns(environment)
        collects = tuple(self.collected(rule.get("collects", ()), variables, path))
        sound = self.same_outputs(collects) and sound
        known = len(self.problems)
        matches: list[CompiledMatch] = []
        for position, match in enumerate(rule["match"]):
            match_path = (*path, "match", position)
            match_id = match.get("id", f"{rule_id}/{position + 1}")
            if match_id in self.match_ids:
                first = self.document.place(self.match_ids[match_id])
                self.problem(
                    "E108",
                    f"duplicate match id '{match_id}'",
                    (*match_path, "id"),
                    f"already defined in line {first.line}",
                )
            self.match_ids[match_id] = (*match_path, "id")
            matches.append(self.match(match_path, match, match_id, environment))
        faulty = len(self.problems) > known
        if not sound:  # all rows would have the fault of their column, and the list that of its outputs
            del self.problems[known:]
        rows = None if table is None else table.read(environment, faulty=faulty)
        return CompiledRule(rule_id, variables, tuple(matches), rows, collects)

    def collected(
        self, listed: Iterable[CollectedDict], variables: Mapping[str, CompiledVariable], path: Path
    ) -> Iterator[CompiledMatch]:
        """Yield the matches of an aggregate, whose parts are variables of its rule."""

        def part(
            match: CollectedDict, key: Literal["condition", "output", "explanation"]
        ) -> Expression | None:
            variable = variables.get(match.get(key, ""))
            return None if variable is None else variable.expression

        for match in listed:
            condition, output = part(match, "condition"), part(match, "output")
            own = next((each.path for each in (condition, output) if each is not None), path)
            if match["id"] in self.match_ids:
                line = self.document.place(self.match_ids[match["id"]]).line
                hint = f"already defined in line {line}"
                self.problem("E108", f"duplicate match id '{match['id']}'", own, hint)
            self.match_ids[match["id"]] = own
            rule = None
            if "rule" in match:
                inner = tuple(self.collected(match["rule"], variables, own))
                rule = CompiledRule(match["id"], {}, inner)
            explanation = part(match, "explanation")
            yield CompiledMatch(
                match["id"], own, condition, output=output, rule=rule, explanation=explanation
            )

    def same_outputs(self, collects: Iterable[CompiledMatch]) -> bool:
        """Report outputs of an aggregate that have another type than the first; return True if none has."""
        known = len(self.problems)
        outputs = [each.output for each in collected(collects) if each.output is not None]
        for output in outputs[1:]:
            type_, first = output.checked.type, outputs[0].checked.type
            if not Substitution().assignable(type_, first):
                line = self.document.place(outputs[0].path).line
                message = f"outputs of an aggregate have one type: found '{type_}', expected '{first}'"
                self.problem("E111", message, output.path, f"as in line {line}")
        return len(self.problems) == known

    def variables(
        self, path: Path, rule: RuleDict | CandidateDict, outer: Environment
    ) -> tuple[dict[str, CompiledVariable], Environment]:
        link = self.linked(path, outer)
        resolver = VariableResolver(self, path, rule.get("variables", []), link.extend(outer))
        variables, environment = resolver.resolve()
        bound = bound_variables(link.bindings, environment, self)
        return {**link.variables, **bound, **variables}, environment

    def linked(self, path: Path, outer: Environment) -> Link:
        """Return what the libraries add that are listed for a rule, or for the candidates of a search."""
        loaded = self.libraries.get(path, ())
        return Link() if self.linker is None else self.linker.link(loaded, outer, self, "")

    def match(self, path: Path, match: MatchDict, match_id: str, environment: Environment) -> CompiledMatch:
        kinds = [kind for kind in ("plan", "output", "rule") if kind in match]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            self.problem("E111", f"a match needs just one of plan, output and rule, found {found}", path)
        condition = (
            self.expression((*path, "condition"), environment, t.BOOL) if "condition" in match else None
        )
        explanation = None
        if "explanation" in match:
            weighing = (*path, "plan", "candidate")
            explaining = self.candidates(weighing, environment)[1] if _searches(match) else environment
            explanation = self.expression((*path, "explanation"), explaining, t.STRING)
            if kinds == ["rule"]:
                self.problem(
                    "E111", "a nested rule's matches explain themselves", (*path, "explanation"), key=True
                )
        compiled = CompiledMatch(
            match_id, path, condition, explanation=explanation, description=match.get("description", "")
        )
        if kinds == ["output"]:
            return self.with_output(compiled, environment)
        if kinds == ["rule"]:
            return self.with_rule(compiled, environment)
        return self.with_plan(compiled, match["plan"], environment) if kinds == ["plan"] else compiled

    def with_output(self, match: CompiledMatch, environment: Environment) -> CompiledMatch:
        path = (*match.path, "output")
        output = self.expression(path, environment, None)
        if output is not None:
            self.results.append(("output", output.checked.type, path))
        return replace(match, output=output)

    def with_rule(self, match: CompiledMatch, environment: Environment) -> CompiledMatch:
        rule = self.rule((*match.path, "rule"), environment, match.id)
        return replace(match, rule=rule)

    def with_plan(self, match: CompiledMatch, plan: PlanDict, environment: Environment) -> CompiledMatch:
        path = (*match.path, "plan")
        self.results.append(("plan", t.DYN, path))
        name = plan["builder"]
        signature = self.builders.get(name)
        if signature is None:
            self.problem("E105", f"unknown builder '{name}'", (*path, "builder"), near(name, self.builders))
            return match
        given = plan.get("arguments", {})
        for parameter_name, parameter in signature.parameters.items():
            misspelt = any(
                is_near(each, parameter_name) for each in given if each not in signature.parameters
            )
            if parameter.required and parameter_name not in given and not misspelt:
                self.problem(
                    "E106",
                    f"builder {name} needs the argument '{parameter_name}'",
                    path,
                    parameter.description,
                )
        arguments: dict[str, Expression] = {}
        for argument in given:
            argument_path = (*path, "arguments", argument)
            if argument not in signature.parameters:
                hint = near(argument, signature.parameters)
                self.problem(
                    "E106", f"builder {name} has no argument '{argument}'", argument_path, hint, key=True
                )
                continue
            wanted = parse_type(signature.parameters[argument].type, self.types.named)
            expression = self.expression(argument_path, environment, wanted)
            if expression is not None:
                arguments[argument] = expression
        match = replace(match, builder=name, arguments=arguments)
        if signature.results and "candidate" in plan:
            return replace(match, search=self.search(match, plan, signature, environment))
        if signature.results:
            self.problem("E106", f"builder {name} needs to know how candidates are weighed", path)
        for section in ("candidate", "remedies", "negotiation"):
            if section in plan and not signature.results:
                self.problem("E106", f"builder {name} does not search", (*path, section), key=True)
        return match

    # --- searches -----------------------------------------------------------------------------------------

    def candidates(
        self, path: Path, environment: Environment
    ) -> tuple[dict[str, CompiledVariable], Environment]:
        """The variables that read a candidate, and what may be read beside them."""
        candidate = environment.extended({"candidate": t.object_type("Candidate")})
        return self.variables(path, self.at(path), candidate)

    def search(
        self,
        match: CompiledMatch,
        plan: PlanDict,
        signature: BuilderSignature,
        outer: Environment,
    ) -> CompiledSearch:
        path: Path = (*match.path, "plan", "candidate")
        known = len(self.problems)
        variables, environment = self.candidates(path, outer)
        if "explanation" in self.at(match.path):  # whose faults are noted already
            del self.problems[known:]
        weighing = plan["candidate"]
        requirements = []
        for position, each in enumerate(weighing["require"]):
            own = (*path, "require", position)
            requirement = CompiledMatch(
                each["id"],
                own,
                self.expression((*own, "condition"), environment, t.BOOL),
                explanation=self.expression((*own, "explanation"), environment, t.STRING)
                if "explanation" in each
                else None,
                description=each.get("description", ""),
            )
            requirements.append(requirement)
        self.unique((*path, "require"), weighing["require"], "requirement")
        self.unique((*path, "prefer"), weighing["prefer"], "preference")
        return CompiledSearch(
            CompiledRule(f"{match.id}: candidate", variables, tuple(requirements)),
            {each["id"]: tuple(each.get("monotone", ())) for each in weighing["require"]},
            tuple(self.scores((*path, "prefer"), weighing["prefer"], environment)),
            self.results_of((*path, "result"), weighing["result"], signature, environment),
            tuple(self.remedies((*match.path, "plan", "remedies"), plan.get("remedies", ()), outer)),
            self.negotiation((*match.path, "plan", "negotiation"), outer) if "negotiation" in plan else None,
            weighing.get("lazy", False),
        )

    def unique(self, path: Path, listed: Sequence[RequirementDict | PreferenceDict], what: str) -> None:
        seen: set[str] = set()
        for position, each in enumerate(listed):
            if each["id"] in seen:
                self.problem("E108", f"duplicate {what} id '{each['id']}'", (*path, position, "id"))
            seen.add(each["id"])

    def scores(self, path: Path, listed: list[PreferenceDict], environment: Environment) -> Iterator[Score]:
        for position, each in enumerate(listed):
            own = (*path, position, "score")
            expression = self.expression(own, environment, None)
            if expression is not None and expression.checked.type not in (t.INT, t.DOUBLE):
                self.problem("E104", f"a score is a number, found '{expression.checked.type}'", own)
            elif expression is not None:
                label = (*path, position, "label")
                named = self.expression(label, environment, t.STRING) if "label" in each else None
                yield Score(each["id"], expression, each.get("description", ""), named)

    def results_of(
        self, path: Path, given: dict[str, str], signature: BuilderSignature, environment: Environment
    ) -> dict[str, Expression]:
        results: dict[str, Expression] = {}
        for name, parameter in signature.results.items():
            if parameter.required and name not in given:
                message = f"builder {signature.name} needs the result '{name}'"
                self.problem("E106", message, path, parameter.description)
        for name in given:
            if name not in signature.results:
                message = f"builder {signature.name} has no result '{name}'"
                self.problem("E106", message, (*path, name), near(name, signature.results), key=True)
                continue
            wanted = parse_type(signature.results[name].type, self.types.named)
            expression = self.expression((*path, name), environment, wanted)
            if expression is not None:
                results[name] = expression
        return results

    def remedies(
        self, path: Path, listed: Iterable[RemedyDict], environment: Environment
    ) -> Iterator[Remedy]:
        for position, each in enumerate(listed):
            element = _CHANGED.get(each["change"], t.INT)
            own = (*path, position, "values")
            values = self.expression(own, environment, t.list_of(element))
            asked = (
                self.expression((*path, position, "asked"), environment, element) if "asked" in each else None
            )
            if values is not None:
                texts = each.get("text", ""), each.get("asked_text", ""), each.get("description", "")
                yield Remedy(each["id"], each["change"], values, asked, *texts)

    def negotiation(self, path: Path, environment: Environment) -> Negotiation | None:
        candidates = self.expression((*path, "most_candidates"), environment, t.INT)
        combinations = self.expression((*path, "most_combinations"), environment, t.INT)
        return None if candidates is None or combinations is None else Negotiation(candidates, combinations)

    def outcome(self) -> Literal["plan", "value"]:
        """What the policy's matches lead to; they must all lead to the same."""
        if not self.results:
            return "value"
        first_kind, joined, first_path = self.results[0]
        line = self.document.place(first_path).line
        for kind, type_, path in self.results[1:]:
            if kind != first_kind:
                self.problem(
                    "E111",
                    f"one policy gives plans or outputs, not both: found {kind}",
                    path,
                    f"line {line} has a {first_kind}",
                    key=True,
                )
            elif not Substitution().assignable(type_, joined):
                self.problem(
                    "E111",
                    f"outputs of one policy have one type: found '{type_}', expected '{joined}'",
                    path,
                    f"as in line {line}",
                )
        return "plan" if first_kind == "plan" else "value"


def _searches(match: MatchDict) -> bool:
    return "candidate" in match.get("plan", {})


def _qualified(types: Mapping[str, Type]) -> dict[str, Type]:
    return {f"variables.{name}": type_ for name, type_ in types.items()}
