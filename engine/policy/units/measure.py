"""What is known of an expression's unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import isfinite

from engine.base.records import field, record, replace
from engine.policy.units.unit import NUMBER, Unit, agree, common, is_beyond, power, product

_MOST_READINGS = 16
_LARGEST_FACTOR = Fraction(10**30)


@record
class Measure:
    """The unit of a value, or of the numbers in a list or map.

    There are several readings where a literal may convert: `rate / 8.0` is in the unit of `rate`, or in one
    that is 8 times as large. The first is without conversion.
    """

    readings: tuple[Unit, ...] = ()
    """None if only parts have a unit."""
    literal: bool = False
    """A literal, or literals only: it goes with any unit."""
    parts: Mapping[str, Measure | None] = field(default_factory=dict)
    """The units of a map literal's values by key."""

    @property
    def unit(self) -> Unit:
        """Return the unit without conversions."""
        return self.readings[0]

    def __str__(self) -> str:
        return str(self.readings[0])


Known = Measure | None
"""A measure, or None where nothing is known."""


def of_unit(unit: Unit) -> Measure:
    """Return the measure of a value in a unit."""
    return Measure((unit,))


def of_literal(value: float) -> Measure:
    """Return the measure of a number in an expression: any unit, and a conversion by it in products."""
    if value in (0, 1, -1) or not isfinite(value):
        return Measure((NUMBER,), literal=True)
    factor = abs(Fraction(repr(value)) if isinstance(value, float) else Fraction(value))
    if not 1 / _LARGEST_FACTOR <= factor <= _LARGEST_FACTOR:
        return Measure((NUMBER,), literal=True)
    return Measure((NUMBER, Unit(scale=1 / factor)), literal=True)


def multiplied(first: Known, second: Known, sign: int = 1) -> Known:
    """Return the measure of a product, or with sign -1 of a quotient."""
    if first is None or second is None or not first.readings or not second.readings:
        return None
    readings = dict.fromkeys(
        _product(one, other, sign, first, second) for one in first.readings for other in second.readings
    )
    if len(readings) > _MOST_READINGS or any(map(is_beyond, readings)):
        return None
    return Measure(tuple(readings), first.literal and second.literal)


def raised(measure: Known, exponent: Fraction) -> Known:
    """Return the measure of a power."""
    if measure is None or measure.literal:
        return measure
    found = [power(unit, exponent) for unit in measure.readings]
    readings = tuple(unit for unit in found if unit is not None)
    return Measure(readings) if found[:1] == [*readings[:1]] and readings else None


def joined(first: Known, second: Known) -> tuple[Known, bool]:
    """Return the measure of values that are added or compared; with False if they mix units."""
    if first is None or not first.readings:
        return (None if second is None or second.literal else second), True
    if second is None or not second.readings:
        return (None if first.literal else first), True
    if first.literal or second.literal:
        if first.literal and second.literal:
            return Measure((NUMBER,), literal=True), True
        return (second if first.literal else first), True
    readings = dict.fromkeys(
        common(one, other) for one in first.readings for other in second.readings if agree(one, other)
    )
    return (Measure(tuple(readings)), True) if readings else (None, False)


def fits(measure: Measure, unit: Unit) -> bool:
    """Return True if a value may be declared to be in a unit.

    A declaration may say what a number counts: ranks are computed from chips, ratios from devices.
    """
    if measure.literal or not measure.readings:
        return True
    wanted = replace(unit, item="")
    return any(agree(replace(one, item=""), wanted) for one in measure.readings)


def all_joined(measures: Iterable[Known]) -> Known:
    """Return the measure that all of some values share; None if one is unknown or differs."""
    found: Known = Measure((NUMBER,), literal=True)
    for each in measures:
        if each is None:
            return None
        found, alike = joined(found, each)
        if not alike or found is None:
            return None
    return found


def _product(one: Unit, other: Unit, sign: int, first: Measure, second: Measure) -> Unit:
    """Return the unit of a product; a literal does not change what is counted."""
    unit = product(one, other, sign)
    if second.literal and one.item and not unit.item and not unit.dimension and not unit.counts:
        return replace(one, scale=unit.scale)
    if first.literal and sign == 1 and other.item and not unit.item:
        return replace(other, scale=unit.scale)
    return unit
