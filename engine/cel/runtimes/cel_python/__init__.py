"""The portable runtime: cel-python's interpreter, kept to CEL's semantics.

cel-python walks a parse tree. This module gives it a tree made from the checked expression, without the
chains of single children that the grammar leaves, and with every call resolved. What its evaluator does
otherwise than CEL is overridden here: `&&`, `||`, `?:` and the macros stop early and absorb errors, `has()`
tests presence instead of swallowing errors, map literals don't hide errors, names are resolved lazily.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import celpy
from celpy import celtypes
from celpy.evaluation import Activation, CELEvalError, Evaluator
from lark import Token, Tree
from lark.tree import Meta

from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.budget import Budget
from engine.cel.celtypes import Kind, ObjectType, Type
from engine.cel.checker import Checked, ResolvedCall
from engine.cel.runtimes.cel_python.operators import (
    OPERATORS,
    Function,
    celpy_type_name,
    extension,
    from_celpy,
    key_value,
    map_key,
    spending,
    to_celpy,
)
from engine.cel.runtimes.protocol import Native, Program, Scope
from engine.cel.values import CelError, OptionalValue, TypeValue, Uint, Value

_ParseTree = Tree[Any]

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
    """The portable runtime: cel-python's InterpretedRunner (`--runtime cel-python`)."""

    name = "cel-python"

    def __init__(self, objects: Mapping[str, ObjectType]) -> None:
        self.objects = objects
        self.environment = _Environment()

    def compile(self, checked: Checked) -> Program:
        """Compile a checked expression."""
        builder = _TreeBuilder(checked, self.objects)
        tree = builder.build(checked.root)
        return _CelPythonProgram(_Runner(self.environment, tree, builder.functions))

    def encode(self, value: Value, type_: Type) -> Native:
        """Convert a plain value to cel-python's types."""
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
        """Convert cel-python's value to plain Python."""
        return from_celpy(value)


RUNTIME = CelPythonRuntime


class _Environment(celpy.Environment):
    """An environment without a parser: the engine has parsed already, and building a second takes 0.15 s."""

    def __init__(self) -> None:
        self.package = None
        self.annotations = {}


class _Runner(celpy.InterpretedRunner):
    """cel-python's interpreted runner with the engine's evaluator."""

    def __init__(
        self, environment: celpy.Environment, tree: _ParseTree, functions: Mapping[str, Function]
    ) -> None:
        super().__init__(environment, tree, dict(functions))
        # It holds functions only, and is read only: one serves every evaluation.
        self.activation = self.new_activation()

    def run(self, scope: Scope, budget: Budget) -> Native:
        with spending(budget.spend):
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
    """The builder of the tree that the evaluator walks, from a checked expression."""

    def __init__(self, checked: Checked, objects: Mapping[str, ObjectType]) -> None:
        self.checked = checked
        self.objects = objects
        self.functions: dict[str, Function] = dict(OPERATORS)

    def tree(self, data: str, children: list[Any], node: ast.Node) -> _ParseTree:
        meta = Meta()  # type: ignore[no-untyped-call]
        meta.line, meta.column, meta.empty = 1, node.position + 1, False
        return Tree(data, children, meta)

    def constant(self, value: Native, node: ast.Node) -> _ParseTree:
        return self.tree("constant", [value], node)

    def build(self, node: ast.Node) -> _ParseTree:
        if node in self.checked.names:
            return self.tree("global_name", [self.checked.names[node]], node)
        if node in self.checked.type_names:
            return self.constant(TypeValue(self.checked.type_names[node]), node)
        method = getattr(self, f"build_{type(node).__name__.lower()}")
        tree: _ParseTree = method(node)
        return tree

    def build_literal(self, node: ast.Literal) -> _ParseTree:
        value = Uint(node.value) if node.type == t.UINT else node.value  # type: ignore[call-overload]
        return self.constant(to_celpy(value), node)

    def build_identifier(self, node: ast.Identifier) -> _ParseTree:
        return self.tree("local_name", [node.name], node)

    def build_select(self, node: ast.Select) -> _ParseTree:
        operand = self.build(node.operand)
        if node.test:
            return self.tree("presence", [operand, node.field, self.unset_test(node.operand)], node)
        if self.checked.types[node.operand].kind is Kind.OPTIONAL:
            return self.tree("optional_select", [operand, node.field, self.unset_test(node.operand)], node)
        return self.tree("member_dot", [operand, Token("IDENT", node.field)], node)

    def unset_test(self, node: ast.Node) -> Callable[[Native], bool]:
        """Return the test for a field that is not set: null, or outside of declared types empty."""
        type_ = self.checked.types[node].exact
        type_ = type_.element.exact if type_.kind is Kind.OPTIONAL else type_
        if type_.kind is not Kind.OBJECT:
            return _is_set
        return _is_null if self.objects[type_.name].declared else _is_unset

    def build_call(self, node: ast.Call) -> _ParseTree:
        call = self.checked.calls[node]
        if call.function in _BINARY:
            data, operator = _BINARY[call.function]
            left, right = (self.build(argument) for argument in call.arguments)
            return self.tree(data, [Tree(operator, [left]), right], node)
        if call.function == "_?._":
            operand, field = call.arguments
            assert isinstance(field, ast.Literal)
            unset_test = self.unset_test(operand)
            return self.tree("optional_select", [self.build(operand), field.value, unset_test], node)
        children = [self.build(argument) for argument in call.arguments]
        if call.function in ("or", "orValue"):
            return self.tree("optional_or", [*children, call.function], node)
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
        """Return the function's name in this expression's table; extensions are added on first use."""
        if call.function in OPERATORS:
            return call.function
        signature = call.overloads[0].signature if len(call.overloads) == 1 else None
        name = f"{call.function} {signature}"
        self.functions.setdefault(name, extension(call.function, signature))
        return name

    def build_listliteral(self, node: ast.ListLiteral) -> _ParseTree:
        children = [self.build(element) for element in node.elements]
        if node.optionals:
            return self.tree("optional_list", [node.optionals, *children], node)
        return self.tree("exprlist", children, node)

    def build_mapliteral(self, node: ast.MapLiteral) -> _ParseTree:
        children = [self.build(part) for entry in node.entries for part in entry]
        return self.tree("map_literal", [node.optionals, *children], node)

    def build_objectliteral(self, node: ast.ObjectLiteral) -> _ParseTree:
        given = {name: self.build(value) for name, _, value in node.fields}
        fields = self.objects[node.type_name].fields
        for position in node.optionals:
            name = node.fields[position][0]
            unset = self.constant(_unset(fields[name].type), node)
            given[name] = self.tree("optional_or", [given[name], unset, "orValue"], node)
        children: list[Any] = [frozenset()]
        for name, field in fields.items():
            children.append(self.constant(celtypes.StringType(name), node))
            children.append(given.get(name) or self.constant(_unset(field.type), node))
        return self.tree("map_literal", children, node)

    def build_comprehension(self, node: ast.Comprehension) -> _ParseTree:
        condition = self.build(node.condition) if node.condition else None
        children = [self.build(node.range), node.variables, self.build(node.body), condition]
        return self.tree(f"macro_{node.macro}", children, node)

    def build_bind(self, node: ast.Bind) -> _ParseTree:
        return self.tree(
            "macro_bind", [self.build(node.value), (node.variable,), self.build(node.body)], node
        )


def _unset(type_: Type) -> Native:
    """Return the value of a field that an object literal omits: null, or the type's zero."""
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


_VISIT = 20
"""Steps for a node of the tree."""
_CALL = 40
"""Steps for a call of a function, besides what it charges."""


class _Evaluator(Evaluator):
    """cel-python's evaluator over the trees of _TreeBuilder.

    Errors are values on the way up (cel-python's way), so that `&&` and `||` can absorb them.
    """

    def __init__(self, tree: _ParseTree, activation: Activation, scope: Scope, budget: Budget) -> None:
        super().__init__(tree, activation)
        self.scope = scope
        self.budget = budget
        self.locals: dict[str, Native] = {}

    def visit(self, tree: _ParseTree) -> Native:
        self.budget.left -= _VISIT
        if self.budget.left < 0:
            self.budget.spend()
        value = getattr(self, tree.data)(tree)
        if isinstance(value, CELEvalError) and value.column is None and not tree.meta.empty:
            value.line, value.column = 1, tree.meta.column
        return value

    _visit_tree = visit

    def constant(self, tree: _ParseTree) -> Native:
        return tree.children[0]

    def local_name(self, tree: _ParseTree) -> Native:
        return self.locals[str(tree.children[0])]

    def global_name(self, tree: _ParseTree) -> Native:
        try:
            return self.scope.resolve(str(tree.children[0]))
        except CelError as error:
            return CELEvalError(error)

    def presence(self, tree: _ParseTree) -> Native:
        operand, field = tree.children[:2]
        is_unset = cast(Callable[[Native], bool], tree.children[2])
        value = self.visit(operand)
        if isinstance(value, CELEvalError):
            return value
        if isinstance(value, OptionalValue):
            if not value.present:
                return celtypes.BoolType(False)
            value = value.value
        if not isinstance(value, celtypes.MapType):
            return CELEvalError(f"no such overload: has() of a {_kind(value)}")
        present = field in value and not is_unset(_entry(value, field))
        return celtypes.BoolType(present)

    def optional_select(self, tree: _ParseTree) -> Native:
        children: list[Any] = tree.children
        operand, field, is_unset = children
        value = self.visit(operand)
        if isinstance(value, OptionalValue):
            if not value.present:
                return value
            value = value.value
        if isinstance(value, CELEvalError):
            return value
        if not isinstance(value, celtypes.MapType):
            return CELEvalError(f"no such overload: a {_kind(value)} has no field '{field}'")
        if field not in value or is_unset(_entry(value, field)):
            return OptionalValue()
        return OptionalValue(True, _entry(value, field))

    def optional_or(self, tree: _ParseTree) -> Native:
        """Evaluate `or` and `orValue`: the argument only where there is no value."""
        value = self.visit(tree.children[0])
        if isinstance(value, CELEvalError):
            return value
        if not isinstance(value, OptionalValue):
            return CELEvalError(f"no such overload: a {_kind(value)} where an optional is needed")
        if tree.children[2] == "orValue":
            return value.value if value.present else self.visit(tree.children[1])
        other = value if value.present else self.visit(tree.children[1])
        if isinstance(other, (OptionalValue, CELEvalError)):
            return other
        return CELEvalError(f"no such overload: a {_kind(other)} where an optional is needed")

    def optional_list(self, tree: _ParseTree) -> Native:
        optionals: Any = tree.children[0]
        children = tree.children[1:]
        result = celtypes.ListType()
        for position, child in enumerate(children):
            value = self.visit(child)
            if isinstance(value, CELEvalError):
                return value
            if position not in optionals:
                result.append(value)
            elif not isinstance(value, OptionalValue):
                return CELEvalError(f"no such overload: a {_kind(value)} where an optional is needed")
            elif value.present:
                result.append(value.value)
        return result

    def function_call(self, tree: _ParseTree) -> Native:
        name, *arguments = tree.children
        self.budget.left -= _CALL
        return self.function_eval(cast(Token, name), [self.visit(argument) for argument in arguments])

    def member_dot(self, tree: _ParseTree) -> Native:
        value = self.visit(tree.children[0])
        field = str(tree.children[1])
        if isinstance(value, CELEvalError):
            return value
        if isinstance(value, OptionalValue):
            there = value.present and isinstance(value.value, celtypes.MapType) and field in value.value
            return OptionalValue(True, _entry(value.value, field)) if there else OptionalValue()
        if not isinstance(value, celtypes.MapType):
            return CELEvalError(f"no such overload: a {_kind(value)} has no field '{field}'")
        if field not in value:
            return CELEvalError(f"no such key: '{field}'")
        return _entry(value, field)

    def expr(self, tree: _ParseTree) -> Native:
        condition = self.visit(tree.children[0])
        if isinstance(condition, CELEvalError):
            return condition
        if not isinstance(condition, celtypes.BoolType):
            return CELEvalError(f"no such overload: a {_kind(condition)} before '?'")
        return self.visit(tree.children[1 if condition else 2])

    def conditionaland(self, tree: _ParseTree) -> Native:
        return self.absorb((self.visit(child) for child in tree.children), decisive=False)

    def conditionalor(self, tree: _ParseTree) -> Native:
        return self.absorb((self.visit(child) for child in tree.children), decisive=True)

    def absorb(self, values: Iterator[Native], *, decisive: bool) -> Native:
        """Evaluate `&&` (false decides) or `||` (true decides) over values; keep the first error."""
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

    def map_literal(self, tree: _ParseTree) -> Native:
        optionals: Any = tree.children[0]
        children = tree.children[1:]
        parts = [self.visit(child) for child in children]
        result = celtypes.MapType()
        for position, (key, value) in enumerate(zip(parts[0::2], parts[1::2], strict=True)):
            for part in (key, value):
                if isinstance(part, CELEvalError):
                    return part
            if position in optionals:
                if not isinstance(value, OptionalValue):
                    return CELEvalError(f"no such overload: a {_kind(value)} where an optional is needed")
                if not value.present:
                    continue
                value = value.value
            try:
                name = map_key(key)
            except CelError as error:
                return CELEvalError(error.message)
            if name in result:
                return CELEvalError(f"duplicate key {from_celpy(key)!r}")
            dict.__setitem__(result, name, value)
        return result

    def elements(self, tree: _ParseTree) -> Native:
        value = self.visit(tree.children[0])
        if isinstance(value, CELEvalError):
            return value
        two = len(_variables(tree)) == 2
        if isinstance(value, celtypes.ListType):
            self.budget.spend(value)
            return [(celtypes.IntType(index), each) for index, each in enumerate(value)] if two else value
        if isinstance(value, celtypes.MapType):
            self.budget.spend(value)
            return [(key_value(key), _entry(value, key)) if two else key_value(key) for key in value]
        return CELEvalError(f"no such overload: a macro over a {_kind(value)}")

    def for_each(
        self, variables: Sequence[str], elements: Iterable[Native], body: _ParseTree
    ) -> Iterator[Native]:
        """Yield the body's value for each element (pair, if there are two variables), errors among them."""
        outer = self.locals
        for element in elements:
            bound = (element,) if len(variables) == 1 else element
            self.locals = {**outer, **dict(zip(variables, bound, strict=True))}
            value = self.visit(body)
            self.locals = outer
            yield value

    def macro_all(self, tree: _ParseTree) -> Native:
        return self.quantify(tree, decisive=False)

    def macro_exists(self, tree: _ParseTree) -> Native:
        return self.quantify(tree, decisive=True)

    def quantify(self, tree: _ParseTree, *, decisive: bool) -> Native:
        elements = self.elements(tree)
        if isinstance(elements, CELEvalError):
            return elements
        return self.absorb(self.for_each(_variables(tree), elements, tree.children[2]), decisive=decisive)

    def macro_exists_one(self, tree: _ParseTree) -> Native:
        kept = self.macro_filter(tree)
        return kept if isinstance(kept, CELEvalError) else celtypes.BoolType(len(kept) == 1)

    def macro_filter(self, tree: _ParseTree) -> Native:
        elements = self.elements(tree)
        if isinstance(elements, CELEvalError):
            return elements
        return self.kept(_variables(tree), elements, tree.children[2])

    def kept(self, variables: Sequence[str], elements: Iterable[Native], condition: _ParseTree) -> Native:
        kept = celtypes.ListType()
        for element, holds in zip(elements, self.for_each(variables, elements, condition), strict=True):
            if isinstance(holds, CELEvalError):
                return holds
            if not isinstance(holds, celtypes.BoolType):
                return CELEvalError(f"no such overload: a {_kind(holds)} as a macro's condition")
            if holds:
                kept.append(element)
        return kept

    def macro_map(self, tree: _ParseTree) -> Native:
        pairs = self.results(tree)
        return pairs if isinstance(pairs, CELEvalError) else celtypes.ListType(value for _, value in pairs)

    macro_transformList = macro_map

    def results(self, tree: _ParseTree) -> Native:
        """Return what a macro goes over and makes of it, as pairs, or an error."""
        elements = self.elements(tree)
        variables, (body, condition) = _variables(tree), tree.children[2:]
        if condition is not None and not isinstance(elements, CELEvalError):
            elements = self.kept(variables, elements, condition)
        if isinstance(elements, CELEvalError):
            return elements
        result = []
        for element, value in zip(elements, self.for_each(variables, elements, body), strict=True):
            if isinstance(value, CELEvalError):
                return value
            result.append((element, value))
        return result

    def macro_transformMap(self, tree: _ParseTree) -> Native:
        pairs = self.results(tree)
        if isinstance(pairs, CELEvalError):
            return pairs
        result = celtypes.MapType()
        for (key, _), value in pairs:
            dict.__setitem__(result, map_key(key), value)
        return result

    def macro_transformMapEntry(self, tree: _ParseTree) -> Native:
        pairs = self.results(tree)
        if isinstance(pairs, CELEvalError):
            return pairs
        result = celtypes.MapType()
        for _, entries in pairs:
            if not isinstance(entries, celtypes.MapType):
                return CELEvalError(f"no such overload: transformMapEntry() of a {_kind(entries)}")
            for key in entries:
                if key in result:
                    return CELEvalError(f"duplicate key {from_celpy(key_value(key))!r}")
                dict.__setitem__(result, key, _entry(entries, key))
        return result

    def macro_bind(self, tree: _ParseTree) -> Native:
        # An error is bound as it is: it only counts where the name is read, as if it were evaluated there.
        value = self.visit(tree.children[0])
        return next(self.for_each(_variables(tree), [value], tree.children[2]))


def _variables(tree: _ParseTree) -> Sequence[str]:
    """Return the names that a macro binds."""
    return cast(Sequence[str], tree.children[1])


def _kind(value: Native) -> str:
    return celpy_type_name(value)


def _entry(value: celtypes.MapType, key: Native) -> Native:
    """Return a map's value without MapType's own `__getitem__`, which raises other errors."""
    return dict.__getitem__(cast("dict[Native, Native]", value), key)


def _is_set(value: Native) -> bool:
    return False


def _is_null(value: Native) -> bool:
    return value is None


def _is_unset(value: Native) -> bool:
    """Return True for an unset field of an object: a collection is set if it is not empty."""
    return value is None or (isinstance(value, (celtypes.ListType, celtypes.MapType)) and not value)
