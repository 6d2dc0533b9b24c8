"""Servers of a plan on their nodes: which replicas one server runs, ports, and comments for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from engine.render.launch.launch import Launch
from engine.render.launch.placement import Group, Share, nodes_of


def merged_by_node(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Return groups of which neighbors on one and the same node are one."""
    merged: list[Group] = []
    for nodes, run in groupby(groups, key=lambda group: tuple(share.node for share in group.shares)):
        together = list(run)
        if len(nodes) > 1:
            merged += together
            continue
        shares = [group.shares[0] for group in together]
        shards = tuple(shard for share in shares for shard in share.shards)
        numbers = tuple(dict.fromkeys(number for share in shares for number in share.numbers))
        merged.append(Group((Share(nodes[0], shards, numbers),), sum(group.ranks for group in together)))
    return tuple(merged)


def ports(launch: Launch, groups: Sequence[Group]) -> list[int | None]:
    """Return the port of each server; None for the default, which the first server on a node keeps."""
    used: Counter[str | None] = Counter()
    for plan in launch.plan.before:
        for node in nodes_of(plan.shards, launch.inventory):
            used[node] += plan.strategy.data_parallel  # as many servers, or fewer
    result: list[int | None] = []
    for group in groups:
        node = group.shares[0].node
        first = None if launch.row is None else launch.row["port"]
        result.append(first + used[node] if first is not None and used[node] else None)
        used[node] += 1
    return result


def comments(launch: Launch, groups: Sequence[Group], number: int, position: int) -> tuple[str, ...]:
    """Return what distinguishes a command from the others, and what its placeholders stand for.

    Args:
        launch: the plan.
        groups: its servers.
        number: the command's server.
        position: its node among those of the server.
    """
    shares = groups[number].shares
    lines = list(launch.comments)
    if len(groups) > 1:
        lines.append(f"server {number + 1} of {len(groups)}")
    if launch.nodes > 1:
        node = shares[position].node
        lines.append(f"on {_name(node, position)}")
    if len(shares) > 1:
        lines.append(f"HEAD: the address of {_name(shares[0].node, 0)}")
    return tuple(lines)


def _name(node: str | None, position: int) -> str:
    return f"node {position}" if node is None else node
