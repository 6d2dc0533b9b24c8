"""Kubernetes' quantity library: amounts of resources such as `500m` and `1.5Gi`.

A quantity is a whole number of billionths, as in Kubernetes; what is finer is rounded away from zero.
"""

from __future__ import annotations

import functools
import re

from engine.base.errors import quote
from engine.cel.costs import READING
from engine.cel.library import Library
from engine.cel.literals import INT_MAX, INT_MIN
from engine.cel.values import CelError, OpaqueValue, Value, no_overload, require_type

LIBRARY = Library(__name__, "Quantities", source="Kubernetes quantity library")

_BILLION = 10**9
_LONGEST = 64
_LARGEST_EXPONENT = 200
_TEXT = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?\Z"
)
_FACTORS: dict[str | None, tuple[int, int]] = {
    None: (1, 1),
    "n": (1, 10**9),
    "u": (1, 10**6),
    "m": (1, 10**3),
    **{suffix: (10 ** (3 * power), 1) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": (1 << 10 * power, 1) for power, suffix in enumerate("KMGTPE", start=1)},
}
"""What suffixes multiply by: numerator and denominator."""


class Quantity(OpaqueValue):
    """An amount, in billionths; `text` is how it is written."""

    __slots__ = ("billionths", "text")
    __type_name__ = "kubernetes.Quantity"

    def __init__(self, billionths: int, text: str | None = None) -> None:
        self.billionths = billionths
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.billionths == other.billionths

    def __hash__(self) -> int:
        return hash(self.billionths)

    def __str__(self) -> str:
        if self.text is not None:
            return self.text
        whole, rest = divmod(abs(self.billionths), _BILLION)
        fraction = f".{rest:09d}".rstrip("0") if rest else ""
        return f"{'-' if self.billionths < 0 else ''}{whole}{fraction}"

    @property
    def is_integer(self) -> bool:
        """Return True if it is a whole number of 64 bits."""
        return self.billionths % _BILLION == 0 and INT_MIN <= self.billionths // _BILLION <= INT_MAX


@functools.lru_cache(maxsize=1024)
def _parse(text: str) -> Quantity | None:
    """Return the quantity that a text is, or None."""
    match = _TEXT.match(text) if len(text) <= _LONGEST else None
    if match is None or not (match["whole"] or match["fraction"]):
        return None
    fraction, suffix = match["fraction"] or "", match["suffix"]
    if suffix is not None and suffix[0] in "eE" and suffix[1:] not in ("", "i"):
        exponent = int(suffix[1:])
        if abs(exponent) > _LARGEST_EXPONENT:
            return None
        factor = (10**exponent, 1) if exponent >= 0 else (1, 10**-exponent)
    else:
        factor = _FACTORS[suffix]
    numerator = int(f"{match['whole']}{fraction}" or "0") * _BILLION * factor[0]
    amount = -(-numerator // (10 ** len(fraction) * factor[1]))  # away from zero
    return Quantity(-amount if match["sign"] == "-" else amount, text)


@LIBRARY.function(
    "quantity",
    "quantity(string) -> kubernetes.Quantity",
    description="The quantity that a text is: a number with a suffix such as m, k, Gi, or an exponent.",
    example="quantity('1.5Gi').isGreaterThan(quantity('1500M'))",
    cost=READING,
    operations=60,
)
def quantity(text: Value) -> Quantity:
    """Return `quantity(text)`."""
    require_type("quantity", text, str)
    parsed = _parse(text)
    if parsed is None:
        raise CelError(f"quantity: {quote(text)} is not a quantity")
    return parsed


@LIBRARY.function(
    "isQuantity",
    "isQuantity(string) -> bool",
    description="True if a text is a quantity.",
    example="isQuantity('500m') && !isQuantity('500mi')",
    cost=READING,
    operations=60,
)
def is_quantity(text: Value) -> bool:
    """Return `isQuantity(text)`."""
    require_type("isQuantity", text, str)
    return _parse(text) is not None


@LIBRARY.function(
    "sign",
    "kubernetes.Quantity.sign() -> int",
    description="1, 0 or -1.",
    example="quantity('-5m').sign() == -1",
)
def sign(amount: Value) -> int:
    """Return `amount.sign()`."""
    require_type("sign", amount, Quantity)
    return int(amount.billionths > 0) - int(amount.billionths < 0)


@LIBRARY.function(
    "isInteger",
    "kubernetes.Quantity.isInteger() -> bool",
    description="True if asInteger() is not an error.",
    example="quantity('2k').isInteger() && !quantity('500m').isInteger()",
)
def is_integer(amount: Value) -> bool:
    """Return `amount.isInteger()`."""
    require_type("isInteger", amount, Quantity)
    return bool(amount.is_integer)


@LIBRARY.function(
    "asInteger",
    "kubernetes.Quantity.asInteger() -> int",
    description="The quantity as an int; an error if it has a fraction or does not fit 64 bits.",
    example="quantity('2Ki').asInteger() == 2048",
)
def as_integer(amount: Value) -> int:
    """Return `amount.asInteger()`."""
    require_type("asInteger", amount, Quantity)
    if not amount.is_integer:
        raise CelError(f"asInteger: {amount} is not a whole number of 64 bits")
    return int(amount.billionths // _BILLION)


@LIBRARY.function(
    "asApproximateFloat",
    "kubernetes.Quantity.asApproximateFloat() -> double",
    description="The quantity as a double, which may lose precision.",
    example="quantity('1500m').asApproximateFloat() == 1.5",
)
def as_approximate_float(amount: Value) -> float:
    """Return `amount.asApproximateFloat()`."""
    require_type("asApproximateFloat", amount, Quantity)
    return float(amount.billionths / _BILLION)


def _billionths(name: str, amount: Value, value: Value) -> int:
    if not isinstance(amount, Quantity):
        raise no_overload(name, amount, value)
    if isinstance(value, Quantity):
        return value.billionths
    require_type(name, value, int)
    return int(value) * _BILLION


@LIBRARY.function(
    "add",
    "kubernetes.Quantity.add(kubernetes.Quantity) -> kubernetes.Quantity",
    "kubernetes.Quantity.add(int) -> kubernetes.Quantity",
    description="The sum of two quantities, or of a quantity and an int.",
    example="quantity('1k').add(quantity('500')).add(1) == quantity('1501')",
    operations=20,
)
def add(amount: Value, value: Value) -> Quantity:
    """Return `amount.add(value)`."""
    more = _billionths("add", amount, value)
    return Quantity(amount.billionths + more)


@LIBRARY.function(
    "sub",
    "kubernetes.Quantity.sub(kubernetes.Quantity) -> kubernetes.Quantity",
    "kubernetes.Quantity.sub(int) -> kubernetes.Quantity",
    description="The difference of two quantities, or of a quantity and an int.",
    example="quantity('1k').sub(quantity('500')).sub(1) == quantity('499')",
    operations=20,
)
def sub(amount: Value, value: Value) -> Quantity:
    """Return `amount.sub(value)`."""
    less = _billionths("sub", amount, value)
    return Quantity(amount.billionths - less)
