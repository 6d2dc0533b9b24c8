"""Parts that Kubernetes objects of several targets share: names, model URIs, annotations."""

from __future__ import annotations

import re

from engine.base.errors import RenderError, quote
from engine.decide.decision import Decision
from engine.render.launch.launch import Launch

PLACEHOLDER = "name-of-the-model"
"""Stands for a model whose name, or whose checkpoint in the planned quantization, is unknown."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")


def object_name(decision: Decision, prefix: str) -> str:
    """Return a valid name of an object, from the model's."""
    model = None if decision.request is None else decision.request.model
    plain = re.sub(r"[^a-z0-9]+", "-", (model.name if model and model.name else "model").lower()).strip("-")
    before = () if decision.plan is None else decision.plan.before
    suffix = f"-{len(before) + 1}" if before else ""
    return f"{prefix}-{plain}"[: 63 - len(suffix)].rstrip("-") + suffix


def provenance(decision: Decision) -> dict[str, str | None]:
    """Return annotations that name the policy and its match."""
    return {
        "engine/policy": f"{decision.policy_name}@{decision.policy_version}",
        "engine/match": decision.match_id,
    }


def hub_name(launch: Launch) -> str:
    """Return the model's name on Hugging Face's hub, or a placeholder if it is unknown.

    Raises:
        RenderError: the model is a folder, which no other machine has.
    """
    source = launch.model_source
    if source is None:
        return PLACEHOLDER
    if _HUB_NAME.fullmatch(source) is None:
        raise RenderError(
            f"the model's source is {quote(source)}, which is no name on Hugging Face's hub",
            hint="name the model as its publisher does, e.g. --model Qwen/Qwen3-32B",
        )
    return source
