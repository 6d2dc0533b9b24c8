"""`engine`: the entry point, which turns results and errors into exit codes.

The most common command does not need click, whose import takes longer than a decision.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

from engine.base.errors import NO_FAULTS, EngineError, internal_fault
from engine.cli import quick
from engine.cli.exits import BAD_INPUT, BROKEN_PIPE, FRAMES, INTERNAL_FAULT, INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), FRAMES))
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from engine.cli.closed import stand_in

        stand_in()
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    code = _run(arguments)
    for stream in (sys.stdout, sys.stderr):
        _settle(stream)
    if arguments is None:
        gc.freeze()  # the process ends now; looking for garbage before it does takes longer than the decision
    return code


def _run(arguments: Sequence[str] | None) -> int:
    """Run a command, flush its output and return its exit code."""
    try:
        code = quick.run(sys.argv[1:] if arguments is None else arguments)
        if code is None:
            from engine.cli.app import run

            code = run(arguments)
        sys.stdout.flush()
        return code
    except EngineError as error:
        _report(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        if error.errno is None and isinstance(error, ValueError):  # io.UnsupportedOperation
            return _report_fault(error)
        _say(f"error: cannot read or write: {error.strerror or error}")
        return BAD_INPUT
    except NO_FAULTS:
        raise
    except BaseException as error:  # panics of Rust extensions are no Exceptions
        return _report_fault(error)


def _report(error: EngineError) -> None:
    for problem in error.problems[:_MOST_PROBLEMS]:
        _say(f"error: {problem.render()}")
    rest = len(error.problems) - _MOST_PROBLEMS
    if rest > 0:
        _say(f"error: and {rest} more")


def _report_fault(error: BaseException) -> int:
    try:
        problem = internal_fault(error)
        _say(f"{problem.message}; {problem.hint}")
    except MemoryError:  # not enough memory for the full message
        _say("out of memory")
    return INTERNAL_FAULT


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it; the exit code remains
        print(text, file=sys.stderr)


def _settle(stream: TextIO) -> None:
    """Flush a stream, or discard its buffer: a failure at interpreter exit would change the exit code."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):  # no descriptor, or not writable
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_MOST_PROBLEMS = 20

if __name__ == "__main__":
    sys.exit(main())
