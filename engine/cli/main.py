"""`engine`: the one place where results and errors become exit codes.

The most usual command needs none of what click brings along; importing it takes longer than deciding.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from engine.cli import quick
from engine.cli.exits import BAD_INPUT, FRAMES, INTERRUPTED
from engine.errors import EngineError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), FRAMES))
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        code = quick.run(sys.argv[1:] if arguments is None else arguments)
        if code is not None:
            return code
        from engine.cli.app import run

        return run(arguments)
    except EngineError as error:
        _report(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"error: can't read or write: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT


def _report(error: EngineError) -> None:
    for problem in error.problems[:_MOST_PROBLEMS]:
        print(f"error: {problem.render()}", file=sys.stderr)
    rest = len(error.problems) - _MOST_PROBLEMS
    if rest > 0:
        print(f"error: and {rest} more", file=sys.stderr)


_MOST_PROBLEMS = 20

if __name__ == "__main__":
    sys.exit(main())
