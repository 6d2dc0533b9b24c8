"""Ridge regression of log parameters by Gauss-Newton steps, in plain Python.

Estimates depend on a few positive constants, whose logarithms are fitted to those of measured values: a step
assumes that the estimates are linear in them, and minimizes

    sum over points of  w · (√(1 + (error / SCALE)²) − 1)  +  sum over constants of  (θ / spread)² / 2

The first sum is the pseudo-Huber loss: quadratic for errors well below `SCALE`, linear beyond, so that a few
odd runs do not bend the fit. The second sum holds a constant at its shipped value (θ = 0, its logarithm over
the shipped one) where the points say little. Source: Hartley, "The modified Gauss-Newton method" (1961);
Huber, "Robust estimation of a location parameter" (1964); Hoerl and Kennard, "Ridge regression" (1970).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.base.records import record

Vector = Sequence[float]

SCALE = 0.1
"""Relative error of a run that counts as usual: settings and versions that files do not state."""
_REWEIGHTS = 20
"""Rounds in which the weights of the pseudo-Huber loss settle."""


@record
class Point:
    """One measured value.

    Attributes:
        error: logarithm of the estimate over the measured value.
        slopes: derivatives of the estimate's logarithm by the constants.
        weight: how much it counts, 1 for a usual value.
    """

    error: float
    slopes: Vector
    weight: float


@record
class Solution:
    """Fitted constants.

    Attributes:
        logs: logarithm of each constant over the shipped value.
        learned: how much of each constant's prior uncertainty the points remove, from 0 to 1.
    """

    logs: tuple[float, ...]
    learned: tuple[float, ...]


def solve(points: Sequence[Point], spreads: Vector, start: Vector) -> Solution:
    """Return the constants that minimize the loss, with the estimates linear in their logarithms.

    Args:
        points: the measured values, with errors and slopes at `start`.
        spreads: standard deviation of each logarithm around the shipped value.
        start: the logarithms at which errors and slopes were taken.
    """
    size = len(spreads)
    logs = list(start)
    matrix: list[list[float]] = []
    for _ in range(_REWEIGHTS):
        moved = [new - old for new, old in zip(logs, start, strict=True)]
        matrix = [
            [spreads[row] ** -2 if row == column else 0.0 for column in range(size)] for row in range(size)
        ]
        right = [0.0] * size
        for point in points:
            error = point.error + _dot(point.slopes, moved)
            factor = point.weight / math.hypot(1.0, error / SCALE) / SCALE**2
            target = _dot(point.slopes, start) - point.error
            for row, slope in enumerate(point.slopes):
                right[row] += factor * slope * target
                for column, other in enumerate(point.slopes):
                    matrix[row][column] += factor * slope * other
        logs = [_dot(line, right) for line in inverse(matrix)]
    left = [math.sqrt(max(line[row], 0.0)) for row, line in enumerate(inverse(matrix))]
    learned = tuple(1.0 - deviation / spread for deviation, spread in zip(left, spreads, strict=True))
    return Solution(tuple(logs), learned)


def inverse(matrix: Sequence[Vector]) -> list[list[float]]:
    """Return the inverse of a symmetric, positive definite matrix, by Gauss-Jordan elimination."""
    size = len(matrix)
    rows = [
        [*line, *(1.0 if row == column else 0.0 for column in range(size))] for row, line in enumerate(matrix)
    ]
    for pivot in range(size):
        best = max(range(pivot, size), key=lambda row: abs(rows[row][pivot]))
        rows[pivot], rows[best] = rows[best], rows[pivot]
        head = rows[pivot][pivot]
        rows[pivot] = [value / head for value in rows[pivot]]
        for row in range(size):
            if row != pivot and rows[row][pivot] != 0.0:
                factor = rows[row][pivot]
                rows[row] = [
                    value - factor * other for value, other in zip(rows[row], rows[pivot], strict=True)
                ]
    return [line[size:] for line in rows]


def _dot(left: Vector, right: Vector) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))
