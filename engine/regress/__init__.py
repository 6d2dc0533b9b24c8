"""Treat policies as tested software: suites, coverage, mutants, diff, explain, proofs, lint, bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.regress.bench import Bench, measure
    from engine.regress.failures import failure, indented, painted_line
    from engine.regress.prove import Proof
    from engine.regress.revisions import Side, sides
    from engine.regress.runner import Mismatch, Result
    from engine.regress.session import Session, by_policy, run
    from engine.regress.suite import SUITES, find_suites, read_suite

__all__ = [
    "SUITES",
    "Bench",
    "Mismatch",
    "Proof",
    "Result",
    "Session",
    "Side",
    "by_policy",
    "failure",
    "find_suites",
    "indented",
    "measure",
    "painted_line",
    "read_suite",
    "run",
    "sides",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "bench": "Bench measure",
            "failures": "failure indented painted_line",
            "prove": "Proof",
            "revisions": "Side sides",
            "runner": "Mismatch Result",
            "session": "Session by_policy run",
            "suite": "SUITES find_suites read_suite",
        },
        "coverage diff fuzz_diff lint mutants mutation prove_diff runner sensitivity strategies suite",
    )
