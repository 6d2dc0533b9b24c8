"""A configuration for `deepspeed.init_inference` (DeepSpeed 0.15 and newer)."""

from __future__ import annotations

import json

from engine.decision import Decision
from engine.errors import RenderError
from engine.render import Screen
from engine.render.launch import launch, load_rows

_DTYPES = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "int8"}


def render(decision: Decision, screen: Screen) -> str:
    """The configuration as JSON; run the script that loads it with `deepspeed --include localhost:0,1 …`.

    Raises:
        RenderError: DeepSpeed-Inference can't run the plan; the message says why.
    """
    plan = launch(decision, "deepspeed", load_rows())
    strategy = plan.plan.strategy
    if strategy.pipeline_parallel > 1 or strategy.data_parallel > 1:
        raise RenderError("DeepSpeed's inference splits layers, and has neither stages nor replicas")
    plan.divides(strategy.tensor_parallel)
    dtype = _DTYPES.get(plan.quantization)
    if dtype is None:
        raise RenderError(f"DeepSpeed's inference has no {plan.quantization}")
    document = {
        "tensor_parallel": {"enabled": strategy.tensor_parallel > 1, "tp_size": strategy.tensor_parallel},
        "dtype": dtype,
    }
    return json.dumps(document, indent=2) + "\n"
