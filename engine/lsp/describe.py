"""Symbols as Markdown: type, unit, value, description, and where they are declared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from engine.base.printable import printable
from engine.cel.celtypes import Kind, Type
from engine.cel.declarations import find_function, macros
from engine.lsp.symbols import Symbol

_LONGEST = 800
"""Characters of an expression or value that are shown."""
_MOST_OVERLOADS = 12
_MARKED = str.maketrans({each: f"\\{each}" for each in "\\`*_[]<>#|"})


def describe(symbol: Symbol) -> str:
    """Return what is known of a symbol, as Markdown."""
    if symbol.category == "function":
        return function(symbol.name)
    if symbol.category == "macro":
        return macro(symbol.name)
    parts = [_code(_head(symbol)), *_unit(symbol), *_description(symbol), *_value(symbol), *_place(symbol)]
    return "\n\n".join(parts)


def function(name: str) -> str:
    """Return the signatures, the description and an example of a function."""
    found = find_function(name)
    if found is None:
        return ""
    defined = found.definition
    shown = [*defined.signatures[:_MOST_OVERLOADS]]
    if len(defined.signatures) > len(shown):
        shown.append("…")
    return "\n\n".join([_code("\n".join(shown)), defined.description, "Example:", _code(defined.example)])


def macro(name: str) -> str:
    """Return the forms of a macro."""
    forms = [each for _, each in macros() if macro_name(each.form) == name]
    if not forms:
        return _code(f"{name}()")
    shown = "\n".join(each.form for each in forms)
    return "\n\n".join([_code(shown), forms[0].description, "Example:", _code(forms[0].example)])


def macro_name(form: str) -> str:
    """Return the name of a macro by its form: `map` for `list.map(x, e)`."""
    return form.partition("(")[0].rpartition(".")[2]


def type_text(type_: Type) -> str:
    """Return a type as people read it: `double or null` for a wrapper."""
    return f"{type_.element} or null" if type_.kind is Kind.WRAPPER else str(type_)


def plain(text: object) -> str:
    """Return text of a document as Markdown that shows it as it is: no links, no images."""
    return printable(str(text)).translate(_MARKED)


def _head(symbol: Symbol) -> str:
    prefix = {"variable": "variables.", "constant": "constants.", "catalog": "catalogs."}.get(
        symbol.category, ""
    )
    name = symbol.name.partition("@")[0] if symbol.category == "catalog" else symbol.name
    owner = f"{symbol.facts['of']}." if "of" in symbol.facts else ""
    if symbol.category in ("library", "policy") and symbol.document is not None:
        value = symbol.document.value
        return f"{value['kind'].lower()} {value['name']}@{value['version']}"
    if symbol.category == "match":
        return f"match {name}"
    declared = symbol.declared.get("type")
    type_ = type_text(symbol.type) if symbol.type is not None else declared
    text = f"{owner or prefix}{name}" + (f": {type_}" if type_ else "")
    value = symbol.declared.get("value") if symbol.category == "constant" else None
    return text if value is None else f"{text} = {_cut(value)}"


def _unit(symbol: Symbol) -> Iterator[str]:
    unit = symbol.declared.get("unit") or symbol.facts.get("unit")
    if isinstance(unit, str) and unit:
        yield f"Unit: {plain(unit)}"


def _description(symbol: Symbol) -> Iterator[str]:
    if symbol.category in ("library", "catalog", "policy") and symbol.document is not None:
        text = symbol.document.value.get("description")
    else:
        text = symbol.declared.get("description") or symbol.facts.get("description")
    if isinstance(text, str) and text:
        yield plain(" ".join(text.split()))


def _value(symbol: Symbol) -> Iterator[str]:
    declared = symbol.declared
    for key in ("expression", "records", "values", "input"):
        if symbol.category == "variable" and isinstance(declared.get(key), str):
            yield _code(_cut(declared[key].strip()))
    if symbol.category == "entry":
        yield _code("\n".join(f"{key}: {_cut(value)}" for key, value in declared.items()), "yaml")
    if "default" in declared and symbol.category == "input":
        yield f"Default: {plain(_cut(declared['default']))}"


def _place(symbol: Symbol) -> Iterator[str]:
    origin = symbol.origin
    if origin is None:
        return
    document, path = origin
    place = document.place(path, key=True)
    catalog = f"catalog {symbol.facts['catalog']}, " if "catalog" in symbol.facts else ""
    yield f"{catalog}{plain(_short(place.file))}:{place.line}"


def _short(file: str) -> str:
    """Return the last parts of a path: the folder of policies is known to whoever reads it."""
    return os.sep.join(file.split(os.sep)[-4:])


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else _text(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)


def _code(text: str, language: str = "cel") -> str:
    fence = "```" if "```" not in text else "````"
    return f"{fence}{language}\n{printable_lines(text)}\n{fence}"


def printable_lines(text: str) -> str:
    """Return text with its lines, other control characters escaped."""
    return "\n".join(printable(line) for line in text.split("\n"))
