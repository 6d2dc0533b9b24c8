"""`engine batch`: many requests in, one JSON line each; as many decisions out, in the same order."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO

import click

from engine.batch import Answer, decide_line, read_lines
from engine.cli.main import NO, YES
from engine.cli.options import format_option, policies_option, policy_option, runtime_option
from engine.cli.progress import Progress
from engine.decide import Decision, load_policy
from engine.errors import DocumentError, RenderError
from engine.render import ai_hwaccel
from engine.render import json as json_target

_FORMATS: dict[str, Callable[[Decision], str]] = {"jsonl": json_target.line, "ai-hwaccel": ai_hwaccel.line}

_EPILOG = """
\b
A line is a request:
  {"id": "a", "inventory": {"devices": [{"kind": "CudaGpu",
   "memory": "80GiB"}]}, "model": {"params": "8B"}, "quantization": "bf16"}

\b
A line that can't be decided becomes
  {"id": …, "error": {"message": …, "line": 7, "path": …}}
and the rest goes on; the exit code is 1 then.

\b
Examples:
  engine batch requests.jsonl > decisions.jsonl
  zcat history.jsonl.gz | engine batch - --policy sharding@1.0.0
"""


@click.command("batch", epilog=_EPILOG)
@click.argument("file", metavar="FILE|-")
@policy_option
@policies_option
@runtime_option
@format_option(*_FORMATS)
def command(file: str, policy: str, policies: tuple[str, ...], runtime: str, form: str) -> int:
    """Decide many requests, one JSON line each."""
    loaded = load_policy(policy, policies)
    loaded.prepare(runtime)
    total = failed = first = 0
    with ExitStack() as stack:
        source = sys.stdin.buffer if file == "-" else stack.enter_context(_open(file))
        progress = stack.enter_context(Progress(_size(source)))
        for line in read_lines(source):
            total += 1
            text, good = _written(decide_line(loaded, line, runtime), _FORMATS[form])
            sys.stdout.write(text)
            if not good:
                failed += 1
                first = first or line.number
            progress.advance(line.size)
    if not failed:
        return YES
    print(f"{failed} of {total} lines have an error; the first is line {first}", file=sys.stderr)
    return NO


def _written(answer: Answer, form: Callable[[Decision], str]) -> tuple[str, bool]:
    """The line of an answer, and whether it is a decision."""
    problem = answer.problem
    if answer.decision is not None:
        try:
            return form(answer.decision), True
        except RenderError as error:
            problem = error.problems[0]
    assert problem is not None
    return json_target.error_line(answer.id, problem, answer.line.number), False


def _open(file: str) -> BinaryIO:
    try:
        return open(file, "rb")
    except (OSError, ValueError) as error:
        raise DocumentError(f"{file}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None


def _size(source: BinaryIO) -> int | None:
    """Bytes of what is read, where that is known beforehand."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
