"""A `device_map` and `max_memory` for Accelerate 1.x, as `from_pretrained` of transformers accepts them.

Accelerate runs one layer after another, each on one device: it can express plans on a single device, and
pipelines with one device per stage. The output is YAML because JSON has no integer keys.
"""

from __future__ import annotations

import yaml

from engine.base.aliases import Row
from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.inventory import Inventory
from engine.model import Model
from engine.render import Screen, Target
from engine.render.launch import Launch, load_rows, prepare
from engine.render.launch.groups import by_group


@by_group("first")
def render(decision: Decision, screen: Screen) -> str:
    """Return the two arguments as YAML.

    Raises:
        RenderError: Accelerate cannot run the plan, or the names of the model's modules are unknown.
    """
    launch = prepare(decision, "Accelerate")
    launch.require_one_replica()
    strategy = launch.plan.strategy
    if strategy.kind not in ("none", "pipeline_parallel"):
        raise RenderError(
            f"a device_map assigns whole layers to devices, but the plan splits layers: {strategy.kind}",
            hint="vllm, sglang and ray-serve split layers",
        )
    if launch.nodes > 1 or len(launch.numbers) != len(launch.plan.shards):
        raise RenderError("Accelerate needs numbered devices on a single node")
    modules, layers = _modules(launch.model, decision)
    inventory = None if decision.request is None else decision.request.inventory
    assert inventory is not None
    document = {
        "device_map": _device_map(launch, modules, layers),
        "max_memory": _max_memory(launch, inventory),
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def _modules(model: Model | None, decision: Decision) -> tuple[Row, int]:
    """Return the row of the catalog `architectures` with the model's module names, and the number of layers.

    Raises:
        RenderError: they are unknown.
    """
    name = None if model is None else model.architecture
    rows = load_rows("architectures", decision.catalogs).values()
    row = next((row for row in rows if name in row["module_classes"]), None)
    if model is None or model.layers is None or row is None:
        raise RenderError(
            f"unknown module names: the model's architecture is {'unknown' if name is None else name}",
            hint="pass the config.json of a text-only model with --model",
        )
    return row, model.layers


def _device_map(launch: Launch, modules: Row, layers: int) -> dict[str, int]:
    """Return each module's device; layers are placed in proportion, since a plan may estimate how many."""
    first, last = launch.numbers[0], launch.numbers[-1]
    devices = dict.fromkeys(modules["first_modules"], first)
    for layer in range(layers):
        devices[f"{modules['layer_modules']}.{layer}"] = launch.numbers[_stage(launch, layer, layers)]
    return devices | dict.fromkeys(modules["last_modules"], last)


def _stage(launch: Launch, layer: int, layers: int) -> int:
    """Return the position of the shard that holds the middle of a layer."""
    ends = [shard.layer_range[1] + 1 for shard in launch.plan.shards]
    middle = (2 * layer + 1) * ends[-1]
    return next(position for position, end in enumerate(ends) if middle < 2 * layers * end)


def _max_memory(launch: Launch, inventory: Inventory) -> dict[int, int | None]:
    """Return the memory of each device in bytes, in the plan's order."""
    memory: dict[int, int | None] = {}
    for number, shard in zip(launch.numbers, launch.plan.shards, strict=True):
        device = None if shard.device.index is None else inventory.devices[shard.device.index]
        memory[number] = shard.memory_bytes if device is None else device.memory_bytes
    return memory


TARGET = Target(
    "accelerate",
    render,
    "yaml",
    launches=True,
    example="--inventory h100 --model llama-3.1-8b --quantization bf16",
)
