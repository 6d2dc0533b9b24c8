"""`vllm serve` commands, one per server and node.

The commands list the devices in the plan's order and use the options of vLLM 0.33, or of the version of
`--target vllm@VERSION`. Data-parallel replicas of a dense model run in one server. Those of a model with
experts run in one server if they share the experts, else each in a server of its own. Across nodes, run each
command on its node, with `HEAD` set to the first node's address. Pipeline stages that differ by more than one
layer are set with `VLLM_PP_LAYER_PARTITION`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.launch import Command, Flag, Flags, Group, Launch, Variable, prepare, shell_script
from engine.render.launch.groups import by_group
from engine.render.launch.nodes import comments, ports

_HEAD = Variable("$HEAD")


@by_group("commands")
def render(decision: Decision, screen: Screen) -> str:
    """Return the commands for shells.

    Raises:
        RenderError: vLLM cannot run the plan.
    """
    return shell_script(list(commands(prepare(decision, "vLLM"))))


def commands(launch: Launch) -> Iterator[Command]:
    """Yield the commands, server by server and node by node.

    Raises:
        RenderError: vLLM cannot run the plan.
    """
    groups = servers(launch)
    shared = flags(launch)
    for number, (group, port) in enumerate(zip(groups, ports(launch, groups), strict=True)):
        ray = ray_port(launch, group)
        for position, share in enumerate(group.shares):
            lines = comments(launch, groups, number, position)
            environment = {**launch.environment_on(share), **stage_variables(launch)}
            if ray is not None and launch.servers_before and position == 0:  # another cluster is on the node
                environment["RAY_ADDRESS"] = f"127.0.0.1:{ray}"
            place = launch.servers_before + number
            own = launch.spelled({**node_values(launch, group, position, place, _HEAD), "port": port})
            serve = ("vllm", "serve", launch.model_argument)
            if ray is None:
                yield Command(serve, {**shared, **own}, environment, lines)
            elif position == 0:
                start = ("ray", "start", "--head", f"--port={ray}")
                yield Command(serve, {**shared, **own}, environment, lines, start)
            else:
                join = ("ray", "start", Variable(f"--address=$HEAD:{ray}"), "--block")
                yield Command(join, {}, environment, lines)


def servers(launch: Launch) -> tuple[Group, ...]:
    """Return the devices of each server: all of a dense model's replicas, or ranks that share experts."""
    whole = launch.groups()
    if launch.has_experts or any(group.local_ranks is None for group in whole):
        return whole
    return launch.groups(launch.plan.strategy.data_parallel)


def command(launch: Launch) -> Command:
    """Return the command of a server for targets that choose its devices and nodes themselves.

    Raises:
        RenderError: vLLM cannot run the plan, or runs it as several servers.
    """
    program = ("vllm", "serve", launch.model_argument)
    return Command(program, flags(launch), stage_variables(launch), launch.comments)


def flags(launch: Launch) -> Flags:
    """Return the flags of `vllm serve` that are the same on all nodes.

    With `_` for `-`, they are the arguments of vLLM's engine.

    Raises:
        RenderError: vLLM cannot run the plan.
    """
    launch.require_even_heads()
    strategy = launch.plan.strategy
    degrees = {
        "tensor": strategy.tensor_parallel,
        "pipeline": strategy.pipeline_parallel,
        "data": servers(launch)[0].ranks,
    }
    values: dict[str, Flag | None] = {
        **{name: degree for name, degree in degrees.items() if degree > 1},
        "experts": _experts(launch),
        **launch.weight_flags(),
        "context": launch.context,
        "sequences": launch.sequences,
        "batched_tokens": _batched_tokens(launch),
        "utilization": launch.utilization,
        "kv_dtype": launch.kv_dtype,
        **launch.adapters,
        "cpu_offload": launch.host_gib,
        "text_only": True if launch.leaves_out_towers else None,
        "speculation": _speculation(launch),
    }
    return launch.spelled(values)


def _speculation(launch: Launch) -> str | None:
    """Return the JSON of speculative decoding."""
    found = launch.speculation
    if found is None:
        return None
    assert launch.row is not None
    config: dict[str, object] = {"method": found.method, "num_speculative_tokens": found.tokens}
    if found.model is not None:
        config["model"] = found.model
    if found.name == "ngram":
        config["prompt_lookup_max"] = launch.row["ngram_tokens"]
    return json.dumps(config)


def _batched_tokens(launch: Launch) -> int | None:
    """Return the tokens per forward pass: the requested ones, or more than the default if vLLM needs them.

    Raises:
        RenderError: fewer than concurrent requests, with which vLLM does not start.
    """
    asked, sequences = launch.serving.get("batched_tokens"), launch.sequences
    if asked is not None:
        if sequences is not None and asked < sequences:
            raise RenderError(
                f"vLLM needs a token per pass for each of {sequences} concurrent requests, but gets {asked}",
                hint=f"use --batched-tokens {sequences} or more, or fewer concurrent requests",
            )
        return asked
    if sequences is None or launch.assumed is None or sequences <= launch.assumed["batched_tokens"]:
        return None
    return max(sequences, int(launch.assumed["batched_tokens_large"]))


def _experts(launch: Launch) -> Flag | None:
    """Return True if experts are distributed, over all ranks of a server.

    Raises:
        RenderError: over some of them.
    """
    experts = launch.expert_parallel
    if experts == 1:
        return None
    ranks = launch.plan.strategy.tensor_parallel * launch.attention_parallel
    if experts != ranks:
        raise RenderError(f"vLLM spreads experts over all {ranks} ranks, but the plan over {experts}")
    return True


def node_values(
    launch: Launch, group: Group, position: int, number: int, head: Variable
) -> dict[str, Flag | None]:
    """Return values of options of one node of a server.

    Args:
        launch: the plan.
        group: the server's devices.
        position: the node's position among those of the server.
        number: the server's number among those of the plan.
        head: the address of the server's first node.

    Raises:
        RenderError: a data-parallel rank spans nodes beside others, or the version runs none on other nodes.
    """
    if len(group.shares) == 1:
        return {}
    if ray_port(launch, group) is not None:
        return {"executor": None if position else "ray"}
    assert launch.row is not None
    follows = True if position else None
    if group.ranks == 1:
        # Servers side by side on the same nodes meet at ports of their own.
        port = launch.row["rendezvous"] + number if number else None
        nodes = len(group.shares)
        return {"nodes": nodes, "node": position, "head": head, "head_port": port, "headless": follows}
    local = group.local_ranks
    if local is None:
        raise RenderError(f"vLLM runs each of {group.ranks} data-parallel ranks on one node")
    return {
        "data_local": local[position],
        "data_start": sum(local[:position]) if position else None,
        "data_head": head,
        "data_port": None if launch.row["rendezvous"] is None else launch.row["rendezvous"] + number,
        "headless": follows,
    }


def ray_port(launch: Launch, group: Group) -> int | None:
    """Return the port of the Ray cluster that runs one engine over several nodes; None if vLLM needs none."""
    if len(group.shares) == 1 or group.ranks > 1:
        return None
    assert launch.row is not None
    by_itself = "nodes" in launch.row["options"] and launch.device_kind not in (launch.row["ray_kinds"] or ())
    return None if by_itself and group.is_even else launch.row["ray"] + launch.servers_before


def stage_variables(launch: Launch) -> dict[str, str]:
    """Return the variable for stages that vLLM would not choose by itself; none for others."""
    stages = launch.uneven_stages
    return {} if stages is None or launch.row is None else {launch.row["partition"]: stages}


TARGET = Target("vllm", render, "sh", launches=True, servers=("vllm",))
