"""A `mlx_lm.server` command of mlx-lm, for Apple GPUs.

It runs plans on one device, with options of mlx-lm 0.31 and newer. mlx-lm loads quantized checkpoints in
MLX's own format only: set `MODEL` to one of those, or make it with
`mlx_lm.convert --hf-path NAME --quantize --q-bits 4`.
"""

from __future__ import annotations

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.launch import Command, Launch, prepare, shell_command
from engine.render.launch.groups import by_group


@by_group("commands")
def render(decision: Decision, screen: Screen) -> str:
    """Return the command for a shell.

    Raises:
        RenderError: mlx-lm cannot run the plan.
    """
    launch = prepare(decision, "MLX")
    if len(launch.plan.shards) > 1:
        raise RenderError(f"mlx_lm.server runs on one device, but the plan uses {len(launch.plan.shards)}")
    launch.require_kv_dtype()
    return shell_command(command(launch))


def command(launch: Launch) -> Command:
    """Return the command as data."""
    assert launch.row is not None
    options = launch.row["options"]
    values = {
        "model": launch.model_argument,
        "sequences": launch.sequences if "sequences" in options else None,
        "batched_tokens": launch.serving.get("batched_tokens"),
    }
    return Command(("mlx_lm.server",), launch.spelled(values), launch.environment, launch.comments)


TARGET = Target(
    "mlx_lm.server",
    render,
    "sh",
    launches=True,
    servers=("mlx",),
    example="--inventory examples/mac-studio.yaml --model llama-3.1-8b --quantization bf16",
)
