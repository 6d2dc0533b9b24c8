"""The types of an image: a policy's program as plain data that `marshal` can write.

For type checkers only; nothing imports this module at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType
from typing import Literal, TypedDict

from engine.cel.runtimes.link import Symbol
from engine.cel.values import Value
from engine.fastpath.declared import Form

Scalar = str | int | float | bool | None
Fields = tuple[tuple[str, str, bool], ...]
"""Name, type name and nullability of each field."""
Column = tuple[bool, Value]
"""`(True, constant)` or `(False, name of the function that computes it)`."""
Row = Mapping[str, Column]
EntryRow = tuple[tuple[str, ...], Row, tuple[str, Mapping[str, Row]] | None]
"""An entry's fields, its columns, and the columns of its variants by the value of a field."""
Searching = tuple[
    tuple[tuple[str, tuple[str, ...]], ...],
    tuple[str, ...],
    tuple[tuple[str, str, str, str], ...],
]
"""Requirements with the degrees in which they are monotone, scores, and remedies: id, change and texts."""
MatchRow = tuple[str, str | None, Searching | None]
"""A match's id, its builder, and its search."""
ReadKind = Literal["schema", "catalog", "policy", "library"]


class Described(TypedDict):
    """The columns and fields that a catalog adds to the values of a type."""

    by: str | None
    fields: Mapping[str, str]
    minimums: Mapping[str, float]
    columns: tuple[str, ...]
    aliases: Mapping[str, str]
    entries: Mapping[str, EntryRow]


class Code(TypedDict, total=False):
    """The part of an image that a policy doesn't have if it is too long for one function."""

    objects: Mapping[str, tuple[str, ...]]
    """Field names by type."""
    declared: tuple[str, ...]
    """The types that the policy declares."""
    values: Mapping[str, Form | None]
    """By input, its type if the fast path binds it by its form; None if it does not bind it."""
    scalars: Mapping[str, Fields]
    """Fields by type, for types that have only scalar fields."""
    catalogs: Mapping[str, tuple[str, Mapping[str, tuple[Value, ...]]]]
    """By catalog, the type of its entries and the rows."""
    describing: Mapping[str, Described]
    """Catalogs by the type that they describe."""
    identifying: Mapping[str, tuple[str, str, Mapping[str, str], str]]
    """By type: the field with a vendor's name, the field for the entry, entries by plain names, and the name
    of the catalog.
    """
    symbols: Mapping[str, Symbol]
    matches: tuple[MatchRow, ...]


class Image(Code):
    """An image; `code` is None if the policy is too long for one function."""

    name: str
    version: str
    digest: str
    inputs: tuple[tuple[str, str, bool], ...]
    """Name, type name and optionality of each input."""
    defaults: Mapping[str, Value]
    """Values of inputs that a request may leave out, by input."""
    auto: Mapping[str, Image]
    """By input, the image of the policy that chooses it."""
    reads: tuple[tuple[ReadKind, str], ...]
    """Kind and reference of every other file that the policy is compiled from."""
    code: CodeType | None


class Kept(TypedDict):
    """A file of the cache: an image, what it was compiled for, and what it was compiled with."""

    key: str
    engine: str
    """The engine's version."""
    policy: bytes
    """The digest of the policy's text."""
    named: tuple[str, str] | None
    """The name and version that the file's path claims."""
    reads: list[tuple[ReadKind, str, bytes | None]]
    """Kind, reference and digest of every other file that the policy was compiled from."""
    image: Image
