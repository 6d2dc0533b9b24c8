"""Does a policy's suites notice its mutants? Each is decided on the suites' cases until one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.decide import Decision, Policy
from engine.errors import EngineError
from engine.executor import in_order
from engine.records import record
from engine.regress.mutants import Mutant, mutants
from engine.regress.runner import request_of, run_case
from engine.regress.suite import Case, Suite, read_suite
from engine.request import Request

Status = Literal["killed", "survived", "crashed", "equivalent"]


@record(eq=False)
class Verdict:
    """How a mutant came out; `by` is the case that noticed it, or what it crashed with."""

    mutant: Mutant
    status: Status
    by: str | None = None
    reason: str | None = None
    """Why it is listed as equivalent."""


@record(eq=False)
class Mutation:
    """How the mutants of one policy came out."""

    policy: Policy
    verdicts: tuple[Verdict, ...]
    stale: tuple[str, ...]
    """Mutants listed as equivalent that aren't there, or that a case notices."""

    def count(self, status: Status) -> int:
        """How many mutants came out so."""
        return sum(verdict.status == status for verdict in self.verdicts)

    @property
    def score(self) -> float:
        """Killed mutants in percent of all but the equivalent ones; 100 where there are none."""
        killed, others = self.count("killed"), self.count("survived") + self.count("crashed")
        return 100.0 * killed / (killed + others) if killed + others else 100.0

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "policy": f"{self.policy.name}@{self.policy.version}",
            "killed": self.count("killed"),
            "survived": self.count("survived"),
            "crashed": self.count("crashed"),
            "equivalent": self.count("equivalent"),
            "score": self.score,
            "survivors": [_verdict(each) for each in self.verdicts if each.status == "survived"],
            "crashes": [_verdict(each) for each in self.verdicts if each.status == "crashed"],
            "stale": list(self.stale),
        }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    place = verdict.mutant.place
    found = {
        "mutant": verdict.mutant.name,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "diff": list(verdict.mutant.diff),
    }
    return found if verdict.by is None else {**found, "by": verdict.by}


def mutate(
    suites: Sequence[Suite],
    folders: Sequence[str],
    *,
    jobs: int = 1,
    after: Callable[[], None] = lambda: None,
) -> Mutation:
    """Run the suites of one policy on each of its mutants.

    Args:
        suites: all of the same policy; they must pass.
        folders: policies in front of the shipped ones.
        jobs: processes.
        after: called with each mutant that is done.
    """
    policy = suites[0].policy()
    listed = {name: reason for suite in suites for name, reason in suite.equivalent.items()}
    job = MutationJob(tuple(suite.path for suite in suites), tuple(folders))
    every = list(mutants(policy.compiled))
    verdicts: list[Verdict] = []
    for mutant, (status, by) in zip(every, in_order(job, range(len(every)), jobs), strict=True):
        reason = listed.get(mutant.name)
        if reason is not None and status != "killed":
            status = "equivalent"
        verdicts.append(Verdict(mutant, status, by, reason))
        after()
    equal = {verdict.mutant.name for verdict in verdicts if verdict.status == "equivalent"}
    return Mutation(policy, tuple(verdicts), tuple(name for name in listed if name not in equal))


@record
class MutationJob:
    """Decides mutants, which are numbers here: every process makes the same ones."""

    paths: tuple[Path, ...]
    folders: tuple[str, ...]

    def start(self) -> Callable[[int], tuple[Status, str | None]]:
        """The function that tells how a mutant came out, and what noticed it."""
        suites = [read_suite(path, self.folders) for path in self.paths]
        policy = suites[0].policy()
        every = list(mutants(policy.compiled))
        cases = _Cases(policy, [case for suite in suites for case in suite.cases])

        def run(number: int) -> tuple[Status, str | None]:
            return cases.judge(policy.variant(every[number].policy))

        return run


class _Cases:
    """Cases with their requests read once."""

    def __init__(self, policy: Policy, cases: Iterable[Case]) -> None:
        self.prepared: list[tuple[Case, Request | EngineError]] = []
        for case in cases:
            try:
                self.prepared.append((case, policy.prepared(request_of(case))[0]))
            except EngineError as error:
                self.prepared.append((case, error))

    def judge(self, mutant: Policy) -> tuple[Status, str | None]:
        """Whether a case fails on a mutant."""
        for case, request in self.prepared:

            def decide(_: Request, request: Request | EngineError = request) -> Decision:
                if isinstance(request, EngineError):
                    raise request
                return mutant.decide(request)

            try:
                if not run_case(case, decide).passed:
                    return "killed", case.id
            except Exception as error:  # whatever it is, it is the engine's and no answer
                return "crashed", f"{case.id}: {type(error).__name__}: {error}"
        return "survived", None
