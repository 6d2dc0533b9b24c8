"""Findings of checks: as text, JSON, SARIF 2.1.0, and GitHub workflow commands."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine._version import __version__
from engine.base.paint import Paint
from engine.base.printable import finished, printable, printable_lines
from engine.policy.checks import checks, page
from engine.regress.lint import Finding, Report, witness_text

if TYPE_CHECKING:
    from engine.regress.prove import Proof

_PAGES = f"pkg:pypi/shard-policy-engine@{__version__}#docs/checks"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


_UNKNOWN_UNITS = 10
_UNKNOWN_LENGTH = 90


def text(report: Report, *, color: bool = False) -> str:
    """Return each finding with source line, caret and hint, and a summary."""
    paint = _painted if color else _plain
    blocks = [_block(finding, paint) for finding in report.findings]
    proofs = "".join(f"{line}\n" for line in _proofs(report, paint))
    units = "".join(f"{line}\n" for line in _units(report))
    written = "".join(f"{block}\n\n" for block in blocks) + proofs + units + summary(report) + "\n"
    return finished(written, color)


def _units(report: Report) -> Iterator[str]:
    """Yield how much of the units of each policy is known, and what would have to state one."""
    for name, units in report.units:
        share = f" ({100 * units.known / units.total:.1f} %)" if units.total else ""
        yield f"units of {printable(name)}: {units.known} of {units.total} numbers have a known unit{share}"
        for text, count in list(units.unknown.items())[:_UNKNOWN_UNITS]:
            shown = text if len(text) <= _UNKNOWN_LENGTH else text[: _UNKNOWN_LENGTH - 1] + "…"
            yield f"  {count:>3} × {printable(shown)}"
        if len(units.unknown) > _UNKNOWN_UNITS:
            yield f"  and {len(units.unknown) - _UNKNOWN_UNITS} more"
        yield ""


def _proofs(report: Report, paint: Paint) -> Iterator[str]:
    """Yield the proofs of each policy."""
    for name in dict.fromkeys(name for name, _ in report.proofs):
        policy_proofs = [proof for policy, proof in report.proofs if policy == name]
        yield paint(f"proofs about {printable(name)}", "1")
        for proof in policy_proofs:
            yield from _proof(proof, paint)
        texts = (re.sub(r"\b[ab]\.", "", text) for proof in policy_proofs for text in proof.abstract)
        abstract = dict.fromkeys(texts)
        if abstract:
            yield "  treated as unconstrained (not modelled):"
            yield from (f"    {printable(text)}" for text in abstract)
        yield ""


def _proof(proof: Proof, paint: Paint) -> Iterator[str]:
    words = {"proved": ("proved ", "32"), "unknown": ("unknown", "33"), "refuted": ("refuted", "31")}
    word, style = words[proof.verdict]
    if proof.verdict == "refuted" and proof.kind in ("reachable", "overlap"):
        # The claim of impossibility is refuted, by a request or by an assignment that may be one.
        word, style = ("shown  ", "32") if proof.concrete else ("maybe  ", "0")
    yield f"  {paint(word, style)} {printable(_claim(proof))}"
    # A witness matters if it is concrete or refutes a property.
    if proof.witness and (proof.concrete or word == "refuted"):
        note = "" if proof.concrete and (proof.verified or proof.kind == "assertion") else "maybe "
        text = printable(witness_text(proof))
        yield f"            {note}{text if len(text) <= 300 else text[:299] + '…'}"


def _claim(proof: Proof) -> str:
    if proof.verdict == "refuted" and proof.kind == "reachable":
        return f"{proof.match} can be chosen"
    if proof.verdict == "refuted" and proof.kind == "overlap":
        return proof.claim.replace("never hold together", "hold together")
    return proof.claim


def summary(report: Report) -> str:
    """Return a one-line summary: files checked, errors and warnings."""
    files = f"{report.files} file{'s' if report.files != 1 else ''}"
    errors, warnings = report.count("error"), report.count("warning")
    if not report.findings:
        return f"{files} checked, no findings"
    found = [
        f"{count} {name}{'s' if count != 1 else ''}"
        for count, name in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return f"{files} checked: {', '.join(found)}"


def _block(finding: Finding, paint: Paint) -> str:
    problem = finding.problem
    message, *rest = problem.render().split("\n")
    where = printable(f"{problem.place}: ") if problem.place else ""
    style = "31" if finding.severity == "error" else "33"
    first = f"{where}{paint(finding.code, style)} {message.removeprefix(where)}"
    return "\n".join([first, *rest])


def _painted(text: str, style: str) -> str:
    return f"\x1b[{style};1m{text}\x1b[0m"


def _plain(text: str, style: str) -> str:
    return text


def as_json(report: Report) -> str:
    """Return a JSON document: findings, proofs and the number of files checked."""
    value: dict[str, object] = {
        "files": report.files,
        "findings": [finding.to_dict() for finding in report.findings],
    }
    if report.proofs:
        value["proofs"] = [{"policy": policy, **proof.to_dict()} for policy, proof in report.proofs]
    if report.units:
        value["units"] = [{"policy": policy, **units.to_dict()} for policy, units in report.units]
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def github(report: Report) -> str:
    """Return one workflow command per finding; GitHub shows it next to the line."""
    return "".join(_command(finding) for finding in report.findings)


def _command(finding: Finding) -> str:
    place, problem = finding.problem.place, finding.problem
    where = {"title": f"{finding.code} {finding.name}"}
    if place is not None:
        where = {"file": place.file, "line": str(place.line), "col": str(place.column), **where}
    properties = ",".join(f"{name}={_escaped(value, property_=True)}" for name, value in where.items())
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"::{finding.severity} {properties}::{_escaped(problem.message + hint)}\n"


def _escaped(text: str, *, property_: bool = False) -> str:
    """Percent-encode the special characters of a workflow command."""
    text = printable(text) if property_ else printable_lines(text)
    codes = {"%": "%25", "\r": "%0D", "\n": "%0A"} | ({":": "%3A", ",": "%2C"} if property_ else {})
    return "".join(codes.get(character, character) for character in text)


def sarif(report: Report) -> str:
    """Return a SARIF log for code scanning services."""
    known = checks()
    used = sorted({finding.code for finding in report.findings})
    rules = [
        {
            "id": code,
            "name": known[code].name,
            "shortDescription": {"text": known[code].name.replace("-", " ")},
            "helpUri": f"{_PAGES}/{code}.md",
            "help": {"text": page(code)},
            "defaultConfiguration": {"level": known[code].severity},
        }
        for code in used
    ]
    driver = {"name": "engine check", "version": __version__, "rules": rules}
    results = [_result(finding, used.index(finding.code)) for finding in report.findings]
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _uri(name: str) -> dict[str, str]:
    """Return the location of a file: relative to the current folder if it is below it, and encoded."""
    path, root = os.path.abspath(name), os.path.join(os.getcwd(), "")
    if not path.startswith(root):
        return {"uri": "file://" + urllib.parse.quote(path, errors="surrogatepass")}
    relative = urllib.parse.quote(path.removeprefix(root), errors="surrogatepass")
    return {"uri": relative, "uriBaseId": "%SRCROOT%"}


def _result(finding: Finding, rule: int) -> dict[str, object]:
    problem, place = finding.problem, finding.problem.place
    result: dict[str, object] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {
            "text": printable_lines(problem.message + (f" ({problem.hint})" if problem.hint else ""))
        },
    }
    if place is not None:
        region = {"startLine": place.line, "startColumn": place.column}
        location = {
            "artifactLocation": _uri(place.file),
            "region": region,
        }
        result["locations"] = [{"physicalLocation": location}]
    return result
