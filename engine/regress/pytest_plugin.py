"""pytest plugin that collects suites: `pytest policies/` runs every case of a *_test.yaml as a test.

The engine is imported only when a suite is collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.decide.policy import Policy
    from engine.regress.runner import Result
    from engine.regress.suite import Case

_ENDING = "_test.yaml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """Collect a file if it is a suite."""
    if file_path.name.endswith(_ENDING) and _is_suite(file_path):
        return SuiteFile.from_parent(parent, path=file_path)
    return None


def _is_suite(path: Path) -> bool:
    """Return True for a suite of the engine, not one of another tool."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "kind: Suite" in text and "apiVersion: engine/" in text


class SuiteFile(pytest.File):
    """A suite file."""

    def collect(self) -> Iterator[CaseItem]:
        """Yield the cases of the suite."""
        from engine.base.errors import EngineError
        from engine.regress.suite import read_suite

        try:
            suite = read_suite(self.path)
            policy = suite.policy()
        except EngineError as error:
            raise self.CollectError(str(error)) from None
        for case in suite.cases:
            yield CaseItem.from_parent(self, name=case.name, case=case, policy=policy)


class CaseItem(pytest.Item):
    """One case of a suite."""

    def __init__(self, *, case: Case, policy: Policy, **further: Any) -> None:
        super().__init__(**further)
        self.case = case
        self.policy = policy

    def runtest(self) -> None:
        """Decide the case and compare."""
        from engine.regress.runner import at_its_concurrency, run_case

        result = run_case(self.case, at_its_concurrency(self.policy))
        if not result.passed:
            raise CaseFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the failure in the format of `engine test`."""
        from engine.base.paint import painter
        from engine.base.printable import printable_lines
        from engine.regress.failures import failure

        if isinstance(excinfo.value, CaseFailed):
            return printable_lines(failure(excinfo.value.result, painter(False)))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file and line of the case."""
        return self.path, self.case.place.line - 1, self.case.name


class CaseFailed(Exception):
    """Raised for a case with another result than expected."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.case.id)
        self.result = result
