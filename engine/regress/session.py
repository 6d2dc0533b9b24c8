"""Run suites: select cases, distribute them over processes, collect results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from engine.base.errors import EngineError
from engine.base.pool import in_order
from engine.base.records import field, record
from engine.decide.policy import Policy
from engine.regress.coverage import Coverage, Seen, Watcher, coverage
from engine.regress.mutation import Mutation
from engine.regress.runner import Result, at_its_concurrency, run_case
from engine.regress.suite import Suite, read_suite

_PIECE = 64
"""Cases in one unit of work."""


@record(eq=False)
class Session:
    """Suites, errors of those that cannot be read, and results in the order of the suites."""

    suites: tuple[Suite, ...]
    broken: tuple[EngineError, ...]
    results: tuple[Result, ...]
    seconds: float = field(default=0.0)
    coverages: tuple[Coverage, ...] | None = None
    """Coverage per policy, if requested."""
    mutations: tuple[Mutation, ...] | None = None
    """Mutation results per policy, if requested and all cases passed."""

    @property
    def failed(self) -> tuple[Result, ...]:
        """Return the results of failed cases."""
        return tuple(result for result in self.results if not result.passed)


def read_suites(
    paths: Iterable[Path], folders: Sequence[str], constants: Mapping[str, object] | None = None
) -> tuple[list[Suite], list[EngineError]]:
    """Read suites; return them and the errors of those that cannot be read."""
    suites: list[Suite] = []
    broken: list[EngineError] = []
    for path in paths:
        try:
            suites.append(read_suite(path, folders, constants))
        except EngineError as error:
            broken.append(error)
    return suites, broken


def run(
    paths: Sequence[Path],
    folders: Sequence[str] = (),
    *,
    constants: Mapping[str, object] | None = None,
    wanted: Callable[[str], bool] = lambda _: True,
    jobs: int = 1,
    fail_fast: bool = False,
    update: bool = False,
    watch: bool = False,
    after: Callable[[Result], None] = lambda _: None,
) -> Session:
    """Run suites.

    Args:
        paths: suite files.
        folders: policy folders, searched before the shipped policies.
        constants: other values of the policies' constants (`--set`).
        wanted: selects cases by id.
        jobs: number of processes.
        fail_fast: stop after the first failed case.
        update: rewrite golden files that differ.
        watch: record coverage.
        after: called with each result.
    """
    start = time.perf_counter()
    suites, broken = read_suites(paths, folders, constants)
    job = SuiteJob(tuple(folders), update, watch, constants)
    results: list[Result] = []
    seen: dict[str, Seen] = {}
    for piece, digest, observed in in_order(job, _pieces(suites, wanted), jobs):
        if observed is not None:
            seen.setdefault(digest, Seen()).add(observed)
        for result in piece:
            results.append(result)
            after(result)
            if fail_fast and not result.passed:
                break
        if fail_fast and results and not results[-1].passed:
            break
    coverages = tuple(_coverages(suites, seen)) if watch else None
    return Session(tuple(suites), tuple(broken), tuple(results), time.perf_counter() - start, coverages)


def by_policy(suites: Iterable[Suite]) -> dict[str, list[Suite]]:
    """Group suites by the digest of the policy that they test."""
    groups: dict[str, list[Suite]] = {}
    for suite in suites:
        groups.setdefault(suite.policy().digest, []).append(suite)
    return groups


def _coverages(suites: Iterable[Suite], seen: Mapping[str, Seen]) -> Iterator[Coverage]:
    for digest, group in by_policy(suites).items():
        unreachable = {text: reason for suite in group for text, reason in suite.unreachable.items()}
        yield coverage(group[0].policy().compiled, seen.get(digest, Seen()), unreachable)


_Piece = tuple[Path, tuple[int, ...]]
"""A suite file and indices of cases in it."""

_Done = tuple[list[Result], str, Seen | None]
"""Results, the digest of the policy, and its coverage."""


def _pieces(suites: Iterable[Suite], wanted: Callable[[str], bool]) -> Iterator[_Piece]:
    for suite in suites:
        chosen = [position for position, case in enumerate(suite.cases) if wanted(case.id)]
        for begin in range(0, len(chosen), _PIECE):
            yield suite.path, tuple(chosen[begin : begin + _PIECE])


@record
class SuiteJob:
    """Run cases of suites; each process reads a suite once."""

    folders: tuple[str, ...]
    update: bool
    watch: bool
    constants: Mapping[str, object] | None = None

    def start(self) -> Callable[[_Piece], _Done]:
        """Return the function that runs some cases of a suite."""

        @cache
        def load(path: Path) -> tuple[Suite, Policy]:
            suite = read_suite(path, self.folders, self.constants)
            return suite, suite.policy()

        def run_piece(piece: _Piece) -> _Done:
            suite, policy = load(piece[0])
            watcher = Watcher(policy) if self.watch else None
            decide = at_its_concurrency(policy) if watcher is None else watcher.decide
            results = [run_case(suite.cases[index], decide, update=self.update) for index in piece[1]]
            return results, policy.digest, None if watcher is None else watcher.seen

        return run_piece
