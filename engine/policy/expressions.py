"""Check the expressions of a policy document and collect every problem with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import Path, Problem
from engine.catalogs.schema_types import schema_types
from engine.catalogs.store import PolicyStore
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import ObjectType, Substitution, Type, TypeSyntaxError, parse_type
from engine.cel.checker import CelCheckError, Environment
from engine.cel.hints import for_type
from engine.cel.limits import MOST_FAULTS
from engine.cel.mismatches import for_result
from engine.cel.recall import check_recalled, parse_recalled
from engine.documents import Document
from engine.policy.compiled import Expression, Reads
from engine.policy.signature import BuilderSignature
from engine.policy.sites import Site

if TYPE_CHECKING:
    from engine.policy.dicts import PolicyDict, VariableDict


class ExpressionCompiler:
    """Checks the expressions of one document and collects its problems."""

    def __init__(
        self,
        document: Document,
        reads: Reads,
        store: PolicyStore,
        builders: Mapping[str, BuilderSignature],
        asking: tuple[tuple[str, str], ...],
    ) -> None:
        self.document = document
        self.reads = reads
        self.value: PolicyDict = document.value
        self.store = store
        self.builders = builders
        # Names and versions of the policies that this one is compiled for, outermost first.
        self.asking = (*asking, (self.value["name"], self.value["version"]))
        self.types = schema_types()
        self.problems: list[Problem] = []
        self.row_types: dict[str, ObjectType] = {}
        """The types of the rows of tables."""
        self.match_ids: dict[str, Path] = {}
        self.results: list[tuple[str, Type, Path]] = []
        self.sites: list[Site] | None = None
        """If an editor asks: the expressions that are found."""

    def problem(
        self, code: str, message: str, path: Path, hint: str | None = None, *, key: bool = False
    ) -> None:
        self.problems.append(Problem(message, self.document.place(path, key=key), hint, path, code=code))

    def reserved(self, name: str, path: Path, *, key: bool = False) -> None:
        """Report a reserved word of CEL, which no expression could read."""
        hint = "give it another name: no expression could read it"
        self.problem("E108", f"'{name}' is a reserved word of CEL", path, hint, key=key)

    def declared_type(self, declared: VariableDict, path: Path) -> Type | None:
        """Return the type that a variable states; None if it states none."""
        if "type" not in declared:
            return None
        try:
            return parse_type(declared["type"], self.types.named)
        except TypeSyntaxError as error:
            known = [*self.types.named, *t.PRIMITIVES, "list", "map", "dyn"]
            self.problem("E102", str(error), path, for_type(declared["type"], error.name, known))
            return None

    def expression(self, path: Path, environment: Environment, wanted: Type | None) -> Expression | None:
        """The checked expression at `path`; None, and its faults noted, where it has some."""
        text: str = self.at(path)
        try:
            root = parse_recalled(text)
        except CelCheckError as error:
            self.note(path, environment)
            self.faults(error, path)
            return None
        return self.checked(text, root, path, environment, wanted)

    def checked(
        self, text: str, root: ast.Node, path: Path, environment: Environment, wanted: Type | None
    ) -> Expression | None:
        self.note(path, environment)
        if len(self.problems) >= MOST_FAULTS:
            return None
        try:
            checked = check_recalled(text, root, environment)
        except CelCheckError as error:
            self.faults(error, path)
            return None
        if wanted is not None and not Substitution().assignable(checked.type, wanted):
            self.problems.append(
                Problem(
                    f"{path[-1]}: expected '{wanted}', the expression gives '{checked.type}'",
                    self.document.place_in_scalar(path, root.position),
                    for_result(text, checked.type, wanted),
                    path,
                    code="E104",
                )
            )
            return None
        return Expression(checked, self.document, path)

    def note(self, path: Path, environment: Environment) -> None:
        """Note where an expression is, if an editor asks."""
        if self.sites is not None:
            self.sites.append(Site(self.document, path, environment))

    def faults(self, error: CelCheckError, path: Path) -> None:
        for fault in error.faults:
            place = self.document.place_in_scalar(path, fault.offset)
            hint = fault.hint
            if fault.code == "E101" and self.document.is_cut(path):
                hint = "YAML drops what follows ' #': put quotes around the expression"
            self.problems.append(Problem(fault.message, place, hint, path, code=fault.code))

    def at(self, path: Path) -> Any:
        """Return the value at a path of the document."""
        value: Any = self.value
        for step in path:
            value = value[step]
        return value
