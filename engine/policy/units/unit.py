"""Units and their algebra: products, quotients, powers, and which units go together.

A unit has four parts. Its dimension is a product of quantities (`byte`, `s`), its scale the exact factor to
the base units: GB/s and Gbit/s have one dimension and two scales. Counts (`token`, `request`) are kept in
products, but either side may leave them out, since people write ms for ms per token. An item (`layer`,
`device`) names what a plain number counts, and is dropped in products.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from math import isqrt

from engine.base.records import field, record, replace

Powers = tuple[tuple[str, Fraction], ...]
"""Names and exponents, sorted by name; no exponent is 0."""

RATIO = "ratio"
"""The item of fractions; it leaves the item of what it multiplies."""


@record
class Symbol:
    """A unit as it is written, with its exponent."""

    name: str
    exponent: Fraction
    item: str = ""
    """What it counts, of the name of an item: it is dropped together with that."""


@record
class Unit:
    """A unit; two are equal if they measure alike, however they are written."""

    dimension: Powers = ()
    counts: Powers = ()
    item: str = ""
    scale: Fraction = Fraction(1)
    symbols: tuple[Symbol, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        above = [_power(each.name, each.exponent) for each in self.symbols if each.exponent > 0]
        below = [_power(each.name, -each.exponent) for each in self.symbols if each.exponent < 0]
        if not above and not below:
            return self.item or "number"
        return "/".join(["·".join(above) or "1", *below])

    @property
    def is_number(self) -> bool:
        """Return True for a plain number: no dimension, no count, no item."""
        return not self.dimension and not self.counts and not self.item

    @property
    def is_measured(self) -> bool:
        """Return True if the unit has a dimension: it is not the number of anything."""
        return bool(self.dimension)


NUMBER = Unit()


_HIGHEST = 64
_LONGEST_SCALE = 2000
"""Bits of a scale."""


def is_beyond(unit: Unit) -> bool:
    """Return True for a unit that no quantity has: a long chain of products would compute for hours."""
    size = max(unit.scale.numerator.bit_length(), unit.scale.denominator.bit_length())
    return size > _LONGEST_SCALE or any(
        abs(exponent) > _HIGHEST for _, exponent in (*unit.dimension, *unit.counts)
    )


@lru_cache(maxsize=4096)
def product(first: Unit, second: Unit, sign: int = 1) -> Unit:
    """Return the unit of a product, or with sign -1 of a quotient."""
    power = Fraction(sign)
    dimension = _merged(first.dimension, second.dimension, power)
    counts = _merged(first.counts, second.counts, power)
    scale = first.scale * second.scale if sign == 1 else first.scale / second.scale
    item = ""
    if not dimension and not counts:
        item = _item_of_product(first, second, sign)
    symbols = _joined(first.symbols, ((each, each.exponent * power) for each in second.symbols))
    symbols = tuple(each for each in symbols if each.item in ("", item))
    return Unit(dimension, counts, item, scale, symbols)


def quotient(first: Unit, second: Unit) -> Unit:
    """Return the unit of a quotient."""
    return product(first, second, -1)


def power(unit: Unit, exponent: Fraction) -> Unit | None:
    """Return a power of a unit; None if its scale is no fraction then, as the root of 1000."""
    if exponent == 1:
        return unit
    scale = _root(unit.scale**exponent.numerator, exponent.denominator)
    if scale is None:
        return None
    return Unit(
        tuple((name, each * exponent) for name, each in unit.dimension),
        tuple((name, each * exponent) for name, each in unit.counts),
        unit.item if unit.item == RATIO else "",
        scale,
        tuple(
            replace(each, exponent=each.exponent * exponent)
            for each in unit.symbols
            if not each.item or unit.item == RATIO
        ),
    )


def agree(first: Unit, second: Unit) -> bool:
    """Return True if values of both units may be added and compared."""
    if first.dimension != second.dimension or first.scale != second.scale:
        return False
    if first.dimension:
        return _may_leave_out(first.counts, second.counts)
    if first.item or second.item:
        other = second if first.item else first
        return first.item == second.item or other.is_number
    return _may_leave_out(first.counts, second.counts)


def common(first: Unit, second: Unit) -> Unit:
    """Return what two units that agree have in common: of counts that one leaves out, the fewer."""
    if first.dimension:
        return first if len(first.counts) <= len(second.counts) else second
    return second if first.is_number else first


def conversion(found: Unit, wanted: Unit) -> Fraction | None:
    """Return the factor from one unit to another of its dimension; None if they measure different things."""
    if found.dimension != wanted.dimension or found.scale == wanted.scale:
        return None
    if not _may_leave_out(found.counts, wanted.counts):
        return None
    return found.scale / wanted.scale


def _may_leave_out(first: Powers, second: Powers) -> bool:
    """Return True if one of two products of counts is the other with some left out."""
    return first == second or _is_part(first, dict(second)) or _is_part(second, dict(first))


def _is_part(part: Powers, whole: dict[str, Fraction]) -> bool:
    """Return True if each power is in another product too, there perhaps a higher one."""
    return all(name in whole and 0 < exponent / whole[name] <= 1 for name, exponent in part)


def _item_of_product(first: Unit, second: Unit, sign: int) -> str:
    """Return what a product counts: fractions of devices are devices, devices times layers are numbers."""
    if second.item == RATIO:
        return first.item
    return second.item if first.item == RATIO and sign == 1 else ""


def _merged(first: Powers, second: Powers, times: Fraction) -> Powers:
    if not second:
        return first
    exponents = dict(first)
    for name, exponent in second:
        exponents[name] = exponents.get(name, Fraction(0)) + exponent * times
    return tuple(sorted((name, each) for name, each in exponents.items() if each))


def _joined(first: tuple[Symbol, ...], second: Iterable[tuple[Symbol, Fraction]]) -> tuple[Symbol, ...]:
    """Return symbols in the order in which they are first written, those that cancel left out."""
    found = {each.name: each for each in first}
    for symbol, exponent in second:
        known = found.get(symbol.name)
        total = exponent if known is None else known.exponent + exponent
        found[symbol.name] = replace(symbol, exponent=total)
    return tuple(each for each in found.values() if each.exponent)


def _power(name: str, exponent: Fraction) -> str:
    if exponent == 1:
        return name
    return f"{name}^{exponent}" if exponent.denominator == 1 else f"{name}^({exponent})"


def _root(value: Fraction, degree: int) -> Fraction | None:
    """Return the root of a fraction if it is one; only square roots are."""
    if degree == 1:
        return value
    if degree != 2 or value < 0:
        return None
    above, below = isqrt(value.numerator), isqrt(value.denominator)
    return (
        Fraction(above, below)
        if above * above == value.numerator and below * below == value.denominator
        else None
    )
