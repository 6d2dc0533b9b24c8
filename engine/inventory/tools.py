"""Run makers' tools, each in its own process group, with limits on time and output."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress

from engine.base.records import record

LONGEST = 16 * 1024 * 1024
"""Bytes that a tool may print to each of standard output and standard error."""

_WATCH = "read -r _; kill -KILL 0"
"""Shell script that kills its group when its input closes: by us, or by the kernel when this process dies."""


@record
class Finished:
    """Result of a tool; if it was killed, `code` is None and `trouble` is the reason."""

    code: int | None
    out: bytes = b""
    err: bytes = b""
    trouble: str | None = None


def find_tool(name: str) -> str | None:
    """Return the path of a program in PATH; the current folder is skipped, however PATH names it."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.isabs(folder):
            path = shutil.which(os.path.join(folder, name))
            if path is not None:
                return path
    return None


def run_tool(
    command: list[str], patience: float, longest: int = LONGEST, stopped: threading.Event | None = None
) -> Finished:
    """Run a program to its end, or kill it with all its children.

    Args:
        command: the absolute path of the program, and its arguments.
        patience: seconds after which it is killed.
        longest: bytes of output, or of errors, after which it is killed.
        stopped: kills it once set, by another thread.

    Raises:
        OSError: it cannot be started.
    """
    watcher = _watcher()
    try:
        group = watcher.pid if watcher is not None else 0
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=group,
        )
        with process:
            try:
                return _read(process, patience, longest, stopped or threading.Event())
            finally:
                _end(watcher.pid if watcher is not None else process.pid)
    finally:
        if watcher is not None:
            _end(watcher.pid)
            watcher.communicate()


def _watcher() -> subprocess.Popen[bytes] | None:
    """Start a group whose first process kills it once this process is gone; None without a shell."""
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCH], stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, process_group=0
        )
    except OSError:
        return None


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _read(
    process: subprocess.Popen[bytes], patience: float, longest: int, stopped: threading.Event
) -> Finished:
    """Read what a process prints until it exits; its children may keep the pipes open for longer."""
    until = time.monotonic() + patience
    assert process.stdout is not None
    assert process.stderr is not None
    buffers = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for descriptor in buffers:
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        ended = False
        while selector.get_map():
            ready = selector.select(0 if ended else min(_TICK, max(until - time.monotonic(), 0)))
            for key, _ in ready:
                block = os.read(key.fd, 1 << 16)
                buffers[key.fd] += block
                if not block:
                    selector.unregister(key.fd)
                elif len(buffers[key.fd]) > longest:
                    return Finished(None, trouble=f"printed more than {longest // 2**20} MiB and was killed")
            if stopped.is_set():
                return Finished(None, trouble="was killed")
            if time.monotonic() >= until:
                return Finished(None, trouble=f"did not answer within {patience:g} s and was killed")
            if ended and not ready:
                break
            ended = process.poll() is not None
    try:
        code = process.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return Finished(None, trouble=f"did not answer within {patience:g} s and was killed")
    out, err = buffers.values()
    return Finished(code, bytes(out), bytes(err))


_TICK = 0.05
"""Seconds between checks whether a process has exited while a child keeps its pipes open."""
