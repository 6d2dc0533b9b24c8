"""Many requests, one JSON line each: lines in, answers out, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import jsonschema_rs  # noqa: F401  (documents.quick uses it where it is loaded)
import msgspec

from engine.decide import Decision, Policy, load_policy
from engine.documents.json_source import decode_json
from engine.errors import DocumentError, EngineError, Problem, RenderError
from engine.quick_lines import names_are_unique, read_request
from engine.records import record
from engine.render import ai_hwaccel, table
from engine.render import json as json_target
from engine.request import Request
from engine.streams import LONGEST_LINE, Line

CHUNK = 256
"""Lines that are decided as one piece of work."""

_FORMS: dict[str, tuple[Callable[[Decision], bytes], Callable[[str | int | None, Problem, int], bytes]]] = {
    "jsonl": (json_target.line, json_target.error_line),
    "ai-hwaccel": (ai_hwaccel.line, json_target.error_line),
    "table": (table.line, table.error_line),
}
"""A decision, and a problem, as one line, by the name of the form."""


@record
class Answer:
    """A line's decision, or the problem that it has instead."""

    line: Line
    id: str | int | None
    decision: Decision | None = None
    problem: Problem | None = None


@record
class Written:
    """Some lines of output as bytes.

    `lines` and `size` (bytes) are those of the input that they answer; `failed` of them are errors, and
    `first` is the number of the first such line.
    """

    content: bytes
    lines: int
    size: int
    failed: int = 0
    first: int = 0


@record
class BatchJob:
    """What every process of a batch needs to know; a job for `executor.in_order`."""

    policy: str
    policies: tuple[str, ...]
    runtime: str
    form: str
    use_cache: bool = True

    def load(self) -> Policy:
        """The policy, ready to decide."""
        loaded = load_policy(self.policy, self.policies, use_cache=self.use_cache)
        loaded.prepare(self.runtime)
        return loaded

    def start(self) -> Callable[[list[Line]], Written]:
        """The function that answers some lines."""
        policy = self.load()
        return lambda lines: answer_lines(policy, lines, self.runtime, self.form)


def chunks(lines: Iterable[Line], size: int = CHUNK) -> Iterator[list[Line]]:
    """Lines as pieces of work."""
    source = iter(lines)
    while chunk := list(islice(source, size)):
        yield chunk


def answer_lines(policy: Policy, lines: list[Line], runtime: str, form: str) -> Written:
    """The answers to some lines, in a form of one line each."""
    write, write_problem = _FORMS[form]
    pieces: list[bytes] = []
    size = failed = first = 0
    for line in lines:
        answer = decide_line(policy, line, runtime)
        size += line.size
        problem = answer.problem
        if answer.decision is not None:
            try:
                pieces.append(write(answer.decision))
                continue
            except RenderError as error:
                problem = error.problems[0]
        assert problem is not None
        pieces.append(write_problem(answer.id, problem, line.number))
        failed += 1
        first = first or line.number
    return Written(b"".join(pieces), len(lines), size, failed, first)


def decide_line(policy: Policy, line: Line, runtime: str) -> Answer:
    """The answer to one line; what is wrong with a line is part of its answer and never raised."""
    id_: str | int | None = None
    try:
        request = read_request(line.text)
        if request is None:
            mapping = decode_line(line.text)
            id_ = _id(mapping)
            request = Request.from_dict(mapping)
        id_ = request.id
        decision = policy.decide(request, runtime=runtime)
    except EngineError as error:
        return Answer(line, id_, problem=error.problems[0])
    return Answer(line, id_, decision)


def decode_line(text: bytes) -> Any:
    """The value of a line, as strict as `decode_json`: no NaN, no duplicate keys.

    Raises:
        DocumentError: not JSON, or refused; with the column where there is one.
    """
    try:
        value = msgspec.json.decode(text)
        if names_are_unique(text, value):
            return value
    except (msgspec.MsgspecError, RecursionError, OverflowError, ValueError):
        pass
    return _decode(text)


def _decode(text: bytes) -> Any:
    if len(text) > LONGEST_LINE:
        raise DocumentError(f"a line of more than {LONGEST_LINE // 2**20} MiB")
    try:
        return decode_json(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise DocumentError(f"not valid JSON at column {error.colno}: {reason}") from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text: byte 0x{text[error.start]:02x}") from None
    except ValueError as error:
        raise DocumentError(str(error)) from None


def _id(mapping: Any) -> str | int | None:
    found = mapping.get("id") if isinstance(mapping, dict) else None
    return found if isinstance(found, (str, int)) and not isinstance(found, bool) else None
