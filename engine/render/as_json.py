"""The decision as one JSON document.

`schemas/decision.schema.json` describes it. Fields may be added; existing ones keep their names.
"""

from __future__ import annotations

import json

from engine.base.errors import Problem, path_text
from engine.decide.decision import Decision
from engine.render import Screen, Target


def render(decision: Decision, screen: Screen) -> str:
    """Return the decision as an indented JSON document."""
    return json.dumps(decision.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def line(decision: Decision) -> bytes:
    """Return the decision on one line, for JSON Lines."""
    return compact(decision.to_dict())


def error_line(id_: str | int | None, problem: Problem, number: int) -> bytes:
    """Return the line for a request that could not be decided, in place of a decision."""
    error: dict[str, object] = {
        "message": problem.message,
        "line": number,
        "path": path_text(problem.path) if problem.path else None,
    }
    if problem.hint is not None:
        error["hint"] = problem.hint
    if problem.place is not None:
        error["place"] = str(problem.place)
    if problem.internal:
        error["internal"] = True
    return compact({"id": id_, "error": error})


def compact(value: object) -> bytes:
    """Return a value as JSON on one line, encoded by msgspec."""
    import msgspec  # deferred: start-up time

    try:
        return msgspec.json.encode(value) + b"\n"
    except (OverflowError, ValueError):  # an int beyond 64 bits, a lone surrogate
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace") + b"\n"


TARGET = Target("json", render, "json", shows_trace=True)
