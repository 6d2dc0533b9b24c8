"""Mutation testing: run the suites of a policy on each of its mutants until a case fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from engine.base.errors import EngineError
from engine.base.pool import in_order
from engine.base.records import record
from engine.decide.decision import Decision
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.regress.mutants import Mutant, mutants
from engine.regress.runner import at_its_concurrency, request_of, run_case
from engine.regress.suite import Case, Suite, read_suite
from engine.regress.variants import variant

Status = Literal["killed", "survived", "crashed", "equivalent"]


@record(eq=False)
class Verdict:
    """Status of a mutant; `by` is the case that killed it, or its crash."""

    mutant: Mutant
    status: Status
    by: str | None = None
    reason: str | None = None
    """Reason for its listing as equivalent."""


@record(eq=False)
class Mutation:
    """Mutation results of one policy."""

    policy: Policy
    verdicts: tuple[Verdict, ...]
    stale: tuple[str, ...]
    """Mutants listed as equivalent that do not exist or were killed."""

    def count(self, status: Status) -> int:
        """Count the mutants with a status."""
        return sum(verdict.status == status for verdict in self.verdicts)

    @property
    def score(self) -> float:
        """Percentage of killed mutants, equivalent ones aside; 100 if there are none."""
        killed, others = self.count("killed"), self.count("survived") + self.count("crashed")
        return 100.0 * killed / (killed + others) if killed + others else 100.0

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "policy": f"{self.policy.name}@{self.policy.version}",
            "killed": self.count("killed"),
            "survived": self.count("survived"),
            "crashed": self.count("crashed"),
            "equivalent": self.count("equivalent"),
            "score": self.score,
            "survivors": [_verdict(verdict) for verdict in self.verdicts if verdict.status == "survived"],
            "crashes": [_verdict(verdict) for verdict in self.verdicts if verdict.status == "crashed"],
            "stale": list(self.stale),
        }


def _verdict(verdict: Verdict) -> dict[str, object]:
    place = verdict.mutant.place
    value: dict[str, object] = {
        "mutant": verdict.mutant.name,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "diff": list(verdict.mutant.diff),
    }
    return value if verdict.by is None else {**value, "by": verdict.by}


def mutate(
    suites: Sequence[Suite],
    folders: Sequence[str],
    *,
    jobs: int = 1,
    after: Callable[[], None] = lambda: None,
) -> Mutation:
    """Run the suites of one policy on each of its mutants.

    Args:
        suites: suites of one policy; all cases must pass.
        folders: policy folders, searched before the shipped policies.
        jobs: number of processes.
        after: called after each mutant.
    """
    policy = suites[0].policy()
    listed = {name: reason for suite in suites for name, reason in suite.equivalent.items()}
    job = MutationJob(tuple(suite.path for suite in suites), tuple(folders), suites[0].constants)
    all_mutants = list(mutants(policy.compiled))
    verdicts: list[Verdict] = []
    for mutant, (status, by) in zip(all_mutants, in_order(job, range(len(all_mutants)), jobs), strict=True):
        reason = listed.get(mutant.name)
        if reason is not None and status != "killed":
            status = "equivalent"
        verdicts.append(Verdict(mutant, status, by, reason))
        after()
    equal = {verdict.mutant.name for verdict in verdicts if verdict.status == "equivalent"}
    return Mutation(policy, tuple(verdicts), tuple(name for name in listed if name not in equal))


@record
class MutationJob:
    """Decide mutants by number: every process generates the same sequence."""

    paths: tuple[Path, ...]
    folders: tuple[str, ...]
    constants: Mapping[str, object]

    def start(self) -> Callable[[int], tuple[Status, str | None]]:
        """Return the function that runs a mutant and returns its status and killer."""
        suites = [read_suite(path, self.folders, self.constants) for path in self.paths]
        policy = suites[0].policy()
        all_mutants = list(mutants(policy.compiled))
        cases = _Cases(policy, [case for suite in suites for case in suite.cases])

        def run(number: int) -> tuple[Status, str | None]:
            return cases.judge(variant(policy, all_mutants[number].policy))

        return run


class _Cases:
    """Cases with prepared requests."""

    def __init__(self, policy: Policy, cases: Iterable[Case]) -> None:
        self.prepared: list[tuple[Case, Request | EngineError]] = []
        for case in cases:
            try:
                self.prepared.append((case, policy.prepared(request_of(case))[0]))
            except EngineError as error:
                self.prepared.append((case, error))

    def judge(self, mutant: Policy) -> tuple[Status, str | None]:
        """Run the cases on a mutant until one fails."""
        decide_mutant = at_its_concurrency(mutant)
        for case, request in self.prepared:

            def decide(_: Request, remedies: bool, request: Request | EngineError = request) -> Decision:
                if isinstance(request, EngineError):
                    raise request
                return decide_mutant(request, remedies)

            try:
                if not run_case(case, decide).passed:
                    return "killed", case.id
            except Exception as error:  # a bug in the engine, not a decision
                return "crashed", f"{case.id}: {type(error).__name__}: {error}"
        return "survived", None
