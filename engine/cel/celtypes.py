"""CEL's types, their notation, and the rules by which one is assignable to another.

The rules are those of CEL's own type checker (cel-spec, "Gradual Type Checking"): `dyn` goes with
everything, a wrapper is its value or null, type parameters are bound by the first argument that meets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from engine.base.records import field, record
from engine.cel.limits import TYPE_DEPTH

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.cel.values import Value


class Kind(Enum):
    """The form of a type."""

    PRIMITIVE = "primitive"
    NULL = "null"
    DYN = "dyn"
    LIST = "list"
    MAP = "map"
    WRAPPER = "wrapper"
    TYPE = "type"
    OBJECT = "object"
    OPTIONAL = "optional_type"
    OPAQUE = "opaque"
    PARAMETER = "parameter"


@record
class Bounds:
    """The values of a type that are allowed: those of a list, or those between two limits."""

    enum: tuple[Value, ...] = ()
    minimum: Value = None
    maximum: Value = None

    def narrowed(self, other: Bounds) -> Bounds:
        """Return these bounds, and what they leave open from others."""
        return Bounds(
            self.enum or other.enum,
            other.minimum if self.minimum is None else self.minimum,
            other.maximum if self.maximum is None else self.maximum,
        )


@record(eq=False)
class Type:
    """A CEL type; `parameters` are the element, key and value, wrapped or named types.

    `bounds` say which of its values requests may hold; expressions do not see them, and types that differ by
    them alone are equal.
    """

    kind: Kind
    name: str
    parameters: tuple[Type, ...] = ()
    bounds: Bounds | None = None

    # Types are compared and looked up more than anything else while a policy is compiled.
    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Type)
            and self.name == other.name
            and self.kind is other.kind
            and self.parameters == other.parameters
        )

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))

    @property
    def exact(self) -> Type:
        """Return the type of a wrapper's value, or the type itself if it is no wrapper."""
        return self.parameters[0] if self.kind is Kind.WRAPPER else self

    def __str__(self) -> str:
        if self.parameters and self.kind is not Kind.OBJECT:
            return f"{self.name}({', '.join(map(str, self.parameters))})"
        return self.name

    @property
    def element(self) -> Type:
        """Return the type of a list's elements, or of a wrapper's or an optional's value."""
        return self.parameters[0]

    @property
    def key(self) -> Type:
        """Return the type of a map's keys."""
        return self.parameters[0]

    @property
    def value(self) -> Type:
        """Return the type of a map's values."""
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
_HOLDS_NULL = (Kind.NULL, Kind.OBJECT, Kind.WRAPPER, Kind.OPTIONAL, Kind.OPAQUE)
"""Kinds of types to which null may be assigned."""
_COLLECTED = (Kind.LIST, Kind.MAP, Kind.OPTIONAL)
"""Kinds whose types fit if their parameters do."""


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


def optional_of(value: Type) -> Type:
    """`optional_type(value)`: a value that may be missing."""
    return Type(Kind.OPTIONAL, "optional_type", (value,))


def object_type(name: str) -> Type:
    """Return a type with named fields, which the environment declares."""
    return Type(Kind.OBJECT, name)


def opaque_type(name: str) -> Type:
    """Return a type whose values only functions make and read."""
    return Type(Kind.OPAQUE, name)


OPAQUE = {
    name: opaque_type(name)
    for name in (
        "net.IP",
        "net.CIDR",
        "kubernetes.Quantity",
        "kubernetes.Semver",
        "kubernetes.URL",
        "kubernetes.NamedFormat",
    )
}
"""The types that functions make, by their names in signatures and expressions."""


def parameter(name: str) -> Type:
    """Return a type parameter: the `A` of `list(A)`."""
    return Type(Kind.PARAMETER, name)


@record
class Field:
    """One field of an object type; one that may be absent is a wrapper."""

    type: Type
    description: str = ""
    unit: str = ""
    """The unit of numbers, as `engine.policy.units` reads it."""
    default: Json = None
    """The value if it is absent, as documents write it; None if it has none."""


@record
class ObjectType:
    """An object type's fields by name.

    One that is `declared` under `types:` is a record as JSON has them: a field is present unless it is null.
    The values of an `open` type may have further fields, which expressions cannot read.
    """

    name: str
    fields: Mapping[str, Field]
    description: str = ""
    declared: bool = False
    open: bool = False

    def with_fields(self, more: Mapping[str, Field]) -> ObjectType:
        """Return the type with additional fields."""
        fields = {**self.fields, **more}
        return ObjectType(self.name, fields, self.description, self.declared, self.open)


_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*|[(),])")


class TypeSyntaxError(ValueError):
    """Text that is not a type; `name` is the unknown part, if there is one."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


def parse_type(text: str, named: Mapping[str, Type] | None = None) -> Type:
    """Parse a type such as `map(string, list(Device))`.

    Single capital letters are type parameters; `named` are types known by names of their own.

    Raises:
        TypeSyntaxError: not a type.
    """
    tokens = _tokens(text)
    parsed = _parse(tokens, named or {}, 1)
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


_ARITY = {"list": 1, "map": 2, "wrapper": 1, "type": 1, "optional_type": 1}


def is_too_deep(type_: Type, levels: int = TYPE_DEPTH) -> bool:
    """True if a type is nested deeper than TYPE_DEPTH."""
    return levels < 1 or any(is_too_deep(parameter, levels - 1) for parameter in type_.parameters)


def _parse(tokens: Iterator[str], named: Mapping[str, Type], depth: int) -> Type:
    name = next(tokens)
    if depth > TYPE_DEPTH:
        raise TypeSyntaxError(f"a type nested deeper than {TYPE_DEPTH} levels")
    if name in _ARITY:
        parameters = _parse_parameters(tokens, named, name, depth)
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


def _parse_parameters(
    tokens: Iterator[str], named: Mapping[str, Type], name: str, depth: int
) -> tuple[Type, ...]:
    parameters: list[Type] = []
    closing = next(tokens)
    if closing != "(":
        raise TypeSyntaxError(f"{name} needs {_ARITY[name]} type(s) in parentheses")
    while True:
        parameters.append(_parse(tokens, named, depth + 1))
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
    """The bindings of type parameters while an expression is checked."""

    bound: dict[Type, Type] = field(default_factory=dict)
    tried: list[tuple[Type, Type | None]] = field(default_factory=list)
    """The parameters bound while an overload is tried, with their previous bindings."""

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
        """True if `given` is assignable to `wanted`; binds parameters on the way."""
        given = self.resolve(given)
        if wanted.kind is Kind.PARAMETER:
            return self._bind(wanted, given, given_side=False)
        if given.kind is Kind.PARAMETER:
            return self._bind(given, wanted, given_side=True)
        if Kind.DYN in (given.kind, wanted.kind):
            return True
        if Kind.NULL in (given.kind, wanted.kind):
            other = wanted if given.kind is Kind.NULL else given
            return other.kind in _HOLDS_NULL or other in _NULLABLE
        if Kind.WRAPPER in (given.kind, wanted.kind):
            return self.assignable(self._unwrap(given), self._unwrap(wanted))
        if given.kind is not wanted.kind:
            return False
        if given.kind in _COLLECTED:
            return all(
                self.assignable(g, w) for g, w in zip(given.parameters, wanted.parameters, strict=True)
            )
        return given.kind is Kind.TYPE or given == wanted

    def assignable_all(self, given: tuple[Type, ...], wanted: tuple[Type, ...]) -> bool:
        """`assignable` pairwise; nothing is bound when it does not hold."""
        if len(given) != len(wanted):
            return False
        self.tried.clear()
        if all(self.assignable(g, w) for g, w in zip(given, wanted, strict=True)):
            return True
        for slot, before in reversed(self.tried):
            if before is None:
                del self.bound[slot]
            else:
                self.bound[slot] = before
        return False

    def join(self, first: Type, second: Type) -> Type:
        """Return the element type of a literal that holds both; `dyn` if they have nothing in common."""
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
            self._set(slot, other)
            return True
        resolved = self.resolve(slot)
        fits = self.assignable(resolved, other) if given_side else self.assignable(other, resolved)
        if fits and _less_specific(other, resolved):
            self._set(slot, other)
        return fits

    def _set(self, slot: Type, type_: Type) -> None:
        self.tried.append((slot, self.bound.get(slot)))
        self.bound[slot] = type_

    def _most_general(self, first: Type, second: Type) -> Type:
        return first if _less_specific(first, second) else second

    @staticmethod
    def _unwrap(type_: Type) -> Type:
        return type_.element if type_.kind is Kind.WRAPPER else type_


def _mentions(type_: Type, slot: Type) -> bool:
    return type_ == slot or any(_mentions(p, slot) for p in type_.parameters)


def _less_specific(first: Type, second: Type) -> bool:
    """True if `first` is as general as `second`: dyn, an open parameter, or its wrapper."""
    if first.kind in (Kind.DYN, Kind.PARAMETER):
        return True
    if second.kind in (Kind.DYN, Kind.PARAMETER):
        return False
    if first.kind is Kind.WRAPPER and second.kind is not Kind.WRAPPER:
        return second.kind is Kind.NULL or _less_specific(first.element, second)
    if first.kind is Kind.OPTIONAL and second.kind is Kind.NULL:
        return True
    if first.kind is not second.kind:
        return False
    if first.kind in _COLLECTED:
        return all(_less_specific(f, s) for f, s in zip(first.parameters, second.parameters, strict=True))
    return first == second
