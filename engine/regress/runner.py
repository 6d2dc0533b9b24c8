"""Runs cases and compares what was decided with what is expected."""

from __future__ import annotations

import difflib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.decide import Decision
from engine.documents import read_document
from engine.errors import EngineError
from engine.records import field, record
from engine.regress.paths import get, parse_path
from engine.regress.suite import Case, Suite
from engine.request import Request

Decide = Callable[[Request], Decision]

_MISSING = object()


@record
class Mismatch:
    """One thing that is not as expected; `path` is `match`, `plan.shards[0].memory_bytes` …"""

    path: str
    expected: Any
    found: Any
    lines: tuple[str, ...] = ()
    """A difference line by line, of golden files."""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {"path": self.path, "expected": self.expected, "found": self.found}


@record
class Result:
    """How a case came out; seconds are those of the decision and the comparison."""

    case: Case
    mismatches: tuple[Mismatch, ...] = ()
    error: str | None = None
    """What was wrong where no error was expected."""
    seconds: float = field(default=0.0, compare=False)
    updated: tuple[str, ...] = ()
    """The difference that was written to the golden file."""

    @property
    def passed(self) -> bool:
        """All is as expected."""
        return not self.mismatches and self.error is None


def run_case(case: Case, decide: Decide, *, update: bool = False) -> Result:
    """Decide a case and compare.

    Args:
        case: the case.
        decide: what decides.
        update: write golden files that differ anew.
    """
    start = time.perf_counter()
    try:
        decision = decide(request_of(case))
    except EngineError as error:
        return _failed(case, error, time.perf_counter() - start)
    found = decision_value(decision)
    updated: list[str] = []
    mismatches = [] if "error" not in case.expect else [Mismatch("error", case.expect["error"], None)]
    mismatches += _mismatches(case, found, update, updated)
    return Result(case, tuple(mismatches), None, time.perf_counter() - start, tuple(updated))


def request_of(case: Case) -> Request:
    """What a case asks."""
    return Request(dict(case.inputs), case.name)


def run_suite(suite: Suite, decide: Decide, *, update: bool = False) -> Iterator[Result]:
    """Run all cases of a suite."""
    for case in suite.cases:
        yield run_case(case, decide, update=update)


def _failed(case: Case, error: EngineError, seconds: float) -> Result:
    """The result of a case that ended in an error, which may be what is expected."""
    expected = case.expect.get("error")
    if expected is None:
        return Result(case, (), str(error), seconds)
    if len(case.expect) == 1 and any(expected in problem.render() for problem in error.problems):
        return Result(case, (), None, seconds)
    return Result(case, (Mismatch("error", expected, error.message),), None, seconds)


def decision_value(decision: Decision) -> dict[str, Any]:
    """A decision as tests look at it: without what tells who decided."""
    found = decision.to_dict()
    for name in ("id", "policy", "auto"):
        found.pop(name, None)
    return found


def _mismatches(case: Case, found: Mapping[str, Any], update: bool, updated: list[str]) -> Iterator[Mismatch]:
    plan = found["plan"]
    for name, expected in case.expect.items():
        if name in ("match", "outcome", "explanation", "fits_in_memory", "output"):
            yield from compare(name, expected, found[name])
        elif name == "strategy":
            yield from compare(name, expected, plan["strategy"]["kind"] if plan else None)
        elif name == "binding":
            yield from compare(name, expected, found.get("binding"))
        elif name == "remedies":
            values = {each["id"]: each["value"] for each in found.get("remedies", ())}
            yield from compare(name, expected, values)
        elif name == "warnings":
            yield from compare(name, expected, plan["warnings"] if plan else None)
        elif name == "plan":
            for path, wanted in (expected or {}).items():
                yield from compare(f"plan.{path}", wanted, _at(plan, path))
        elif name == "golden":
            yield from _golden(case, found, update, updated)


def _at(value: Any, path: str) -> Any:
    try:
        return get(value, parse_path(path))
    except LookupError:
        return _MISSING


def compare(path: str, expected: Any, found: Any) -> Iterator[Mismatch]:
    """Where a value is not as expected; numbers may be given with a tolerance."""
    if found is _MISSING:
        yield Mismatch(path, expected, "nothing there")
    elif isinstance(expected, dict) and "approx" in expected:
        if not _is_near(expected, found):
            yield Mismatch(path, expected, found)
    elif isinstance(expected, dict) and isinstance(found, dict):
        for key in expected:
            yield from compare(f"{path}.{key}", expected[key], found.get(key, _MISSING))
        for key in found.keys() - expected.keys():
            yield Mismatch(f"{path}.{key}", "nothing", found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for position, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from compare(f"{path}[{position}]", left, right)
    elif isinstance(expected, bool) is not isinstance(found, bool) or expected != found:
        yield Mismatch(path, expected, found)


def _is_near(expected: Mapping[str, Any], found: Any) -> bool:
    if not isinstance(found, (int, float)) or isinstance(found, bool):
        return False
    relative, absolute = expected.get("rel", 0.0), expected.get("abs", 0.0)
    if not relative and not absolute:
        relative = 1e-9
    return math.isclose(found, expected["approx"], rel_tol=relative, abs_tol=absolute)


def _golden(case: Case, found: Mapping[str, Any], update: bool, updated: list[str]) -> Iterator[Mismatch]:
    path = case.suite.parent / case.expect["golden"]
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        kept = path.read_text(encoding="utf-8")
        if read_document(path).value == json.loads(text):
            return
    except (OSError, UnicodeDecodeError, EngineError):
        kept = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    name = case.expect["golden"]
    lines = tuple(
        line.rstrip("\n")
        for line in difflib.unified_diff(
            kept.splitlines(True), text.splitlines(True), f"{name} (kept)", f"{name} (decided)", n=2
        )
    )
    if update:
        _write(path, text)
        updated.extend(lines)
        return
    yield Mismatch("golden", name, "another decision" if kept else "no such file", lines)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
