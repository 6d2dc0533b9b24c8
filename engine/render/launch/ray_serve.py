"""An application file for Ray Serve's LLM builder, which runs vLLM (Ray 2.44 and newer).

Start it with `serve run FILE`. Ray places the workers of each replica, on devices that it numbers itself.
"""

from __future__ import annotations

import json
from typing import Any

from engine.base.printable import printable
from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target
from engine.render.launch import Launch, prepare, vllm
from engine.render.launch.groups import by_group
from engine.render.launch.objects import PLACEHOLDER


@by_group("first")
def render(decision: Decision, screen: Screen) -> str:
    """Return the file as YAML.

    Raises:
        RenderError: vLLM cannot run the plan.
    """
    launch = prepare(decision, "vLLM")
    application = {
        "name": "llm",
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [_config(launch)]},
    }
    comment = printable(f"# {decision.policy_name}@{decision.policy_version}, {decision.match_id}")
    return f"{comment}\n{dump({'applications': [application]})}"


def _config(launch: Launch) -> dict[str, object]:
    arguments: dict[str, Any] = {name.replace("-", "_"): value for name, value in vllm.flags(launch).items()}
    if "speculative_config" in arguments:  # the engine takes the object that the flag writes as JSON
        arguments["speculative_config"] = json.loads(str(arguments["speculative_config"]))
    replicas = len(launch.groups())
    if launch.attention_parallel == 1:
        # Ray Serve runs the replicas, and the workers of each.
        arguments.pop("data_parallel_size", None)
    source = launch.model_source or PLACEHOLDER
    name = source if launch.model is None or launch.model.name is None else launch.model.name
    variables = vllm.stage_variables(launch)
    return {
        "model_loading_config": {"model_id": name, "model_source": source},
        "deployment_config": {"num_replicas": replicas},
        "engine_kwargs": arguments,
        **({"runtime_env": {"env_vars": variables}} if variables else {}),
    }


TARGET = Target("ray-serve", render, "yaml", launches=True, servers=("vllm",))
