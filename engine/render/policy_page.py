"""A policy as a page in Markdown: inputs, types, constants and decisions, for people who do not read YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.base.printable import printable_lines
from engine.cel.celtypes import Bounds, Kind, ObjectType, Type
from engine.cel.values import to_json
from engine.policy import CompiledMatch, CompiledPolicy, CompiledRule, Expression


def page(policy: CompiledPolicy) -> str:
    """Return the page of a policy."""
    return printable_lines("\n".join(_page(policy)).rstrip() + "\n")


def _page(policy: CompiledPolicy) -> Iterator[str]:
    yield f"# {policy.name} {policy.version}"
    yield ""
    if policy.description:
        yield from (_text(policy.description), "")
    yield from _inputs(policy)
    yield from _types(policy)
    yield from _constants(policy)
    yield from _read(policy)
    yield "## Decisions"
    yield ""
    yield "The first match whose condition holds decides."
    yield ""
    yield from _rule(policy.rule)


def _inputs(policy: CompiledPolicy) -> Iterator[str]:
    if not policy.inputs:
        return
    yield from ("## Inputs", "")
    rows = [
        (
            _code(each.name),
            _type(each.type),
            _text(each.unit),
            _allowed(each.type),
            _absent(each.type, each.default, optional=each.optional),
            _text(each.description),
        )
        for each in policy.inputs.values()
    ]
    yield from _table(("input", "type", "unit", "allowed", "if it is left out", "meaning"), rows)


def _types(policy: CompiledPolicy) -> Iterator[str]:
    # Each type is resolved after those that it names: the outermost first reads better.
    declared = [type_ for type_ in reversed(list(policy.objects.values())) if type_.declared]
    if declared:
        yield from ("## Types", "")
    for type_ in declared:
        yield from _record(type_)


def _record(type_: ObjectType) -> Iterator[str]:
    yield from (f"### {type_.name}", "")
    if type_.description:
        yield from (_text(type_.description), "")
    rows = [
        (
            _code(name),
            _type(field.type),
            _text(field.unit),
            _allowed(field.type),
            _absent(field.type, field.default, optional=field.type.kind is Kind.WRAPPER),
            _text(field.description),
        )
        for name, field in type_.fields.items()
    ]
    yield from _table(("field", "type", "unit", "allowed", "if it is absent", "meaning"), rows)
    if type_.open:
        yield from ("Other fields are accepted and ignored.", "")


def _constants(policy: CompiledPolicy) -> Iterator[str]:
    rows = []
    for each in policy.constants.values():
        value = f"{len(each.value)} rows" if each.is_table else _code(_value(each.value))
        rows.append((_code(each.name), value, _text(each.unit), _text(each.description)))
    if rows:
        yield from ("## Constants", "")
        yield from _table(("constant", "value", "unit", "meaning"), rows)


def _read(policy: CompiledPolicy) -> Iterator[str]:
    names = [f"library `{name}`" for name in policy.libraries]
    names += [f"catalog `{each.name}@{each.version}`" for each in policy.catalogs.values()]
    if names:
        yield from (f"It reads {', '.join(names)}.", "")


def _rule(rule: CompiledRule) -> Iterator[str]:
    rows = [
        (
            _code(match.id),
            "otherwise" if match.condition is None else _expression(match.condition),
            _result(match),
            _text(match.description) or ("" if match.explanation is None else _expression(match.explanation)),
        )
        for match in rule.matches
    ]
    yield from _table(("match", "if", "result", "reason"), rows)
    yield from _variables(rule)
    for match in rule.matches:
        if match.rule is not None:
            yield from (f"### {match.rule.id}", "")
            yield from _rule(match.rule)


def _variables(rule: CompiledRule) -> Iterator[str]:
    rows = [
        (_code(name), _expression(variable.expression), _text(variable.description))
        for name, variable in rule.variables.items()
        if "." not in name
    ]
    if rows:
        yield from ("Variables:", "")
        yield from _table(("variable", "value", "meaning"), rows)


def _result(match: CompiledMatch) -> str:
    if match.output is not None:
        return _expression(match.output)
    return f"see {match.rule.id}" if match.rule is not None else f"a plan by {_code(match.builder or '')}"


# --- cells --------------------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table; columns without any content are left out."""
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    if kept:
        yield "| " + " | ".join(heads[column] for column in kept) + " |"
        yield "|" + "---|" * len(kept)
        for row in rows:
            yield "| " + " | ".join(row[column] for column in kept) + " |"
        yield ""


def _type(type_: Type) -> str:
    return _code(str(type_.exact))


def _allowed(type_: Type) -> str:
    """Return which values are allowed: of a scalar, or of the elements of a list or a map."""
    type_ = type_.exact
    if type_.kind is Kind.LIST:
        return _allowed(type_.element)
    if type_.kind is Kind.MAP:
        return _allowed(type_.value)
    return "" if type_.bounds is None else _bounds(type_.bounds)


def _bounds(bounds: Bounds) -> str:
    if bounds.enum:
        return ", ".join(_code(_value(value)) for value in bounds.enum)
    least, most = (None if end is None else _value(end) for end in (bounds.minimum, bounds.maximum))
    if least is None:
        return f"at most {most}"
    return f"{least} to {most}" if most is not None else f"at least {least}"


def _absent(type_: Type, default: object, *, optional: bool) -> str:
    if default is not None:
        return _code(_value(default))
    if not optional:
        return ""
    return "null" if type_.kind in (Kind.WRAPPER, Kind.DYN) else "without fields"


def _value(value: object) -> str:
    """Return a value as documents write it."""
    plain = to_json(value)
    if isinstance(plain, float) and plain.is_integer():
        return str(int(plain))
    if isinstance(plain, bool) or plain is None:
        return str(plain).lower() if plain is not None else "null"
    if isinstance(plain, list):
        return ", ".join(map(_inner, plain))
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {_inner(each)}" for key, each in plain.items()) + "}"
    return str(plain)


def _inner(value: object) -> str:
    """Return a value within a list or a map: a list in brackets."""
    return f"[{_value(value)}]" if isinstance(value, list) else _value(value)


def _expression(expression: Expression) -> str:
    return _code(expression.text)


def _text(text: str) -> str:
    """Return text for a cell: it is no markup, and on one line."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>|#" else each for each in " ".join(text.split()))


def _code(text: str) -> str:
    """Return code for a cell, between as many backticks as it needs."""
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text.replace('|', chr(92) + '|')}{space}{fence}"
