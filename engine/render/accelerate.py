"""A `device_map` and `max_memory` for Accelerate (1.x), as transformers' `from_pretrained` takes them.

Accelerate runs one layer after another, each on its device: plans on one device, and in stages of one device.
"""

from __future__ import annotations

from typing import Any

import yaml

from engine.decision import Decision
from engine.errors import RenderError
from engine.model import Model
from engine.model.architectures import CLASSES
from engine.render import Screen
from engine.render.launch import Launch, launch, load_rows

_TRUNK = "model"
"""The module with embeddings, layers and the last norm, of all architectures below."""

_OTHERWISE = ("Gemma4ForCausalLM", "PhiForCausalLM", "PhiMoEForCausalLM")
"""Classes with modules beside or instead of these."""

ARCHITECTURES = frozenset(each for each in CLASSES if each.endswith("ForCausalLM")).difference(_OTHERWISE)


def render(decision: Decision, screen: Screen) -> str:
    """The two arguments, as YAML, since JSON has no whole numbers for keys.

    Raises:
        RenderError: Accelerate can't run the plan, or the model's modules aren't known.
    """
    plan = launch(decision, "accelerate", load_rows())
    plan.one_replica()
    strategy = plan.plan.strategy
    if strategy.kind not in ("none", "pipeline_parallel"):
        raise RenderError(
            "a device_map gives whole layers to devices, and the plan splits them: " + strategy.kind,
            hint="vllm, sglang and ray-serve split layers",
        )
    if plan.nodes > 1 or len(plan.numbers) != len(plan.plan.shards):
        raise RenderError("accelerate runs on the numbered devices of one node")
    document = {"device_map": _map(plan, _modules(plan.model)), "max_memory": _limits(plan, decision)}
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def _modules(model: Model | None) -> int:
    """How many layers the model has, if its modules are known."""
    if model is None or model.layers is None or model.architecture not in ARCHITECTURES:
        named = "not known" if model is None or model.architecture is None else model.architecture
        raise RenderError(
            f"the names of the model's modules are not known: its architecture is {named}",
            hint="give its config.json with --model, of a model that reads and writes text only",
        )
    return model.layers


def _map(plan: Launch, layers: int) -> dict[str, int]:
    """The device of each module: layers in the plan's proportions, whose own layers may be an estimate."""
    first, last = plan.numbers[0], plan.numbers[-1]
    found = {f"{_TRUNK}.embed_tokens": first}
    found |= {
        f"{_TRUNK}.layers.{layer}": plan.numbers[_stage(plan, layer, layers)] for layer in range(layers)
    }
    return found | {f"{_TRUNK}.norm": last, f"{_TRUNK}.rotary_emb": last, "lm_head": last}


def _stage(plan: Launch, layer: int, layers: int) -> int:
    """The shard that holds the middle of a layer."""
    shards = plan.plan.shards
    ends = [shard.layer_range[1] + 1 for shard in shards]
    middle = (2 * layer + 1) * ends[-1]
    return next(number for number, end in enumerate(ends) if middle < 2 * layers * end)


def _limits(plan: Launch, decision: Decision) -> dict[int, Any]:
    """Bytes of each device, in the plan's order."""
    inventory = None if decision.request is None else decision.request.inventory
    assert inventory is not None
    memory = {}
    for number, shard in zip(plan.numbers, plan.plan.shards, strict=True):
        device = None if shard.device.index is None else inventory.devices[shard.device.index]
        memory[number] = shard.memory_bytes if device is None else device.memory_bytes
    return memory
