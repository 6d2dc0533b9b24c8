"""A `llama-server` command of llama.cpp.

The command lists the devices in the plan's order and splits the model by the plan's layers, or in proportion
to the memory of its shards.
Tensor parallel is `--split-mode tensor` from build b8738 on, b9455 for a quantized KV cache, else `row`.
Set `GGUF` to the model's file, whose own weight types apply. If the plan lacks memory for all requests at
their longest, they share one KV cache (`--kv-unified`).
"""

from __future__ import annotations

from math import gcd

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.launch import Command, Flag, Launch, Variable, prepare, shell_command
from engine.render.launch.groups import by_group
from engine.render.launch.nodes import ports


@by_group("commands")
def render(decision: Decision, screen: Screen) -> str:
    """Return the command for a shell.

    Raises:
        RenderError: llama.cpp cannot run the plan.
    """
    launch = prepare(decision, "llama.cpp")
    if launch.nodes > 1:
        raise RenderError("llama.cpp's server runs on the devices of one machine")
    launch.require_one_replica()
    (port,) = ports(launch, launch.groups(1))
    values = {"model": _file(launch), **_split(launch), **_cache(launch), **_speculation(launch)}
    flags = launch.spelled({**values, "port": port})
    return shell_command(Command(("llama-server",), flags, launch.environment))


def _file(launch: Launch) -> Flag:
    """Return the model's file, or a placeholder if the model was read from something else."""
    source = launch.model_source
    return source if source is not None and source.endswith(".gguf") else Variable("$GGUF")


def _cache(launch: Launch) -> dict[str, Flag | None]:
    """Return the size of the KV cache, in tokens of all requests together, their number, and its type."""
    kv_dtype = launch.kv_dtype
    values: dict[str, Flag | None] = {"keys": kv_dtype, "values": kv_dtype}
    if launch.quantizes_cache:
        values["flash"] = "on"
    if launch.context is None:
        return values
    requests = launch.sequences or launch.concurrency
    tokens = launch.context * requests
    assert launch.row is not None
    capacity = None if launch.plan.estimates is None else launch.plan.estimates.kv_capacity_tokens
    shares = capacity is not None and capacity < tokens and "shared_cache" in launch.row["options"]
    if shares and capacity is not None:
        tokens = max(capacity, launch.context)
    return {"context": tokens, "sequences": requests, "shared_cache": True if shares else None, **values}


def _speculation(launch: Launch) -> dict[str, Flag | None]:
    """Return the method, what it drafts with, its layers on the GPU, and the tokens that it drafts."""
    found = launch.speculation
    if found is None:
        return {}
    assert launch.row is not None
    method = found.method if "method" in launch.row["options"] else None
    values: dict[str, Flag | None] = {"method": method, "draft_tokens": found.tokens}
    if found.model is None:  # layers of the model's own file
        return values
    named = found.model.endswith(".gguf")
    return {
        **values,
        "draft": found.model if named else Variable("$DRAFT_GGUF"),
        "draft_layers": 0 if launch.device_kind == "Cpu" else launch.row["all_layers"],
    }


def _on_device(launch: Launch) -> dict[str, Flag | None]:
    """Return the layers on the devices, and those whose experts stay in host memory."""
    assert launch.row is not None
    everything = launch.row["all_layers"]
    if not launch.host_layers:
        return {"layers": everything}
    if launch.has_experts:
        return {"layers": everything, **_experts_on_host(launch)}
    return {"layers": sum(launch.stage_layers) - launch.host_layers}


def _experts_on_host(launch: Launch) -> dict[str, Flag | None]:
    """Return the layers whose experts stay in host memory: the first ones of each stage.

    Raises:
        RenderError: stages keep different numbers of layers there.
    """
    sizes = launch.stage_layers
    if len(sizes) == 1:
        return {"cpu_experts": launch.host_layers}
    each, rest = divmod(launch.host_layers, len(sizes))
    if rest or len({shard.memory_bytes for shard in launch.plan.shards}) > 1:
        raise RenderError("llama.cpp: stages keep different numbers of layers in host memory")
    starts = [sum(sizes[:stage]) for stage in range(len(sizes))]
    layers = "|".join(str(start + layer) for start in starts for layer in range(each))
    return {"cpu_tensors": rf"blk\.({layers})\.ffn_.*_exps.*=CPU"}


def _split(launch: Launch) -> dict[str, Flag | None]:
    assert launch.row is not None
    strategy = launch.plan.strategy
    if launch.device_kind == "Cpu":
        return {"layers": 0}
    on_device = _on_device(launch)
    if strategy.tensor_parallel == strategy.pipeline_parallel == 1:
        return {**on_device, "split": "none"}
    mode = "layer"
    if strategy.tensor_parallel > 1:
        mode = launch.row["split_tensor_quantized" if launch.quantizes_cache else "split_tensor"]
    return {
        **on_device,
        "split": mode,
        "parts": ",".join(map(str, _parts(launch, mode))),
        "flash": "on" if mode == "tensor" else None,
    }


def _parts(launch: Launch, mode: str) -> list[int]:
    """Return the part of the model on each device, in the plan's order.

    By layers, llama.cpp counts the output as one more, which the last device has; so these parts give exactly
    the plan's layers. Otherwise they are in proportion to the plan's memory.
    """
    layers = launch.stage_layers
    counted = launch.model is not None and launch.model.layers == sum(layers)
    if mode == "layer" and counted and not launch.host_layers and len(layers) == len(launch.plan.shards):
        return [*layers[:-1], layers[-1] + 1]
    sizes = [shard.memory_bytes for shard in launch.plan.shards]
    divisor = gcd(*sizes) or 1
    return [size // divisor for size in sizes]


TARGET = Target(
    "llama.cpp",
    render,
    "sh",
    launches=True,
    servers=("llama.cpp",),
    example="--inventory 4xRTX-4090 --model llama-3.1-70b --quantization int8 --pin dp=1",
)
