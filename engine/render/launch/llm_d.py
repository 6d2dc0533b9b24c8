"""Values for llm-d's Helm chart `llm-d-modelservice` (0.4), which runs vLLM.

Install it with `helm install NAME llm-d-modelservice/llm-d-modelservice -f FILE`. The plan becomes the decode
pods, without separate prefill pods and their proxy. On one node, the chart sets the options of TP and DP; all
others are arguments. Over several nodes it runs data parallel only: each pod of a LeaderWorkerSet serves its
own ranks.
"""

from __future__ import annotations

from math import ceil

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target
from engine.render.launch import Command, Flag, Launch, Variable, argument_list, prepare, shell_line, vllm
from engine.render.launch.groups import by_group
from engine.render.launch.objects import hub_name

_GIB = 2**30


@by_group("first")
def render(decision: Decision, screen: Screen) -> str:
    """Return the values as YAML.

    Raises:
        RenderError: vLLM or the chart cannot run the plan.
    """
    launch = prepare(decision, "vLLM")
    assert launch.row is not None
    kind = launch.device_kind
    types, images = launch.row["llm_d_types"] or {}, launch.row["llm_d_images"] or {}
    if kind not in types:
        raise RenderError(f"llm-d's chart has no type of accelerator for {kind}")
    name = hub_name(launch)
    servers = vllm.servers(launch)
    nodes = len(servers[0].shares)
    document = {
        "multinode": nodes > 1,
        "modelArtifacts": {"name": name, "uri": f"hf://{name}", "size": f"{_size(launch)}Gi"},
        "accelerator": {"type": types[kind]},
        "routing": {"servicePort": launch.row["port"], "proxy": {"enabled": False}},
        "decode": {
            "create": True,
            "replicas": len(servers),
            "parallelism": _parallelism(launch),
            "containers": [
                {
                    "name": "vllm",
                    "image": images.get(kind, "image-of-vllm"),
                    **(_command(launch, name) if nodes > 1 else _arguments(launch)),
                    "mountModelVolume": True,
                }
            ],
        },
        "prefill": {"create": False},
    }
    return dump(document)


def _parallelism(launch: Launch) -> dict[str, int]:
    """Return the degrees that the chart sets.

    Raises:
        RenderError: one engine over several nodes.
    """
    server = vllm.servers(launch)[0]
    local = server.local_ranks
    if len(server.shares) > 1 and (server.ranks == 1 or local is None or len(set(local)) > 1):
        raise RenderError(
            "over several nodes, llm-d's chart runs the same number of data-parallel ranks on each"
        )
    tensor = launch.plan.strategy.tensor_parallel
    if local is None:
        return {"tensor": tensor}
    return {"tensor": tensor, "data": server.ranks, "dataLocal": local[0], "workers": len(server.shares)}


def _arguments(launch: Launch) -> dict[str, object]:
    """Return the fields of a container in which the chart starts vLLM, with options that it does not set."""
    assert launch.row is not None
    set_by_chart = {launch.row["options"][purpose] for purpose in ("tensor", "data")}
    flags = {name: value for name, value in vllm.flags(launch).items() if name not in set_by_chart}
    return {"modelCommand": "vllmServe", "args": argument_list(Command((), flags), _plain)}


def _command(launch: Launch, name: str) -> dict[str, object]:
    """Return the fields of a container that serves the ranks of its node, which the pod's shell computes."""
    assert launch.row is not None
    local = vllm.servers(launch)[0].local_ranks
    assert local is not None
    values: dict[str, Flag | None] = {
        "port": launch.row["port"],
        "data_local": local[0],
        "data_start": Variable(f"$((LWS_WORKER_INDEX * {local[0]}))"),
        "data_head": Variable("$LWS_LEADER_ADDRESS"),
        "data_port": launch.row["rendezvous"],
        "data_balance": True,
    }
    flags = {**vllm.flags(launch), **launch.spelled(values)}
    line = shell_line(Command(("exec", "vllm", "serve", name), flags))
    # Kubernetes would replace $(NAME), and takes $$ for $.
    return {"modelCommand": "custom", "command": ["/bin/sh", "-c"], "args": [line.replace("$", "$$")]}


def _plain(word: str | Variable) -> str:
    return word.text if isinstance(word, Variable) else word


def _size(launch: Launch) -> int:
    """Return the size of a volume for the checkpoint in GiB: a replica's memory, which holds its weights."""
    ranks = launch.plan.strategy.data_parallel
    return ceil(launch.plan.total_memory_bytes / ranks / _GIB)


TARGET = Target("llm-d", render, "yaml", launches=True, servers=("vllm",))
