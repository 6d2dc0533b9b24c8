"""Completion in expressions: names, fields, methods, functions, and entries of catalogs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from engine.base.records import record
from engine.cel import CelCheckError, Checked, explore, parse_checked
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind as TypeKind
from engine.cel.celtypes import Substitution, Type
from engine.cel.declarations import functions, macros
from engine.lsp.describe import macro_name, type_text
from engine.lsp.symbols import Symbols
from engine.policy.sites import Site

Sort = Literal[
    "variable",
    "constant",
    "input",
    "namespace",
    "field",
    "function",
    "method",
    "type",
    "key",
    "value",
    "entry",
]
WORD = re.compile(r"[A-Za-z_]\w*\Z")
"""The beginning of a name, at the end of a text."""
_HOLE = "hole__"
"""The name that stands for what is being written."""
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ENTRY = re.compile(r"catalogs\.(\w+)\s*\[\s*\Z")


@record
class Proposal:
    """A text that may be written."""

    label: str
    sort: Sort
    detail: str = ""
    description: str = ""
    insert: str | None = None
    """What is inserted, if it is not the label."""


class Expressions:
    """Proposals in one expression."""

    def __init__(self, site: Site, symbols: Symbols | None) -> None:
        self.site = site
        self.symbols = symbols
        self.names = site.environment.variables

    def complete(self, before: str) -> Iterator[Proposal]:
        """Yield what may follow a text."""
        quoted = _open_text(before)
        if quoted is not None:
            yield from self.entries(before[:quoted])
            return
        word = WORD.search(before)
        stem = before if word is None else before[: word.start()]
        if stem.rstrip()[-1:].isdigit() and not stem[-1:].isspace():  # a number is being written
            return
        parsed = _with_hole(stem, self.site)
        if stem.rstrip().endswith("."):
            yield from self.members(parsed, stem)
        else:
            yield from self.all_names(parsed)

    def entries(self, before: str) -> Iterator[Proposal]:
        """Yield the entries of a catalog, inside of `catalogs.NAME["`."""
        found = _ENTRY.search(before)
        catalog = self.symbols.catalog(found[1]) if found is not None and self.symbols is not None else None
        if catalog is not None:
            for name in catalog.value["entries"]:
                yield Proposal(str(name), "entry", f"catalog {catalog.value['name']}")

    def all_names(self, parsed: Checked | None) -> Iterator[Proposal]:
        """Yield all that an expression may begin with."""
        for name, type_ in () if parsed is None else _bound(parsed):
            yield Proposal(name, "input", type_text(type_))
        for name in self.names:
            first, _, rest = name.partition(".")
            if not rest:
                yield self.global_name(name, "input")
            elif first not in self.names:
                yield Proposal(first, "namespace")
        for name, function in functions().items():
            if name[0] not in "_!-@":
                signatures_ = [each.signature for each in function.overloads if not each.member]
                if "." in name:
                    yield Proposal(name.partition(".")[0], "namespace")
                elif signatures_:
                    yield _function(name, "function", signatures_, function.definition.description)
        for name in ("true", "false", "null"):
            yield Proposal(name, "value")

    def members(self, parsed: Checked | None, stem: str) -> Iterator[Proposal]:
        """Yield what may follow a dot."""
        hole = None if parsed is None else _hole(parsed)
        chain = re.search(r"((?:[A-Za-z_]\w*\.)+)\Z", "".join(stem.split()))
        namespace = "" if chain is None else chain[1].rstrip(".")
        if hole is not None and isinstance(hole, ast.Select):
            namespace = (ast.dotted_name(hole.operand) or "").lstrip(".")
        if namespace:
            yield from self.of_namespace(namespace)
        if parsed is None or not isinstance(hole, ast.Select):
            return
        yield from self.of_records(parsed, hole.operand)
        type_ = parsed.types.get(hole.operand)
        if type_ is not None:
            yield from self.of_type(type_)

    def of_namespace(self, namespace: str) -> Iterator[Proposal]:
        """Yield `variables.X`, `constants.X`, a library's variables, and the functions of a namespace."""
        sorts: dict[str, Sort] = {"constants": "constant", "catalogs": "namespace"}
        for name in self.names:
            if name.startswith(f"{namespace}."):
                rest = name[len(namespace) + 1 :]
                if "." not in rest:
                    yield self.global_name(name, sorts.get(namespace, "variable"), rest)
        for name, function in functions().items():
            if name.rpartition(".")[0] == namespace:
                shown = [each.signature for each in function.overloads]
                yield _function(name.rpartition(".")[2], "function", shown, function.definition.description)

    def of_records(self, parsed: Checked, operand: ast.Node) -> Iterator[Proposal]:
        """Yield the computed columns of the element that a macro binds."""
        records = self.site.environment.records
        if not records or not isinstance(operand, (ast.Identifier, ast.Call)):
            return
        for node in parse_checked(parsed.text).walk():
            if isinstance(node, ast.Comprehension) and isinstance(operand, ast.Identifier):
                listed = (ast.dotted_name(node.range) or "").lstrip(".")
                for column in records.get(listed, ()) if node.variable == operand.name else ():
                    type_ = self.names.get(f"{listed}.{column}")
                    detail = "" if type_ is None or not type_.parameters else type_text(type_.element)
                    yield Proposal(column, "field", detail)

    def of_type(self, type_: Type) -> Iterator[Proposal]:
        """Yield the fields and methods of a type."""
        if type_.kind is TypeKind.OBJECT:
            found = self.site.environment.objects.get(type_.name)
            for name, each in () if found is None else found.fields.items():
                yield Proposal(name, "field", type_text(each.type), each.description)
        if type_.kind in (TypeKind.LIST, TypeKind.MAP, TypeKind.DYN):
            for _, macro in macros():
                if not macro.form.startswith(("has(", "cel.")):
                    yield Proposal(macro_name(macro.form), "method", macro.form, macro.description)
        for name, function in functions().items():
            shown = [
                each.signature
                for each in function.overloads
                if each.member and Substitution().assignable(type_, each.parameters[0])
            ]
            if shown and type_.kind is not TypeKind.OBJECT:
                yield _function(name, "method", shown, function.definition.description)

    def global_name(self, name: str, sort: Sort, label: str | None = None) -> Proposal:
        type_ = self.names[name]
        symbol = None if self.symbols is None else self.symbols.of_name(self.site, name, type_)
        declared = {} if symbol is None else symbol.declared
        detail = " ".join(filter(None, (type_text(type_), str(declared.get("unit") or ""))))
        if "value" in declared and sort == "constant":
            detail += f" = {declared['value']}"
        return Proposal(label or name, sort, detail, str(declared.get("description") or ""))


def _function(name: str, sort: Sort, shown: list[str], description: str) -> Proposal:
    detail = shown[0] + (f" (+{len(shown) - 1})" if len(shown) > 1 else "")
    return Proposal(name, sort, detail, description)


def _open_text(before: str) -> int | None:
    """Return where the quoted text begins that a text ends in; None if it ends in none."""
    quote, start, skip = "", 0, False
    for position, character in enumerate(before):
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote, start = character, position
    return start if quote else None


def _with_hole(stem: str, site: Site) -> Checked | None:
    """Return a text that is continued by a name and closed, as a checked expression; None if it can't be."""
    open_: list[str] = []
    position = 0
    while position < len(stem):
        character = stem[position]
        if character in "\"'":
            end = position + 1
            while end < len(stem) and stem[end] != character:
                end += 2 if stem[end] == "\\" else 1
            position = end
        elif character in _CLOSING:
            open_.append(_CLOSING[character])
        elif open_ and character == open_[-1]:
            open_.pop()
        position += 1
    closing = "".join(reversed(open_))
    texts = [stem + _HOLE + between + closing for between in ("", " : null", ": null")]
    chain = re.search(r"[\w.]+(?:[\[(][^\[\]()]*[\])][\w.]*)*\Z", stem)
    if chain is not None:
        texts.append(chain[0] + _HOLE)
    for text in texts:
        try:
            return explore(text, parse_checked(text), site.environment)
        except CelCheckError:
            continue
    return None


def _hole(parsed: Checked) -> ast.Node | None:
    for node in parsed.root.walk():
        if isinstance(node, ast.Select) and node.field == _HOLE:
            return node
        if isinstance(node, ast.Identifier) and node.name == _HOLE:
            return node
    return None


def _bound(parsed: Checked) -> Iterator[tuple[str, Type]]:
    """Yield the names that macros bind around the hole, with their types."""
    hole = _hole(parsed)
    for node in parsed.root.walk():
        inside = hole is not None and any(each is hole for each in node.walk())
        if isinstance(node, ast.Comprehension) and inside:
            type_ = parsed.types.get(node.range)
            if type_ is not None and type_.kind in (TypeKind.LIST, TypeKind.MAP):
                yield node.variable, type_.parameters[0]
        elif isinstance(node, ast.Bind) and inside and node.value in parsed.types:
            yield node.variable, parsed.types[node.value]
