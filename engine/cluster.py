"""A folder of requests, decided on a Ray cluster: a file is a task, its decisions a file of the same name.

A task writes beside its file's place and moves what it has written there when it is whole. So the work of a
worker that is killed is done again by another, and the output holds each decision exactly once.
"""

from __future__ import annotations

import logging
import marshal
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from engine.batch import BatchJob, Written, answer_lines, chunks
from engine.decide import Policy, load_policy
from engine.documents.files import is_path_like, open_binary
from engine.errors import DocumentError, EngineError
from engine.records import record
from engine.streams import is_parquet, open_target, read

_PATIENCE = 10.0
"""Seconds for a cluster's answer."""

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


def decide_files(
    job: BatchJob, folder: Path, output: Path, *, address: str = "local", resume: bool = False
) -> Iterator[Written]:
    """Decide every file of a folder; what was written comes file by file, without its content.

    The output is a folder that appears when it is complete. What a stopped run has done is in OUTPUT.part,
    where one that resumes goes on.

    Args:
        job: what decides; its policy is sent along.
        folder: the requests: .jsonl, .jsonl.gz, .jsonl.zst and .parquet files, those of folders in it too.
        output: the folder for the decisions.
        address: of the cluster; "local" starts a Ray of its own on this machine.
        resume: leave out the files that a stopped run has done.

    Raises:
        EngineError: nothing to decide, a damaged file, no such cluster, Ray isn't installed.
    """
    names = _names(folder)
    if job.form == "ai-hwaccel" and any(map(is_parquet, names)):
        raise DocumentError(
            f"{folder}: a Parquet file's decisions are columns, not lines of ai-hwaccel's form"
        )
    part = _part(output, resume)
    waiting = [name for name in names if not (part / name).exists()]
    task = _Task(_parcel(job), str(folder), str(part))
    if waiting:
        with _ray(address) as data:
            # One block a file: a block is what Ray gives to a worker, and what it does again.
            files = data.from_items(waiting, override_num_blocks=len(waiting))
            for row in files.map_batches(task, batch_size=1).iter_rows():
                yield _checked(row)
    for left_over in part.rglob("*.part-*"):
        left_over.unlink()
    part.replace(output)


def _names(folder: Path) -> list[str]:
    """The files of requests, by their paths in the folder."""
    if not folder.is_dir():
        raise DocumentError(f"{folder}: not a folder", hint="--ray decides the files of a folder")
    names = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.endswith(_ENDINGS)
    )
    if not names:
        raise DocumentError(f"{folder}: no {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]} file in it")
    return names


def _part(output: Path, resume: bool) -> Path:
    """Where the decisions are written until all are there."""
    part = output.with_name(f"{output.name}.part")
    if output.exists():
        raise DocumentError(f"{output}: exists already")
    if part.exists() and not resume:
        raise DocumentError(f"{part}: exists already", hint="--resume goes on where that run was stopped")
    try:
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DocumentError(f"{part}: {(error.strerror or str(error)).lower()}") from None
    return part


@contextmanager
def _ray(address: str) -> Iterator[Any]:
    """Ray Data, connected."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise EngineError("Ray is not installed", hint="pip install 'shard-policy-engine[ray]'") from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
    try:
        if address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        else:
            _reach(address)
            ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineError(f"no Ray at {address}: {str(error).partition(chr(10))[0]}") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        yield ray.data
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself tries for minutes where nobody listens.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE).close()


def _checked(row: Mapping[str, Any]) -> Written:
    """What a task said that it has written."""
    if row["problem"]:
        raise DocumentError(row["problem"])
    return Written(b"", int(row["lines"]), int(row["size"]), int(row["failed"]))


@record
class _Parcel:
    """All that a worker needs to decide: the compiled policy, and its sources to explain what goes wrong."""

    job: BatchJob
    image: bytes
    files: Mapping[str, bytes]

    def open(self) -> Policy:
        """The policy, once for each process."""
        image = marshal.loads(self.image)
        digest = image["digest"]
        if digest not in _opened:
            policy = Policy(image, self._compile)
            policy.prepare(self.job.runtime)
            _opened[digest] = policy
        return _opened[digest]

    def _compile(self) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.files.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            reference = self.job.policy
            if is_path_like(reference):
                reference = str(Path(folder, _ALONE, Path(reference).name))
            folders = [str(Path(folder, str(number))) for number in range(len(self.job.policies))]
            return load_policy(reference, folders, use_cache=False).compiled


_ALONE = "policy"
"""The folder of a policy that was named by its file."""

_opened: dict[str, Policy] = {}


def _parcel(job: BatchJob) -> _Parcel:
    policy = job.load()
    files: dict[str, bytes] = {}
    for number, folder in enumerate(job.policies):
        for path in Path(folder).rglob("*.y*ml"):
            files[f"{number}/{path.relative_to(folder)}"] = path.read_bytes()
    if is_path_like(job.policy):
        files[f"{_ALONE}/{Path(job.policy).name}"] = Path(job.policy).read_bytes()
    return _Parcel(job, marshal.dumps(dict(policy.image)), files)


@record
class _Task:
    """What a worker does with a file."""

    parcel: _Parcel
    folder: str
    output: str

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        name = str(batch["item"][0])
        try:
            written, problem = self.decide(name), ""
        except EngineError as error:
            written, problem = Written(b"", 0, 0), str(error)
        return {
            "lines": [written.lines],
            "size": [written.size],
            "failed": [written.failed],
            "problem": [problem],
        }

    def decide(self, name: str) -> Written:
        """Write the decisions on the file of that name, and say how many."""
        policy, job = self.parcel.open(), self.parcel.job
        form = "table" if is_parquet(name) else job.form
        target = Path(self.output, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part-{os.getpid()}-{uuid.uuid4().hex}")
        lines = size = failed = 0
        try:
            source = Path(self.folder, name)
            with open_binary(source) as raw, closing(open_target(part, name)) as writer:
                for chunk in chunks(read(raw, str(source))):
                    written = answer_lines(policy, chunk, job.runtime, form)
                    writer.write(written.content)
                    lines, size = lines + written.lines, size + written.size
                    failed += written.failed
            part.replace(target)
        except OSError as error:
            raise DocumentError(f"{target}: {(error.strerror or str(error)).lower()}") from None
        finally:
            part.unlink(missing_ok=True)
        return Written(b"", lines, size, failed)
