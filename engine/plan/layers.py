"""`layers.deal`, the function that assigns a model's layers to the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cel.costs import Price
from engine.cel.library import Library
from engine.cel.values import CelError, no_overload

LIBRARY = Library(__name__, "Layers", source="this engine", namespace="layers")


@LIBRARY.function(
    "layers.deal",
    "layers.deal(int, list(int), list(int), list(int), list(double)) -> list(int)",
    description="Assign layers to runs of equal stages, by the capacity of a stage, the number of stages, "
    "the device group and the priority of each run: no stage is empty, stages of a group differ by at most "
    "one layer, higher priorities fill first; an empty list if the layers do not fit.",
    example="layers.deal(80, [40, 60], [1, 1], [0, 1], [0.0, 0.0]) == [32, 48]",
    cost=Price(elements=10),
    operations=80,
)
def deal_checked(
    total: int,
    capacities: list[int],
    counts: list[int],
    groups: list[int],
    priorities: list[float],
) -> list[int]:
    """Return `layers.deal(…)`, an empty list if the layers do not fit.

    Raises:
        CelError: arguments of other types, lists of different lengths, or a run without stages.
    """
    lengths = [len(values) for values in (capacities, counts, groups, priorities)]
    if len(set(lengths)) > 1:
        raise CelError(f"layers.deal: lists of different lengths: {', '.join(map(str, lengths))}")
    for value in (total, *capacities, *counts, *groups):
        if type(value) is not int:
            raise no_overload("layers.deal", value)
    for priority in priorities:
        if type(priority) is not float:
            raise no_overload("layers.deal", priority)
    if any(count < 1 for count in counts):
        raise CelError("layers.deal: a run has one stage at least")
    return deal(total, capacities, counts, groups, priorities) or []


def deal(
    total: int,
    capacities: Sequence[int],
    counts: Sequence[int],
    groups: Sequence[int],
    priorities: Sequence[float],
) -> list[int] | None:
    """Return the layers of each run of stages, for all of its stages together; None if they do not fit.

    A run is a number of consecutive stages with equal descriptions. No stage is left empty, none exceeds its
    capacity, and stages on devices of one group differ by at most one layer: within a group the layers are
    even, between groups they are proportional to capacity, and groups of a higher priority fill first. The
    fullest stage of a run holds `ceil(layers / stages)`.

    Args:
        total: layers of the model.
        capacities: layers that one stage of each run can hold.
        counts: stages of each run.
        groups: the device group of each run: equal numbers for homogeneous devices.
        priorities: the priority of each run, equal within a group.
    """
    runs = range(len(capacities))
    if len(set(groups)) == 1:
        return _deal_evenly(total, capacities, counts)
    names = sorted(set(groups))
    stages = dict.fromkeys(names, 0)
    for run in runs:
        stages[groups[run]] += counts[run]
    capacity = _group_capacity(capacities, counts, groups)
    if (
        total < sum(stages.values())
        or total > sum(capacity.values())
        or any(capacity[group] < stages[group] for group in names)
    ):
        return None
    priority_of = {groups[run]: priorities[run] for run in reversed(runs)}
    shares = dict(stages)
    rest = total - sum(stages.values())
    by_priority: dict[float, list[int]] = {}
    for group in names:
        by_priority.setdefault(priority_of[group], []).append(group)
    for priority in sorted(by_priority, reverse=True):
        free = {group: capacity[group] - stages[group] for group in by_priority[priority]}
        assigned = min(rest, sum(free.values()))
        for group, share in _shares(assigned, free).items():
            shares[group] += share
        rest -= assigned
    return _by_run(shares, stages, capacities, counts, groups)


def _deal_evenly(total: int, capacities: Sequence[int], counts: Sequence[int]) -> list[int] | None:
    """Return the same for one device group: even, one more where there is the most capacity."""
    stages, least = sum(counts), min(capacities)
    even, extra = divmod(total, stages)
    roomier = sum(count for capacity, count in zip(capacities, counts, strict=True) if capacity > least)
    if even < 1 or even > least or (even == least and extra > roomier):
        return None
    layers = [count * even for count in counts]
    for run in sorted(range(len(counts)), key=lambda run: -capacities[run]) if extra else ():
        added = min(extra, counts[run])
        layers[run] += added
        extra -= added
    return layers


def _group_capacity(
    capacities: Sequence[int], counts: Sequence[int], groups: Sequence[int]
) -> dict[int, int]:
    """Return the most layers that each group holds if none of its stages has two more than another."""
    least: dict[int, int] = {}
    for group, capacity in zip(groups, capacities, strict=True):
        least[group] = min(capacity, least.get(group, capacity))
    result = dict.fromkeys(least, 0)
    for group, capacity, count in zip(groups, capacities, counts, strict=True):
        result[group] += count * (least[group] + (capacity > least[group]))
    return result


def _shares(total: int, capacity: dict[int, int]) -> dict[int, int]:
    """Divide layers in proportion to the capacity of each group, by largest remainder."""
    whole = sum(capacity.values())
    if not whole:
        return dict.fromkeys(capacity, 0)
    shares = {group: total * part // whole for group, part in capacity.items()}
    by_remainder = sorted(capacity, key=lambda group: (-(total * capacity[group] % whole), group))
    for group in by_remainder[: total - sum(shares.values())]:
        shares[group] += 1
    return shares


def _by_run(
    shares: dict[int, int],
    stages: dict[int, int],
    capacities: Sequence[int],
    counts: Sequence[int],
    groups: Sequence[int],
) -> list[int]:
    """Divide each group's layers over its runs: even, one more where there is the most capacity."""
    layers = [counts[run] * (shares[groups[run]] // stages[groups[run]]) for run in range(len(counts))]
    extra = {group: shares[group] % stages[group] for group in shares}
    for run in sorted(range(len(counts)), key=lambda run: (-capacities[run], run)):
        added = min(extra[groups[run]], counts[run])
        layers[run] += added
        extra[groups[run]] -= added
    return layers
