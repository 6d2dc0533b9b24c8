"""Settings of `engine check`: severities of warnings, for folders and files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from engine.base.errors import PolicyError, Problem, near
from engine.base.records import record
from engine.documents import Document, check_schema, read_document, shipped
from engine.policy.checks import checks

NAME = "engine.yaml"
"""Name of the settings file; the nearest one above a file counts."""


@record
class Settings:
    """The settings of one file."""

    folder: Path
    severity: Mapping[str, str]
    files: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...]

    def of(self, file: Path, code: str) -> str | None:
        """Return the severity of a code for a file: `ignore`, `warning`, `error`; None if unset."""
        found = self.severity.get(code)
        name = file.absolute().relative_to(self.folder).as_posix()
        for patterns, severity in self.files:
            if code in severity and any(_pattern(pattern).match(name) for pattern in patterns):
                found = severity[code]
        return found


def settings_for(file: Path) -> Settings | None:
    """Return the settings of the nearest folder above a file that has some.

    Raises:
        EngineError: they cannot be read, or break the schema.
    """
    return _nearest(file.absolute().parent)


@record
class Original:
    """A shipped file of which a file may be a copy, perhaps an edited one of another version.

    Attributes:
        file: the shipped file.
        settings: its settings.
        lines: the numbers of the lines of the copy that the original has too.
    """

    file: Path
    settings: Settings
    lines: frozenset[int]

    def of(self, line: int, code: str) -> str | None:
        """Return the severity of a code for a line of the copy; None for a line that somebody wrote."""
        return self.settings.of(self.file, code) if line in self.lines else None


def shipped_originals(file: Path) -> Iterator[Original]:
    """Yield the shipped versions of the policy or catalog whose name a file has, those with settings."""
    parts = file.absolute().parts
    for levels in (2, 3):  # NAME/VERSION.yaml, catalog/NAME/VERSION.yaml
        for original in sorted(Path(shipped("policies")).joinpath(*parts[-levels:-1]).glob("*.yaml")):
            settings = settings_for(original)
            if original != file.absolute() and settings is not None:
                yield Original(original, settings, frozenset(_common_lines(file, original)))


def _common_lines(file: Path, original: Path) -> Iterator[int]:
    """Yield the numbers of the lines of a file that another one has too."""
    known = set(original.read_text(encoding="utf-8").splitlines())
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line in known:
            yield number


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """Compile a path pattern: `*` and `?` within a folder, `**` across folders."""
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(pieces.get(part) or re.escape(part) for part in parts) + r"\Z")


def _nearest(folder: Path) -> Settings | None:
    for parent in (folder, *folder.parents):
        file = parent / NAME
        if file.is_file():
            document = read_document(file)
            # A file of that name may be something else's.
            if isinstance(document.value, dict) and document.value.get("kind") == "Settings":
                return read_settings(document, parent)
    return None


def read_settings(document: Document, folder: Path) -> Settings:
    """Return the settings in a document.

    Raises:
        PolicyError: it breaks the schema, or names an unknown check.
    """
    check_schema(document, "settings")
    problems = list(unknown_codes(document))
    if problems:
        raise PolicyError(problems)
    section = document.value["checks"]
    files = tuple((tuple(entry["paths"]), dict(entry["severity"])) for entry in section.get("files", ()))
    return Settings(folder, dict(section.get("severity", {})), files)


def unknown_codes(document: Document) -> Iterator[Problem]:
    """Yield a problem for each code that no check has."""
    section = document.value["checks"]
    places = [("checks", "severity")] if "severity" in section else []
    paths = [
        *places,
        *(("checks", "files", position, "severity") for position in range(len(section.get("files", ())))),
    ]
    for path in paths:
        value = document.value
        for step in path:
            value = value[step]
        for code in value:
            if code not in checks():
                where = (*path, code)
                place = document.place(where, key=True)
                yield Problem(f"unknown check {code}", place, near(code, checks()), where, at_key=True)
