"""The number of candidates that a search may score, so that no inventory can hang its host."""

from __future__ import annotations

from engine.cel.limits import setting
from engine.plan.errors import BuilderError

CANDIDATES = 100_000
"""The most candidates of a search, whatever the policy says, unless ENGINE_CANDIDATES is set."""
_STAGES_AT_ONCE = 8
"""Different stages of a candidate that take as long to score as a candidate of few."""
_LEAST_SHARE = 64
"""Candidates that every part of a search may score while there are any left."""


class Spent(Exception):
    """The budget is spent, or the share of it that one part of the search has."""


class CandidateBudget:
    """A count of candidates; one of many different stages counts once for every eight of them.

    Args:
        most: candidates that the policy allows; None if it sets no limit.
        effort: the fraction of these that may be spent.

    Raises:
        BuilderError: the policy allows none.
        RequestError: ENGINE_CANDIDATES is not a whole number from 1.
    """

    def __init__(self, most: int | None, effort: float) -> None:
        if most is not None and most < 1:
            raise BuilderError(f"most_candidates is {most}: a search judges one at least", "most_candidates")
        host = setting("ENGINE_CANDIDATES", CANDIDATES)
        self.by_policy = most is not None and most <= host
        self.most = max(1, round((host if most is None else min(most, host)) * effort))
        self.left = self.most
        self.floor = 0
        """Candidates reserved for the parts of the search that follow."""
        self.cut = False
        """True if candidates were left out because the budget was spent."""

    def share(self, parts: int) -> None:
        """Let the next of `parts` parts spend an even share of what is left, or at least some."""
        self.floor = max(0, self.left - max(_LEAST_SHARE, self.left // parts))

    def spend(self, stages: int) -> None:
        """Count one candidate of that many different runs of stages.

        Raises:
            Spent: nothing is left for it.
        """
        if self.left <= self.floor:
            raise Spent
        self.left -= 1 + (stages - 1) // _STAGES_AT_ONCE
