"""Hints for calls that no overload takes: what the types given suggest was meant.

A hint is given where the types and the text leave one reading; else there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.cel import celtypes as t
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind, Type
from engine.cel.library import Definition
from engine.cel.suffixes import duration_text

_RELATIONS = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">=", "_==_": "==", "_!=_": "!="}


_LONGEST = 200
"""Characters of an argument that a hint repeats."""


def for_overload(
    text: str, node: ast.Call, arguments: Sequence[ast.Node], given: tuple[Type, ...], defined: Definition
) -> str | None:
    """Return the hint for a call of which no overload takes the types given."""
    shown = [text[each.start : each.end] for each in arguments]
    if any(len(each) > _LONGEST for each in shown):
        return None
    name = defined.name
    if name in _RELATIONS and len(given) == 2:
        hint = _chained(text, arguments, name) or _nullable(given, shown)
        hint = hint or _compared(name, arguments, given, shown) or _mixed(arguments, given, shown)
        return hint or f"both sides need one type, found '{given[0]}' and '{given[1]}'"
    if name in ("_&&_", "_||_", "!_"):
        return _negated(text, node, shown) or _repeated(text, arguments, name) or _not_bool(given, shown)
    if name == "_?_:_" and len(given) == 3:
        if given[0] not in (t.BOOL, t.DYN):
            return f"{shown[0]} is of type '{given[0]}': compare it before the ?"
        mixed = _mixed(arguments[1:], given[1:], shown[1:])
        return mixed or f"both branches need one type, found '{given[1]}' and '{given[2]}'"
    if name == "_in_":
        return _in(given, shown)
    if name in ("_+_", "_-_") and len(given) == 2 and {t.TIMESTAMP, t.DURATION} & set(given):
        return _time_added(given, shown)
    if name == "_+_" and t.STRING in given and len(given) == 2:
        return _joined(given, shown)
    if name == "_%_" and given and given[0] == t.STRING:
        return f"write {shown[0]}.format([{shown[1]}])"
    if name == "_[_]" and len(given) == 2:
        return _indexed(arguments, given, shown)
    if len(given) == 2 and name[:1] == "_" and len(shown) == 2:
        return _mixed(arguments, given, shown)
    return _of_another_type(name, arguments, given, shown) or _style(node, shown, defined)


def _of_another_type(
    name: str, arguments: Sequence[ast.Node], given: tuple[Type, ...], shown: Sequence[str]
) -> str | None:
    """A function of texts that is called for a list, or one of lists that is called for a text."""
    first = given[0].kind if given else None
    if name in ("contains", "startsWith", "endsWith") and first is Kind.LIST:
        return f"write {shown[-1]} in {shown[0]}" if name == "contains" else f"write {shown[0]}.exists(x, …)"
    if name == "contains" and first is Kind.MAP:
        return f"write {shown[-1]} in {shown[0]}"
    if name == "slice" and given[0] == t.STRING:
        return f"write {shown[0]}.substring({', '.join(shown[1:])})"
    if name == "join" and len(given) == 2 and given[1].kind is Kind.LIST:
        return f"write {shown[1]}.join({shown[0]})"
    if name == "compareTo" and len(given) == 2:
        return f"write {shown[0]} < {shown[1]}, or {shown[0]} == {shown[1]}"
    if name == "sum" and given[0] == t.list_of(t.STRING):
        return f"write {shown[0]}.join()"
    if name == "matches" and len(given) == 3:
        return "flags are written in the pattern: text.matches('(?i)…')"
    if name == "format" and given[0] in (t.TIMESTAMP, t.DURATION):
        return f'write string({shown[0]}), or "%d".format([{shown[0]}.getHours()])'
    if name == "format" and given[0] == t.STRING:
        return _formatted(arguments, shown)
    return None


def _formatted(arguments: Sequence[ast.Node], shown: Sequence[str]) -> str:
    template = shown[0] if isinstance(arguments[0], ast.Literal) else '"%s"'
    if re.search(r"\{\w*\}", template):
        template = re.sub(r"\{\w*\}", "%s", template)
    return f"write {template}.format([{', '.join(shown[1:]) or '…'}])"


def _negated(text: str, node: ast.Call, shown: Sequence[str]) -> str | None:
    """`!a in b` and `!a == b`: `!` binds tighter than they do."""
    if node.function != "!_":
        return None
    after = re.match(r"\s+(in\b|==|!=|<=|>=|<|>)\s*(\S[^&|?]*)", text[node.end : node.end + _LONGEST])
    if after is None:
        return None
    rest = after[2].strip()
    balanced = rest.count("(") == rest.count(")") and rest.count("[") == rest.count("]")
    return f"write !({shown[0]} {after[1]} {rest if balanced else '…'})"


def _repeated(text: str, arguments: Sequence[ast.Node], name: str) -> str | None:
    """`a == 1 || 2`, where `a == 1 || a == 2` is meant."""
    if len(arguments) != 2 or not isinstance(arguments[1], ast.Literal):
        return None
    left, right = arguments
    second = text[right.start : right.end]
    operator = {"_&&_": "&&", "_||_": "||"}[name]
    if isinstance(left, ast.Literal):
        first = text[left.start : left.end]
        return f"compare each of them: x == {first} {operator} x == {second}"
    if isinstance(left, ast.Call) and left.function in ("_&&_", "_||_"):
        left = left.arguments[-1]
    if not isinstance(left, ast.Call) or left.function not in _RELATIONS:
        return None
    compared = text[left.arguments[0].start : left.arguments[0].end]
    return f"write {text[left.start : left.end]} {operator} {compared} {_RELATIONS[left.function]} {second}"


def _time_added(given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    """`since + 30`, `since + "30d"`."""
    for type_, each in zip(given, shown, strict=True):
        if type_ in (t.INT, t.DOUBLE):
            return (
                f'write duration("{each}s")' if _is_number(each) else f'write duration(string({each}) + "s")'
            )
        if type_ == t.STRING:
            return _as_duration(each)
    return None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) is not None


def _as_duration(shown: str) -> str:
    """Return the hint for text that stands where a duration should."""
    time = duration_text(shown[1:-1]) if shown[:1] in "\"'" else None
    return f'write duration("{time}")' if time else f"write duration({shown})"


def _as_timestamp(shown: str) -> str:
    """Return the hint for text, or a difference of numbers, that stands where a timestamp should."""
    date = re.fullmatch(r"[\"']?(\d{4})\s*-\s*(\d{2})\s*-\s*(\d{2})[\"']?", shown)
    if date is not None:
        return f'write timestamp("{date[1]}-{date[2]}-{date[3]}T00:00:00Z")'
    return f"write timestamp({shown})"


_WRITTEN = (t.INT, t.UINT, t.DOUBLE, t.BOOL, t.TIMESTAMP, t.DURATION)
"""Types of which string() gives the text."""


def for_result(text: str, found: Type, wanted: Type) -> str | None:
    """Return the hint for an expression of another type than the policy needs."""
    comment = re.search(r"//(?![^\"']*[\"'][^\"']*$).*\S", text)
    if comment is not None and "://" not in text:
        return "// begins a comment; the quotient of ints is written a / b"
    if len(text) > _LONGEST:
        return None
    if wanted == t.BOOL:
        if found == t.STRING and text.strip("\"'") in ("true", "false"):
            return f"write {text[1:-1]} without the quotes of a text"
        simple = re.fullmatch(r"[\w.]+(\([^()]*\))?", text.strip())
        return _not_bool((found,), (text.strip() if simple else f"({text.strip()})",))
    if {found, wanted} == {t.INT, t.DOUBLE} or (wanted == t.STRING and found in _WRITTEN):
        return f"write {wanted}({text})"
    return None


def for_literal(function: str, node: ast.Node) -> str | None:
    """Return the hint for a literal with which a call always fails."""
    value = node.value if isinstance(node, ast.Literal) else None
    if function == "_[_]":
        return "write list.last().orValue(…), or list[size(list) - 1]"
    if not isinstance(value, str):
        return None
    if function == "timestamp":
        date = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2})(:\d{2})?)?", value)
        if date is None:
            return 'a time is written timestamp("2026-01-31T00:00:00Z")'
        return f'write timestamp("{date[1]}T{date[2] or "00:00"}{date[3] or ":00"}Z")'
    if function == "duration":
        time = duration_text(f"{value}s" if _is_number(value) else value)
        return (
            f'write duration("{time}")'
            if time and time != value
            else 'write duration("1h30m"), "90s", "200ms"'
        )
    if function == "matches" and re.search(r"\(\?(=|!|<=|<!)", value):
        return "RE2 has no lookaround: join two matches() with && or !"
    return None


def _indexed(arguments: Sequence[ast.Node], given: tuple[Type, ...], shown: Sequence[str]) -> str | None:
    if given[0].kind is Kind.LIST:
        return "a list is indexed by an int from 0; an element with a property is list.filter(x, …)[0]"
    if given[0] == t.STRING:
        if shown[1].startswith("-"):
            return f"write {shown[0]}.substring({shown[0]}.size() - {shown[1][1:]})"
        return f"write {shown[0]}.charAt({shown[1]})"
    field = arguments[1].value if isinstance(arguments[1], ast.Literal) else None
    if given[0].kind is Kind.OBJECT and isinstance(field, str) and field.isidentifier():
        return f"write {shown[0]}.{field}"
    if given[0].kind is Kind.MAP:
        return f"the keys of {shown[0]} are of type '{given[0].key}', found '{given[1]}'"
    return None


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


def _compared(
    name: str, arguments: Sequence[ast.Node], given: tuple[Type, ...], shown: Sequence[str]
) -> str | None:
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
                return _unquoted(str(shown[index][1:-1]), other, shown[1 - index])
            if shown[index].startswith("constants."):
                return f"the value of {shown[index]} is text: write it as a number, without quotes and unit"
            return f"write {other}({shown[index]}), or string({shown[1 - index]})"
        if type_ == t.DURATION and other in (t.INT, t.DOUBLE):
            if _is_number(shown[1 - index]):
                return f'write duration("{shown[1 - index]}s")'
            return f'write duration(string({shown[1 - index]}) + "s")'
        if type_ == t.TIMESTAMP and other in (t.STRING, t.INT):
            return _as_timestamp(shown[1 - index])
        if type_ == t.DURATION and other == t.STRING:
            return _as_duration(shown[1 - index])
        if type_ == t.BOOL and other in (t.INT, t.DOUBLE, t.UINT):
            return f"{shown[index]} is a bool: write {shown[index]}, or !({shown[index]})"
        if type_.kind is Kind.TYPE and other == t.STRING:
            return f"write {shown[1 - index][1:-1]} without quotes"
    return None


def _unquoted(text: str, other: Type, number: str) -> str:
    """A number or a bool in quotes; other text is compared with text."""
    if other == t.BOOL and text in ("true", "false"):
        return f"write {text} without quotes, or string({number})"
    if other != t.BOOL and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return f"write {text} without quotes, or string({number})"
    return f"{number} is of type '{other}', which no text equals; write string({number}) for its text"


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
    if node.target is None and all(members) and shown:
        return f"write {shown[0]}.{name}({', '.join(shown[1:])})"
    if node.target is not None and not any(members) and "." not in name:
        return f"write {name}({', '.join(shown)})"
    return None
