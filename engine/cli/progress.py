"""A progress bar on standard error, for people who wait."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_PATIENCE = 1.0
"""Seconds that go by before a bar is shown."""


class Progress:
    """Shows how much of `total` is done, and how many of `what`.

    There is nothing to see where nobody watches, or where it is done soon.

    Data that is `printed` on the same terminal would be torn apart by the bar: there is none then.
    """

    def __init__(self, total: int | None, printed: bool, what: str = "decisions") -> None:
        self.total = total
        self.what = what
        self.done = 0
        self.lines = 0
        self.since = time.monotonic()
        self.watched = sys.stderr.isatty() and not (printed and sys.stdout.isatty())
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self._update()
            self.bar.stop()

    def advance(self, size: int, lines: int = 1) -> None:
        """So many lines, of so many bytes together, are done."""
        before = self.lines // 64
        self.done += size
        self.lines += lines
        if self.bar is not None:
            if self.lines // 64 > before:
                self._update()
        elif self.watched and time.monotonic() - self.since > _PATIENCE:
            self._start()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.bar = Bar(
            TextColumn(f"{{task.fields[lines]}} {self.what}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            # Else rich would take what is written to standard output and print it above the bar.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.task = self.bar.add_task("", total=self.total, completed=self.done, lines=self.lines)
        self.bar.start()

    def _update(self) -> None:
        self.bar.update(self.task, completed=self.done, lines=self.lines)
