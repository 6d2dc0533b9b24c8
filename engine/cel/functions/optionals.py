"""CEL's optional types: values that may be missing.

`a.?b` and `a[?b]` read what may be missing, `[?a]` and `{?k: v}` leave out what is. Selections and indices of
an optional are optionals. `or` and `orValue` evaluate their argument only where there is no value.
"""

from __future__ import annotations

from engine.cel.costs import CHARGING
from engine.cel.functions.operators import index_optional, optional, select_optional
from engine.cel.library import Library
from engine.cel.times import Duration, Timestamp
from engine.cel.values import CelError, ObjectValue, OptionalValue, Value, fields_of

LIBRARY = Library(__name__, "Optionals", source="CEL optional types", namespace="optional")

LIBRARY.define(
    "_?._",
    "_?._(A, string) -> optional_type(B)",
    description="The field or entry, or none where there is none; written `a.?b`.",
    example="{'a': 1}.?b == optional.none()",
    implementation=select_optional,
)
LIBRARY.define(
    "_[?_]",
    "_[?_](list(A), int) -> optional_type(A)",
    "_[?_](map(A, B), A) -> optional_type(B)",
    "_[?_](optional_type(list(A)), int) -> optional_type(A)",
    "_[?_](optional_type(map(A, B)), A) -> optional_type(B)",
    description="The element or entry, or none where there is none; written `a[?b]`.",
    example="[1, 2][?0] == optional.of(1)",
    cost=CHARGING,
    operations=12,
    implementation=index_optional,
)


@LIBRARY.function(
    "optional.of",
    "optional.of(A) -> optional_type(A)",
    description="An optional with this value.",
    example="optional.of(1).value() == 1",
)
def of(value: Value) -> OptionalValue:
    """Return `optional.of(value)`."""
    return OptionalValue(True, value)


@LIBRARY.function(
    "optional.none",
    "optional.none() -> optional_type(A)",
    description="An optional without a value.",
    example="!optional.none().hasValue()",
)
def none() -> OptionalValue:
    """Return `optional.none()`."""
    return OptionalValue()


@LIBRARY.function(
    "optional.ofNonZeroValue",
    "optional.ofNonZeroValue(A) -> optional_type(A)",
    description="An optional with this value, or none for null, false, 0, an empty text, list or map.",
    example="optional.ofNonZeroValue('') == optional.none()",
)
def of_non_zero_value(value: Value) -> OptionalValue:
    """Return `optional.ofNonZeroValue(value)`."""
    return OptionalValue() if _is_zero(value) else OptionalValue(True, value)


def _is_zero(value: Value) -> bool:
    if isinstance(value, ObjectValue):
        return all(_is_zero(each) for _, each in fields_of(value))
    if isinstance(value, OptionalValue):
        return not value.present
    if isinstance(value, (Duration, Timestamp)):
        return value == type(value)(0)
    return not value


@LIBRARY.function(
    "hasValue",
    "optional_type(A).hasValue() -> bool",
    description="True if there is a value.",
    example="optional.of(1).hasValue()",
)
def has_value(value: Value) -> bool:
    """Return `optional.hasValue()`."""
    return optional(value).present


@LIBRARY.function(
    "value",
    "optional_type(A).value() -> A",
    description="The value; an error if there is none.",
    example="optional.of(1).value() == 1",
)
def value_of(value: Value) -> Value:
    """Return `optional.value()`."""
    if not optional(value).present:
        raise CelError("optional.none() has no value")
    return value.value


@LIBRARY.function(
    "or",
    "optional_type(A).or(optional_type(A)) -> optional_type(A)",
    description="The optional if it has a value, else the other one.",
    example="optional.none().or(optional.of(1)) == optional.of(1)",
)
def or_(first: Value, second: Value) -> Value:
    """Return `first.or(second)`."""
    return first if optional(first).present else optional(second)


@LIBRARY.function(
    "orValue",
    "optional_type(A).orValue(A) -> A",
    description="The value if there is one, else the argument.",
    example="optional.none().orValue(1) == 1",
)
def or_value(value: Value, otherwise: Value) -> Value:
    """Return `value.orValue(otherwise)`."""
    return value.value if optional(value).present else otherwise


LIBRARY.macro(
    "e.optMap(x, t)",
    description="t with the optional's value as x, as an optional; none if there is no value.",
    example="optional.of(1).optMap(x, x + 1) == optional.of(2)",
)
LIBRARY.macro(
    "e.optFlatMap(x, t)",
    description="t, itself an optional, with the optional's value as x; none if there is no value.",
    example="optional.of({'a': 1}).optFlatMap(x, x.?a) == optional.of(1)",
)
