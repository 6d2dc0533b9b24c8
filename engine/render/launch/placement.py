"""Where the shards of a plan run: nodes, device numbers on each node, and groups that start together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from engine.base.errors import RenderError
from engine.base.records import record
from engine.inventory import Inventory
from engine.plan import Shard


@record(eq=False)
class Share:
    """The devices of one node in a group."""

    node: str | None
    shards: tuple[Shard, ...]
    numbers: tuple[int, ...]
    """The devices' numbers on the node, in the plan's order, without duplicates."""


@record(eq=False)
class Group:
    """The devices of one server: one replica, or data-parallel ranks that it runs together."""

    shares: tuple[Share, ...]
    """By node; the first node leads."""
    ranks: int
    """Data-parallel ranks."""

    @property
    def shards(self) -> int:
        """Number of shards."""
        return sum(len(share.shards) for share in self.shares)

    @property
    def is_even(self) -> bool:
        """Every node holds the same number of shards."""
        return len({len(share.shards) for share in self.shares}) == 1

    @property
    def local_ranks(self) -> list[int] | None:
        """Data-parallel ranks per node; None if a rank spans nodes."""
        size = self.shards // self.ranks
        counts = [len(share.shards) for share in self.shares]
        return None if any(count % size for count in counts) else [count // size for count in counts]


def group_shards(
    shards: Sequence[Shard], inventory: Inventory | None, size: int, ranks: int
) -> tuple[Group, ...]:
    """Return the groups of consecutive shards, each of that many.

    Args:
        shards: a plan's shards, replica by replica.
        inventory: the inventory of the request, for nodes.
        size: shards per group.
        ranks: data-parallel ranks per group.
    """
    groups = []
    for start in range(0, len(shards), size):
        part = shards[start : start + size]
        by_node: dict[str | None, list[Shard]] = {}
        for shard in part:
            by_node.setdefault(_node(shard, inventory), []).append(shard)
        shares = [Share(node, tuple(own), device_numbers(own, inventory)) for node, own in by_node.items()]
        groups.append(Group(tuple(shares), ranks))
    return tuple(groups)


def _node(shard: Shard, inventory: Inventory | None) -> str | None:
    index = shard.device.index
    return None if inventory is None or index is None else inventory.devices[index].node


def nodes_of(shards: Sequence[Shard], inventory: Inventory | None) -> tuple[str | None, ...]:
    """Return the nodes of shards, each once."""
    return tuple(dict.fromkeys(_node(shard, inventory) for shard in shards))


def count_nodes(shards: Sequence[Shard], inventory: Inventory | None) -> int:
    """Return the number of nodes that a plan uses."""
    if inventory is None:
        return 1
    indices = (shard.device.index for shard in shards)
    return max(len({inventory.devices[index].node for index in indices if index is not None}), 1)


def check_whole_nodes(shards: Sequence[Shard], inventory: Inventory | None, server: str) -> None:
    """Check that a plan over several nodes uses each of them as a whole.

    Raises:
        RenderError: it uses one in part, which a target with one description for all nodes cannot express.
    """
    if inventory is None or count_nodes(shards, inventory) == 1:
        return
    for node, used, available in _usage(shards, inventory):
        if used and used < available:
            raise RenderError(
                f"the plan uses {used} of the {available} devices of node '{node}', "
                f"but across nodes {server} uses all devices of each node"
            )


def _usage(shards: Sequence[Shard], inventory: Inventory) -> Iterator[tuple[str | None, int, int]]:
    """Yield each node, with the number of its devices that are used and of those of the same kinds."""
    used = {shard.device.index for shard in shards}
    kinds = {shard.device.kind for shard in shards}
    usage: dict[str | None, list[bool]] = {}
    for index, device in enumerate(inventory.devices):
        if device.kind in kinds:
            usage.setdefault(device.node, []).append(index in used)
    for node, devices in usage.items():
        yield node, sum(devices), len(devices)


def device_numbers(shards: Sequence[Shard], inventory: Inventory | None) -> tuple[int, ...]:
    """Return the numbers that a node's driver uses for the devices, in the plan's order, without duplicates.

    An inventory of several nodes numbers devices consecutively; each node numbers its devices from 0.
    """
    devices = () if inventory is None else inventory.devices
    if len({device.node for device in devices}) < 2:
        ids = [shard.device.identity.get("device_id") for shard in shards]
        return tuple(dict.fromkeys(number for number in ids if isinstance(number, int)))
    counts: Counter[tuple[str | None, str]] = Counter()
    numbers = []
    for device in devices:
        numbers.append(counts[device.node, device.kind])
        counts[device.node, device.kind] += 1
    indices = (shard.device.index for shard in shards)
    return tuple(dict.fromkeys(numbers[index] for index in indices if index is not None))
