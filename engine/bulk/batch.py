"""Decide JSON Lines: one request per line in, one decision per line out, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct, structs

from engine.base.errors import (
    NO_FAULTS,
    EngineError,
    PolicyError,
    Problem,
    RenderError,
    internal_fault,
)
from engine.bulk.registry_lines import read_request
from engine.decide.decision import Decision
from engine.decide.policy import Policy, load_policy
from engine.decide.request import Request
from engine.documents.lines import Line, decode_line
from engine.render import ai_hwaccel, table
from engine.render import as_json as json_target

CHUNK = 256
"""Lines in one unit of work."""

_CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes after which a chunk takes no further line."""

_FORMS: dict[str, tuple[Callable[[Decision], bytes], Callable[[str | int | None, Problem, int], bytes]]] = {
    "jsonl": (json_target.line, json_target.error_line),
    "ai-hwaccel": (ai_hwaccel.line, json_target.error_line),
    "table": (table.line, table.error_line),
}
"""Functions that write a decision and a problem as one line, by output format."""


class Answer(Struct, frozen=True):
    """The decision for a line, or its problem."""

    line: Line
    id: str | int | None
    decision: Decision | None = None
    problem: Problem | None = None


class Written(Struct, frozen=True):
    """Output for a chunk of input lines.

    Attributes:
        content: the output.
        lines: input lines that it answers.
        size: bytes of these input lines.
        failed: lines with an error.
        first: number of the first such line; 0 if there is none.
        faults: errors that are bugs in the engine.
    """

    content: bytes
    lines: int
    size: int
    failed: int = 0
    first: int = 0
    faults: int = 0


class BatchJob(Struct, frozen=True):
    """Settings that every process of a batch needs; a job for `pool.in_order`."""

    policy: str
    policies: tuple[str, ...]
    runtime: str
    form: str
    use_cache: bool = True
    digest: str | None = None
    """Digest that the policy must have, if set."""
    constants: dict[str, object] = {}
    """Other values of the policy's constants (`--set`)."""
    plain: bool = False
    """True if lines hold inputs of a policy on any subject instead of requests."""

    def with_digest(self, digest: str) -> BatchJob:
        """Return the job for exactly the policy with that digest."""
        return structs.replace(self, digest=digest)

    def load(self) -> Policy:
        """Load the policy, ready to decide.

        Raises:
            EngineError: the policy is missing or invalid, or has changed since the run began.
        """
        loaded = load_policy(self.policy, self.policies, constants=self.constants, use_cache=self.use_cache)
        if self.digest not in (None, loaded.digest):
            raise PolicyError(f"policy {self.policy} has changed since the run began")
        loaded.prepare(self.runtime)
        return loaded

    def start(self) -> Callable[[list[Line]], Written]:
        """Return the function that decides a chunk of lines."""
        policy = self.load()
        return lambda lines: answer_lines(policy, lines, self.runtime, self.form, self.plain)


class LoadedJob(Struct, frozen=True):
    """A batch in this process only, with its policy loaded."""

    job: BatchJob
    policy: Policy

    def start(self) -> Callable[[list[Line]], Written]:
        """Return the function that decides a chunk of lines."""
        job = self.job
        return lambda lines: answer_lines(self.policy, lines, job.runtime, job.form, job.plain)


def chunks(lines: Iterable[Line], size: int = CHUNK) -> Iterator[list[Line]]:
    """Group lines into units of work; a chunk of long lines holds fewer."""
    chunk: list[Line] = []
    size_of_chunk = 0
    for line in lines:
        chunk.append(line)
        size_of_chunk += len(line.text)
        if len(chunk) >= size or size_of_chunk >= _CHUNK_BYTES:
            yield chunk
            chunk, size_of_chunk = [], 0
    if chunk:
        yield chunk


def answer_lines(policy: Policy, lines: list[Line], runtime: str, form: str, plain: bool = False) -> Written:
    """Decide lines and write one line of output each, in the named format.

    Args:
        policy: the policy.
        lines: the lines.
        runtime: the CEL runtime.
        form: the format.
        plain: lines hold inputs of the policy instead of requests.
    """
    pieces: list[bytes] = []
    size = failed = first = faults = 0
    for line in lines:
        content, problem = _answer_line(policy, line, runtime, form, plain)
        pieces.append(content)
        size += line.size
        if problem is not None:
            failed += 1
            first = first or line.number
            faults += problem.internal
    return Written(b"".join(pieces), len(lines), size, failed, first, faults)


def _answer_line(
    policy: Policy, line: Line, runtime: str, form: str, plain: bool
) -> tuple[bytes, Problem | None]:
    """Return the output for one line, and the problem with it, which may be a bug in the engine."""
    write, write_problem = _FORMS[form]
    id_: str | int | None = None
    try:
        answer = decide_line(policy, line, runtime, plain)
        id_, problem = answer.id, answer.problem
        if answer.decision is not None:
            return write(answer.decision), None
        assert problem is not None
    except RenderError as error:
        problem = error.problems[0]
    except (OSError, *NO_FAULTS):
        raise
    except BaseException as error:  # Rust libraries raise exceptions that are not subclasses of Exception
        id_, problem = _id_of(line) if id_ is None else id_, internal_fault(error)
    return write_problem(id_, problem, line.number), problem


def _id_of(line: Line) -> str | int | None:
    """Return the id in a line, or None if the line cannot be read."""
    try:
        return _id(decode_line(line.text))
    except NO_FAULTS:
        raise
    except BaseException:  # the bug may be in the reader
        return None


def decide_line(policy: Policy, line: Line, runtime: str, plain: bool = False) -> Answer:
    """Decide one line; a problem with the line is part of the answer and never raised."""
    id_: str | int | None = None
    try:
        request = None if plain else read_request(line.text)
        if request is None:
            mapping = decode_line(line.text)
            id_ = _id(mapping)
            request = policy.request_of(mapping) if plain else Request.from_dict(mapping)
        id_ = request.id
        decision = policy.decide(request, runtime=runtime)
    except EngineError as error:
        return Answer(line, id_, problem=error.problems[0])
    return Answer(line, id_, decision)


def _id(mapping: object) -> str | int | None:
    value = mapping.get("id") if isinstance(mapping, dict) else None
    return value if isinstance(value, (str, int)) and not isinstance(value, bool) else None
