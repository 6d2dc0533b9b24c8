"""The runtimes that tests compare: the engine's own, and C++ CEL, an oracle that only tests have."""

from __future__ import annotations

from collections.abc import Mapping

import click
import pytest

from engine.cel.celtypes import ObjectType
from engine.cel.library import Definition
from engine.cel.runtimes import registry
from engine.cel.runtimes.protocol import Runtime

CEL_CPP = "cel-cpp"


def _cel_cpp(objects: Mapping[str, ObjectType]) -> Runtime:
    from tests.support.cel_cpp import CelCppRuntime  # loads protocol buffers, which few tests need

    return CelCppRuntime(objects)


registry.register_runtime(CEL_CPP, _cel_cpp)

RUNTIMES = (*registry.RUNTIMES, CEL_CPP)
"""The default first, C++ CEL last."""

CPP_LACKS = frozenset(
    f"engine.cel.functions.{name}"
    for name in (
        *("sets", "patterns", "network", "quantities", "versions", "kubernetes_order", "urls"),
        *("formats", "list_ends", "comprehensions", "optional_lists"),
    )
)
"""Libraries that cel-expr-python does not have."""


def runtimes_of(definition: Definition) -> tuple[str, ...]:
    """The runtimes that have a function."""
    return registry.RUNTIMES if definition.module in CPP_LACKS else RUNTIMES


@pytest.fixture
def offered_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `engine eval --runtime` take C++ CEL for a test."""
    from engine.cli.eval import command

    (option,) = (parameter for parameter in command.params if parameter.name == "runtime")
    monkeypatch.setattr(option, "type", click.Choice(RUNTIMES))
