"""pytest collects suites: `pytest policies/` runs each case of each *_test.yaml as a test.

Nothing of the engine is imported where there is no suite.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ENDING = "_test.yaml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """Called by pytest with each file that it meets."""
    if file_path.name.endswith(_ENDING) and _is_suite(file_path):
        return SuiteFile.from_parent(parent, path=file_path)
    return None


def _is_suite(path: Path) -> bool:
    """Whether a file says that it is a suite of the engine's, rather than another tool's."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "kind: Suite" in text and "apiVersion: engine/" in text


class SuiteFile(pytest.File):
    """A suite's file."""

    def collect(self) -> Iterator[CaseItem]:
        """Its cases."""
        from engine.errors import EngineError
        from engine.regress.suite import read_suite

        try:
            suite = read_suite(self.path)
            policy = suite.policy()
        except EngineError as error:
            raise self.CollectError(str(error)) from None
        for case in suite.cases:
            yield CaseItem.from_parent(self, name=case.name, case=case, policy=policy)


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: Any, policy: Any, **further: Any) -> None:
        super().__init__(**further)
        self.case = case
        self.policy = policy

    def runtest(self) -> None:
        """Decide and compare."""
        from engine.regress.runner import run_case

        result = run_case(self.case, self.policy.decide)
        if not result.passed:
            raise CaseFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The failure as `engine test` prints it."""
        from engine.render.tests import failure, painter

        if isinstance(excinfo.value, CaseFailed):
            return failure(excinfo.value.result, painter(False))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the case stands."""
        return self.path, self.case.place.line - 1, self.case.name


class CaseFailed(Exception):
    """A case that is not as expected."""

    def __init__(self, result: Any) -> None:
        super().__init__(result.case.id)
        self.result = result
