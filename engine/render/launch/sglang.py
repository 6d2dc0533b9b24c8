"""`python -m sglang.launch_server` commands, one per server and node.

The commands list the devices in the plan's order and use options that SGLang has from 0.4.6 to 0.5.23. With
DP attention, `--tp-size` counts all ranks that share the experts. Replicas on one node run in one server.
Across nodes, run each command on its node, with `HEAD` set to the first node's address. Pipeline stages that
differ by more than one layer are set with `SGLANG_PP_LAYER_PARTITION`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.base.errors import RenderError
from engine.base.records import replace
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.launch import Command, Flag, Group, Launch, Variable, prepare, shell_script
from engine.render.launch.groups import by_group
from engine.render.launch.nodes import comments, merged_by_node, ports


@by_group("commands")
def render(decision: Decision, screen: Screen) -> str:
    """Return the commands for shells.

    Raises:
        RenderError: SGLang cannot run the plan.
    """
    return shell_script(list(commands(prepare(decision, "SGLang"))))


def commands(launch: Launch) -> Iterator[Command]:
    """Yield the commands, server by server and node by node.

    Raises:
        RenderError: SGLang cannot run the plan.
    """
    groups = servers(launch)
    for number, (group, port) in enumerate(zip(groups, ports(launch, groups), strict=True)):
        if not group.is_even:
            raise RenderError("SGLang runs the same number of ranks on each node")
        shared = command(launch, group)
        for position, share in enumerate(group.shares):
            place = launch.servers_before + number
            own = launch.spelled({**_node_values(launch, group, position, place), "port": port})
            yield replace(
                shared,
                flags={**shared.flags, **own},
                environment={**launch.environment_on(share), **shared.environment},
                comments=comments(launch, groups, number, position),
            )


def command(launch: Launch, group: Group) -> Command:
    """Return the command of a server without what differs by node: its devices, its rank, its port.

    Raises:
        RenderError: SGLang cannot run the plan.
    """
    stages = launch.uneven_stages
    environment = {} if stages is None or launch.row is None else {launch.row["partition"]: stages}
    program = ("python", "-m", "sglang.launch_server")
    return Command(program, launch.spelled(_values(launch, group)), environment)


def servers(launch: Launch) -> tuple[Group, ...]:
    """Return the devices of each server: ranks that share experts, or all replicas on one node."""
    groups = launch.groups(by_stage=True)
    return groups if launch.attention_parallel > 1 else merged_by_node(groups)


def _values(launch: Launch, group: Group) -> dict[str, Flag | None]:
    """Return values of options that are the same on all nodes."""
    launch.require_even_heads()
    strategy = launch.plan.strategy
    shared = launch.attention_parallel
    sequences, tokens = launch.sequences, launch.serving.get("batched_tokens")
    return {
        "model": launch.model_argument,
        "tensor": _above_one(strategy.tensor_parallel * shared),
        "pipeline": _above_one(strategy.pipeline_parallel),
        "data": _above_one(group.ranks),
        "attention": True if shared > 1 else None,
        "experts": _above_one(launch.expert_parallel),
        **launch.weight_flags(),
        "context": launch.context,
        # SGLang divides both among the ranks of DP attention.
        "sequences": None if sequences is None else sequences * shared,
        "batched_tokens": None if tokens is None else tokens * shared,
        "utilization": launch.utilization,
        "kv_dtype": launch.kv_dtype,
        **launch.adapters,
        # SGLang takes whole GiB.
        "cpu_offload": None if launch.host_gib is None else math.ceil(launch.host_gib),
        "text_only": True if launch.leaves_out_towers else None,
        **_speculation(launch),
    }


def _speculation(launch: Launch) -> dict[str, Flag | None]:
    """Return values of speculative decoding: a chain of tokens, each with the most likely candidate only."""
    found = launch.speculation
    if found is None:
        return {}
    values: dict[str, Flag | None] = {"speculation": found.method, "draft": found.model}
    if found.name == "ngram":
        return {**values, "draft_tokens": found.tokens}
    return {**values, "draft_steps": found.tokens, "draft_width": 1, "draft_tokens": found.tokens + 1}


def _node_values(launch: Launch, group: Group, position: int, number: int) -> dict[str, Flag | None]:
    if len(group.shares) == 1:
        return {}
    assert launch.row is not None
    return {
        "nodes": len(group.shares),
        "node": position,
        "head": Variable(f"$HEAD:{launch.row['rendezvous'] + number}"),
    }


def _above_one(degree: int) -> int | None:
    return degree if degree > 1 else None


TARGET = Target("sglang", render, "sh", launches=True, servers=("sglang",))
