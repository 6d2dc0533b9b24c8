"""The error of text that is not CEL."""

from __future__ import annotations


class CelSyntaxError(ValueError):
    """An expression that is not CEL; `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint
