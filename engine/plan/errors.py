"""What builders raise."""

from __future__ import annotations


class BuilderError(ValueError):
    """Arguments that make no plan; `argument` is the one at fault."""

    def __init__(self, message: str, argument: str) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
