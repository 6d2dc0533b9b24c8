"""A concurrency that was found for goals which leave it open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.base.records import record

if TYPE_CHECKING:
    from engine.decide.dicts import FoundConcurrencyDict

FoundHow = Literal["largest_within_limits", "smallest_for_rate"]


@record
class Found:
    """A concurrency that was found, and what one more request would fail."""

    value: int
    found: FoundHow
    binding: str | None = None
    """Id of the requirement that one more request fails; None if none does, up to the largest concurrency."""
    explanation: str | None = None

    def to_dict(self) -> FoundConcurrencyDict:
        """Return the JSON form."""
        return {
            "value": self.value,
            "found": self.found,
            "binding": self.binding,
            "explanation": self.explanation,
        }
