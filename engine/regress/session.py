"""One run over suites: which cases, on how many processes, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from engine.decide import Policy
from engine.errors import EngineError
from engine.executor import in_order
from engine.records import field, record
from engine.regress.coverage import Coverage, Seen, Watcher, coverage
from engine.regress.mutation import Mutation
from engine.regress.runner import Result, run_case
from engine.regress.suite import Suite, read_suite

_PIECE = 64
"""Cases that a process is given at once."""


@record(eq=False)
class Session:
    """What was run: suites that could be read, those that couldn't, results in the order of the suites."""

    suites: tuple[Suite, ...]
    broken: tuple[EngineError, ...]
    results: tuple[Result, ...]
    seconds: float = field(default=0.0)
    coverages: tuple[Coverage, ...] | None = None
    """Of each policy, where it was asked for."""
    mutations: tuple[Mutation, ...] | None = None
    """Of each policy, where they were asked for and all cases passed."""

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results that are not as expected."""
        return tuple(result for result in self.results if not result.passed)


def read_suites(paths: Iterable[Path], folders: Sequence[str]) -> tuple[list[Suite], list[EngineError]]:
    """The suites in some files, and what is wrong with those that can't be read."""
    suites: list[Suite] = []
    broken: list[EngineError] = []
    for path in paths:
        try:
            suites.append(read_suite(path, folders))
        except EngineError as error:
            broken.append(error)
    return suites, broken


def run(
    paths: Sequence[Path],
    folders: Sequence[str] = (),
    *,
    wanted: Callable[[str], bool] = lambda _: True,
    jobs: int = 1,
    fail_fast: bool = False,
    update: bool = False,
    watch: bool = False,
    after: Callable[[Result], None] = lambda _: None,
) -> Session:
    """Run suites.

    Args:
        paths: their files.
        folders: policies in front of the shipped ones.
        wanted: which cases are run, by their ids.
        jobs: processes.
        fail_fast: stop behind the first case that fails.
        update: write golden files that differ anew.
        watch: keep what is seen of the policies, for their coverage.
        after: called with each result as it comes.
    """
    start = time.perf_counter()
    suites, broken = read_suites(paths, folders)
    job = SuiteJob(tuple(folders), update, watch)
    results: list[Result] = []
    seen: dict[str, Seen] = {}
    for piece, digest, found in in_order(job, _pieces(suites, wanted), jobs):
        if found is not None:
            seen.setdefault(digest, Seen()).add(found)
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
    """Suites by the digests of the policies that they test."""
    found: dict[str, list[Suite]] = {}
    for suite in suites:
        found.setdefault(suite.policy().digest, []).append(suite)
    return found


def _coverages(suites: Iterable[Suite], seen: Mapping[str, Seen]) -> Iterator[Coverage]:
    for digest, own in by_policy(suites).items():
        unreachable = {text: reason for suite in own for text, reason in suite.unreachable.items()}
        yield coverage(own[0].policy().compiled, seen.get(digest, Seen()), unreachable)


_Piece = tuple[Path, tuple[int, ...]]
"""A suite's file, and positions of cases in it."""

_Done = tuple[list[Result], str, Seen | None]
"""Results, and what was seen of the policy of which digest."""


def _pieces(suites: Iterable[Suite], wanted: Callable[[str], bool]) -> Iterator[_Piece]:
    for suite in suites:
        chosen = [position for position, case in enumerate(suite.cases) if wanted(case.id)]
        for begin in range(0, len(chosen), _PIECE):
            yield suite.path, tuple(chosen[begin : begin + _PIECE])


@record
class SuiteJob:
    """Runs cases of suites, which are read once in each process."""

    folders: tuple[str, ...]
    update: bool
    watch: bool

    def start(self) -> Callable[[_Piece], _Done]:
        """The function that runs some cases of a suite."""

        @cache
        def load(path: Path) -> tuple[Suite, Policy]:
            suite = read_suite(path, self.folders)
            return suite, suite.policy()

        def run_piece(piece: _Piece) -> _Done:
            suite, policy = load(piece[0])
            watcher = Watcher(policy) if self.watch else None
            decide = policy.decide if watcher is None else watcher.decide
            results = [run_case(suite.cases[each], decide, update=self.update) for each in piece[1]]
            return results, policy.digest, None if watcher is None else watcher.seen

        return run_piece
