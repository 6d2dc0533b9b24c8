"""Where policies, libraries, catalogs and patches are found: folders in order.

In each, a policy is `NAME/VERSION.yaml`; a document of another kind is `NAME/VERSION.yaml` in the folder of
its kind: `catalog/`, `library/`, `patch/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from engine.base.errors import DocumentError, PolicyError, near, quote
from engine.base.memory import recall
from engine.base.records import record
from engine.documents.confined import ConfinedError, read_below
from engine.documents.document import Limits
from engine.documents.files import decode_document, is_path_like, read_bytes
from engine.documents.resources import shipped

if TYPE_CHECKING:
    from engine.documents import Document

Kind = Literal["policy", "library", "catalog", "patch"]
KIND_FOLDERS: Mapping[Kind, str] = {
    "policy": "",
    "library": "library",
    "catalog": "catalog",
    "patch": "patch",
}
"""The folder in a folder of policies that files of a kind are in."""
HEADS: Mapping[Kind, str] = {"policy": "policy.yaml", "library": "library.yaml"}
"""The file of a folder of parts that has the kind, name and version."""
RESERVED_NAMES = frozenset(filter(None, KIND_FOLDERS.values()))
"""Names that no policy can have: its folder would be that of another kind."""
_VERSION = r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\Z"
_REFERENCE = r"(?P<name>[A-Za-z][\w-]*)(?:@(?P<version>\d+(?:\.\d+){0,2}))?\Z"
LONGEST_FILE = 2 * 1024 * 1024
"""Bytes of a policy's or catalog's file."""
MOST_PARTS = 200
"""Files of a policy in parts."""
MOST_VALUES = 200_000
"""Values of a policy's or catalog's document, aliases expanded."""


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
            yield from entries_in(folder, kind, name)

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
            raise PolicyError(f"unknown {kind} {quote(match['name'])}", hint=near(match["name"], names))
        wanted = match["version"].split(".") if match["version"] else []
        fitting = [entry for entry in found if entry.version.split(".")[: len(wanted)] == wanted]
        if not fitting:
            versions = ", ".join(sorted({entry.version for entry in found}))
            raise PolicyError(
                f"{kind} '{match['name']}' has no version {match['version']}", hint=f"found: {versions}"
            )
        # max() keeps the first of equals: the one in the earlier folder.
        newest = max(fitting, key=lambda entry: entry.order)
        for other in fitting:
            if other.path != newest.path and other.path.removesuffix(".yaml") == newest.path.removesuffix(
                ".yaml"
            ):
                message = f"{kind} '{match['name']}' {newest.version} is a file and a folder of parts"
                raise PolicyError(message, hint=f"delete one of {newest.path} and {other.path}")
        return newest

    def is_shipped(self, entry: Entry) -> bool:
        """Return True if a file is shipped with the engine."""
        return entry.path.startswith(os.path.join(self.folders[-1], ""))

    def read(self, entry: Entry) -> Document:
        """The document in a file, held against its schema, and against the name and version of its path.

        Raises:
            DocumentError: it can't be read or breaks the schema.
            PolicyError: name or version are not the path's.
        """
        document = self.document(entry.path, entry.kind)
        if entry.kind == "policy" and document.value["kind"] == "Library":
            hint = "move it to library/NAME/VERSION.yaml"
            raise PolicyError("a library, expected a policy", place=document.place(("kind",)), hint=hint)
        for field, expected in (("name", entry.name), ("version", entry.version)):
            if document.value[field] != expected:
                raise PolicyError(
                    f"{field} is {document.value[field]}, but the path of the file says {expected}",
                    place=document.place((field,)),
                    hint="a file is NAME/VERSION.yaml",
                )
        return document

    def catalog(self, entry: Entry) -> Document:
        """The document of a catalog.

        Raises:
            DocumentError: it can't be read or breaks the schema.
            PolicyError: name or version are not the path's, or a patch does not fit.
        """
        document = self.read(entry)
        patches = [patch for patch in map(self.read, self.patches()) if fits(patch.value["base"], entry)]
        if not patches:
            return document
        from engine.catalogs.patches import apply_patches

        return apply_patches(document, patches)

    def patches(self) -> list[Entry]:
        """The newest version of each patch; those of earlier folders last, which wins."""
        found: dict[str, Entry] = {}
        for entry in self.entries("patch"):
            if entry.name not in found:
                found[entry.name] = self.find("patch", entry.name)
        order = {folder: number for number, folder in enumerate(self.folders)}

        def strength(entry: Entry) -> tuple[int, str]:
            folder = os.path.dirname(os.path.dirname(os.path.dirname(entry.path)))
            return -order.get(folder, 0), entry.name

        return sorted(found.values(), key=strength)

    def patched_content(self, entry: Entry) -> bytes:
        """What is in a file, with all patches if it is a catalog's.

        Raises:
            DocumentError: a file can't be read.
        """
        content = self.whole_content(entry.path)
        if entry.kind != "catalog":
            return content
        return b"".join([content, *(self.content(patch.path) for patch in self.patches())])

    def whole_content(self, path: str) -> bytes:
        """Return what is in a policy's file, and in the CSV files and schemas beside it if it names any.

        Raises:
            DocumentError: the policy's file can't be read.
        """
        content = self.content(path)
        endings: tuple[str, ...] = (".csv",) if b".csv" in content else ()
        if re.search(rb"""schema["']?:[^\n]*\.json""", content):
            endings += (".json",)
        if not endings:
            return content
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        names = []
        for inner, _, files in os.walk(folder or "."):
            names += [
                os.path.relpath(os.path.join(inner, each), folder or ".")
                for each in files
                if each.endswith(endings)
            ]
            if len(names) > MOST_PARTS:
                break
        for name in sorted(names):
            with suppress(ConfinedError, OSError):
                content += f"# {name}\n".encode() + (self.beside(folder, name.replace(os.sep, "/")) or b"")
        return content

    def beside(self, folder: str, name: str) -> bytes | None:
        """Return what is in a file that a policy names, in the policy's folder; None if there is none.

        Raises:
            ConfinedError: the name leads out of the folder, or to something else than a regular file.
            OSError: it can't be read.
        """
        return read_below(folder or ".", name, LONGEST_FILE)

    def document(self, path: str, kind: Kind) -> Document:
        """The document in a file, held against its schema.

        Raises:
            DocumentError: it can't be read or breaks the schema.
        """
        if os.path.isdir(path):
            return read_parts(path, kind, self.content)
        return read_policy_document(path, kind, self.content(path))

    def content(self, path: str) -> bytes:
        """What is in a policy's or catalog's file.

        Raises:
            DocumentError: it can't be read.
        """
        if os.path.isdir(path):
            return b"".join(
                f"# {os.path.basename(each)}\n".encode() + self.content(each) for each in part_files(path)
            )
        return read_bytes(path, Limits(bytes=LONGEST_FILE), pipes=True)  # --policy <(…)


class Snapshot(PolicyStore):
    """A store that reads each file once and looks for each reference once.

    What is compiled and kept of it belongs together, whatever is saved in the meantime.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]] = ()) -> None:
        super().__init__(folders)
        self._patches: list[Entry] | None = None
        self._found: dict[tuple[Kind, str], Entry] = {}
        self._content: dict[str, bytes] = {}
        self._beside: dict[tuple[str, str], bytes | None] = {}

    def find(self, kind: Kind, reference: str) -> Entry:
        """Like PolicyStore, once per argument."""
        asked = (kind, reference)
        if asked not in self._found:
            self._found[asked] = super().find(kind, reference)
        return self._found[asked]

    def patches(self) -> list[Entry]:
        """Like PolicyStore, once."""
        if self._patches is None:
            self._patches = super().patches()
        return self._patches

    def beside(self, folder: str, name: str) -> bytes | None:
        """Like PolicyStore, once per argument."""
        asked = (folder, name)
        if asked not in self._beside:
            self._beside[asked] = super().beside(folder, name)
        return self._beside[asked]

    def content(self, path: str) -> bytes:
        """Like PolicyStore, once per argument."""
        if path not in self._content:
            self._content[path] = super().content(path)
        return self._content[path]


def read_policy_document(path: str, kind: Kind, content: bytes | None = None) -> Document:
    """A policy's or catalog's document, held against its schema.

    Args:
        path: its file.
        kind: which of the two.
        content: what is in the file, where it has been read.

    Raises:
        DocumentError: it can't be read or breaks the schema.
    """
    from engine.documents import check_schema

    limits = Limits(bytes=LONGEST_FILE, nodes=MOST_VALUES)
    data = read_bytes(path, limits) if content is None else content

    def read() -> Document:
        document = decode_document(data, path, limits)
        check_schema(document, _schema(document, kind))
        return document

    return recall("document", (path, data, kind), read)


def read_parts(folder: str, kind: Kind, content: Callable[[str], bytes] | None = None) -> Document:
    """The document of a folder of parts, held against its schema.

    Args:
        folder: its path.
        kind: what it is.
        content: returns what is in a file, where it has been read.

    Raises:
        DocumentError: a part can't be read, or the whole breaks the schema.
    """
    from engine.documents import check_schema
    from engine.documents.parts import merge_parts

    limits = Limits(bytes=LONGEST_FILE, nodes=MOST_VALUES)
    files = part_files(folder)
    if len(files) > MOST_PARTS:
        raise DocumentError(f"{folder}: more than {MOST_PARTS} parts")
    if not files:
        raise DocumentError(
            f"{folder}: expected a folder NAME/VERSION with a file {HEADS.get(kind, 'policy.yaml')}"
        )
    texts = tuple(read_bytes(each, limits) if content is None else content(each) for each in files)

    def merge() -> Document:
        head, *parts = map(_decoded, files, texts)
        document = merge_parts(head, parts)
        check_schema(document, _schema(document, kind))
        return document

    return recall("parts", (kind, *files, *texts), merge)


def _decoded(path: str, content: bytes) -> Document:
    limits = Limits(bytes=LONGEST_FILE, nodes=MOST_VALUES)
    return recall("part", (path, content), lambda: decode_document(content, path, limits))


def _schema(document: Document, kind: Kind) -> str:
    """Return the schema of a document; what is decided by may be an overlay or a library, too."""
    found = document.value.get("kind") if isinstance(document.value, dict) else None
    return _DECIDING.get(found, kind) if kind == "policy" and isinstance(found, str) else kind


_DECIDING: Mapping[object, str] = {"Overlay": "overlay", "Library": "library"}


@record
class Source:
    """A policy's file: one that the store found, or one that is named by its path."""

    path: str
    entry: Entry | None
    store: PolicyStore
    settings: Document | None = None
    """Other values of constants, for one run."""

    @classmethod
    def of(cls, reference: str, store: PolicyStore, settings: Document | None = None) -> Source:
        """The file that a reference means: `name`, `name@1`, `name@1.0.0`, `library/name@1`, or a path.

        Raises:
            PolicyError: there is none of that name.
        """
        if is_library_reference(reference):
            entry = store.find("library", reference.partition("/")[2])
            return cls(entry.path, entry, store, settings)
        if is_path_like(reference):
            return cls(reference, None, store, settings)
        entry = store.find("policy", reference)
        return cls(entry.path, entry, store, settings)

    def content(self) -> bytes:
        """What is compiled, as bytes: the file and the settings.

        Raises:
            DocumentError: the file can't be read.
        """
        content = self.store.whole_content(self.path)
        return content if self.settings is None else content + self.settings.text.encode()

    def read(self) -> Document:
        """The policy's document, held against its schema.

        Raises:
            DocumentError: it can't be read or breaks the schema.
            PolicyError: name or version are not its path's.
        """
        if self.entry is None:
            return self.store.document(self.path, "policy")
        return self.store.read(self.entry)


def is_library_reference(reference: str) -> bool:
    """Whether a reference means a library as a policy of its own: `library/name@1`."""
    kind, _, name = reference.partition("/")
    return kind == "library" and re.match(_REFERENCE, name) is not None


def fits(reference: str, entry: Entry) -> bool:
    """Whether a reference means a file, or an older version of what it means."""
    match = re.match(_REFERENCE, reference)
    wanted = match["version"].split(".") if match is not None and match["version"] else []
    return (
        match is not None
        and match["name"] == entry.name
        and entry.version.split(".")[: len(wanted)] == wanted
    )


def holds_policies(folder: str) -> bool:
    """Whether a folder has policies in it, or catalogs: files that are called NAME/VERSION.yaml."""
    return any(True for kind in KIND_FOLDERS for _ in entries_in(folder, kind))


def entries_in(folder: str, kind: Kind, name: str | None = None) -> Iterator[Entry]:
    """Yield the files of a kind in one folder of policies; only those of `name` if it is set."""
    base = os.path.join(folder, KIND_FOLDERS[kind])
    for entry_name in [name] if name is not None else _listed(base):
        if kind == "policy" and entry_name in RESERVED_NAMES:
            continue
        for file in _listed(os.path.join(base, entry_name)):
            version, extension = os.path.splitext(file)
            path = os.path.join(base, entry_name, file)
            if extension == ".yaml" and re.match(_VERSION, version):
                yield Entry(kind, entry_name, version, path)
            elif (
                re.match(_VERSION, file) and kind in HEADS and os.path.isfile(os.path.join(path, HEADS[kind]))
            ):
                yield Entry(kind, entry_name, file, path)


def part_files(folder: str) -> list[str]:
    """Return the paths of a folder's parts, the head first; suites beside them are none.

    A folder of parts is called like a version and has a head; any other folder has no parts.
    """
    if not re.match(_VERSION, os.path.basename(os.path.abspath(folder))):
        return []
    names = [name for name in _listed(folder) if name.endswith(".yaml") and not name.endswith("_test.yaml")]
    heads = [name for name in names if name in HEADS.values()]
    return (
        [os.path.join(folder, name) for name in (*heads, *(n for n in names if n not in heads))]
        if heads
        else []
    )


def _listed(folder: str) -> list[str]:
    """Return the names in a folder; none if it isn't a folder.

    Raises:
        PolicyError: this user can't list it. What is in it must not look as if it were not there.
    """
    try:
        return sorted(os.listdir(folder))
    except PermissionError:
        raise PolicyError(f"{folder}: permission denied") from None
    except OSError:
        return []


def digest(
    policy: Document,
    others: Sequence[tuple[str, str, str, Document]],
    packages: Sequence[tuple[str, str, str]] = (),
) -> str:
    """`sha256:…` over the policy's text and the texts of the catalogs and libraries that it reads.

    Args:
        policy: the policy's document.
        others: kind, name, version and document of what it reads.
        packages: module, version and text of packages whose functions it calls.
    """
    import hashlib

    total = hashlib.sha256()
    total.update(_line("policy", policy.value["name"], policy.value["version"], policy.text))
    for kind, name, version, document in sorted(others, key=lambda item: item[:3]):
        total.update(_line(kind, name, version, document.text))
    for module, version, text in packages:
        total.update(_line("functions", module, version, text))
    return f"sha256:{total.hexdigest()}"


def _line(kind: str, name: str, version: str, text: str) -> bytes:
    import hashlib

    return f"{kind} {name}@{version} {hashlib.sha256(text.encode()).hexdigest()}\n".encode()
