"""`engine batch`: many requests in, one JSON line each; as many decisions out, in the same order."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from engine.batch import CHUNK, BatchJob, Written, chunks
from engine.cli.exits import NO, YES
from engine.cli.options import cache_option, format_option, policies_option, policy_option, runtime_option
from engine.cli.progress import Progress
from engine.documents.files import open_binary
from engine.errors import DocumentError
from engine.executor import collect_rarely, in_order
from engine.streams import Target, is_parquet, is_plain, open_target, read

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
With --ray, FILE may be a folder; each file in it is one task, and its
decisions are in a file of the same name in the folder --output. Every
node must see both folders. Without ADDRESS, Ray is started here.

\b
Examples:
  engine batch requests.jsonl > decisions.jsonl
  engine batch history.jsonl.gz --jobs 4 --output decisions.jsonl.gz
  zcat history.jsonl.gz | engine batch - --policy sharding@1.0.0
  engine batch history.jsonl -o decisions.jsonl --resume
  engine batch history.parquet -o decisions.parquet
  engine batch /fleet/history/ -o /fleet/decisions --ray 10.0.0.1:6379
"""


@click.command("batch", epilog=_EPILOG)
@click.argument("file", metavar="FILE|-")
@policy_option
@policies_option
@runtime_option
@cache_option
@format_option("jsonl", "ai-hwaccel")
@click.option("--output", "-o", metavar="FILE", help="Write there; it appears when it is complete.")
@click.option("--resume", is_flag=True, help="Go on where a run into --output was stopped.")
@click.option("--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Decide on a Ray cluster, or on a Ray that is started here.",
)
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
    address: str | None,
) -> int:
    """Decide many requests, one JSON line each.

    Files whose names end in .gz or .zst are read and written compressed, and those in .parquet as tables.
    """
    if output is not None and is_parquet(output):
        form = _table(form)
    job = BatchJob(policy, policies, runtime, form, use_cache)
    if address is not None:
        return _on_cluster(job, file, output, resume, jobs, address)
    if resume and (output is None or not is_plain(output)):
        raise click.UsageError("--resume goes with an --output that is neither compressed nor Parquet")
    if jobs > 1:
        job.load()  # what is wrong with it is told before processes are started
    collect_rarely()
    tally = _Tally()
    with ExitStack() as stack:
        raw = sys.stdin.buffer if file == "-" else stack.enter_context(open_binary(file))
        target, done = stack.enter_context(_output(output, resume))
        size = size_of(raw)
        progress = stack.enter_context(Progress(size if is_plain(file) else None, output is None))
        # What comes through a pipe is answered as it comes.
        pieces = chunks(islice(read(raw, file), done, None), 1 if size is None and jobs == 1 else CHUNK)
        for written in in_order(job, pieces, jobs):
            target.write(written.content)
            tally.add(written)
            progress.advance(written.size, written.lines)
    return tally.verdict()


class _Tally:
    """How many lines there were, and how many of them have an error."""

    def __init__(self) -> None:
        self.lines = self.failed = self.first = 0

    def add(self, written: Written) -> None:
        self.lines += written.lines
        self.failed += written.failed
        self.first = self.first or written.first

    def verdict(self) -> int:
        """Tells of errors, and gives the exit code."""
        if not self.failed:
            return YES
        first = f"; the first is line {self.first}" if self.first else ""
        print(f"{self.failed} of {self.lines} lines have an error{first}", file=sys.stderr)
        return NO


def _table(form: str) -> str:
    source = click.get_current_context().get_parameter_source("form")
    if source is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError(f"--format {form} is for lines; a Parquet file has columns of its own")
    return "table"


def _on_cluster(job: BatchJob, folder: str, output: str | None, resume: bool, jobs: int, address: str) -> int:
    from engine.cluster import decide_files

    if output is None:
        raise click.UsageError("--ray needs an --output folder")
    if jobs > 1:
        raise click.UsageError("--jobs is for one machine; Ray uses what its cluster has")
    if Path(address).exists():
        raise click.UsageError(f"--ray {address} is a file, expected an address; put --ray last")
    tally = _Tally()
    with Progress(None, False) as progress:
        for written in decide_files(job, Path(folder), Path(output), address=address, resume=resume):
            tally.add(written)
            progress.advance(written.size, written.lines)
    return tally.verdict()


@contextmanager
def _output(file: str | None, resume: bool) -> Iterator[tuple[Target, int]]:
    """Standard output, or a file that gets its name when it is complete; and how many lines it has already.

    What a stopped run has written stays beside it as FILE.part, for --resume.
    """
    if file is None:
        yield sys.stdout.buffer, 0
        return
    part = Path(f"{file}.part")
    stopped = False
    try:
        done = _whole_lines(part) if resume else 0
        target = open_target(part, file, append=resume)
        try:
            yield target, done
        except KeyboardInterrupt:
            stopped = is_plain(file)
            if stopped:
                print(f"stopped; --resume goes on with {part}", file=sys.stderr)
            raise
        finally:
            target.close()
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


def size_of(source: BinaryIO) -> int | None:
    """Bytes of what is read, where that is known beforehand."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
