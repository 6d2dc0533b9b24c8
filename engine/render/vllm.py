"""A `vllm serve` command (vLLM 0.10's flags)."""

from __future__ import annotations

from typing import Any

from engine.decision import Decision
from engine.errors import RenderError
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
    return [f"vllm serve {plan.source}", *_degrees(plan), *_weights(plan)]


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


def _weights(plan: Launch) -> list[str]:
    """How weights are stored; of a checkpoint that is quantized, vLLM reads that from its configuration."""
    if plan.dtype is not None:
        return [f"--dtype {plan.dtype}"]
    if plan.model is not None and plan.model.quantization is not None:
        return []
    if plan.quantization == "int4" and plan.row["vllm_int4"] is not None:
        return [f"--quantization {plan.row['vllm_int4']}"]
    raise RenderError(
        f"vllm does not make {plan.quantization} of a checkpoint while it loads it",
        hint="name a model that is published so: --model DIR, whose config.json has a quantization_config",
    )
