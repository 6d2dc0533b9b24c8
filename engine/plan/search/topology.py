"""Which devices can work closely together: groups of equal devices, by what joins them.

All is facts of the inventory and of the arguments; what is fast enough for what is the policy's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from engine.inventory import Inventory
from engine.plan.errors import BuilderError
from engine.records import record

_MOST_RANKS = 100_000
"""Of all devices together; an inventory has no more devices either."""
_MOST_BUDGETS = 16
"""Budgets of devices that are alike for each of which the devices with as much are a choice."""
_MOST_IN_CLIQUE_SEARCH = 24
"""Devices of a node among which the largest joined set is looked for; of more, one by one."""


@record(eq=False)
class Slot:
    """One rank's place: a device, or one of its chips or cores."""

    order: int
    """By node and NUMA node, alike devices together, and position."""
    device: Any
    index: int | None
    part: int | None
    """Which of the device's chips or cores, of a device that has several."""
    node: str
    place: Any
    """Its node and NUMA node."""
    budget: int
    """Bytes that may be filled."""


class Group:
    """The slots of one stage, and what joins them; the smaller the level, the better.

    `order` is that of its first slot, `nodes` are those of all, `budget` is that of the smallest.
    """

    __slots__ = ("budget", "fabric", "gbs", "level", "nodes", "order", "slots")

    def __init__(self, slots: tuple[Slot, ...], level: int, fabric: str, gbs: float | None) -> None:
        self.slots = slots
        self.level = level
        self.fabric = fabric
        self.gbs = gbs
        self.order = slots[0].order
        self.nodes = frozenset([slot.node for slot in slots])
        self.budget = min([slot.budget for slot in slots])


@record(eq=False)
class Island:
    """Slots that one fabric joins, every one with every other."""

    slots: tuple[Slot, ...]
    fabric: str
    gbs: float | None


class Alike:
    """Devices that are alike, and the islands among them."""

    def __init__(self, name: str, number: int, islands: Sequence[Island], near: str, far: str) -> None:
        self.name = name
        self.number = number
        self.islands = islands
        self.near = near
        self.far = far
        self._groups: dict[int, list[Group]] = {}

    @cached_property
    def size(self) -> int:
        """Slots."""
        return sum(len(island.slots) for island in self.islands)

    @cached_property
    def uneven(self) -> bool:
        """Whether some slots have more room than others."""
        return len({slot.budget for island in self.islands for slot in island.slots}) > 1

    @property
    def device(self) -> Any:
        """One of the devices."""
        return self.islands[0].slots[0].device

    def groups(self, size: int) -> list[Group]:
        """As many groups of that many slots as there are, those that are joined best first.

        What is left of islands is joined within nodes, and what is left of nodes across them.
        """
        if size not in self._groups:
            self._groups[size] = list(self._grouped(size))
        return self._groups[size]

    def _grouped(self, size: int) -> Iterator[Group]:
        if size == 1:
            for slot in sorted((s for i in self.islands for s in i.slots), key=_order):
                yield Group((slot,), 0, "", None)
            return
        left: dict[str, list[Slot]] = {}
        for island in self.islands:
            for part in _parts(island.slots, size):
                if len(part) == size:
                    yield Group(part, 0, island.fabric, island.gbs)
                else:
                    for slot in part:
                        left.setdefault(slot.node, []).append(slot)
        rest: list[Slot] = []
        for slots in left.values():
            for part in _parts(sorted(slots, key=_order), size):
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
class Kinds:
    """Devices that are alike, of which some may have more room than others."""

    alike: Sequence[Alike]
    """For each kind and budget, the devices that may be filled with at least as much."""
    whole: Sequence[Alike]
    """For each kind all devices."""


def find_kinds(arguments: Mapping[str, Any], inventory: Inventory | None) -> Kinds:
    """The kinds of devices, in the order of their names, those with the largest budgets first.

    Args:
        arguments: of the builder `search`.
        inventory: whose links between pairs tell what is joined, where it has some.

    Raises:
        BuilderError: arguments that don't go together, or too many ranks.
    """
    slots: dict[str, list[tuple[Slot, int]]] = {}
    devices = arguments["devices"]
    for name, given in arguments.items():
        if given is None:
            raise BuilderError(f"{name} is null", name)
    for name in ("alike", "budgets", "ranks", "domains", "fabrics"):
        if len(arguments[name]) != len(devices):
            raise BuilderError(f"{len(arguments[name])} {name} for {len(devices)} devices", name)
    if sum(arguments["ranks"]) > _MOST_RANKS:
        raise BuilderError(f"more than {_MOST_RANKS} ranks", "ranks")
    alike_names, budgets = arguments["alike"], arguments["budgets"]

    def place(position: int) -> tuple[Any, ...]:
        """By node and NUMA node (those without one last), alike ones together; only then by position."""
        device = devices[position]
        numa, index = _field(device, "numa_node"), _field(device, "index")
        near = (_field(device, "node") or "", numa is None, numa or 0)
        return (*near, alike_names[position], -budgets[position], index is None, index or 0)

    positions = sorted(range(len(devices)), key=place)
    order = 0
    for position in positions:
        device = devices[position]
        ranks = arguments["ranks"][position]
        for part in range(ranks):
            slot = Slot(
                order,
                device,
                _field(device, "index"),
                part if ranks > 1 else None,
                _field(device, "node") or "",
                (_field(device, "node"), _field(device, "numa_node")),
                budgets[position],
            )
            order += 1
            slots.setdefault(alike_names[position], []).append((slot, position))
    joined = _Joined(arguments, inventory)
    alike: list[Alike] = []
    whole: list[Alike] = []
    for name in sorted(slots):
        islands = list(joined.islands(slots[name]))
        for least in _spread(sorted({slot.budget for slot, _ in slots[name]}, reverse=True)):
            alike.append(_alike(name, len(whole), _chosen(islands, least), arguments))
        whole.append(alike[-1])
    return Kinds(alike, whole)


def _alike(name: str, number: int, islands: Sequence[Island], arguments: Mapping[str, Any]) -> Alike:
    return Alike(name, number, islands, arguments["near_fabric"], arguments["far_fabric"])


def _chosen(islands: Sequence[Island], least: int) -> list[Island]:
    """The islands with just their slots of such a budget or a larger one."""
    return [
        Island(slots, island.fabric, island.gbs)
        for island in islands
        if (slots := tuple(slot for slot in island.slots if slot.budget >= least))
    ]


def _spread(budgets: Sequence[int]) -> Sequence[int]:
    """All budgets, the least one last; where there are many, some that are spread over them and the least."""
    step = max(1, len(budgets) // _MOST_BUDGETS)
    return budgets[::-step][::-1]


def _field(device: Any, name: str) -> Any:
    return device.get(name) if isinstance(device, dict) else getattr(device, name)


class _Joined:
    """What joins devices: links between pairs where the inventory has some, else what the arguments say."""

    def __init__(self, arguments: Mapping[str, Any], inventory: Inventory | None) -> None:
        self.domains: Sequence[str] = arguments["domains"]
        self.fabrics: Sequence[str] = arguments["fabrics"]
        peers = dict(zip(arguments["peer_links"], arguments["peer_fabrics"], strict=False))
        self.pairs: dict[tuple[int, int], tuple[str, float | None]] = {}
        self.known: set[int] = set()
        """Devices of which links are known, fast or not."""
        for link in () if inventory is None else inventory.links:
            self.known |= {link.a, link.b}
            if link.kind in peers:
                self.pairs[min(link.a, link.b), max(link.a, link.b)] = (peers[link.kind], link.bandwidth_gbs)

    def islands(self, slots: Sequence[tuple[Slot, int]]) -> Iterator[Island]:
        """The islands among slots with their devices' positions, those of one node or domain together."""
        domains: dict[str, list[Slot]] = {}
        fabrics: dict[str, str] = {}
        linked: dict[str, list[Slot]] = {}
        for slot, position in slots:
            if slot.index in self.known:
                linked.setdefault(slot.node, []).append(slot)
            else:
                domain = self.domains[position] if self.fabrics[position] else f"\0{position}"
                domains.setdefault(domain, []).append(slot)
                fabrics[domain] = self.fabrics[position]
        for domain, own in domains.items():
            yield Island(tuple(sorted(own, key=_best)), fabrics[domain], None)
        for own in linked.values():
            yield from self.cliques(own)

    def cliques(self, slots: list[Slot]) -> Iterator[Island]:
        """A node's slots in sets of which every pair is joined, the largest first."""
        left = list(slots)
        while left:
            clique = self.largest(left)
            pairs = [self.pair(a, b) for a in clique for b in clique if a.order < b.order]
            found = [pair for pair in pairs if pair is not None]
            rates = [gbs for _, gbs in found]
            known = [gbs for gbs in rates if gbs is not None]
            yield Island(
                tuple(sorted(clique, key=_best)),
                min((fabric for fabric, _ in found), default=""),
                min(known) if known and len(known) == len(rates) else None,
            )
            taken = {slot.order for slot in clique}
            left = [slot for slot in left if slot.order not in taken]

    def pair(self, a: Slot, b: Slot) -> tuple[str, float | None] | None:
        if a.index is None or b.index is None:
            return None
        return self.pairs.get((min(a.index, b.index), max(a.index, b.index)))

    def largest(self, slots: list[Slot]) -> list[Slot]:
        """The largest set of which every pair is joined, the first in order of equals."""
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
