"""The parser: compared with cel-python's grammar, and what that grammar lacks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from celpy.celparser import CELParseError, CELParser
from lark import Token, Tree

from engine.cel import syntax as ast
from engine.cel.faults import CelSyntaxError
from engine.cel.parser import parse
from tests.conftest import TOP
from tests.support.cel import DATA

Form = Any
"""A tree as nested tuples, without places: calls, operators and macros alike are `(name, part, …)`."""


def ours(node: ast.Node) -> Form:
    """The form of a tree of ours; a macro is the call that it was."""
    if isinstance(node, ast.Literal):
        return "literal", repr(node.value), str(node.type)
    if isinstance(node, ast.Identifier):
        return "name", node.name
    if isinstance(node, ast.Select):
        select = "select", ours(node.operand), node.field
        return ("has", select) if node.test else select
    if isinstance(node, ast.Call):
        target = () if node.target is None else (ours(node.target),)
        return (node.function, *target, *map(ours, node.arguments))
    if isinstance(node, ast.Comprehension):
        condition = () if node.condition is None else (ours(node.condition),)
        return node.macro, ours(node.range), ("name", node.variable), *condition, ours(node.body)
    if isinstance(node, ast.Bind):
        return "bind", ("name", "cel"), ("name", node.variable), ours(node.value), ours(node.body)
    if isinstance(node, ast.ObjectLiteral):
        return "object", node.type_name, *((name, ours(value)) for name, _, value in node.fields)
    return type(node).__name__, *map(ours, node.children())


OPERATORS = {
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


def theirs(tree: Tree[Any]) -> Form:
    """The form of a parse tree of cel-python's grammar."""
    data, children = tree.data, tree.children
    if data == "literal" or (data == "ident" and children[0] in ("true", "false", "null")):
        literal = parse(str(children[0]))
        return ours(literal)
    if data in ("ident", "dot_ident"):
        return "name", ("." if data == "dot_ident" else "") + children[0]
    if data in ("ident_arg", "dot_ident_arg", "member_dot_arg"):
        target = (theirs(children[0]),) if data == "member_dot_arg" else ()
        name, *arguments = children[len(target) :]
        return (str(name), *target, *(theirs(each) for part in arguments for each in part.children))
    if data == "member_dot":
        return "select", theirs(children[0]), str(children[1])
    if data == "member_object":
        name = _dotted(theirs(children[0]))
        inits = children[1].children if len(children) > 1 else []
        fields = zip(inits[0::2], inits[1::2], strict=True)
        return "object", name, *((str(field), theirs(value)) for field, value in fields)
    if data == "list_lit":
        return "ListLiteral", *(theirs(each) for part in children for each in part.children)
    if data == "map_lit":
        return "MapLiteral", *(theirs(each) for part in children for each in part.children)
    if len(children) == 1 and not isinstance(children[0], Token):
        return theirs(children[0])
    if data == "unary":
        return ("!_" if children[0].data == "unary_not" else "-_"), theirs(children[1])
    if children[0].data in OPERATORS:
        left = children[0].children[0]
        return OPERATORS[children[0].data], theirs(left), theirs(children[1])
    names = {"expr": "_?_:_", "conditionalor": "_||_", "conditionaland": "_&&_", "member_index": "_[_]"}
    return names[data], *map(theirs, children)


def _dotted(form: Form) -> str:
    return str(form[1]) if form[0] == "name" else f"{_dotted(form[1])}.{form[2]}"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


@cache
def cel_python() -> CELParser:
    return CELParser()


def assert_same(texts: set[str]) -> int:
    compared = 0
    for text in sorted(texts):
        try:
            tree = ours(parse(text))
        except CelSyntaxError:
            continue
        try:
            expected = theirs(cel_python().parse(text))
        except (CELParseError, CelSyntaxError):  # cel-python reads `24.` of `24.size()` as a number
            continue
        compared += 1
        assert tree == expected, text
    return compared


def test_the_conformance_suites_expressions() -> None:
    lines = (DATA / "conformance.jsonl").read_text(encoding="utf-8").splitlines()[::3]
    texts = {json.loads(line)["expr"] for line in lines}
    new = {text for text in texts if any(word in text for word in ("transform", "opt", "existsOne"))}
    two = {text for text in texts if any(f"({names}, " in text for names in ("i, v", "k, v"))}
    assert assert_same(texts - new - two) > 300


def test_the_expressions_of_policies() -> None:
    texts: set[str] = set()
    for path in (TOP / "policies" / "sharding" / "3.0.0").glob("*.yaml"):
        for rule in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
            texts |= {text for text in _strings(rule) if "." in text and "sortBy" not in text}
    assert assert_same(texts) > 100


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a.?b", ("_?._", "a", "'b'")),
        ("a[?1]", ("_[?_]", "a", "1")),
        ("a.`b-c/d.e f`", ("select", "a", "b-c/d.e f")),
        ("-1.abs()", ("abs", "-1")),
        ("- 9223372036854775808", "-9223372036854775808"),
        ("--1", ("-_", "-1")),
        ("!!a", ("!_", ("!_", "a"))),
        ("a ? b : c ? d : e", ("_?_:_", "a", "b", ("_?_:_", "c", "d", "e"))),
        ("a - b - c * d", ("_-_", ("_-_", "a", "b"), ("_*_", "c", "d"))),
        ("a || b && c", ("_||_", "a", ("_&&_", "b", "c"))),
        ("[1, 2,]", ("ListLiteral", "1", "2")),
        ("{1: 2,}", ("MapLiteral", "1", "2")),
        ("24.indexOf('2')", ("indexOf", "24", "'2'")),
        ("''", "''"),
        ("'''a''b'''", "\"a''b\""),
        (r'r"\n"', r"'\\n'"),
        ("a.as", ("select", "a", "as")),
    ],
)
def test_trees(text: str, form: Form) -> None:
    assert brief(ours(parse(text))) == form


def brief(form: Form) -> Form:
    """A form with names and literals as plain text."""
    if isinstance(form, tuple) and form[0] in ("name", "literal"):
        return form[1]
    return (form[0], *map(brief, form[1:])) if isinstance(form, tuple) else form


def test_optional_elements() -> None:
    listed = parse("[a, ?b, c]")
    assert isinstance(listed, ast.ListLiteral)
    assert listed.optionals == {1}
    mapped = parse("{'a': b, ?'c': d}")
    assert isinstance(mapped, ast.MapLiteral)
    assert mapped.optionals == {1}
    made = parse("T{?a: b}")
    assert isinstance(made, ast.ObjectLiteral)
    assert made.optionals == {0}


def test_places() -> None:
    text = "(a + b) * size(c.d[0]) // the end"
    root = parse(text)
    sources = [text[node.start : node.end] for node in root.walk()]
    assert sources == [
        *("(a + b) * size(c.d[0])", "a + b", "a", "b", "size(c.d[0])", "c.d[0]", "c.d", "c", "0"),
    ]
    assert [text[node.position] for node in root.walk()] == list("*+abs[dc0")


HOSTILE = [
    *("(" * 30_000, "[" * 30_000, "-" * 30_000 + "1", "!" * 30_000 + "a", "a" + "[" * 30_000),
    *("a" + "+a" * 16_000, "a" + ".a" * 16_000, "a?" * 10_000, "a?b:" * 8_000 + "c", "{a:" * 10_000),
    *('"' * 30_001, "'''" + "'" * 29_000 + "a", "(" * 15_000 + ")" * 15_000, "a(" * 15_000),
    *("1" * 32_000, "r'" * 16_000, "`" * 32_000, "?" * 32_000, "//" * 16_000, " " * 32_000),
    *("a[?" * 10_000, "[?" * 16_000, "x.optMap(y," * 2_900, "\\" * 32_000, "(a)" * 10_000),
]


def test_hostile_texts_end_soon() -> None:
    start = time.process_time()
    for text in HOSTILE:
        with pytest.raises(CelSyntaxError):
            parse(text[:12_000])
    assert time.process_time() - start < 10
