"""All ways to split a model over devices: equal ones by every degree, unequal ones as one pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any

from engine.plan.search.judging import Degrees
from engine.plan.search.topology import Alike, Group
from engine.records import record

_EVERY_REPLICA = 64
"""Up to so many replicas each number is tried; beyond, twice as many each time, and all."""
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
    left.sort(key=lambda group: group.order)
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
    """Sets of two kinds of devices or more."""
    few = len(kinds) <= _MOST_KINDS_COMBINED
    for size in range(2, len(kinds) + 1):
        if few or size in (2, len(kinds)):
            yield from combinations(kinds, size)


def mixed(kinds: tuple[Alike, ...], tensor: int, stages: int) -> Candidate | None:
    """One pipeline over unequal devices: a group of each kind at least, the others the largest there are."""
    groups = [(group, kind) for kind in kinds for group in kind.groups(tensor)]
    groups.sort(key=lambda each: (-each[0].budget, each[1].number, each[0].level, each[0].order))
    needed: list[tuple[Group, Alike]] = []
    rest: list[tuple[Group, Alike]] = []
    seen: set[int] = set()
    for group, kind in groups:
        (rest if kind.number in seen else needed).append((group, kind))
        seen.add(kind.number)
    if len(needed) != len(kinds) or not len(needed) <= stages <= len(groups):
        return None
    chosen = sorted([*needed, *rest[: stages - len(needed)]], key=lambda each: each[0].order)
    replica = [group for group, _ in chosen]
    start = {"nodes": 1, "tensor_nodes": 1, "fabric": "", "fabric_gbs": None, "hops": 0, "node_hops": 0}
    _, facts = _worse(start, -1, replica)
    facts["expert_nodes"] = facts["nodes"]
    described: list[dict[str, Any]] = []
    for position, (group, kind) in enumerate(chosen):
        first, last = position == 0, position == stages - 1
        before = described[-1] if described else None
        alike = before is not None and before["alike"] == kind.number and not before["first"] and not last
        if before is not None and alike:
            before["count"] += 1
            before["budget_bytes"] = min(before["budget_bytes"], group.budget)
        else:
            described.append(_stage(kind, group.budget, 1, first, last))
    degrees = (tensor, stages, 1, 1)
    return Candidate(kinds, degrees, [replica], _fields(degrees, facts, described, kinds))
