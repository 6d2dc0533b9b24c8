"""What launch targets share: the devices of a plan in its order, the degrees, how weights are stored.

Flags are those of vLLM 0.10, SGLang 0.5 and llama.cpp's `llama-server` of 2025.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from engine.decision import Decision
from engine.errors import RenderError
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
        """The variable that says which devices are used, in the order of the plan."""
        if self.row["visible"] is None or not self.numbers:
            return {}
        return {self.row["visible"]: ",".join(map(str, self.numbers))}

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
    nodes = set()
    for shard in plan.shards:
        if inventory is not None and shard.device.index is not None:
            nodes.add(inventory.devices[shard.device.index].node)
    return Launch(
        target,
        plan,
        None if request is None else request.model,
        decision.quantization or "",
        kinds[0],
        row,
        tuple(dict.fromkeys(_numbers(plan.shards))),
        max(len(nodes), 1),
    )


def _numbers(shards: Sequence[Shard]) -> list[int]:
    numbers = [shard.device.identity.get("device_id") for shard in shards]
    return [number for number in numbers if isinstance(number, int)]


def command_line(environment: Mapping[str, str], words: Sequence[Any]) -> str:
    """A command for a shell, one flag a line."""
    lines = [f"{name}={value}" for name, value in environment.items()]
    head = " ".join([*lines, str(words[0])])
    return " \\\n  ".join([head, *map(str, words[1:])]) + "\n"


def load_rows() -> Mapping[str, Row]:
    """The catalog `launch`, as it is shipped."""
    from engine.policy.hardware import load_names

    return load_names("launch").rows
