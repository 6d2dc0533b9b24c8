"""Order the variables of a rule by their references and check each after those that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.base.errors import Path, path_text
from engine.base.records import record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Type
from engine.cel.checker import CelCheckError, Environment
from engine.cel.limits import VARIABLE_CHAIN
from engine.cel.parser import NOT_FIELDS
from engine.cel.recall import parse_recalled
from engine.cel.records import Records, rewrite
from engine.policy.compiled import (
    CompiledVariable,
)
from engine.policy.expressions import ExpressionCompiler

if TYPE_CHECKING:
    from engine.policy.dicts import VariableDict


class VariableResolver:
    """Types the variables of one rule in whatever order their references ask for."""

    def __init__(
        self,
        compiler: ExpressionCompiler,
        path: Path,
        declared: list[VariableDict],
        outer: Environment,
        prefix: str = "",
    ) -> None:
        """Prepare to type the variables of a rule or a library.

        Args:
            compiler: collects problems.
            path: where the rule is.
            declared: its variables.
            outer: what is declared outside of it.
            prefix: what its variables' names begin with outside of its own expressions: `speed.`.
        """
        self.prefix = prefix
        self.compiler = compiler
        self.path = path
        self.outer = outer
        self.declared: dict[str, _Declared] = {}
        self.roots: dict[str, ast.Node | None] = {}
        self.types: dict[str, Type] = {}
        self.compiled: dict[str, CompiledVariable] = {}
        self.open: list[str] = []
        # How many variables in a row each of them reads at most, itself among them.
        self.depths: dict[str, int] = {}
        # The types that expressions see: one mapping for all, since each with its own takes quadratic room.
        self.visible: dict[str, Type] = {}
        self.records: Records = {**outer.records, **_records(declared)}
        for position, variable in enumerate(declared):
            for each in self.entries(variable, (*path, "variables", position)):
                self.declare(each)
        self.aliases = outer.aliases
        if prefix:
            own = {f"variables.{each}": f"variables.{prefix}{each}" for each in self.declared}
            self.aliases = {**outer.aliases, **own}

    def entries(self, variable: VariableDict, path: Path) -> Iterator[_Declared]:
        """Yield a variable, and the columns of one that is a list of records."""
        name = variable["name"]
        if "expression" in variable and "records" not in variable:
            yield _Declared(name, (*path, "expression"), variable, path)
            return
        lacking = [key for key in ("records", "as", "columns") if key not in variable]
        if lacking == ["records", "as", "columns"]:
            message, hint = f"{path_text(path)} has no field 'expression'", "A CEL expression."
            self.compiler.problem("E002", message, path, hint)
            return
        if lacking or "expression" in variable:
            message = f"variable '{name}' has records, as and columns, or an expression"
            self.compiler.problem("E002", message, path)
            return
        yield _Declared(name, (*path, "records"), variable, path)
        for position, column in enumerate(variable["columns"]):
            own: Path = (*path, "columns", position)
            full = f"{name}.{column['name']}"
            if ("expression" in column) is ("values" in column):
                message = f"column '{column['name']}' has an expression or values"
                self.compiler.problem("E002", message, own)
            elif "values" in column:
                yield _Declared(full, (*own, "values"), column, own)
            else:
                column_of = (f"variables.{name}", variable["as"])
                yield _Declared(full, (*own, "expression"), column, own, column_of)

    def declare(self, entry: _Declared) -> None:
        name = entry.name
        if name in self.declared:
            self.compiler.problem("E108", f"variable '{name}' is declared twice", (*entry.place, "name"))
            return
        for word in name.split("."):
            if word in NOT_FIELDS:
                self.compiler.reserved(word, (*entry.place, "name"))
        self.declared[name] = entry
        self.visible[f"variables.{name}"] = t.DYN
        try:
            self.roots[name] = parse_recalled(self.compiler.at(entry.path))
        except CelCheckError as error:
            self.compiler.faults(error, entry.path)
            self.roots[name] = None

    def resolve(self) -> tuple[dict[str, CompiledVariable], Environment]:
        for name in self.declared:
            self.visit(name)
        types = {f"variables.{name}": type_ for name, type_ in self.types.items()}
        environment = Environment(
            {**self.outer.variables, **types}, self.outer.objects, self.aliases, self.records
        )
        ordered = {
            f"{self.prefix}{name}": self.compiled[name] for name in self.declared if name in self.compiled
        }
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
            self.compiler.note(self.declared[name].path, self.environment(name))
            return
        if len(self.open) >= VARIABLE_CHAIN:
            self.too_deep(name)
            return
        self.open.append(name)
        shadows = f"variables.{name}" in self.outer.variables
        column_of = self.declared[name].column_of
        written = rewrite(root, self.records, column_of) if self.records else root
        references = [reference for reference in _references(written) if reference in self.declared]
        for reference in references:
            if not (shadows and reference == name):
                self.visit(reference)
        self.open.pop()
        if name in self.types:  # a cycle was found through it
            return
        self.depths[name] = 1 + max((self.depths.get(each, 0) for each in references), default=0)
        if self.depths[name] > VARIABLE_CHAIN:
            self.too_deep(name)
            return
        self.check(name, root, shadows and name in references)

    def check(self, name: str, root: ast.Node, shadows_itself: bool) -> None:
        entry = self.declared[name]
        environment = self.environment(name)
        wanted = self.compiler.declared_type(entry.fields, (*entry.place, "type"))
        expression = self.compiler.checked(
            self.compiler.at(entry.path), root, entry.path, environment, wanted
        )
        if expression is not None:
            self.check_columns(entry, expression.checked.type)
        found = t.DYN if expression is None else expression.checked.type
        self.types[name] = found if wanted is None else wanted
        self.visible[f"variables.{name}"] = self.types[name]
        if expression is not None:
            self.compiled[name] = CompiledVariable(
                f"{self.prefix}{name}",
                expression,
                entry.fields.get("description", ""),
                shadows_itself,
                entry.fields.get("unit", ""),
            )

    def environment(self, name: str) -> Environment:
        """Return what a variable's expression may read."""
        # What it reads is typed by now; the others are in sight only to be suggested for a misspelt name.
        variables = _Visible(self.visible, self.outer.variables, f"variables.{name}")
        column_of = self.declared[name].column_of
        return Environment(variables, self.outer.objects, self.aliases, self.records, column_of)

    def check_columns(self, entry: _Declared, type_: Type) -> None:
        """Report records that are no list, and columns that hide a field of the elements."""
        if "values" in entry.fields and type_.kind is not t.Kind.LIST:
            self.compiler.problem("E104", f"values are a list, found '{type_}'", entry.path)
        if "records" not in entry.fields:
            return
        if type_.kind is not t.Kind.LIST:
            self.compiler.problem("E104", f"records are a list, found '{type_}'", entry.path)
            return
        element = self.outer.objects.get(type_.element.name) if type_.element.kind is t.Kind.OBJECT else None
        for position, column in enumerate(entry.fields["columns"]):
            if element is not None and column["name"] in element.fields:
                message = f"{element.name} has a field '{column['name']}' already"
                self.compiler.problem("E108", message, (*entry.place, "columns", position, "name"))

    def too_deep(self, name: str) -> None:
        """Report a chain of variables that is too long to evaluate, and cut it here."""
        self.types[name] = t.DYN
        self.depths[name] = 0
        self.compiler.problem(
            "E107",
            f"variable chain too deep: more than {VARIABLE_CHAIN} variables read each other in a row",
            (*self.declared[name].place, "name"),
            "inline some of the variables",
        )

    def cycle(self, name: str) -> None:
        chain = [*self.open[self.open.index(name) :], name]
        self.compiler.problem(
            "E107",
            "variables depend on each other: " + " → ".join(chain),
            (*self.declared[name].place, "name"),
            "one of them must be computed without the others",
        )
        self.types.update(dict.fromkeys(chain, t.DYN))


@record
class _Declared:
    """A variable as it is declared: one of a rule, or a column of a list of records."""

    name: str
    path: Path
    """Where its expression is."""
    fields: VariableDict
    place: Path
    """Where it is declared."""
    column_of: tuple[str, str] | None = None


def _records(declared: Sequence[VariableDict]) -> dict[str, frozenset[str]]:
    """Return the columns of the variables that are lists of records."""
    return {
        f"variables.{variable['name']}": frozenset(column["name"] for column in variable.get("columns", ()))
        for variable in declared
        if "records" in variable
    }


class _Visible(Mapping[str, Type]):
    """The names that a variable's expression may read: all of its rule but its own, over those outside."""

    def __init__(self, own: Mapping[str, Type], outer: Mapping[str, Type], hidden: str) -> None:
        self.own = own
        self.outer = outer
        self.hidden = hidden

    def __getitem__(self, name: str) -> Type:
        return self.own[name] if name in self.own and name != self.hidden else self.outer[name]

    def get(self, name: str, default: Any = None) -> Any:
        if name in self.own and name != self.hidden:
            return self.own[name]
        return self.outer.get(name, default)

    def __iter__(self) -> Iterator[str]:
        yield from self.outer
        yield from (name for name in self.own if name != self.hidden and name not in self.outer)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _references(root: ast.Node) -> list[str]:
    """Return the distinct names X in `variables.X` of an expression."""
    found: dict[str, None] = {}
    waiting = [(root, False)]
    while waiting:
        node, hidden = waiting.pop()  # hidden: a macro's variable is called `variables` here
        if isinstance(node, ast.Select) and isinstance(node.operand, ast.Identifier):
            if node.operand.name == ".variables" or (node.operand.name == "variables" and not hidden):
                found[node.field] = None
            continue
        if isinstance(node, ast.Select) and not hidden:  # a column: `variables.stages.room`
            column = (ast.dotted_name(node) or "").partition("variables.")[2]
            if column:
                found[column] = None
        within = hidden
        if isinstance(node, (ast.Comprehension, ast.Bind)):
            bound = node.variables if isinstance(node, ast.Comprehension) else (node.variable,)
            within = hidden or "variables" in bound
        outside = node.range if isinstance(node, ast.Comprehension) else None
        outside = node.value if isinstance(node, ast.Bind) else outside
        for child in reversed(node.children()):
            waiting.append((child, hidden if child is outside else within))
    return list(found)
