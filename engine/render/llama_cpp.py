"""A llama.cpp command (`llama-server`): layers on devices by the shares of the plan."""

from __future__ import annotations

from math import gcd

from engine.decision import Decision
from engine.errors import RenderError
from engine.render import Screen
from engine.render.launch import Launch, command_line, launch, load_rows

_ALL = 999
"""More layers than any model has: all of them."""


def render(decision: Decision, screen: Screen) -> str:
    """The command; the model is a GGUF file, whose own types of weights count.

    Raises:
        RenderError: llama.cpp can't run the plan; the message says why.
    """
    plan = launch(decision, "llama.cpp", load_rows())
    if plan.nodes > 1:
        raise RenderError("llama.cpp's server splits a model over the devices of one machine")
    plan.one_replica()
    return command_line(plan.environment, ["llama-server", '-m "$GGUF"', *_split(plan), *_cache(plan)])


def _cache(plan: Launch) -> list[str]:
    """Tokens that keys and values are set aside for, of all requests together."""
    if plan.context is None:
        return []
    return [f"-c {plan.context * plan.concurrency}", f"-np {plan.concurrency}"]


def _split(plan: Launch) -> list[str]:
    strategy = plan.plan.strategy
    if plan.kind == "Cpu":
        return ["-ngl 0"]
    if strategy.tensor_parallel == strategy.pipeline_parallel == 1:
        return [f"-ngl {_ALL}", "--split-mode none"]
    mode = "row" if strategy.tensor_parallel > 1 else "layer"
    shares = [shard.memory_bytes for shard in plan.plan.shards]
    common = gcd(*shares) or 1
    return [
        f"-ngl {_ALL}",
        f"--split-mode {mode}",
        f"--tensor-split {','.join(str(share // common) for share in shares)}",
    ]
