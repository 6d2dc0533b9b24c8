"""The work that one decision may cause, so that no policy can hang its host."""

from __future__ import annotations

from typing import Any

from engine.cel.limits import setting

STEPS = 10_000_000
"""Steps of a decision by default: one to two seconds of work."""

_CELL_STEPS = 1_000
"""Steps of one computed cell of a catalog: it is computed again for every device."""


class BudgetError(Exception):
    """The budget is spent. Unlike CEL errors, it is not absorbed by `&&` and `||`.

    `expression` is the one that took the last step, and `offset` the character of it, where these are known.
    """

    expression: Any = None
    offset: int | None = None


def steps_allowed() -> int:
    """Return the steps of a decision: ENGINE_STEPS from the environment, else `STEPS`.

    Raises:
        RequestError: ENGINE_STEPS is not a whole number from 1.
    """
    return setting("ENGINE_STEPS", STEPS)


class Budget:
    """A count of steps (see `engine.cel.costs`)."""

    __slots__ = ("left", "steps")
    exceeded = "evaluation budget exceeded ({steps:,} steps); raise ENGINE_STEPS"

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = self.left = steps

    def spend(self, values: Any = (), weight: int = 1, steps: int = 0) -> Any:
        """Charge for going over `values`, `weight` for each, and for further `steps`; return `values`.

        Raises:
            BudgetError: it is spent.
        """
        try:
            self.left -= len(values) * weight + steps
        except TypeError:  # a scalar, where the type was left open
            return values
        if self.left < 0:
            raise BudgetError(self.exceeded.format(steps=self.steps))
        return values


class CellBudget(Budget):
    """A count of the steps of one computed cell of a catalog."""

    __slots__ = ()
    exceeded = "evaluation budget of a catalog's cell exceeded ({steps:,} steps)"

    def __init__(self) -> None:
        super().__init__(_CELL_STEPS)
