"""Test results: as text, JSON, JUnit XML and TAP 14."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml

from engine.base.paint import BOLD, GREEN, RED, Paint, is_colored, painter
from engine.base.printable import finished, printable, printable_lines
from engine.regress.failures import failure, indented, painted_line
from engine.regress.runner import Result
from engine.regress.session import Session


def text(session: Session, paint: Paint) -> str:
    """Return failures in full, updated golden files, and a summary."""
    blocks = [failure(result, paint) for result in session.failed]
    blocks += [_updated(result, paint) for result in session.results if result.updated]
    blocks += [paint("BROKEN", RED) + "\n" + indented(str(error)) for error in session.broken]
    text = "".join(f"{block}\n\n" for block in blocks) + summary(session, paint) + "\n"
    return finished(text, is_colored(paint))


def summary(session: Session, paint: Paint) -> str:
    """Return a one-line summary: cases passed and failed, broken suites, seconds."""
    failed = len(session.failed)
    parts = [paint(f"{len(session.results) - failed} passed", GREEN if not failed else "0")]
    if failed:
        parts.append(paint(f"{failed} failed", RED))
    if session.broken:
        count = len(session.broken)
        parts.append(paint(f"{count} suite{'s' if count != 1 else ''} broken", RED))
    return f"{', '.join(parts)} in {session.seconds:.2f} s"


def _updated(result: Result, paint: Paint) -> str:
    head = f"{paint('UPDATED', BOLD)} {printable(result.case.id)}"
    return "\n".join([head, *(painted_line(line, paint) for line in result.updated)])


def to_dict(session: Session) -> dict[str, object]:
    """Return the JSON form."""
    return {
        "passed": len(session.results) - len(session.failed),
        "failed": len(session.failed),
        "broken": [error.message for error in session.broken],
        "seconds": session.seconds,
        "cases": [_case(result) for result in session.results],
        **_further(session),
    }


def _further(session: Session) -> dict[str, object]:
    """Return coverage and mutation results if requested; a list if there are several policies."""
    further: dict[str, object] = {}
    for name, found in (("coverage", session.coverages), ("mutation", session.mutations)):
        if found is not None:
            values = [each.to_dict() for each in found]
            further[name] = values[0] if len(values) == 1 else values
    return further


def _case(result: Result) -> dict[str, object]:
    place = result.case.place
    case: dict[str, object] = {
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
    """Return JUnit XML, with one test suite per file."""
    root = xml.Element("testsuites")
    for suite in session.suites:
        results = [result for result in session.results if result.case.suite == suite.path]
        element = xml.SubElement(
            root,
            "testsuite",
            name=printable(str(suite.path)),
            tests=str(len(results)),
            failures=str(sum(not result.passed for result in results)),
            errors="0",
            time=f"{sum(result.seconds for result in results):.6f}",
        )
        for result in results:
            case = xml.SubElement(
                element,
                "testcase",
                classname=printable(str(suite.path)),
                name=printable(result.case.name),
                time=f"{result.seconds:.6f}",
            )
            if not result.passed:
                failed = xml.SubElement(case, "failure", message=_reason(result))
                failed.text = printable_lines(failure(result, painter(False)))
    for error in session.broken:
        element = xml.SubElement(root, "testsuite", name="broken", tests="1", failures="0", errors="1")
        case = xml.SubElement(element, "testcase", classname="broken", name=printable(error.message))
        xml.SubElement(case, "error", message=printable(error.message)).text = printable_lines(str(error))
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _reason(result: Result) -> str:
    if result.error is not None:
        return printable(result.error.split("\n", 1)[0])
    return printable(", ".join(mismatch.path for mismatch in result.mismatches))


def tap(session: Session) -> str:
    """Return TAP version 14, with mismatches as YAML."""
    lines = ["TAP version 14", f"1..{len(session.results) + len(session.broken)}"]
    for number, result in enumerate(session.results, start=1):
        lines.append(f"{'ok' if result.passed else 'not ok'} {number} - {_tap(result.case.id)}")
        if not result.passed:
            lines += ["  ---", *(f"  {line}" for line in _diagnostics(result)), "  ..."]
    for number, error in enumerate(session.broken, start=len(session.results) + 1):
        lines.append(f"not ok {number} - broken suite: {_tap(error.message)}")
    return finished("\n".join(lines) + "\n")


def _tap(text: str) -> str:
    """Escape a description, so that `#` starts no directive."""
    return printable(text).replace("\\", "\\\\").replace("#", "\\#")


def _diagnostics(result: Result) -> list[str]:
    lines = [f"at: {json.dumps(str(result.case.place))}"]
    if result.error is not None:
        lines.append(f"error: {json.dumps(result.error, ensure_ascii=False)}")
    for mismatch in result.mismatches:
        lines.append(f"{json.dumps(mismatch.path)}: {json.dumps(mismatch.to_dict(), ensure_ascii=False)}")
    return lines
