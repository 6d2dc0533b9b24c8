"""For programs: the decision as JSON (schemas/decision.schema.json)."""

from __future__ import annotations

import json
from typing import Any

from engine.decision import Decision
from engine.errors import Problem, path_text
from engine.render import Screen


def render(decision: Decision, screen: Screen) -> str:
    """The decision as one JSON document."""
    return json.dumps(decision.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def line(decision: Decision) -> bytes:
    """The decision on one line, for JSON Lines."""
    return compact(decision.to_dict())


def error_line(id_: str | int | None, problem: Problem, number: int) -> bytes:
    """In the place of a decision: what is wrong with line `number`."""
    error: dict[str, Any] = {
        "message": problem.message,
        "line": number,
        "path": path_text(problem.path) if problem.path else None,
    }
    if problem.hint is not None:
        error["hint"] = problem.hint
    if problem.place is not None:
        error["place"] = str(problem.place)
    return compact({"id": id_, "error": error})


def compact(value: Any) -> bytes:
    """A value as JSON on one line, by the encoder that was made for speed."""
    import msgspec

    try:
        return msgspec.json.encode(value) + b"\n"
    except (OverflowError, ValueError):  # an int beyond 64 bits, a lone surrogate
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace") + b"\n"
