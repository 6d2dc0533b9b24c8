"""How many requests of its suites each match of a policy decides: worked out in a process of its own.

The server starts it, writes what to count to its standard input and reads the counts from its standard
output, both JSON. Deciding all requests of a suite takes seconds, in which the server answers others.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from engine.base import SAFE_PATH, EngineError, end_with
from engine.base.memory import Memory
from engine.base.records import record
from engine.catalogs import part_files
from engine.documents.buffers import open_buffers
from engine.regress.runner import at_its_concurrency, request_of
from engine.regress.suite import SUITES, Suite, read_suite

MOST_SECONDS = 120
"""Seconds that counting may take."""


class Task(TypedDict):
    """What to count: the suites of a unit, with the texts that are open in the editor."""

    parent: int
    unit: str
    folders: list[str]
    buffers: dict[str, str]


@record
class Counts:
    """Requests of suites, and how many of them, in how many tests, each match decides."""

    requests: int
    decided: Mapping[str, tuple[int, int]]

    def title(self, match: str) -> str:
        """Return what an editor shows at a match."""
        requests, tests = self.decided.get(match, (0, 0))
        decides = f"{requests} of {self.requests}" if requests else f"none of {self.requests}"
        noun = "request" if self.requests == 1 else "requests"
        return f"decides {decides} {noun}" + (f"; {tests} test{'s' * (tests != 1)}" if requests else "")


def command() -> tuple[list[str], dict[str, str]]:
    """Return the command that counts, and its environment."""
    return [sys.executable, "-m", __name__], {**os.environ, **SAFE_PATH}


def suites_of(unit: str, folders: Sequence[str]) -> Iterator[Suite]:
    """Yield the suites of a policy: those below its folder that test it."""
    for path in sorted(Path(unit).parent.rglob(SUITES)):
        if path.is_symlink():
            continue
        try:
            suite = read_suite(path, folders)
            policy = suite.policy().compiled
        except EngineError:
            continue  # reported where the suite is open
        files = {os.path.realpath(source.name) for source in policy.document.sources}
        if files & {unit, *part_files(unit)}:
            yield suite


def count(suites: Sequence[Suite]) -> Counts:
    """Decide all requests of some suites."""
    total = 0
    decided: dict[str, tuple[int, set[str]]] = {}
    for suite in suites:
        decide = at_its_concurrency(suite.policy())
        for case in suite.cases:
            total += 1
            try:
                match = decide(request_of(case), False).to_dict().get("match")
            except EngineError:
                continue
            requests, tests = decided.setdefault(str(match), (0, set()))
            tests.add(f"{suite.path}: {case.name.partition('[')[0]}")
            decided[str(match)] = (requests + 1, tests)
    return Counts(total, {match: (requests, len(tests)) for match, (requests, tests) in decided.items()})


def counts_of(answer: Mapping[str, Any]) -> Counts:
    """Return counts from the JSON that a process wrote."""
    decided = {name: (int(requests), int(tests)) for name, (requests, tests) in answer["decided"].items()}
    return Counts(int(answer["requests"]), decided)


def main() -> int:
    """Count what standard input asks for."""
    task: Task = json.load(sys.stdin)
    end_with(task["parent"])
    if hasattr(os, "nice"):
        os.nice(10)
    buffers = {path: text.encode("utf-8", "replace") for path, text in task["buffers"].items()}
    with Memory().used(), open_buffers(buffers):
        counts = count(list(suites_of(task["unit"], task["folders"])))
    json.dump({"requests": counts.requests, "decided": counts.decided}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
