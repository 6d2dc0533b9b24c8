"""Results kept between runs over almost the same input: an editor checks a policy after every change.

A command runs once and keeps nothing. A language server makes a `Memory`, and checks `with memory.used():`;
what asks `recall` for a result then gets the one that was made of an equal key before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Result = TypeVar("Result")

GENERATIONS = 40
"""Runs after which a result that none of them asked for is dropped."""


class Memory:
    """Results by kind and key, with the run that asked for each last."""

    def __init__(self) -> None:
        self.run = 0
        self._kept: dict[tuple[str, Hashable], list[Any]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have `recall` use this memory, in one run; drop afterwards what has not been asked for lately."""
        if _USED.get() is self:  # a run within a run
            yield
            return
        self.run += 1
        token = _USED.set(self)
        try:
            yield
        finally:
            _USED.reset(token)
            if self.run % GENERATIONS == 0:
                self.drop(self.run - GENERATIONS)

    def drop(self, run: int) -> None:
        """Drop what no run after `run` has asked for."""
        self._kept = {key: entry for key, entry in self._kept.items() if entry[0] > run}

    def recall(self, kind: str, key: Hashable, make: Callable[[], Result]) -> Result:
        """Return the result of a key, made if it is not kept. What raises is not kept."""
        entry = self._kept.get((kind, key))
        if entry is None:
            entry = self._kept[kind, key] = [self.run, make()]
        entry[0] = self.run
        result: Result = entry[1]
        return result


class Same:
    """A key that is equal to itself only: an object that is the same one, not an equal one."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


_USED: ContextVar[Memory | None] = ContextVar("memory", default=None)


def memory() -> Memory | None:
    """Return the memory in use; None outside of an editor."""
    return _USED.get()


def recall(kind: str, key: Hashable, make: Callable[[], Result]) -> Result:
    """Return what `make` returns, from the memory in use if it is kept there.

    Args:
        kind: what is made.
        key: all that the result depends on.
        make: makes it.
    """
    used = _USED.get()
    return make() if used is None else used.recall(kind, key, make)
