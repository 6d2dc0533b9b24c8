"""Search for a minimal request on which two policies differ, with Hypothesis."""

from __future__ import annotations

from random import Random

from engine.base.errors import EngineError
from engine.base.records import record
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.documents.yaml_writer import dump
from engine.regress.diff import Outcome, change_of, differs, outcome


@record(eq=False)
class Found:
    """Inputs on which two policies differ, and both outcomes."""

    inputs: dict[str, object]
    before: Outcome
    after: Outcome


@record(eq=False)
class Searched:
    """The result of a search.

    Attributes:
        found: the smallest difference; None if there is none.
        tried: number of requests tried.
        decided: number of these that at least one policy could decide.
        first_error: the error of the first request that neither could decide.
    """

    found: Found | None
    tried: int
    decided: int
    first_error: str = ""


def search(left: Policy, right: Policy, *, examples: int = 10_000, seed: int | None = None) -> Searched:
    """Search for a request on which the policies differ and shrink it.

    Args:
        left: the policy; requests are drawn for its inputs.
        right: the policy to compare with.
        examples: number of requests to try.
        seed: random seed; None draws different requests each time.

    Returns:
        The difference, if there is one, and how many requests were tried. A policy with few possible requests
        has fewer than `examples`.

    Raises:
        EngineError: Hypothesis is not installed.
    """
    try:
        import hypothesis
        from hypothesis import HealthCheck, Phase

        from engine.regress.strategies import inputs
    except ImportError:
        raise EngineError(
            "Hypothesis is not installed", hint="pip install 'shard-policy-engine[testing]'"
        ) from None

    tried = decided = 0
    first_error = ""

    def differ(drawn: dict[str, object]) -> bool:
        nonlocal tried, decided, first_error
        request = Request(drawn)
        before, after = outcome(left, request), outcome(right, request)
        tried += 1
        if isinstance(before, str) and isinstance(after, str):
            first_error = first_error or before
        else:
            decided += 1
        return differs(before, after)

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
        return Searched(None, tried, decided, first_error)
    request = Request(drawn)
    found = Found(drawn, outcome(left, request), outcome(right, request))
    return Searched(found, tried, decided, first_error)


def as_test(found: Found) -> str:
    """Return a suite test that passes for the first policy and fails for the second."""
    change = change_of(found.before, found.after)
    expect: dict[str, object] = {}
    if isinstance(found.before, str):
        expect["error"] = found.before
    else:
        decision = found.before.to_dict()
        expect["match"] = decision["match"]
        if change.match_from == change.match_to:
            if found.before.plan is None:
                expect["output"] = decision["output"]
            else:
                plan = found.before.plan.to_dict()
                expect["plan"] = {
                    "strategy": plan["strategy"],
                    "total_memory_bytes": plan["total_memory_bytes"],
                    "estimated_tokens_per_sec": plan["estimated_tokens_per_sec"],
                    "shards": plan["shards"],
                }
    test = {"name": f"{change.match_from}, not {change.match_to}", "inputs": found.inputs, "expect": expect}
    return dump({"tests": [test]}, width=100)
