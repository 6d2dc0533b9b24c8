"""CEL's types, how they are written, and the rules by which one may stand for another.

The rules are those of CEL's own type checker (cel-spec, "Gradual Type Checking"): `dyn` goes with
everything, a wrapper is its value or null, type parameters are bound by the first argument that meets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum

from engine.records import field, record


class Kind(Enum):
    """What a type is built as."""

    PRIMITIVE = "primitive"
    NULL = "null"
    DYN = "dyn"
    LIST = "list"
    MAP = "map"
    WRAPPER = "wrapper"
    TYPE = "type"
    OBJECT = "object"
    PARAMETER = "parameter"


@record
class Type:
    """A CEL type; `parameters` are the element, key and value, wrapped or named types."""

    kind: Kind
    name: str
    parameters: tuple[Type, ...] = ()

    def __str__(self) -> str:
        if self.parameters and self.kind is not Kind.OBJECT:
            return f"{self.name}({', '.join(map(str, self.parameters))})"
        return self.name

    @property
    def element(self) -> Type:
        """The type of a list's elements or of a wrapper's value."""
        return self.parameters[0]

    @property
    def key(self) -> Type:
        """The type of a map's keys."""
        return self.parameters[0]

    @property
    def value(self) -> Type:
        """The type of a map's values."""
        return self.parameters[1]


def _primitive(name: str) -> Type:
    return Type(Kind.PRIMITIVE, name)


BOOL = _primitive("bool")
INT = _primitive("int")
UINT = _primitive("uint")
DOUBLE = _primitive("double")
STRING = _primitive("string")
BYTES = _primitive("bytes")
TIMESTAMP = _primitive("timestamp")
DURATION = _primitive("duration")
NULL = Type(Kind.NULL, "null_type")
DYN = Type(Kind.DYN, "dyn")

PRIMITIVES = {t.name: t for t in (BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION)}
_NULLABLE = {TIMESTAMP, DURATION}


def list_of(element: Type) -> Type:
    """`list(element)`."""
    return Type(Kind.LIST, "list", (element,))


def map_of(key: Type, value: Type) -> Type:
    """`map(key, value)`."""
    return Type(Kind.MAP, "map", (key, value))


def wrapper_of(value: Type) -> Type:
    """`wrapper(value)`: the value or null."""
    return Type(Kind.WRAPPER, "wrapper", (value,))


def type_of(value: Type) -> Type:
    """`type(value)`: what `type(x)` gives."""
    return Type(Kind.TYPE, "type", (value,))


def object_type(name: str) -> Type:
    """A type with named fields, which the environment knows."""
    return Type(Kind.OBJECT, name)


def parameter(name: str) -> Type:
    """A type parameter: in `list(A)` the `A`."""
    return Type(Kind.PARAMETER, name)


@record
class Field:
    """One field of an object type."""

    type: Type
    description: str = ""


@record
class ObjectType:
    """An object type's fields by name."""

    name: str
    fields: Mapping[str, Field]
    description: str = ""

    def with_fields(self, more: Mapping[str, Field]) -> ObjectType:
        """The same type with further fields."""
        return ObjectType(self.name, {**self.fields, **more}, self.description)


_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*|[(),])")


class TypeSyntaxError(ValueError):
    """A type's text can't be read; `name` is the part that is unknown, if one is."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


def parse_type(text: str, named: Mapping[str, Type] | None = None) -> Type:
    """The type written in `text`, such as `map(string, list(Device))`.

    Single capital letters are type parameters; `named` are types known by names of their own.

    Raises:
        TypeSyntaxError: not a type.
    """
    tokens = _tokens(text)
    parsed = _parse(tokens, named or {})
    rest = next(tokens)
    if rest:
        raise TypeSyntaxError(f"unexpected {rest!r} after {parsed}")
    return parsed


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if not match:
            raise TypeSyntaxError(f"{text!r} is not a type")
        yield match[1]
        position = match.end()
    while True:
        yield ""


_ARITY = {"list": 1, "map": 2, "wrapper": 1, "type": 1}


def _parse(tokens: Iterator[str], named: Mapping[str, Type]) -> Type:
    name = next(tokens)
    if name in _ARITY:
        parameters = _parse_parameters(tokens, named, name)
        return Type(Kind(name), name, parameters)
    if name in PRIMITIVES:
        return PRIMITIVES[name]
    if name == "dyn":
        return DYN
    if name in ("null_type", "null"):
        return NULL
    if name in named:
        return named[name]
    if len(name) == 1 and name.isupper():
        return parameter(name)
    raise TypeSyntaxError(f"{name!r} is not a type" if name else "a type is missing", name or None)


def _parse_parameters(tokens: Iterator[str], named: Mapping[str, Type], name: str) -> tuple[Type, ...]:
    parameters: list[Type] = []
    closing = next(tokens)
    if closing != "(":
        raise TypeSyntaxError(f"{name} needs {_ARITY[name]} type(s) in parentheses")
    while True:
        parameters.append(_parse(tokens, named))
        closing = next(tokens)
        if closing == ")":
            break
        if closing != ",":
            raise TypeSyntaxError(f"expected ',' or ')' in {name}(…)")
    if len(parameters) != _ARITY[name]:
        raise TypeSyntaxError(f"{name} takes {_ARITY[name]} type(s), found {len(parameters)}")
    return tuple(parameters)


@record(frozen=False)
class Substitution:
    """What type parameters have been bound to while one expression is checked."""

    bound: dict[Type, Type] = field(default_factory=dict)

    def copy(self) -> Substitution:
        """An independent copy, for trying an overload."""
        return Substitution(dict(self.bound))

    def resolve(self, type_: Type) -> Type:
        """`type_` with bound parameters replaced; unbound ones stay."""
        if type_.kind is Kind.PARAMETER:
            target = self.bound.get(type_)
            return type_ if target is None else self.resolve(target)
        if not type_.parameters:
            return type_
        return Type(type_.kind, type_.name, tuple(self.resolve(p) for p in type_.parameters))

    def finish(self, type_: Type) -> Type:
        """`type_` with bound parameters replaced and unbound ones made `dyn`."""
        resolved = self.resolve(type_)
        if resolved.kind is Kind.PARAMETER:
            return DYN
        if not resolved.parameters:
            return resolved
        return Type(resolved.kind, resolved.name, tuple(self.finish(p) for p in resolved.parameters))

    def assignable(self, given: Type, wanted: Type) -> bool:
        """True when `given` may stand where `wanted` is asked for; binds parameters as it goes."""
        given = self.resolve(given)
        if wanted.kind is Kind.PARAMETER:
            return self._bind(wanted, given, given_side=False)
        if given.kind is Kind.PARAMETER:
            return self._bind(given, wanted, given_side=True)
        if Kind.DYN in (given.kind, wanted.kind):
            return True
        if Kind.NULL in (given.kind, wanted.kind):
            other = wanted if given.kind is Kind.NULL else given
            return other.kind in (Kind.NULL, Kind.OBJECT, Kind.WRAPPER) or other in _NULLABLE
        if Kind.WRAPPER in (given.kind, wanted.kind):
            return self._unwrap(given) == self._unwrap(wanted)
        if given.kind is not wanted.kind:
            return False
        if given.kind in (Kind.LIST, Kind.MAP):
            return all(
                self.assignable(g, w) for g, w in zip(given.parameters, wanted.parameters, strict=True)
            )
        return given.kind is Kind.TYPE or given == wanted

    def assignable_all(self, given: tuple[Type, ...], wanted: tuple[Type, ...]) -> bool:
        """`assignable` pairwise; nothing is bound when it does not hold."""
        if len(given) != len(wanted):
            return False
        attempt = self.copy()
        if all(attempt.assignable(g, w) for g, w in zip(given, wanted, strict=True)):
            self.bound = attempt.bound
            return True
        return False

    def join(self, first: Type, second: Type) -> Type:
        """The type of a list or map literal that holds both; `dyn` where they have nothing in common."""
        if self.assignable(second, first):
            return self._most_general(first, second)
        return DYN

    def _bind(self, slot: Type, other: Type, *, given_side: bool) -> bool:
        current = self.bound.get(slot)
        if current is None:
            if other == slot:
                return True
            if _mentions(other, slot):
                return False
            self.bound[slot] = other
            return True
        resolved = self.resolve(slot)
        fits = self.assignable(resolved, other) if given_side else self.assignable(other, resolved)
        if fits and _less_specific(other, resolved):
            self.bound[slot] = other
        return fits

    def _most_general(self, first: Type, second: Type) -> Type:
        return first if _less_specific(first, second) else second

    @staticmethod
    def _unwrap(type_: Type) -> Type:
        return type_.element if type_.kind is Kind.WRAPPER else type_


def _mentions(type_: Type, slot: Type) -> bool:
    return type_ == slot or any(_mentions(p, slot) for p in type_.parameters)


def _less_specific(first: Type, second: Type) -> bool:
    """True when `first` says no more than `second`: dyn, an open parameter, or the wrapper of it."""
    if first.kind in (Kind.DYN, Kind.PARAMETER):
        return True
    if second.kind in (Kind.DYN, Kind.PARAMETER):
        return False
    if first.kind is Kind.WRAPPER and second.kind is not Kind.WRAPPER:
        return second.kind is Kind.NULL or first.element == second
    if first.kind is not second.kind:
        return False
    if first.kind in (Kind.LIST, Kind.MAP):
        return all(_less_specific(f, s) for f, s in zip(first.parameters, second.parameters, strict=True))
    return first == second
