"""Where a value is written in a text."""

from __future__ import annotations

from engine.base.records import record


@record
class Span:
    """The place of one value: character offsets into the text, and how a scalar is written.

    `style` is YAML's: "" plain, "'" and '"' quoted, "|" literal, ">" folded; None for collections.
    """

    start: int
    end: int
    line: int
    column: int
    style: str | None = None
