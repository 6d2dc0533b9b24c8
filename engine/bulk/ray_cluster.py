"""Decide a folder of requests on a Ray cluster: one task per file, one output file per task.

A task writes to a temporary file and renames it when it is complete. If a worker is killed, another one
repeats its task, and the output still holds each decision exactly once.
"""

from __future__ import annotations

import atexit
import logging
import marshal
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from engine.base.errors import DocumentError, EngineError
from engine.bulk.batch import BatchJob, Written, answer_lines, chunks
from engine.bulk.output import lock
from engine.bulk.resume import (
    Identity,
    identify,
    identify_folder,
    part_of,
    read_sidecar,
    sidecar_of,
    write_sidecar,
)
from engine.bulk.streams import is_parquet, open_target, read
from engine.catalogs.store import part_files
from engine.decide.policy import Policy, catalogs_of, load_policy
from engine.documents.files import is_path_like, open_binary
from engine.documents.writing import publish, unwritable

if TYPE_CHECKING:
    from engine.policy import CompiledPolicy

_PATIENCE = 10.0
"""Seconds to wait for a cluster to accept a connection."""

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


def decide_files(
    job: BatchJob, folder: Path, output: Path, *, address: str = "local", resume: bool = False
) -> Iterator[Written]:
    """Decide every file of a folder; yield the counts of each finished file.

    The output folder appears when it is complete. Until then, finished files are in OUTPUT.part, from where a
    later run can resume.

    Args:
        job: the policy and how to decide; the policy is shipped to the workers.
        folder: .jsonl, .jsonl.gz, .jsonl.zst and .parquet files, in subfolders too.
        output: the folder for the decisions.
        address: address of the cluster; "local" starts Ray on this machine.
        resume: skip files that an interrupted run has finished.

    Raises:
        EngineError: no requests, a damaged file, no cluster at that address, or Ray is not installed.
    """
    names = _names(folder)
    if job.form == "ai-hwaccel" and any(map(is_parquet, names)):
        raise DocumentError(f"{folder}: Parquet output has columns; --format ai-hwaccel needs lines")
    parcel = _parcel(job)
    identity = identify(job, parcel.open(), identify_folder(folder, names))
    with _locked_part(output, identity, resume) as part:
        waiting = [name for name in names if not (part / name).exists()]
        task = _Task(parcel, str(folder), str(part))
        if waiting:
            with _ray(address) as data:
                # One block per file: Ray schedules and retries blocks.
                files = data.from_items(waiting, override_num_blocks=len(waiting))
                for row in files.map_batches(task, batch_size=1).iter_rows():
                    yield _result(row)
        for left_over in part.rglob("*.part-*"):
            left_over.unlink()
        publish(part, output)
        sidecar_of(output).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    """Return the paths of request files, relative to the folder."""
    if not folder.is_dir():
        raise DocumentError(f"{folder}: not a folder", hint="--ray takes a folder of request files")
    names = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.endswith(_ENDINGS)
    )
    if not names:
        raise DocumentError(f"{folder}: no {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]} file in it")
    return names


@contextmanager
def _locked_part(output: Path, identity: Identity, resume: bool) -> Iterator[Path]:
    """Lock and return the folder that holds the decisions until all are complete.

    Raises:
        DocumentError: it cannot be written, another run is writing it, or another run left it.
    """
    part = part_of(output)
    if output.exists():
        raise DocumentError(f"{output}: already exists")
    if part.exists() and not resume:
        raise DocumentError(f"{part}: already exists", hint="use --resume to continue the interrupted run")
    try:
        part.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY)
    except OSError as error:
        raise unwritable(part, error) from None
    try:
        lock(descriptor, part)
        if any(part.iterdir()):
            read_sidecar(output, identity)
        write_sidecar(output, identity)
        yield part
    except OSError as error:
        raise unwritable(output, error) from None
    finally:
        os.close(descriptor)


@contextmanager
def _ray(address: str) -> Iterator[ModuleType]:
    """Connect to Ray and return Ray Data."""
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
    """Connect to the address once, because Ray itself retries for minutes.

    Raises:
        OSError: nothing listens at the address.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE).close()


def _result(row: Mapping[str, Any]) -> Written:
    """Turn the row that a task returned into counts, or raise its error."""
    if row["problem"]:
        raise DocumentError(row["problem"])
    return Written(b"", int(row["lines"]), int(row["size"]), int(row["failed"]))


class _Parcel(Struct, frozen=True):
    """Everything a worker needs: the compiled policy, and its sources for diagnostics."""

    job: BatchJob
    image: bytes
    files: Mapping[str, bytes]

    def open(self) -> Policy:
        """Return the policy, loaded once per process."""
        image = marshal.loads(self.image)
        digest = image["digest"]
        if digest not in _opened:
            policy = Policy(image, self._compile, catalogs=catalogs_of(image, self._unpacked()))
            policy.prepare(self.job.runtime)
            _opened[digest] = policy
        return _opened[digest]

    def _unpacked(self) -> list[str]:
        """Write the folders of policies to this node, where readers and warnings find their catalogs."""
        if not self.job.policies:
            return []
        folder = tempfile.mkdtemp(prefix="engine-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self._write(folder)
        return [str(Path(folder, str(number))) for number in range(len(self.job.policies))]

    def _write(self, folder: str) -> None:
        for name, content in self.files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def _compile(self) -> CompiledPolicy:
        with tempfile.TemporaryDirectory() as folder:
            self._write(folder)
            reference = self.job.policy
            if is_path_like(reference):
                reference = str(Path(folder, _ALONE, Path(reference).name))
            folders = [str(Path(folder, str(number))) for number in range(len(self.job.policies))]
            return load_policy(reference, folders, constants=self.job.constants, use_cache=False).compiled


_ALONE = "policy"
"""Folder for a policy that was named by its file."""

_opened: dict[str, Policy] = {}


def _parcel(job: BatchJob) -> _Parcel:
    policy = job.load()
    files: dict[str, bytes] = {}
    for number, folder in enumerate(job.policies):
        for path in Path(folder).rglob("*.y*ml"):
            files[f"{number}/{path.relative_to(folder)}"] = path.read_bytes()
    if is_path_like(job.policy):
        alone = Path(job.policy)
        for path in map(Path, part_files(job.policy)) if alone.is_dir() else [alone]:
            files[f"{_ALONE}/{path.relative_to(alone.parent)}"] = path.read_bytes()
    return _Parcel(job, marshal.dumps(dict(policy.image)), files)


class _Task(Struct, frozen=True):
    """The task of a worker: decide one file."""

    parcel: _Parcel
    folder: str
    output: str

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[int] | list[str]]:
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
        """Write the decisions for one file and return their counts."""
        policy, job = self.parcel.open(), self.parcel.job
        form = "table" if is_parquet(name) else job.form
        target = Path(self.output, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part-{os.getpid()}-{uuid.uuid4().hex}")
        lines = size = failed = 0
        try:
            source = Path(self.folder, name)
            with open_binary(source) as raw, part.open("wb") as file:
                writer = open_target(file, name)
                try:
                    for chunk in chunks(read(raw, str(source))):
                        written = answer_lines(policy, chunk, job.runtime, form, job.plain)
                        writer.write(written.content)
                        lines, size = lines + written.lines, size + written.size
                        failed += written.failed
                    writer.close()
                finally:
                    writer.abandon()
                file.flush()
                os.fsync(file.fileno())
            publish(part, target)
        except OSError as error:
            raise unwritable(target, error) from None
        finally:
            part.unlink(missing_ok=True)
        return Written(b"", lines, size, failed)
