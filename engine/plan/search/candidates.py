"""All ways to split a model over devices: equal ones by every degree, unequal ones as one pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise, product
from math import prod
from typing import Any

from engine.plan.search.judging import Degrees
from engine.plan.search.topology import Alike, Group
from engine.records import record

_EVERY_REPLICA = 64
"""Up to so many replicas each number is tried; beyond, twice as many each time, and all."""
_MOST_SPLITS = 300
"""Ways to make one pipeline of several kinds, of which all are tried; of more, the roomiest devices first."""
_MOST_KINDS_COMBINED = 5
"""Kinds of devices of which all mixtures are tried; of more, pairs and the whole."""


@record(eq=False)
class Candidate:
    """Degrees, and the groups of slots of each replica, one a stage."""

    kinds: tuple[Alike, ...]
    degrees: Degrees
    replicas: Sequence[Sequence[Group]]
    fields: dict[str, Any]
    """As expressions read it."""

    @property
    def devices(self) -> str:
        """The kinds of its devices, for people."""
        return " + ".join(kind.name for kind in self.kinds)


class Limits:
    """Which degrees are tried: those of a list that has some, else all up to what there is."""

    def __init__(self, given: Sequence[Sequence[int] | None], layers: int, experts: int) -> None:
        self.given = [sorted(set(degrees)) if degrees else None for degrees in given]
        self.layers = layers
        self.experts = experts

    def degrees(self, which: int, most: int) -> Sequence[int]:
        """Those of that kind of parallelism, up to `most`."""
        listed = self.given[which]
        return range(1, most + 1) if listed is None else [each for each in listed if 1 <= each <= most]

    def allow(self, which: int, degree: int) -> bool:
        """Whether that degree is one to try."""
        listed = self.given[which]
        return listed is None or degree in listed

    def replica_degrees(self, most: int) -> Sequence[int]:
        """Numbers of replicas: of many, not each one, but the most there can be."""
        listed = self.degrees(2, most)
        if self.given[2] is not None or most <= _EVERY_REPLICA:
            return listed
        doubled = [_EVERY_REPLICA << power for power in range(1, (most // _EVERY_REPLICA).bit_length())]
        return [*range(1, _EVERY_REPLICA + 1), *(each for each in doubled if each < most), most]

    def expert_degrees(self, ranks: int) -> Sequence[int]:
        """1, and for a model with experts whatever divides the ranks of all replicas."""
        if not self.experts:
            most: list[int] = [1]
        else:
            most = [each for each in range(1, min(ranks, self.experts) + 1) if ranks % each == 0]
        listed = self.given[3]
        return most if listed is None else [each for each in most if each in listed]


class Replicas:
    """The replicas of equal devices at one tensor and pipeline degree, the best first.

    What is asked of the first `n` of them is added up once for all `n`.
    """

    def __init__(self, kind: Alike, tensor: int, pipeline: int) -> None:
        self.kind = kind
        self.tensor = tensor
        self.pipeline = pipeline
        self.replicas = _packed(kind.groups(tensor), pipeline)
        self.facts: list[dict[str, Any]] = []
        nodes: set[str] = set()
        fact = {"nodes": 1, "tensor_nodes": 1, "fabric": "", "fabric_gbs": None, "hops": 0, "node_hops": 0}
        level, budget = -1, None
        for replica in self.replicas:
            level, fact = _worse(fact, level, replica)
            least = min(group.budget for group in replica)
            budget = least if budget is None else min(budget, least)
            nodes |= {node for group in replica for node in group.nodes}
            self.facts.append({**fact, "expert_nodes": len(nodes), "budget": budget})

    def candidate(self, data: int, expert: int) -> Candidate:
        """Of that many replicas."""
        facts = self.facts[data - 1]
        stages = [_stage(self.kind, facts["budget"], *run) for run in _runs(self.pipeline)]
        degrees = (self.tensor, self.pipeline, data, expert)
        fields = _fields(degrees, facts, stages, (self.kind,))
        return Candidate((self.kind,), degrees, self.replicas[:data], fields)


def _worse(fact: dict[str, Any], level: int, replica: Sequence[Group]) -> tuple[int, dict[str, Any]]:
    """The facts of some replicas with one more."""
    worst = max(replica, key=lambda group: group.level)
    rates = [group.gbs for group in replica if group.level == worst.level]
    same_node = sum(_near(a, b) for a, b in pairwise(replica))
    steps = len(replica) - 1
    known = [rate for rate in rates if rate is not None]
    gbs = min(known) if len(known) == len(rates) else None
    if level > worst.level:
        fabric, gbs = fact["fabric"], fact["fabric_gbs"]
    elif level == worst.level:
        fabric = fact["fabric"]
        gbs = None if gbs is None or fact["fabric_gbs"] is None else min(gbs, fact["fabric_gbs"])
    else:
        fabric = worst.fabric
    return max(level, worst.level), {
        "nodes": max(fact["nodes"], len({node for group in replica for node in group.nodes})),
        "tensor_nodes": max(fact["tensor_nodes"], *(len(group.nodes) for group in replica)),
        "fabric": fabric,
        "fabric_gbs": gbs,
        "hops": max(fact["hops"], same_node),
        "node_hops": max(fact["node_hops"], steps - same_node),
    }


def _near(a: Group, b: Group) -> bool:
    """Whether the step from a group to the next stays within a node."""
    return a.slots[-1].node == b.slots[0].node


def _packed(groups: Sequence[Group], size: int) -> list[list[Group]]:
    """Replicas of that many groups, within nodes as far as that goes, the best joined first."""
    if size == 1:
        return [[group] for group in groups]
    by_node: dict[frozenset[str], list[Group]] = {}
    for group in groups:
        by_node.setdefault(group.nodes, []).append(group)
    packed: list[list[Group]] = []
    left: list[Group] = []
    for own in by_node.values():
        whole = len(own) - len(own) % size
        packed += [own[start : start + size] for start in range(0, whole, size)]
        left += own[whole:]
    left.sort(key=lambda group: (group.level, group.order))
    packed += [left[start : start + size] for start in range(0, len(left) - size + 1, size)]
    packed.sort(key=lambda replica: max(group.level for group in replica))
    return [sorted(replica, key=lambda group: group.order) for replica in packed]


def _runs(pipeline: int) -> Iterator[tuple[int, bool, bool]]:
    """Stages of equal devices that are described alike: how many, and whether they are first or last."""
    if pipeline == 1:
        yield 1, True, True
        return
    yield 1, True, False
    if pipeline > 2:
        yield pipeline - 2, False, False
    yield 1, False, True


def _stage(kind: Alike, budget: int, count: int, first: bool, last: bool) -> dict[str, Any]:
    return {
        "device": kind.device,
        "alike": kind.number,
        "budget_bytes": budget,
        "count": count,
        "first": first,
        "last": last,
    }


def _fields(
    degrees: Degrees, facts: dict[str, Any], stages: list[dict[str, Any]], kinds: Sequence[Alike]
) -> dict[str, Any]:
    tensor, pipeline, data, expert = degrees
    return {
        "tensor_parallel": tensor,
        "pipeline_parallel": pipeline,
        "data_parallel": data,
        "expert_parallel": expert,
        "devices": tensor * pipeline * data,
        "kinds": len({_kind(kind) for kind in kinds}),
        "alike": len(kinds),
        "nodes": facts["nodes"],
        "tensor_nodes": facts["tensor_nodes"],
        "expert_nodes": facts["expert_nodes"],
        "fabric": facts["fabric"],
        "fabric_gbs": facts["fabric_gbs"],
        "hops": facts["hops"],
        "node_hops": facts["node_hops"],
        "stages": stages,
    }


def _kind(kind: Alike) -> Any:
    device = kind.device
    return device["kind"] if isinstance(device, dict) else device.kind


def mixtures(kinds: Sequence[Alike]) -> Iterator[tuple[Alike, ...]]:
    """Sets of kinds of devices over which a pipeline may be uneven; also of one, with uneven room."""
    few = len(kinds) <= _MOST_KINDS_COMBINED
    for size in range(1, len(kinds) + 1):
        if few or size in (1, 2, len(kinds)):
            for chosen in combinations(kinds, size):
                if size > 1 or chosen[0].uneven:
                    yield chosen


Chosen = list[tuple[Group, Alike]]


def splits(kinds: tuple[Alike, ...], tensor: int) -> Iterator[Chosen]:
    """Groups for one pipeline, of each kind at least one: so many of each place, those with the most room.

    The first is one of each kind, the best joined. Where there are too many ways, just those that take the
    groups with the most room.
    """
    if all(kind.groups(tensor) for kind in kinds):
        yield [(min(kind.groups(tensor), key=_roomy), kind) for kind in kinds]
    groups = [(group, kind) for kind in kinds for group in sorted(kind.groups(tensor), key=_roomy)]
    sorts: dict[tuple[int, Any], Chosen] = {}
    for group, kind in groups:
        sorts.setdefault((kind.number, group.slots[0].place), []).append((group, kind))
    if prod(len(sort) + 1 for sort in sorts.values()) <= _MOST_SPLITS:
        for counts in product(*(range(len(sort) + 1) for sort in sorts.values())):
            parts = zip(sorts.values(), counts, strict=True)
            chosen = [each for sort, count in parts for each in sort[:count]]
            if len({kind.number for _, kind in chosen}) == len(kinds):
                yield chosen
        return
    groups.sort(key=lambda each: (_roomy(each[0]), each[1].number))
    for count in range(len(kinds), len(groups) + 1):
        if len({kind.number for _, kind in groups[:count]}) == len(kinds):
            yield groups[:count]


def mixed(kinds: tuple[Alike, ...], tensor: int, chosen: Chosen) -> Candidate:
    """One pipeline over unequal devices, a stage a group."""
    chosen = list(chosen)
    chosen.sort(key=lambda each: each[0].order)
    stages = len(chosen)
    replica = [group for group, _ in chosen]
    start = {"nodes": 1, "tensor_nodes": 1, "fabric": "", "fabric_gbs": None, "hops": 0, "node_hops": 0}
    _, facts = _worse(start, -1, replica)
    facts["expert_nodes"] = facts["nodes"]
    alike = {each: number for number, each in enumerate(sorted({_sort(*each) for each in chosen}))}
    described: list[dict[str, Any]] = []
    for position, (group, kind) in enumerate(chosen):
        first, last = position == 0, position == stages - 1
        number = alike[_sort(group, kind)]
        before = described[-1] if described else None
        if before is not None and before["alike"] == number and not before["first"] and not last:
            before["count"] += 1
        else:
            described.append({**_stage(kind, group.budget, 1, first, last), "alike": number})
    degrees = (tensor, stages, 1, 1)
    fields = _fields(degrees, facts, described, kinds)
    return Candidate(kinds, degrees, [replica], {**fields, "alike": len(alike)})


def _roomy(group: Group) -> tuple[int, int, int]:
    return group.level, -group.budget, group.order


def _sort(group: Group, kind: Alike) -> tuple[int, int]:
    """What tells groups apart that are not alike: their devices, and how much these may be filled with."""
    return kind.number, -group.budget
