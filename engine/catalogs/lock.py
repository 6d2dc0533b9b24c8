"""`policies.lock`: the digests of released versions, so that a change of one doesn't go unseen."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.base.errors import DocumentError, Place, Problem
from engine.base.records import record
from engine.catalogs.store import (
    KIND_FOLDERS,
    LONGEST_FILE,
    entries_in,
    part_files,
    read_parts,
    read_policy_document,
)
from engine.catalogs.table_files import table_files
from engine.documents import Document, check_schema, read_document
from engine.documents.buffers import buffer
from engine.documents.confined import is_below
from engine.documents.writing import write_whole

LOCK = "policies.lock"
_HEAD = """\
# Digests of released policies and catalogs, by `engine policies lock`. A released version is never edited.
apiVersion: engine/v1
kind: Lock
"""


@record
class Locked:
    """A lock file: digests by the paths of files in its folder; no document where there is none yet."""

    folder: Path
    digests: dict[str, str]
    document: Document | None = None


def read_lock(folder: Path) -> Locked:
    """The lock of a folder of policies.

    Raises:
        DocumentError: it can't be read, or is no lock file.
    """
    path = folder / LOCK
    if not path.exists():
        return Locked(folder, {})
    document = read_document(path)
    check_schema(document, "lock")
    return Locked(folder, dict(document.value["files"]), document)


def write_lock(lock: Locked, digests: dict[str, str]) -> None:
    """Write a folder's lock with these digests.

    Raises:
        DocumentError: it can't be written; the old lock is as it was.
    """
    lines = [f"  {name}: {digest}\n" for name, digest in sorted(digests.items())]
    text = _HEAD + "files:" + (f"\n{''.join(lines)}" if lines else " {}\n")
    write_whole(lock.folder / LOCK, text)


def digests(folder: Path) -> dict[str, str]:
    """The digests of all versions in a folder, by the paths of their files.

    Raises:
        DocumentError: one can't be read, or breaks its schema.
    """
    found: dict[str, str] = {}
    for kind in KIND_FOLDERS:
        for entry in entries_in(str(folder), kind):
            path = Path(entry.path)
            if path.is_dir():
                document = read_parts(entry.path, kind)
                files = [Path(each) for each in part_files(entry.path)]
            else:
                document = read_policy_document(entry.path, kind)
                files = [path]
            files += table_paths(document, path)
            found |= {file.relative_to(folder).as_posix(): file_digest(file) for file in files}
    return found


def table_paths(document: Document, path: Path) -> list[Path]:
    """Return the CSV files that a policy's tables read; `path` is its file, or the folder of its parts."""
    folder = path if path.is_dir() else path.parent
    paths = (folder / name for name in table_files(document.value))
    return [each for each in dict.fromkeys(paths) if each.is_file() and is_below(each, folder)]


def file_digest(path: Path) -> str:
    """`sha256:…` of a file's bytes, line ends made those of Unix."""
    data = buffer(path)
    if data is None:
        with path.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    data = data.replace(b"\r\n", b"\n")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def changed(lock: Locked) -> list[Problem]:
    """What is no longer as it was locked: at its version, or in the lock file where it is gone."""
    problems = []
    for name, digest in lock.digests.items():
        path = lock.folder / name
        if path.is_file() and is_below(path, lock.folder):  # nothing else may be looked at, or shown
            problems += [] if file_digest(path) == digest else [has_changed(path)]
            continue
        assert lock.document is not None
        place = lock.document.place(("files", name), key=True)
        problems.append(
            Problem(f"{name} was released, and is gone", place, "a released version stays", code="E110")
        )
    for folder in sorted({str(Path(name).parent) for name in lock.digests}):
        for file in part_files(str(lock.folder / folder)):
            if Path(file).relative_to(lock.folder).as_posix() not in lock.digests:
                problems.append(has_changed(Path(file)))
    return problems


def has_changed(path: Path) -> Problem:
    """Return the problem of a released file that has changed."""
    try:
        place = read_document(path).place(("version",))
    except DocumentError:
        place = Place(str(path), 1, 1)
    return Problem(
        "this version was released, and has been changed since",
        place,
        "undo the change and make a new version: a new file with a new number",
        code="E110",
    )
