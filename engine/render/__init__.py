"""A decision as text, JSON, YAML and other tools' forms: one module a target, loaded when it is used."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from engine.decision import Decision
from engine.errors import RenderError, near
from engine.records import record

TARGETS = {
    "text": "text",
    "json": "json",
    "yaml": "yaml",
    "ai-hwaccel": "ai_hwaccel",
    "vllm": "vllm",
    "sglang": "sglang",
    "llama.cpp": "llama_cpp",
    "accelerate": "accelerate",
    "deepspeed": "deepspeed",
    "ray-serve": "ray_serve",
    "kubernetes": "kubernetes",
    "svg": "svg",
    "html": "html",
}
"""Modules of this package by the names of `--format`."""


@record
class Screen:
    """What a rendering for people may use: columns, and ANSI colours."""

    width: int = 80
    color: bool = False


class Target(Protocol):
    """What a target's module offers."""

    def render(self, decision: Decision, screen: Screen) -> str:
        """The decision in this form, ending in a newline.

        Raises:
            RenderError: the form can't express it.
        """
        ...


def render(decision: Decision, target: str, screen: Screen | None = None) -> str:
    """A decision in the form of that name, ending in a newline.

    Raises:
        RenderError: there is no such form, or it can't express the decision.
    """
    if target not in TARGETS:
        raise RenderError(f"unknown format '{target}'", hint=near(target, TARGETS))
    module = cast(Target, importlib.import_module(f"engine.render.{TARGETS[target]}"))
    return module.render(decision, screen or Screen())
