"""Suites held against their policies, without running them: inputs, columns, match ids, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.base.errors import EngineError, Problem, near, quote
from engine.base.errors import Path as DocumentPath
from engine.base.records import replace
from engine.documents import Document
from engine.policy.compiled import CompiledPolicy, rules
from engine.regress.suite import FIXTURES, read_suite

CODE = "E116"
CANNOT_BE_LOADED = "the policy cannot be loaded: "
"""The beginning of what is said of a suite whose policy is faulty; the policy's first fault follows."""


def suite_problems(document: Document, path: Path, folders: Sequence[str]) -> Iterator[Problem]:
    """Yield what does not fit: unknown inputs, columns, fixtures, matches; a missing policy; equal names."""
    yield from _equal_names(document)
    try:
        policy = read_suite(path, folders).policy().compiled
    except EngineError as error:
        yield from _unreadable(document, error)
        return
    yield from _unknown_matches(document, policy)


def _unreadable(document: Document, error: EngineError) -> Iterator[Problem]:
    """Yield the problems of a suite; of its policy, one, since that is checked by itself."""
    own = (document.name, str(Path(document.name).parent / FIXTURES))
    inside = [problem for problem in error.problems if problem.place and problem.place.file in own]
    for problem in inside:
        yield replace(problem, code=CODE)
        if problem.path == ("policy",):
            return
    if not inside:
        path = ("policy",)
        message = f"{CANNOT_BE_LOADED}{error.problems[0].message}"
        yield Problem(message, document.place(path), "check its file", path, code=CODE)


def _equal_names(document: Document) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for position, test in enumerate(document.value["tests"]):
        first = seen.setdefault(test["name"], position)
        tables = any(
            kind in document.value["tests"][each]
            for each in (first, position)
            for kind in ("cases", "matrix")
        )
        if first != position and tables:  # plain tests of one name are refused by whoever reads the suite
            where: DocumentPath = ("tests", position, "name")
            line = document.place(("tests", first, "name")).line
            message = f"two tests are named {quote(test['name'])}; the first is in line {line}"
            yield Problem(message, document.place(where), "give it another name", where, code=CODE)


def _unknown_matches(document: Document, policy: CompiledPolicy) -> Iterator[Problem]:
    known = [match.id for rule in rules(policy.rule) for match in rule.matches if match.rule is None]
    for where, match in _expected_matches(document):
        if isinstance(match, str) and match not in known:
            message = f"policy {policy.name}@{policy.version} has no match {quote(match)}"
            yield Problem(message, document.place(where), near(match, known), where, code=CODE)


def _expected_matches(document: Document) -> Iterator[tuple[DocumentPath, object]]:
    """Yield the match that each test or row expects, with its place."""
    for position, test in enumerate(document.value["tests"]):
        path: DocumentPath = ("tests", position)
        if "match" in test.get("expect", {}):
            yield (*path, "expect", "match"), test["expect"]["match"]
        columns = test.get("columns", [])
        if "match" in columns:
            column = columns.index("match")
            for row, cells in enumerate(test.get("cases", ())):
                if column < len(cells):
                    yield (*path, "cases", row, column), cells[column]
