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

_LITERALS = {
    **dict.fromkeys(("True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), "write true"),
    **dict.fromkeys(("False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), "write false"),
    **dict.fromkeys(("None", "nil", "NULL", "Null", "undefined"), "write null"),
    **dict.fromkeys(("inf", "Infinity", "infinity"), 'write double("inf")'),
    **dict.fromkeys(("nan", "NaN"), 'write double("nan")'),
    "_": "write list.exists(x, …), list.map(x, …) or list.all(x, …)",
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
    "if": "condition ? a : b", "iif": "condition ? a : b", "ifelse": "condition ? a : b",
    "ifs": "condition ? a : b", "cond": "condition ? a : b", "ternary": "condition ? a : b",
    "switch": "a table, or condition ? a : b", "xor": "a != b", "and": "a && b",
    "not": "!(a)", "isinstance": "type(x) == int", "hasattr": "has(a.b)", "getattr": "a.?b.orValue(default)",
    "hasKey": "key in map", "containsKey": "key in map", "hasOwnProperty": "key in map",
    "containsAny": "list.exists(x, x in other)", "containsAll": "list.all(x, x in other)",
    "toNumber": "int(x), or double(x)", "lstrip": "text.trim()", "rstrip": "text.trim()",
    "trimStart": "text.trim()", "trimEnd": "text.trim()", "trimSpace": "text.trim()",
    "trimPrefix": "text.replace(prefix, '', 1)", "isString": "type(x) == string",
    "isNumber": "type(x) == int, or type(x) == double", "isBool": "type(x) == bool",
    "isArray": "type(x) == list", "isList": "type(x) == list", "countif": "size(list.filter(x, …))",
    "sumif": "list.filter(x, …).sum()", "average": "list.sum() / size(list)",
    "avg": "list.sum() / size(list)",
    "mean": "list.sum() / size(list)", "vlookup": "map[key], or a table", "lookup": "map[key], or a table",
    "items": "map.transformList(k, v, …)", "entries": "map.transformList(k, v, …)",
    "replaceAll": "text.replace(a, b)", "ltrim": "text.trim()", "rtrim": "text.trim()",
    "year": "time.getFullYear()", "getYear": "time.getFullYear()", "month": "time.getMonth(), from 0",
    "day": "time.getDate()", "weekday": "time.getDayOfWeek(), from 0 for Sunday",
    "hour": "time.getHours()", "minute": "time.getMinutes()", "second": "time.getSeconds()",
    "totalSeconds": "time.getSeconds()", "isBlank": "x.trim() == ''", "mod": "a % b", "power": "x * x",
    "Date.parse": 'timestamp("2026-01-31T00:00:00Z")', "time.parse": 'timestamp("2026-01-31T00:00:00Z")',
    "concatenate": "a + b", "left": "text.substring(0, n)", "right": "text.substring(size(text) - n)",
    "mid": "text.substring(from, to)", "equals": "a == b",
    "equalsIgnoreCase": "a.lowerAscii() == b.lowerAscii()",
    "isdigit": 'text.matches("^[0-9]+$")', "isalpha": 'text.matches("^[a-zA-Z]+$")',
    "list": "[a, b]", "tuple": "[a, b]", "set": "list.distinct()", "dict": "{key: value}",
    "enumerate": "list.transformList(i, x, …)", "zip": "lists.range(size(a)).map(i, …)",
    "sprint": "string(x)", "itoa": "string(x)", "atoi": "int(x)", "unix": "int(time)", "getTime": "int(time)",
    "before": "a < b", "isBefore": "a < b", "after": "a > b", "isAfter": "a > b",
    "addDate": 'time + duration("24h")', "addDays": 'time + duration("24h")',
    "matchString": 'text.matches("…")', "can": "has(a.b)", "try": "a.?b.orValue(default)",
    "repeat": "text + text", "strptime": 'timestamp("2026-01-31T00:00:00Z")',
    "parseTime": 'timestamp("2026-01-31T00:00:00Z")', "cidrMatch": "cidr(text).containsIP(ip)",
}  # fmt: skip
"""Functions under the names that other languages give them, and how CEL writes them."""
_METHODS = {
    "seconds": "time.getSeconds()", "minutes": "time.getMinutes()", "hours": "time.getHours()",
    "date": "time.getDate()",
}  # fmt: skip
"""The same for methods, where they differ."""

_NOT_OFFERED = {
    "now": "declare an input of type timestamp: a decision depends on its request alone",
    "today": "declare an input of type timestamp: a decision depends on its request alone",
    "random": "declare an input: a decision depends on its request alone",
    "uuid": "declare an input: a decision depends on its request alone",
    "since": "declare an input of type timestamp: a decision depends on its request alone",
    "JSON.parse": "an input may have any type: requests are read already",
    "json.unmarshal": "an input may have any type: requests are read already",
    "json.loads": "an input may have any type: requests are read already",
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


def _folded(name: str) -> str:
    """Return a name without the marks by which languages differ: `toLower`, `to_lower`, `ToLower`."""
    return name.replace("_", "").casefold()


_FOLDED_SAME = {_folded(name): same for name, same in _SAME.items()}
_FOLDED_NOT_OFFERED = {_folded(name): reason for name, reason in _NOT_OFFERED.items()}


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


_WHOLE = (
    "input",
    "inputs",
    "request",
    "req",
    "params",
    "args",
    "data",
    "object",
    "self",
    "this",
    "context",
    "ctx",
    "oldObject",
    "namespaceObject",
)
"""What other languages call the whole of the inputs."""


def for_namesake(owner: str, name: str) -> str | None:
    """Return the hint for a function that another namespace has under this name."""
    same = _FOLDED_SAME.get(_folded(f"{owner}.{name}"))
    return f"not offered: write {same}" if same else None


def for_owner(name: str, field: str, names: Iterable[str]) -> str | None:
    """Return the hint for `name.field` where `name` is not declared: inputs are read without an owner."""
    known = list(names)
    same = [each for each in known if each.rpartition(".")[2] == field]
    if same and not _is_close(name, [each for each in known if "." not in each]):
        return f"write {min(same, key=lambda each: (each.count('.'), each))}"
    if name in _WHOLE:
        return f"inputs are read by their names alone; {near(field, known) or 'declare ' + field}"
    return None


def for_namespace(name: str, after: str, names: Iterable[str]) -> str:
    """Return the hint for a namespace that is used as a value: `constants["slow"]`."""
    members = sorted(each.partition(".")[2] for each in names if each.startswith(f"{name}."))
    index = re.match(r"""\s*\[\s*["'](\w+)["']\s*\]""", after)
    if index is not None and index[1] in members:
        return f"write {name}.{index[1]}"
    return f"read one of them by its name: {name}.{members[0]}" if members else f"there are no {name}"


def for_macro(name: str, arguments: Sequence[ast.Node], text: str, target: ast.Node | None) -> str:
    """Return the hint for a macro that is called without a name and an expression."""
    shown = text[target.start : target.end] if target is not None else "list"
    only = arguments[0] if len(arguments) == 1 else None
    if name == "has" and only is not None and target is not None:
        return f"write {text[only.start : only.end]} in {shown}"
    if name == "exists" and isinstance(only, ast.Select) and target is None:
        return f"write has({text[only.start : only.end]})"
    if name == "exists" and isinstance(only, ast.Literal) and target is not None:
        return f"write {text[only.start : only.end]} in {shown}"
    return f"write {shown}.{name}(x, …)" if name != "has" else "write has(a.b)"


_AGGREGATES = ("sum", "min", "max", "sort", "distinct", "reverse", "join", "first", "last")


def for_lambda(name: str, node: ast.Call, text: str) -> str:
    """Return the hint for a function that is called with a name and an expression, as a macro is."""
    assert node.target is not None
    target, body = (text[each.start : each.end] for each in (node.target, node.arguments[1]))
    variable = text[node.arguments[0].start : node.arguments[0].end]
    if name in _AGGREGATES:
        return f"write {target}.map({variable}, {body}).{name}()"
    return f"write {target}.filter({variable}, {body})" + ("[0]" if name in ("find", "indexOf") else "")


def _is_close(name: str, known: Iterable[str]) -> bool:
    """Return True if a name is a slip of a declared one, rather than another word."""
    return any(
        (abs(len(bare) - len(name)) < 3 and SequenceMatcher(None, name, bare).ratio() >= 0.8)
        or (len(name) > 2 and sorted(name) == sorted(bare))
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
    if not member and name.lower() in WORDS:
        return WORDS[name.lower()]
    if not member and name.lower() in ("true", "false"):
        return f"write {name.lower()}"
    name = name.lower() if name in ("MIN", "MAX") else name
    if not member and name in ("min", "max"):
        return f"write math.{'least' if name == 'min' else 'greatest'}(a, b), or list.{name}()"
    if member and bare in _METHODS:
        return f"not offered: write {_METHODS[bare]}"
    for each in map(_folded, (name, bare)):
        if each in _FOLDED_NOT_OFFERED:
            return f"not offered: {_FOLDED_NOT_OFFERED[each]}"
        if each in _FOLDED_SAME:
            return f"not offered: write {_FOLDED_SAME[each]}"
    return near(name, known)


def offered(signatures: Sequence[str]) -> str:
    """Return the hint that lists what a function takes."""
    return "offered: " + "; ".join(signatures[:4]) + (" …" if len(signatures) > 4 else "")


def for_field_of(type_: Type, name: str, shown: str) -> str | None:
    """Return the hint for a field of a value that has none."""
    if name in ("length", "size", "count", "len") and (
        type_.kind is Kind.LIST or type_ in (t.STRING, t.BYTES)
    ):
        return f"write size({shown})"
    if name == "value" and type_.kind is not Kind.LIST:
        return f"write {shown}"
    if type_ in (t.TIMESTAMP, t.DURATION):
        for each in (f"{name.removesuffix('s')}", f"{name}s"):
            if each in _SAME and _SAME[each].startswith("time."):
                return f"write {shown}.{_SAME[each].removeprefix('time.')}"
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
