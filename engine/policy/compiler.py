"""Compile a policy document: check every expression and report all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from engine.base.errors import EngineError, Path, PolicyError, Problem
from engine.base.records import replace
from engine.catalogs.catalog import Catalog, compile_catalog
from engine.catalogs.schema_types import schema_types
from engine.catalogs.store import PolicyStore, digest
from engine.cel import celtypes as t
from engine.cel.celtypes import ObjectType, Type
from engine.cel.checker import Environment
from engine.cel.declarations import packages_of
from engine.documents import Document
from engine.policy.compiled import (
    CompiledPolicy,
    CompiledRule,
    CompiledVariable,
    Constant,
    rule_uses,
    rules,
)
from engine.policy.composition import compose
from engine.policy.declarations import DeclarationCompiler
from engine.policy.declared_types import declare_types
from engine.policy.libraries import CODE as LIBRARY_CODE
from engine.policy.libraries import Linker, Loaded, load_libraries, reachable
from engine.policy.overlays import apply_constants
from engine.policy.rules import RuleCompiler
from engine.policy.signature import BuilderSignature
from engine.policy.sites import Site

if TYPE_CHECKING:
    from engine.policy.dicts import LibraryDict, PolicyDict, RuleDict

_NAMESPACES = ("variables", "constants", "catalogs")


def compile_policy(
    document: Document,
    store: PolicyStore,
    builders: Mapping[str, BuilderSignature],
    settings: Document | None = None,
) -> CompiledPolicy:
    """Compile the policy in a document that matches its schema.

    Args:
        document: the policy's document, or an overlay's.
        store: where its catalogs and bases are found.
        builders: the builders that its plans may name.
        settings: other values of constants, for one run (`settings_document`).

    Raises:
        PolicyError: every fault, each with its place.
    """
    return _compile(document, store, builders, (), settings)


def compile_faulty(
    document: Document,
    store: PolicyStore,
    builders: Mapping[str, BuilderSignature],
    sites: list[Site] | None = None,
) -> tuple[CompiledPolicy | None, list[Problem]]:
    """Like `compile_policy`, but keep going after errors (for linters): return the rest and the problems.

    There is no policy where its catalogs are faulty. `sites` gets the expressions that are found.
    """
    try:
        compiler = _Compiler(*compose(document, store), store, builders, ())
        compiler.sites = sites
        policy = compiler.compile()
    except PolicyError as error:
        return None, list(error.problems)
    return policy, compiler.problems


def _compile(
    document: Document,
    store: PolicyStore,
    builders: Mapping[str, BuilderSignature],
    asking: tuple[tuple[str, str], ...],
    settings: Document | None = None,
) -> CompiledPolicy:
    composed, reads = compose(document, store)
    if settings is not None:
        composed = apply_constants(composed, settings)
    compiler = _Compiler(composed, reads, store, builders, asking)
    policy = compiler.compile()
    if compiler.problems:
        raise PolicyError(sorted(set(compiler.problems), key=_order))
    return policy


def _order(problem: Problem) -> tuple[str, int, int]:
    place = problem.place
    return (place.file, place.line, place.column) if place else ("", 0, 0)


class _Compiler(DeclarationCompiler, RuleCompiler):
    """Compiles one policy."""

    def compile_chooser(self, document: Document) -> CompiledPolicy:
        """Compile a policy that chooses an input of this one."""
        return _compile(document, self.store, self.builders, self.asking)

    def compile(self) -> CompiledPolicy:
        self.bounded()
        self.named()
        self.load_libraries()
        self.types = declare_types(
            (self.document, *self.library_documents().values()), self.types, self.problems
        )
        catalogs = self.catalogs()
        self.library_catalogs(catalogs)
        self.distinct_entry_types(catalogs.values())
        if self.problems:  # without its catalogs' columns, the policy's expressions would seem wrong too
            raise PolicyError(self.problems)
        objects = self.objects(catalogs.values())
        inputs = self.inputs(objects)
        constants = self.constants()
        self.distinct_row_types(objects)
        names: dict[str, Type] = {name: input_.type for name, input_ in inputs.items()}
        names |= {f"constants.{name}": constant.type for name, constant in constants.items()}
        names |= {
            f"catalogs.{name}": t.map_of(t.STRING, t.object_type(catalog.entry_type.name))
            for name, catalog in catalogs.items()
        }
        tables = {name: names[f"catalogs.{name}"] for name in catalogs}
        self.linker = Linker(self, tables)
        rule = self.rule(("rule",), Environment(names, objects), self.value["name"])
        self.linker.check_overrides()
        constants, rule = self.pruned({**constants, **self.linker.constants}, rule)
        libraries = self.library_documents()
        documents = [("catalog", c.name, c.version, c.document) for c in catalogs.values()]
        documents += [
            ("library", each.value["name"], each.value["version"], each) for each in libraries.values()
        ]
        return CompiledPolicy(
            name=self.value["name"],
            version=self.value["version"],
            description=self.value.get("description", ""),
            digest=digest(self.document, documents, _packages(rule)),
            document=self.document,
            reads=(*self.reads, *self.library_reads()),
            libraries=libraries,
            inputs=inputs,
            constants=constants,
            catalogs=catalogs,
            objects=objects,
            rule=rule,
            outcome=self.outcome(),
            output_type=next((type_ for kind, type_, _ in self.results if kind == "output"), None),
        )

    def distinct_row_types(self, objects: dict[str, ObjectType]) -> None:
        """Add the types of tables to the others; a type of one name must not be there."""
        for name, type_ in self.row_types.items():
            if name in objects:
                hint = "give the table another name"
                self.problem(
                    "E108", f"rows of a table would have the type {name}, which exists", ("constants",), hint
                )
            objects[name] = type_

    # --- libraries ----------------------------------------------------------------------------------------

    def load_libraries(self) -> None:
        """Read the libraries that the policy lists, for its rule and for candidates."""
        found: dict[Path, tuple[Loaded, ...]] = {}
        for owner, path, listed in _library_lists(self.value):
            found[owner] = load_libraries(self.document, listed, path, self.store, self.problems)
        self.libraries = found

    def all_libraries(self) -> Iterator[Loaded]:
        for loaded in self.libraries.values():
            for library in loaded:
                yield from library.walk()

    def library_documents(self) -> dict[str, Document]:
        return {library.name: library.document for library in self.all_libraries()}

    def library_reads(self) -> Iterator[tuple[Literal["library", "catalog"], str]]:
        for library in self.all_libraries():
            yield "library", library.reference
            for reference in library.document.value.get("catalogs", ()):
                yield "catalog", reference

    def library_catalogs(self, catalogs: dict[str, Catalog]) -> None:
        """Add the catalogs that libraries read; a policy and its libraries read the same version of each."""
        for library in self.all_libraries():
            for position, reference in enumerate(library.document.value.get("catalogs", ())):
                place = library.document.place(("catalogs", position))
                try:
                    entry = self.store.find("catalog", reference)
                    known = catalogs.get(entry.name)
                    if known is None:
                        catalogs[entry.name] = compile_catalog(self.store.catalog(entry), schema_types())
                    elif known.version.partition("+")[0] != entry.version:
                        message = f"library {library.name} reads {entry.name}@{entry.version}"
                        message += f", the policy reads {known.name}@{known.version}"
                        hint = "name the same version in both, or the major version only"
                        self.problem(LIBRARY_CODE, message, library.path, hint)
                except EngineError as error:
                    self.problems += [each.at(place).coded("E112") for each in error.problems]

    def pruned(
        self, constants: dict[str, Constant], rule: CompiledRule
    ) -> tuple[dict[str, Constant], CompiledRule]:
        """Drop what is unused of libraries: nothing of it would be evaluated, and nothing tests it."""
        variables = {
            name: variable
            for each in _all_rules(rule)
            for name, variable in each.variables.items()
            if self.is_of_library(name, variable)
        }
        if not variables:
            return constants, rule
        self.binding_cycles(variables, rule)
        linked = {id(variable.expression) for variable in variables.values()}
        used = (use.expression for use in rule_uses(rule) if id(use.expression) not in linked)
        used_names = reachable(used, variables)
        kept = {
            name: constant
            for name, constant in constants.items()
            if constant.document is None or f"constants.{name}" in used_names
        }
        unused = {name for name in variables if f"variables.{name}" not in used_names}
        return kept, _without(rule, unused)

    def is_of_library(self, name: str, variable: CompiledVariable) -> bool:
        """Return True for a variable of a library or an input of one, False for the policy's own columns."""
        expression = variable.expression
        return "." in name and (expression.document is not self.document or "with" in expression.path)

    def binding_cycles(self, variables: Mapping[str, CompiledVariable], rule: CompiledRule) -> None:
        """Report inputs of libraries that are computed from what the library computes of them."""
        known = {name: variable for each in _all_rules(rule) for name, variable in each.variables.items()}
        for name, variable in variables.items():
            if variable.expression.path[-2:-1] != ("with",):
                continue
            before: dict[str, str] = {}
            waiting = [name]
            while waiting:
                current = waiting.pop()
                for read in known[current].expression.checked.free_names():
                    short = read.removeprefix("variables.")
                    if short == read or short not in known or short in before:
                        continue
                    before[short] = current
                    waiting.append(short)
            if name in before:
                chain = [name]
                while chain[-1] != name or len(chain) == 1:
                    chain.append(before[chain[-1]])
                message = "variables depend on each other: " + " → ".join(reversed(chain))
                hint = "one of them must be computed without the others"
                place = variable.expression.place()
                self.problems.append(Problem(message, place, hint, variable.expression.path, code="E107"))
                return


def _library_lists(value: PolicyDict) -> Iterator[tuple[Path, Path, list[LibraryDict]]]:
    """Yield where libraries are listed: the path of the scope, that of the list, and the list."""
    if "libraries" in value:
        yield ("rule",), ("libraries",), value["libraries"]
    waiting: list[tuple[Path, RuleDict]] = [(("rule",), value["rule"])]
    while waiting:
        path, rule = waiting.pop()
        for position, match in enumerate(rule["match"]):
            own: Path = (*path, "match", position)
            candidate = match["plan"].get("candidate") if "plan" in match else None
            if candidate is not None and "libraries" in candidate:
                scope: Path = (*own, "plan", "candidate")
                yield scope, (*scope, "libraries"), candidate["libraries"]
            if "rule" in match:
                waiting.append(((*own, "rule"), match["rule"]))


def _packages(rule: CompiledRule) -> list[tuple[str, str, str]]:
    """Return module, version and text of the packages whose functions a policy calls."""
    calls = (call for use in rule_uses(rule) for call in use.expression.checked.calls.values())
    return [(each.module, each.version, each.text) for each in packages_of({call.function for call in calls})]


def _all_rules(rule: CompiledRule) -> Iterator[CompiledRule]:
    """Yield a rule, those that are nested in it, and those of candidates."""
    for each in rules(rule):
        yield each
        for match in each.matches:
            if match.search is not None:
                yield match.search.rule


def _without(rule: CompiledRule, unused: set[str]) -> CompiledRule:
    """Return a rule without variables of libraries that nothing reads."""
    variables = {name: variable for name, variable in rule.variables.items() if name not in unused}
    matches = []
    for match in rule.matches:
        if match.search is not None:
            search = replace(match.search, rule=_without(match.search.rule, unused))
            match = replace(match, search=search)
        if match.rule is not None:
            match = replace(match, rule=_without(match.rule, unused))
        matches.append(match)
    return replace(rule, variables=variables, matches=tuple(matches))
