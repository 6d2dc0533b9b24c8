"""Test policies in Python: run suites, and draw requests with hypothesis.

    from hypothesis import given
    import engine
    from engine.testing import requests

    policy = engine.load_policy("sharding@1.0.0")

    @given(requests(policy))
    def test_no_plan_is_larger_than_the_devices(request):
        decision = policy.decide(request)
        ...

`requests` needs hypothesis: pip install 'shard-policy-engine[testing]'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.paint import painter
from engine.decide.policy import Policy
from engine.regress.runner import Mismatch, Result
from engine.regress.session import Session, run
from engine.regress.suite import find_suites
from engine.render.report.suites import text

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from engine.decide.request import Request

__all__ = ["Mismatch", "Result", "Session", "check_suites", "inputs", "requests", "run_suites"]


def run_suites(*paths: Path | str, policies: Sequence[str] = ()) -> Session:
    """Run the suites in files and folders.

    Args:
        paths: suite files, or folders with suites.
        policies: folders of policies that take precedence over the shipped ones.

    Returns:
        The session; `results` holds the result of each case.

    Raises:
        DocumentError: a path doesn't exist.
    """
    return run(find_suites([Path(path) for path in paths]), policies)


def check_suites(*paths: Path | str, policies: Sequence[str] = ()) -> None:
    """Run suites in a test.

    Args:
        paths: suite files, or folders with suites.
        policies: folders of policies that take precedence over the shipped ones.

    Raises:
        AssertionError: a case failed, a suite is broken, or nothing ran; with every difference.
    """
    session = run_suites(*paths, policies=policies)
    if session.failed or session.broken or not session.results:
        raise AssertionError(text(session, painter(False)))


def requests(*policies: Policy, max_devices: int = 8) -> SearchStrategy[Request]:
    """A hypothesis strategy: valid requests for these policies, see engine.regress.strategies."""
    from engine.regress import strategies

    return strategies.requests(*policies, max_devices=max_devices)


def inputs(*policies: Policy, max_devices: int = 8) -> SearchStrategy[dict[str, object]]:
    """The same as plain data: what a suite or a file would hold."""
    from engine.regress import strategies

    return strategies.inputs(*policies, max_devices=max_devices)
