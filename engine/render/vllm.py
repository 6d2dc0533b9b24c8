"""A `vllm serve` command (flags of vLLM 0.33)."""

from __future__ import annotations

from typing import Any

from engine.decision import Decision
from engine.render import Screen
from engine.render.launch import Launch, command_line, launch, load_rows


def render(decision: Decision, screen: Screen) -> str:
    """The command, with the devices in the order of the plan.

    Raises:
        RenderError: vLLM can't run the plan; the message says why.
    """
    plan = launch(decision, "vllm", load_rows())
    return command_line(plan.environment, words(plan))


def words(plan: Launch) -> list[str]:
    """The command, and each flag with its value, quoted for a shell.

    Raises:
        RenderError: vLLM can't run the plan.
    """
    return [f"vllm serve {plan.source}", *_degrees(plan), *plan.weights()]


def arguments(plan: Launch) -> dict[str, Any]:
    """The flags as arguments of vLLM's engine: `{"tensor_parallel_size": 8, "dtype": "bfloat16"}`.

    Raises:
        RenderError: vLLM can't run the plan.
    """
    pairs = (flag.removeprefix("--").split(" ") for flag in words(plan)[1:])
    return {name.replace("-", "_"): int(value) if value.isdigit() else value for name, value in pairs}


def _degrees(plan: Launch) -> list[str]:
    flags = plan.degrees("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size")
    if plan.nodes > 1:
        flags.append("--distributed-executor-backend ray")
    return flags
