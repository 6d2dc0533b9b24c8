"""`trtllm-serve` commands of TensorRT-LLM, with the file of extra options that they read.

The commands list the devices in the plan's order and use options of TensorRT-LLM 1.0 and newer with its
PyTorch backend. With DP attention, `--tp_size` counts all ranks that share the experts. Replicas are servers
of their own. Across nodes, Slurm starts one process per device: run the command once, in a folder that all
nodes share.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target
from engine.render.launch import Command, Flag, Group, Launch, Variable, prepare, shell_script
from engine.render.launch.groups import by_group
from engine.render.launch.nodes import comments, ports

_FILE = "extra-llm-api-options.yaml"


@by_group("commands")
def render(decision: Decision, screen: Screen) -> str:
    """Return the file as a here-document, and the commands for a shell.

    Raises:
        RenderError: TensorRT-LLM cannot run the plan.
    """
    launch = prepare(decision, "TensorRT-LLM")
    options = extra_options(launch)
    name = _FILE if not launch.plan.before else _FILE.replace(".", f"-{len(launch.plan.before) + 1}.")
    file = f"cat > {name} <<'EOF'\n{dump(options)}EOF\n" if options else ""
    return file + shell_script(list(_commands(launch, name if options else None)))


def extra_options(launch: Launch) -> dict[str, object]:
    """Return the options that have no flag: DP attention, and the KV cache's type and memory."""
    cache = {"dtype": launch.kv_dtype, "free_gpu_memory_fraction": launch.utilization}
    cache = {name: value for name, value in cache.items() if value is not None}
    shared = {"enable_attention_dp": True} if launch.attention_parallel > 1 else {}
    return shared | ({"kv_cache_config": cache} if cache else {}) | speculation(launch)


def speculation(launch: Launch) -> dict[str, object]:
    """Return the option of speculative decoding; none without."""
    found = launch.speculation
    if found is None:
        return {}
    return {"speculative_config": {"decoding_type": found.method, "num_nextn_predict_layers": found.tokens}}


def servers(launch: Launch) -> tuple[Group, ...]:
    """Return the devices of each server: a replica, or ranks that share experts."""
    return launch.groups(by_stage=True)


def _commands(launch: Launch, file: str | None) -> Iterator[Command]:
    groups = servers(launch)
    for number, (group, port) in enumerate(zip(groups, ports(launch, groups), strict=True)):
        own = {**values(launch, group), "extra": file, "port": port}
        lines = [line for line in comments(launch, groups, number, 0) if not line.startswith("HEAD")]
        if len(group.shares) == 1:
            environment = launch.environment_on(group.shares[0])
            start: tuple[str | Variable, ...] = ()
        else:
            environment = {}
            start = _start(group)
            lines = [line for line in lines if not line.startswith("on ")]
            lines.append(f"nodes {', '.join(share.node or '?' for share in group.shares)}")
        program = (*start, "trtllm-serve", launch.model_argument)
        yield Command(program, launch.spelled(own), environment, tuple(lines))


def _start(group: Group) -> tuple[str, ...]:
    """Return the words that start one process per device on several nodes.

    Raises:
        RenderError: the nodes have different numbers of devices.
    """
    if not group.is_even:
        raise RenderError("TensorRT-LLM runs the same number of ranks on each node")
    nodes, each = len(group.shares), len(group.shares[0].shards)
    sizes = {"nodes": nodes, "ntasks": group.shards, "ntasks-per-node": each}
    words = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    return ("srun", "--mpi", "pmix", *words, "trtllm-llmapi-launch")


def values(launch: Launch, group: Group) -> dict[str, Flag | None]:
    """Return values of options.

    Raises:
        RenderError: DP attention together with TP, or pipeline stages of different sizes.
    """
    launch.require_even_heads()
    strategy = launch.plan.strategy
    shared = launch.attention_parallel
    if shared > 1 and strategy.tensor_parallel > 1:
        raise RenderError(
            f"TensorRT-LLM's DP attention covers all ranks, but the plan has TP {strategy.tensor_parallel} "
            f"in each of {shared}"
        )
    if launch.uneven_stages is not None:
        raise RenderError(f"TensorRT-LLM cannot run stages of {launch.uneven_stages} layers")
    tensor = strategy.tensor_parallel * shared
    nodes = len(group.shares)
    return {
        "tensor": tensor if tensor > 1 else None,
        "pipeline": strategy.pipeline_parallel if strategy.pipeline_parallel > 1 else None,
        "experts": launch.expert_parallel if launch.expert_parallel > 1 else None,
        "node_devices": len(group.shares[0].shards) if nodes > 1 else None,
        "context": launch.context,
        "sequences": launch.sequences,
        "batched_tokens": launch.serving.get("batched_tokens"),
    }


TARGET = Target("trtllm-serve", render, "sh", launches=True, servers=("tensorrt-llm",))
