"""Text to syntax tree: cel-python's grammar parses, this module reads its parse tree.

What CEL's own parser refuses and cel-python's lets through is refused here: reserved words as names,
literals out of range, unknown escapes, macros without a variable. Macros become nodes of their own.
"""

from __future__ import annotations

import re
from typing import Any

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from engine.cel import ast, grammar
from engine.cel.limits import EXPRESSION_DEPTH, EXPRESSION_LENGTH
from engine.cel.literals import (
    LiteralError,
    decode_bytes,
    decode_double,
    decode_int,
    decode_string,
    decode_uint,
)
from engine.cel.types import BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT

RESERVED = frozenset(
    [
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in"),
        *("let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while"),
    ]
)
_NOT_FIELDS = frozenset({"false", "in", "null", "true"})

_BINARY = {
    "relation_lt": "_<_",
    "relation_le": "_<=_",
    "relation_gt": "_>_",
    "relation_ge": "_>=_",
    "relation_eq": "_==_",
    "relation_ne": "_!=_",
    "relation_in": "_in_",
    "addition_add": "_+_",
    "addition_sub": "_-_",
    "multiplication_mul": "_*_",
    "multiplication_div": "_/_",
    "multiplication_mod": "_%_",
}
_COMPREHENSIONS = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
SORT_BY_KEYS = "@sortByAssociatedKeys"
"""cel-go's name of what its macro `list.sortBy(x, key)` expands to: `list.@…(list.map(x, key))`."""

_GAP = re.compile(r"(?:\s|//[^\n]*)*")


class CelSyntaxError(ValueError):
    """An expression that is not CEL: `offset` is where, counted in characters from its start."""

    def __init__(self, message: str, offset: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


def parse(text: str) -> ast.Node:
    """The syntax tree of `text`.

    Raises:
        CelSyntaxError: not CEL, or over a limit.
    """
    if len(text) > EXPRESSION_LENGTH:
        raise CelSyntaxError(
            f"an expression of {len(text)} characters, at most {EXPRESSION_LENGTH} are allowed", 0
        )
    if not _GAP.sub("", text, count=1):
        raise CelSyntaxError("the expression is empty", 0)
    try:
        tree = grammar.parser().parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(error, text) from None
    return _Reader(text).read(tree, 0)


def _syntax_error(error: UnexpectedInput, text: str) -> CelSyntaxError:
    if isinstance(error, UnexpectedCharacters):
        offset = error.pos_in_stream or 0
    elif isinstance(error, UnexpectedToken) and error.token.type != "$END":
        offset = error.token.start_pos or 0
    else:
        return CelSyntaxError("the expression ends too early", len(text.rstrip()))
    rest = text[offset : offset + 1]
    hints = {
        "=": "equality is written ==",
        "&": "and is written &&",
        "|": "or is written ||",
        ";": "one expression, no statements",
        '"': "is a quote missing?",
        "'": "is a quote missing?",
    }
    return CelSyntaxError(f"unexpected {rest!r}", offset, hints.get(rest))


class _Reader:
    """Reads one parse tree; `depth` counts levels of the syntax tree that it makes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, tree: Any, depth: int) -> ast.Node:
        # Most of a parse tree is chains of rules with one child each; they mean nothing.
        while len(tree.children) == 1 and tree.data in _PASS_THROUGH:
            tree = tree.children[0]
        if depth > EXPRESSION_DEPTH:
            raise CelSyntaxError(
                f"nested deeper than {EXPRESSION_DEPTH} levels", tree.meta.start_pos, "use a variable"
            )
        method = getattr(self, f"_{tree.data}")
        node: ast.Node = method(tree, depth + 1)
        return node

    def _expr(self, tree: Any, depth: int) -> ast.Node:
        parts = tuple(self.read(child, depth) for child in tree.children)
        position = self.after(tree.children[0].meta.end_pos)
        return self.call("_?_:_", parts, tree, position)

    def _conditionalor(self, tree: Any, depth: int) -> ast.Node:
        return self.logical("_||_", tree, depth)

    def _conditionaland(self, tree: Any, depth: int) -> ast.Node:
        return self.logical("_&&_", tree, depth)

    def logical(self, function: str, tree: Any, depth: int) -> ast.Node:
        parts = tuple(self.read(child, depth) for child in tree.children)
        return self.call(function, parts, tree, self.after(tree.children[0].meta.end_pos))

    def _relation(self, tree: Any, depth: int) -> ast.Node:
        operator, right = tree.children
        function = _BINARY[operator.data]
        position = operator.meta.end_pos - len(function.strip("_"))
        left = self.read(operator.children[0], depth)
        return self.call(function, (left, self.read(right, depth)), tree, position)

    _addition = _relation
    _multiplication = _relation

    def _unary(self, tree: Any, depth: int) -> ast.Node:
        operator, operand = tree.children
        function = "!_" if operator.data == "unary_not" else "-_"
        return self.call(function, (self.read(operand, depth),), tree, tree.meta.start_pos)

    def _member_dot(self, tree: Any, depth: int) -> ast.Node:
        operand, name = tree.children
        self.field_name(name)
        return ast.Select(*self.span(tree), name.start_pos, self.read(operand, depth), str(name))

    def _member_index(self, tree: Any, depth: int) -> ast.Node:
        operand, index = tree.children
        parts = (self.read(operand, depth), self.read(index, depth))
        return self.call("_[_]", parts, tree, self.after(operand.meta.end_pos))

    def _member_dot_arg(self, tree: Any, depth: int) -> ast.Node:
        operand, name = tree.children[:2]
        arguments = self.arguments(tree.children[2:], depth)
        target = self.read(operand, depth)
        if isinstance(target, ast.Identifier) and target.name == "cel" and name == "bind":
            return self.bind(tree, name, arguments)
        if len(arguments) in _COMPREHENSIONS.get(str(name), ()):
            return self.comprehension(tree, name, target, arguments)
        if name == "sortBy" and len(arguments) == 2:
            keys = self.comprehension(tree, name, target, arguments, macro="map")
            return ast.Call(*self.span(tree), name.start_pos, SORT_BY_KEYS, (keys,), target)
        return ast.Call(*self.span(tree), name.start_pos, str(name), arguments, target)

    def _member_object(self, tree: Any, depth: int) -> ast.Node:
        operand = self.read(tree.children[0], depth)
        name = ast.dotted_name(operand)
        if name is None:
            raise CelSyntaxError("a type's name must stand before '{'", operand.position)
        fields: list[tuple[str, int, ast.Node]] = []
        if len(tree.children) == 2:
            items = tree.children[1].children
            for field, value in zip(items[0::2], items[1::2], strict=True):
                fields.append((str(field), field.start_pos, self.read(value, depth)))
        return ast.ObjectLiteral(*self.span(tree), tree.meta.start_pos, name, tuple(fields))

    def _ident(self, tree: Any, depth: int) -> ast.Node:
        token = tree.children[0]
        self.not_reserved(token)
        return ast.Identifier(*self.span(tree), token.start_pos, str(token))

    def _dot_ident(self, tree: Any, depth: int) -> ast.Node:
        token = tree.children[0]
        self.not_reserved(token)
        return ast.Identifier(*self.span(tree), token.start_pos, "." + token)

    def _ident_arg(self, tree: Any, depth: int) -> ast.Node:
        name = tree.children[0]
        self.not_reserved(name)
        arguments = self.arguments(tree.children[1:], depth)
        if name == "has":
            return self.has(tree, arguments)
        return ast.Call(*self.span(tree), name.start_pos, str(name), arguments)

    _dot_ident_arg = _ident_arg

    def _list_lit(self, tree: Any, depth: int) -> ast.Node:
        return ast.ListLiteral(*self.span(tree), tree.meta.start_pos, self.arguments(tree.children, depth))

    def _map_lit(self, tree: Any, depth: int) -> ast.Node:
        items = [self.read(child, depth) for child in (tree.children[0].children if tree.children else ())]
        entries = tuple(zip(items[0::2], items[1::2], strict=True))
        return ast.MapLiteral(*self.span(tree), tree.meta.start_pos, entries)

    def _literal(self, tree: Any, depth: int) -> ast.Node:
        token = tree.children[0]
        text = str(token)
        try:
            value, type_ = _DECODERS[token.type](text)
        except LiteralError as error:
            raise CelSyntaxError(str(error), token.start_pos) from None
        return ast.Literal(*self.span(tree), token.start_pos, value, type_)

    def has(self, tree: Any, arguments: tuple[ast.Node, ...]) -> ast.Node:
        if len(arguments) != 1 or not isinstance(arguments[0], ast.Select):
            raise CelSyntaxError("has() takes one field selection", tree.meta.start_pos, "write has(a.b)")
        select = arguments[0]
        return ast.Select(*self.span(tree), select.position, select.operand, select.field, test=True)

    def comprehension(
        self,
        tree: Any,
        name: Any,
        target: ast.Node,
        arguments: tuple[ast.Node, ...],
        macro: str | None = None,
    ) -> ast.Node:
        variable = self.variable(arguments[0], f"{name}()")
        condition = arguments[1] if len(arguments) == 3 else None
        start, end = self.span(tree)
        return ast.Comprehension(
            start, end, name.start_pos, macro or str(name), target, variable, arguments[-1], condition
        )

    def bind(self, tree: Any, name: Any, arguments: tuple[ast.Node, ...]) -> ast.Node:
        if len(arguments) != 3:
            raise CelSyntaxError("cel.bind() takes a name, its value and an expression", name.start_pos)
        variable = self.variable(arguments[0], "cel.bind()")
        return ast.Bind(*self.span(tree), name.start_pos, variable, arguments[1], arguments[2])

    def variable(self, node: ast.Node, macro: str) -> str:
        if not isinstance(node, ast.Identifier) or node.name.startswith("."):
            raise CelSyntaxError(f"the first argument of {macro} must be a simple name", node.start)
        return node.name

    def arguments(self, children: Any, depth: int) -> tuple[ast.Node, ...]:
        return tuple(self.read(child, depth) for child in (children[0].children if children else ()))

    def call(self, function: str, arguments: tuple[ast.Node, ...], tree: Any, position: int) -> ast.Node:
        return ast.Call(*self.span(tree), position, function, arguments)

    def after(self, offset: int) -> int:
        """The first character behind `offset` that is neither white space nor comment."""
        match = _GAP.match(self.text, offset)
        return match.end() if match else offset

    def not_reserved(self, token: Any) -> None:
        if str(token) in RESERVED:
            raise CelSyntaxError(f"{str(token)!r} is a reserved word", token.start_pos)

    def field_name(self, token: Any) -> None:
        if str(token) in _NOT_FIELDS:
            raise CelSyntaxError(f"{str(token)!r} can't be a field's name", token.start_pos, 'use ["…"]')

    @staticmethod
    def span(tree: Any) -> tuple[int, int]:
        return tree.meta.start_pos, tree.meta.end_pos


_PASS_THROUGH = {
    "expr",
    "conditionalor",
    "conditionaland",
    "relation",
    "addition",
    "multiplication",
    "unary",
    "member",
    "primary",
    "paren_expr",
}
_DECODERS: dict[str, Any] = {
    "INT_LIT": lambda text: (decode_int(text), INT),
    "UINT_LIT": lambda text: (decode_uint(text), UINT),
    "FLOAT_LIT": lambda text: (decode_double(text), DOUBLE),
    "STRING_LIT": lambda text: (decode_string(text), STRING),
    "MLSTRING_LIT": lambda text: (decode_string(text), STRING),
    "BYTES_LIT": lambda text: (decode_bytes(text), BYTES),
    "BOOL_LIT": lambda text: (text == "true", BOOL),
    "NULL_LIT": lambda text: (None, NULL),
}
