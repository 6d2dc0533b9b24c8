"""From a checked expression to Python's own syntax tree.

What the checker knows about types makes most of CEL plain Python: an int addition is an addition with an
overflow check, a filter a list comprehension. What `dyn` leaves open calls engine.cel.standard. The result is
built as `ast` nodes and never as text, so no string of a policy can become code.

A node's place is kept as its line number: line N of the compiled code is character N - 1 of the expression.
"""

from __future__ import annotations

import ast as py
import builtins
import copy
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from engine.cel import ast, extensions
from engine.cel import types as t
from engine.cel.checker import Checked, ResolvedCall
from engine.cel.link import FAULTS, HELPERS, Symbol, link
from engine.cel.types import Kind, Type
from engine.cel.values import CelError
from engine.records import field, record

_SCALARS = {t.BOOL, t.INT, t.UINT, t.DOUBLE, t.STRING, t.BYTES, t.TIMESTAMP, t.DURATION}
_HASHED = {t.INT, t.STRING}
_EXACT_EQUALITY = {t.BOOL, t.INT, t.UINT, t.STRING, t.BYTES}
_COMPARISONS: dict[str, type[py.cmpop]] = {"_<_": py.Lt, "_<=_": py.LtE, "_>_": py.Gt, "_>=_": py.GtE}
_ARITHMETIC: dict[str, type[py.operator]] = {"_+_": py.Add, "_-_": py.Sub, "_*_": py.Mult}
_OPERATOR_NAMES = {
    "_+_": "add", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "modulo", "-_": "negate",
    "_<_": "less", "_<=_": "less_or_equal", "_>_": "greater", "_>=_": "greater_or_equal", "_==_": "equal",
    "_!=_": "unequal", "_in_": "is_in", "_[_]": "index", "@sortByAssociatedKeys": "sort_by_keys",
    "dyn": "as_dyn", "type": "type_of", "int": "to_int", "uint": "to_uint", "double": "to_double",
    "string": "to_string", "bool": "to_bool", "bytes": "to_bytes",
}  # fmt: skip


def name(identifier: str) -> py.expr:
    """The value of a Python name."""
    return py.Name(identifier, py.Load())


def constant(value: Any) -> py.expr:
    """A Python constant."""
    return py.Constant(value)


def assign(identifier: str, value: py.expr) -> py.stmt:
    """`identifier = value`."""
    return py.Assign([py.Name(identifier, py.Store())], value)


def is_not_none(value: py.expr) -> py.expr:
    """`value is not None`."""
    return py.Compare(value, [py.IsNot()], [constant(None)])


@record(frozen=False, eq=False)
class Block:
    """Statements that are being written.

    A `body` is run once for each element of a list: what it needs once stands in `hoisted`, which is run
    where the list holds anything. A `branch` may be run or not.
    """

    kind: Literal["function", "branch", "body"] = "function"
    statements: list[py.stmt] = field(default_factory=list)
    hoisted: list[py.stmt] = field(default_factory=list)
    known: set[str] = field(default_factory=set)


class Writer:
    """One Python function that is being written: its blocks, and the names that it uses."""

    def __init__(self) -> None:
        self.blocks = [Block()]
        self.symbols: dict[str, Symbol] = {}
        self.taken: set[str] = set()

    def fresh(self, wanted: str) -> str:
        """A Python name like `wanted` that nothing else has."""
        base = wanted + "_" if _reserved(wanted) else wanted
        made, number = base, 1
        while made in self.taken:
            number += 1
            made = f"{base}_{number}"
        self.taken.add(made)
        return made

    def emit(self, statement: py.stmt) -> None:
        """Write a statement behind the others."""
        self.blocks[-1].statements.append(statement)

    @contextmanager
    def block(self, kind: Literal["function", "branch", "body"]) -> Iterator[Block]:
        """A block inside the current one; who opens it puts its statements where they belong."""
        made = Block(kind)
        self.blocks.append(made)
        try:
            yield made
        finally:
            self.blocks.pop()

    def helper(self, identifier: str) -> py.expr:
        """A helper's name."""
        self.symbols[identifier] = ("helper", identifier)
        return name(identifier)

    def call(self, identifier: str, *arguments: py.expr) -> py.expr:
        """A call of a helper."""
        return py.Call(self.helper(identifier), list(arguments), [])

    def function(self, call: ResolvedCall) -> py.expr:
        """The name of the library's function that a call means."""
        signature = call.overloads[0].signature if len(call.overloads) == 1 else None
        identifier = _OPERATOR_NAMES.get(call.function) or re.sub(r"\W+", "_", call.function)
        if signature in extensions.EMPTY_SUMS:
            identifier = f"sum_{signature[5:].partition(')')[0]}s"
        else:
            signature = None
        if hasattr(builtins, identifier):
            identifier += "_of_values"
        self.symbols[identifier] = ("function", call.function, signature)
        return name(identifier)


def _reserved(identifier: str) -> bool:
    return (
        keyword.iskeyword(identifier)
        or hasattr(builtins, identifier)
        or identifier in HELPERS
        or identifier in ("spend", "resolve", "UNSET", "observe")
        or identifier in _OPERATOR_NAMES.values()
    )


Read = Callable[[str], py.expr]
"""How a global name is read: writes what must come before into the writer, and gives the value."""

Scope = Mapping[str, str]
"""Python names by the names that macros bind."""


class Emitter:
    """Writes one checked expression."""

    def __init__(
        self,
        writer: Writer,
        checked: Checked,
        read: Read,
        fails: Callable[[str], bool],
    ) -> None:
        """`fails` tells of a global name whether reading it can end in an error."""
        self.writer = writer
        self.checked = checked
        self.read = read
        self.fails = fails
        # Names that cel.bind binds to what may be an error: the variables that hold it, and CEL's names.
        self.late: dict[str, str] = {}
        self.late_names: set[str] = set()

    def expression(self, node: ast.Node | None = None, scope: Scope | None = None) -> py.expr:
        """The value of a node (the whole expression without one)."""
        node = node or self.checked.root
        scope = scope or {}
        made = self.visit(node, scope)
        return made if hasattr(made, "lineno") else placed(made, node)

    def visit(self, node: ast.Node, scope: Scope) -> py.expr:
        if node in self.checked.names:
            return self.read(self.checked.names[node])
        if node in self.checked.type_names:
            return self.writer.call("TypeValue", constant(self.checked.type_names[node]))
        method: Callable[[Any, Scope], py.expr] = getattr(self, f"visit_{type(node).__name__.lower()}")
        return method(node, scope)

    def type(self, node: ast.Node) -> Type:
        return self.checked.types[node]

    def boolean(self, node: ast.Node, scope: Scope) -> py.expr:
        """The value of a node that must be a bool."""
        value = self.expression(node, scope)
        if self.type(node) == t.BOOL:
            return value
        return placed(self.writer.call("boolean", value), node)

    # --- nodes ------------------------------------------------------------------------------------------

    def visit_literal(self, node: ast.Literal, scope: Scope) -> py.expr:
        return self.writer.call("Uint", constant(node.value)) if node.type == t.UINT else constant(node.value)

    def visit_identifier(self, node: ast.Identifier, scope: Scope) -> py.expr:
        bound = scope[node.name]
        error = self.late.get(bound)
        return name(bound) if error is None else self.writer.call("bound", name(bound), name(error))

    def visit_select(self, node: ast.Select, scope: Scope) -> py.expr:
        operand = self.expression(node.operand, scope)
        kind = self.type(node.operand)
        if node.test:
            if kind.kind is Kind.OBJECT and self.field_type(kind, node.field).kind is Kind.WRAPPER:
                return is_not_none(py.Attribute(operand, node.field, py.Load()))
            return self.writer.call("has_field", operand, constant(node.field))
        if kind.kind is Kind.OBJECT:
            return py.Attribute(operand, node.field, py.Load())
        if kind.kind is Kind.MAP:
            return py.Subscript(operand, constant(node.field), py.Load())
        return self.writer.call("select", operand, constant(node.field))

    def field_type(self, type_: Type, field_name: str) -> Type:
        return self.checked.environment.objects[type_.name].fields[field_name].type

    def visit_listliteral(self, node: ast.ListLiteral, scope: Scope) -> py.expr:
        return py.List([self.expression(element, scope) for element in node.elements], py.Load())

    def visit_mapliteral(self, node: ast.MapLiteral, scope: Scope) -> py.expr:
        keys = [key for key, _ in node.entries]
        texts = [key.value for key in keys if isinstance(key, ast.Literal) and isinstance(key.value, str)]
        parts = [self.expression(part, scope) for entry in node.entries for part in entry]
        if len(set(texts)) == len(keys):
            return py.Dict(list(parts[0::2]), parts[1::2])
        return self.writer.call("map_of", *parts)

    def visit_objectliteral(self, node: ast.ObjectLiteral, scope: Scope) -> py.expr:
        self.writer.symbols[node.type_name] = ("class", node.type_name)
        given = {field_name: self.expression(value, scope) for field_name, _, value in node.fields}
        fields = self.checked.environment.objects[node.type_name].fields
        arguments = [given.get(each) or self.unset(fields[each].type) for each in fields]
        return py.Call(name(node.type_name), arguments, [])

    def unset(self, type_: Type) -> py.expr:
        """What a field of an object literal is when it isn't named: null, or the type's zero."""
        if type_.kind is Kind.LIST:
            return py.List([], py.Load())
        if type_.kind is Kind.MAP:
            return py.Dict([], [])
        if type_ == t.UINT:
            return self.writer.call("Uint", constant(0))
        zeros: dict[Type, Any] = {t.BOOL: False, t.INT: 0, t.DOUBLE: 0.0, t.STRING: "", t.BYTES: b""}
        return constant(zeros.get(type_))

    def visit_bind(self, node: ast.Bind, scope: Scope) -> py.expr:
        bound = self.writer.fresh(node.variable)
        inner = {**scope, node.variable: bound}
        if not self.can_fail(node.value):
            self.writer.emit(assign(bound, self.expression(node.value, scope)))
            return self.expression(node.body, inner)
        # An error is bound as it is: it only counts where the name is read.
        self.late[bound] = error = self.writer.fresh("error")
        self.late_names.add(node.variable)
        fault = self.writer.fresh("fault")
        self.writer.emit(assign(error, constant(None)))
        with self.writer.block("branch") as attempt:
            value = self.expression(node.value, scope)
        handler = [assign(bound, constant(None)), assign(error, name(fault))]
        self.emit_try([*attempt.statements, assign(bound, value)], fault, handler)
        return self.expression(node.body, inner)

    def visit_call(self, node: ast.Call, scope: Scope) -> py.expr:
        call = self.checked.calls[node]
        if call.function == "_&&_":
            return self.logic(call.arguments, scope, decisive=False)
        if call.function == "_||_":
            return self.logic(call.arguments, scope, decisive=True)
        if call.function == "_?_:_":
            return self.conditional(call.arguments, scope)
        if call.function == "!_":
            return py.UnaryOp(py.Not(), self.boolean(call.arguments[0], scope))
        if call.function == "format":
            text = self.format(call.arguments, scope)
            if text is not None:
                return text
        arguments = [self.expression(argument, scope) for argument in call.arguments]
        types = [self.type(argument) for argument in call.arguments]
        return self.fold(self.special(call, arguments, types) or self.general(call, arguments))

    def general(self, call: ResolvedCall, arguments: list[py.expr]) -> py.expr:
        if call.variadic:
            arguments = [py.List(arguments, py.Load())]
        inside_loop = any(block.kind == "body" for block in self.writer.blocks)
        lists = {Kind.LIST, Kind.MAP, Kind.DYN}
        if inside_loop and not call.variadic:
            arguments = [
                py.Call(name("spend"), [made], []) if self.type(node).kind in lists else made
                for made, node in zip(arguments, call.arguments, strict=True)
            ]
        return py.Call(self.writer.function(call), arguments, [])

    # --- operators and functions on values whose types are known ------------------------------------------

    def special(self, call: ResolvedCall, arguments: list[py.expr], types: list[Type]) -> py.expr | None:
        function = call.function
        if function in ("_==_", "_!=_"):
            return self.equality(arguments, types, equal_=function == "_==_")
        exact = types[0] if len(set(types)) == 1 and types[0] in _SCALARS else None
        if function in _COMPARISONS and exact is not None:
            return py.Compare(arguments[0], [_COMPARISONS[function]()], [arguments[1]])
        if function in ("_+_", "_-_", "_*_", "_/_", "_%_", "-_"):
            return self.arithmetic(function, arguments, types, exact)
        if function == "_in_":
            return self.membership(arguments, types)
        if function == "_[_]":
            if types[0].kind is Kind.LIST and types[1] == t.INT:
                return self.writer.call("element", *arguments)
            if types[0].kind is Kind.MAP and types[0].key == types[1] and types[1] in _HASHED:
                return py.Subscript(arguments[0], arguments[1], py.Load())
            return None
        if function == "size" and (types[0].kind in (Kind.LIST, Kind.MAP) or exact in (t.STRING, t.BYTES)):
            return _builtin("len", *arguments)
        if function in ("math.least", "math.greatest") and len(arguments) > 1 and exact in (t.INT, t.DOUBLE):
            return _builtin("min" if function == "math.least" else "max", *arguments)
        if function in ("min", "max") and types[0].kind is Kind.LIST and types[0].element in _SCALARS:
            return self.writer.call("least_of" if function == "min" else "greatest_of", *arguments)
        if function == "sum" and types[0] == t.list_of(t.INT):
            return self.writer.call("sum_ints", *arguments)
        return self.conversion(function, arguments, exact)

    def conversion(self, function: str, arguments: list[py.expr], exact: Type | None) -> py.expr | None:
        value = arguments[0]
        if function == "dyn" or (exact is not None and function == exact.name and exact is not t.BYTES):
            return value
        if function == "double" and exact in (t.INT, t.UINT):
            return _builtin("float", value)
        if function == "string" and exact == t.INT:
            return _builtin("str", value)
        if exact == t.STRING and function == "contains":
            return py.Compare(arguments[1], [py.In()], [value])
        if exact == t.STRING and function in ("startsWith", "endsWith"):
            return py.Call(py.Attribute(value, function.lower(), py.Load()), [arguments[1]], [])
        return None

    def equality(self, arguments: list[py.expr], types: list[Type], *, equal_: bool) -> py.expr:
        first, second = types
        if Kind.NULL in (first.kind, second.kind):
            operand = arguments[0] if second.kind is Kind.NULL else arguments[1]
            if isinstance(operand, py.Constant):
                return constant((operand.value is None) is equal_)
            return py.Compare(operand, [py.Is() if equal_ else py.IsNot()], [constant(None)])
        operator: py.cmpop = py.Eq() if equal_ else py.NotEq()
        if _unwrapped(first) == _unwrapped(second) and _unwrapped(first) in _SCALARS:
            return py.Compare(arguments[0], [operator], [arguments[1]])
        if first == second and first.kind is Kind.LIST and first.element in _EXACT_EQUALITY:
            return py.Compare(arguments[0], [operator], [arguments[1]])
        same = self.writer.call("equal", *arguments)
        return same if equal_ else py.UnaryOp(py.Not(), same)

    def arithmetic(
        self, function: str, arguments: list[py.expr], types: list[Type], exact: Type | None
    ) -> py.expr | None:
        if function == "-_":
            negative = py.UnaryOp(py.USub(), arguments[0])
            if exact == t.DOUBLE:
                return negative
            return self.writer.call("int64", negative) if exact == t.INT else None
        if exact == t.DOUBLE and function == "_/_":
            divisor = arguments[1]
            if isinstance(divisor, py.Constant) and divisor.value:
                return py.BinOp(arguments[0], py.Div(), divisor)
            return self.writer.call("divide_doubles", *arguments)
        if exact == t.INT and function in ("_/_", "_%_"):
            return self.writer.call("divide_ints" if function == "_/_" else "modulo_ints", *arguments)
        if exact in (t.INT, t.DOUBLE):
            made = py.BinOp(arguments[0], _ARITHMETIC[function](), arguments[1])
            return made if exact == t.DOUBLE else self.writer.call("int64", made)
        joined = all(type_.kind is Kind.LIST for type_ in types) or exact in (t.STRING, t.BYTES)
        return self.writer.call("concat", *arguments) if function == "_+_" and joined else None

    def membership(self, arguments: list[py.expr], types: list[Type]) -> py.expr | None:
        item, container = types
        if (
            container.kind not in (Kind.LIST, Kind.MAP)
            or item not in _HASHED
            or container.parameters[0] != item
        ):
            return None
        within = arguments[1]
        if isinstance(within, py.List) and all(isinstance(each, py.Constant) for each in within.elts):
            within = py.Tuple(within.elts, py.Load())
        elif any(block.kind == "body" for block in self.writer.blocks) and container.kind is Kind.LIST:
            within = py.Call(name("spend"), [within], [])
        return py.Compare(arguments[0], [py.In()], [within])

    def format(self, parts: Sequence[ast.Node], scope: Scope) -> py.expr | None:
        """`format` of a template and a list that are both written out: its pieces joined."""
        template, values = parts
        if not (isinstance(template, ast.Literal) and isinstance(values, ast.ListLiteral)):
            return None
        try:
            pieces = list(extensions.format_pieces(str(template.value)))
        except CelError:
            return None
        if sum(isinstance(piece, tuple) for piece in pieces) != len(values.elements):
            return None
        made: list[py.expr] = []
        elements = iter(values.elements)
        for piece in pieces:
            if isinstance(piece, str):
                made.append(constant(piece))
                continue
            node = next(elements)
            value, type_ = self.expression(node, scope), self.type(node)
            if piece[0] == "s" and type_ == t.STRING:
                made.append(value)
            elif piece[0] == "d" and type_ == t.INT:
                made.append(_builtin("str", value))
            elif piece[0] == "f" and type_ == t.DOUBLE:
                digits = 6 if piece[1] is None else piece[1]
                made.append(self.writer.call("format_fixed", constant(f"%.{digits}f"), value))
            else:
                made.append(self.writer.call("format_clause", *map(constant, piece), value))
        joined = py.Tuple(made, py.Load())
        return py.Call(py.Attribute(constant(""), "join", py.Load()), [joined], [])

    def fold(self, made: py.expr) -> py.expr:
        """The value of an operation on constants; what would end in an error stays as it is."""
        if not _on_constants(made):
            return made
        tree = py.fix_missing_locations(py.Expression(copy.deepcopy(made)))
        try:
            value = eval(compile(tree, "<constant>", "eval"), link(self.writer.symbols, {}, {}))
        except FAULTS:
            return made
        return constant(value) if type(value) in (int, float, str, bool) else made

    # --- logic --------------------------------------------------------------------------------------------

    def logic(self, arguments: Sequence[ast.Node], scope: Scope, *, decisive: bool) -> py.expr:
        """`&&` (false decides) or `||` (true decides)."""
        left, right = arguments
        if self.can_fail(left):
            return self.absorbing(left, right, scope, decisive=decisive)
        first = self.boolean(left, scope)
        with self.writer.block("branch") as block:
            second = self.boolean(right, scope)
        if not block.statements:
            return py.BoolOp(py.Or() if decisive else py.And(), [first, second])
        decided = self.writer.fresh("decided")
        self.writer.emit(assign(decided, first))
        undecided = py.UnaryOp(py.Not(), name(decided)) if decisive else name(decided)
        self.writer.emit(py.If(undecided, [*block.statements, assign(decided, second)], []))
        return name(decided)

    def absorbing(self, left: ast.Node, right: ast.Node, scope: Scope, *, decisive: bool) -> py.expr:
        """Logic whose left side may end in an error, which counts only if the right side does not decide."""
        decided, fault, error = map(self.writer.fresh, ("decided", "fault", "error"))
        self.writer.emit(assign(error, constant(None)))
        with self.writer.block("branch") as attempt:
            first = self.boolean(left, scope)
        handler = [assign(error, name(fault)), assign(decided, constant(not decisive))]
        self.emit_try([*attempt.statements, assign(decided, first)], fault, handler)
        with self.writer.block("branch") as block:
            second = self.boolean(right, scope)
        failed = py.BoolOp(py.And(), [is_not_none(name(error)), _undecided(decided, decisive)])
        self.writer.emit(
            py.If(
                _undecided(decided, decisive),
                [
                    *block.statements,
                    assign(decided, second),
                    py.If(failed, [py.Raise(name(error))], []),
                ],
                [],
            )
        )
        return name(decided)

    def emit_try(self, body: list[py.stmt], fault: str, handler: list[py.stmt]) -> None:
        faults = self.writer.helper("FAULTS")
        self.writer.emit(py.Try(body, [py.ExceptHandler(faults, fault, handler)], [], []))

    def conditional(self, arguments: Sequence[ast.Node], scope: Scope) -> py.expr:
        condition = self.boolean(arguments[0], scope)
        with self.writer.block("branch") as yes:
            first = self.expression(arguments[1], scope)
        with self.writer.block("branch") as no:
            second = self.expression(arguments[2], scope)
        if not yes.statements and not no.statements:
            return py.IfExp(condition, first, second)
        chosen = self.writer.fresh("chosen")
        self.writer.emit(
            py.If(
                condition,
                [*yes.statements, assign(chosen, first)],
                [*no.statements, assign(chosen, second)],
            )
        )
        return name(chosen)

    # --- macros -------------------------------------------------------------------------------------------

    def visit_comprehension(self, node: ast.Comprehension, scope: Scope) -> py.expr:
        elements = self.elements(node, scope)
        variable = self.writer.fresh(node.variable)
        inner = {**scope, node.variable: variable}
        absorbs = node.macro in ("all", "exists") and (
            self.can_fail(node.body) or self.type(node.body) != t.BOOL
        )
        write = self.expression if node.macro == "map" else self.boolean
        with self.writer.block("body") as body:
            test = self.boolean(node.condition, inner) if node.condition else None
            if test is None:
                value, rest = write(node.body, inner), body
            else:
                with self.writer.block("branch") as rest:
                    value = write(node.body, inner)
        if body.hoisted:
            listed = self.writer.fresh("listed")
            self.writer.emit(assign(listed, elements))
            self.writer.emit(py.If(name(listed), body.hoisted, []))
            elements = name(listed)
        target = py.Name(variable, py.Store())
        if absorbs:
            return self.quantified(node.macro == "exists", target, elements, rest.statements, value)
        if body.statements or rest.statements:
            before = [] if rest is body else body.statements
            return self.looped(node.macro, target, elements, before, test, rest.statements, value)
        loop = py.comprehension(target, elements, [test] if test is not None else [], 0)
        if node.macro == "map":
            return py.ListComp(value, [loop])
        if node.macro in ("all", "exists"):
            return _builtin("all" if node.macro == "all" else "any", py.GeneratorExp(value, [loop]))
        loop.ifs.append(value)
        return _finished(node.macro, py.ListComp(name(variable), [loop]))

    def elements(self, node: ast.Comprehension, scope: Scope) -> py.expr:
        """The list that a macro goes over, its length counted against the budget."""
        made = self.expression(node.range, scope)
        kind = self.type(node.range).kind
        if kind is Kind.MAP:
            made = _builtin("list", made)
        elif kind is not Kind.LIST:
            made = self.writer.call("elements", made)
        return placed(py.Call(name("spend"), [made], []), node)

    def looped(
        self,
        macro: str,
        target: py.Name,
        elements: py.expr,
        before: list[py.stmt],
        test: py.expr | None,
        rest: list[py.stmt],
        value: py.expr,
    ) -> py.expr:
        """A macro whose parts take several statements, as a loop."""
        kept = self.writer.fresh("kept")
        self.writer.emit(assign(kept, py.List([], py.Load())))

        def append(what: py.expr) -> py.stmt:
            return py.Expr(py.Call(py.Attribute(name(kept), "append", py.Load()), [what], []))

        if macro == "map":
            rest = [*rest, append(value)]
        else:
            verdict: list[py.stmt] = [append(name(target.id))]
            if macro in ("all", "exists"):  # the first element that decides is enough
                value = py.UnaryOp(py.Not(), value) if macro == "all" else value
                verdict.append(py.Break())
            rest = [*rest, py.If(value, verdict, [])]
        body = [*before, *([py.If(test, rest, [])] if test is not None else rest)]
        self.writer.emit(py.For(target, elements, body, []))
        return _finished(macro, name(kept))

    def quantified(
        self, exists: bool, target: py.Name, elements: py.expr, before: list[py.stmt], value: py.expr
    ) -> py.expr:
        """`exists` or `all` whose body may end in errors, which count only if no element decides."""
        decided, holds, fault, error = map(self.writer.fresh, ("decided", "holds", "fault", "error"))
        self.writer.emit(assign(decided, constant(not exists)))
        self.writer.emit(assign(error, constant(None)))
        handler = [
            assign(error, py.BoolOp(py.Or(), [name(error), name(fault)])),
            py.Continue(),
        ]
        faults = self.writer.helper("FAULTS")
        attempt = py.Try([*before, assign(holds, value)], [py.ExceptHandler(faults, fault, handler)], [], [])
        test = name(holds) if exists else py.UnaryOp(py.Not(), name(holds))
        verdict = py.If(test, [assign(decided, constant(exists)), py.Break()], [])
        otherwise = py.If(is_not_none(name(error)), [py.Raise(name(error))], [])
        self.writer.emit(py.For(target, elements, [attempt, verdict], [otherwise]))
        return name(decided)

    # --- what can end in an error -------------------------------------------------------------------------

    def can_fail(self, node: ast.Node) -> bool:
        """False where it is sure that evaluating the node doesn't end in an error."""
        if node in self.checked.names:
            return self.fails(self.checked.names[node])
        if isinstance(node, ast.Identifier) and node.name in self.late_names:
            return True
        if isinstance(node, (ast.Literal, ast.Identifier)) or node in self.checked.type_names:
            return False
        if any(map(self.can_fail, node.children())):
            return True
        if isinstance(node, ast.Select):
            return self.type(node.operand).kind is not Kind.OBJECT
        if isinstance(node, ast.Call):
            return not self.is_safe(self.checked.calls[node])
        if isinstance(node, ast.Comprehension):
            tests = [node.condition] if node.condition else [] if node.macro == "map" else [node.body]
            listed = self.type(node.range).kind in (Kind.LIST, Kind.MAP)
            return not listed or any(self.type(test) != t.BOOL for test in tests if test)
        return isinstance(node, ast.MapLiteral)

    def is_safe(self, call: ResolvedCall) -> bool:
        """A call that never ends in an error, given arguments of these types."""
        types = [self.type(argument) for argument in call.arguments]
        if call.function in ("_==_", "_!=_", "type", "dyn"):
            return True
        exact = types[0] if len(set(types)) == 1 and types[0] in _SCALARS else None
        if call.function in _COMPARISONS:
            return exact is not None
        if call.function in ("_&&_", "_||_", "!_"):
            return exact == t.BOOL
        if call.function == "_?_:_":
            return types[0] == t.BOOL
        if call.function in ("_+_", "_-_", "_*_", "_/_", "-_"):
            return exact == t.DOUBLE
        if call.function == "_in_":
            return types[0] in _HASHED and types[1].kind in (Kind.LIST, Kind.MAP)
        if call.function == "size":
            return types[0].kind in (Kind.LIST, Kind.MAP) or exact in (t.STRING, t.BYTES)
        if call.function == "double":
            return exact in (t.INT, t.UINT, t.DOUBLE)
        if call.function in ("math.least", "math.greatest"):
            return exact in (t.INT, t.DOUBLE)
        return exact == t.STRING and call.function in ("contains", "startsWith", "endsWith")


_IMPURE = ("resolve", "spend", "TypeValue", "observe")


def placed(made: py.expr, node: ast.Node) -> py.expr:
    """The same, at the node's place."""
    made.lineno = made.end_lineno = node.position + 1
    made.col_offset = made.end_col_offset = 0
    return made


def _on_constants(made: py.expr) -> bool:
    """True of constants, and of operations and calls of functions on them."""
    if isinstance(made, py.Constant):
        return True
    if isinstance(made, py.Call):
        pure = isinstance(made.func, py.Name) and made.func.id not in _IMPURE
        return pure and bool(made.args) and all(map(_on_constants, made.args))
    if isinstance(made, (py.BinOp, py.UnaryOp, py.Compare)):
        return all(_on_constants(each) for each in py.iter_child_nodes(made) if isinstance(each, py.expr))
    return False


def _unwrapped(type_: Type) -> Type:
    return type_.element if type_.kind is Kind.WRAPPER else type_


def _undecided(decided: str, decisive: bool) -> py.expr:
    return py.UnaryOp(py.Not(), name(decided)) if decisive else name(decided)


def _builtin(identifier: str, *arguments: py.expr) -> py.expr:
    return py.Call(name(identifier), list(arguments), [])


def _finished(macro: str, kept: py.expr) -> py.expr:
    """A macro's value, given the elements that it kept."""
    if macro == "exists_one":
        return py.Compare(_builtin("len", kept), [py.Eq()], [constant(1)])
    if macro == "exists":
        return _builtin("bool", kept)
    return py.UnaryOp(py.Not(), kept) if macro == "all" else kept
