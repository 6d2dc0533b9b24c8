"""Between a search and the policy that judges its candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.records import field, record

Degrees = tuple[int, int, int, int]
"""Tensor, pipeline, data and expert parallel."""

DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")


@record
class Requirement:
    """What a policy requires of candidates; `monotone` are the degrees in which it only gets harder."""

    id: str
    monotone: frozenset[str]


@record(eq=False)
class Judging:
    """A policy's say on candidates, whatever evaluates it.

    `judge` gives the number of the first requirement that a candidate fails, or -1 and its scores; `refuse`
    why a requirement fails; `describe` the explanation of a choice, and the builder's results by name.
    """

    requirements: tuple[Requirement, ...]
    scores: tuple[str, ...]
    candidate: Callable[[Mapping[str, Any]], Any]
    """Makes of a candidate's fields what the other three take."""
    judge: Callable[[Any], tuple[int, tuple[Any, ...] | None]]
    refuse: Callable[[Any, int], str | None]
    describe: Callable[[Any], tuple[str | None, Mapping[str, Any]]]
    verdicts: list[Verdict] | None = None
    """Where to keep what became of each candidate, if that is asked for."""


@record
class Verdict:
    """What became of one candidate: the requirement that it fails, or its scores."""

    devices: str
    degrees: Degrees
    failed: str | None
    scores: Mapping[str, Any] = field(default_factory=dict)
    chosen: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        result: dict[str, Any] = {"devices": self.devices, **dict(zip(DEGREES, self.degrees, strict=True))}
        if self.failed is not None:
            return result | {"failed": self.failed}
        return result | {"scores": dict(self.scores), "chosen": self.chosen}


@record
class Refusal:
    """No candidate is allowed: the requirement that the nearest one fails, and why.

    `requirement` is None where there is no candidate at all.
    """

    requirement: str | None
    explanation: str | None
