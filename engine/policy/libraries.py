"""Link libraries into a policy: their variables and constants under an alias, beside the policy's own.

Nothing of a library is copied as text. Each of its expressions is checked in an environment in which its
own names (`variables.x`, `constants.y`, inputs) stand for names of the policy: `variables.speed.x`,
`constants.speed.y`, an input of the policy, or an expression under `with`. The result is a rule with more
variables, which runtimes and checks treat as any others; their places are in the library's file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from engine.base.errors import EngineError, Path, PolicyError, Problem, is_near, near
from engine.base.records import field, record
from engine.catalogs.store import PolicyStore
from engine.cel.celtypes import Type
from engine.cel.checker import Environment
from engine.cel.coercion import CoercionError, coerce
from engine.cel.parser import RESERVED
from engine.documents import Document
from engine.documents.composed import Node, close_document, open_document
from engine.policy.compiled import CompiledPolicy, CompiledVariable, Constant, Expression
from engine.policy.constants import fit_constant
from engine.policy.declarations import DeclarationCompiler
from engine.policy.json_types import expand_schemas
from engine.policy.overlays import SETTINGS
from engine.policy.variables import VariableResolver

if TYPE_CHECKING:
    from engine.policy.dicts import LibraryDict
    from engine.policy.expressions import ExpressionCompiler

CODE = "E120"
MOST_LEVELS = 20
MOST_LIBRARIES = 100
"""Libraries that a policy reads, those of its libraries among them; one that is read twice counts twice."""
"""Libraries that are listed by each other."""


@record(eq=False)
class Loaded:
    """A library that a document lists, read but not checked."""

    alias: str
    reference: str
    document: Document = field(repr=False)
    owner: Document = field(repr=False)
    path: Path
    """Where its owner lists it."""
    bindings: Mapping[str, Path]
    """The expressions of its inputs, by name."""
    children: tuple[Loaded, ...]

    @property
    def name(self) -> str:
        """Its name and version."""
        return f"{self.document.value['name']}@{self.document.value['version']}"

    def walk(self) -> Iterator[Loaded]:
        """Yield it and all libraries that it lists."""
        yield self
        for child in self.children:
            yield from child.walk()


@record
class Binding:
    """An input of a library that an expression under `with` gives."""

    name: str
    """The variable that holds it: `speed.context`."""
    type: Type
    path: Path
    """Where the expression is, in the document that lists the library."""
    unit: str = ""
    """The unit that the library declares for the input."""


@record
class Link:
    """What the libraries of one scope add to it."""

    variables: dict[str, CompiledVariable] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    """The types of what expressions of the scope may read: `speed.tpot_ms`."""
    aliases: dict[str, str] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    records: dict[str, frozenset[str]] = field(default_factory=dict)
    """The columns of lists that libraries compute."""

    def extend(self, environment: Environment) -> Environment:
        """Return a scope's environment with what its libraries add."""
        if not self.types:
            return environment
        variables = {**environment.variables, **self.types}
        aliases = {**environment.aliases, **self.aliases}
        return Environment(variables, environment.objects, aliases, {**environment.records, **self.records})


def load_libraries(
    owner: Document,
    listed: Iterable[LibraryDict],
    path: Path,
    store: PolicyStore,
    problems: list[Problem],
    above: tuple[str, ...] = (),
    read: list[str] | None = None,
) -> tuple[Loaded, ...]:
    """Read the libraries that a document lists, and those that they list.

    Args:
        owner: the document.
        listed: what it lists.
        path: where it lists them.
        store: where libraries are found.
        problems: gets what is wrong.
        above: names and versions of the libraries that this one is read for.
        read: names of all libraries that have been read.
    """
    loaded: list[Loaded] = []
    read = [] if read is None else read
    for position, entry in enumerate(listed):
        own: Path = (*path, position)
        if len(read) == MOST_LIBRARIES:
            message = f"more than {MOST_LIBRARIES} libraries"
            problems.append(Problem(message, owner.place(own), None, own, code=CODE))
        read.append("")
        if len(read) > MOST_LIBRARIES:
            break
        reference: str = entry if isinstance(entry, str) else entry["name"]
        try:
            found = store.find("library", reference)
            name = f"{found.name}@{found.version}"
            if len(above) >= MOST_LEVELS:
                raise PolicyError(f"libraries use each other over more than {MOST_LEVELS} levels")
            if name in above:
                raise PolicyError(f"libraries use each other: {' → '.join((*above, name))}")
            document = expand_schemas(store.read(found), store)
        except EngineError as error:
            place = owner.place(own if isinstance(entry, str) else (*own, "name"))
            problems += [each.at(place).coded(CODE) for each in error.problems]
            continue
        given: Mapping[str, str] = {} if isinstance(entry, str) else entry.get("with", {})
        alias = found.name.replace("-", "_") if isinstance(entry, str) or "as" not in entry else entry["as"]
        if any(other.alias == alias for other in loaded):
            hint = "give one of them another alias: {name: …, as: …}"
            problems.append(
                Problem(f"two libraries are called '{alias}'", owner.place(own), hint, own, code="E108")
            )
            continue
        inner = document.value.get("libraries", ())
        children = load_libraries(document, inner, ("libraries",), store, problems, (*above, name), read)
        bindings: dict[str, Path] = {each: (*own, "with", each) for each in given}
        loaded.append(Loaded(alias, reference, document, owner, own, bindings, children))
    return tuple(loaded)


class Linker:
    """Checks libraries in the scopes that list them."""

    def __init__(self, compiler: ExpressionCompiler, catalogs: Mapping[str, Type]) -> None:
        """Prepare for one policy.

        Args:
            compiler: the policy's; it collects problems and constants.
            catalogs: the types of the policy's catalogs by name.
        """
        self.compiler = compiler
        self.catalogs = catalogs
        self.constants: dict[str, Constant] = {}
        self.overridden: dict[str, Path] = {
            name: ("library_constants", name) for name in compiler.value.get("library_constants", {})
        }

    def link(
        self, loaded: Iterable[Loaded], outer: Environment, owner: ExpressionCompiler, prefix: str
    ) -> Link:
        """Return what libraries add to a scope.

        Args:
            loaded: the libraries that the scope lists.
            outer: what else the scope may read.
            owner: the compiler of the document that lists them.
            prefix: what the names of the scope's own variables begin with.
        """
        link = Link()
        for library in loaded:
            self.check_alias(library, outer, owner)
            self.add(library, outer, owner, f"{prefix}{library.alias}.", link)
        return link

    def check_alias(self, library: Loaded, outer: Environment, owner: ExpressionCompiler) -> None:
        taken = {*outer.variables, *outer.namespaces(), *outer.objects, "variables", "constants", "catalogs"}
        if library.alias in taken or library.alias in RESERVED:
            message = f"'{library.alias}' means something else in expressions"
            owner.problem("E108", message, library.path, "give the library another alias: {name: …, as: …}")

    def add(
        self, library: Loaded, outer: Environment, owner: ExpressionCompiler, prefix: str, link: Link
    ) -> None:
        part = _LibraryCompiler(library.document, (), owner.store, owner.builders, ())
        part.problems = self.compiler.problems
        part.types = self.compiler.types
        part.sites = self.compiler.sites
        part.type_prefix = "".join(each[:1].upper() + each[1:] for each in prefix.split("."))
        names: dict[str, Type] = {}
        aliases: dict[str, str] = {}
        self.inputs(library, outer, owner, part, prefix, names, aliases, link)
        constants = part.constants()
        outer.objects.update(part.row_types)  # type: ignore[attr-defined]  # all scopes share one mapping
        for name, constant in constants.items():
            full = f"{prefix}{name}"
            names[f"constants.{name}"], aliases[f"constants.{name}"] = constant.type, f"constants.{full}"
            path: Path = ("constants", name)
            self.constants[full] = self.overridden_constant(
                Constant(
                    full,
                    constant.value,
                    constant.type,
                    constant.unit,
                    constant.description,
                    library.document,
                    path,
                )
            )
        for reference in library.document.value.get("catalogs", ()):
            catalog = reference.partition("@")[0]
            if catalog in self.catalogs:
                names[f"catalogs.{catalog}"] = self.catalogs[catalog]
        environment = Environment(names, outer.objects, aliases)
        inner = self.link(library.children, environment, part, prefix)
        environment = inner.extend(environment)
        resolver = VariableResolver(part, (), library.document.value["variables"], environment, prefix)
        variables, environment = resolver.resolve()
        link.variables.update(inner.variables)
        link.variables.update(bound_variables(inner.bindings, environment, part))
        link.variables.update(variables)
        for name, columns in resolver.records.items():
            if name.startswith("variables."):
                link.records[f"{library.alias}.{name.removeprefix('variables.')}"] = columns
        for name, type_ in resolver.types.items():
            link.types[f"{library.alias}.{name}"] = type_
            link.aliases[f"{library.alias}.{name}"] = f"variables.{prefix}{name}"

    def inputs(
        self,
        library: Loaded,
        outer: Environment,
        owner: ExpressionCompiler,
        part: _LibraryCompiler,
        prefix: str,
        names: dict[str, Type],
        aliases: dict[str, str],
        link: Link,
    ) -> None:
        """Find what each input of a library stands for."""
        declared = part.inputs(outer.objects)
        own = {variable["name"] for variable in library.document.value["variables"]}
        for name, input_ in declared.items():
            if name in own:
                part.problem(
                    "E108", f"'{name}' is an input and a variable", ("inputs",), "rename one of them"
                )
            names[name] = input_.type
            if name in library.bindings:
                aliases[name] = f"variables.{prefix}{name}"
                link.bindings.append(
                    Binding(f"{prefix}{name}", input_.type, library.bindings[name], input_.unit)
                )
            elif outer.variables.get(name) == input_.type:
                aliases[name] = outer.aliases.get(name, name)
            else:
                found = outer.variables.get(name)
                wanted = f"input '{name}' of type '{input_.type}'"
                message = f"library {library.name} needs the {wanted}"
                if found is not None:
                    message += f", found '{found}'"
                hint = (
                    f"declare it as an input, or set it: {{name: {library.reference}, with: {{{name}: …}}}}"
                )
                unknown = [each for each in library.bindings if each not in declared]
                if not any(is_near(each, name) for each in unknown):
                    owner.problem(CODE, message, library.path, hint)
        for name, path in library.bindings.items():
            if name not in declared:
                message = f"library {library.name} has no input '{name}'"
                owner.problem(CODE, message, path, near(name, declared), key=True)

    def overridden_constant(self, constant: Constant) -> Constant:
        """Return a constant of a library with the value that an overlay gives it."""
        path = self.overridden.get(constant.name)
        if path is None:
            return constant
        document = self.compiler.document
        value = self.compiler.value["library_constants"][constant.name]
        assert constant.document is not None
        declared = constant.document.at(constant.path)
        try:
            if constant.is_table:
                raise CoercionError(f"constant '{constant.name}' is a table: its rows stay as they are", ())
            fitted = fit_constant(constant.name, declared, value)
            if "type" in declared:
                fitted = coerce(fitted, constant.type, {})
        except CoercionError as error:
            problem = Problem(error.message, hint=error.hint, code="E121")
            self.override_problem(problem, (*path, *error.path), key=error.at_key or not error.path)
            return constant
        return Constant(
            constant.name, fitted, constant.type, constant.unit, constant.description, *document.origin(path)
        )

    def check_overrides(self) -> None:
        """Report constants of libraries that an overlay changes and that are not there."""
        for name, path in self.overridden.items():
            if name not in self.constants:
                message = f"no library has a constant '{name}'"
                problem = Problem(message, hint=near(name, self.constants), code="E121")
                self.override_problem(problem, path)

    def override_problem(self, problem: Problem, path: Path, *, key: bool = True) -> None:
        place = self.compiler.document.place(path, key=key)
        self.compiler.problems.append(problem if place.file == SETTINGS else problem.at(place))


def bound_variables(
    bindings: Iterable[Binding], environment: Environment, owner: ExpressionCompiler
) -> dict[str, CompiledVariable]:
    """Return the variables that hold the inputs that `with` gives to libraries."""
    found: dict[str, CompiledVariable] = {}
    for binding in bindings:
        expression = owner.expression(binding.path, environment, binding.type)
        if expression is not None:
            found[binding.name] = CompiledVariable(binding.name, expression, unit=binding.unit)
    return found


class _LibraryCompiler(DeclarationCompiler):
    """Checks the expressions of one library."""

    def compile_chooser(self, document: Document) -> CompiledPolicy:
        """A library's inputs are chosen by nobody: its schema has no `auto`."""
        raise NotImplementedError


def library_policy(library: Document) -> Document:
    """Return a library as a policy of its own, for suites and checks: its output holds all variables."""
    root = open_document(library)
    names = [variable["name"].value for variable in root["variables"]]
    output = "{" + ", ".join(f'"{name}": dyn(variables.{name})' for name in names) + "}"
    match = root.derived({"id": library.value["name"], "output": output})
    head = ("apiVersion", "name", "version", "description")
    kept = (*head, "types", "inputs", "catalogs", "libraries", "constants")
    value = {key: root[key] for key in kept if key in root}
    value["kind"] = root["kind"].derived("Policy")
    value["rule"] = root.derived(
        {"id": library.value["name"], "variables": root["variables"], "match": [match]}
    )
    return close_document(Node(value, root.document, root.path), library.name, (library,))


def reachable(expressions: Iterable[Expression], variables: Mapping[str, CompiledVariable]) -> set[str]:
    """Return the global names that expressions read, through variables of libraries."""
    names: set[str] = set()
    waiting = list(expressions)
    while waiting:
        for name in waiting.pop().checked.free_names():
            if name not in names:
                names.add(name)
                variable = (
                    variables.get(name.removeprefix("variables.")) if name.startswith("variables.") else None
                )
                if variable is not None:
                    waiting.append(variable.expression)
    return names
