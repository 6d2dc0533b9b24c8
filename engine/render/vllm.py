"""A `vllm serve` command (flags of vLLM 0.33)."""

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
    return command_line(_environment(plan), words(plan))


def words(plan: Launch) -> list[str]:
    """The command, and each flag with its value, quoted for a shell.

    Raises:
        RenderError: vLLM can't run the plan.
    """
    return [f"vllm serve {plan.source}", *_degrees(plan), *plan.weights(), *_memory(plan)]


def arguments(plan: Launch) -> dict[str, Any]:
    """The flags as arguments of vLLM's engine: `{"tensor_parallel_size": 8, "dtype": "bfloat16"}`.

    Raises:
        RenderError: vLLM can't run the plan.
    """
    pairs = (flag.removeprefix("--").split(" ") for flag in words(plan)[1:])
    return {name.replace("-", "_"): _value(value) for name, value in pairs}


def _value(text: str) -> Any:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _degrees(plan: Launch) -> list[str]:
    flags = plan.degrees("--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size")
    strategy = plan.plan.strategy
    if (strategy.expert_parallel or 1) > 1:
        ranks = strategy.tensor_parallel * strategy.data_parallel
        if strategy.expert_parallel != ranks:
            raise RenderError(
                f"vllm spreads experts over all {ranks} ranks, and the plan over {strategy.expert_parallel}"
            )
        flags.append("--enable-expert-parallel")
    if plan.nodes > 1:
        flags.append("--distributed-executor-backend ray")
    if plan.nodes > 1 and strategy.data_parallel > 1:
        flags.append("--data-parallel-backend ray")
    return flags


def _memory(plan: Launch) -> list[str]:
    """What memory is set aside for, as the plan has reckoned with it."""
    flags = [] if plan.context is None else [f"--max-model-len {plan.context}"]
    utilization = plan.serving.get("utilization")
    return flags if utilization is None else [*flags, f"--gpu-memory-utilization {utilization:g}"]


def _environment(plan: Launch) -> dict[str, str]:
    """Which devices are used; and layers by stage, where they are not as vLLM would deal them."""
    layers = plan.stage_layers
    known = plan.model is not None and plan.model.layers == sum(layers)
    if not known or max(layers) - min(layers) <= 1:
        return plan.environment
    return {**plan.environment, "VLLM_PP_LAYER_PARTITION": ",".join(map(str, layers))}
