"""How much work one decision may cause, so that no policy can hang its host."""

from __future__ import annotations

from typing import Any

from engine.cel.limits import setting

STEPS = 10_000_000
"""Steps that a decision may take unless told otherwise; a second of work or two."""


class BudgetError(Exception):
    """The budget is spent. Unlike an error of CEL it is not absorbed by `&&` and `||`.

    `expression` is the one that took the last step, where that is known.
    """

    expression: Any = None


def steps_allowed() -> int:
    """Steps for each decision: those of the environment's ENGINE_STEPS, else `STEPS`.

    Raises:
        RequestError: ENGINE_STEPS is not a whole number from 1.
    """
    return setting("ENGINE_STEPS", STEPS)


class Budget:
    """Counts steps: an element that a macro goes over is one; so is, inside of a macro, an element of a list
    that a function is given."""

    __slots__ = ("left", "steps")

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = self.left = steps

    def spend(self, values: Any) -> Any:
        """`values`, the length of which is taken off the budget.

        Raises:
            BudgetError: it is spent.
        """
        try:
            self.left -= len(values)
        except TypeError:  # a scalar, where the type was left open
            return values
        if self.left < 0:
            raise BudgetError(f"more than {self.steps} steps")
        return values
