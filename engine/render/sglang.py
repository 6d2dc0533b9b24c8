"""An SGLang command (`python -m sglang.launch_server`, SGLang 0.5's flags)."""

from __future__ import annotations

from engine.decision import Decision
from engine.errors import RenderError
from engine.render import Screen
from engine.render.launch import Launch, command_line, launch, load_rows


def render(decision: Decision, screen: Screen) -> str:
    """The command, with the devices in the order of the plan.

    Raises:
        RenderError: SGLang can't run the plan; the message says why.
    """
    plan = launch(decision, "sglang", load_rows())
    words = [
        "python -m sglang.launch_server",
        f"--model-path {plan.source}",
        *_degrees(plan),
        *_weights(plan),
    ]
    return command_line(plan.environment, words)


def _degrees(plan: Launch) -> list[str]:
    flags = plan.degrees("--tp-size", "--pp-size", "--dp-size")
    if plan.nodes > 1:
        flags += [f"--nnodes {plan.nodes}", '--node-rank "$RANK"', '--dist-init-addr "$HEAD:5000"']
    return flags


def _weights(plan: Launch) -> list[str]:
    if plan.dtype is not None:
        return [f"--dtype {plan.dtype}"]
    if plan.model is not None and plan.model.quantization is not None:
        return []
    flags = {"int8": "--torchao-config int8wo", "int4": "--torchao-config int4wo-128"}
    if plan.quantization not in flags:
        raise RenderError(f"sglang has no flag for {plan.quantization}")
    return [flags[plan.quantization]]
