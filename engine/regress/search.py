"""Looks for a request on which two policies differ, and makes it as small as it can (hypothesis)."""

from __future__ import annotations

from random import Random
from typing import Any

import yaml

from engine.decide import Policy
from engine.errors import EngineError
from engine.records import record
from engine.regress.diff import Outcome, change_of, differs, outcome
from engine.request import Request


@record(eq=False)
class Found:
    """Inputs on which the policies differ, and what each makes of them."""

    inputs: dict[str, Any]
    before: Outcome
    after: Outcome


def search(left: Policy, right: Policy, *, examples: int = 10_000, seed: int | None = None) -> Found | None:
    """The smallest request that was found on which the policies differ; None where none was.

    Args:
        left: the policy whose inputs are drawn.
        right: the other one.
        examples: requests that are tried.
        seed: of the draws; without one they are others each time.

    Raises:
        EngineError: hypothesis isn't installed.
    """
    try:
        import hypothesis
        from hypothesis import HealthCheck, Phase

        from engine.regress.strategies import inputs
    except ImportError:
        raise EngineError(
            "hypothesis is not installed", hint="pip install 'shard-policy-engine[testing]'"
        ) from None

    def differ(drawn: dict[str, Any]) -> bool:
        request = Request(drawn)
        return differs(outcome(left, request), outcome(right, request))

    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    random = None if seed is None else Random(seed)
    try:
        drawn = hypothesis.find(inputs(left, right), differ, settings=settings, random=random)
    except hypothesis.errors.NoSuchExample:
        return None
    request = Request(drawn)
    return Found(drawn, outcome(left, request), outcome(right, request))


def as_test(found: Found) -> str:
    """A test of a suite that holds for the first policy and fails for the second."""
    change = change_of(found.before, found.after)
    expect: dict[str, Any] = {}
    if isinstance(found.before, str):
        expect["error"] = found.before
    else:
        decision = found.before.to_dict()
        expect["match"] = decision["match"]
        if change.match_from == change.match_to:
            if found.before.plan is None:
                expect["output"] = decision["output"]
            else:
                plan = decision["plan"]
                expect["plan"] = {
                    name: plan[name]
                    for name in ("strategy", "total_memory_bytes", "estimated_tokens_per_sec", "shards")
                }
    test = {"name": f"{change.match_from}, not {change.match_to}", "inputs": found.inputs, "expect": expect}
    text: str = yaml.safe_dump({"tests": [test]}, sort_keys=False, allow_unicode=True, width=100)
    return text
