"""A Modelfile for Ollama, with the environment of the server above it.

Set the path of a GGUF file in `FROM`, and create the model with `ollama create NAME -f Modelfile`. Ollama
splits whole layers over GPUs by itself, so it runs plans on one device and pipelines. The type of the KV
cache and the number of concurrent requests are settings of the server: start `ollama serve` with the
variables in the first line.
"""

from __future__ import annotations

from engine.base.errors import RenderError
from engine.base.printable import printable
from engine.decide.decision import Decision
from engine.render import Screen, Target
from engine.render.launch import Launch, prepare
from engine.render.launch.groups import by_group

_FROM = "./model.gguf"
"""Placeholder for the model's file."""


@by_group("first")
def render(decision: Decision, screen: Screen) -> str:
    """Return the Modelfile.

    Raises:
        RenderError: Ollama cannot run the plan.
    """
    launch = prepare(decision, "Ollama")
    launch.require_one_replica()
    strategy = launch.plan.strategy
    if launch.nodes > 1:
        raise RenderError("Ollama runs on the devices of one machine")
    if strategy.tensor_parallel > 1:
        raise RenderError(
            f"Ollama splits whole layers over devices, but the plan has TP {strategy.tensor_parallel}",
            hint="plan a pipeline with --pin tp=1, or use --format llama.cpp",
        )
    environment = {**launch.environment, **_environment(launch)}
    variables = " ".join(f"{name}={value}" for name, value in environment.items())
    model = None if launch.model is None else launch.model.source or launch.model.name
    named = "" if model is None else f" of {printable(model)}"
    lines = [
        f"# server: {variables} ollama serve",
        f"# FROM: a GGUF file{named} in {launch.quantization}",
        f"FROM {_FROM}",
        *(f"PARAMETER {name} {value}" for name, value in launch.spelled(_parameters(launch)).items()),
    ]
    return "\n".join(lines) + "\n"


def _parameters(launch: Launch) -> dict[str, int | None]:
    assert launch.row is not None
    layers = 0 if launch.device_kind == "Cpu" else launch.row["all_layers"]
    return {"context": launch.context, "layers": layers}


def _environment(launch: Launch) -> dict[str, str]:
    """Return the server's settings: concurrent requests, the KV cache's type, and use of all devices."""
    settings = {"OLLAMA_NUM_PARALLEL": str(launch.sequences or launch.concurrency)}
    if launch.kv_dtype is not None:
        settings["OLLAMA_KV_CACHE_TYPE"] = launch.kv_dtype
    if launch.quantizes_cache:
        settings["OLLAMA_FLASH_ATTENTION"] = "1"
    if launch.plan.strategy.pipeline_parallel > 1:
        settings["OLLAMA_SCHED_SPREAD"] = "1"
    return settings


TARGET = Target(
    "ollama",
    render,
    "text",
    launches=True,
    servers=("ollama", "llama.cpp"),
    example="--inventory 2xRTX-4090 --model qwen3-32b --quantization int4 --context 8192 --pin tp=1,pp=2",
)
