"""From a policy document to a compiled policy: every expression checked, every fault reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from engine.cel import ast
from engine.cel import types as t
from engine.cel.checker import CelCheckError, Environment, check_parsed, parse_checked
from engine.cel.types import Field, ObjectType, Substitution, Type, TypeSyntaxError, parse_type
from engine.documents import Document
from engine.errors import EngineError, Path, PolicyError, Problem, near
from engine.policy.catalog import Catalog, compile_catalog
from engine.policy.compiled import (
    CompiledMatch,
    CompiledPolicy,
    CompiledRule,
    CompiledSearch,
    CompiledVariable,
    Constant,
    Expression,
    Input,
    Remedy,
    Score,
)
from engine.policy.schema_types import schema_types
from engine.policy.signature import BuilderSignature
from engine.policy.store import PolicyStore, digest
from engine.records import replace

_NAMESPACES = ("variables", "constants", "catalogs")


def compile_policy(
    document: Document, store: PolicyStore, builders: Mapping[str, BuilderSignature]
) -> CompiledPolicy:
    """The policy in a document that keeps to its schema.

    Args:
        document: the policy's document.
        store: where its catalogs are found.
        builders: the builders that its plans may name.

    Raises:
        PolicyError: every fault, each with its place.
    """
    return _compile(document, store, builders, ())


def compile_faulty(
    document: Document, store: PolicyStore, builders: Mapping[str, BuilderSignature]
) -> tuple[CompiledPolicy | None, list[Problem]]:
    """As `compile_policy`, for who wants to look on: the policy without what is faulty, and the faults.

    There is no policy where its catalogs are faulty.
    """
    compiler = _Compiler(document, store, builders, ())
    try:
        policy = compiler.compile()
    except PolicyError as error:
        return None, list(error.problems)
    return policy, compiler.problems


def _compile(
    document: Document,
    store: PolicyStore,
    builders: Mapping[str, BuilderSignature],
    asking: tuple[tuple[str, str], ...],
) -> CompiledPolicy:
    compiler = _Compiler(document, store, builders, asking)
    policy = compiler.compile()
    if compiler.problems:
        raise PolicyError(sorted(set(compiler.problems), key=_order))
    return policy


def _order(problem: Problem) -> tuple[str, int, int]:
    place = problem.place
    return (place.file, place.line, place.column) if place else ("", 0, 0)


class _Compiler:
    def __init__(
        self,
        document: Document,
        store: PolicyStore,
        builders: Mapping[str, BuilderSignature],
        asking: tuple[tuple[str, str], ...],
    ) -> None:
        self.document = document
        self.value: dict[str, Any] = document.value
        self.store = store
        self.builders = builders
        # Names and versions of the policies that this one is compiled for, outermost first.
        self.asking = (*asking, (self.value["name"], self.value["version"]))
        self.types = schema_types()
        self.problems: list[Problem] = []
        self.match_ids: dict[str, Path] = {}
        self.results: list[tuple[str, Type, Path]] = []

    def problem(
        self, code: str, message: str, path: Path, hint: str | None = None, *, key: bool = False
    ) -> None:
        self.problems.append(Problem(message, self.document.place(path, key=key), hint, path, code=code))

    def compile(self) -> CompiledPolicy:
        catalogs = self.catalogs()
        if self.problems:  # without its catalogs' columns, the policy's expressions would seem wrong too
            raise PolicyError(self.problems)
        objects = self.objects(catalogs.values())
        inputs = self.inputs()
        constants = self.constants()
        names: dict[str, Type] = {name: input_.type for name, input_ in inputs.items()}
        names |= {f"constants.{name}": constant.type for name, constant in constants.items()}
        names |= {
            f"catalogs.{name}": t.map_of(t.STRING, t.object_type(catalog.entry_type.name))
            for name, catalog in catalogs.items()
        }
        rule = self.rule(("rule",), Environment(names, objects), self.value["name"])
        documents = [(c.name, c.version, c.document) for c in catalogs.values()]
        return CompiledPolicy(
            name=self.value["name"],
            version=self.value["version"],
            description=self.value.get("description", ""),
            digest=digest(self.document, documents),
            document=self.document,
            inputs=inputs,
            constants=constants,
            catalogs=catalogs,
            objects=objects,
            rule=rule,
            outcome=self.outcome(),
            output_type=next((type_ for kind, type_, _ in self.results if kind == "output"), None),
        )

    # --- what expressions may read ----------------------------------------------------------------------

    def catalogs(self) -> dict[str, Catalog]:
        catalogs: dict[str, Catalog] = {}
        for position, reference in enumerate(self.value.get("catalogs", ())):
            path: Path = ("catalogs", position)
            try:
                entry = self.store.find("catalog", reference)
                catalog = compile_catalog(self.store.read(entry), self.types)
            except EngineError as error:
                # A fault inside the catalog has a place of its own; a missing catalog is this line's fault.
                self.problems += [
                    problem.at(self.document.place(path)).coded("E112") for problem in error.problems
                ]
                continue
            if catalog.name in catalogs:
                self.problem("E108", f"catalog '{catalog.name}' is listed twice", path)
            catalogs[catalog.name] = catalog
        return catalogs

    def objects(self, catalogs: Iterable[Catalog]) -> dict[str, ObjectType]:
        objects = dict(self.types.objects)
        for catalog in catalogs:
            objects[catalog.entry_type.name] = catalog.entry_type
            if catalog.describes is None or catalog.describes not in objects:
                continue
            described = objects[catalog.describes]
            added: dict[str, Field] = {**catalog.fields, **catalog.columns}
            for name in added.keys() & (
                described.fields.keys() - self.types.objects[described.name].fields.keys()
            ):
                self.problem("E112", f"two catalogs give {described.name} a field '{name}'", ("catalogs",))
            objects[catalog.describes] = described.with_fields(added)
        return objects

    def inputs(self) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        for position, declared in enumerate(self.value.get("inputs", ())):
            path: Path = ("inputs", position)
            name = declared["name"]
            if name in inputs:
                self.problem("E108", f"input '{name}' is declared twice", (*path, "name"))
            if name in (*_NAMESPACES, *self.types.named, *t.PRIMITIVES):
                self.problem("E108", f"'{name}' means something else in expressions", (*path, "name"))
            type_ = self.input_type(declared["type"], (*path, "type"))
            optional = declared.get("optional", False)
            if optional and not self.may_be_left_out(type_):
                message = f"'{declared['type']}' has fields that can't be null, so it can't be left out"
                self.problem("E104", message, (*path, "optional"))
            description = declared.get("description", "")
            inputs[name] = Input(name, type_, declared["type"], description, optional)
        for position, declared in enumerate(self.value.get("inputs", ())):
            if "auto" in declared:
                name = declared["name"]
                chooser = self.chooser(inputs, name, declared["auto"], ("inputs", position, "auto"))
                inputs[name] = replace(inputs[name], auto=chooser)
        return inputs

    def may_be_left_out(self, type_: Type) -> bool:
        """Whether a value of that type may be one whose fields are all null."""
        object_type = self.types.objects.get(type_.name) if type_.kind is t.Kind.OBJECT else None
        return object_type is not None and all(
            field.type.kind is t.Kind.WRAPPER for field in object_type.fields.values()
        )

    def chooser(
        self, inputs: Mapping[str, Input], name: str, reference: str, path: Path
    ) -> CompiledPolicy | None:
        """The policy that chooses an input's value: it reads other inputs, and its outputs have the type."""
        try:
            entry = self.store.find("policy", reference)
            if (entry.name, entry.version) in self.asking:
                raise PolicyError(f"policy {entry.name}@{entry.version} would choose for itself")
            chooser = _compile(self.store.read(entry), self.store, self.builders, self.asking)
        except EngineError as error:
            self.problems += [
                problem.at(self.document.place(path)).coded("E113") for problem in error.problems
            ]
            return None
        known = {other.name: other.type for other in inputs.values() if other.name != name}
        lacking = [
            need.name
            for need in chooser.inputs.values()
            if known.get(need.name) != need.type and not (need.optional and need.name not in known)
        ]
        if lacking:
            self.problem(
                "E113", f"policy {reference} reads {lacking[0]}, which is no input of the same type", path
            )
        wanted = inputs[name].type
        if chooser.output_type is None or not Substitution().assignable(chooser.output_type, wanted):
            found = f"'{chooser.output_type}'" if chooser.output_type else "a plan"
            self.problem(
                "E113", f"auto: expected a policy that gives '{wanted}', {reference} gives {found}", path
            )
        return chooser

    def input_type(self, text: str, path: Path) -> Type:
        try:
            type_ = parse_type(text, self.types.named)
        except TypeSyntaxError as error:
            known = [*self.types.named, *t.PRIMITIVES, "list", "map", "dyn"]
            self.problem("E102", str(error), path, near(error.name, known) if error.name else None)
            return t.DYN
        if _has_parameter(type_):
            self.problem(
                "E104", f"'{text}' is not a type", path, "type parameters are for function signatures"
            )
            return t.DYN
        return type_

    def constants(self) -> dict[str, Constant]:
        constants: dict[str, Constant] = {}
        for name, entry in self.value.get("constants", {}).items():
            value = entry["value"]
            path: Path = ("constants", name, "value")
            type_ = _constant_type(value)
            if type_ is None:
                self.problem(
                    "E104", f"constant '{name}': an int beyond 64 bits, or elements of several types", path
                )
                type_ = t.DYN
            constants[name] = Constant(
                name, value, type_, entry.get("unit", ""), entry.get("description", "")
            )
        return constants

    # --- rules ------------------------------------------------------------------------------------------

    def rule(self, path: Path, outer: Environment, default_id: str) -> CompiledRule:
        rule = self._at(path)
        rule_id = rule.get("id", default_id)
        variables, environment = self.variables(path, rule, outer)
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
                    f"it stands already in line {first.line}",
                )
            self.match_ids[match_id] = (*match_path, "id")
            matches.append(self.match(match_path, match, match_id, environment))
        return CompiledRule(rule_id, variables, tuple(matches))

    def variables(
        self, path: Path, rule: dict[str, Any], outer: Environment
    ) -> tuple[dict[str, CompiledVariable], Environment]:
        resolver = _VariableResolver(self, path, rule.get("variables", []), outer)
        return resolver.resolve()

    def match(
        self, path: Path, match: dict[str, Any], match_id: str, environment: Environment
    ) -> CompiledMatch:
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

    def with_plan(
        self, match: CompiledMatch, plan: dict[str, Any], environment: Environment
    ) -> CompiledMatch:
        path = (*match.path, "plan")
        self.results.append(("plan", t.DYN, path))
        name = plan["builder"]
        signature = self.builders.get(name)
        if signature is None:
            self.problem("E105", f"unknown builder '{name}'", (*path, "builder"), near(name, self.builders))
            return match
        given: dict[str, Any] = plan.get("arguments", {})
        for parameter_name, parameter in signature.parameters.items():
            if parameter.required and parameter_name not in given:
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
        for section in ("candidate", "remedies"):
            if section in plan and not signature.results:
                self.problem("E106", f"builder {name} does not search", (*path, section), key=True)
        return match

    # --- searches -----------------------------------------------------------------------------------------

    def candidates(
        self, path: Path, environment: Environment
    ) -> tuple[dict[str, CompiledVariable], Environment]:
        """The variables that read a candidate, and what may be read beside them."""
        candidate = environment.extended({"candidate": t.object_type("Candidate")})
        return self.variables(path, self._at(path), candidate)

    def search(
        self,
        match: CompiledMatch,
        plan: dict[str, Any],
        signature: BuilderSignature,
        outer: Environment,
    ) -> CompiledSearch:
        path: Path = (*match.path, "plan", "candidate")
        known = len(self.problems)
        variables, environment = self.candidates(path, outer)
        if "explanation" in self._at(match.path):  # whose faults are noted already
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
        )

    def unique(self, path: Path, listed: list[dict[str, Any]], what: str) -> None:
        seen: set[str] = set()
        for position, each in enumerate(listed):
            if each["id"] in seen:
                self.problem("E108", f"duplicate {what} id '{each['id']}'", (*path, position, "id"))
            seen.add(each["id"])

    def scores(self, path: Path, listed: list[dict[str, Any]], environment: Environment) -> Iterator[Score]:
        for position, each in enumerate(listed):
            own = (*path, position, "score")
            expression = self.expression(own, environment, None)
            if expression is not None and expression.checked.type not in (t.INT, t.DOUBLE):
                self.problem("E104", f"a score is a number, found '{expression.checked.type}'", own)
            elif expression is not None:
                yield Score(each["id"], expression, each.get("description", ""))

    def results_of(
        self, path: Path, given: dict[str, Any], signature: BuilderSignature, environment: Environment
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
        self, path: Path, listed: list[dict[str, Any]], environment: Environment
    ) -> Iterator[Remedy]:
        for position, each in enumerate(listed):
            element = t.STRING if each["change"] == "quantization" else t.INT
            own = (*path, position, "values")
            expression = self.expression(own, environment, t.list_of(element))
            if expression is not None:
                yield Remedy(each["id"], each["change"], expression, each.get("description", ""))

    def outcome(self) -> Literal["plan", "value"]:
        """What the policy's matches lead to; they must all lead to the same."""
        if not self.results:
            return "value"
        first_kind, first_type, first_path = self.results[0]
        line = self.document.place(first_path).line
        joined = first_type
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

    # --- expressions ------------------------------------------------------------------------------------

    def expression(self, path: Path, environment: Environment, wanted: Type | None) -> Expression | None:
        """The checked expression at `path`; None, and its faults noted, where it has some."""
        text: str = self._at(path)
        try:
            root = parse_checked(text)
        except CelCheckError as error:
            self.faults(error, path)
            return None
        return self.checked(text, root, path, environment, wanted)

    def checked(
        self, text: str, root: ast.Node, path: Path, environment: Environment, wanted: Type | None
    ) -> Expression | None:
        try:
            checked = check_parsed(text, root, environment)
        except CelCheckError as error:
            self.faults(error, path)
            return None
        if wanted is not None and not Substitution().assignable(checked.type, wanted):
            self.problems.append(
                Problem(
                    f"{path[-1]}: expected '{wanted}', the expression gives '{checked.type}'",
                    self.document.place_in_scalar(path, root.position),
                    path=path,
                    code="E104",
                )
            )
            return None
        return Expression(checked, self.document, path)

    def faults(self, error: CelCheckError, path: Path) -> None:
        for fault in error.faults:
            place = self.document.place_in_scalar(path, fault.offset)
            self.problems.append(Problem(fault.message, place, fault.hint, path, code=fault.code))

    def _at(self, path: Path) -> Any:
        value: Any = self.value
        for step in path:
            value = value[step]
        return value


class _VariableResolver:
    """Types the variables of one rule in whatever order their references ask for."""

    def __init__(
        self, compiler: _Compiler, path: Path, declared: list[dict[str, Any]], outer: Environment
    ) -> None:
        self.compiler = compiler
        self.path = path
        self.outer = outer
        self.positions: dict[str, int] = {}
        self.roots: dict[str, ast.Node | None] = {}
        self.types: dict[str, Type] = {}
        self.compiled: dict[str, CompiledVariable] = {}
        self.open: list[str] = []
        self.declared = declared
        for position, variable in enumerate(declared):
            name = variable["name"]
            if name in self.positions:
                compiler.problem(
                    "E108", f"variable '{name}' is declared twice", (*path, "variables", position, "name")
                )
                continue
            self.positions[name] = position
            self.roots[name] = self.parse(position)

    def parse(self, position: int) -> ast.Node | None:
        path = self.expression_path(position)
        try:
            return parse_checked(self.declared[position]["expression"])
        except CelCheckError as error:
            self.compiler.faults(error, path)
            return None

    def expression_path(self, position: int) -> Path:
        return (*self.path, "variables", position, "expression")

    def resolve(self) -> tuple[dict[str, CompiledVariable], Environment]:
        for name in self.positions:
            self.visit(name)
        environment = self.outer.extended(_qualified(self.types))
        ordered = {name: self.compiled[name] for name in self.positions if name in self.compiled}
        return ordered, environment

    def visit(self, name: str) -> None:
        if name in self.types:
            return
        if name in self.open:
            self.cycle(name)
            return
        root = self.roots[name]
        if root is None:
            self.types[name] = t.DYN
            return
        self.open.append(name)
        shadows = f"variables.{name}" in self.outer.variables
        references = [reference for reference in _references(root) if reference in self.positions]
        for reference in references:
            if not (shadows and reference == name):
                self.visit(reference)
        self.open.pop()
        if name in self.types:  # a cycle was found through it
            return
        self.check(name, root, shadows and name in references)

    def check(self, name: str, root: ast.Node, shadows_itself: bool) -> None:
        # What it reads is typed by now; the others are in sight only to be suggested for a misspelt name.
        own = {other: self.types.get(other, t.DYN) for other in self.positions if other != name}
        environment = self.outer.extended(_qualified(own))
        position = self.positions[name]
        declared = self.declared[position]
        expression = self.compiler.checked(
            declared["expression"], root, self.expression_path(position), environment, None
        )
        self.types[name] = t.DYN if expression is None else expression.checked.type
        if expression is not None:
            self.compiled[name] = CompiledVariable(
                name, expression, declared.get("description", ""), shadows_itself
            )

    def cycle(self, name: str) -> None:
        chain = [*self.open[self.open.index(name) :], name]
        self.compiler.problem(
            "E107",
            "variables depend on each other: " + " → ".join(chain),
            (*self.path, "variables", self.positions[name], "name"),
            "one of them must be computed without the others",
        )
        self.types.update(dict.fromkeys(chain, t.DYN))


def _searches(match: dict[str, Any]) -> bool:
    return "candidate" in match.get("plan", {})


def _qualified(types: Mapping[str, Type]) -> dict[str, Type]:
    return {f"variables.{name}": type_ for name, type_ in types.items()}


def _references(root: ast.Node) -> list[str]:
    """The names X that stand as `variables.X` in an expression, each once."""
    found = (
        node.field
        for node in root.walk()
        if isinstance(node, ast.Select)
        and isinstance(node.operand, ast.Identifier)
        and node.operand.name == "variables"
    )
    return list(dict.fromkeys(found))


def _constant_type(value: Any) -> Type | None:
    if isinstance(value, list):
        types = {_constant_type(element) for element in value}
        element = types.pop() if len(types) == 1 else None
        return t.list_of(element) if element is not None else (t.list_of(t.DYN) if not value else None)
    if isinstance(value, bool):
        return t.BOOL
    if isinstance(value, int):
        return t.INT if -(2**63) <= value < 2**63 else None
    return t.DOUBLE if isinstance(value, float) else t.STRING


def _has_parameter(type_: Type) -> bool:
    return type_.kind is t.Kind.PARAMETER or any(map(_has_parameter, type_.parameters))
