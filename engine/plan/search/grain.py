"""The granularity of a search over many devices: coarse steps of degrees first, all of them last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from engine.base.records import record

T = TypeVar("T")


@record
class Grain:
    """The candidates that one round of a search tries.

    Every degree up to `dense`, and beyond it those with at most `digits` significant binary digits; every
    `step`-th set of devices by usable memory; `most_pairs` mixtures of two device groups. None means all.
    """

    dense: int | None
    digits: int
    step: int
    most_pairs: int | None

    def every(self, values: Sequence[T]) -> list[T]:
        """Return every `step`-th value, the last one among them."""
        return list(values[:: -self.step])[::-1]


COARSE = Grain(2, 2, 4, 16)
FINE = Grain(None, 0, 1, None)
GRAINS = (COARSE, Grain(2, 2, 1, 64), Grain(8, 3, 1, 256), FINE)
"""The rounds: each tries everything that the one before it tried, and more."""


def thin(numbers: Sequence[int], grain: Grain) -> Sequence[int]:
    """Return all small numbers, fewer of the larger ones (1, 2, 3, 4, 6, 8, 12, 16 …), and the last one."""
    dense = grain.dense
    if dense is None or not numbers:
        return numbers
    return [
        *(n for n in numbers[:-1] if n <= dense or (n // (n & -n)).bit_length() <= grain.digits),
        numbers[-1],
    ]
