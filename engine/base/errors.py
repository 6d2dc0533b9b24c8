"""The exceptions that the engine raises on purpose.

    EngineError
    ├── DocumentError            a file is unreadable, isn't YAML or JSON, or violates its schema
    ├── PolicyError              a policy or catalog doesn't exist or doesn't compile
    ├── RequestError             an input violates the policy's types or the catalogs
    │   └── MissingInputError    an input that the policy reads is missing
    ├── EvaluationError          a CEL expression ended in an error during a decision
    ├── RenderError              a decision can't be expressed in the requested format
    └── RuntimeUnavailableError  the requested CEL runtime isn't installed

An exception holds one or more problems: a message, the place in a file if there is one, and a hint if the
engine has one. The types are stable; the wording is not. Anything else that is raised is a bug.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.base.records import record, replace

if TYPE_CHECKING:
    from typing import Protocol

    class _Places(Protocol):
        """What knows the places of values: a document."""

        def place(self, path: Path, *, key: bool = False) -> Place: ...


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
    internal: bool = False
    """The fault is the engine's own (internal_fault)."""

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
        """For people: place and message, the source line with a caret, the hint; printable."""
        from engine.base.printable import printable, printable_lines

        message = printable_lines(self.message)
        lines = [f"{printable(str(self.place))}: {message}" if self.place else message]
        if self.place is not None and self.place.source is not None:
            lines += _excerpt(self.place.source, self.place.column)
        if self.hint:
            lines.append(f"  hint: {printable_lines(self.hint)}")
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

    def located(self, document: _Places) -> EngineError:
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


NO_FAULTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What isn't an error although Python raises it."""

DEBUG = "ENGINE_DEBUG"
"""The environment variable that asks for the tracebacks of internal faults."""


def internal_fault(error: BaseException) -> Problem:
    """What to say of an exception that the engine doesn't raise on purpose, on one line.

    Its traceback goes to standard error where ENGINE_DEBUG asks for it.
    """
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        import traceback

        with suppress(OSError):
            traceback.print_exception(error)
    kind = type(error).__name__
    if isinstance(error, MemoryError):
        return Problem(
            f"out of memory ({kind} in {_raised_at(error)})",
            hint="the input may be too large for this machine, or for its limits",
            internal=True,
        )
    text = "".join(each if each.isprintable() else " " for each in str(error)).strip()
    text = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return Problem(
        f"internal error: {text or 'no message'} ({kind} in {_raised_at(error)})",
        hint=f"this is a bug; please report it with what you ran; {DEBUG}=1 shows the traceback",
        internal=True,
    )


_LONGEST_TEXT = 200


def _raised_at(error: BaseException) -> str:
    """The innermost line of the engine's code that an exception passed: `engine/decide/policy.py:123`."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = "code outside the engine"
    traceback = error.__traceback__
    while traceback is not None:
        file = os.path.abspath(traceback.tb_frame.f_code.co_filename)
        if file.startswith(package + os.sep):
            found = f"{os.path.relpath(file, os.path.dirname(package))}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found.replace(os.sep, "/")


_MANY_OPTIONS = 300
_FEW_OPTIONS = 12
"""Options that a hint lists one and all."""


def near(name: str, options: Iterable[str], *, cutoff: float = 0.6, listing: bool = True) -> str | None:
    """A hint that names the options nearest to `name`, or all of them where they are few, with `listing`."""
    import difflib
    from itertools import islice

    known = sorted(set(options))
    few = len(known) <= _FEW_OPTIONS
    if len(known) > _MANY_OPTIONS:  # comparing takes 10 µs each, and there may be many to report
        alike = (each for each in known if abs(len(each) - len(name)) < 3 and each[:1] == name[:1])
        known = list(islice(alike, _MANY_OPTIONS))
    close = difflib.get_close_matches(name, known, n=2, cutoff=cutoff)
    if not close:
        folded = {option.casefold(): option for option in known}
        close = [
            folded[match]
            for match in difflib.get_close_matches(name.casefold(), list(folded), n=2, cutoff=cutoff)
        ]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    if known and few and listing:
        return "known: " + ", ".join(known)
    return None


def is_near(name: str, other: str) -> bool:
    """True if `near` takes a name for a slip of another."""
    return (near(name, [other]) or "").startswith("did you mean")


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
    from engine.base.printable import printable

    start = 0 if len(source) <= width else max(0, min(column - 1 - width // 2, len(source) - width))
    before = printable(source[start : max(column - 1, start)].replace("\t", " "))[:width]
    after = printable(source[max(column - 1, start) : start + width].replace("\t", " "))
    return [f"  | {before}{after}", f"  | {' ' * max(len(before), column - 1 - start)}^"]
