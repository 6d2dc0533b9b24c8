"""Enumerate candidates: homogeneous devices by every degree, heterogeneous ones as one pipeline."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, combinations, compress, pairwise, product, repeat
from math import prod
from typing import NamedTuple

from engine.cel.values import Value
from engine.plan.search.grain import Grain, thin
from engine.plan.search.judging import ATTENTION, DATA, EXPERT, Degrees
from engine.plan.search.topology import ArrangedGroups, DeviceGroup, Group

Fields = dict[str, Value]
"""The fields of a stage, as expressions read them."""

_EVERY_REPLICA = 64
"""Up to this many replicas every number is tried; beyond, powers of two of it, and all."""
_MOST_SPLITS = 300
"""Choices for one uneven pipeline up to which all are tried; of more, devices with the most memory first."""
_MOST_KINDS_COMBINED = 5
"""Device groups up to which all mixtures are tried; of more, pairs and the whole."""


FIELDS = (
    *("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "attention_data_parallel"),
    *("replicas", "devices", "kinds", "alike", "nodes", "tensor_nodes", "expert_nodes"),
    *("fabric", "fabric_gbs", "hops", "node_hops", "stages"),
)
"""The fields that expressions read of a candidate, in the order of its values: the degrees first."""


class Candidate:
    """A layout: its degrees, and for each replica a group of slots per stage.

    Args:
        kinds: its device groups.
        values: what expressions read, in the order of `FIELDS`.
        source: the replicas of which it has the first, or the stages of its only one.
    """

    __slots__ = ("kinds", "source", "values")

    def __init__(
        self, kinds: tuple[DeviceGroup, ...], values: tuple[Value, ...], source: Replicas | Sequence[Group]
    ) -> None:
        self.kinds = kinds
        self.values = values
        self.source = source

    @property
    def degrees(self) -> Degrees:
        """Its parallel degrees."""
        return Degrees(*self.values[:5])

    @property
    def ranks(self) -> int:
        """Devices of all replicas."""
        ranks: int = self.values[6]
        return ranks

    @property
    def stages(self) -> list[Fields]:
        """Runs of equal stages."""
        stages: list[Fields] = self.values[-1]
        return stages

    @property
    def replicas(self) -> Iterator[Sequence[Group]]:
        """The groups of each replica."""
        packed = self.source.packed if isinstance(self.source, Replicas) else self.source
        size = self.degrees.pipeline_parallel
        for replica in range(self.degrees.data_parallel):
            yield packed[replica * size : (replica + 1) * size]

    @property
    def devices(self) -> str:
        """The names of its device groups, for people."""
        return " + ".join(kind.name for kind in self.kinds)


class Limits:
    """The degrees to try: the pinned ones, else all up to what the devices allow.

    Args:
        pinned: for each of `DEGREES` the degrees to try; None or empty for all.
        layers: layers of the model.
        experts: routed experts of a layer.
        shared: whether only some of the data-parallel ranks may share one set of routed experts; if not, all
            of them do wherever expert parallel is used.
        single: allow only one instance: one replica, or ranks that all share one set of routed experts.
    """

    def __init__(
        self,
        pinned: Mapping[str, Sequence[int] | None],
        layers: int,
        experts: int,
        *,
        shared: bool = False,
        single: bool = False,
    ) -> None:
        self._pinned = {name: sorted(set(degrees)) for name, degrees in pinned.items() if degrees}
        self.layers = layers
        self.experts = experts
        self.shared = shared
        self.single = single
        self._attention: dict[int, Sequence[int]] = {}
        self._expert: dict[int, Sequence[int]] = {}

    def is_pinned(self, name: str) -> bool:
        """True if the degrees of that parallelism are listed."""
        return name in self._pinned

    def degrees(self, name: str, most: int) -> Sequence[int]:
        """Return the degrees of that parallelism, up to `most`."""
        pinned = self._pinned.get(name)
        return range(1, most + 1) if pinned is None else [degree for degree in pinned if 1 <= degree <= most]

    def allow(self, name: str, degree: int) -> bool:
        """True if that degree is one to try."""
        pinned = self._pinned.get(name)
        return pinned is None or degree in pinned

    def replica_degrees(self, most: int) -> Sequence[int]:
        """Return the numbers of replicas to try: every small one, some larger ones, and the largest."""
        if self.single and not (self.experts and self.shared):
            most = 1
        degrees = self.degrees(DATA, most)
        if self.is_pinned(DATA) or most <= _EVERY_REPLICA:
            return degrees
        doubled = [_EVERY_REPLICA << power for power in range(1, (most // _EVERY_REPLICA).bit_length())]
        return [*range(1, _EVERY_REPLICA + 1), *(count for count in doubled if count < most), most]

    def attention_degrees(self, data: int) -> Sequence[int]:
        """Return how many data-parallel ranks may share routed experts: every divisor of their number."""
        known = self._attention.get(data)
        if known is None:
            possible = [1]
            if self.experts and self.shared:
                possible += [degree for degree in range(2, data + 1) if data % degree == 0]
            if self.single:
                possible = [degree for degree in possible if degree == data]
            known = self._attention[data] = [degree for degree in possible if self.allow(ATTENTION, degree)]
        return known

    def expert_degrees(self, ranks: int) -> Sequence[int]:
        """Return 1, and for a model with experts every divisor of the ranks that share them."""
        most = min(ranks, self.experts) if self.experts else 1
        known = self._expert.get(ranks)
        if known is None:
            possible = [degree for degree in range(1, most + 1) if ranks % degree == 0]
            known = self._expert[ranks] = [degree for degree in possible if self.allow(EXPERT, degree)]
        return known


class Replicas:
    """The replicas of homogeneous devices at one tensor and pipeline degree, the best connected first.

    The facts of the first `n` of them are added up once for all `n`, and only as far as they are needed.
    """

    def __init__(self, kind: DeviceGroup, tensor: int, pipeline: int) -> None:
        self.kind = kind
        self.kinds = (kind,)
        self.tensor = tensor
        self.pipeline = pipeline
        self.count = len(kind.groups(tensor)) // pipeline
        """Replicas that the devices hold."""
        self._spans: dict[tuple[int, int], int] = {}

    @cached_property
    def packed(self) -> Sequence[Group]:
        """The groups, one replica after the other."""
        if self.pipeline == 1:
            return self.kind.groups(self.tensor)
        return _packed(self.kind.arranged(self.tensor), self.pipeline)

    @cached_property
    def _adding(self) -> _UniformFacts | _OtherFacts:
        arranged = self.kind.arranged(self.tensor)
        if arranged.uniform:
            return _UniformFacts(arranged, self.pipeline)
        return _OtherFacts(_add_up(_parts(self.packed, self.pipeline)))

    def facts(self, data: int) -> _Facts:
        """Return the facts of the first `data` replicas."""
        if data == self.pipeline == 1:  # most tensor degrees fail for one replica already
            return next(_add_up([self.packed[:1]]))
        return self._adding.of(data)

    def candidate(self, data: int, expert: int, attention: int | None = None) -> Candidate:
        """Return the candidate of the first `data` replicas.

        Args:
            data: data-parallel ranks.
            expert: the expert parallel degree.
            attention: data-parallel ranks that share routed experts; None for all if there is any expert
                parallelism.
        """
        facts = self.facts(data)
        expert_nodes = facts.expert_nodes
        if attention is None:
            attention = data if expert > 1 else 1
        elif attention == 1:
            expert_nodes = facts.nodes
        elif attention < data:
            expert_nodes = self._nodes_of_sets(data, attention)
        known = self.kind.stages
        stages = known.get((facts.budget, self.pipeline))
        if stages is None:
            stages = [_stage(self.kind, facts.budget, *run) for run in _runs(self.pipeline)]
            known[facts.budget, self.pipeline] = stages
        tensor, pipeline = self.tensor, self.pipeline
        values = (
            *(tensor, pipeline, data, expert, attention, data // attention, tensor * pipeline * data, 1, 1),
            *(facts.nodes, facts.tensor_nodes, expert_nodes, facts.fabric, facts.fabric_gbs),
            *(facts.hops, facts.node_hops, stages),
        )
        return Candidate(self.kinds, values, self)

    def _nodes_of_sets(self, data: int, attention: int) -> int:
        """Return the most nodes that one set of routed experts spans."""
        key = (data, attention)
        if key not in self._spans:
            size = attention * self.pipeline
            sets = _parts(self.packed[: data * self.pipeline], size)
            spans = [{node for group in each for node in group.nodes} for each in sets]
            self._spans[key] = max(map(len, spans))
        return self._spans[key]


class _Facts(NamedTuple):
    """Facts of some replicas together; those of the network are of the worst replica."""

    fabric: str
    fabric_gbs: float | None
    nodes: int
    tensor_nodes: int
    expert_nodes: int
    hops: int
    node_hops: int
    budget: int


def _parts(groups: Sequence[Group], size: int) -> Iterator[Sequence[Group]]:
    """Yield the groups, `size` at a time."""
    return (groups[start : start + size] for start in range(0, len(groups) - size + 1, size))


class _OtherFacts:
    """Facts of the first replicas, added up as far as they are needed."""

    def __init__(self, adding: Iterator[_Facts]) -> None:
        self._adding = adding
        self._known: list[_Facts] = []

    def of(self, data: int) -> _Facts:
        """Return the facts of the first `data` replicas."""
        while len(self._known) < data:
            self._known.append(next(self._adding))
        return self._known[data - 1]


class _UniformFacts:
    """Facts of the first replicas of uniform groups, which differ only in their nodes."""

    def __init__(self, arranged: ArrangedGroups, size: int) -> None:
        self._size = size
        first = arranged.groups[0]
        self._base = _Facts(first.fabric, first.gbs, 1, 1, 1, size - 1, 0, first.budget)
        whole = [count // size for count in arranged.counts]
        self._ends = list(accumulate(filter(None, whole)))
        """How many replicas are within the first node, the first two, and so on, of those that hold one."""
        self._within = self._ends[-1] if self._ends else 0
        self._arranged, self._whole = arranged, whole
        self._over = _OtherFacts(self._over_nodes())

    def of(self, data: int) -> _Facts:
        """Return the facts of the first `data` replicas."""
        if data > self._within:
            return self._over.of(data - self._within)
        nodes = bisect_left(self._ends, data) + 1
        if nodes != self._base.expert_nodes:
            self._base = self._base._replace(expert_nodes=nodes)
        return self._base

    def _over_nodes(self) -> Iterator[_Facts]:
        """Yield the facts of all replicas within nodes and of one more over nodes, of two more, and so on."""
        base, size = self._base, self._size
        names, counts = self._arranged.nodes, self._arranged.counts
        rest = [count % size for count in counts]
        left = names if set(rest) == {1} else [*chain.from_iterable(map(repeat, names, rest))]
        nodes = set(compress(names, self._whole))
        most, hops, node_hops = 1, base.hops if nodes else 0, 0
        for start in range(0, len(left) - size + 1, size):
            own = set(left[start : start + size])
            nodes |= own
            distinct = len(own)  # what is left of a node is in one piece
            most = max(most, distinct)
            hops = max(hops, size - distinct)
            node_hops = max(node_hops, distinct - 1)
            yield _Facts(base.fabric, base.fabric_gbs, most, 1, len(nodes), hops, node_hops, base.budget)


def _add_up(replicas: Iterable[Sequence[Group]]) -> Iterator[_Facts]:
    """Yield the facts of the first replica, of the first two, and so on."""
    level, fabric, fabric_gbs = -1, "", None
    most_nodes = most_tensor_nodes = 1
    most_hops = most_node_hops = 0
    all_nodes: set[str] = set()
    budget = None
    for replica in replicas:
        if len(replica) == 1:
            (worst,) = replica
            gbs, nodes, same_node = worst.gbs, worst.nodes, 0
        else:
            worst = max(replica, key=_level)
            rates = [group.gbs for group in replica if group.level == worst.level]
            known = [rate for rate in rates if rate is not None]
            gbs = min(known) if len(known) == len(rates) else None
            nodes = replica[0].nodes.union(*[group.nodes for group in replica])
            same_node = sum([_near(a, b) for a, b in pairwise(replica)])
        if worst.level > level:
            level, fabric, fabric_gbs = worst.level, worst.fabric, gbs
        elif worst.level == level:
            fabric_gbs = None if gbs is None or fabric_gbs is None else min(gbs, fabric_gbs)
        most_nodes = max(most_nodes, len(nodes))
        most_hops = max(most_hops, same_node)
        most_node_hops = max(most_node_hops, len(replica) - 1 - same_node)
        all_nodes |= nodes
        for group in replica:
            most_tensor_nodes = max(most_tensor_nodes, len(group.nodes))
            budget = group.budget if budget is None else min(budget, group.budget)
        assert budget is not None
        yield _Facts(
            fabric=fabric,
            fabric_gbs=fabric_gbs,
            nodes=most_nodes,
            tensor_nodes=most_tensor_nodes,
            expert_nodes=len(all_nodes),
            hops=most_hops,
            node_hops=most_node_hops,
            budget=budget,
        )


def _level(group: Group) -> int:
    return group.level


def _near(a: Group, b: Group) -> bool:
    """True if the step from one group to the next stays within a node."""
    return a.slots[-1].node == b.slots[0].node


def _packed(arranged: ArrangedGroups, size: int) -> Sequence[Group]:
    """Return the groups of replicas of that many, one after the other.

    Replicas are within nodes where possible, the best connected first.
    """
    packed: list[Group] = []
    left: list[Group] = []
    for own in arranged.by_node.values():
        whole = len(own) - len(own) % size
        packed += own[:whole]
        left += own[whole:]
    if arranged.uniform:
        return packed + left[: len(left) - len(left) % size]
    left.sort(key=lambda group: (group.level, group.order))
    replicas = [*_parts(packed, size), *_parts(left, size)]
    replicas.sort(key=lambda replica: max([group.level for group in replica]))
    return [group for replica in replicas for group in sorted(replica, key=_order)]


def _order(group: Group) -> int:
    return group.order


def _runs(pipeline: int) -> Iterator[tuple[int, bool, bool]]:
    """Yield runs of equal stages: how many, and whether they are the first or the last."""
    if pipeline == 1:
        yield 1, True, True
        return
    yield 1, True, False
    if pipeline > 2:
        yield pipeline - 2, False, False
    yield 1, False, True


def _stage(kind: DeviceGroup, budget: int, count: int, first: bool, last: bool) -> Fields:
    return {
        "device": kind.device.value,
        "alike": kind.number,
        "budget_bytes": budget,
        "count": count,
        "first": first,
        "last": last,
    }


def mixtures(
    kinds: Sequence[DeviceGroup], most_pairs: int | None
) -> list[tuple[int, tuple[DeviceGroup, ...]]]:
    """Return sets of device groups for uneven pipelines; also of one group, if its memory is uneven.

    Each comes with its number among all. Of many groups, pairs with the least memory come last, at most
    `most_pairs` of them.
    """
    few = len(kinds) <= _MOST_KINDS_COMBINED
    sizes = [size for size in range(1, len(kinds) + 1) if few or size in (1, 2, len(kinds))]
    sets = [chosen for size in sizes for chosen in combinations(kinds, size) if size > 1 or chosen[0].uneven]
    numbered = list(enumerate(sets))
    if few:
        return numbered
    pairs = [each for each in numbered if len(each[1]) == 2]
    pairs.sort(key=lambda each: -sum(kind.capacity for kind in each[1]))
    return [each for each in numbered if len(each[1]) != 2] + pairs[:most_pairs]


Chosen = list[tuple[Group, DeviceGroup]]


def splits(kinds: tuple[DeviceGroup, ...], tensor: int, grain: Grain) -> Iterator[tuple[int, Chosen]]:
    """Yield choices of stages for one pipeline, at least one per device group, most memory first.

    Each comes with its number among all. Number 0 is one of each, the best connected. If there are too many
    choices, only those that take the stages with the most memory.
    """
    if all(kind.groups(tensor) for kind in kinds):
        yield 0, [(min(kind.groups(tensor), key=_roomy), kind) for kind in kinds]
    groups = [(group, kind) for kind in kinds for group in sorted(kind.groups(tensor), key=_roomy)]
    sorts: dict[tuple[int, tuple[str | None, int | None]], Chosen] = {}
    for group, kind in groups:
        sorts.setdefault((kind.number, group.slots[0].place), []).append((group, kind))
    if prod(len(sort) + 1 for sort in sorts.values()) <= _MOST_SPLITS:
        ways = list(product(*(range(len(sort) + 1) for sort in sorts.values())))
        for way in thin(range(1, len(ways) + 1), grain):
            parts = zip(sorts.values(), ways[way - 1], strict=True)
            chosen = [each for sort, count in parts for each in sort[:count]]
            if len({kind.number for _, kind in chosen}) == len(kinds):
                yield way, chosen
        return
    groups.sort(key=lambda each: (_roomy(each[0]), each[1].number))
    for count in thin(range(len(kinds), len(groups) + 1), grain):
        if len({kind.number for _, kind in groups[:count]}) == len(kinds):
            yield count, groups[:count]


def mixed(kinds: tuple[DeviceGroup, ...], tensor: int, chosen: Chosen) -> Candidate:
    """Return the candidate of one pipeline over heterogeneous devices."""
    chosen = list(chosen)
    chosen.sort(key=lambda each: each[0].order)
    stages = len(chosen)
    replica = [group for group, _ in chosen]
    (facts,) = _add_up([replica])
    alike = {each: number for number, each in enumerate(sorted({_sort(*each) for each in chosen}))}
    described: list[Fields] = []
    for position, (group, kind) in enumerate(chosen):
        first, last = position == 0, position == stages - 1
        number = alike[_sort(group, kind)]
        before = described[-1] if described else None
        if before is not None and before["alike"] == number and not before["first"] and not last:
            before["count"] += 1
        else:
            described.append({**_stage(kind, group.budget, 1, first, last), "alike": number})
    values = (
        *(tensor, stages, 1, 1, 1, 1, tensor * stages, len({kind.device.kind for kind in kinds}), len(alike)),
        *(facts.nodes, facts.tensor_nodes, facts.expert_nodes, facts.fabric, facts.fabric_gbs),
        *(facts.hops, facts.node_hops, described),
    )
    return Candidate(kinds, values, replica)


def _roomy(group: Group) -> tuple[int, int, int]:
    return group.level, -group.budget, group.order


def _sort(group: Group, kind: DeviceGroup) -> tuple[int, int]:
    """Return the key of equal stages: their device group, and their usable memory."""
    return kind.number, -group.budget
