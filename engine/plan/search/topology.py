"""Interconnect topology: divides homogeneous devices into fully connected domains.

Everything here is a fact of the inventory or of the arguments; whether a fabric is fast enough is for the
policy to decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, Any, TypeVar, overload

from engine.base.records import record
from engine.inventory import Inventory
from engine.inventory.order import Neighbours, device_ranks, refine
from engine.plan.errors import BuilderError

if TYPE_CHECKING:
    from engine.cel.values import Value
    from engine.plan.building import Arguments

T = TypeVar("T")

_MOST_RANKS = 100_000
"""The most ranks of all devices together; an inventory has no more devices either."""
_MOST_BUDGETS = 16
"""Different amounts of usable memory in a group that are tried as its minimum."""
_MOST_IN_CLIQUE_SEARCH = 24
"""Devices of a node up to which the largest clique is searched exactly; beyond, greedily."""


@record(eq=False)
class SearchDevice:
    """A device as a search sees it, whichever implementation evaluated it."""

    kind: str
    node: str | None
    numa_node: int | None
    index: int | None
    """Its position in the inventory; None for a device that a policy made."""
    value: object
    """The device as the policy's expressions read it, which the search hands back."""

    @classmethod
    def from_value(cls, value: Any) -> SearchDevice:
        """Read a CEL value of type Device: a mapping in the interpreter, an object on the fast path."""
        if isinstance(value, dict):
            return cls(value["kind"], value.get("node"), value.get("numa_node"), value.get("index"), value)
        return cls(value.kind, value.node, value.numa_node, value.index, value)


@record(eq=False)
class Slot:
    """One rank's place: a device, or one of its chips or cores."""

    order: int
    """Its position by node and NUMA node, device group, rank and index."""
    rank: int
    """Equal for devices that differ only in their position."""
    device: SearchDevice
    part: int | None
    """The number of the chip or core, for a device that has several."""
    node: str
    place: tuple[str | None, int | None]
    """Its node and NUMA node."""
    budget: int
    """Usable memory in bytes."""


class Group:
    """The slots of one stage, and the fabric between them; a smaller level is better connected.

    `order` and `node` are those of its first slot, `nodes` are those of all slots, `budget` is the smallest.
    """

    __slots__ = ("budget", "fabric", "gbs", "level", "node", "nodes", "order", "slots")

    def __init__(
        self,
        slots: tuple[Slot, ...],
        level: int,
        fabric: str,
        gbs: float | None,
        nodes: frozenset[str] | None = None,
        budget: int | None = None,
    ) -> None:
        self.slots = slots
        self.level = level
        self.fabric = fabric
        self.gbs = gbs
        first = slots[0]
        self.order = first.order
        self.node = first.node
        self.nodes = frozenset([slot.node for slot in slots]) if nodes is None else nodes
        self.budget = min([slot.budget for slot in slots]) if budget is None else budget


@record(eq=False)
class Domain:
    """Slots that one fabric connects, every one with every other (an NVLink domain)."""

    slots: tuple[Slot, ...]
    fabric: str
    gbs: float | None


class Groups(Sequence[T]):
    """A sequence of known length, whose elements are made when they are first needed.

    A search over many devices reads the first few of most of its sequences.
    """

    def __init__(self, elements: Iterator[T], size: int) -> None:
        self._left = elements
        self._size = size
        self._made: list[T] = []

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        most = range(self._size)[index]
        last = most if isinstance(most, int) else max(most, default=-1)
        if len(self._made) <= last:
            self._made += islice(self._left, last + 1 - len(self._made))
        return self._made[index]

    def __iter__(self) -> Iterator[T]:
        return (self[position] for position in range(self._size))


class ArrangedGroups:
    """Groups of one size by their nodes, and what they have in common."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = list(groups)
        self.by_node: dict[frozenset[str], list[Group]] = {}
        for group in self.groups:
            self.by_node.setdefault(group.nodes, []).append(group)
        self.nodes = [own[0].node for own in self.by_node.values()]
        """The node of each of these, or the first one of several."""
        self.counts = [len(own) for own in self.by_node.values()]
        ordered = [group.order for own in self.by_node.values() for group in own]
        links = {(group.level, group.fabric, group.gbs) for group in self.groups}
        self.uniform = (
            len(links) == 1
            and all(len(nodes) == 1 for nodes in self.by_node)
            and len({group.budget for group in self.groups}) == 1
            and all(map(lt, ordered, islice(ordered, 1, None)))
        )
        """True if all have one fabric and memory, each is within a node, and they are in order by node."""


class DeviceGroup:
    """Homogeneous devices, and the domains among them."""

    def __init__(self, name: str, number: int, domains: Sequence[Domain], near: str, far: str) -> None:
        self.name = name
        self.number = number
        self.domains = domains
        self.near = near
        self.far = far
        self._groups: dict[int, Groups[Group]] = {}
        self._arranged: dict[int, ArrangedGroups] = {}
        self.stages: dict[tuple[int, int], list[dict[str, Value]]] = {}
        """Stages by usable memory and number: candidates with equal stages share one list."""

    @cached_property
    def size(self) -> int:
        """The number of slots."""
        return sum(len(domain.slots) for domain in self.domains)

    @cached_property
    def capacity(self) -> int:
        """Usable memory of all slots, in bytes."""
        return sum(slot.budget for domain in self.domains for slot in domain.slots)

    @cached_property
    def uneven(self) -> bool:
        """True if some slots have more usable memory than others."""
        return len({slot.budget for domain in self.domains for slot in domain.slots}) > 1

    @property
    def device(self) -> SearchDevice:
        """One of the devices."""
        return self.domains[0].slots[0].device

    @cached_property
    def _nodes(self) -> dict[str, list[Slot]]:
        """The slots of each node, those of one domain together."""
        nodes: dict[str, list[Slot]] = {}
        for domain in self.domains:
            for slot in domain.slots:
                nodes.setdefault(slot.node, []).append(slot)
        return nodes

    @cached_property
    def _largest(self) -> int:
        """The most slots of a domain or a node."""
        sizes = [len(domain.slots) for domain in self.domains]
        return max([*sizes, *map(len, self._nodes.values())])

    @cached_property
    def _node_after_node(self) -> tuple[tuple[Slot, ...], list[str], list[int]]:
        """All slots in order of their nodes, the nodes, and the place of each slot's node among them."""
        slots = tuple(slot for slots in self._nodes.values() for slot in sorted(slots, key=_order))
        places = {node: place for place, node in enumerate(self._nodes)}
        return slots, [*places], [places[slot.node] for slot in slots]

    def _count(self, size: int) -> int:
        """Return the number of groups that `_grouped` yields, without making them."""
        if size > self._largest or size == 1:
            return self.size // size
        whole, left = 0, Counter[str]()
        for domain in self.domains:
            slots = domain.slots
            whole += len(slots) // size
            left.update(slot.node for slot in slots[len(slots) - len(slots) % size :])
        return whole + sum(n // size for n in left.values()) + sum(n % size for n in left.values()) // size

    def groups(self, size: int) -> Groups[Group]:
        """Return as many groups of `size` slots as there are, the best connected first.

        What remains of domains is grouped within nodes, and what remains of nodes across them.
        """
        if size not in self._groups:
            self._groups[size] = Groups(self._grouped(size), self._count(size))
        return self._groups[size]

    def arranged(self, size: int) -> ArrangedGroups:
        """Return the groups of `size` slots by their nodes."""
        if size not in self._arranged:
            self._arranged[size] = ArrangedGroups(self.groups(size))
        return self._arranged[size]

    def _grouped(self, size: int) -> Iterator[Group]:
        if size == 1:
            own = {node: frozenset((node,)) for node in self._nodes}
            for slot in sorted((s for i in self.domains for s in i.slots), key=_order):
                yield Group((slot,), 0, "", None, own[slot.node], slot.budget)
            return
        if size > self._largest:
            slots, nodes, places = self._node_after_node
            least = None if self.uneven else slots[0].budget
            for start in range(0, len(slots) - size + 1, size):
                end = start + size
                near = frozenset(nodes[places[start] : places[end - 1] + 1])
                yield Group(slots[start:end], 2, self.far, None, near, least)
            return
        left: dict[str, list[Slot]] = {}
        for domain in self.domains:
            for part in _parts(domain.slots, size):
                if len(part) == size:
                    yield Group(part, 0, domain.fabric, domain.gbs)
                else:
                    for slot in part:
                        left.setdefault(slot.node, []).append(slot)
        rest: list[Slot] = []
        for own_slots in left.values():
            for part in _parts(sorted(own_slots, key=_order), size):
                if len(part) == size:
                    yield Group(part, 1, self.near, None)
                else:
                    rest += part
        for part in _parts(rest, size):
            if len(part) == size:
                yield Group(part, 2, self.far, None)


def _order(slot: Slot) -> int:
    return slot.order


def _parts(slots: Sequence[Slot], size: int) -> Iterator[tuple[Slot, ...]]:
    for start in range(0, len(slots), size):
        yield tuple(slots[start : start + size])


@record(eq=False)
class DeviceGroups:
    """The device groups of a search."""

    alike: Sequence[DeviceGroup]
    """For each group and amount of usable memory, the devices with at least as much."""
    whole: Sequence[DeviceGroup]
    """Each group with all of its devices."""


def find_device_groups(arguments: Arguments, inventory: Inventory | None) -> DeviceGroups:
    """Return the device groups, ordered by name, those with the most usable memory first.

    Args:
        arguments: the arguments of the builder `search`.
        inventory: the inventory, whose links between pairs define domains, if it has some.

    Raises:
        BuilderError: arguments of different lengths, null arguments, or too many ranks.
    """
    slots: dict[str, list[tuple[Slot, int]]] = {}
    devices = [] if arguments["devices"] is None else [*map(SearchDevice.from_value, arguments["devices"])]
    for name, given in arguments.items():
        if given is None:
            raise BuilderError(f"{name} is null", name)
    for name in ("alike", "budgets", "ranks", "domains", "fabrics"):
        if len(arguments[name]) != len(devices):
            raise BuilderError(f"{len(arguments[name])} {name} for {len(devices)} devices", name)
    if sum(arguments["ranks"]) > _MOST_RANKS:
        raise BuilderError(f"more than {_MOST_RANKS} ranks", "ranks")
    alike_names, budgets = arguments["alike"], arguments["budgets"]
    ranked = device_ranks(inventory) if inventory is not None and inventory.links else None

    def rank(position: int) -> int:
        index = devices[position].index
        return ranked[index] if ranked is not None and index is not None and index < len(ranked) else 0

    def place(position: int) -> tuple[Value, ...]:
        """Order by node and NUMA node (those without one last), group, memory and rank; then by position."""
        device = devices[position]
        numa, index = device.numa_node, device.index
        near = (device.node or "", numa is None, numa or 0)
        return (*near, alike_names[position], -budgets[position], rank(position), index is None, index or 0)

    positions = sorted(range(len(devices)), key=place)
    order = 0
    for position in positions:
        device = devices[position]
        ranks = arguments["ranks"][position]
        for part in range(ranks):
            slot = Slot(
                order=order,
                rank=rank(position),
                device=device,
                part=part if ranks > 1 else None,
                node=device.node or "",
                place=(device.node, device.numa_node),
                budget=budgets[position],
            )
            order += 1
            slots.setdefault(alike_names[position], []).append((slot, position))
    connections = _Connections(arguments, inventory)
    alike: list[DeviceGroup] = []
    whole: list[DeviceGroup] = []
    for name in sorted(slots):
        domains = list(connections.domains_of(slots[name]))
        for least in _spread(sorted({slot.budget for slot, _ in slots[name]}, reverse=True)):
            alike.append(_alike(name, len(whole), _chosen(domains, least), arguments))
        whole.append(alike[-1])
    return DeviceGroups(alike, whole)


def _alike(name: str, number: int, domains: Sequence[Domain], arguments: Arguments) -> DeviceGroup:
    return DeviceGroup(name, number, domains, arguments["near_fabric"], arguments["far_fabric"])


def _chosen(domains: Sequence[Domain], least: int) -> list[Domain]:
    """Return the domains, reduced to slots with at least that much usable memory."""
    return [
        Domain(slots, domain.fabric, domain.gbs)
        for domain in domains
        if (slots := tuple(slot for slot in domain.slots if slot.budget >= least))
    ]


def _spread(budgets: Sequence[int]) -> Sequence[int]:
    """Return all budgets, the least one last; of many, an even sample that includes the least."""
    step = max(1, len(budgets) // _MOST_BUDGETS)
    return budgets[::-step][::-1]


_Label = tuple[str, bool, float]
"""A link's fabric, whether its bandwidth is unknown, and the bandwidth in GB/s."""


class _Connections:
    """The connections of devices: links between pairs if the inventory has some, else the arguments."""

    def __init__(self, arguments: Arguments, inventory: Inventory | None) -> None:
        self.domains: Sequence[str] = arguments["domains"]
        self.fabrics: Sequence[str] = arguments["fabrics"]
        peers = dict(zip(arguments["peer_links"], arguments["peer_fabrics"], strict=False))
        self.pairs: dict[tuple[int, int], tuple[str, float | None]] = {}
        self.peers: dict[int | None, list[tuple[_Label, int]]] = {}
        """By device, its peers and what connects them."""
        self.known: set[int] = set()
        """Devices with links in the inventory, fast or not."""
        for link in () if inventory is None else inventory.links:
            self.known |= {link.a, link.b}
            if link.kind in peers:
                label = (peers[link.kind], link.bandwidth_gbs is None, link.bandwidth_gbs or 0.0)
                self.peers.setdefault(link.a, []).append((label, link.b))
                self.peers.setdefault(link.b, []).append((label, link.a))
                self.pairs[min(link.a, link.b), max(link.a, link.b)] = (peers[link.kind], link.bandwidth_gbs)

    def domains_of(self, slots: Sequence[tuple[Slot, int]]) -> Iterator[Domain]:
        """Yield the domains among slots, which come with the positions of their devices."""
        domains: dict[str, list[Slot]] = {}
        fabrics: dict[str, str] = {}
        linked: dict[str, list[Slot]] = {}
        for slot, position in slots:
            if slot.device.index in self.known:
                linked.setdefault(slot.node, []).append(slot)
            else:
                domain = self.domains[position] if self.fabrics[position] else f"\0{position}"
                domains.setdefault(domain, []).append(slot)
                fabrics[domain] = self.fabrics[position]
        for domain, own in domains.items():
            yield Domain(tuple(sorted(own, key=_best)), fabrics[domain], None)
        for own in linked.values():
            yield from self.cliques(own)

    def cliques(self, slots: list[Slot]) -> list[Domain]:
        """Divide the slots of a node into cliques, the largest first.

        Slots differ by their connections, never by their positions, so that another order of the same devices
        gives the same cliques.
        """
        neighbours: dict[int, list[tuple[_Label, int]]] = {}
        by_index: dict[int | None, list[Slot]] = {}
        for slot in slots:
            by_index.setdefault(slot.device.index, []).append(slot)
        for slot in slots:
            for label, index in self.peers.get(slot.device.index, ()):
                near = [(label, other.order) for other in by_index.get(index, ())]
                neighbours.setdefault(slot.order, []).extend(near)
        found: list[list[Slot]] = []
        for part in _connected(slots, neighbours):
            left = part
            while left:
                colours = refine({slot.order: slot.rank for slot in left}, neighbours)
                found.append(self.largest(sorted(left, key=lambda slot: (colours[slot.order], slot.order))))
                taken = {slot.order for slot in found[-1]}
                left = [slot for slot in left if slot.order not in taken]
        found.sort(key=lambda clique: (-len(clique), min(map(_order, clique))))
        return [self.domain(clique) for clique in found]

    def domain(self, clique: list[Slot]) -> Domain:
        """Return the domain of a clique."""
        pairs = [self.pair(a, b) for a in clique for b in clique if a.order < b.order]
        found = [pair for pair in pairs if pair is not None]
        rates = [gbs for _, gbs in found]
        known = [gbs for gbs in rates if gbs is not None]
        return Domain(
            tuple(sorted(clique, key=_best)),
            min((fabric for fabric, _ in found), default=""),
            min(known) if known and len(known) == len(rates) else None,
        )

    def pair(self, a: Slot, b: Slot) -> tuple[str, float | None] | None:
        if a.device.index is None or b.device.index is None:
            return None
        return self.pairs.get((min(a.device.index, b.device.index), max(a.device.index, b.device.index)))

    def largest(self, slots: list[Slot]) -> list[Slot]:
        """Return the largest clique, the first in order if several are equal."""
        if len(slots) > _MOST_IN_CLIQUE_SEARCH:
            chosen: list[Slot] = []
            for slot in slots:
                if all(self.pair(slot, other) for other in chosen):
                    chosen.append(slot)
            return chosen
        best: list[Slot] = []

        def grow(chosen: list[Slot], left: list[Slot]) -> None:
            nonlocal best
            if len(chosen) > len(best):
                best = chosen
            for position, slot in enumerate(left):
                if len(chosen) + len(left) - position <= len(best):
                    return
                grow([*chosen, slot], [each for each in left[position + 1 :] if self.pair(slot, each)])

        grow([], slots)
        return best


def _best(slot: Slot) -> tuple[int, int]:
    return (-slot.budget, slot.order)


def _connected(slots: Sequence[Slot], neighbours: Neighbours) -> Iterator[list[Slot]]:
    """Yield the connected components of slots, in the order of their first slots."""
    left = {slot.order: slot for slot in slots}
    while left:
        order = next(iter(left))
        part, reached = [left.pop(order)], [order]
        while reached:
            for _, other in neighbours.get(reached.pop(), ()):
                if other in left:
                    part.append(left.pop(other))
                    reached.append(other)
        yield sorted(part, key=_order)
