"""Bind inputs of declared types, of types with bounds, and inputs that may be absent, on the fast path.

`form` describes such a type as plain data, which an image holds; `bind_form` makes a function of it. What is
unusual raises `NotQuick`, as everywhere on the fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from engine.cel import celtypes as t
from engine.cel.celtypes import Bounds, Kind, ObjectType, Type

if TYPE_CHECKING:
    from engine.cel.values import Value

    Bind = Callable[[object], Value]
    Refuse = Callable[[str], Exception]

Form = tuple[Any, ...]
"""A type as plain data: `("int", enum, minimum, maximum)`, `("list", element)`, `("map", value)`,
`("nullable", form)`, or `("record", type, ((field, form, default), …), open)`.
"""

_SCALARS = (t.STRING, t.INT, t.DOUBLE, t.BOOL)


def form(type_: Type, objects: Mapping[str, ObjectType]) -> Form | None:
    """Return a type as plain data; None if the fast path does not bind it."""
    if type_ in _SCALARS:
        bounds = type_.bounds or Bounds()
        return (type_.name, bounds.enum, bounds.minimum, bounds.maximum)
    if type_.kind is Kind.WRAPPER:
        inner = form(type_.element, objects)
        return None if inner is None else ("nullable", inner)
    if type_.kind is Kind.LIST:
        inner = form(type_.element, objects)
        return None if inner is None else ("list", inner)
    if type_.kind is Kind.MAP and type_.key == t.STRING and type_.key.bounds is None:
        inner = form(type_.value, objects)
        return None if inner is None else ("map", inner)
    if type_.kind is Kind.OBJECT and objects[type_.name].declared:
        fields = []
        for name, field in objects[type_.name].fields.items():
            inner = form(field.type, objects)
            if inner is None:
                return None
            fields.append((name, inner, field.default))
        return ("record", type_.name, tuple(fields), objects[type_.name].open)
    return None


def is_plain(type_: Type, objects: Mapping[str, ObjectType]) -> bool:
    """Return True for a type without bounds and declared records that requests cannot leave out."""
    if type_.kind is Kind.WRAPPER or type_.bounds is not None:
        return False
    if type_.kind is Kind.OBJECT and objects[type_.name].declared:
        return False
    return all(is_plain(inner, objects) for inner in type_.parameters)


def bind_form(
    given: Form,
    scalars: Mapping[str, Bind],
    classes: Mapping[str, Callable[..., Value]],
    refuse: Refuse,
) -> Bind:
    """Return the function that binds values of a type.

    Args:
        given: the type as plain data.
        scalars: what binds scalars, by type.
        classes: the classes of records.
        refuse: makes the error for an unusual value.
    """
    kind = given[0]

    def inner(form: Form) -> Bind:
        return bind_form(form, scalars, classes, refuse)

    if kind == "nullable":
        element = inner(given[1])
        return lambda value: None if value is None else element(value)
    if kind == "list":
        return _list(inner(given[1]), refuse)
    if kind == "map":
        return _map(inner(given[1]), refuse)
    if kind == "record":
        _, name, fields, opened = given
        bound = tuple((field, inner(form), default) for field, form, default in fields)
        return _record(name, classes[name], bound, opened, refuse)
    _, enum, minimum, maximum = given
    return _bounded(scalars[kind], (enum, minimum, maximum), refuse)


def _list(element: Bind, refuse: Refuse) -> Bind:
    def bind(value: object) -> Value:
        if type(value) is not list:
            raise refuse("not a list")
        return [element(each) for each in value]

    return bind


def _map(element: Bind, refuse: Refuse) -> Bind:
    def bind(value: object) -> Value:
        if type(value) is not dict or not all(type(key) is str for key in value):
            raise refuse("not a map of text")
        return {key: element(each) for key, each in value.items()}

    return bind


def _record(
    name: str,
    make: Callable[..., Value],
    fields: tuple[tuple[str, Bind, object], ...],
    opened: bool,
    refuse: Refuse,
) -> Bind:
    known = {field for field, _, _ in fields}

    def bind(value: object) -> Value:
        if type(value) is not dict or not (opened or known.issuperset(value)):
            raise refuse(f"{name}: not a mapping of its fields")
        values = []
        for field, bind_field, default in fields:
            given = value.get(field)
            values.append(bind_field(default if given is None else given))
        return make(*values)

    return bind


def _bounded(
    scalar: Bind,
    bounds: tuple[tuple[Value, ...], Value, Value],
    refuse: Refuse,
) -> Bind:
    enum, minimum, maximum = bounds
    if not enum and minimum is None and maximum is None:
        return scalar

    def bind(value: object) -> Value:
        bound = scalar(value)
        if (
            (enum and bound not in enum)
            or (minimum is not None and bound < minimum)
            or (maximum is not None and bound > maximum)
        ):
            raise refuse("not an allowed value")
        return bound

    return bind
