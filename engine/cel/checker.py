"""The static checker: types every subexpression and rejects what CEL's own checker rejects.

The algorithm is cel-spec's: overloads are tried in turn, type parameters are bound by what they meet, and
`dyn` leaves a question to evaluation. All faults of an expression are found, not only the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from engine.base.errors import near
from engine.base.memory import Same, recall
from engine.base.records import field, record, replace
from engine.cel import celtypes as t
from engine.cel import hints, mismatches
from engine.cel import syntax as ast
from engine.cel.celtypes import DYN, Kind, ObjectType, Substitution, Type, is_too_deep
from engine.cel.declarations import Function, Overload, find_function, functions, libraries, outside
from engine.cel.declarations import macros as all_macros
from engine.cel.errors import CelSyntaxError
from engine.cel.library import ENTRY_POINTS
from engine.cel.limits import TYPE_DEPTH
from engine.cel.parser import parse
from engine.cel.records import Records, rewrite

TYPE_NAMES: Mapping[str, Type] = {
    **{each.name: t.type_of(each) for each in (t.BOOL, t.INT, t.UINT, t.DOUBLE, t.STRING, t.BYTES)},
    "google.protobuf.Timestamp": t.type_of(t.TIMESTAMP),
    "google.protobuf.Duration": t.type_of(t.DURATION),
    "null_type": t.type_of(t.NULL),
    "list": t.type_of(t.list_of(DYN)),
    "map": t.type_of(t.map_of(DYN, DYN)),
    "type": t.type_of(t.type_of(DYN)),
    "optional_type": t.type_of(t.optional_of(DYN)),
    **{name: t.type_of(each) for name, each in t.OPAQUE.items()},
}
"""The types by their names in expressions: `type(x) == int`."""
_MAP_KEYS = {t.BOOL, t.INT, t.UINT, t.STRING, DYN}


@record
class Environment:
    """The declarations for an expression: global names (which may hold dots) and object types."""

    variables: Mapping[str, Type] = field(default_factory=dict)
    objects: Mapping[str, ObjectType] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """What names stand for, if not for themselves: a library's `variables.x` is `variables.speed.x`."""
    records: Records = field(default_factory=dict)
    """Lists whose elements have computed columns (engine.cel.records)."""
    column_of: tuple[str, str] | None = None
    """Of the expression of a column: the list, and the name of its element."""

    def extended(self, variables: Mapping[str, Type]) -> Environment:
        """Return the environment with additional names, which shadow existing ones."""
        return Environment({**self.variables, **variables}, self.objects, self.aliases, self.records)

    def namespaces(self) -> set[str]:
        """Return the part before the dot of dotted names: `variables`, `constants` …"""
        return {name.partition(".")[0] for name in self.variables if "." in name}


@record
class ResolvedCall:
    """A resolved call: the function, all arguments (a method's target first), the overloads that fit."""

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
        """Return the type of the whole expression."""
        return self.types[self.root]

    def part(self, node: ast.Node) -> Checked:
        """Return a subexpression as an expression; it must not use a macro variable from outside it."""
        return Checked(self.text, node, self.types, self.names, self.type_names, self.calls, self.environment)

    def source(self, node: ast.Node) -> str:
        """Return the text of a node."""
        return self.text[node.start : node.end]

    def free_names(self) -> Iterator[str]:
        """Yield the global names that the expression reads, in source order, without duplicates."""
        yield from recall("free names", (self.root, Same(self.names)), self._free_names)

    def _free_names(self) -> tuple[str, ...]:
        found = (self.names.get(node) for node in self.root.walk())
        return tuple(dict.fromkeys(name for name in found if name is not None))


@record
class Fault:
    """A fault in an expression; `offset` counts characters from its start."""

    message: str
    offset: int
    hint: str | None = None
    code: str = "E104"
    """The code of its check (engine.policy.checks)."""


class CelCheckError(ValueError):
    """An expression that does not parse or type-check, with all of its faults."""

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
    if environment.records:
        root = rewrite(root, environment.records, environment.column_of)
    checker = _Checker(environment, text, root)
    checker.visit(root, {})
    if checker.faults:
        raise CelCheckError(tuple(sorted(checker.faults, key=lambda fault: fault.offset)))
    types = {node: checker.substitution.finish(type_) for node, type_ in checker.types.items()}
    for node, type_ in types.items():  # the inner nodes first
        if type_.parameters and is_too_deep(type_):
            raise CelCheckError((Fault(f"a type nested deeper than {TYPE_DEPTH} levels", node.position),))
    return Checked(text, root, types, checker.names, checker.type_names, checker.calls, environment)


def explore(text: str, root: ast.Node, environment: Environment) -> Checked:
    """Type an expression that may be faulty, for editors: what depends on a fault is `dyn`."""
    if environment.records:
        root = rewrite(root, environment.records, environment.column_of)
    checker = _Checker(environment, text, root)
    checker.visit(root, {})
    types = {node: checker.substitution.finish(type_) for node, type_ in checker.types.items()}
    return Checked(text, root, types, checker.names, checker.type_names, checker.calls, environment)


Locals = Mapping[str, Type]


class _Checker:
    def __init__(self, environment: Environment, text: str, root: ast.Node) -> None:
        self.environment = environment
        self.text = text
        self.root = root
        self.substitution = Substitution()
        self.types: dict[ast.Node, Type] = {}
        self.names: dict[ast.Node, str] = {}
        self.type_names: dict[ast.Node, str] = {}
        self.calls: dict[ast.Node, ResolvedCall] = {}
        self.faults: list[Fault] = []
        self.owners: dict[ast.Node, str] = {}
        """Names of which a field is read, and the field."""
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
        hint = self.hint_for(node, scope)
        return self.fault(f"undeclared reference to '{node.name}'", node.position, hint, "E102")

    def hint_for(self, node: ast.Identifier, scope: Locals) -> str | None:
        """Return the hint for a name that is not declared."""
        spaces, declared = self.environment.namespaces(), self.environment.variables
        if node.name in spaces:
            return hints.for_namespace(node.name, self.text[node.end : node.end + 100], declared)
        field = self.owners.get(node)
        owned = field and hints.for_owner(node.name, field, [*scope, *declared])
        known = [*scope, *declared, *spaces, *TYPE_NAMES]
        return owned or hints.for_name(node.name, known, hints.for_quotes(self.text, node, self.root))

    def global_name(self, node: ast.Node, name: str) -> Type | None:
        declared = self.environment.variables.get(name)
        if declared is not None:
            self.names[node] = self.environment.aliases.get(name, name)
            return declared
        if name in self.environment.objects or name in TYPE_NAMES:
            self.type_names[node] = name
            return TYPE_NAMES.get(name) or t.type_of(t.object_type(name))
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
        if isinstance(node.operand, ast.Identifier):
            self.owners[node.operand] = node.field
        operand = self.substitution.resolve(self.visit(node.operand, scope))
        selected = self.field_type(node, operand)
        return t.BOOL if node.test else selected

    def qualified_name(self, node: ast.Select, scope: Locals) -> str | None:
        name = ast.dotted_name(node)
        return None if name is None or name.partition(".")[0] in scope else name.lstrip(".")

    def missing_in_namespace(self, node: ast.Select, name: str) -> Type | None:
        """Report `variables.typo` if `variables` is only a namespace."""
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
        noun = singular.get(namespace)
        return self.fault(
            f"library '{namespace}' has no variable '{member}'"
            if noun is None
            else f"undeclared {noun} '{member}'",
            node.position,
            self.underlined(node, member, members) or near(member, members),
            "E102",
        )

    def is_hyphened(self, node: ast.Node, scope: Locals) -> bool:
        """Report `constants.free-limit`, a name with a hyphen, and return True for it."""
        name = ast.dotted_name(node)
        if not isinstance(node, ast.Select) or name is None or self.known_member(name):
            return False
        before = len(self.faults)
        self.visit(node, scope)
        hyphened = any("no hyphens" in (each.hint or "") for each in self.faults[before:])
        if not hyphened:
            del self.faults[before:]
        return hyphened

    def known_member(self, name: str) -> bool:
        return name in self.environment.variables

    def underlined(self, node: ast.Select, member: str, members: Sequence[str]) -> str | None:
        """Return the hint for `constants.free-limit`, which is a difference."""
        rest = re.match(r"(?:-\w+)+", self.text[node.end : node.end + 100])
        name = member + rest[0].replace("-", "_") if rest else ""
        return f"write {name}: names have no hyphens" if name in members else None

    def field_type(self, node: ast.Select, operand: Type) -> Type:
        operand = operand.exact
        if operand.kind is Kind.MAP:
            return operand.value
        if operand.kind is Kind.OBJECT:
            return self.object_field(operand.name, node.field, node.position)
        if operand.kind is Kind.OPTIONAL:
            return t.optional_of(self.field_type(node, self.substitution.resolve(operand.element)))
        if operand.kind in (Kind.DYN, Kind.PARAMETER):
            return DYN
        shown = self.text[node.operand.start : node.operand.end]
        hint = hints.for_field_of(operand, node.field, shown)
        return self.fault(f"a value of type '{operand}' has no fields", node.position, hint, "E103")

    def object_field(self, object_name: str, name: str, offset: int) -> Type:
        fields = self.environment.objects[object_name].fields
        if name in fields:
            return fields[name].type
        return self.fault(f"undefined field '{name}' of {object_name}", offset, near(name, fields), "E103")

    def visit_listliteral(self, node: ast.ListLiteral, scope: Locals) -> Type:
        types = [self.visit(element, scope) for element in node.elements]
        for position in node.optionals:
            types[position] = self.contents(node.elements[position], types[position])
        return t.list_of(self.joined(types))

    def contents(self, node: ast.Node, type_: Type) -> Type:
        """Return the type of what an optional element holds."""
        held = self.fresh_parameter()
        if self.substitution.assignable(type_, t.optional_of(held)):
            return held
        found = self.substitution.finish(type_)
        hint = "leave the ? out, or write optional.of(…)"
        return self.fault(f"an optional element must be an optional, found '{found}'", node.position, hint)

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
        for position in node.optionals:
            values[position] = self.contents(node.entries[position][1], values[position])
        for (key, _), type_ in zip(node.entries, keys, strict=True):
            if self.substitution.finish(type_) not in _MAP_KEYS:
                self.fault(
                    f"map keys cannot be of type '{type_}'", key.position, "use int, uint, bool or string"
                )
        return t.map_of(self.joined(keys), self.joined(values))

    def visit_objectliteral(self, node: ast.ObjectLiteral, scope: Locals) -> Type:
        if node.type_name not in self.environment.objects:
            for _, _, value in node.fields:
                self.visit(value, scope)
            hint = near(node.type_name, self.environment.objects)
            return self.fault(f"undeclared type '{node.type_name}'", node.position, hint, "E102")
        for position, (name, offset, value) in enumerate(node.fields):
            given = self.visit(value, scope)
            if position in node.optionals:
                given = self.contents(value, given)
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
        key = element
        if node.second is not None:
            range_type = range_type.exact
            key = element if range_type.kind in (Kind.MAP, Kind.DYN) else t.INT
            value = range_type.value if range_type.kind is Kind.MAP else element
            inner = {**scope, node.variable: key, node.second: value}
        if node.condition is not None:
            self.boolean(
                node.condition, self.visit(node.condition, inner), f"the condition of {node.macro}()"
            )
        body = self.visit(node.body, inner)
        if node.macro in ("map", "transformList"):
            return t.list_of(body)
        if node.macro == "transformMap":
            return t.map_of(key, body)
        if node.macro == "transformMapEntry":
            return self.entry_type(node, body)
        self.boolean(node.body, body, f"the condition of {node.macro}()")
        return t.list_of(element) if node.macro == "filter" else t.BOOL

    def element_type(self, node: ast.Comprehension, range_type: Type) -> Type:
        range_type = range_type.exact
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

    def entry_type(self, node: ast.Comprehension, body: Type) -> Type:
        """Return the type of the map that transformMapEntry makes of maps."""
        made = t.map_of(self.fresh_parameter(), self.fresh_parameter())
        if self.substitution.assignable(body, made):
            return made
        found = self.substitution.finish(body)
        return self.fault(f"the entry of {node.macro}() must be a map, found '{found}'", node.body.position)

    def boolean(self, node: ast.Node, type_: Type, what: str) -> None:
        if not self.substitution.assignable(type_, t.BOOL):
            self.fault(f"{what} must be a bool, found '{self.substitution.finish(type_)}'", node.position)

    def visit_bind(self, node: ast.Bind, scope: Locals) -> Type:
        value = self.visit(node.value, scope)
        return self.visit(node.body, {**scope, node.variable: value})

    def optional_select(self, node: ast.Call, scope: Locals) -> Type:
        """Type `operand.?field`."""
        operand, field = node.arguments
        type_ = self.substitution.resolve(self.visit(operand, scope))
        self.types[field] = t.STRING
        assert isinstance(field, ast.Literal)
        select = ast.Select(node.start, node.end, field.position, operand, str(field.value))
        selected = self.field_type(select, type_)
        function = find_function(node.function)
        assert function is not None
        self.calls[node] = ResolvedCall(function.name, node.arguments, function.overloads)
        return selected if selected.kind is Kind.OPTIONAL else t.optional_of(selected)

    def visit_call(self, node: ast.Call, scope: Locals) -> Type:
        if node.function == "_?._":
            return self.optional_select(node, scope)
        function, arguments = self.resolve_function(node, scope)
        if function is None:
            return self.no_function(node, scope)
        elsewhere = self.is_elsewhere(node, scope)
        if elsewhere is not None:
            name = f"{ast.dotted_name(node.target) if node.target else ''}.{node.function}"
            return self.fault(f"undeclared function '{name}'", node.start, elsewhere, "E102")
        if self.is_like_a_macro(node, scope):
            hint = hints.for_lambda(function.name, node, self.text)
            return self.fault(f"{function.name}() takes no name and expression", node.position, hint)
        before = len(self.faults)
        if function.name == "_-_" and self.is_hyphened(arguments[0], scope):
            return DYN
        types = tuple(self.visit(argument, scope) for argument in arguments)
        if function.name == "_?_:_":
            types = _without_null(arguments, types)
        if function.variadic and len(arguments) == 1 and _is_empty_list(arguments[0]):
            return self.fault(f"{function.name}() of nothing", arguments[0].position)
        member = node.target is not None and arguments and arguments[0] is node.target
        variadic = function.variadic and len(arguments) > 2
        given = (t.list_of(self.joined(list(types))),) if variadic else types
        known = len(self.faults)
        type_ = self.overload(node, function, arguments, given, bool(member), variadic)
        if known > before:  # that no overload fits follows from the faults of the arguments
            del self.faults[known:]
        return type_

    def no_function(self, node: ast.Call, scope: Locals) -> Type:
        """Report a function that does not exist, and what is wrong in its arguments."""
        target = node.target
        owner = None if target is None else ast.dotted_name(target)
        if owner is not None and f"{owner}.{node.function}" in self.environment.variables:
            name = f"{owner}.{node.function}"
            return self.fault(f"'{name}' is not a function", node.position, f"write {name} without ( )")
        if self.undeclared_function(node, scope):
            return DYN
        names = (each.name for each in node.arguments if isinstance(each, ast.Identifier))
        inner = {**dict.fromkeys(names, DYN), **scope}  # perhaps a macro's
        if target is not None and (owner is None or self.known(owner, scope)):
            self.visit(target, scope)
        for argument in node.arguments:
            self.visit(argument, inner)
        return DYN

    def is_elsewhere(self, node: ast.Call, scope: Locals) -> str | None:
        """Return the hint for a function of another language's namespace: `Math.max(a, b)`."""
        owner = None if node.target is None else ast.dotted_name(node.target)
        if owner is None or self.known(owner, scope) or find_function(f"{owner}.{node.function}"):
            return None
        return hints.for_namesake(owner, node.function)

    def is_like_a_macro(self, node: ast.Call, scope: Locals) -> bool:
        """True for `list.sum(x, x.size)`: a method that is called with a name and an expression."""
        if node.target is None or len(node.arguments) != 2:
            return False
        name = node.arguments[0]
        if not isinstance(name, ast.Identifier) or self.known(name.name, scope) or name.name in TYPE_NAMES:
            return False
        return any(
            isinstance(each, ast.Identifier) and each.name == name.name for each in node.arguments[1].walk()
        )

    def resolve_function(self, node: ast.Call, scope: Locals) -> tuple[Function | None, tuple[ast.Node, ...]]:
        """Return the function and its arguments: `math.ceil(x)` has one, and so has `l.sum()`."""
        if node.target is None:
            return find_function(node.function), node.arguments
        # Functions have a namespace of their own: no variable called `math` hides those of `math`.
        namespace = (ast.dotted_name(node.target) or "").removeprefix(".")
        table = functions()
        function = table.get(f"{namespace}.{node.function}")
        if (
            function is None
            and namespace
            and (node.function not in table or not self.known(namespace, scope))
        ):
            function = find_function(f"{namespace}.{node.function}")
        if function is not None:
            return function, node.arguments
        return find_function(node.function), (node.target, *node.arguments)

    def known(self, name: str, scope: Locals) -> bool:
        """True if a dotted name begins with something declared."""
        first = name.partition(".")[0]
        return first in scope or first in self.environment.variables or first in self.environment.namespaces()

    def undeclared_function(self, node: ast.Call, scope: Locals) -> bool:
        """Report a function that does not exist; True if its arguments are none of their own."""
        name = node.function
        namespaces = {library.namespace for library in (*libraries(), *outside().libraries)}
        owner = None if node.target is None else ast.dotted_name(node.target)
        macros = sorted({_macro_name(macro.form) for _, macro in all_macros()})
        if name in macros and (owner is None or owner not in namespaces):
            meant = hints.for_macro(name, node.arguments, self.text, node.target)
            self.fault(f"{name}() takes a name and an expression", node.position, meant)
            return True
        position = node.position
        member = node.target is not None
        if owner is not None and (owner in namespaces or not self.known(owner, scope)):
            name = f"{owner}.{name}"
            member = False
            position = position if owner in namespaces else node.start
        names = [known for known in functions() if known[0] not in "_!-@"]
        hint = hints.for_function(name, member, [*names, *macros])
        for entry, failure in outside().failures.items():
            hint = f"entry point '{entry}' of group {ENTRY_POINTS} failed to load: {failure}"
        self.fault(f"undeclared function '{name}'", position, hint, "E102")
        return False

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
            return self.no_overload(node, function, arguments, given)
        self.calls[node] = ResolvedCall(function.name, arguments, tuple(fitting), variadic)
        return result

    def instantiate(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        """Return the overload's types with fresh type parameters, so that calls do not share bindings."""
        names = _names(overload)
        if not names:
            return overload.parameters, overload.result
        renaming = Substitution({name: self.fresh_parameter() for name in names})
        return tuple(map(renaming.resolve, overload.parameters)), renaming.resolve(overload.result)

    def no_overload(
        self, node: ast.Call, function: Function, arguments: tuple[ast.Node, ...], given: tuple[Type, ...]
    ) -> Type:
        types = tuple(map(self.substitution.finish, given))
        found = ", ".join(map(str, types))
        message = f"found no matching overload for '{_shown(function.name)}' applied to ({found})"
        hint = None
        if len(types) == len(arguments):
            hint = mismatches.for_overload(self.text, node, arguments, types, function.definition)
        hint = hint or hints.offered([overload.signature for overload in function.overloads])
        return self.fault(message, node.position, hint)

    def fresh_parameter(self) -> Type:
        self.fresh += 1
        return t.parameter(f"%{self.fresh}")


@cache
def _names(overload: Overload) -> tuple[Type, ...]:
    """Return the type parameters of an overload."""
    names = {p for parameter in (*overload.parameters, overload.result) for p in _parameters(parameter)}
    return tuple(sorted(names, key=str))


def _parameters(type_: Type) -> Iterator[Type]:
    if type_.kind is Kind.PARAMETER:
        yield type_
    for inner in type_.parameters:
        yield from _parameters(inner)


def _without_null(arguments: Sequence[ast.Node], types: tuple[Type, ...]) -> tuple[Type, ...]:
    """Return the types of a conditional's arguments: in `x != null ? x : y`, x is not null.

    Its value is then as exact as y, and so is the arithmetic on it. `has(x) ? x : y` is such a test, too.
    """
    test = arguments[0]
    if isinstance(test, ast.Select) and test.test:
        if ast.dotted_name(replace(test, test=False)) == ast.dotted_name(arguments[1]) is not None:
            return (types[0], types[1].exact, *types[2:])
        return types
    if not (isinstance(test, ast.Call) and test.function in ("_!=_", "_==_")):
        return types
    names = [ast.dotted_name(each) for each in test.arguments if not _is_null(each)]
    branch = 1 if test.function == "_!=_" else 2
    if len(names) == 1 and names[0] is not None and names[0] == ast.dotted_name(arguments[branch]):
        return (*types[:branch], types[branch].exact, *types[branch + 1 :])
    return types


def _is_null(node: ast.Node) -> bool:
    return isinstance(node, ast.Literal) and node.value is None


def _is_empty_list(node: ast.Node) -> bool:
    return isinstance(node, ast.ListLiteral) and not node.elements


def _macro_name(form: str) -> str:
    """Return a macro's name: `map` for `e.map(x, t)`, `cel.bind` for `cel.bind(x, v, t)`."""
    return form.partition("(")[0].removeprefix("e.")


def _shown(name: str) -> str:
    """Return a function's name as people write it: `+` for `_+_`."""
    return name.replace("_", "") if name[0] in "_!-" else name
