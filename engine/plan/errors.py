"""The error of builders."""

from __future__ import annotations


class BuilderError(ValueError):
    """Arguments that make no plan; `argument` names the faulty one."""

    def __init__(self, message: str, argument: str) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
