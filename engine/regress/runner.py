"""Run cases and compare decisions with expectations."""

from __future__ import annotations

import difflib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engine.base.errors import EngineError
from engine.base.records import field, record
from engine.decide.decision import Decision
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.documents import parse_document
from engine.documents.confined import ConfinedError, read_below, write_below
from engine.regress.paths import get, parse_path
from engine.regress.suite import Case, is_output_path

Decide = Callable[[Request, bool], Decision]
"""Decides a request, with or without remedies, at the concurrency that it sets."""

_MISSING = object()
_WITH_REMEDIES = {"remedies", "combinations", "conflict", "golden"}
"""Expectations that compare remedies; other cases need not look for them."""
_PLAN_FIELDS = ("plan", "fits_in_memory", "quantization")


@record
class Mismatch:
    """One difference; `path` is `match`, `plan.shards[0].memory_bytes` …"""

    path: str
    expected: object
    found: object
    lines: tuple[str, ...] = ()
    """Unified diff of a golden file."""

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {"path": self.path, "expected": self.expected, "found": self.found}


@record
class Result:
    """Result of a case; `seconds` covers decision and comparison."""

    case: Case
    mismatches: tuple[Mismatch, ...] = ()
    error: str | None = None
    """An unexpected error."""
    seconds: float = field(default=0.0, compare=False)
    updated: tuple[str, ...] = ()
    """Diff that was applied to the golden file."""

    @property
    def passed(self) -> bool:
        """True if there is no difference and no error."""
        return not self.mismatches and self.error is None


def run_case(case: Case, decide: Decide, *, update: bool = False) -> Result:
    """Decide a case and compare.

    Args:
        case: the case.
        decide: function that decides a request.
        update: rewrite golden files that differ.
    """
    start = time.perf_counter()
    try:
        decision = decide(request_of(case), not _WITH_REMEDIES.isdisjoint(case.expect))
    except EngineError as error:
        return _failed(case, error, time.perf_counter() - start)
    found = decision_value(decision)
    updated: list[str] = []
    mismatches = [] if "error" not in case.expect else [Mismatch("error", case.expect["error"], None)]
    mismatches += _mismatches(case, found, update, updated)
    return Result(case, tuple(mismatches), None, time.perf_counter() - start, tuple(updated))


def at_its_concurrency(policy: Policy) -> Decide:
    """Return a function that decides as a suite does: without finding a concurrency for goals."""
    return lambda request, remedies: policy.decide(request, remedies=remedies, find=False)


def request_of(case: Case) -> Request:
    """Return the request of a case."""
    return Request(dict(case.inputs), case.name)


def _failed(case: Case, error: EngineError, seconds: float) -> Result:
    """Return the result of a case that failed with an error, possibly the expected one."""
    expected = case.expect.get("error")
    if expected is None:
        return Result(case, (), str(error), seconds)
    if len(case.expect) == 1 and any(expected in problem.render() for problem in error.problems):
        return Result(case, (), None, seconds)
    return Result(case, (Mismatch("error", expected, error.message),), None, seconds)


def decision_value(decision: Decision) -> Mapping[str, Any]:
    """Return the JSON form of a decision without id and policy, which suites do not compare."""
    left_out = ("id", "policy", "auto")
    return {name: value for name, value in decision.to_dict().items() if name not in left_out}


def _mismatches(case: Case, found: Mapping[str, Any], update: bool, updated: list[str]) -> Iterator[Mismatch]:
    plan = found.get("plan")
    for name, expected in case.expect.items():
        if name in ("match", "outcome", "explanation", "fits_in_memory", "output"):
            yield from compare(name, expected, found.get(name))
        elif is_output_path(name):
            yield from compare(name, expected, _at({"output": found["output"]}, name))
        elif name == "strategy":
            yield from compare(name, expected, plan["strategy"]["kind"] if plan else None)
        elif name == "binding":
            yield from compare(name, expected, found.get("binding"))
        elif name == "remedies":
            yield from compare(name, expected, _values(found.get("remedies", ())))
        elif name == "combinations":
            pairs = [_values(pair["changes"]) for pair in found.get("combinations", ())]
            yield from compare(name, expected, pairs)
        elif name == "conflict":
            yield from compare(name, expected, _values(found["conflict"]) if "conflict" in found else None)
        elif name == "warnings":
            yield from compare(name, expected, plan["warnings"] if plan else None)
        elif name == "plan":
            for path, wanted in (expected or {}).items():
                yield from compare(f"plan.{path}", wanted, _at(plan, path))
        elif name == "golden":
            yield from _golden(case, found, update, updated)


def _values(changes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values of changes by id."""
    return {change["id"]: change["value"] for change in changes}


def _at(value: object, path: str) -> object:
    try:
        return get(value, parse_path(path))
    except LookupError:
        return _MISSING


def compare(path: str, expected: object, found: object) -> Iterator[Mismatch]:
    """Yield the differences between two values; `{approx, rel, abs}` allows a tolerance."""
    if found is _MISSING:
        yield Mismatch(path, expected, "(missing)")
    elif isinstance(expected, dict) and "approx" in expected:
        if not _is_near(expected, found):
            yield Mismatch(path, expected, found)
    elif isinstance(expected, dict) and isinstance(found, dict):
        for key in expected:
            yield from compare(f"{path}.{key}", expected[key], found.get(key, _MISSING))
        for key in found.keys() - expected.keys():
            yield Mismatch(f"{path}.{key}", "(missing)", found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for position, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from compare(f"{path}[{position}]", left, right)
    elif isinstance(expected, bool) is not isinstance(found, bool) or expected != found:
        yield Mismatch(path, expected, found)


def _is_near(expected: Mapping[str, float], found: object) -> bool:
    if not isinstance(found, (int, float)) or isinstance(found, bool):
        return False
    relative, absolute = expected.get("rel", 0.0), expected.get("abs", 0.0)
    if not relative and not absolute:
        relative = 1e-9
    return math.isclose(found, expected["approx"], rel_tol=relative, abs_tol=absolute)


def _golden(case: Case, found: Mapping[str, Any], update: bool, updated: list[str]) -> Iterator[Mismatch]:
    name, folder = case.expect["golden"], case.suite.parent
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        data = read_below(folder, name)
        kept = "" if data is None else data.decode("utf-8", errors="replace")
        if data is not None and _same_decision(_value(kept, name), json.loads(text)):
            return
        lines = tuple(
            line.rstrip("\n")
            for line in difflib.unified_diff(
                kept.splitlines(True), text.splitlines(True), f"{name} (kept)", f"{name} (decided)", n=2
            )
        )
        if update:
            write_below(folder, name, text.encode("utf-8", errors="surrogatepass"))
            updated.extend(lines)
            return
    except (ConfinedError, OSError) as error:  # changed since the suite was read
        yield Mismatch("golden", name, f"cannot be read or written: {error}")
        return
    yield Mismatch("golden", name, "no such file" if data is None else "differs from the decision", lines)


def _same_decision(kept: object, decided: Mapping[str, object]) -> bool:
    """Return True if a golden file holds the decision; fields of plans in that of a value are empty."""
    if isinstance(kept, dict):
        empty = {name for name in _PLAN_FIELDS if name not in decided and kept.get(name) is None}
        kept = {name: value for name, value in kept.items() if name not in empty}
    return kept == decided


def _value(text: str, name: str) -> object:
    """Return the value in a golden file; `_MISSING` if it is not JSON."""
    try:
        return parse_document(text, name).value
    except EngineError:
        return _MISSING
