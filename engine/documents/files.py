"""Files and standard input as documents."""

from __future__ import annotations

import os
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import BinaryIO

from engine.documents.document import Document, Limits
from engine.errors import DocumentError, Place

DEFAULT_LIMITS = Limits()


def is_path_like(text: str) -> bool:
    """True when `text` names a file rather than a policy, a model or a size."""
    return text == "-" or "/" in text or "\\" in text or text.endswith((".yaml", ".yml", ".json"))


def read_document(source: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Document:
    """The YAML or JSON document in a file, or on standard input where `source` is "-".

    Raises:
        DocumentError: it can't be read, or is neither YAML nor JSON; with its place.
    """
    return parse_document(read_text(source, limits), _name(source), limits)


def parse_document(text: str, name: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The YAML or JSON document in `text`; `name` is how messages call it."""
    if not text.strip():
        raise DocumentError("the file is empty", place=Place(name, 1, 1))
    if name.endswith(".json") or (text.lstrip()[0] in "{[" and not name.endswith((".yaml", ".yml"))):
        from engine.documents.json_source import load_json

        return load_json(text, name, limits)
    from engine.documents.yaml_source import load_yaml

    return load_yaml(text, name, limits)


def read_text(source: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> str:
    """The text of a file or of standard input ("-"), decoded as UTF-8, a byte order mark dropped.

    UTF-16 is read where its mark says so: what PowerShell redirects to a file is.

    Raises:
        DocumentError: missing, unreadable, a directory, too large, not text.
    """
    name = _name(source)
    data = _read_bytes(source, name, limits.bytes + 1)
    if len(data) > limits.bytes:
        raise DocumentError(f"{name}: larger than {limits.bytes // 2**20} MiB")
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return _decode_utf16(data, name)
    if b"\x00" in data:
        raise DocumentError(f"{name}: a binary file, expected YAML or JSON text")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DocumentError(
            f"not UTF-8 text: byte 0x{data[error.start]:02x}", place=Place(name, line, column)
        ) from None


def _decode_utf16(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-16").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise DocumentError(f"{name}: damaged UTF-16 text") from None
    if "\x00" in text:
        raise DocumentError(f"{name}: a binary file, expected YAML or JSON text")
    return text


def _name(source: str | os.PathLike[str]) -> str:
    return "<stdin>" if source == "-" else str(source)


def _read_bytes(source: str | os.PathLike[str], name: str, limit: int) -> bytes:
    try:
        if source == "-":
            return sys.stdin.buffer.read(limit)
        with open_binary(source) as file:
            return file.read(limit)
    except OSError as error:
        raise DocumentError(f"{name}: {error.strerror or error}") from None


def open_binary(source: str | os.PathLike[str]) -> BinaryIO:
    """A file opened for reading.

    Raises:
        DocumentError: missing, unreadable, a directory.
    """
    try:
        return open(source, "rb")
    except FileNotFoundError:
        raise DocumentError(f"{source}: no such file") from None
    except IsADirectoryError:
        raise DocumentError(f"{source}: a directory, expected a file") from None
    except PermissionError:
        raise DocumentError(f"{source}: permission denied") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{source}: {reason}") from None
