"""How tests came out: for people, as JSON, as JUnit's XML, and as TAP 14."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections.abc import Callable
from typing import Any

from engine.regress.runner import Mismatch, Result
from engine.regress.session import Session

Paint = Callable[[str, str], str]

_RED, _GREEN, _BOLD = "31", "32", "1"


def painter(color: bool) -> Paint:
    """What puts ANSI's colours around a text, or leaves it as it is."""
    return (lambda text, style: f"\x1b[{style}m{text}\x1b[0m") if color else (lambda text, _: text)


def text(session: Session, paint: Paint) -> str:
    """Failures in full, golden files that were written, and how many cases passed."""
    blocks = [failure(result, paint) for result in session.failed]
    blocks += [_updated(result, paint) for result in session.results if result.updated]
    blocks += [paint("BROKEN", _RED) + "\n" + _indented(str(error)) for error in session.broken]
    return "".join(f"{block}\n\n" for block in blocks) + summary(session, paint) + "\n"


def summary(session: Session, paint: Paint) -> str:
    """One line: passed, failed, broken suites, seconds."""
    failed = len(session.failed)
    parts = [paint(f"{len(session.results) - failed} passed", _GREEN if not failed else "0")]
    if failed:
        parts.append(paint(f"{failed} failed", _RED))
    if session.broken:
        count = len(session.broken)
        parts.append(paint(f"{count} suite{'s' if count != 1 else ''} broken", _RED))
    return f"{', '.join(parts)} in {session.seconds:.2f} s"


def failure(result: Result, paint: Paint) -> str:
    """One failed case: where it stands, what differs, how to run it again."""
    case = result.case
    lines = [f"{paint('FAIL', _RED)} {paint(case.id, _BOLD)}", f"  {case.place}"]
    if result.error is not None:
        lines += ["  ended in an error:", _indented(result.error, 4)]
    for mismatch in result.mismatches:
        lines += _difference(mismatch, paint)
    lines.append(f"  again: {again(result)}")
    return "\n".join(lines)


def again(result: Result) -> str:
    """The command that runs one case again."""
    name = result.case.name.replace("'", "'\\''")
    return f"engine test {result.case.suite} -k '{name}'"


def _difference(mismatch: Mismatch, paint: Paint) -> list[str]:
    if mismatch.lines:
        return [f"  {mismatch.path}: {mismatch.found}", *(_line(line, paint) for line in mismatch.lines)]
    return [
        f"  {mismatch.path}",
        "    " + paint(f"- {shown(mismatch.expected)}", _RED),
        "    " + paint(f"+ {shown(mismatch.found)}", _GREEN),
    ]


def _line(line: str, paint: Paint) -> str:
    style = {"-": _RED, "+": _GREEN}.get(line[:1])
    return "    " + (paint(line, style) if style else line)


def _updated(result: Result, paint: Paint) -> str:
    head = f"{paint('UPDATED', _BOLD)} {result.case.id}"
    return "\n".join([head, *(_line(line, paint) for line in result.updated)])


def shown(value: Any) -> str:
    """A value on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _indented(text: str, by: int = 2) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())


def to_dict(session: Session) -> dict[str, Any]:
    """As programs read it."""
    return {
        "passed": len(session.results) - len(session.failed),
        "failed": len(session.failed),
        "broken": [error.message for error in session.broken],
        "seconds": session.seconds,
        "cases": [_case(result) for result in session.results],
        **_further(session),
    }


def _further(session: Session) -> dict[str, Any]:
    """Coverage and mutants where they were asked for; of several policies, a list."""
    further: dict[str, Any] = {}
    for name, found in (("coverage", session.coverages), ("mutation", session.mutations)):
        if found is not None:
            values = [each.to_dict() for each in found]
            further[name] = values[0] if len(values) == 1 else values
    return further


def _case(result: Result) -> dict[str, Any]:
    place = result.case.place
    case: dict[str, Any] = {
        "id": result.case.id,
        "passed": result.passed,
        "file": place.file,
        "line": place.line,
        "seconds": result.seconds,
    }
    if result.mismatches:
        case["mismatches"] = [mismatch.to_dict() for mismatch in result.mismatches]
    if result.error is not None:
        case["error"] = result.error
    return case


def junit(session: Session) -> str:
    """JUnit's XML, a test suite a file."""
    root = xml.Element("testsuites")
    for suite in session.suites:
        results = [result for result in session.results if result.case.suite == suite.path]
        element = xml.SubElement(
            root,
            "testsuite",
            name=str(suite.path),
            tests=str(len(results)),
            failures=str(sum(not result.passed for result in results)),
            errors="0",
            time=f"{sum(result.seconds for result in results):.6f}",
        )
        for result in results:
            case = xml.SubElement(
                element,
                "testcase",
                classname=str(suite.path),
                name=result.case.name,
                time=f"{result.seconds:.6f}",
            )
            if not result.passed:
                failed = xml.SubElement(case, "failure", message=_reason(result))
                failed.text = _xml_text(failure(result, painter(False)))
    for error in session.broken:
        element = xml.SubElement(root, "testsuite", name="broken", tests="1", failures="0", errors="1")
        case = xml.SubElement(element, "testcase", classname="broken", name=_xml_text(error.message))
        xml.SubElement(case, "error", message=_xml_text(error.message)).text = _xml_text(str(error))
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _reason(result: Result) -> str:
    if result.error is not None:
        return _xml_text(result.error.split("\n", 1)[0])
    return ", ".join(mismatch.path for mismatch in result.mismatches)


def _xml_text(text: str) -> str:
    """Without the characters that XML has no way to write."""
    return "".join(character if character >= " " or character in "\n\t" else "�" for character in text)


def tap(session: Session) -> str:
    """TAP version 14, with what differs as YAML."""
    lines = ["TAP version 14", f"1..{len(session.results) + len(session.broken)}"]
    for number, result in enumerate(session.results, start=1):
        name = result.case.id.replace("#", "\\#")
        lines.append(f"{'ok' if result.passed else 'not ok'} {number} - {name}")
        if not result.passed:
            lines += ["  ---", *(f"  {line}" for line in _diagnostics(result)), "  ..."]
    for number, error in enumerate(session.broken, start=len(session.results) + 1):
        lines.append(f"not ok {number} - broken suite: {error.message}".replace("\n", " "))
    return "\n".join(lines) + "\n"


def _diagnostics(result: Result) -> list[str]:
    lines = [f"at: {json.dumps(str(result.case.place))}"]
    if result.error is not None:
        lines.append(f"error: {json.dumps(result.error, ensure_ascii=False)}")
    for mismatch in result.mismatches:
        lines.append(f"{json.dumps(mismatch.path)}: {json.dumps(mismatch.to_dict(), ensure_ascii=False)}")
    return lines
