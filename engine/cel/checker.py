"""The static checker: every subexpression gets its type, and what CEL's checker refuses is refused.

The algorithm is cel-spec's: overloads are tried in turn, type parameters are bound by what they meet, and
`dyn` leaves a question to evaluation. All faults of an expression are found, not only the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.cel import ast
from engine.cel import types as t
from engine.cel.functions import Function, Overload, functions
from engine.cel.parser import CelSyntaxError, parse
from engine.cel.types import DYN, Kind, ObjectType, Substitution, Type
from engine.errors import near
from engine.records import field, record

_TYPE_NAMES: Mapping[str, Type] = {
    **{name: t.type_of(type_) for name, type_ in t.PRIMITIVES.items()},
    "null_type": t.type_of(t.NULL),
    "list": t.type_of(t.list_of(DYN)),
    "map": t.type_of(t.map_of(DYN, DYN)),
    "type": t.type_of(t.type_of(DYN)),
}
_MAP_KEYS = {t.BOOL, t.INT, t.UINT, t.STRING, DYN}


@record
class Environment:
    """What an expression may read: global names (which may hold dots) and object types."""

    variables: Mapping[str, Type] = field(default_factory=dict)
    objects: Mapping[str, ObjectType] = field(default_factory=dict)

    def extended(self, variables: Mapping[str, Type]) -> Environment:
        """The same with further names; a name that is there already is shadowed."""
        return Environment({**self.variables, **variables}, self.objects)

    def namespaces(self) -> set[str]:
        """What stands before the dot of names with a dot: `variables`, `constants` …"""
        return {name.partition(".")[0] for name in self.variables if "." in name}


@record
class ResolvedCall:
    """What a call means: the function, all arguments (a method's target first), the overloads that fit."""

    function: str
    arguments: tuple[ast.Node, ...]
    overloads: tuple[Overload, ...]
    variadic: bool = False


@record
class Checked:
    """An expression that type-checks, with what the checker learned about each of its nodes."""

    text: str
    root: ast.Node
    types: Mapping[ast.Node, Type]
    names: Mapping[ast.Node, str]
    """The nodes that name something global, by its full name."""
    type_names: Mapping[ast.Node, str]
    """The nodes that name a type: `int` in `type(x) == int`."""
    calls: Mapping[ast.Node, ResolvedCall]
    environment: Environment

    @property
    def type(self) -> Type:
        """The type of the whole expression."""
        return self.types[self.root]

    def part(self, node: ast.Node) -> Checked:
        """A subexpression as an expression of its own; it must use no macro's variable from outside."""
        return Checked(self.text, node, self.types, self.names, self.type_names, self.calls, self.environment)

    def source(self, node: ast.Node) -> str:
        """A node's text."""
        return self.text[node.start : node.end]

    def free_names(self) -> Iterator[str]:
        """The global names that the expression reads, in source order, each once."""
        seen: set[str] = set()
        for node in self.root.walk():
            name = self.names.get(node)
            if name is not None and name not in seen:
                seen.add(name)
                yield name


@record
class Fault:
    """One thing that is wrong in an expression; `offset` counts characters from its start."""

    message: str
    offset: int
    hint: str | None = None
    code: str = "E104"
    """The code of the check that it belongs to (engine.policy.checks)."""


class CelCheckError(ValueError):
    """An expression that doesn't parse or doesn't type-check, with all that is wrong with it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


def check(text: str, environment: Environment) -> Checked:
    """Parse and type-check `text`.

    Raises:
        CelCheckError: with every fault found.
    """
    return check_parsed(text, parse_checked(text), environment)


def parse_checked(text: str) -> ast.Node:
    """Parse `text`.

    Raises:
        CelCheckError: it is not CEL.
    """
    try:
        return parse(text)
    except CelSyntaxError as error:
        raise CelCheckError((Fault(error.message, error.offset, error.hint, "E101"),)) from None


def check_parsed(text: str, root: ast.Node, environment: Environment) -> Checked:
    """Type-check an expression that is parsed already.

    Raises:
        CelCheckError: with every fault found.
    """
    checker = _Checker(environment)
    checker.visit(root, {})
    if checker.faults:
        raise CelCheckError(tuple(sorted(checker.faults, key=lambda fault: fault.offset)))
    types = {node: checker.substitution.finish(type_) for node, type_ in checker.types.items()}
    return Checked(text, root, types, checker.names, checker.type_names, checker.calls, environment)


Locals = Mapping[str, Type]


class _Checker:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.substitution = Substitution()
        self.types: dict[ast.Node, Type] = {}
        self.names: dict[ast.Node, str] = {}
        self.type_names: dict[ast.Node, str] = {}
        self.calls: dict[ast.Node, ResolvedCall] = {}
        self.faults: list[Fault] = []
        self.fresh = 0

    def fault(self, message: str, offset: int, hint: str | None = None, code: str = "E104") -> Type:
        self.faults.append(Fault(message, offset, hint, code))
        return DYN  # what depends on it is not reported again

    def visit(self, node: ast.Node, scope: Locals) -> Type:
        method = getattr(self, f"visit_{type(node).__name__.lower()}")
        type_: Type = method(node, scope)
        self.types[node] = type_
        return type_

    def visit_literal(self, node: ast.Literal, scope: Locals) -> Type:
        return node.type

    def visit_identifier(self, node: ast.Identifier, scope: Locals) -> Type:
        if node.name in scope:
            return scope[node.name]
        found = self.global_name(node, node.name.lstrip("."))
        if found is not None:
            return found
        known = {*scope, *self.environment.variables, *self.environment.namespaces(), *_TYPE_NAMES}
        return self.fault(
            f"undeclared reference to '{node.name}'", node.position, near(node.name, known), "E102"
        )

    def global_name(self, node: ast.Node, name: str) -> Type | None:
        declared = self.environment.variables.get(name)
        if declared is not None:
            self.names[node] = name
            return declared
        if name in self.environment.objects or name in _TYPE_NAMES:
            self.type_names[node] = name
            return _TYPE_NAMES.get(name) or t.type_of(t.object_type(name))
        return None

    def visit_select(self, node: ast.Select, scope: Locals) -> Type:
        if not node.test:
            qualified = self.qualified_name(node, scope)
            if qualified is not None:
                found = self.global_name(node, qualified)
                if found is not None:
                    return found
                missing = self.missing_in_namespace(node, qualified)
                if missing is not None:
                    return missing
        operand = self.substitution.resolve(self.visit(node.operand, scope))
        selected = self.field_type(node, operand)
        return t.BOOL if node.test else selected

    def qualified_name(self, node: ast.Select, scope: Locals) -> str | None:
        name = ast.dotted_name(node)
        return None if name is None or name.partition(".")[0] in scope else name.lstrip(".")

    def missing_in_namespace(self, node: ast.Select, name: str) -> Type | None:
        """A fault for `variables.typo`, where `variables` is nothing by itself."""
        namespace, _, member = name.partition(".")
        if "." in member or namespace in self.environment.variables:
            return None
        members = [
            known.partition(".")[2]
            for known in self.environment.variables
            if known.startswith(f"{namespace}.")
        ]
        if namespace not in ("variables", "constants", "catalogs") and not members:
            return None
        singular = {"variables": "variable", "constants": "constant", "catalogs": "catalog"}
        return self.fault(
            f"undeclared {singular.get(namespace, namespace)} '{member}'",
            node.position,
            near(member, members),
            "E102",
        )

    def field_type(self, node: ast.Select, operand: Type) -> Type:
        if operand.kind is Kind.MAP:
            return operand.value
        if operand.kind is Kind.OBJECT:
            return self.object_field(operand.name, node.field, node.position)
        if operand.kind in (Kind.DYN, Kind.PARAMETER):
            return DYN
        return self.fault(f"a value of type '{operand}' has no fields", node.position, None, "E103")

    def object_field(self, object_name: str, name: str, offset: int) -> Type:
        fields = self.environment.objects[object_name].fields
        if name in fields:
            return fields[name].type
        return self.fault(f"undefined field '{name}' of {object_name}", offset, near(name, fields), "E103")

    def visit_listliteral(self, node: ast.ListLiteral, scope: Locals) -> Type:
        return t.list_of(self.joined([self.visit(element, scope) for element in node.elements]))

    def joined(self, types: list[Type]) -> Type:
        if not types:
            return self.fresh_parameter()
        result = types[0]
        for type_ in types[1:]:
            result = self.substitution.join(
                self.substitution.resolve(result), self.substitution.resolve(type_)
            )
        return result

    def visit_mapliteral(self, node: ast.MapLiteral, scope: Locals) -> Type:
        keys = [self.visit(key, scope) for key, _ in node.entries]
        values = [self.visit(value, scope) for _, value in node.entries]
        for (key, _), type_ in zip(node.entries, keys, strict=True):
            if self.substitution.finish(type_) not in _MAP_KEYS:
                self.fault(
                    f"a map's key can't be of type '{type_}'", key.position, "use int, uint, bool or string"
                )
        return t.map_of(self.joined(keys), self.joined(values))

    def visit_objectliteral(self, node: ast.ObjectLiteral, scope: Locals) -> Type:
        if node.type_name not in self.environment.objects:
            for _, _, value in node.fields:
                self.visit(value, scope)
            hint = near(node.type_name, self.environment.objects)
            return self.fault(f"undeclared type '{node.type_name}'", node.position, hint, "E102")
        for name, offset, value in node.fields:
            given = self.visit(value, scope)
            wanted = self.object_field(node.type_name, name, offset)
            if not self.substitution.assignable(given, wanted):
                self.fault(
                    f"field '{name}' of {node.type_name} is of type '{wanted}', found "
                    f"'{self.substitution.finish(given)}'",
                    value.position,
                )
        return t.object_type(node.type_name)

    def visit_comprehension(self, node: ast.Comprehension, scope: Locals) -> Type:
        range_type = self.substitution.resolve(self.visit(node.range, scope))
        element = self.element_type(node, range_type)
        inner = {**scope, node.variable: element}
        if node.condition is not None:
            self.boolean(
                node.condition, self.visit(node.condition, inner), f"the condition of {node.macro}()"
            )
        body = self.visit(node.body, inner)
        if node.macro == "map":
            return t.list_of(body)
        self.boolean(node.body, body, f"the condition of {node.macro}()")
        return t.list_of(element) if node.macro == "filter" else t.BOOL

    def element_type(self, node: ast.Comprehension, range_type: Type) -> Type:
        if range_type.kind is Kind.LIST:
            return range_type.element
        if range_type.kind is Kind.MAP:
            return range_type.key
        if range_type.kind is Kind.PARAMETER:
            element = self.fresh_parameter()
            self.substitution.assignable(range_type, t.list_of(element))
            return element
        if range_type.kind is not Kind.DYN:
            self.fault(f"{node.macro}() needs a list or a map, found '{range_type}'", node.range.position)
        return DYN

    def boolean(self, node: ast.Node, type_: Type, what: str) -> None:
        if not self.substitution.assignable(type_, t.BOOL):
            self.fault(f"{what} must be a bool, found '{self.substitution.finish(type_)}'", node.position)

    def visit_bind(self, node: ast.Bind, scope: Locals) -> Type:
        value = self.visit(node.value, scope)
        return self.visit(node.body, {**scope, node.variable: value})

    def visit_call(self, node: ast.Call, scope: Locals) -> Type:
        function, arguments = self.resolve_function(node, scope)
        types = tuple(self.visit(argument, scope) for argument in arguments)
        if function is None:
            return self.undeclared_function(node, scope)
        if function.variadic and len(arguments) == 1 and _is_empty_list(arguments[0]):
            return self.fault(f"{function.name}() of nothing", arguments[0].position)
        member = node.target is not None and arguments and arguments[0] is node.target
        variadic = function.variadic and len(arguments) > 2
        given = (t.list_of(self.joined(list(types))),) if variadic else types
        return self.overload(node, function, arguments, given, bool(member), variadic)

    def resolve_function(self, node: ast.Call, scope: Locals) -> tuple[Function | None, tuple[ast.Node, ...]]:
        """The function that is meant, and its arguments: `math.ceil(x)` has one, `l.sum()` too."""
        table = functions()
        if node.target is not None:
            namespace = ast.dotted_name(node.target)
            if namespace is not None and namespace not in scope and f"{namespace}.{node.function}" in table:
                return table[f"{namespace}.{node.function}"], node.arguments
            return table.get(node.function), (node.target, *node.arguments)
        return table.get(node.function), node.arguments

    def undeclared_function(self, node: ast.Call, scope: Locals) -> Type:
        name = node.function
        if node.target is not None and (namespace := ast.dotted_name(node.target)) in (
            "math",
            "lists",
            "strings",
        ):
            name = f"{namespace}.{name}"
        macros = ["all", "exists", "exists_one", "filter", "map", "sortBy", "has", "cel.bind"]
        if name in macros:
            return self.fault(f"{name}() takes a name and an expression", node.position)
        names = [known for known in functions() if known[0] not in "_!-@"]
        return self.fault(
            f"undeclared function '{name}'", node.position, near(name, [*names, *macros]), "E102"
        )

    def overload(
        self,
        node: ast.Call,
        function: Function,
        arguments: tuple[ast.Node, ...],
        given: tuple[Type, ...],
        member: bool,
        variadic: bool,
    ) -> Type:
        result: Type | None = None
        fitting: list[Overload] = []
        for overload in function.overloads:
            if overload.member is not member:
                continue
            parameters, candidate = self.instantiate(overload)
            if not self.substitution.assignable_all(given, parameters):
                continue
            fitting.append(overload)
            resolved = self.substitution.resolve(candidate)
            result = resolved if result is None or result == resolved else DYN
        if result is None:
            return self.no_overload(node, function, given, member)
        self.calls[node] = ResolvedCall(function.name, arguments, tuple(fitting), variadic)
        return result

    def instantiate(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        """The overload's types with type parameters of their own, so that calls don't bind each other's."""
        names = {p for parameter in (*overload.parameters, overload.result) for p in _parameters(parameter)}
        if not names:
            return overload.parameters, overload.result
        renaming = Substitution({name: self.fresh_parameter() for name in sorted(names, key=str)})
        return tuple(map(renaming.resolve, overload.parameters)), renaming.resolve(overload.result)

    def no_overload(self, node: ast.Call, function: Function, given: tuple[Type, ...], member: bool) -> Type:
        found = ", ".join(str(self.substitution.finish(type_)) for type_ in given)
        message = f"found no matching overload for '{_shown(function.name)}' applied to ({found})"
        hint = _mixed_numbers(given)
        if hint is None:
            usable = [o.signature for o in function.overloads]
            hint = "offered: " + "; ".join(usable[:4]) + (" …" if len(usable) > 4 else "")
        return self.fault(message, node.position, hint)

    def fresh_parameter(self) -> Type:
        self.fresh += 1
        return t.parameter(f"%{self.fresh}")


def _parameters(type_: Type) -> Iterator[Type]:
    if type_.kind is Kind.PARAMETER:
        yield type_
    for inner in type_.parameters:
        yield from _parameters(inner)


def _is_empty_list(node: ast.Node) -> bool:
    return isinstance(node, ast.ListLiteral) and not node.elements


def _shown(name: str) -> str:
    """A function's name as people write it: `+` for `_+_`."""
    return name.replace("_", "") if name[0] in "_!-" else name


def _mixed_numbers(given: tuple[Type, ...]) -> str | None:
    numbers = {type_ for type_ in given if type_ in (t.INT, t.UINT, t.DOUBLE)}
    if len(given) == 2 and len(numbers) == 2:
        target = t.DOUBLE if t.DOUBLE in numbers else t.INT
        return f"CEL does not mix numbers: write {target}(…) around the other one"
    return None
