"""For tests of policies in Python: run suites, and draw requests with hypothesis.

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
from typing import TYPE_CHECKING, Any

from engine.decide import Policy
from engine.regress.runner import Mismatch, Result
from engine.regress.session import Session, run
from engine.regress.suite import find_suites
from engine.render.tests import painter, text

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from engine.request import Request

__all__ = ["Mismatch", "Result", "Session", "check_suites", "inputs", "requests", "run_suites"]


def run_suites(*paths: Path | str, policies: Sequence[str] = ()) -> Session:
    """Run the suites in files and folders; what came of each case is in `results`.

    Raises:
        DocumentError: a path doesn't exist.
    """
    return run(find_suites([Path(path) for path in paths]), policies)


def check_suites(*paths: Path | str, policies: Sequence[str] = ()) -> None:
    """Run suites, for use in a test.

    Raises:
        AssertionError: a case failed, a suite is broken, or there was nothing to run; with all that differs.
    """
    session = run_suites(*paths, policies=policies)
    if session.failed or session.broken or not session.results:
        raise AssertionError(text(session, painter(False)))


def requests(*policies: Policy, max_devices: int = 8) -> SearchStrategy[Request]:
    """A hypothesis strategy: valid requests for these policies, see engine.regress.strategies."""
    from engine.regress import strategies

    return strategies.requests(*policies, max_devices=max_devices)


def inputs(*policies: Policy, max_devices: int = 8) -> SearchStrategy[Any]:
    """The same as plain data: what a suite or a file would hold."""
    from engine.regress import strategies

    return strategies.inputs(*policies, max_devices=max_devices)
