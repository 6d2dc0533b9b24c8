"""Convert a checked expression back to text, for evaluators that take text.

Calls that the runtime lacks are written under the name that it gives them; parentheses stand only where
precedence asks for them, because parsers limit how deep they nest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.cel import syntax as ast
from engine.cel.celtypes import BYTES, DOUBLE, STRING, UINT, Kind
from engine.cel.checker import Checked, ResolvedCall


def unparse(
    checked: Checked, own_name: Callable[[ResolvedCall], str | None], names: Names | None = None
) -> str:
    """Return the text of a checked expression.

    Args:
        checked: the expression.
        own_name: names the calls that are written as `name(arguments)`.
        names: what names are written as; they stay as they are without one.
    """
    return _Unparser(checked, own_name, names or Names()).text(checked.root)


class Names:
    """The spelling of names in the text: unchanged here."""

    def known(self, name: str) -> str:
        """Return the spelling of a global name."""
        return name

    def bound(self, name: str) -> str:
        """Return the spelling of a name that a macro or `cel.bind` binds."""
        return name

    def type(self, name: str) -> str:
        """Return the spelling of a type."""
        return name


_TERNARY, _OR, _AND, _RELATION, _SUM, _PRODUCT, _UNARY, _MEMBER = range(8)
_PRECEDENCE = {
    "_?_:_": _TERNARY,
    "_||_": _OR,
    "_&&_": _AND,
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_in_"), _RELATION),
    **dict.fromkeys(("_+_", "_-_"), _SUM),
    **dict.fromkeys(("_*_", "_/_", "_%_"), _PRODUCT),
    **dict.fromkeys(("!_", "-_"), _UNARY),
}


class _Unparser:
    def __init__(
        self, checked: Checked, own_name: Callable[[ResolvedCall], str | None], names: Names
    ) -> None:
        self.checked = checked
        self.own_name = own_name
        self.names = names

    def text(self, node: ast.Node) -> str:
        if node in self.checked.names:
            return self.names.known(self.checked.names[node])
        if node in self.checked.type_names:
            return self.names.type(self.checked.type_names[node])
        method = getattr(self, f"text_{type(node).__name__.lower()}")
        text: str = method(node)
        return text

    def text_literal(self, node: ast.Literal) -> str:
        value = node.value
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if node.type == STRING:
            return quoted_text(str(value))
        if node.type == BYTES:
            assert isinstance(value, bytes)
            return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
        if node.type == UINT:
            return f"{value}u"
        text = repr(value)
        if node.type == DOUBLE and "." not in text and "e" not in text:
            text += ".0"
        return f"({text})" if text.startswith("-") else text

    def text_identifier(self, node: ast.Identifier) -> str:
        return self.names.bound(node.name)

    def text_select(self, node: ast.Select) -> str:
        selected = f"{self.operand(node.operand, _MEMBER)}.{_field(node.field)}"
        return f"has({selected})" if node.test else selected

    def text_call(self, node: ast.Call) -> str:
        call = self.checked.calls[node]
        name = self.own_name(call)
        if name is not None:
            return f"{name}({self.listed(call.arguments)})"
        if not call.arguments:
            return f"{call.function}()"
        first, *rest = call.arguments
        level = _PRECEDENCE.get(call.function)
        if call.function == "_?_:_":
            condition, chosen = self.operand(first, _OR), self.operand(rest[0], _OR)
            return f"{condition} ? {chosen} : {self.operand(rest[1], _TERNARY)}"
        if call.function == "_?._":
            assert isinstance(rest[0], ast.Literal)
            return f"{self.operand(first, _MEMBER)}.?{_field(str(rest[0].value))}"
        if call.function == "_[?_]":
            return f"{self.operand(first, _MEMBER)}[?{self.text(rest[0])}]"
        if call.function == "_[_]":
            return f"{self.operand(first, _MEMBER)}[{self.text(rest[0])}]"
        if level == _UNARY:
            return f"{call.function[0]}{self.operand(first, _UNARY)}"
        if level is not None:
            right = self.operand(rest[0], level + 1)
            return f"{self.operand(first, level)} {call.function.strip('_')} {right}"
        if call.overloads[0].member:
            return f"{self.operand(first, _MEMBER)}.{call.function}({self.listed(rest)})"
        return f"{call.function}({self.listed(call.arguments)})"

    def listed(self, nodes: Iterable[ast.Node]) -> str:
        return ", ".join(self.text(node) for node in nodes)

    def operand(self, node: ast.Node, level: int) -> str:
        """Return the text of an operand, in parentheses if it binds less tightly than `level`."""
        call = self.checked.calls.get(node)
        own = _MEMBER if call is None else _PRECEDENCE.get(call.function, _MEMBER)
        text = self.text(node)
        return f"({text})" if own < level else text

    def text_listliteral(self, node: ast.ListLiteral) -> str:
        texts = [_optional(i in node.optionals) + self.text(each) for i, each in enumerate(node.elements)]
        return f"[{', '.join(texts)}]"

    def text_mapliteral(self, node: ast.MapLiteral) -> str:
        texts = [
            f"{_optional(i in node.optionals)}{self.text(k)}: {self.text(v)}"
            for i, (k, v) in enumerate(node.entries)
        ]
        return "{" + ", ".join(texts) + "}"

    def text_objectliteral(self, node: ast.ObjectLiteral) -> str:
        fields = ", ".join(
            f"{_optional(i in node.optionals)}{name}: {self.text(value)}"
            for i, (name, _, value) in enumerate(node.fields)
            if self.checked.types[value].kind is not Kind.NULL
        )
        return f"{self.names.type(node.type_name)}{{{fields}}}"

    def text_comprehension(self, node: ast.Comprehension) -> str:
        parts = [
            *map(self.names.bound, node.variables),
            *([self.text(node.condition)] if node.condition else []),
            self.text(node.body),
        ]
        return f"{self.operand(node.range, _MEMBER)}.{node.macro}({', '.join(parts)})"

    def text_bind(self, node: ast.Bind) -> str:
        variable = self.names.bound(node.variable)
        return f"cel.bind({variable}, {self.text(node.value)}, {self.text(node.body)})"


def _optional(optional: bool) -> str:
    return "?" if optional else ""


def _field(name: str) -> str:
    """Return a field's name, in backticks if it is not a plain one."""
    return name if name.isidentifier() else f"`{name}`"


def quoted_text(text: str) -> str:
    """Return a text as a CEL string literal."""
    pieces = []
    for character in text:
        if character in '"\\':
            pieces.append("\\" + character)
        elif " " <= character <= "~":
            pieces.append(character)
        else:
            pieces.append(f"\\U{ord(character):08x}")
    return '"' + "".join(pieces) + '"'
