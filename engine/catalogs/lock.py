"""`policies.lock`: the digests of released versions, so that a change of one doesn't go unseen."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.documents import Document, check_schema, read_document
from engine.errors import DocumentError, Place, Problem
from engine.policy.store import read_policy_document
from engine.records import record

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
    """Write a folder's lock with these digests."""
    lines = [f"  {name}: {digest}\n" for name, digest in sorted(digests.items())]
    text = _HEAD + "files:" + (f"\n{''.join(lines)}" if lines else " {}\n")
    part = lock.folder / f"{LOCK}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(lock.folder / LOCK)


def digests(folder: Path) -> dict[str, str]:
    """The digests of all versions in a folder, by the paths of their files.

    Raises:
        DocumentError: one can't be read, or breaks its schema.
    """
    found: dict[str, str] = {}
    for path in [*folder.glob("*/*.yaml"), *folder.glob("catalog/*/*.yaml")]:
        if path.parent == folder / "catalog" or path.name.endswith("_test.yaml"):
            continue
        read_policy_document(str(path), "catalog" if path.parts[-3] == "catalog" else "policy")
        found[path.relative_to(folder).as_posix()] = file_digest(path)
    return found


def file_digest(path: Path) -> str:
    """`sha256:…` of a file's bytes, line ends made those of Unix."""
    data = path.read_bytes().replace(b"\r\n", b"\n")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def changed(lock: Locked) -> list[Problem]:
    """What is no longer as it was locked: at its version, or in the lock file where it is gone."""
    problems = []
    for name, digest in lock.digests.items():
        path = lock.folder / name
        if path.is_file():
            problems += [] if file_digest(path) == digest else [has_changed(path)]
            continue
        assert lock.document is not None
        place = lock.document.place(("files", name), key=True)
        problems.append(
            Problem(f"{name} was released, and is gone", place, "a released version stays", code="E110")
        )
    return problems


def has_changed(path: Path) -> Problem:
    """What is said of a locked file that is another now."""
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
