"""What launch targets share: the devices of a plan in its order, the degrees, how weights are stored.

Flags are those of vLLM 0.33, SGLang 0.5.23 and the `llama-server` of llama.cpp's commit 0c1e570.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from engine.decision import Decision
from engine.errors import RenderError
from engine.inventory import Inventory
from engine.model import Model
from engine.names import Row
from engine.plan import Plan, Shard
from engine.records import record

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""Servers' words for weights that are not quantized."""

MODEL = "$MODEL"
"""In the place of a model whose name isn't known: a variable of the shell."""


@record(eq=False)
class Launch:
    """A decision as a launch command needs it."""

    target: str
    plan: Plan
    model: Model | None
    quantization: str
    kind: str
    """Of all devices of the plan."""
    row: Row
    numbers: tuple[int, ...]
    """The devices' own numbers, in the order of the plan; each once."""
    nodes: int
    serving: Mapping[str, Any]
    """What is wished (`serving` of the request)."""

    @property
    def dtype(self) -> str | None:
        """The type of weights that aren't quantized."""
        return _DTYPES.get(self.quantization)

    @property
    def source(self) -> str:
        """What the server loads, quoted for a shell."""
        source = None if self.model is None else self.model.source
        return f'"{MODEL}"' if source is None else shlex.quote(source)

    @property
    def environment(self) -> dict[str, str]:
        """The variable that says which devices are used, in the order of the plan.

        Over several nodes there is none: each numbers its own devices, and all of them are used.
        """
        if self.row["visible"] is None or not self.numbers or self.nodes > 1:
            return {}
        return {self.row["visible"]: ",".join(map(str, self.numbers))}

    @property
    def context(self) -> int | None:
        """Tokens of the longest request that the plan has memory for, where the model would take longer ones.

        A server that isn't told sets memory aside for the model's own context, or doesn't start without it.
        """
        asked = self.serving.get("context")
        own = None if self.model is None else self.model.context
        if asked is None and own is not None and self.plan.estimates is not None:
            asked = self.plan.estimates.context
        return None if asked is None or (own is not None and asked >= own) else int(asked)

    @property
    def concurrency(self) -> int:
        """Requests that the plan has memory for at the same time."""
        estimates = self.plan.estimates
        asked = self.serving.get("concurrency") if estimates is None else estimates.concurrency
        return int(asked or 1)

    @property
    def stage_layers(self) -> list[int]:
        """Layers of each stage of a replica."""
        ranges = {shard.layer_range for shard in self.plan.shards}
        return [last - first + 1 for first, last in sorted(ranges)]

    def degrees(self, tensor: str, pipeline: str, data: str) -> list[str]:
        """Those that are more than one, by the flags' names.

        Raises:
            RenderError: the attention heads can't be split so.
        """
        strategy = self.plan.strategy
        self.divides(strategy.tensor_parallel)
        named = {
            tensor: strategy.tensor_parallel,
            pipeline: strategy.pipeline_parallel,
            data: strategy.data_parallel,
        }
        return [f"{flag} {degree}" for flag, degree in named.items() if degree > 1]

    def one_replica(self) -> None:
        """Of a server that knows no replicas.

        Raises:
            RenderError: the plan has some.
        """
        replicas = self.plan.strategy.data_parallel
        if replicas > 1:
            raise RenderError(
                f"{self.target} runs one replica, and the plan has {replicas}",
                hint="plan one with --pin dp=1",
            )

    def weights(self) -> list[str]:
        """The flags that say how weights are stored; none for a checkpoint that says it itself.

        Raises:
            RenderError: the server can't make it.
        """
        if self.dtype is not None:
            return [f"--dtype {self.dtype}"]
        if self.model is not None and self.model.quantization is not None:
            return []
        made = self.row.get(f"{self.target}_{self.quantization}")
        if made is None:
            raise RenderError(
                f"{self.target} does not make {self.quantization} of a checkpoint while it loads it",
                hint="name one published so: --model DIR, whose config.json has a quantization_config",
            )
        return [f"--quantization {made}"]

    def divides(self, degree: int) -> None:
        """Tensor parallel needs the same number of heads on each device.

        Raises:
            RenderError: it would not have.
        """
        heads = None if self.model is None else self.model.attention_heads
        if heads is not None and heads % degree:
            raise RenderError(
                f"{self.target} needs attention heads divisible by the tensor parallel size, "
                f"and {heads} are not by {degree}",
                hint="fewer devices, or a policy that asks for it",
            )


def launch(decision: Decision, target: str, rows: Mapping[str, Row]) -> Launch:
    """What a target needs of a decision.

    Args:
        decision: with a plan.
        target: the server's name, for messages.
        rows: the catalog `launch`.

    Raises: RenderError: no plan, nothing placed, a plan that doesn't fit, or devices that the target
    doesn't run on.
    """
    plan = decision.plan
    if plan is None:
        raise RenderError(f"{target} needs a plan, and the outcome is {decision.outcome}")
    if not plan.shards:
        raise RenderError(f"{target} has nothing to launch: the plan places nothing")
    if decision.fits_in_memory is False:
        raise RenderError(f"the plan doesn't fit the memory of the devices, so {target} would not start")
    kinds = list(dict.fromkeys(shard.device.kind for shard in plan.shards))
    if len(kinds) > 1:
        raise RenderError(f"{target} runs on one kind of device, the plan has {', '.join(kinds)}")
    row = rows.get(kinds[0])
    if row is None or not row[target.replace(".", "_").replace("-", "_").lower()]:
        raise RenderError(f"{target} does not run on {kinds[0]}")
    request = decision.request
    inventory = None if request is None else request.inventory
    nodes = _nodes(plan.shards, inventory, target)
    return Launch(
        target,
        plan,
        None if request is None else request.model,
        decision.quantization or "",
        kinds[0],
        row,
        tuple(dict.fromkeys(_numbers(plan.shards, inventory))),
        nodes,
        {} if request is None else request.inputs.get("serving") or {},
    )


def _nodes(shards: Sequence[Shard], inventory: Inventory | None, target: str) -> int:
    """How many nodes a plan is spread over, each of them wholly.

    Raises:
        RenderError: of several nodes, one is used in part, which a server's flags can't say.
    """
    if inventory is None:
        return 1
    used = {shard.device.index for shard in shards}
    kinds = {shard.device.kind for shard in shards}
    nodes: dict[str | None, list[bool]] = {}
    for index, device in enumerate(inventory.devices):
        if device.kind in kinds:
            nodes.setdefault(device.node, []).append(index in used)
    nodes = {name: each for name, each in nodes.items() if any(each)}
    for name, each in nodes.items():
        if len(nodes) > 1 and not all(each):
            raise RenderError(
                f"the plan uses {sum(each)} of the {len(each)} devices of node '{name}', "
                f"and {target} over several nodes uses all of each"
            )
    return max(len(nodes), 1)


def _numbers(shards: Sequence[Shard], inventory: Inventory | None) -> list[int]:
    """What the node calls the devices: an inventory numbers those of several nodes on, each node from 0."""
    devices = () if inventory is None else inventory.devices
    if len({device.node for device in devices}) < 2:
        given = [shard.device.identity.get("device_id") for shard in shards]
        return [number for number in given if isinstance(number, int)]
    seen: Counter[tuple[str | None, str]] = Counter()
    numbers = []
    for device in devices:
        numbers.append(seen[device.node, device.kind])
        seen[device.node, device.kind] += 1
    return [numbers[shard.device.index] for shard in shards if shard.device.index is not None]


def command_line(environment: Mapping[str, str], words: Sequence[Any]) -> str:
    """A command for a shell, one flag a line."""
    lines = [f"{name}={value}" for name, value in environment.items()]
    head = " ".join([*lines, str(words[0])])
    return " \\\n  ".join([head, *map(str, words[1:])]) + "\n"


def load_rows() -> Mapping[str, Row]:
    """The catalog `launch`, as it is shipped."""
    from engine.policy.hardware import load_names

    return load_names("launch").rows
