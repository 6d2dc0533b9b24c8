"""An SGLang command (`python -m sglang.launch_server`, flags of SGLang 0.5.23)."""

from __future__ import annotations

from engine.decision import Decision
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
        *plan.weights(),
        *([] if plan.context is None else [f"--context-length {plan.context}"]),
    ]
    return command_line(plan.environment, words)


def _degrees(plan: Launch) -> list[str]:
    flags = plan.degrees("--tp-size", "--pp-size", "--dp-size")
    experts = plan.plan.strategy.expert_parallel or 1
    if experts > 1:
        flags.append(f"--ep-size {experts}")
    if plan.nodes > 1:
        flags += [f"--nnodes {plan.nodes}", '--node-rank "$RANK"', '--dist-init-addr "$HEAD:5000"']
    return flags
