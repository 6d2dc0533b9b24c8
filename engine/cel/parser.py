"""Text to syntax tree, by the grammar of CEL's language definition.

A recursive-descent parser; binary operators climb by precedence. It is the engine's own because cel-python's
grammar has no optional syntax and no names in backticks, and because messages need the tokens around a fault.
Macros become nodes of their own, or are written out (`engine.cel.macros`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.cel import syntax as ast
from engine.cel.celtypes import BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT
from engine.cel.errors import CelSyntaxError
from engine.cel.faults import unexpected
from engine.cel.lexer import tokens
from engine.cel.limits import EXPRESSION_DEPTH, EXPRESSION_LENGTH
from engine.cel.literals import (
    LiteralError,
    decode_bytes,
    decode_double,
    decode_int,
    decode_string,
    decode_uint,
)
from engine.cel.macros import LEVELS, expand
from engine.cel.tokens import END, LITERALS, Token

RESERVED = frozenset(
    [
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in"),
        *("let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while"),
    ]
)
"""Words that are not identifiers."""

NOT_FIELDS = frozenset({"false", "in", "null", "true"})
"""Words that are not field names either."""

_LEVELS = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_PRECEDENCE = {symbol: level for level, symbols in enumerate(_LEVELS) for symbol in symbols}
"""How tightly a binary operator binds; all are left-associative."""


def parse(text: str) -> ast.Node:
    """Parse `text` to a syntax tree.

    Raises:
        CelSyntaxError: not CEL, or over a limit.
    """
    if len(text) > EXPRESSION_LENGTH:
        raise CelSyntaxError(
            f"an expression of {len(text)} characters, at most {EXPRESSION_LENGTH} are allowed", 0
        )
    found = tokens(text)
    if found[0].kind == END:
        raise CelSyntaxError("the expression is empty", 0)
    parser = _Parser(text, found)
    try:
        return parser.whole()
    except RecursionError:
        raise _too_deep(parser.token.start) from None


def _too_deep(offset: int) -> CelSyntaxError:
    return CelSyntaxError(f"nested deeper than {EXPRESSION_DEPTH} levels", offset, "use a variable")


class _Part(NamedTuple):
    """A node, where it stands with the parentheses around it, and the levels below it."""

    node: ast.Node
    start: int
    end: int
    height: int


class _Parser:
    """The state of parsing one expression; `token` is the next one."""

    def __init__(self, text: str, found: list[Token]) -> None:
        self.text = text
        self.tokens = found
        self.index = 0
        self.token = found[0]
        self.level = 0
        self.closings: dict[int, int] | None = None

    # --- tokens -------------------------------------------------------------------------------------------

    def advance(self) -> Token:
        token = self.token
        self.index += 1
        self.token = self.tokens[self.index]
        return token

    def accept(self, kind: str) -> Token | None:
        return self.advance() if self.token.kind == kind else None

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.unexpected()
        return self.advance()

    def unexpected(self) -> CelSyntaxError:
        return unexpected(self.text, self.tokens, self.index)

    def last_end(self) -> int:
        """Return where the last token that was taken ends."""
        return self.tokens[self.index - 1].end

    # --- nodes --------------------------------------------------------------------------------------------

    def part(self, node: ast.Node, *inner: _Part) -> _Part:
        """Return a new node as a part, with the parts that it is made of.

        Raises:
            CelSyntaxError: it has too many levels.
        """
        height = 1 + max(part.height for part in inner) if inner else 0
        if height > EXPRESSION_DEPTH:
            raise _too_deep(node.start)
        return _Part(node, node.start, node.end, height)

    def operation(self, function: str, position: int, start: int, *operands: _Part) -> _Part:
        """Return a call of an operator that begins at `start` and ends with the last token."""
        nodes = tuple(operand.node for operand in operands)
        return self.part(ast.Call(start, self.last_end(), position, function, nodes), *operands)

    def whole(self) -> ast.Node:
        part = self.expression()
        if self.token.kind != END:
            raise self.unexpected()
        return part.node

    def expression(self) -> _Part:
        """Parse an expression; the conditional binds least of all."""
        if self.level > EXPRESSION_DEPTH:
            raise _too_deep(self.token.start)
        condition = self.binary(0)
        mark = self.accept("?")
        if mark is None:
            return condition
        self.level += 1
        first = self.binary(0)
        self.expect(":")
        second = self.expression()
        self.level -= 1
        return self.operation("_?_:_", mark.start, condition.start, condition, first, second)

    def binary(self, least: int) -> _Part:
        """Parse operations that bind at least as tightly as level `least`."""
        left = self.unary()
        while True:
            precedence = _PRECEDENCE.get(self.token.kind, -1)
            if precedence < least:
                return left
            operator = self.advance()
            right = self.binary(precedence + 1)
            left = self.operation(f"_{operator.kind}_", operator.start, left.start, left, right)

    def unary(self) -> _Part:
        """Parse `!` and `-`, repeated or not, before a member; a sign before a number belongs to it."""
        signs: list[Token] = []
        while self.token.kind in ("!", "-") and not self.is_signed_number():
            signs.append(self.advance())
        operand = self.member()
        for sign in reversed(signs):
            operand = self.operation(f"{sign.kind}_", sign.start, sign.start, operand)
        return operand

    def is_signed_number(self) -> bool:
        return self.token.kind == "-" and self.tokens[self.index + 1].kind in ("int", "double")

    def member(self) -> _Part:
        """Parse a primary expression and all that follows it: fields, methods, indices."""
        part = self.primary()
        while True:
            kind = self.token.kind
            if kind == ".":
                part = self.selection(part)
            elif kind == "[":
                part = self.subscript(part)
            elif kind == "{" and self.tokens[self.index - 1].kind == "name":
                part = self.object(part)
            else:
                return part

    def selection(self, operand: _Part) -> _Part:
        """Parse `.name`, `.name(…)`, `.?name` after an operand."""
        self.advance()
        optional = self.accept("?")
        name = self.token
        if name.kind == "quoted":
            self.advance()
            field = name.text[1:-1]
        elif name.kind in _FIELD_WORDS:
            raise CelSyntaxError(f"{name.text!r} is not a valid field name", name.start, 'use ["…"]')
        else:
            field = self.expect("name").text
            if optional is None and self.token.kind == "(":
                return self.method(operand, name)
        if optional is None:
            select = ast.Select(operand.start, name.end, name.start, operand.node, field)
            return self.part(select, operand)
        text = ast.Literal(name.start, name.end, name.start, field, STRING)
        return self.operation("_?._", name.start, operand.start, operand, self.part(text))

    def method(self, target: _Part, name: Token) -> _Part:
        arguments = self.arguments(")")
        call = ast.Call(target.start, self.last_end(), name.start, name.text, _nodes(arguments), target.node)
        part = self.part(expand(call), target, *arguments)
        more = 0 if part.node is call else LEVELS.get(name.text, 0)
        return part._replace(height=part.height + more)

    def subscript(self, operand: _Part) -> _Part:
        bracket = self.advance()
        function = "_[_]" if self.accept("?") is None else "_[?_]"
        index = self.nested()
        self.expect("]")
        return self.operation(function, bracket.start, operand.start, operand, index)

    def object(self, operand: _Part) -> _Part:
        """Parse the fields of `Type{field: value}` after the type's name."""
        name = ast.dotted_name(operand.node)
        if name is None:
            raise CelSyntaxError("a type name must precede '{'", operand.start)
        self.advance()
        fields: list[tuple[str, int, ast.Node]] = []
        values: list[_Part] = []
        optionals: set[int] = set()
        while self.token.kind not in ("}", ","):
            if self.accept("?"):
                optionals.add(len(fields))
            field = self.accept("quoted") or self.expect("name")
            self.expect(":")
            values.append(self.nested())
            fields.append((field.text.strip("`"), field.start, values[-1].node))
            if not self.separated("}"):
                break
        self.close("}")
        end = self.last_end()
        node = ast.ObjectLiteral(operand.start, end, operand.start, name, tuple(fields), frozenset(optionals))
        return self.part(node, operand, *values)

    def primary(self) -> _Part:
        token = self.token
        kind = token.kind
        if kind == "name":
            return self.named(self.advance(), token.start, "")
        if kind in LITERALS:
            self.advance()
            return self.literal(token.kind, token.text, token.start)
        if kind == "(":
            return self.parenthesised(token)
        if kind == "[":
            return self.list_literal(token)
        if kind == "{":
            return self.map_literal(token)
        if kind == "-" and self.is_signed_number():
            self.advance()
            number = self.advance()
            return self.literal(number.kind, f"-{number.text}", token.start)
        if kind == "." and self.tokens[self.index + 1].kind == "name":
            self.advance()
            return self.named(self.advance(), token.start, ".")
        raise self.unexpected()

    def parenthesised(self, opening: Token) -> _Part:
        """Parse `(…)`; parentheses directly inside of others are read as one pair."""
        pairs = 1
        self.advance()
        if self.token.kind == "(":
            closing = self.closing_of(self.index - 1)
            while self.token.kind == "(" and closing >= 0 and self.closing_of(self.index) == closing - pairs:
                self.advance()
                pairs += 1
        inner = self.nested()
        for _ in range(pairs):
            self.expect(")")
        return _Part(inner.node, opening.start, self.last_end(), inner.height)

    def closing_of(self, index: int) -> int:
        """Return the index of the token that closes the parenthesis at `index`, or -1."""
        if self.closings is None:
            self.closings = {}
            opened: list[int] = []
            for position, token in enumerate(self.tokens):
                if token.kind == "(":
                    opened.append(position)
                elif token.kind == ")" and opened:
                    self.closings[opened.pop()] = position
        return self.closings.get(index, -1)

    def named(self, name: Token, start: int, dot: str) -> _Part:
        """Parse what a name begins: a call, or the name alone."""
        if name.text in RESERVED:
            raise unexpected(self.text, self.tokens, self.index - 1)
        if self.token.kind != "(":
            return self.part(ast.Identifier(start, name.end, name.start, dot + name.text))
        arguments = self.arguments(")")
        call = ast.Call(start, self.last_end(), name.start, name.text, _nodes(arguments))
        return self.part(expand(call), *arguments)

    def literal(self, kind: str, text: str, start: int) -> _Part:
        try:
            value, type_ = _DECODERS[kind](text)
        except LiteralError as error:
            raise CelSyntaxError(str(error), start, error.hint) from None
        return self.part(ast.Literal(start, self.last_end(), start, value, type_))

    def list_literal(self, opening: Token) -> _Part:
        optionals: set[int] = set()
        elements = self.arguments("]", optionals)
        span = opening.start, self.last_end(), opening.start
        return self.part(ast.ListLiteral(*span, _nodes(elements), frozenset(optionals)), *elements)

    def map_literal(self, opening: Token) -> _Part:
        self.advance()
        parts: list[_Part] = []
        optionals: set[int] = set()
        while self.token.kind not in ("}", ","):
            if self.accept("?"):
                optionals.add(len(parts) // 2)
            parts.append(self.nested())
            self.expect(":")
            parts.append(self.nested())
            if not self.separated("}"):
                break
        self.close("}")
        nodes = _nodes(parts)
        entries = tuple(zip(nodes[0::2], nodes[1::2], strict=True))
        span = opening.start, self.last_end(), opening.start
        return self.part(ast.MapLiteral(*span, entries, frozenset(optionals)), *parts)

    def arguments(self, closing: str, optionals: set[int] | None = None) -> list[_Part]:
        """Parse a bracket and what it holds; a list's elements may be optional, and end with a comma."""
        self.advance()
        parts: list[_Part] = []
        is_list = optionals is not None
        while self.token.kind != closing and not (is_list and self.token.kind == ","):
            if optionals is not None and self.accept("?"):
                optionals.add(len(parts))
            parts.append(self.nested())
            if not self.separated(closing if is_list else ""):
                break
        if is_list:
            self.close(closing)
        else:
            self.expect(closing)
        return parts

    def nested(self) -> _Part:
        """Parse an expression one level deeper."""
        self.level += 1
        part = self.expression()
        self.level -= 1
        return part

    def separated(self, closing: str) -> bool:
        """Take a comma if another element follows it; one before `closing` ends the elements."""
        if self.token.kind != "," or self.tokens[self.index + 1].kind == closing:
            return False
        self.advance()
        return True

    def close(self, closing: str) -> None:
        """Take a closing bracket, and the comma that may stand before it."""
        if self.token.kind == "," and self.tokens[self.index + 1].kind == closing:
            self.advance()
        self.expect(closing)


def _nodes(parts: list[_Part]) -> tuple[ast.Node, ...]:
    return tuple(part.node for part in parts)


_FIELD_WORDS = ("in", "bool", "null")
_DECODERS: dict[str, Callable[[str], tuple[Any, Any]]] = {
    "int": lambda text: (decode_int(text), INT),
    "uint": lambda text: (decode_uint(text), UINT),
    "double": lambda text: (decode_double(text), DOUBLE),
    "string": lambda text: (decode_string(text), STRING),
    "bytes": lambda text: (decode_bytes(text), BYTES),
    "bool": lambda text: (text == "true", BOOL),
    "null": lambda text: (None, NULL),
}
