"""Text of a failed case, as printed by `engine test` and the pytest plugin."""

from __future__ import annotations

import json
import shlex

from engine.base.paint import BOLD, GREEN, RED, Paint
from engine.base.printable import printable, printable_lines
from engine.regress.runner import Mismatch, Result


def failure(result: Result, paint: Paint) -> str:
    """Return the text of a failed case: its place, the differences, the command that repeats it."""
    case = result.case
    lines = [f"{paint('FAIL', RED)} {paint(printable(case.id), BOLD)}", f"  {printable(str(case.place))}"]
    if result.error is not None:
        lines += ["  failed with an error:", indented(printable_lines(result.error), 4)]
    for mismatch in result.mismatches:
        lines += _difference(mismatch, paint)
    lines.append(f"  rerun: {rerun(result)}")
    return "\n".join(lines)


def rerun(result: Result) -> str:
    """Return the command that repeats one case."""
    name = result.case.name.replace("'", "'\\''")
    return printable(f"engine test {shlex.quote(str(result.case.suite))} -k '{name}'")


def _difference(mismatch: Mismatch, paint: Paint) -> list[str]:
    if mismatch.lines:
        return [
            printable(f"  {mismatch.path}: {mismatch.found}"),
            *(painted_line(line, paint) for line in mismatch.lines),
        ]
    return [
        printable(f"  {mismatch.path}"),
        "    " + paint(f"- {printable(shown(mismatch.expected))}", RED),
        "    " + paint(f"+ {printable(shown(mismatch.found))}", GREEN),
    ]


def painted_line(line: str, paint: Paint) -> str:
    style, line = {"-": RED, "+": GREEN}.get(line[:1]), printable(line)
    return "    " + (paint(line, style) if style else line)


def shown(value: object) -> str:
    """Return a value on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def indented(text: str, by: int = 2) -> str:
    return "\n".join(" " * by + line for line in text.split("\n"))
