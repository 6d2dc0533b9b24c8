"""Findings of checks: for people, as JSON, as SARIF 2.1.0, and as GitHub's workflow commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine._version import __version__
from engine.checking import Finding, Report, witness_text
from engine.policy.checks import checks

if TYPE_CHECKING:
    from engine.regress.prove import Proof

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def text(report: Report, *, color: bool = False) -> str:
    """Each finding with its line, a caret and a hint, and how many there are."""
    paint = _painted if color else _plain
    blocks = [_block(finding, paint) for finding in report.findings]
    proofs = "".join(f"{line}\n" for line in _proofs(report, paint))
    return "".join(f"{block}\n\n" for block in blocks) + proofs + summary(report) + "\n"


def _proofs(report: Report, paint: Any) -> Iterator[str]:
    """What the solver said of each policy."""
    for name in dict.fromkeys(name for name, _ in report.proofs):
        own = [proof for policy, proof in report.proofs if policy == name]
        yield paint(f"proofs about {name}", "1")
        for proof in own:
            yield from _proof(proof, paint)
        texts = (re.sub(r"\b[ab]\.", "", text) for proof in own for text in proof.abstract)
        abstract = dict.fromkeys(texts)
        if abstract:
            yield "  taken to have any value, since the solver knows no lists:"
            yield from (f"    {text}" for text in abstract)
        yield ""


def _proof(proof: Proof, paint: Any) -> Iterator[str]:
    words = {"proved": ("proved ", "32"), "unknown": ("unknown", "33"), "refuted": ("refuted", "31")}
    word, style = words[proof.verdict]
    if proof.verdict == "refuted" and proof.kind in ("reachable", "overlap"):
        # That it can't be was refuted, by a request or by what may be one.
        word, style = ("shown  ", "32") if proof.concrete else ("maybe  ", "0")
    yield f"  {paint(word, style)} {_claim(proof)}"
    # That something can be is believed; that it must not be is looked at.
    if proof.witness and (proof.concrete or word == "refuted"):
        note = "" if proof.concrete and (proof.verified or proof.kind == "assertion") else "maybe "
        text = witness_text(proof)
        yield f"            {note}{text if len(text) <= 300 else text[:299] + '…'}"


def _claim(proof: Proof) -> str:
    if proof.verdict == "refuted" and proof.kind == "reachable":
        return f"{proof.match} can be chosen"
    if proof.verdict == "refuted" and proof.kind == "overlap":
        return proof.claim.replace("never hold together", "hold together")
    return proof.claim


def summary(report: Report) -> str:
    """How much was looked at and found, in one line."""
    files = f"{report.files} file{'s' if report.files != 1 else ''}"
    errors, warnings = report.count("error"), report.count("warning")
    if not report.findings:
        return f"{files} checked, nothing found"
    found = [
        f"{count} {name}{'s' if count != 1 else ''}"
        for count, name in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return f"{files} checked: {', '.join(found)}"


def _block(finding: Finding, paint: Any) -> str:
    problem = finding.problem
    message, *rest = problem.render().split("\n")
    where = f"{problem.place}: " if problem.place else ""
    style = "31" if finding.severity == "error" else "33"
    first = f"{where}{paint(finding.code, style)} {message.removeprefix(where)}"
    return "\n".join([first, *rest])


def _painted(text: str, style: str) -> str:
    return f"\x1b[{style};1m{text}\x1b[0m"


def _plain(text: str, style: str) -> str:
    return text


def as_json(report: Report) -> str:
    """One JSON document: the findings and how many files were checked."""
    value: dict[str, Any] = {
        "files": report.files,
        "findings": [finding.to_dict() for finding in report.findings],
    }
    if report.proofs:
        value["proofs"] = [{"policy": policy, **proof.to_dict()} for policy, proof in report.proofs]
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def github(report: Report) -> str:
    """A workflow command a finding, which GitHub shows beside the line."""
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
    """What means something in a workflow command, as percent codes."""
    codes = {"%": "%25", "\r": "%0D", "\n": "%0A"} | ({":": "%3A", ",": "%2C"} if property_ else {})
    return "".join(codes.get(character, character) for character in text)


def sarif(report: Report) -> str:
    """A SARIF log, as code scanning services read it."""
    known = checks()
    used = sorted({finding.code for finding in report.findings})
    rules = [
        {
            "id": code,
            "name": known[code].name,
            "shortDescription": {"text": known[code].name.replace("-", " ")},
            "defaultConfiguration": {"level": known[code].severity},
        }
        for code in used
    ]
    driver = {"name": "engine check", "version": __version__, "rules": rules}
    results = [_result(finding, used.index(finding.code)) for finding in report.findings]
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    problem, place = finding.problem, finding.problem.place
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": problem.message + (f" ({problem.hint})" if problem.hint else "")},
    }
    if place is not None:
        region = {"startLine": place.line, "startColumn": place.column}
        location = {"artifactLocation": {"uri": place.file}, "region": region}
        result["locations"] = [{"physicalLocation": location}]
    return result
