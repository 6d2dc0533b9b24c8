"""Compile a checked expression to Python's own syntax tree.

What the checker knows about types makes most of CEL plain Python: an int addition is an addition with an
overflow check, a filter a list comprehension. What `dyn` leaves open calls `standard`. The result is
built as `ast` nodes and never as text, so no string of a policy can become code.

A node's place is kept as its line number: line N of the compiled code is character N - 1 of the expression.
"""

from __future__ import annotations

import ast as py
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

from engine.base.records import field, record
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.budget import Budget, BudgetError
from engine.cel.celtypes import Kind, Type
from engine.cel.checker import Checked, ResolvedCall
from engine.cel.declarations import definition
from engine.cel.functions.formatting import format_pieces
from engine.cel.runtimes import identifiers
from engine.cel.runtimes.identifiers import BOUND, EACH, FUNCTION, TEMPORARY, TYPE, identifier
from engine.cel.runtimes.link import FAULTS, Symbol, link
from engine.cel.values import CelError, Value, attribute

_SCALARS = {t.BOOL, t.INT, t.UINT, t.DOUBLE, t.STRING, t.BYTES, t.TIMESTAMP, t.DURATION}
_HASHED = {t.INT, t.STRING}
_EXACT_EQUALITY = {t.BOOL, t.INT, t.UINT}
_TEXTS = {t.STRING, t.BYTES}
_PLAIN = frozenset(
    [
        *(
            "_&&_",
            "_||_",
            "_?_:_",
            "!_",
            "-_",
            "_+_",
            "_-_",
            "_*_",
            "_/_",
            "_%_",
            "_<_",
            "_<=_",
            "_>_",
            "_>=_",
        ),
        *("_==_", "_!=_", "_in_", "_[_]", "size", "double", "dyn"),
    ]
)
"""Functions that are Python's own operation, or little more, where types are known."""
_FOLDING_STEPS = 100_000
"""Steps for all operations on constants of a function that is being written; the rest stay as they are."""
_FOLDED_NODES = 32
"""Nodes of Python's syntax of an operation on constants."""
_FOLDED_LENGTH = 4_096
"""Characters of a text that an operation on constants gives."""
_NODES_A_STEP = 4
_TRANSFORMS = frozenset({"transformList", "transformMap", "transformMapEntry"})
"""Macros that make something for each element, as `map` does."""
_COMPARISONS: dict[str, type[py.cmpop]] = {"_<_": py.Lt, "_<=_": py.LtE, "_>_": py.Gt, "_>=_": py.GtE}
_ARITHMETIC: dict[str, type[py.operator]] = {"_+_": py.Add, "_-_": py.Sub, "_*_": py.Mult}
_OPERATOR_NAMES = {
    "_+_": "plus", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "modulo", "-_": "negate",
    "_<_": "less", "_<=_": "less_or_equal", "_>_": "greater", "_>=_": "greater_or_equal", "_==_": "equal",
    "_!=_": "unequal", "_in_": "is_in", "_[_]": "index", "@sortByAssociatedKeys": "sort_by_keys",
    "dyn": "as_dyn", "type": "type_of", "int": "to_int", "uint": "to_uint", "double": "to_double",
    "_?._": "select_optional", "_[?_]": "index_optional",
    "string": "to_string", "bool": "to_bool", "bytes": "to_bytes",
}  # fmt: skip


def name(identifier: str) -> py.expr:
    """Return an expression that reads a Python name."""
    return py.Name(identifier, py.Load())


def constant(value: Value) -> py.expr:
    """Return a Python constant."""
    return py.Constant(value)


def assign(identifier: str, value: py.expr) -> py.stmt:
    """Return `identifier = value`."""
    return py.Assign([py.Name(identifier, py.Store())], value)


def is_not_none(value: py.expr) -> py.expr:
    """Return `value is not None`."""
    return py.Compare(value, [py.IsNot()], [constant(None)])


@record(frozen=False, eq=False)
class Block:
    """A block of statements under construction.

    A `body` is run once for each element of a list: what it needs once stands in `hoisted`, which is run
    where the list holds anything. A `branch` may be run or not. What ends in an error in a block that
    `absorbs` may be tried again by what follows.
    """

    kind: Literal["function", "branch", "body"] = "function"
    statements: list[py.stmt] = field(default_factory=list)
    hoisted: list[py.stmt] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    absorbs: bool = False


class Writer:
    """A Python function under construction: its blocks, and the names that it uses."""

    def __init__(self) -> None:
        self.blocks = [Block()]
        self.symbols: dict[str, Symbol] = {}
        self.taken: set[str] = set()
        self.numbers: dict[str, int] = {}  # the last number that was tried after a name
        self.folding = Budget(_FOLDING_STEPS)

    def fresh(self, prefix: str, word: str) -> str:
        """Return a Python name of that kind (see `identifiers`) that is unique in this function."""
        base = identifier(prefix, word)
        made, number = base, self.numbers.get(base, 1)
        while made in self.taken:
            number += 1
            made = f"{base}_{number}"
        self.numbers[base] = number
        self.taken.add(made)
        return made

    def emit(self, statement: py.stmt) -> None:
        """Append a statement."""
        self.blocks[-1].statements.append(statement)

    @contextmanager
    def block(self, kind: Literal["function", "branch", "body"], *, absorbs: bool = False) -> Iterator[Block]:
        """Open a block inside the current one; the caller inserts its statements."""
        made = Block(kind, absorbs=absorbs)
        self.blocks.append(made)
        try:
            yield made
        finally:
            self.blocks.pop()

    def helper(self, helper: str) -> py.expr:
        """Return an expression that reads a helper."""
        self.symbols[helper] = ("helper", helper)
        return name(helper)

    def symbols_of(self, made: py.expr) -> dict[str, Symbol]:
        """Return the symbols that an expression uses."""
        used = {each.id for each in py.walk(made) if isinstance(each, py.Name)}
        return {identifier: self.symbols[identifier] for identifier in used if identifier in self.symbols}

    def call(self, helper: str, *arguments: py.expr) -> py.expr:
        """Return a call of a helper."""
        return py.Call(self.helper(helper), list(arguments), [])

    def function(self, call: ResolvedCall) -> py.expr:
        """Return an expression that reads the library function of a call."""
        defined = definition(call.function)
        signature = call.overloads[0].signature if len(call.overloads) == 1 else None
        if signature not in defined.empty:
            signature = None
        made = function_name(call.function, signature)
        self.symbols[made] = ("function", call.function, signature, defined.module)
        return name(made)


def function_name(function: str, signature: str | None = None) -> str:
    """Return the Python name of a CEL function; `signature` if the overload has its own empty result."""
    if signature is not None:
        return identifier(FUNCTION, f"sum_{signature[5:].partition(')')[0]}s")
    return identifier(FUNCTION, _OPERATOR_NAMES.get(function) or re.sub(r"\W+", "_", function))


Read = Callable[[str], py.expr]
"""Returns an expression that reads a global name, after emitting the statements that it needs."""

Scope = Mapping[str, str]
"""The Python names of the names that macros bind."""


class Emitter:
    """The compiler of one checked expression."""

    def __init__(
        self,
        writer: Writer,
        checked: Checked,
        read: Read,
        fails: Callable[[str], bool],
    ) -> None:
        """Create it; `fails` is true for a global name that may end in an error when it is read."""
        self.writer = writer
        self.checked = checked
        self.read = read
        self.fails = fails
        # Names that cel.bind binds to what may be an error: the variables that hold it, and CEL's names.
        self.late: dict[str, str] = {}
        self.late_names: set[str] = set()

    def expression(self, node: ast.Node | None = None, scope: Scope | None = None) -> py.expr:
        """Return the value of a node, by default of the whole expression."""
        node = node or self.checked.root
        scope = scope or {}
        made = self.visit(node, scope)
        return made if hasattr(made, "lineno") else placed(made, node)

    def visit(self, node: ast.Node, scope: Scope) -> py.expr:
        if node in self.checked.names:
            return self.read(self.checked.names[node])
        if node in self.checked.type_names:
            return self.writer.call("TypeValue", constant(self.checked.type_names[node]))
        method: Callable[[ast.Node, Scope], py.expr] = getattr(self, f"visit_{type(node).__name__.lower()}")
        return method(node, scope)

    def temporary(self, word: str) -> str:
        return self.writer.fresh(TEMPORARY, word)

    def type(self, node: ast.Node) -> Type:
        return self.checked.types[node]

    def boolean(self, node: ast.Node, scope: Scope) -> py.expr:
        """Return the value of a node that must be a bool."""
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
            if kind.kind is Kind.OPTIONAL:
                return self.writer.call("has_field", operand, constant(node.field))
            if kind.kind is Kind.OBJECT and self.is_nullable(kind, node.field):
                return is_not_none(py.Attribute(operand, attribute(node.field), py.Load()))
            return self.writer.call("has_field", operand, constant(node.field))
        if kind.kind is Kind.OBJECT:
            return py.Attribute(operand, attribute(node.field), py.Load())
        if kind.kind is Kind.MAP:
            return py.Subscript(operand, constant(node.field), py.Load())
        return self.writer.call("select", operand, constant(node.field))

    def is_nullable(self, type_: Type, field_name: str) -> bool:
        """Return True for a field that is present unless it is null."""
        declared = self.checked.environment.objects[type_.name].declared
        return declared or self.field_type(type_, field_name).kind is Kind.WRAPPER

    def field_type(self, type_: Type, field_name: str) -> Type:
        return self.checked.environment.objects[type_.name].fields[field_name].type

    def visit_listliteral(self, node: ast.ListLiteral, scope: Scope) -> py.expr:
        made = [self.expression(element, scope) for element in node.elements]
        for position in node.optionals:
            made[position] = py.Starred(self.writer.call("held", made[position]), py.Load())
        return py.List(made, py.Load())

    def visit_mapliteral(self, node: ast.MapLiteral, scope: Scope) -> py.expr:
        keys = [key for key, _ in node.entries]
        texts = [key.value for key in keys if isinstance(key, ast.Literal) and isinstance(key.value, str)]
        parts = [self.expression(part, scope) for entry in node.entries for part in entry]
        if node.optionals:
            positions = py.Tuple([constant(each) for each in sorted(node.optionals)], py.Load())
            return self.writer.call("map_with", positions, *parts)
        if len(set(texts)) == len(keys):
            return py.Dict(list(parts[0::2]), parts[1::2])
        return self.writer.call("map_of", *parts)

    def visit_objectliteral(self, node: ast.ObjectLiteral, scope: Scope) -> py.expr:
        made = identifier(TYPE, node.type_name)
        self.writer.symbols[made] = ("class", node.type_name)
        given = {field_name: self.expression(value, scope) for field_name, _, value in node.fields}
        fields = self.checked.environment.objects[node.type_name].fields
        for position in node.optionals:
            field_name = node.fields[position][0]
            unset = self.unset(fields[field_name].type)
            given[field_name] = self.writer.call("held_or", given[field_name], unset)
        arguments = [given.get(each) or self.unset(fields[each].type) for each in fields]
        return py.Call(name(made), arguments, [])

    def unset(self, type_: Type) -> py.expr:
        """Return the value of a field that an object literal omits: null, or the type's zero."""
        if type_.kind is Kind.LIST:
            return py.List([], py.Load())
        if type_.kind is Kind.MAP:
            return py.Dict([], [])
        if type_ == t.UINT:
            return self.writer.call("Uint", constant(0))
        zeros: dict[Type, Value] = {t.BOOL: False, t.INT: 0, t.DOUBLE: 0.0, t.STRING: "", t.BYTES: b""}
        return constant(zeros.get(type_))

    def visit_bind(self, node: ast.Bind, scope: Scope) -> py.expr:
        bound = self.writer.fresh(BOUND, node.variable)
        inner = {**scope, node.variable: bound}
        if not self.can_fail(node.value):
            self.writer.emit(assign(bound, self.expression(node.value, scope)))
            return self.expression(node.body, inner)
        # An error is bound as it is: it only counts where the name is read.
        self.late[bound] = error = self.temporary("error")
        self.late_names.add(node.variable)
        fault = self.temporary("fault")
        self.writer.emit(assign(error, constant(None)))
        with self.writer.block("branch", absorbs=True) as attempt:
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
        if call.function in ("or", "orValue"):
            return self.otherwise(call, scope)
        arguments = [self.expression(argument, scope) for argument in call.arguments]
        if not arguments:
            return self.general(call, arguments)
        types = [self.type(argument) for argument in call.arguments]
        return self.fold(self.special(call, arguments, types) or self.general(call, arguments))

    def general(self, call: ResolvedCall, arguments: list[py.expr]) -> py.expr:
        if call.variadic:
            arguments = [py.List(arguments, py.Load())]
        if definition(call.function).takes_spend:
            arguments = [name(identifiers.SPEND), *arguments]
        return py.Call(self.writer.function(call), arguments, [])

    # --- operators and functions on values whose types are known ------------------------------------------

    def special(self, call: ResolvedCall, arguments: list[py.expr], types: list[Type]) -> py.expr | None:
        function = call.function
        if function in ("_==_", "_!=_"):
            return self.equality(arguments, types, equal_=function == "_==_")
        exact = types[0] if len(set(types)) == 1 and types[0] in _SCALARS else None
        if function in _COMPARISONS and exact in _TEXTS:
            arguments = self.charged_text(arguments)
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
            return self.paid("least_of" if function == "min" else "greatest_of", *arguments)
        if function == "sum" and types[0] == t.list_of(t.INT):
            return self.paid("sum_ints", *arguments)
        return self.conversion(function, arguments, exact)

    def conversion(self, function: str, arguments: list[py.expr], exact: Type | None) -> py.expr | None:
        value = arguments[0]
        if function == "dyn" or (exact is not None and function == exact.name and exact is not t.BYTES):
            return value
        if function == "double" and exact in (t.INT, t.UINT):
            return _builtin("float", value)
        if function == "string" and exact == t.INT:
            return _builtin("str", value)
        if exact == t.STRING and function in ("startsWith", "endsWith"):
            (part,) = self.charged_text(arguments[1:])
            return py.Call(py.Attribute(value, function.lower(), py.Load()), [part], [])
        return None

    def paid(self, identifier: str, *arguments: py.expr) -> py.expr:
        """Return a call of a helper that charges for its work."""
        return self.writer.call(identifier, name(identifiers.SPEND), *arguments)

    def charged_text(self, arguments: list[py.expr]) -> list[py.expr]:
        """Return operands of a text comparison: its work is bounded by a constant, or charged."""
        if any(isinstance(each, py.Constant) for each in arguments):
            return arguments
        return [self.paid("read_text", arguments[0]), *arguments[1:]]

    def equality(self, arguments: list[py.expr], types: list[Type], *, equal_: bool) -> py.expr:
        first, second = types
        if Kind.NULL in (first.kind, second.kind):
            operand = arguments[0] if second.kind is Kind.NULL else arguments[1]
            if isinstance(operand, py.Constant):
                return constant((operand.value is None) is equal_)
            return py.Compare(operand, [py.Is() if equal_ else py.IsNot()], [constant(None)])
        operator: py.cmpop = py.Eq() if equal_ else py.NotEq()
        if first.exact == second.exact and first.exact in _TEXTS:
            arguments = self.charged_text(arguments)
        if first.exact == second.exact and first.exact in _SCALARS:
            return py.Compare(arguments[0], [operator], [arguments[1]])
        if first == second and first.kind is Kind.LIST and first.element in _EXACT_EQUALITY:
            return py.Compare(py.Call(name(identifiers.SPEND), arguments[:1], []), [operator], arguments[1:])
        same = self.paid("equal", *arguments)
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
        return self.paid("concat", *arguments) if function == "_+_" and joined else None

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
        elif container.kind is Kind.LIST and item == t.STRING:
            return self.paid("text_in", *arguments)
        elif container.kind is Kind.LIST:
            within = py.Call(name(identifiers.SPEND), [within], [])
        return py.Compare(arguments[0], [py.In()], [within])

    def format(self, parts: Sequence[ast.Node], scope: Scope) -> py.expr | None:
        """Compile `format` of a literal template and a literal list to a join of its pieces."""
        template, values = parts
        if not (isinstance(template, ast.Literal) and isinstance(values, ast.ListLiteral)):
            return None
        try:
            pieces = list(format_pieces(str(template.value)))
        except CelError:
            return None
        if sum(isinstance(piece, tuple) for piece in pieces) != len(values.elements):
            return None
        made: list[py.expr] = []
        bounded = True
        elements = iter(values.elements)
        for piece in pieces:
            if isinstance(piece, str):
                made.append(constant(piece))
                continue
            node = next(elements)
            value, type_ = self.expression(node, scope), self.type(node)
            if piece[0] == "s" and type_ == t.STRING:
                made.append(value)
                bounded = bounded and isinstance(value, py.Constant)
            elif piece[0] == "d" and type_ == t.INT:
                made.append(_builtin("str", value))
            elif piece[0] == "f" and type_ == t.DOUBLE:
                digits = 6 if piece[1] is None else piece[1]
                made.append(self.writer.call("format_fixed", constant(f"%.{digits}f"), value))
            else:
                made.append(self.paid("format_clause", *map(constant, piece), value))
                bounded = bounded and type_ in (t.BOOL, t.INT, t.UINT, t.DOUBLE)
        joined = py.Tuple(made, py.Load())
        if not bounded:
            return self.paid("join_pieces", joined)
        return py.Call(py.Attribute(constant(""), "join", py.Load()), [joined], [])

    def fold(self, made: py.expr) -> py.expr:
        """Fold an operation on constants; one that would end in an error is left as it is."""
        if not _on_constants(made):
            return made
        tree = py.fix_missing_locations(py.Expression(copy.deepcopy(made)))
        functions = link(self.writer.symbols_of(made), {}, {})
        functions[identifiers.SPEND] = self.writer.folding.spend
        try:
            value = eval(compile(tree, "<constant>", "eval"), functions)
        except (*FAULTS, BudgetError):
            return made
        if type(value) is str and len(value) > _FOLDED_LENGTH:
            return made
        return constant(value) if type(value) in (int, float, str, bool) else made

    # --- logic --------------------------------------------------------------------------------------------

    def logic(self, arguments: Sequence[ast.Node], scope: Scope, *, decisive: bool) -> py.expr:
        """Compile `&&` (false decides) or `||` (true decides)."""
        left, right = arguments
        if self.can_fail(left):
            return self.absorbing(left, right, scope, decisive=decisive)
        first = self.boolean(left, scope)
        with self.writer.block("branch") as block:
            second = self.boolean(right, scope)
        if not block.statements:
            return py.BoolOp(py.Or() if decisive else py.And(), [first, second])
        decided = self.temporary("decided")
        self.writer.emit(assign(decided, first))
        undecided = py.UnaryOp(py.Not(), name(decided)) if decisive else name(decided)
        self.writer.emit(py.If(undecided, [*block.statements, assign(decided, second)], []))
        return name(decided)

    def absorbing(self, left: ast.Node, right: ast.Node, scope: Scope, *, decisive: bool) -> py.expr:
        """Compile logic whose left side may fail; the error counts only if the right side does not decide."""
        decided, fault, error = map(self.temporary, ("decided", "fault", "error"))
        self.writer.emit(assign(error, constant(None)))
        with self.writer.block("branch", absorbs=True) as attempt:
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

    def otherwise(self, call: ResolvedCall, scope: Scope) -> py.expr:
        """Compile `or` and `orValue`: the argument is evaluated where the optional has no value."""
        chosen = self.temporary("chosen")
        self.writer.emit(assign(chosen, self.expression(call.arguments[0], scope)))
        with self.writer.block("branch") as block:
            other = self.expression(call.arguments[1], scope)
            if call.function == "or" and self.type(call.arguments[1]).kind is not Kind.OPTIONAL:
                other = self.writer.call("optional", other)
        there = self.writer.call("is_present", name(chosen))
        has: list[py.stmt] = []
        if call.function == "orValue":
            has = [assign(chosen, py.Attribute(name(chosen), "value", py.Load()))]
        lacks = [*block.statements, assign(chosen, other)]
        self.writer.emit(py.If(py.UnaryOp(py.Not(), there), lacks, has))
        return name(chosen)

    def conditional(self, arguments: Sequence[ast.Node], scope: Scope) -> py.expr:
        condition = self.boolean(arguments[0], scope)
        with self.writer.block("branch") as yes:
            first = self.expression(arguments[1], scope)
        with self.writer.block("branch") as no:
            second = self.expression(arguments[2], scope)
        if not yes.statements and not no.statements:
            return py.IfExp(condition, first, second)
        chosen = self.temporary("chosen")
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
        variable = self.writer.fresh(EACH, node.variable)
        inner = {**scope, node.variable: variable}
        target: py.Name | py.Tuple = py.Name(variable, py.Store())
        if node.second is not None:
            second = self.writer.fresh(EACH, node.second)
            inner[node.second] = second
            target = py.Tuple([target, py.Name(second, py.Store())], py.Store())
        macro = "map" if node.macro in _TRANSFORMS else node.macro
        absorbs = node.macro in ("all", "exists") and (
            self.can_fail(node.body) or self.type(node.body) != t.BOOL
        )
        write = self.expression if macro == "map" else self.boolean
        with self.writer.block("body", absorbs=absorbs) as body:
            test = self.boolean(node.condition, inner) if node.condition else None
            if test is None:
                value, rest = write(node.body, inner), body
            else:
                with self.writer.block("branch") as rest:
                    value = write(node.body, inner)
        if body.hoisted:
            listed = self.temporary("listed")
            self.writer.emit(assign(listed, elements))
            self.writer.emit(py.If(name(listed), body.hoisted, []))
            elements = name(listed)
        if node.macro == "transformMap":
            value = py.Tuple([name(variable), value], py.Load())
        if absorbs:
            return self.quantified(node.macro == "exists", target, elements, rest.statements, value)
        if body.statements or rest.statements:
            before = [] if rest is body else body.statements
            made = self.looped(macro, variable, target, elements, before, test, rest.statements, value)
            return self.transformed(node.macro, made)
        loop = py.comprehension(target, elements, [test] if test is not None else [], 0)
        if macro == "map":
            return self.transformed(node.macro, py.ListComp(value, [loop]))
        if macro in ("all", "exists"):
            return _builtin("all" if macro == "all" else "any", py.GeneratorExp(value, [loop]))
        loop.ifs.append(value)
        return _finished(macro, py.ListComp(name(variable), [loop]))

    def transformed(self, macro: str, made: py.expr) -> py.expr:
        """Return what a macro makes of the list of its results."""
        if macro == "transformMap":
            return _builtin("dict", made)
        return self.writer.call("merged", made) if macro == "transformMapEntry" else made

    def elements(self, node: ast.Comprehension, scope: Scope) -> py.expr:
        """Return the range of a macro, its length charged against the budget."""
        made = self.expression(node.range, scope)
        kind = self.type(node.range).kind
        if node.second is not None:
            made = self.writer.call("pairs", made)
        elif kind is Kind.MAP:
            made = _builtin("list", made)
        elif kind is not Kind.LIST:
            made = self.writer.call("elements", made)
        weight = self.weight(node)
        return placed(
            py.Call(name(identifiers.SPEND), [made, *([constant(weight)] if weight > 1 else [])], []), node
        )

    def weight(self, node: ast.Comprehension) -> int:
        """Return the steps per element of a macro: one, plus one for every few operations of its body.

        The body of a macro inside of it is counted for that one's elements.
        """
        operations = 1 if node.macro == "map" else 4 if node.second is not None else 0
        waiting = [node.body, *([node.condition] if node.condition is not None else [])]
        while waiting:
            each = waiting.pop()
            operations += self.operations(each)
            waiting += [each.range] if isinstance(each, ast.Comprehension) else each.children()
        return 1 + operations // _NODES_A_STEP

    def operations(self, node: ast.Node) -> int:
        """Return the operations of a node itself; reading a name is one, creating a value is more."""
        if isinstance(node, ast.ListLiteral):
            return 8 + len(node.elements)
        if isinstance(node, (ast.MapLiteral, ast.ObjectLiteral)):
            return 16 + 2 * len(node.children())
        call = self.checked.calls.get(node)
        if call is None:
            return 1
        if call.function == "format":
            template = call.arguments[0]
            text = str(template.value) if isinstance(template, ast.Literal) else ""
            written = [self.type(each) for each in call.arguments[1].children()]
            # Doubles are written digit by digit; what is a list or open is charged where it is written.
            return (
                16
                + sum(80 if each in (t.DOUBLE, t.DYN) else 8 for each in written)
                + sum(map(int, re.findall(r"(?a)\.(\d{1,3})[fe]", text)))
            )
        types = [self.type(argument) for argument in call.arguments]
        if call.function == "string" and types[0] in (t.DOUBLE, t.DYN, t.TIMESTAMP, t.DURATION):
            return 120
        open_ = any(each.kind is Kind.DYN for each in types)
        if call.function in _PLAIN and not open_:
            return 8 if self.type(node) in _TEXTS or self.type(node).kind is Kind.LIST else 1
        return definition(call.function).operations

    def looped(
        self,
        macro: str,
        variable: str,
        target: py.Name | py.Tuple,
        elements: py.expr,
        before: list[py.stmt],
        test: py.expr | None,
        rest: list[py.stmt],
        value: py.expr,
    ) -> py.expr:
        """Compile a macro whose parts take several statements to a loop."""
        kept = self.temporary("kept")
        self.writer.emit(assign(kept, py.List([], py.Load())))

        def append(what: py.expr) -> py.stmt:
            return py.Expr(py.Call(py.Attribute(name(kept), "append", py.Load()), [what], []))

        if macro == "map":
            rest = [*rest, append(value)]
        else:
            verdict: list[py.stmt] = [append(name(variable))]
            if macro in ("all", "exists"):  # the first element that decides is enough
                value = py.UnaryOp(py.Not(), value) if macro == "all" else value
                verdict.append(py.Break())
            rest = [*rest, py.If(value, verdict, [])]
        body = [*before, *([py.If(test, rest, [])] if test is not None else rest)]
        self.writer.emit(py.For(target, elements, body, []))
        return _finished(macro, name(kept))

    def quantified(
        self,
        exists: bool,
        target: py.Name | py.Tuple,
        elements: py.expr,
        before: list[py.stmt],
        value: py.expr,
    ) -> py.expr:
        """Compile `exists` or `all` whose body may fail; errors count only if no element decides."""
        decided, holds, fault, error = map(self.temporary, ("decided", "holds", "fault", "error"))
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
        """False if evaluating the node certainly does not end in an error."""
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
            if node.macro == "transformMapEntry":
                return True
            makes = node.macro == "map" or node.macro in _TRANSFORMS
            tests = [node.condition] if node.condition else [] if makes else [node.body]
            listed = self.type(node.range).kind in (Kind.LIST, Kind.MAP)
            return not listed or any(self.type(test) != t.BOOL for test in tests if test)
        if isinstance(node, (ast.ListLiteral, ast.ObjectLiteral)):
            return bool(node.optionals)
        return isinstance(node, ast.MapLiteral)

    def is_safe(self, call: ResolvedCall) -> bool:
        """True for a call that never ends in an error with arguments of these types."""
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


_IMPURE = (identifiers.RESOLVE, identifiers.SPEND, identifiers.OBSERVE, "TypeValue")


def placed(made: py.expr, node: ast.Node) -> py.expr:
    """Return the expression at the node's position."""
    made.lineno = made.end_lineno = node.position + 1
    made.col_offset = made.end_col_offset = 0
    return made


def _on_constants(made: py.expr) -> bool:
    """True for constants, and for a few operations and calls on them."""
    waiting, nodes = [made], 0
    while waiting:
        each = waiting.pop()
        nodes += 1
        if nodes > _FOLDED_NODES:
            return False
        if isinstance(each, py.Call):
            pure = isinstance(each.func, py.Name) and each.func.id not in _IMPURE
            if not pure or not each.args:
                return False
            charged = isinstance(each.args[0], py.Name) and each.args[0].id == identifiers.SPEND
            waiting += each.args[1:] if charged else each.args
        elif isinstance(each, (py.BinOp, py.UnaryOp, py.Compare)):
            waiting += [inner for inner in py.iter_child_nodes(each) if isinstance(inner, py.expr)]
        elif not isinstance(each, py.Constant):
            return False
    return True


def _undecided(decided: str, decisive: bool) -> py.expr:
    return py.UnaryOp(py.Not(), name(decided)) if decisive else name(decided)


def _builtin(identifier: str, *arguments: py.expr) -> py.expr:
    return py.Call(name(identifier), list(arguments), [])


def _finished(macro: str, kept: py.expr) -> py.expr:
    """Return a macro's value from the elements that it kept."""
    if macro == "exists_one":
        return py.Compare(_builtin("len", kept), [py.Eq()], [constant(1)])
    if macro == "exists":
        return _builtin("bool", kept)
    return py.UnaryOp(py.Not(), kept) if macro == "all" else kept
