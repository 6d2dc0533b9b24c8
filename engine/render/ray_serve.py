"""An application of Ray Serve's LLM builder (Ray 2.44 and newer), which runs vLLM: a file for `serve run`."""

from __future__ import annotations

from typing import Any

import yaml

from engine.decision import Decision
from engine.render import Screen, vllm
from engine.render.launch import Launch, launch, load_rows

_PLACEHOLDER = "name-of-the-model"


def render(decision: Decision, screen: Screen) -> str:
    """The file, as YAML. Ray places the replicas' workers itself, on devices that it numbers itself.

    Raises:
        RenderError: vLLM can't run the plan.
    """
    plan = launch(decision, "vllm", load_rows())
    document = {
        "applications": [
            {
                "name": "llm",
                "route_prefix": "/",
                "import_path": "ray.serve.llm:build_openai_app",
                "args": {"llm_configs": [_config(plan)]},
            }
        ]
    }
    comment = f"# {decision.policy_name}@{decision.policy_version}, {decision.match_id}\n"
    text: str = yaml.safe_dump(document, sort_keys=False, width=110)
    return comment + text


def _config(plan: Launch) -> dict[str, Any]:
    arguments = vllm.arguments(plan)
    # Replicas are Ray Serve's own, and so is what runs the workers of one.
    replicas = arguments.pop("data_parallel_size", 1)
    arguments.pop("distributed_executor_backend", None)
    source = _PLACEHOLDER if plan.model is None or plan.model.source is None else plan.model.source
    name = source if plan.model is None or plan.model.name is None else plan.model.name
    loading = {"model_id": name, "model_source": source}
    return {
        "model_loading_config": loading,
        "deployment_config": {"num_replicas": replicas},
        "engine_kwargs": arguments,
    }
