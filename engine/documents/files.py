"""Files and standard input as documents."""

from __future__ import annotations

import os
import stat
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from typing import BinaryIO

from engine.base.errors import DocumentError, Place
from engine.documents.buffers import buffer
from engine.documents.document import Document, Limits

DEFAULT_LIMITS = Limits()


def is_path_like(text: str) -> bool:
    """True when `text` names a file rather than a policy, a model or a size."""
    return text == "-" or "/" in text or "\\" in text or text.endswith((".yaml", ".yml", ".json"))


def read_document(
    source: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS, *, pipes: bool = True
) -> Document:
    """The YAML or JSON document in a file, or on standard input where `source` is "-".

    Args:
        source: the file's name.
        limits: the most that is read.
        pipes: read `/dev/fd/63` as well, which is what a shell makes of `<(command)`.

    Raises:
        DocumentError: it can't be read, or is neither YAML nor JSON; with its place.
    """
    return parse_document(read_text(source, limits, pipes=pipes), _name(source), limits)


def decode_document(data: bytes, source: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The YAML or JSON document in bytes that were read from `source`.

    Raises:
        DocumentError: as `read_document`.
    """
    name = _name(source)
    return parse_document(_decode(data, name), name, limits)


def parse_document(text: str, name: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The YAML or JSON document in `text`; `name` is how messages call it."""
    if not text.strip():
        raise DocumentError("the file is empty", place=Place(name, 1, 1))
    if name.endswith(".json") or (text.lstrip()[0] in "{[" and not name.endswith((".yaml", ".yml"))):
        from engine.documents.json_source import load_json

        return load_json(text, name, limits)
    from engine.documents.yaml_source import load_yaml

    return load_yaml(text, name, limits)


def read_text(source: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS, *, pipes: bool = True) -> str:
    """The text of a file or of standard input ("-"), decoded as UTF-8, a byte order mark dropped.

    UTF-16 is read where its mark says so: what PowerShell redirects to a file is.

    Raises:
        DocumentError: missing, unreadable, not a regular file, too large, not text.
    """
    return _decode(read_bytes(source, limits, pipes=pipes), _name(source))


def _decode(data: bytes, name: str) -> str:
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


def read_bytes(
    source: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS, *, pipes: bool = False
) -> bytes:
    """Return the content of a regular file, or of standard input ("-").

    Raises:
        DocumentError: missing, unreadable, not a regular file, too large.
    """
    name = _name(source)
    open_text = None if source == "-" else buffer(source)
    if open_text is not None:
        return open_text
    try:
        if source == "-":
            data = sys.stdin.buffer.read(limits.bytes + 1)
        else:
            with open_regular(source, pipes=pipes) as file:
                data = file.read(limits.bytes + 1)
    except OSError as error:
        raise DocumentError(f"{name}: {error.strerror or error}") from None
    if len(data) > limits.bytes:
        raise DocumentError(f"{name}: larger than {limits.bytes // 2**20} MiB")
    return data


def open_regular(source: str | os.PathLike[str], *, pipes: bool = False) -> BinaryIO:
    """A regular file opened for reading. A FIFO may hang and a device be endless: they are refused.

    Args:
        source: the file's name.
        pipes: open what this process was given already, too: `/dev/fd/63` and `/dev/stdin`.

    Raises:
        DocumentError: missing, unreadable, not a regular file.
    """
    file = open_binary(source, _open_at_once)
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode):
        return file
    inherited = pipes and os.fspath(source).startswith(_INHERITED)
    if inherited and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
        os.set_blocking(file.fileno(), True)
        return file
    file.close()
    hint = "use - for standard input" if stat.S_ISFIFO(mode) else None
    kind = "a directory" if stat.S_ISDIR(mode) else "a FIFO" if stat.S_ISFIFO(mode) else "a device"
    raise DocumentError(f"{source}: {kind}, expected a file", hint=hint)


_INHERITED = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def _open_at_once(path: str, flags: int) -> int:
    """An opener that doesn't wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def open_binary(source: str | os.PathLike[str], opener: Callable[[str, int], int] | None = None) -> BinaryIO:
    """A file opened for reading.

    Raises:
        DocumentError: missing, unreadable, a directory.
    """
    try:
        return open(source, "rb", opener=opener)
    except FileNotFoundError:
        raise DocumentError(f"{source}: no such file") from None
    except IsADirectoryError:
        raise DocumentError(f"{source}: a directory, expected a file") from None
    except PermissionError:
        raise DocumentError(f"{source}: permission denied") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DocumentError(f"{source}: {reason}") from None
