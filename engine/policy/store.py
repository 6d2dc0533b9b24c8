"""Where policies and catalogs are found: folders in order, each with `NAME/VERSION.yaml` and `catalog/`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from engine.documents.files import is_path_like
from engine.documents.resources import shipped
from engine.errors import PolicyError, near
from engine.records import record

if TYPE_CHECKING:
    from engine.documents import Document

Kind = Literal["policy", "catalog"]
_VERSION = r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\Z"
_REFERENCE = r"(?P<name>[A-Za-z][\w-]*)(?:@(?P<version>\d+(?:\.\d+){0,2}))?\Z"
LONGEST_FILE = 2 * 1024 * 1024
"""Bytes of a policy's or catalog's file."""


@record
class Entry:
    """One file that was found."""

    kind: Kind
    name: str
    version: str
    path: str

    @property
    def order(self) -> tuple[int, ...]:
        """The version as numbers, for comparing."""
        return tuple(map(int, self.version.split(".")))


class PolicyStore:
    """Policies and catalogs of some folders; a file in an earlier folder hides its like in a later one."""

    def __init__(self, folders: Sequence[str | os.PathLike[str]] = ()) -> None:
        """`folders` stand in front of the shipped policies.

        Raises:
            PolicyError: a folder doesn't exist.
        """
        for folder in folders:
            if not os.path.isdir(folder):
                raise PolicyError(f"{folder}: no such folder of policies")
        self.folders = (*(os.fspath(each) for each in folders), shipped("policies"))

    def entries(self, kind: Kind, name: str | None = None) -> Iterator[Entry]:
        """What is found, in the folders' order, hidden files too; of one name where it is given."""
        for folder in self.folders:
            base = os.path.join(folder, "catalog") if kind == "catalog" else folder
            for each in [name] if name is not None else _listed(base):
                if kind == "policy" and each == "catalog":
                    continue
                for file in _listed(os.path.join(base, each)):
                    version, extension = os.path.splitext(file)
                    if extension == ".yaml" and re.match(_VERSION, version):
                        yield Entry(kind, each, version, os.path.join(base, each, file))

    def find(self, kind: Kind, reference: str) -> Entry:
        """The file that `name`, `name@1`, `name@1.0` or `name@1.0.0` means: the newest that fits.

        Raises:
            PolicyError: there is none; the hint names what there is.
        """
        match = re.match(_REFERENCE, reference)
        if match is None:
            raise PolicyError(
                f"'{reference}' is not a {kind} reference", hint="write it like name, name@1 or name@1.0.0"
            )
        found = list(self.entries(kind, match["name"]))
        if not found:
            names = {entry.name for entry in self.entries(kind)}
            raise PolicyError(f"unknown {kind} '{match['name']}'", hint=near(match["name"], names))
        wanted = match["version"].split(".") if match["version"] else []
        fitting = [entry for entry in found if entry.version.split(".")[: len(wanted)] == wanted]
        if not fitting:
            versions = ", ".join(sorted({entry.version for entry in found}))
            raise PolicyError(
                f"{kind} '{match['name']}' has no version {match['version']}", hint=f"found: {versions}"
            )
        # max() keeps the first of equals: the one in the earlier folder.
        return max(fitting, key=lambda entry: entry.order)

    def read(self, entry: Entry) -> Document:
        """The document in a file, held against its schema, and against the name and version of its path.

        Raises:
            DocumentError: it can't be read or breaks the schema.
            PolicyError: name or version are not the path's.
        """
        document = read_policy_document(entry.path, entry.kind)
        for field, expected in (("name", entry.name), ("version", entry.version)):
            if document.value[field] != expected:
                raise PolicyError(
                    f"{field} is {document.value[field]}, but the file's path says {expected}",
                    place=document.place((field,)),
                    hint="a file is NAME/VERSION.yaml",
                )
        return document


def read_policy_document(path: str, kind: Kind) -> Document:
    """A policy's or catalog's document, held against its schema.

    Raises:
        DocumentError: it can't be read or breaks the schema.
    """
    from engine.documents import Limits, check_schema, read_document

    document = read_document(path, Limits(bytes=LONGEST_FILE))
    check_schema(document, kind)
    return document


@record
class Source:
    """A policy's file: one that the store found, or one that is named by its path."""

    path: str
    entry: Entry | None
    store: PolicyStore

    @classmethod
    def of(cls, reference: str, store: PolicyStore) -> Source:
        """The file that a reference means: `name`, `name@1`, `name@1.0.0`, or a path.

        Raises:
            PolicyError: there is none of that name.
        """
        if is_path_like(reference):
            return cls(reference, None, store)
        entry = store.find("policy", reference)
        return cls(entry.path, entry, store)

    def read(self) -> Document:
        """The policy's document, held against its schema.

        Raises:
            DocumentError: it can't be read or breaks the schema.
            PolicyError: name or version are not its path's.
        """
        if self.entry is None:
            return read_policy_document(self.path, "policy")
        return self.store.read(self.entry)


def holds_policies(folder: str) -> bool:
    """Whether a folder has policies in it, or catalogs: files that are called NAME/VERSION.yaml."""
    return any(
        re.match(_VERSION, os.path.splitext(file)[0])
        for base in (folder, os.path.join(folder, "catalog"))
        for name in _listed(base)
        for file in _listed(os.path.join(base, name))
    )


def _listed(folder: str) -> list[str]:
    """The names in a folder; none where it is no folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def digest(policy: Document, catalogs: Sequence[tuple[str, str, Document]]) -> str:
    """`sha256:…` over the policy's text and the texts of the catalogs that it reads, by their names."""
    import hashlib

    total = hashlib.sha256()
    total.update(_line("policy", policy.value["name"], policy.value["version"], policy.text))
    for name, version, document in sorted(catalogs, key=lambda item: item[:2]):
        total.update(_line("catalog", name, version, document.text))
    return f"sha256:{total.hexdigest()}"


def _line(kind: str, name: str, version: str, text: str) -> bytes:
    import hashlib

    return f"{kind} {name}@{version} {hashlib.sha256(text.encode()).hexdigest()}\n".encode()
