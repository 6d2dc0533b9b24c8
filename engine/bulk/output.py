"""Batch output: one writer at a time, complete or absent, resumable if the format allows it."""

from __future__ import annotations

import io
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.base.errors import DocumentError
from engine.bulk.batch import Written
from engine.bulk.resume import (
    START_OVER,
    Identity,
    Progress,
    part_of,
    read_sidecar,
    sidecar_of,
    write_sidecar,
)
from engine.bulk.streams import PlainTarget, Target, is_plain, open_target
from engine.documents.writing import publish, unwritable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_INTERVAL = 1.0
"""Seconds between two checkpoints: the most work that a kill can lose."""


class Output:
    """Destination of the answers; `progress` counts what it already holds, earlier runs included."""

    progress = Progress()

    def __init__(self, target: Target) -> None:
        self.target = target

    def write(self, written: Written) -> None:
        """Append the answers to a chunk of lines.

        Raises:
            OSError: the output cannot be written.
        """
        self.target.write(written.content)


class _PartFile(io.FileIO):
    """An unbuffered file whose writes are complete or fail: nothing can fail again at close."""

    def write(self, data: Buffer, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            rest = rest[super().write(rest) :]
        return size


class _Part(Output):
    """A regular file that gets its final name once it is complete; an open part locks out other writers."""

    def __init__(self, path: Path, raw: _PartFile, identity: Identity | None) -> None:
        super().__init__(PlainTarget(raw))
        self.path = path
        self.raw = raw
        self.identity = identity if is_plain(str(path)) else None
        self.checkpointed = time.monotonic()

    def begin(self, resume: bool) -> None:
        """Position the part after the last checkpoint of the same run, or truncate it.

        Raises:
            DocumentError: another or an unknown run wrote the part.
            OSError: the part cannot be written.
        """
        if resume and self.identity is not None and os.fstat(self.raw.fileno()).st_size:
            self.progress = read_sidecar(self.path, self.identity)
            self.verify()
        if self.identity is not None:
            write_sidecar(self.path, self.identity, self.progress)
        else:
            sidecar_of(self.path).unlink(missing_ok=True)
        self.raw.seek(self.progress.size)
        self.raw.truncate()
        self.target = open_target(self.raw, str(self.path))

    def verify(self) -> None:
        """Compare the part with the size and checksum in its sidecar.

        Raises:
            DocumentError: the part is shorter or has changed.
        """
        actual, remaining = Progress(), self.progress.size
        self.raw.seek(0)
        while block := self.raw.read(min(remaining, 1 << 20)):
            actual = actual.after(block, block.count(b"\n"))
            remaining -= len(block)
        if actual != self.progress:
            raise DocumentError(
                f"{part_of(self.path)}: cannot resume: the file has changed since it was written: "
                f"found {actual.lines} lines in {actual.size} bytes, expected {self.progress.lines} "
                f"in {self.progress.size}",
                hint=START_OVER,
            )

    def write(self, written: Written) -> None:
        """Append answers as `Output.write` does; write a checkpoint every `_INTERVAL`."""
        super().write(written)
        self.progress = self.progress.after(written.content, written.lines)
        if self.identity is not None and time.monotonic() - self.checkpointed > _INTERVAL:
            self.checkpoint(self.identity)

    def checkpoint(self, identity: Identity) -> None:
        """Flush the part to disk, then record its progress in the sidecar."""
        os.fsync(self.raw.fileno())
        write_sidecar(self.path, identity, self.progress)
        self.checkpointed = time.monotonic()

    def complete(self) -> None:
        """Rename the part to the output's name.

        Raises:
            OSError: buffered output cannot be written.
        """
        self.target.close()
        os.fsync(self.raw.fileno())
        publish(part_of(self.path), self.path)
        sidecar_of(self.path).unlink(missing_ok=True)

    def keep(self) -> str | None:
        """Keep finished lines for a later run and return a message about it, or None if they are useless."""
        if not is_plain(str(self.path)):
            self.discard()
            return None
        with suppress(OSError):
            # Cut to whole lines; on a full disk this also frees space for the checkpoint.
            self.raw.truncate(self.progress.size)
        part = part_of(self.path)
        if self.identity is None:
            return f"{part} keeps {self.progress.lines} finished lines; the run cannot be resumed"
        with suppress(OSError):  # the previous checkpoint remains valid
            self.checkpoint(self.identity)
        return f"{part} keeps {self.progress.lines} finished lines; continue with --resume"

    def discard(self) -> None:
        """Remove the part."""
        part_of(self.path).unlink(missing_ok=True)
        sidecar_of(self.path).unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove an empty part."""
        if os.fstat(self.raw.fileno()).st_size == 0:
            part_of(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and release its lock; never fails."""
        self.target.abandon()
        self.raw.close()


@contextmanager
def open_output(
    file: str | None, identity: Identity | None, resume: bool, source: BinaryIO
) -> Iterator[Output]:
    """Open the output of a batch.

    Args:
        file: its name; None means standard output.
        identity: identity of the run; None if the input cannot be read again.
        resume: continue an interrupted run.
        source: the input, which must not be overwritten.

    Raises:
        DocumentError: the output cannot be written, another run is writing it, or another run left its part.
    """
    if file is None:
        yield Output(PlainTarget(sys.stdout.buffer))
        return
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            with _open_device(path) as device:
                yield device
        else:
            with _open_part(path, identity, resume, source) as part:
                yield part
    except OSError as error:
        raise unwritable(file, error) from None


@contextmanager
def _open_device(path: Path) -> Iterator[Output]:
    if path.is_dir():
        raise DocumentError(f"{path}: a directory, expected a file")
    with _PartFile(path, "wb") as file:
        target = open_target(file, str(path))
        try:
            yield Output(target)
            target.close()
        finally:
            target.abandon()


@contextmanager
def _open_part(path: Path, identity: Identity | None, resume: bool, source: BinaryIO) -> Iterator[_Part]:
    part = _Part(path, _locked(part_of(path), source), identity)
    begun = False
    try:
        part.begin(resume)
        begun = True
        yield part
        part.complete()
    except DocumentError:
        # A bad input makes the finished lines useless; a part that cannot be resumed stays as it is.
        if begun:
            part.discard()
        raise
    except OSError as error:
        raise unwritable(path, error, part.keep() if begun else None) from None
    except BaseException as error:
        kept = part.keep() if begun else None
        if kept:
            print(f"stopped: {kept}" if isinstance(error, KeyboardInterrupt) else kept, file=sys.stderr)
        raise
    finally:
        if not begun:
            part.forget()
        part.close()


def _locked(part: Path, source: BinaryIO) -> _PartFile:
    """Open a part with an exclusive lock, which the system releases when the process ends.

    Raises:
        DocumentError: another process holds the lock, or the file is not a part.
        OSError: the part cannot be opened.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file = _PartFile(os.open(part, flags, 0o666), "r+b")
        try:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or _same(status, source):
                raise DocumentError(f"{part}: not the output of an interrupted run; refusing to overwrite it")
            lock(file.fileno(), part)
            if _is_still(part, status):
                return file
        except BaseException:
            file.close()
            raise
        # The run that held the lock has completed in the meantime; the name is free, or a newer run's.
        file.close()


def lock(descriptor: int, part: Path) -> None:
    """Lock an open part until it is closed.

    Raises:
        DocumentError: another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks, and refuses to replace an open file
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DocumentError(
            f"{part}: another run is writing this file", hint="wait for that run, or stop it"
        ) from None


def _same(status: os.stat_result, source: BinaryIO) -> bool:
    try:
        return os.path.samestat(status, os.fstat(source.fileno()))
    except OSError:  # standard input is not a file
        return False


def _is_still(part: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.stat(part))
    except FileNotFoundError:
        return False
