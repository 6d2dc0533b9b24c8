"""`engine batch`: many requests in, one JSON line each; as many decisions out, in the same order."""

from __future__ import annotations

import gc
import multiprocessing
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from engine.batch import Answer, Line, decide_line, read_lines
from engine.cli import compression
from engine.cli.exits import FRAMES, NO, YES
from engine.cli.options import cache_option, format_option, policies_option, policy_option, runtime_option
from engine.cli.progress import Progress
from engine.decide import Decision, Policy, load_policy
from engine.documents.files import open_binary
from engine.errors import DocumentError, EngineError, RenderError
from engine.records import record
from engine.render import ai_hwaccel
from engine.render import json as json_target

_FORMATS: dict[str, Callable[[Decision], str]] = {"jsonl": json_target.line, "ai-hwaccel": ai_hwaccel.line}
_CHUNK = 256
"""Lines that a process is given at once."""

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
  engine batch history.jsonl.gz --jobs 4 --output decisions.jsonl.gz
  zcat history.jsonl.gz | engine batch - --policy sharding@1.0.0
  engine batch history.jsonl -o decisions.jsonl --resume
"""


@record
class _Work:
    """What every process of a batch needs to know."""

    policy: str
    policies: tuple[str, ...]
    runtime: str
    form: str
    use_cache: bool

    def load(self) -> Policy:
        """The policy, ready to decide."""
        loaded = load_policy(self.policy, self.policies, use_cache=self.use_cache)
        loaded.prepare(self.runtime)
        return loaded


@record
class _Written:
    """A piece of the output: its text, the lines and bytes of the input that it answers, how many of them are
    errors, and which line of the input has the first one."""

    text: str
    lines: int
    size: int
    failed: int = 0
    first: int = 0


@click.command("batch", epilog=_EPILOG)
@click.argument("file", metavar="FILE|-")
@policy_option
@policies_option
@runtime_option
@cache_option
@format_option(*_FORMATS)
@click.option("--output", "-o", metavar="FILE", help="Write there; it appears when it is complete.")
@click.option("--resume", is_flag=True, help="Go on where a run into --output was stopped.")
@click.option("--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
def command(
    file: str,
    policy: str,
    policies: tuple[str, ...],
    runtime: str,
    use_cache: bool,
    form: str,
    output: str | None,
    resume: bool,
    jobs: int,
) -> int:
    """Decide many requests, one JSON line each.

    Files whose names end in .gz or .zst are read and written compressed.
    """
    if resume and (output is None or output.endswith((".gz", ".zst"))):
        raise click.UsageError("--resume goes with an --output that is not compressed")
    work = _Work(policy, policies, runtime, form, use_cache)
    loaded = work.load()
    _collect_rarely()
    total = failed = first = 0
    with ExitStack() as stack:
        raw = sys.stdin.buffer if file == "-" else stack.enter_context(open_binary(file))
        source = compression.reader(raw, file)
        target, done = stack.enter_context(_output(output, resume))
        progress = stack.enter_context(Progress(_size(raw) if source is raw else None, output is None))
        lines = islice(_readable(read_lines(source), file), done, None)
        written = _in_processes(lines, work, jobs) if jobs > 1 else _decided(lines, loaded, work)
        for each in written:
            total += each.lines
            target.write(each.text)
            failed += each.failed
            first = first or each.first
            progress.advance(each.size, each.lines)
    if not failed:
        return YES
    print(f"{failed} of {total} lines have an error; the first is line {first}", file=sys.stderr)
    return NO


def _decided(lines: Iterable[Line], policy: Policy, work: _Work) -> Iterator[_Written]:
    """One line after the other."""
    form = _FORMATS[work.form]
    for line in lines:
        yield _written(decide_line(policy, line, work.runtime), form)


def _in_processes(lines: Iterator[Line], work: _Work, jobs: int) -> Iterator[_Written]:
    """As many processes as asked for, in the lines' order; only a few chunks are on the way at any time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start, (work,)) as pool:
        waiting: deque[Future[_Written]] = deque()
        try:
            while True:
                while len(waiting) < 3 * jobs and (chunk := list(islice(lines, _CHUNK))):
                    waiting.append(pool.submit(_decide_chunk, chunk))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise EngineError(
                "one of the processes ended before its work was done", hint="fewer --jobs need less memory"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _collect_rarely() -> None:
    """What a decision leaves behind is freed as it goes; there is next to nothing for the collector."""
    gc.freeze()
    gc.set_threshold(100_000)


class _Process:
    """What one of several processes has loaded."""

    work: _Work
    policy: Policy


def _start(work: _Work) -> None:
    sys.setrecursionlimit(FRAMES)
    _collect_rarely()
    _Process.work, _Process.policy = work, work.load()


def _decide_chunk(lines: list[Line]) -> _Written:
    written = list(_decided(lines, _Process.policy, _Process.work))
    return _Written(
        "".join([each.text for each in written]),
        len(written),
        sum(each.size for each in written),
        sum(each.failed for each in written),
        next((each.first for each in written if each.first), 0),
    )


def _written(answer: Answer, form: Callable[[Decision], str]) -> _Written:
    line, problem = answer.line, answer.problem
    if answer.decision is not None:
        try:
            return _Written(form(answer.decision), 1, line.size)
        except RenderError as error:
            problem = error.problems[0]
    assert problem is not None
    return _Written(json_target.error_line(answer.id, problem, line.number), 1, line.size, 1, line.number)


def _readable(lines: Iterator[Line], file: str) -> Iterator[Line]:
    faults: tuple[type[Exception], ...] = (OSError, EOFError, *compression.faults())
    try:
        yield from lines
    except faults as error:
        reason = str(error).partition(":")[0]
        raise DocumentError(f"{file}: {reason[:1].lower()}{reason[1:]}") from None


@contextmanager
def _output(file: str | None, resume: bool) -> Iterator[tuple[TextIO, int]]:
    """Standard output, or a file that gets its name when it is complete; and how many lines it has already.

    What a stopped run has written stays beside it as FILE.part, for --resume.
    """
    if file is None:
        yield sys.stdout, 0
        return
    part = Path(f"{file}.part")
    stopped = False
    try:
        done = _whole_lines(part) if resume else 0
        with compression.writer(part, file, append=resume) as target:
            try:
                yield target, done
            except KeyboardInterrupt:
                stopped = not file.endswith((".gz", ".zst"))
                if stopped:
                    print(f"stopped; --resume goes on with {part}", file=sys.stderr)
                raise
        part.replace(file)
    except OSError as error:
        raise DocumentError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    finally:
        if not stopped:
            part.unlink(missing_ok=True)


def _whole_lines(part: Path) -> int:
    """The lines of an earlier run's output; what it has of a last, broken line is cut off."""
    try:
        with part.open("r+b") as file:
            lines = end = 0
            while block := file.read(1 << 20):
                lines += block.count(b"\n")
                last = block.rfind(b"\n")
                if last >= 0:
                    end = file.tell() - len(block) + last + 1
            file.truncate(end)
    except FileNotFoundError:
        return 0
    return lines


def _size(source: BinaryIO) -> int | None:
    """Bytes of what is read, where that is known beforehand."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
