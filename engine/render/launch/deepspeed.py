"""A configuration for `deepspeed.init_inference` (DeepSpeed 0.15 and newer).

The output is JSON. Start the script that loads it with `deepspeed --include localhost:0,1 …`, listing the
devices of the plan.
"""

from __future__ import annotations

import json

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.launch import prepare
from engine.render.launch.groups import by_group


@by_group("none")
def render(decision: Decision, screen: Screen) -> str:
    """Return the configuration as JSON.

    Raises:
        RenderError: DeepSpeed's inference cannot run the plan.
    """
    launch = prepare(decision, "DeepSpeed")
    strategy = launch.plan.strategy
    if strategy.pipeline_parallel > 1 or strategy.data_parallel > 1:
        raise RenderError("DeepSpeed's inference is tensor parallel only; it has no stages and no replicas")
    launch.require_even_heads()
    launch.require_whole_nodes()
    if launch.quantization not in launch.dtypes:
        raise RenderError(f"DeepSpeed's inference does not support {launch.quantization}")
    document = {
        "tensor_parallel": {"enabled": strategy.tensor_parallel > 1, "tp_size": strategy.tensor_parallel},
        "dtype": launch.dtypes[launch.quantization],
    }
    return json.dumps(document, indent=2) + "\n"


TARGET = Target("deepspeed", render, "json", launches=True)
