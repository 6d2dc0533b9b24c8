"""Survey a search: all feasible layouts of one instance with their estimates, instead of the best plan.

An instance is the smallest thing that serves requests by itself: one replica, or the ranks that share one set
of routed experts (DP attention). Instances do not affect each other, so one stands for any number of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.records import record

if TYPE_CHECKING:
    from engine.plan.plan import Estimates, Strategy
    from engine.plan.search.judging import Refusal


@record
class Layout:
    """A feasible layout of one instance."""

    strategy: Strategy
    devices: int
    """Devices (ranks) of the instance."""
    capacity: int
    """Instances of this layout that fit on the devices."""
    estimates: Estimates
    server: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[int, int, int, int]:
        """What identifies the layout among those of the same devices: its degrees."""
        strategy = self.strategy
        return (
            strategy.tensor_parallel,
            strategy.pipeline_parallel,
            strategy.data_parallel,
            strategy.expert_parallel or 1,
        )


@record
class Survey:
    """The feasible layouts of a request; if there are none, the refusal."""

    layouts: tuple[Layout, ...]
    refusal: Refusal | None = None
    devices: int = 0
    """Devices (ranks) that could be used."""

    def find(self, key: tuple[int, int, int, int]) -> Layout | None:
        """Return the layout with these degrees."""
        return next((layout for layout in self.layouts if layout.key == key), None)
