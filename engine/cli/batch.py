"""`engine batch`: decide many requests; one decision per request, in the same order."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from engine.base.errors import DocumentError
from engine.base.pool import collect_rarely, in_order
from engine.bulk.batch import CHUNK, BatchJob, LoadedJob, Written, chunks
from engine.bulk.output import open_output
from engine.bulk.resume import identify, identify_file
from engine.bulk.streams import is_parquet, is_plain, read
from engine.cli.exits import INTERNAL_FAULT, NO, YES
from engine.cli.options import (
    cache_option,
    format_option,
    policies_option,
    policy_option,
    runtime_option,
    set_option,
)
from engine.cli.progress import Progress
from engine.cli.stopping import Stopped, stops_raise
from engine.decide.request import REQUEST_INPUTS
from engine.documents.files import open_binary

_EPILOG = """
\b
Each line is a request:
  {"id": "a", "inventory": {"devices": [{"kind": "CudaGpu",
   "memory": "80GiB"}]}, "model": {"params": "8B"}, "quantization": "bf16"}

\b
With --inputs, each line holds the inputs of a policy on any subject:
  {"id": "a", "team": "search", "devices": 4}
An "id" that the policy does not declare as an input is the line's id.

\b
An invalid line does not stop the batch. Its result is
  {"id": …, "error": {"message": …, "line": 7, "path": …}}
and the exit code is 1; or 70 after an internal error, marked
{…, "internal": true}.

\b
With --ray, FILE may be a folder: each file is one task, and its decisions
go to a file of the same name in the folder --output. Both folders must be
on storage shared by all nodes. Without ADDRESS, a local Ray is started.

\b
Examples:
  engine batch requests.jsonl > decisions.jsonl
  engine batch history.jsonl.gz --jobs 4 --output decisions.jsonl.gz
  zcat history.jsonl.gz | engine batch - --policy sharding@1.0.0
  engine batch history.jsonl -o decisions.jsonl --resume
  engine batch history.parquet -o decisions.parquet
  engine batch subjects.jsonl --inputs --policy quota@1 --policies mine
  engine batch /fleet/history/ -o /fleet/decisions --ray 10.0.0.1:6379
"""


@click.command("batch", epilog=_EPILOG)
@click.argument("file", metavar="FILE|-")
@policy_option
@policies_option
@runtime_option
@cache_option
@set_option
@format_option("jsonl", "ai-hwaccel")
@click.option("--inputs", "plain", is_flag=True, help="Lines are inputs of --policy, by name, not requests.")
@click.option("--output", "-o", metavar="FILE", help="Output file; it appears once it is complete.")
@click.option("--resume", is_flag=True, help="Resume an interrupted run.")
@click.option(
    "--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Number of processes."
)
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Run on a Ray cluster (starts a local one if no address is given).",
)
def command(
    file: str,
    policy: str,
    policies: tuple[str, ...],
    runtime: str,
    use_cache: bool,
    constants: dict[str, object],
    form: str,
    plain: bool,
    output: str | None,
    resume: bool,
    jobs: int,
    address: str | None,
) -> int:
    """Decide many requests: JSON Lines or Parquet.

    Files named .gz or .zst are compressed; files named .parquet are tables.
    """
    if output is not None and is_parquet(output):
        form = _table(form)
    job = BatchJob(policy, policies, runtime, form, use_cache, constants=constants, plain=plain)
    if address is not None:
        return _on_cluster(job, file, output, resume, jobs, address)
    if resume and (output is None or not is_plain(output)):
        raise click.UsageError("--resume needs an --output that is neither compressed nor Parquet")
    if resume and file == "-":
        raise click.UsageError("--resume needs a FILE; standard input cannot be read again")
    loaded = job.load()
    own = [name for name in loaded.input_types if name not in REQUEST_INPUTS]
    if own and not plain:
        message = f"policy {loaded.name} reads inputs of its own ({', '.join(own)}): add --inputs"
        raise click.UsageError(message)
    collect_rarely()
    tally = _Tally()
    try:
        with stops_raise(), ExitStack() as stack:
            raw = sys.stdin.buffer if file == "-" else stack.enter_context(open_binary(file))
            identity = None
            if output is not None and is_plain(output) and file != "-":
                found = identify_file(raw, file)
                identity = None if found is None else identify(job, loaded, found)
            if resume and identity is None:
                raise DocumentError(f"{file}: cannot resume: a pipe or device cannot be read again")
            target = stack.enter_context(open_output(output, identity, resume, raw))
            size = size_of(raw)
            progress = stack.enter_context(Progress(size if is_plain(file) else None, output is None))
            # Answer the requests of a pipe as they arrive.
            length = 1 if size is None and jobs == 1 else CHUNK
            pieces = chunks(islice(read(raw, file), target.progress.lines, None), length)
            work = LoadedJob(job, loaded) if jobs == 1 else job.with_digest(loaded.digest)
            for written in in_order(work, pieces, jobs):
                target.write(written)
                tally.add(written)
                progress.advance(written.size, written.lines)
    except Stopped as stopped:
        return stopped.code
    return tally.verdict()


class _Tally:
    """Counts of lines, errors and internal errors."""

    def __init__(self) -> None:
        self.lines = self.failed = self.first = self.faults = 0

    def add(self, written: Written) -> None:
        self.lines += written.lines
        self.failed += written.failed
        self.first = self.first or written.first
        self.faults += written.faults

    def verdict(self) -> int:
        """Report errors on standard error and return the exit code."""
        if not self.failed:
            return YES
        first = f"; first: line {self.first}" if self.first else ""
        print(f"{self.failed} of {self.lines} lines failed{first}", file=sys.stderr)
        if self.faults:
            print(f"{self.faults} of them are internal errors; please report them", file=sys.stderr)
        return INTERNAL_FAULT if self.faults else NO


def _table(form: str) -> str:
    source = click.get_current_context().get_parameter_source("form")
    if source is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError(f"--format {form} does not apply to Parquet output, which has fixed columns")
    return "table"


def _on_cluster(job: BatchJob, folder: str, output: str | None, resume: bool, jobs: int, address: str) -> int:
    from engine.bulk.ray_cluster import decide_files

    if output is None:
        raise click.UsageError("--ray needs an --output folder")
    if jobs > 1:
        raise click.UsageError("--jobs applies to one machine; Ray uses all CPUs of its cluster")
    if Path(address).exists():
        raise click.UsageError(f"--ray {address}: expected an address, found a file; put --ray last")
    tally = _Tally()
    with Progress(None, False) as progress:
        for written in decide_files(job, Path(folder), Path(output), address=address, resume=resume):
            tally.add(written)
            progress.advance(written.size, written.lines)
    return tally.verdict()


def size_of(source: BinaryIO) -> int | None:
    """Return the size of a regular file in bytes, and None for pipes and devices."""
    try:
        status = os.fstat(source.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
