"""`layers.deal`: how a model's layers are dealt to the stages of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence


def deal(
    total: int,
    capacities: Sequence[int],
    counts: Sequence[int],
    alike: Sequence[int],
    priorities: Sequence[float],
) -> list[int] | None:
    """Layers of each run of stages, all stages of the run together; None where they can't be dealt.

    A run is a number of stages in a row that are described alike. No stage is left empty, none gets more than
    it has room for, and stages on devices that are alike differ by at most one layer: within a kind of device
    the layers are even, between kinds they are in proportion to the room, those of a higher priority filled
    first. A run's fullest stage holds `ceil(layers / stages)`.

    Args:
        total: layers of the model.
        capacities: layers that one stage of each run has room for.
        counts: stages of each run.
        alike: the same number for runs on devices that are alike.
        priorities: of each run, the same for those that are alike.
    """
    runs = range(len(capacities))
    if len(set(alike)) == 1:
        return _among_equals(total, capacities, counts)
    kinds = sorted(set(alike))
    stages = {kind: sum(counts[run] for run in runs if alike[run] == kind) for kind in kinds}
    room = {kind: _room(kind, capacities, counts, alike) for kind in kinds}
    if total < sum(stages.values()) or total > sum(room.values()) or any(room[k] < stages[k] for k in kinds):
        return None
    first = {alike[run]: priorities[run] for run in reversed(runs)}
    shares = dict(stages)
    rest = total - sum(stages.values())
    for priority in sorted(set(first.values()), reverse=True):
        left = {kind: room[kind] - stages[kind] for kind in kinds if first[kind] == priority}
        given = min(rest, sum(left.values()))
        for kind, share in _shares(given, left).items():
            shares[kind] += share
        rest -= given
    return _by_run(shares, stages, capacities, counts, alike)


def _among_equals(total: int, capacities: Sequence[int], counts: Sequence[int]) -> list[int] | None:
    """As `deal` where all devices are alike: even, one more where there is the most room."""
    stages, least = sum(counts), min(capacities)
    even, more = divmod(total, stages)
    roomier = sum(count for capacity, count in zip(capacities, counts, strict=True) if capacity > least)
    if even < 1 or even > least or (even == least and more > roomier):
        return None
    dealt = [count * even for count in counts]
    for run in sorted(range(len(counts)), key=lambda run: -capacities[run]) if more else ():
        added = min(more, counts[run])
        dealt[run] += added
        more -= added
    return dealt


def _room(kind: int, capacities: Sequence[int], counts: Sequence[int], alike: Sequence[int]) -> int:
    """The most layers that the stages of one kind hold, none of them more than one above another."""
    own = [(capacities[run], counts[run]) for run in range(len(alike)) if alike[run] == kind]
    least = min(capacity for capacity, _ in own)
    return sum(count * (least + (capacity > least)) for capacity, count in own)


def _shares(total: int, room: dict[int, int]) -> dict[int, int]:
    """So many layers in proportion to the room of each kind."""
    all_room = sum(room.values())
    if not all_room:
        return dict.fromkeys(room, 0)
    shares = {kind: total * own // all_room for kind, own in room.items()}
    by_remainder = sorted(room, key=lambda kind: (-(total * room[kind] % all_room), kind))
    for kind in by_remainder[: total - sum(shares.values())]:
        shares[kind] += 1
    return shares


def _by_run(
    shares: dict[int, int],
    stages: dict[int, int],
    capacities: Sequence[int],
    counts: Sequence[int],
    alike: Sequence[int],
) -> list[int]:
    """Each kind's layers over its runs: even, one more where there is the most room."""
    dealt = [counts[run] * (shares[alike[run]] // stages[alike[run]]) for run in range(len(counts))]
    more = {kind: shares[kind] % stages[kind] for kind in shares}
    for run in sorted(range(len(counts)), key=lambda run: (-capacities[run], run)):
        added = min(more[alike[run]], counts[run])
        dealt[run] += added
        more[alike[run]] -= added
    return dealt
