"""Hints for the checker's faults: how CEL writes what somebody meant.

A hint is given where the names, the types and the text around a fault leave one reading; else there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from engine.base.errors import near
from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind, Type
from engine.cel.faults import WORDS
from engine.cel.library import Definition

_LITERALS = {
    **dict.fromkeys(("True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), "write true"),
    **dict.fromkeys(("False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), "write false"),
    **dict.fromkeys(("None", "nil", "NULL", "Null", "undefined"), "write null"),
    **dict.fromkeys(("inf", "Infinity", "infinity"), 'write double("inf")'),
    **dict.fromkeys(("nan", "NaN"), 'write double("nan")'),
}
_SAME = {
    "len": "size(x)", "length": "size(x)", "count": "size(x), or size(list.filter(x, …))",
    "isEmpty": "size(x) == 0", "is_empty": "size(x) == 0", "empty": "size(x) == 0",
    "upper": "text.upperAscii()", "toUpper": "text.upperAscii()", "toUpperCase": "text.upperAscii()",
    "uppercase": "text.upperAscii()", "lower": "text.lowerAscii()", "toLower": "text.lowerAscii()",
    "toLowerCase": "text.lowerAscii()", "lowercase": "text.lowerAscii()",
    "strip": "text.trim()", "includes": "x in list, or text.contains(part)",
    "startswith": "text.startsWith(part)", "endswith": "text.endsWith(part)",
    "hasPrefix": "text.startsWith(part)", "hasSuffix": "text.endsWith(part)",
    "match": 'text.matches("…")', "test": 'text.matches("…")', "search": 'text.matches("…")',
    "regexMatch": 'text.matches("…")', "substr": "text.substring(from, to)",
    "concat": "a + b", "append": "list + [x]", "push": "list + [x]", "extend": "list + other",
    "any": "list.exists(x, …)", "some": "list.exists(x, …)", "every": "list.all(x, …)",
    "forEach": "list.map(x, …)", "each": "list.map(x, …)", "select": "list.map(x, …)",
    "where": "list.filter(x, …)", "flatMap": "list.map(x, …).flatten()",
    "reduce": "list.sum(), list.min(), list.max(), or list.exists(x, …)",
    "fold": "list.sum(), list.min(), list.max(), or list.exists(x, …)",
    "unique": "list.distinct()", "sorted": "list.sort()", "reversed": "list.reverse()",
    "range": "lists.range(n)", "keys": "map.map(k, k)", "values": "map.transformList(k, v, v)",
    "get": "map[?key].orValue(default)", "getOrDefault": "map[?key].orValue(default)",
    "coalesce": "a.?b.orValue(default)", "default": "a.?b.orValue(default)",
    "ifNull": "x != null ? x : default", "nvl": "x != null ? x : default",
    "isNull": "x == null", "is_null": "x == null", "isnull": "x == null",
    "exists": "has(a.b)", "defined": "has(a.b)", "isset": "has(a.b)",
    "str": "string(x)", "toString": "string(x)", "to_string": "string(x)",
    "float": "double(x)", "number": "double(x)", "toInt": "int(x)", "parseInt": "int(x)",
    "parseFloat": "double(x)", "integer": "int(x)", "boolean": "bool(x)", "typeof": "type(x)",
    "abs": "math.abs(x)", "ceil": "math.ceil(x)", "floor": "math.floor(x)", "round": "math.round(x)",
    "sqrt": "math.sqrt(x)", "trunc": "math.trunc(x)",
    "pow": "x * x", "math.pow": "x * x", "exp": "a table of values in constants",
    "math.min": "math.least(a, b)", "math.max": "math.greatest(a, b)",
    "least": "math.least(a, b)", "greatest": "math.greatest(a, b)",
    "sprintf": '"%d of %s".format([n, text])', "date": 'timestamp("2026-01-31T00:00:00Z")',
    "datetime": 'timestamp("2026-01-31T00:00:00Z")', "seconds": 'duration("90s")',
    "minutes": 'duration("5m")', "hours": 'duration("1h")', "b64encode": "base64.encode(bytes)",
    "b64decode": "base64.decode(text)",
    "matchesAll": "list.all(x, x.matches(pattern))",
}  # fmt: skip
"""Functions under the names that other languages give them, and how CEL writes them."""

_NOT_OFFERED = {
    "now": "declare an input of type timestamp: a decision depends on its request alone",
    "today": "declare an input of type timestamp: a decision depends on its request alone",
    "random": "declare an input: a decision depends on its request alone",
    "uuid": "declare an input: a decision depends on its request alone",
    "getenv": "declare an input: a decision depends on its request alone",
    "env": "declare an input: a decision depends on its request alone",
    "print": "`engine eval --explain` shows every value",
    "cel.block": "write a variable of the policy, or cel.bind(name, value, expression)",
    "cel.index": "write a variable of the policy, or cel.bind(name, value, expression)",
    "proto.hasExt": "there are no protobuf messages here; write has(a.b)",
    "proto.getExt": "there are no protobuf messages here; write a.b",
    "authorizer": "declare an input with the answer",
    "jsonpatch.escapeKey": "write key.replace('~', '~0').replace('/', '~1')",
    "getExt": "there are no protobuf messages here; write a.b",
}
"""Functions that CEL has elsewhere, or that a policy cannot have, and what to write instead."""

_RELATIONS = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">=", "_==_": "==", "_!=_": "!="}


def for_name(name: str, names: Iterable[str], quotes: str | None) -> str | None:
    """Return the hint for an undeclared name.

    Args:
        name: as it is written.
        names: all declared names, with their namespaces.
        quotes: the hint for text without quotes, if the name may be one.
    """
    known = list(names)
    if name in _LITERALS:
        return _LITERALS[name]
    spaces = ("constants", "variables", "catalogs")
    same = sorted(
        (each for each in known if each.rpartition(".")[2] == name),
        key=lambda each: (each.partition(".")[0] not in spaces, each),
    )
    if same:
        return "did you mean " + " or ".join(repr(each) for each in same[:2]) + "?"
    if name in WORDS:
        return WORDS[name]
    if quotes is not None and not _is_close(name, known):
        return quotes
    direct = near(name, [each for each in known if "." not in each])
    if direct is not None and direct.startswith("did you mean"):
        return direct
    bare = {each.rpartition(".")[2]: each for each in reversed(known) if "." in each}
    alike = near(name, bare) if bare else None
    if alike is not None and alike.startswith("did you mean"):
        found = re.findall(r"'([^']+)'", alike)
        return "did you mean " + " or ".join(repr(bare[each]) for each in found) + "?"
    return quotes or near(name, known)


def _is_close(name: str, known: Iterable[str]) -> bool:
    """Return True if a name is a slip of a declared one, rather than another word."""
    return any(
        abs(len(bare) - len(name)) < 3 and SequenceMatcher(None, name, bare).ratio() >= 0.8
        for bare in {each.rpartition(".")[2] for each in known}
    )


def for_quotes(text: str, node: ast.Node, root: ast.Node) -> str | None:
    """Return the hint for text without quotes: a whole expression, or a side of a comparison."""
    before, after = text[: node.start].rstrip(), text[node.end :].lstrip()
    word = text[node.start : node.end]
    if all(isinstance(each, ast.Identifier) or _is_minus(each) for each in root.walk()):
        return f"a name, or text? Text needs quotes of its own inside of YAML's: '\"{text.strip()}\"'"
    compared = before.endswith(("==", "!=", "[", ",", "+")) or after.startswith(("==", "!=", "in "))
    return f'a name, or text? Text stands in quotes: "{word}"' if compared else None


def _is_minus(node: ast.Node) -> bool:
    return isinstance(node, ast.Call) and node.function == "_-_"


def for_function(name: str, member: bool, known: Iterable[str]) -> str | None:
    """Return the hint for an undeclared function; `member` if it is called as a method."""
    bare = name.rpartition(".")[2]
    if not member and name in WORDS:
        return WORDS[name]
    if not member and name in ("min", "max"):
        return f"write math.{'least' if name == 'min' else 'greatest'}(a, b), or list.{name}()"
    for each in (name, bare):
        if each in _NOT_OFFERED:
            return f"not offered: {_NOT_OFFERED[each]}"
        if each in _SAME:
            return f"not offered: write {_SAME[each]}"
    return near(name, known)


def for_overload(
    text: str, node: ast.Call, arguments: Sequence[ast.Node], given: tuple[Type, ...], defined: Definition
) -> str | None:
    """Return the hint for a call of which no overload takes the types given."""
    shown = [text[each.start : each.end] for each in arguments]
    name = defined.name
    if name in _RELATIONS and len(given) == 2:
        hint = _chained(text, arguments, name) or _nullable(given, shown)
        return hint or _compared(name, given, shown) or _mixed(arguments, given, shown)
    if name in ("_&&_", "_||_", "!_"):
        return _not_bool(given, shown)
    if name == "_?_:_" and len(given) == 3:
        if given[0] not in (t.BOOL, t.DYN):
            return f"{shown[0]} is of type '{given[0]}': compare it before the ?"
        mixed = _mixed(arguments[1:], given[1:], shown[1:])
        return mixed or f"both branches need one type, found '{given[1]}' and '{given[2]}'"
    if name == "_in_":
        return _in(given, shown)
    if name == "_+_" and t.STRING in given and len(given) == 2:
        return _joined(given, shown)
    if name in ("contains", "startsWith", "endsWith") and given and given[0].kind is Kind.LIST:
        return f"write {shown[-1]} in {shown[0]}" if name == "contains" else f"write {shown[0]}.exists(x, …)"
    if name == "_[_]" and len(given) == 2 and given[0].kind is Kind.LIST:
        return "a list is indexed by an int from 0; an element with a property is list.filter(x, …)[0]"
    if len(given) == 2 and name[:1] == "_" and len(shown) == 2:
        return _mixed(arguments, given, shown)
    return _style(node, shown, defined)


def _chained(text: str, arguments: Sequence[ast.Node], name: str) -> str | None:
    """`a < b < c`, of which the first comparison gives a bool."""
    left, right = arguments
    if not isinstance(left, ast.Call) or left.function not in _RELATIONS or len(left.arguments) != 2:
        return None
    if text[left.end - 1 : left.end] == ")" and text[left.start : left.start + 1] == "(":
        return None
    first, middle = (text[each.start : each.end] for each in left.arguments)
    last = text[right.start : right.end]
    return (
        "comparisons are not chained: write "
        f"{first} {_RELATIONS[left.function]} {middle} && {middle} {_RELATIONS[name]} {last}"
    )


def _nullable(given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    for type_, each in zip(given, shown, strict=True):
        if type_.kind is Kind.OPTIONAL:
            return f"{each} is an optional: write {each}.orValue(…)"
    return None


def _compared(name: str, given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    """Comparisons of a list, or of text, with something else."""
    for index in (0, 1):
        type_, other = given[index], given[1 - index]
        if other == t.NULL:
            return f"{shown[index]} is of type '{type_}', which is never null"
        if type_.kind is Kind.LIST and other == type_.element:
            test = f"{shown[1 - index]} in {shown[index]}"
            return f"write {f'!({test})' if name == '_!=_' else test}"
        if type_.kind is Kind.LIST and other == t.INT:
            return f"write size({shown[index]}) {_RELATIONS[name]} {shown[1 - index]}"
        if type_ == t.STRING and other in (t.INT, t.DOUBLE, t.UINT, t.BOOL):
            if shown[index][:1] in "\"'":
                return f"write {shown[index][1:-1]} without quotes, or string({shown[1 - index]})"
            return f"write {other}({shown[index]}), or string({shown[1 - index]})"
        if type_ == t.DURATION and other in (t.INT, t.DOUBLE):
            return f'write duration("{shown[1 - index]}s")'
        if type_ == t.TIMESTAMP and other == t.STRING:
            return f"write timestamp({shown[1 - index]})"
        if type_ == t.DURATION and other == t.STRING:
            return f"write duration({shown[1 - index]})"
    return None


def _mixed(arguments: Sequence[ast.Node], given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    """Numbers of two types."""
    types = tuple(each.element if each.kind is Kind.WRAPPER else each for each in given)
    numbers = {each for each in types if each in (t.INT, t.UINT, t.DOUBLE)}
    if len(types) != 2 or len(numbers) != 2:
        return None
    target = t.DOUBLE if t.DOUBLE in numbers else t.INT
    index = 1 if types[0] == target else 0
    node, written = arguments[index], shown[index]
    if isinstance(node, ast.Literal):
        plain = f"{written}.0" if target == t.DOUBLE and types[index] == t.INT else written.rstrip("uU")
        plain = f"{plain}.0" if target == t.DOUBLE and "." not in plain else plain
        return f"CEL does not mix numbers: write {plain}"
    advice = f"write {target}({written})"
    if written.startswith("constants.") and target == t.DOUBLE:
        advice += ", or the constant's value with a decimal point, as in 2.0"
    return f"CEL does not mix numbers: {advice}"


def _not_bool(given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    for type_, each in zip(given, shown, strict=True):
        exact = type_.element if type_.kind is Kind.WRAPPER else type_
        zeros = {t.INT: "0", t.UINT: "0u", t.DOUBLE: "0.0", t.STRING: '""'}
        test = f"{each} != {zeros[exact]}" if exact in zeros else None
        if exact.kind in (Kind.LIST, Kind.MAP):
            test = f"size({each}) > 0"
        if exact.kind is Kind.OPTIONAL:
            test = f"{each}.hasValue()"
        if exact.kind in (Kind.OBJECT, Kind.NULL):
            test = f"{each} != null"
        if test is not None:
            return f"{each} is of type '{type_}', not a bool: write {test}"
    return None


def _in(given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    if len(given) != 2:
        return None
    item, container = given
    if container == t.STRING and item.kind is Kind.LIST:
        return f"write {shown[1]} in {shown[0]}"
    if container == t.STRING:
        return f"write {shown[1]}.contains({shown[0]})"
    if container.kind is Kind.LIST:
        return f"{shown[1]} is a '{container}', which has no '{item}'"
    if container.kind is Kind.MAP:
        return f"the keys of {shown[1]} are of type '{container.key}', found '{item}'"
    return f"write {shown[0]} in [{shown[1]}], or {shown[0]} == {shown[1]}"


def _joined(given: tuple[Type, ...], shown: Sequence[str]) -> str:
    index = 1 if given[0] == t.STRING else 0
    if given[index].kind in (Kind.LIST, Kind.MAP, Kind.OBJECT):
        return f'write "%s".format([{shown[index]}])'
    return f'write string({shown[index]}), or "%s %s".format([…])'


def _style(node: ast.Call, shown: Sequence[str], defined: Definition) -> str | None:
    """A function called as a method, or the other way round."""
    if node.target is None and defined.name in ("min", "max") and len(shown) > 1:
        return f"write math.{'least' if defined.name == 'min' else 'greatest'}({', '.join(shown)})"
    members = [re.match(r"[\w(), ]+\.(\w+)\(", each) is not None for each in defined.signatures]
    name = defined.name
    if node.target is None and all(members) and len(shown) > 1:
        return f"write {shown[0]}.{name}({', '.join(shown[1:])})"
    if node.target is not None and not any(members) and "." not in name:
        return f"write {name}({', '.join(shown)})"
    return None


def offered(signatures: Sequence[str]) -> str:
    """Return the hint that lists what a function takes."""
    return "offered: " + "; ".join(signatures[:4]) + (" …" if len(signatures) > 4 else "")


def for_field_of(type_: Type, name: str, shown: str) -> str | None:
    """Return the hint for a field of a value that has none."""
    if name in ("length", "size", "count", "len") and (
        type_.kind is Kind.LIST or type_ in (t.STRING, t.BYTES)
    ):
        return f"write size({shown})"
    if type_.kind is Kind.LIST:
        return f"of every element: {shown}.map(x, x.{name}); of one: {shown}[0].{name}"
    return None


_TYPES = {
    **dict.fromkeys(("str", "text", "String", "Text", "varchar", "char"), "string"),
    **dict.fromkeys(("integer", "Integer", "long", "Int", "int32", "int64", "i64"), "int"),
    **dict.fromkeys(("float", "number", "Number", "decimal", "real", "Float", "float64", "f64"), "double"),
    **dict.fromkeys(("boolean", "Boolean", "Bool"), "bool"),
    **dict.fromkeys(("unsigned", "uint32", "uint64"), "uint"),
    **dict.fromkeys(("datetime", "date", "time", "Timestamp"), "timestamp"),
    **dict.fromkeys(("timedelta", "interval", "Duration"), "duration"),
    **dict.fromkeys(("array", "Array", "List", "sequence", "set", "tuple"), "list(string)"),
    **dict.fromkeys(("object", "dict", "Map", "mapping", "hash"), "map(string, string)"),
    **dict.fromkeys(("any", "Any", "unknown", "json"), "dyn"),
}


def for_type(text: str, name: str | None, known: Iterable[str]) -> str | None:
    """Return the hint for text that is not a type."""
    bracketed = re.fullmatch(r"\s*(\w*)\s*[\[<]\s*(\w*)\s*(?:,\s*(\w+)\s*)?[\]>]\s*", text)
    if bracketed:
        outer, first, second = bracketed.groups()
        if second:
            return f"write map({_TYPES.get(first, first)}, {_TYPES.get(second, second)})"
        element = first or outer
        return f"write list({_TYPES.get(element, element)})"
    if name in _TYPES:
        return f"did you mean '{_TYPES[name]}'?"
    if text.strip() == "list":
        return "write list(string), list(int) …"
    if text.strip() == "map":
        return "write map(string, int), map(string, list(string)) …"
    return near(name, known) if name else None
