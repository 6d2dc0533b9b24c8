"""The portable runtime: cel-python's interpreter, kept to CEL's semantics.

cel-python walks a parse tree. This module gives it a tree made from the checked expression, without the
chains of single children that the grammar leaves, and with every call resolved. What its evaluator does
otherwise than CEL is overridden here: `&&`, `||`, `?:` and the macros stop early and absorb errors, `has()`
tests presence instead of swallowing errors, map literals don't hide errors, names are resolved lazily.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import celpy
from celpy import celtypes
from celpy.evaluation import Activation, CELEvalError, Evaluator
from lark import Token, Tree
from lark.tree import Meta

from engine.cel import ast
from engine.cel import types as t
from engine.cel.budget import Budget
from engine.cel.celpy_operators import OPERATORS, extension, from_celpy, key_value, map_key, to_celpy
from engine.cel.checker import Checked, ResolvedCall
from engine.cel.extensions import IMPLEMENTATIONS
from engine.cel.runtime import Native, Program, Scope
from engine.cel.types import Kind, ObjectType, Type
from engine.cel.values import CelError, TypeValue, Uint, Value

_RELATIONS = {
    "_<_": "relation_lt",
    "_<=_": "relation_le",
    "_>_": "relation_gt",
    "_>=_": "relation_ge",
    "_==_": "relation_eq",
    "_!=_": "relation_ne",
    "_in_": "relation_in",
}
_SUMS = {"_+_": "addition_add", "_-_": "addition_sub"}
_PRODUCTS = {"_*_": "multiplication_mul", "_/_": "multiplication_div", "_%_": "multiplication_mod"}
_BINARY = {
    **{name: ("relation", operator) for name, operator in _RELATIONS.items()},
    **{name: ("addition", operator) for name, operator in _SUMS.items()},
    **{name: ("multiplication", operator) for name, operator in _PRODUCTS.items()},
}


class CelPythonRuntime:
    """Evaluates with cel-python's InterpretedRunner."""

    name = "cel-python"

    def __init__(self, objects: Mapping[str, ObjectType]) -> None:
        self.objects = objects
        self.environment = _Environment()

    def compile(self, checked: Checked) -> Program:
        """A program for a checked expression."""
        builder = _TreeBuilder(checked, self.objects)
        tree = builder.build(checked.root)
        return _CelPythonProgram(_Runner(self.environment, tree, builder.functions))

    def encode(self, value: Value, type_: Type) -> Native:
        """A plain value as cel-python's types."""
        if value is None:
            return None
        if type_.kind is Kind.WRAPPER:
            return self.encode(value, type_.element)
        if type_.kind is Kind.LIST:
            return celtypes.ListType([self.encode(element, type_.element) for element in value])
        if type_.kind is Kind.MAP:
            return celtypes.MapType(
                {map_key(self.encode(k, type_.key)): self.encode(v, type_.value) for k, v in value.items()}
            )
        if type_.kind is Kind.OBJECT:
            fields = self.objects[type_.name].fields
            return celtypes.MapType(
                {celtypes.StringType(name): self.encode(value[name], fields[name].type) for name in fields}
            )
        if type_ == t.UINT:
            return celtypes.UintType(value)
        return to_celpy(value)

    def decode(self, value: Native, type_: Type) -> Value:
        """cel-python's value as plain Python."""
        return from_celpy(value)


class _Environment(celpy.Environment):
    """An environment without a parser: the engine has parsed already, and building a second takes 0.15 s."""

    def __init__(self) -> None:
        self.package = None
        self.annotations = {}


class _Runner(celpy.InterpretedRunner):
    """cel-python's interpreted runner with the engine's evaluator."""

    def __init__(self, environment: celpy.Environment, tree: Tree[Any], functions: Mapping[str, Any]) -> None:
        super().__init__(environment, tree, dict(functions))
        # It holds functions only, and is read only: one serves every evaluation.
        self.activation = self.new_activation()

    def run(self, scope: Scope, budget: Budget) -> Native:
        return _Evaluator(self.ast, self.activation, scope, budget).evaluate()


class _CelPythonProgram:
    def __init__(self, runner: _Runner) -> None:
        self.runner = runner

    def evaluate(self, scope: Scope, budget: Budget) -> Native:
        try:
            return self.runner.run(scope, budget)
        except CELEvalError as error:
            cause = error.args[0] if error.args else "error"
            if isinstance(cause, CelError):
                raise cause from None
            offset = None if error.column is None else error.column - 1
            raise CelError(str(cause)[:300], offset) from None
        except RecursionError:
            raise CelError("nested too deeply to evaluate") from None


class _TreeBuilder:
    """From a checked expression to the tree that the evaluator walks."""

    def __init__(self, checked: Checked, objects: Mapping[str, ObjectType]) -> None:
        self.checked = checked
        self.objects = objects
        self.functions: dict[str, Any] = dict(OPERATORS)

    def tree(self, data: str, children: list[Any], node: ast.Node) -> Tree[Any]:
        meta = Meta()  # type: ignore[no-untyped-call]
        meta.line, meta.column, meta.empty = 1, node.position + 1, False
        return Tree(data, children, meta)

    def constant(self, value: Native, node: ast.Node) -> Tree[Any]:
        return self.tree("constant", [value], node)

    def build(self, node: ast.Node) -> Tree[Any]:
        if node in self.checked.names:
            return self.tree("global_name", [self.checked.names[node]], node)
        if node in self.checked.type_names:
            return self.constant(TypeValue(self.checked.type_names[node]), node)
        method = getattr(self, f"build_{type(node).__name__.lower()}")
        tree: Tree[Any] = method(node)
        return tree

    def build_literal(self, node: ast.Literal) -> Tree[Any]:
        value = Uint(node.value) if node.type == t.UINT else node.value  # type: ignore[call-overload]
        return self.constant(to_celpy(value), node)

    def build_identifier(self, node: ast.Identifier) -> Tree[Any]:
        return self.tree("local_name", [node.name], node)

    def build_select(self, node: ast.Select) -> Tree[Any]:
        operand = self.build(node.operand)
        if node.test:
            nullable = self.checked.types[node.operand].kind is Kind.OBJECT
            return self.tree("presence", [operand, node.field, nullable], node)
        return self.tree("member_dot", [operand, Token("IDENT", node.field)], node)

    def build_call(self, node: ast.Call) -> Tree[Any]:
        call = self.checked.calls[node]
        if call.function in _BINARY:
            data, operator = _BINARY[call.function]
            left, right = (self.build(argument) for argument in call.arguments)
            return self.tree(data, [Tree(operator, [left]), right], node)
        children = [self.build(argument) for argument in call.arguments]
        if call.function in ("_&&_", "_||_"):
            return self.tree("conditionaland" if call.function == "_&&_" else "conditionalor", children, node)
        if call.function == "_?_:_":
            return self.tree("expr", children, node)
        if call.function == "_[_]":
            return self.tree("member_index", children, node)
        if call.function in ("!_", "-_"):
            data = "unary_not" if call.function == "!_" else "unary_neg"
            return self.tree("unary", [Tree(data, []), children[0]], node)
        if call.variadic:
            children = [self.tree("exprlist", children, node)]
        name = Token("IDENT", self.function_name(call))
        name.line, name.column = 1, node.position + 1
        return self.tree("function_call", [name, *children], node)

    def function_name(self, call: ResolvedCall) -> str:
        """The function's name in this expression's table; extensions are added as they are met."""
        if call.function not in IMPLEMENTATIONS:
            return call.function
        signature = call.overloads[0].signature if len(call.overloads) == 1 else None
        name = f"{call.function} {signature}"
        self.functions.setdefault(name, extension(call.function, signature))
        return name

    def build_listliteral(self, node: ast.ListLiteral) -> Tree[Any]:
        return self.tree("exprlist", [self.build(element) for element in node.elements], node)

    def build_mapliteral(self, node: ast.MapLiteral) -> Tree[Any]:
        children = [self.build(part) for entry in node.entries for part in entry]
        return self.tree("map_literal", children, node)

    def build_objectliteral(self, node: ast.ObjectLiteral) -> Tree[Any]:
        given = {name: self.build(value) for name, _, value in node.fields}
        children: list[Tree[Any]] = []
        for name, field in self.objects[node.type_name].fields.items():
            children.append(self.constant(celtypes.StringType(name), node))
            children.append(given.get(name) or self.constant(_unset(field.type), node))
        return self.tree("map_literal", children, node)

    def build_comprehension(self, node: ast.Comprehension) -> Tree[Any]:
        condition = self.build(node.condition) if node.condition else None
        children = [self.build(node.range), node.variable, self.build(node.body), condition]
        return self.tree(f"macro_{node.macro}", children, node)

    def build_bind(self, node: ast.Bind) -> Tree[Any]:
        return self.tree("macro_bind", [self.build(node.value), node.variable, self.build(node.body)], node)


def _unset(type_: Type) -> Native:
    """What a field of an object literal is when it isn't named: null, or the type's zero."""
    zeros: dict[Type, Callable[[], Native]] = {
        t.BOOL: lambda: celtypes.BoolType(False),
        t.INT: lambda: celtypes.IntType(0),
        t.UINT: lambda: celtypes.UintType(0),
        t.DOUBLE: lambda: celtypes.DoubleType(0.0),
        t.STRING: lambda: celtypes.StringType(""),
        t.BYTES: lambda: celtypes.BytesType(b""),
    }
    if type_.kind is Kind.LIST:
        return celtypes.ListType()
    if type_.kind is Kind.MAP:
        return celtypes.MapType()
    return zeros[type_]() if type_ in zeros else None


class _Evaluator(Evaluator):
    """cel-python's evaluator over the trees of _TreeBuilder.

    Errors are values on the way up (cel-python's way), so that `&&` and `||` can absorb them.
    """

    def __init__(self, tree: Tree[Any], activation: Activation, scope: Scope, budget: Budget) -> None:
        super().__init__(tree, activation)
        self.scope = scope
        self.budget = budget
        self.locals: dict[str, Native] = {}

    def visit(self, tree: Tree[Any]) -> Native:
        value = getattr(self, tree.data)(tree)
        if isinstance(value, CELEvalError) and value.column is None and not tree.meta.empty:
            value.line, value.column = 1, tree.meta.column
        return value

    _visit_tree = visit

    def constant(self, tree: Tree[Any]) -> Native:
        return tree.children[0]

    def local_name(self, tree: Tree[Any]) -> Native:
        return self.locals[str(tree.children[0])]

    def global_name(self, tree: Tree[Any]) -> Native:
        try:
            return self.scope.resolve(str(tree.children[0]))
        except CelError as error:
            return CELEvalError(error)

    def presence(self, tree: Tree[Any]) -> Native:
        operand, field, nullable = tree.children
        value = self.visit(operand)
        if isinstance(value, CELEvalError):
            return value
        if not isinstance(value, celtypes.MapType):
            return CELEvalError(f"no such overload: has() of a {_kind(value)}")
        # A set collection of an object is one that holds something, as in protocol buffers.
        present = field in value and not (nullable and _is_unset(_entry(value, field)))
        return celtypes.BoolType(present)

    def function_call(self, tree: Tree[Any]) -> Native:
        name, *arguments = tree.children
        return self.function_eval(cast(Token, name), [self.visit(argument) for argument in arguments])

    def member_dot(self, tree: Tree[Any]) -> Native:
        value = self.visit(tree.children[0])
        field = str(tree.children[1])
        if isinstance(value, CELEvalError):
            return value
        if not isinstance(value, celtypes.MapType):
            return CELEvalError(f"no such overload: a {_kind(value)} has no field '{field}'")
        if field not in value:
            return CELEvalError(f"no such key: '{field}'")
        return _entry(value, field)

    def expr(self, tree: Tree[Any]) -> Native:
        condition = self.visit(tree.children[0])
        if isinstance(condition, CELEvalError):
            return condition
        if not isinstance(condition, celtypes.BoolType):
            return CELEvalError(f"no such overload: a {_kind(condition)} before '?'")
        return self.visit(tree.children[1 if condition else 2])

    def conditionaland(self, tree: Tree[Any]) -> Native:
        return self.absorb((self.visit(child) for child in tree.children), decisive=False)

    def conditionalor(self, tree: Tree[Any]) -> Native:
        return self.absorb((self.visit(child) for child in tree.children), decisive=True)

    def absorb(self, values: Iterator[Native], *, decisive: bool) -> Native:
        """`&&` (false decides) and `||` (true decides) over any number of values; the first error is kept."""
        error: CELEvalError | None = None
        for value in values:
            if isinstance(value, celtypes.BoolType):
                if bool(value) is decisive:
                    return value
            elif error is None:
                error = (
                    value
                    if isinstance(value, CELEvalError)
                    else CELEvalError(f"no such overload: a {_kind(value)} beside && or ||")
                )
        return celtypes.BoolType(not decisive) if error is None else error

    def map_literal(self, tree: Tree[Any]) -> Native:
        parts = [self.visit(child) for child in tree.children]
        result = celtypes.MapType()
        for key, value in zip(parts[0::2], parts[1::2], strict=True):
            for part in (key, value):
                if isinstance(part, CELEvalError):
                    return part
            try:
                name = map_key(key)
            except CelError as error:
                return CELEvalError(error.message)
            if name in result:
                return CELEvalError(f"duplicate key {from_celpy(key)!r}")
            dict.__setitem__(result, name, value)
        return result

    def elements(self, tree: Tree[Any]) -> Native:
        value = self.visit(tree.children[0])
        if isinstance(value, CELEvalError):
            return value
        if isinstance(value, celtypes.ListType):
            return self.budget.spend(value)
        if isinstance(value, celtypes.MapType):
            return self.budget.spend([key_value(key) for key in value])
        return CELEvalError(f"no such overload: a macro over a {_kind(value)}")

    def for_each(self, variable: str, elements: Any, body: Tree[Any]) -> Iterator[Native]:
        """The body's value for each element, errors among them."""
        outer = self.locals
        for element in elements:
            self.locals = {**outer, variable: element}
            value = self.visit(body)
            self.locals = outer
            yield value

    def macro_all(self, tree: Tree[Any]) -> Native:
        return self.quantify(tree, decisive=False)

    def macro_exists(self, tree: Tree[Any]) -> Native:
        return self.quantify(tree, decisive=True)

    def quantify(self, tree: Tree[Any], *, decisive: bool) -> Native:
        elements = self.elements(tree)
        if isinstance(elements, CELEvalError):
            return elements
        return self.absorb(
            self.for_each(str(tree.children[1]), elements, tree.children[2]), decisive=decisive
        )

    def macro_exists_one(self, tree: Tree[Any]) -> Native:
        kept = self.macro_filter(tree)
        return kept if isinstance(kept, CELEvalError) else celtypes.BoolType(len(kept) == 1)

    def macro_filter(self, tree: Tree[Any]) -> Native:
        elements = self.elements(tree)
        if isinstance(elements, CELEvalError):
            return elements
        return self.kept(str(tree.children[1]), elements, tree.children[2])

    def kept(self, variable: str, elements: Any, condition: Tree[Any]) -> Native:
        kept = celtypes.ListType()
        for element, holds in zip(elements, self.for_each(variable, elements, condition), strict=True):
            if isinstance(holds, CELEvalError):
                return holds
            if not isinstance(holds, celtypes.BoolType):
                return CELEvalError(f"no such overload: a {_kind(holds)} as a macro's condition")
            if holds:
                kept.append(element)
        return kept

    def macro_map(self, tree: Tree[Any]) -> Native:
        elements = self.elements(tree)
        variable, body, condition = str(tree.children[1]), tree.children[2], tree.children[3]
        if condition is not None and not isinstance(elements, CELEvalError):
            elements = self.kept(variable, elements, condition)
        if isinstance(elements, CELEvalError):
            return elements
        result = celtypes.ListType()
        for value in self.for_each(variable, elements, body):
            if isinstance(value, CELEvalError):
                return value
            result.append(value)
        return result

    def macro_bind(self, tree: Tree[Any]) -> Native:
        # An error is bound as it is: it only counts where the name is read, as if it were evaluated there.
        value = self.visit(tree.children[0])
        return next(self.for_each(str(tree.children[1]), [value], tree.children[2]))


def _kind(value: Native) -> str:
    from engine.cel.values import type_name

    return type_name(from_celpy(value))


def _entry(value: celtypes.MapType, key: Native) -> Native:
    """A map's value, past MapType's own `__getitem__`, which raises errors of its own."""
    return dict.__getitem__(cast("dict[Native, Native]", value), key)


def _is_unset(value: Native) -> bool:
    return value is None or (isinstance(value, (celtypes.ListType, celtypes.MapType)) and not value)
