"""Resume interrupted runs from OUTPUT.part and its sidecar OUTPUT.resume.json.

The sidecar identifies the run that wrote the part (policy with catalogs, options, input) and records how much
of the part is on disk. A run resumes only if all of this is unchanged. The format of the sidecar:

    {"version": 1, "engine": "2.0.0",
     "policy": {"name": …, "version": …, "digest": …, "auto": {INPUT: digest}},
     "options": {"format": …, "runtime": …, "environment": {ENGINE_…: …}},
     "input": {"path": …, "kind": …, "bytes": …, "sha256": …},
     "output": {"lines": …, "bytes": …, "crc32": …}}

For a folder, `input` has `files` with `bytes` and `mtime_ns` for each file, and there is no `output`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NotRequired, TypedDict, cast, final

from msgspec import Struct

from engine._version import __version__
from engine.base.errors import DocumentError
from engine.bulk.batch import BatchJob
from engine.bulk.streams import kind
from engine.decide.policy import Policy
from engine.documents.writing import replace_file

_VERSION = 1
_LONGEST = 64 * 1024 * 1024
"""Maximum size of a sidecar in bytes; the one of a folder lists all its files."""

_LIMITS = (
    *("ENGINE_CANDIDATES", "ENGINE_EXPRESSION_DEPTH", "ENGINE_EXPRESSION_LENGTH", "ENGINE_POLICY_LENGTH"),
    *("ENGINE_POLICY_PARTS", "ENGINE_RESULT_SIZE", "ENGINE_STEPS", "ENGINE_VALUE_SIZE"),
)
"""Environment variables that change answers: the limits of docs/architecture.md."""

START_OVER = "omit --resume to start over"


@final
class FileDict(TypedDict):
    """An input that is a file."""

    path: str
    kind: str
    bytes: int
    sha256: str


@final
class FolderDict(TypedDict):
    """An input that is a folder: size and time of each of its files."""

    path: str
    kind: str
    files: dict[str, dict[str, int]]


class PolicyDict(TypedDict):
    """The policy, and the digests of those that choose inputs."""

    name: str
    version: str
    digest: str
    auto: dict[str, str]


class OptionsDict(TypedDict):
    """The options and environment variables that answers depend on."""

    format: str
    runtime: str
    environment: dict[str, str]
    inputs: NotRequired[bool]


class Identity(TypedDict):
    """The parts of a sidecar that identify the run."""

    version: int
    engine: str
    policy: PolicyDict
    options: OptionsDict
    input: FileDict | FolderDict


class Progress(Struct, frozen=True):
    """Finished lines of a part, their size in bytes, and the CRC-32 of these bytes."""

    lines: int = 0
    size: int = 0
    crc32: int = 0

    def after(self, content: bytes, lines: int) -> Progress:
        """Return the progress after appending `content`, which answers that many lines."""
        return Progress(self.lines + lines, self.size + len(content), zlib.crc32(content, self.crc32))


def part_of(output: Path) -> Path:
    """Return the file that holds an output until it is complete."""
    return output.with_name(f"{output.name}.part")


def sidecar_of(output: Path) -> Path:
    """Return the file that records which run writes an output."""
    return output.with_name(f"{output.name}.resume.json")


def identify(job: BatchJob, policy: Policy, input_: FileDict | FolderDict) -> Identity:
    """Return everything that the answers depend on."""
    auto = {name: image["digest"] for name, image in policy.image["auto"].items()}
    environment = {name: os.environ[name] for name in _LIMITS if name in os.environ}
    options: OptionsDict = {"format": job.form, "runtime": job.runtime, "environment": environment}
    if job.plain:
        options["inputs"] = True
    return {
        "version": _VERSION,
        "engine": __version__,
        "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest, "auto": auto},
        "options": options,
        "input": input_,
    }


def identify_file(raw: BinaryIO, name: str) -> FileDict | None:
    """Return the identity of an open file, a hash of its content; None for a pipe, which cannot be reread."""
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    digest = hashlib.file_digest(cast(io.BufferedReader, raw), "sha256").hexdigest()
    size = raw.tell()
    raw.seek(0)
    return {"path": os.path.abspath(name), "kind": kind(name), "bytes": size, "sha256": digest}


def identify_folder(folder: Path, names: list[str]) -> FolderDict:
    """Return the identity of a folder: sizes and times of its files, too large to be hashed."""
    files = {}
    for name in names:
        status = (folder / name).stat()
        files[name] = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return {"path": os.path.abspath(folder), "kind": "folder", "files": files}


def write_sidecar(output: Path, identity: Identity, progress: Progress | None = None) -> None:
    """Replace the sidecar of a run atomically.

    Raises:
        OSError: it cannot be written; the previous one is intact.
    """
    document: dict[str, object] = {**identity}
    if progress is not None:
        document["output"] = {"lines": progress.lines, "bytes": progress.size, "crc32": progress.crc32}
    replace_file(sidecar_of(output), (json.dumps(document, indent=1) + "\n").encode())


def read_sidecar(output: Path, identity: Identity) -> Progress:
    """Return the progress of the run that left a part, if its identity matches.

    Raises:
        DocumentError: the sidecar is missing, damaged, or of another run; lists all differences.
    """
    path = sidecar_of(output)
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_LONGEST))
    except FileNotFoundError:
        raise DocumentError(
            f"{part_of(output)}: cannot resume: {path.name}, which identifies the run, is missing",
            hint=START_OVER,
        ) from None
    except (OSError, ValueError, RecursionError):
        raise _damaged(path) from None
    if not isinstance(document, dict):
        raise _damaged(path)
    differences = list(_differences(document, identity))
    if differences:
        raise DocumentError(f"{part_of(output)}: cannot resume: {'; '.join(differences)}", hint=START_OVER)
    return Progress() if "files" in identity["input"] else _progress(document.get("output"), path)


def _progress(value: object, path: Path) -> Progress:
    numbers = [value.get(name) for name in ("lines", "bytes", "crc32")] if isinstance(value, dict) else [None]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise _damaged(path)
    return Progress(*numbers)


def _damaged(path: Path) -> DocumentError:
    return DocumentError(f"{path}: damaged: it does not identify a run", hint=START_OVER)


def _differences(before: Mapping[str, object], now: Identity) -> Iterator[str]:
    """Describe what differs between two runs."""
    if before.get("version") != now["version"]:
        yield f"sidecar version is {before.get('version')!r}, expected {now['version']}"
        return
    if before.get("engine") != now["engine"]:
        yield f"it was written by engine {before.get('engine')}, this is {now['engine']}"
    old, new = before.get("policy"), now["policy"]
    if old != new:
        yield f"the policy has changed from {_policy(old)} to {_policy(new)}"
    options = before.get("options")
    for name, value in now["options"].items():
        earlier = options.get(name) if isinstance(options, dict) else None
        if earlier != value:
            yield f"the {name} has changed from {_text(earlier)} to {_text(value)}"
    yield from _input_differences(before.get("input"), now["input"])


def _policy(value: object) -> str:
    if not isinstance(value, dict):
        return "unknown"
    return f"{value.get('name')}@{value.get('version')} ({str(value.get('digest'))[:19]})"


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={setting}" for name, setting in value.items()) or "no settings"
    return str(value)


def _input_differences(old: object, new: FileDict | FolderDict) -> Iterator[str]:
    if not isinstance(old, dict):
        yield "the sidecar does not identify the input"
    elif "files" in new:
        files = old.get("files")
        earlier = files if isinstance(files, dict) else {}
        now = new["files"]
        changed = [name for name in sorted({*earlier, *now}) if earlier.get(name) != now.get(name)]
        if changed:
            yield f"the input has changed: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}"
    elif any(old.get(name) != new[name] for name in ("kind", "bytes", "sha256")):
        yield (
            f"the input has changed from {old.get('path')} of {old.get('bytes')} bytes "
            f"({str(old.get('sha256'))[:12]}) to {new['path']} of {new['bytes']} bytes "
            f"({new['sha256'][:12]})"
        )
