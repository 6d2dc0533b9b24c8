"""Code lenses: at each match of a policy, how many requests of its suites it decides."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.base.records import record
from engine.lsp.counting import Counts
from engine.lsp.texts import Stretch
from engine.lsp.workspace import Workspace
from engine.policy.compiled import rules


@record(eq=False)
class Lens:
    """A title above a line."""

    title: str
    stretch: Stretch


def lenses(workspace: Workspace, path: str, counts: Counts) -> Iterator[Lens]:
    """Yield the lenses of a file: its matches, or rows of its tables."""
    seen = workspace.good(path)
    if seen is None or seen.policy is None or not counts.requests:
        return
    document = workspace.plain(path)
    for rule in rules(seen.policy.rule):
        for match in rule.matches:
            place = seen.policy.document.place((*match.path, "id"))
            if match.rule is None and os.path.realpath(place.file) == path:
                at = document.offset_of(place)
                yield Lens(counts.title(match.id), Stretch(document, at, at + len(match.id)))
