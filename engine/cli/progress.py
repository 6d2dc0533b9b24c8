"""A progress bar on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_PATIENCE = 1.0
"""Seconds before the bar appears."""


class Progress:
    """Show how much of `total` is done, and how many of `what`.

    The bar appears after a second, and only on a terminal. It is disabled if data is `printed` to the same
    terminal, where the two would interleave.
    """

    def __init__(self, total: int | None, printed: bool, what: str = "decisions") -> None:
        self.total = total
        self.what = what
        self.done = 0
        self.lines = 0
        self.since = time.monotonic()
        self.watched = sys.stderr.isatty() and not (printed and sys.stdout.isatty())
        self.bar: Bar | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self._update(self.bar)
            self.bar.stop()

    def advance(self, size: int, lines: int = 1) -> None:
        """Record progress: bytes and lines that are done."""
        before = self.lines // 64
        self.done += size
        self.lines += lines
        if self.bar is not None:
            if self.lines // 64 > before:
                self._update(self.bar)
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
            # rich would otherwise capture standard output and print it above the bar.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.bar.add_task("", total=self.total, completed=self.done, lines=self.lines)
        self.bar.start()

    def _update(self, bar: Bar) -> None:
        bar.update(bar.task_ids[0], completed=self.done, lines=self.lines)
