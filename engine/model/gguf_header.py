"""The header of a GGUF file: metadata and the list of tensors. No weight is read.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from typing import Any

from engine.base.errors import DocumentError
from engine.base.records import record
from engine.documents.files import open_regular

_MAGIC = b"GGUF"
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MOST_KEYS, _MOST_TENSORS, _MOST_DIMENSIONS, _LARGEST = 100_000, 1_000_000, 8, 2**62
_LONGEST_NAME = 65_535
_LONGEST_LIST = 4_096
"""Elements of a list that is kept; only the length of longer ones is."""


@record
class TensorInfo:
    """One tensor: name, dimensions, number of its type, and offset in the data."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int

    @property
    def count(self) -> int:
        """Number of its numbers."""
        total = 1
        for size in self.shape:
            total *= size
        return total


@record
class Length:
    """A list that is too long to keep."""

    size: int


@record
class Header:
    """The header of a file."""

    fields: Mapping[str, Any]
    tensors: tuple[TensorInfo, ...]
    data_start: int
    size: int
    """Bytes of the file."""


class _Damaged(ValueError):
    """Something that is no header."""


def read_header(path: str) -> Header:
    """Return the header of a file.

    Raises:
        DocumentError: the file is missing, cut off, or something else.
    """
    with open_regular(path) as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError):
            raise DocumentError(f"{path}: incomplete or no GGUF file: it is empty") from None
        with data:
            try:
                return _Cursor(data).header()
            except (_Damaged, struct.error, UnicodeDecodeError) as error:
                reason = str(error) if isinstance(error, _Damaged) else "it ends early"
                raise DocumentError(f"{path}: incomplete or no GGUF file: {reason}") from None


class _Cursor:
    """A position in the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0

    def header(self) -> Header:
        """Read the header."""
        if self.data[:4] != _MAGIC:
            raise _Damaged("it does not begin with GGUF")
        self.at = 4
        version = self.number("<I")
        if version not in (2, 3):
            if version in (2 << 24, 3 << 24):
                raise _Damaged("it is big-endian")
            raise _Damaged(f"version {version} is not 2 or 3")
        tensors, keys = self.number("<Q"), self.number("<Q")
        if keys > _MOST_KEYS or tensors > _MOST_TENSORS:
            raise _Damaged(f"it claims {keys} keys and {tensors} tensors")
        fields: dict[str, Any] = {}
        for _ in range(keys):
            name = self.text()
            if name in fields:
                raise _Damaged(f"duplicate key {name[:80]!r}")
            fields[name] = self.value(self.number("<I"))
        listed = tuple(self.tensor() for _ in range(tensors))
        alignment = fields.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20:
            raise _Damaged(f"general.alignment is {alignment!r}")
        return Header(fields, listed, self.at + -self.at % alignment, self.size)

    def number(self, form: str) -> Any:
        """Read a number."""
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        """Read a string."""
        length = self.number("<Q")
        if length > self.size - self.at:
            raise _Damaged("a string ends after the file")
        start, self.at = self.at, self.at + length
        if length > _LONGEST_NAME:
            return ""
        return self.data[start : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """Read a value of a kind."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.list_of(self.number("<I"), self.number("<Q"))
        form = _SCALARS.get(kind)
        if form is None:
            raise _Damaged(f"unknown type {kind} of a value")
        return self.number(form)

    def list_of(self, kind: int, count: int) -> Any:
        """Read a list, or only its length if it is long."""
        if kind == _ARRAY:
            raise _Damaged("a list of lists")
        if kind == _STRING:
            if count > (self.size - self.at) // 8:
                raise _Damaged(f"a list of {count} strings ends after the file")
            if count <= _LONGEST_LIST:
                return [self.text() for _ in range(count)]
            data, at, size = self.data, self.at, self.size
            for _ in range(count):
                at += 8 + int.from_bytes(data[at : at + 8], "little")
                if at > size:
                    raise _Damaged("a string ends after the file")
            self.at = at
            return Length(count)
        form = _SCALARS.get(kind)
        if form is None:
            raise _Damaged(f"unknown type {kind} of a list")
        width = struct.calcsize(form)
        if count > (self.size - self.at) // width:
            raise _Damaged(f"a list of {count} numbers ends after the file")
        if count > _LONGEST_LIST:
            self.at += count * width
            return Length(count)
        return [self.number(form) for _ in range(count)]

    def tensor(self) -> TensorInfo:
        """Read the description of a tensor."""
        name = self.text()
        dimensions = self.number("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise _Damaged(f"tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self.number("<Q") for _ in range(dimensions))
        info = TensorInfo(name, shape, self.number("<I"), self.number("<Q"))
        if info.count > _LARGEST:
            raise _Damaged(f"tensor {name[:80]!r} has {info.count} numbers")
        return info
