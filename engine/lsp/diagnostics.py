"""Findings by file, with the characters that each is about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from engine.base.records import record
from engine.lsp.texts import Stretch, word_at
from engine.lsp.workspace import Workspace
from engine.regress.lint import Finding


@record(eq=False)
class Marked:
    """A finding and what it is about."""

    finding: Finding
    stretch: Stretch

    @property
    def message(self) -> str:
        """The message with its hint."""
        problem = self.finding.problem
        return f"{problem.message}\nhint: {problem.hint}" if problem.hint else problem.message


def diagnose(workspace: Workspace, path: str) -> dict[str, list[Marked]]:
    """Return what is wrong with the unit of a file, by the files of the unit; none is left out."""
    found: dict[str, list[Marked]] = {path: []}
    checked = workspace.check(path)
    if checked.seen is not None:
        found |= {os.path.realpath(source.name): [] for source in checked.seen.document.sources}
    documents: dict[str, Stretch] = {}
    for finding in checked.findings:
        place = finding.problem.place
        file = path if place is None else os.path.realpath(place.file)
        if file not in documents:
            documents[file] = Stretch(workspace.plain(file), 0, 0)
        document = documents[file].document
        offset = 0 if place is None else document.offset_of(place)
        found.setdefault(file, []).append(Marked(finding, word_at(document, offset)))
    return found


def merged(units: Iterable[Mapping[str, list[Marked]]], file: str) -> list[Marked]:
    """Return the findings of a file in all units, each once."""
    known: dict[tuple[str, str, int], Marked] = {}
    for unit in units:
        for each in unit.get(file, ()):
            known.setdefault((each.finding.code, each.message, each.stretch.start), each)
    return sorted(known.values(), key=lambda each: each.stretch.start)
