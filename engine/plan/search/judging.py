"""The interface between a search and the policy that scores its candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from engine.base.records import field, record
from engine.plan.plan import SearchEffort

if TYPE_CHECKING:
    from engine.cel.runtimes.protocol import Native
    from engine.cel.values import Value
    from engine.plan.dicts import VerdictDict


class Degrees(NamedTuple):
    """The parallel degrees of a candidate."""

    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    expert_parallel: int
    attention_data_parallel: int = 1
    """Data-parallel ranks that share one set of routed experts (DP attention)."""


TENSOR, PIPELINE, DATA, EXPERT, ATTENTION = DEGREES = Degrees._fields


@record
class Requirement:
    """A policy's requirement of candidates.

    `monotone` names the degrees that only make it harder to meet when they grow.
    """

    id: str
    monotone: frozenset[str]


@record(eq=False)
class Judging:
    """The functions by which a policy filters and scores candidates, however they are evaluated.

    `judge` returns the number of the first requirement that a candidate fails, or -1 and its scores. It may
    leave out the scores that follow one that is lower than the best candidate's, which it is given. `refuse`
    returns why a candidate fails a requirement; `describe` the explanation of a choice, and the builder's
    results by name.
    """

    requirements: tuple[Requirement, ...]
    scores: tuple[str, ...]
    candidate: Callable[[tuple[Value, ...]], Native]
    """Makes the argument of the other three from a candidate's values; see `candidates.FIELDS`."""
    judge: Callable[[Native, tuple[Value, ...] | None], tuple[int, tuple[Value, ...] | None]]
    refuse: Callable[[Native, int], str | None]
    describe: Callable[[Native], tuple[str | None, Mapping[str, Value]]]
    verdicts: list[Verdict] | None = None
    """Where to record the verdict on each candidate, if a trace is wanted."""
    labels: Callable[[Native], tuple[str, ...]] | None = None
    """Names of the scores for a candidate, if a trace is wanted; empty for a score that doesn't count."""


@record
class Verdict:
    """The result for one candidate: the requirement that it fails, or its scores."""

    devices: str
    degrees: Degrees
    failed: str | None
    scores: Mapping[str, Value] = field(default_factory=dict)
    chosen: bool = False

    def to_dict(self) -> VerdictDict:
        """Return the JSON form."""
        tensor, pipeline, data, expert, attention = self.degrees
        result: VerdictDict = {
            "devices": self.devices,
            "tensor_parallel": tensor,
            "pipeline_parallel": pipeline,
            "data_parallel": data,
            "expert_parallel": expert,
        }
        if attention > 1:
            result["attention_data_parallel"] = attention
        if self.failed is not None:
            result["failed"] = self.failed
        else:
            result["scores"], result["chosen"] = dict(self.scores), self.chosen
        return result


@record
class Refusal:
    """No candidate is feasible: the requirement that the nearest one fails, and why.

    `requirement` is None if there is no candidate at all.
    """

    requirement: str | None
    explanation: str | None
    search: SearchEffort | None = None
