"""The files of an editor, and what checking them found: everything else asks here.

A document of its own, or a folder of parts, is one *unit*: it is checked as a whole, as `engine check` does,
with the texts of the editor instead of those that are saved. What the memory kept from the last check is not
done again, so that an edit costs as much as what it changes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from engine.base.errors import EngineError, Place, Problem, internal_fault
from engine.base.memory import Memory
from engine.base.records import record
from engine.catalogs import PolicyStore, part_files
from engine.documents import Document, Limits, parse_document, read_text
from engine.documents.buffers import open_buffers
from engine.lsp.texts import normalized
from engine.regress.lint import Finding, Seen, check_paths
from engine.regress.suite import Suite, read_suite

Result = TypeVar("Result")

_OURS = re.compile(r"^[\"']?apiVersion[\"']?:\s*[\"']?engine/", re.MULTILINE)
_LIMITS = Limits(bytes=2 * 1024 * 1024, nodes=200_000)
MOST_FILES = 2_000
"""Files of the workspace's folders that are looked at for references."""


@record(eq=False)
class Checked:
    """What a check of a unit found.

    Attributes:
        edit: the edit of the workspace after which it was checked.
        reads: the files that were read, by real path.
        findings: as `engine check` lists them.
        seen: the unit's policy or library; None for other documents and where it could not be read.
    """

    edit: int
    reads: frozenset[str]
    findings: tuple[Finding, ...]
    seen: Seen | None = None


class _Buffers(dict[str, bytes]):
    """Contents of open files, and which files were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: set[str] = set()

    def __bool__(self) -> bool:
        return True

    def get(self, path: str, default: Any = None) -> Any:
        """Return the content of a file, and note that it was asked for."""
        self.reads.add(path)
        return super().get(path, default)


class Workspace:
    """Open files and checked units."""

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self.folders = tuple(folders)
        """Folders of policies that references are resolved in, before the shipped ones."""
        self.roots: list[str] = []
        """The folders that the editor has open."""
        self.texts: dict[str, str] = {}
        """Texts of open files by real path."""
        self.memory = Memory()
        self.edit = 0
        self._buffers = _Buffers()
        self._changes: dict[str, int] = {}
        """The last edit of each file."""
        self._outside = 0
        """The last edit that may have changed any file."""
        self._checked: dict[str, Checked] = {}
        self._good: dict[str, Seen] = {}
        self._documents: dict[str, Document] = {}

    # --- files --------------------------------------------------------------------------------------------

    def put(self, path: str, text: str) -> None:
        """Open a file, or change its text."""
        self.edit += 1
        if path not in self.texts:
            self._outside = self.edit
        self.texts[path] = normalized(text)
        self._buffers[path] = self.texts[path].encode("utf-8", errors="surrogatepass")
        self._changes[path] = self.edit

    def drop(self, path: str) -> None:
        """Close a file: its saved text counts again."""
        self.texts.pop(path, None)
        self._buffers.pop(path, None)
        self._changes.pop(path, None)
        self.changed()

    def changed(self) -> None:
        """Note that files were saved or changed outside of the editor."""
        self.edit += 1
        self._outside = self.edit

    def is_current(self, checked: Checked) -> bool:
        """Return True if no file has changed that a check read."""
        return self._outside <= checked.edit and all(
            edit <= checked.edit or path not in checked.reads for path, edit in self._changes.items()
        )

    def text(self, path: str) -> str | None:
        """Return the text of a file, as it is in the editor or saved; None if it can't be read."""
        if path in self.texts:
            return self.texts[path]
        try:
            return normalized(read_text(path, _LIMITS, pipes=False))
        except EngineError:
            return None

    def plain(self, path: str) -> Document:
        """Return a file's text for positions; its value is not read."""
        return Document(path, self.text(path) or "", None)

    def document(self, path: str) -> Document | None:
        """Return a file's document as it is now; None while it is broken."""
        text = self.text(path)
        if text is None:
            return None
        known = self._documents.get(path)
        if known is None or known.text != text:
            try:
                known = parse_document(text, path, _LIMITS)
            except EngineError:
                return None
            self._documents[path] = known
        return known

    def last_document(self, path: str) -> Document | None:
        """Return a file's document, the last one that could be read if it is broken now."""
        return self.document(path) or self._documents.get(path)

    def last_line(self, path: str, line: int) -> int:
        """Return which line of the last readable text a line of a broken file was."""
        last = self._documents.get(path)
        text = self.text(path)
        if last is None or text is None:
            return line
        now, before = text.split("\n"), last.text.split("\n")
        pairs = enumerate(zip(now, before, strict=False))
        first = next((number for number, (new, old) in pairs if new != old), line + 1)
        return line if line < first else max(line + len(before) - len(now), 0)

    def kind(self, path: str) -> object:
        """Return the kind that a file states."""
        document = self.last_document(path)
        value = None if document is None else document.value
        return value.get("kind") if isinstance(value, dict) else None

    def is_ours(self, path: str) -> bool:
        """Return True for files that the engine reads; an editor shows it any YAML."""
        text = self.text(path)
        return path in self._documents or (text is not None and _OURS.search(text) is not None)

    def unit(self, path: str) -> str:
        """Return the folder that a part is in, or the file itself."""
        folder = os.path.dirname(path)
        return folder if path in part_files(folder) else path

    def files(self) -> Iterator[str]:
        """Yield the engine's files in the editor's folders, and the open ones."""
        found: dict[str, None] = dict.fromkeys(self.texts)
        for root in self.roots:
            for folder, folders, names in os.walk(root):
                folders[:] = sorted(each for each in folders if not each.startswith((".", "node_modules")))
                for name in sorted(names):
                    path = os.path.realpath(os.path.join(folder, name))
                    if name.endswith((".yaml", ".yml")) and len(found) < MOST_FILES and self.is_inside(path):
                        found[path] = None
        yield from (path for path in found if self.is_ours(path))

    def is_inside(self, path: str) -> bool:
        """Return True for a file in the editor's folders, or one that is open."""
        return path in self.texts or any(path.startswith(os.path.join(root, "")) for root in self.roots)

    # --- checks -------------------------------------------------------------------------------------------

    def within(self, run: Callable[[], Result]) -> Result:
        """Run something that reads policies, with the texts of the editor and the memory."""
        with self.memory.used(), open_buffers(self._buffers):
            return run()

    def check(self, path: str) -> Checked:
        """Return what a check of a file's unit finds now."""
        unit = self.unit(path)
        known = self._checked.get(unit)
        if known is None or not self.is_current(known):
            known = self._checked[unit] = self._check(unit)
            if known.seen is not None and known.seen.sites:
                self._good[unit] = known.seen
        return known

    def depends(self, unit: str, path: str) -> bool:
        """Return True if the last check of a unit read a file, or if the file may be a suite of it."""
        known = self._checked.get(unit)
        beside = path.startswith(os.path.join(os.path.dirname(unit), ""))
        return beside or (known is not None and path in known.reads)

    def is_checked(self, path: str) -> bool:
        """Return True if a file's unit has been checked since the last change of what it reads."""
        known = self._checked.get(self.unit(path))
        return known is not None and self.is_current(known)

    def good(self, path: str) -> Seen | None:
        """Return the policy or library of a file's unit, the last one that could be read if it is broken."""
        checked = self.check(path)
        if self.kind(path) == "Suite":
            return self._tested(path)
        if checked.seen is not None and checked.seen.sites:
            return checked.seen
        return self._good.get(self.unit(path)) or checked.seen

    def suite(self, path: str) -> Suite | None:
        """Return a suite; None if it can't be read."""
        try:
            return self.within(lambda: read_suite(Path(path), self.folders))
        except EngineError:
            return None

    def _tested(self, path: str) -> Seen | None:
        """Return the policy that a suite tests, the last one that could be read if it is broken."""
        suite = self.suite(path)
        try:
            policy = None if suite is None else self.within(suite.policy).compiled
        except EngineError:
            policy = None
        if suite is not None and policy is not None:
            self._good[path] = Seen(policy.document, policy, (), PolicyStore(suite.folders))
        return self._good.get(path)

    def _check(self, unit: str) -> Checked:
        file = part_files(unit)[0] if os.path.isdir(unit) else unit
        seen: list[Seen] = []
        self._buffers.reads = {file}
        try:
            report = self.within(lambda: check_paths([Path(file)], self.folders, seen=seen.append))
            findings = report.findings
        except EngineError as error:
            findings = tuple(_finding(each, file) for each in error.problems)
        except Exception as error:  # a bug must not end the session
            findings = (_finding(internal_fault(error), file),)
        return Checked(self.edit, frozenset(self._buffers.reads), findings, seen[0] if seen else None)


def _finding(problem: Problem, file: str) -> Finding:
    return Finding("E001", "unreadable", "error", problem.at(Place(file, 1, 1)))
