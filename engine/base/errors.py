"""What can go wrong, as one small tree of exceptions.

Every exception holds one or more problems, each with a message, a place in a file where there is one, and
a hint where the engine can give one. The exception types are the contract; the wording is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.records import record, replace

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list positions from the top."""


@record
class Place:
    """A place in a file; `line` and `column` count from 1, `source` is the text of that line."""

    file: str
    line: int
    column: int
    source: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@record
class Problem:
    """One thing that is wrong: what was found and what was expected, where, and how to mend it."""

    message: str
    place: Place | None = None
    hint: str | None = None
    path: Path | None = None
    at_key: bool = False
    """The key at `path` is meant, not its value."""
    code: str | None = None
    """The check that finds it (engine.policy.checks), where it is a policy's fault."""

    def at(self, place: Place | None) -> Problem:
        """The same problem with a place, if it has none yet."""
        return self if self.place is not None or place is None else replace(self, place=place)

    def coded(self, code: str) -> Problem:
        """The same problem with the code of a check, if it has none yet."""
        return self if self.code is not None else replace(self, code=code)

    def under(self, path: Path) -> Problem:
        """The same problem, found in a part of a document that stands at `path`."""
        return replace(self, path=(*path, *(self.path or ())))

    def render(self) -> str:
        """For people: place and message, the source line with a caret, the hint."""
        lines = [f"{self.place}: {self.message}" if self.place else self.message]
        if self.place is not None and self.place.source is not None:
            lines += _excerpt(self.place.source, self.place.column)
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class EngineError(Exception):
    """The root of everything that the engine raises on purpose."""

    def __init__(
        self,
        message: str | Problem | Sequence[Problem],
        *,
        place: Place | None = None,
        hint: str | None = None,
        path: Path | None = None,
        at_key: bool = False,
    ) -> None:
        if isinstance(message, str):
            self.problems: tuple[Problem, ...] = (Problem(message, place, hint, path, at_key),)
        elif isinstance(message, Problem):
            self.problems = (message,)
        else:
            self.problems = tuple(message)
        super().__init__(self.problems[0].message)

    @property
    def message(self) -> str:
        """The first problem's message."""
        return self.problems[0].message

    @property
    def place(self) -> Place | None:
        """The first problem's place."""
        return self.problems[0].place

    @property
    def hint(self) -> str | None:
        """The first problem's hint."""
        return self.problems[0].hint

    def located(self, document: Any) -> EngineError:
        """The same error with each problem's path turned into a place of `document` (see Document.place)."""
        self.problems = tuple(
            problem if problem.path is None else problem.at(document.place(problem.path, key=problem.at_key))
            for problem in self.problems
        )
        return self

    def __str__(self) -> str:
        return "\n".join(problem.render() for problem in self.problems)


class DocumentError(EngineError):
    """A file can't be read, isn't YAML or JSON, or doesn't keep to its schema."""


class PolicyError(EngineError):
    """A policy or a catalog can't be found, or doesn't compile."""


class RequestError(EngineError):
    """A request holds something that the policy's inputs or the catalogs don't allow."""


class MissingInputError(RequestError):
    """A request lacks something that the policy reads; `input` is its name."""

    def __init__(self, message: str, name: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, path=())
        self.input = name


class EvaluationError(EngineError):
    """A CEL expression ended in an error while a decision was made."""


class RenderError(EngineError):
    """A decision can't be expressed in the asked-for form."""


class RuntimeUnavailableError(EngineError):
    """The asked-for CEL runtime isn't installed."""


def near(name: str, options: Iterable[str]) -> str | None:
    """A hint that names the options nearest to `name`, or all of them where they are few."""
    import difflib

    known = sorted(set(options))
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    if not close:
        folded = {option.casefold(): option for option in known}
        close = [folded[match] for match in difflib.get_close_matches(name.casefold(), list(folded), n=2)]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    if 0 < len(known) <= 12:
        return "known: " + ", ".join(known)
    return None


def path_text(path: Path) -> str:
    """`inventory.devices[3].kind` for a path; empty for the document itself."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def quote(value: object, limit: int = 60) -> str:
    """A value as people read it in a message, cut to `limit` characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    try:
        text = repr(value)
    except ValueError:  # an int beyond Python's limit on digits
        text = "a number of thousands of digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _excerpt(source: str, column: int, width: int = 100) -> list[str]:
    """The source line and a caret under `column`, cut to a window around it where the line is long."""
    start = 0 if len(source) <= width else max(0, min(column - 1 - width // 2, len(source) - width))
    window = source[start : start + width].replace("\t", " ")
    return [f"  | {window}", f"  | {' ' * (column - 1 - start)}^"]
