"""Code actions: what a finding's hint says, as an edit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.records import record
from engine.lsp.diagnostics import Marked
from engine.lsp.rename import Edit
from engine.lsp.texts import Stretch

_MEAN = re.compile(r"did you mean (.+)\?")
_OPTION = re.compile(r"'((?:[^'\\]|\\.)+)'")
_OPERATOR = re.compile(r"(?:is written|write) (==|&&|\|\|)")
_QUOTED = re.compile(r"'([^']+)'")


@record(eq=False)
class Action:
    """An edit that an editor offers for a finding."""

    title: str
    marked: Marked
    edit: Edit
    preferred: bool = False


def actions(marked: Marked) -> Iterator[Action]:
    """Yield the edits that would mend a finding, or silence it."""
    options = _options(marked.finding.problem.hint or "")
    wrong = _wrong(marked, options)
    for option in options if wrong is not None else ():
        assert wrong is not None
        title = f"Replace '{wrong.text}' by '{option}'"
        yield Action(title, marked, Edit(wrong, option), preferred=len(options) == 1)
    operator = _OPERATOR.search(marked.finding.problem.hint or "")
    if operator is not None and marked.stretch.text and operator[1].startswith(marked.stretch.text[0]):
        stretch = Stretch(marked.stretch.document, marked.stretch.start, marked.stretch.start + 1)
        yield Action(f"Write {operator[1]}", marked, Edit(stretch, operator[1]), preferred=True)
    if marked.finding.severity != "error":
        yield _silence(marked)


def _options(hint: str) -> list[str]:
    found = _MEAN.search(hint)
    return [] if found is None else _OPTION.findall(found[1])


def _wrong(marked: Marked, options: list[str]) -> Stretch | None:
    """Return the name that is wrong: one that the message quotes, at the finding's place or behind it."""
    stretch, document = marked.stretch, marked.stretch.document
    line_end = document.text.find("\n", stretch.start)
    line = document.text[stretch.start : line_end if line_end >= 0 else len(document.text)]
    for name in _QUOTED.findall(marked.finding.problem.message):
        for each in dict.fromkeys((name, name.rpartition(".")[2], name.partition("@")[0])):
            found = re.search(rf"(?<![\w]){re.escape(each)}(?!\w)", line) if each else None
            if found is not None and each not in options:
                return Stretch(document, stretch.start + found.start(), stretch.start + found.end())
    return None


def _silence(marked: Marked) -> Action:
    """Return the comment that silences a warning on its line."""
    document, start = marked.stretch.document, marked.stretch.start
    line_start = document.text.rfind("\n", 0, start) + 1
    line = document.text[line_start:].partition("\n")[0]
    indent = line[: len(line) - len(line.lstrip())]
    code = marked.finding.code
    at = Stretch(document, line_start, line_start)
    return Action(f"Ignore {code} here", marked, Edit(at, f"{indent}# engine: ignore {code}\n"))
