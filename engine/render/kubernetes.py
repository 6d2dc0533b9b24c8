"""A Kubernetes Deployment that runs the vLLM command of a plan, with the devices that it asks for."""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml

from engine.decision import Decision
from engine.errors import RenderError
from engine.render import Screen, vllm
from engine.render.launch import MODEL, launch, load_rows

_PORT = 8000


def render(decision: Decision, screen: Screen) -> str:
    """The Deployment as YAML; the node's own devices are chosen by Kubernetes, not by their numbers.

    Raises:
        RenderError: it can't run in one pod, or vLLM can't run the plan.
    """
    plan = launch(decision, "vllm", load_rows())
    if plan.nodes > 1:
        raise RenderError("a Deployment's pod is on one node, and the plan has several")
    line = vllm.render(decision, screen).replace("\\\n", " ")
    words = [word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)]
    container: dict[str, Any] = {
        "name": "vllm",
        "image": "vllm/vllm-openai:latest",
        "command": [word.replace(MODEL, "$(MODEL)") for word in words],
        "ports": [{"containerPort": _PORT, "name": "http"}],
    }
    if any(MODEL in word for word in words):
        container["env"] = [{"name": "MODEL", "value": "name-of-the-model"}]
    if plan.row["resource"] is not None:
        container["resources"] = {"limits": {plan.row["resource"]: max(len(plan.numbers), 1)}}
    name = _name(decision)
    labels = {"app": name}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "annotations": {
                "engine/policy": f"{decision.policy_name}@{decision.policy_version}",
                "engine/match": decision.match_id,
            },
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": dict(labels)},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    text: str = yaml.safe_dump(deployment, sort_keys=False, width=110)
    return text


def _name(decision: Decision) -> str:
    """A name that Kubernetes takes."""
    model = None if decision.request is None else decision.request.model
    plain = re.sub(r"[^a-z0-9]+", "-", (model.name if model and model.name else "model").lower()).strip("-")
    return f"vllm-{plain}"[:63].rstrip("-")
