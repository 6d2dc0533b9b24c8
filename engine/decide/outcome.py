"""The decision that follows from a match, whether the fast path or the interpreter chose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.base.records import record
from engine.cel.values import Value
from engine.decide.decision import Decision, quantization_name
from engine.decide.request import Request
from engine.plan.plan import Plan
from engine.plan.validator import with_warnings

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.decide.dicts import Outcome
    from engine.decide.tracing import Trace
    from engine.plan.search.judging import Refusal


@record
class Identity:
    """The name, version and digest of a policy."""

    name: str
    version: str
    digest: str
    catalogs: Catalogs | None = None
    """The catalogs that it reads."""


@record(eq=False)
class Chosen:
    """The chosen match: its id, its explanation, and the plan, refusal or value that it leads to."""

    match_id: str
    explanation: str | None
    plan: Plan | None = None
    refusal: Refusal | None = None
    value: Value = None


def decision_of(
    policy: Identity,
    request: Request,
    inputs: Mapping[str, Value],
    chosen: Chosen | None,
    *,
    auto: Mapping[str, Decision],
    trace: Trace | None = None,
) -> Decision:
    """Assemble the decision.

    Args:
        policy: the policy that decided.
        request: the request, with the inputs that other policies chose.
        inputs: the bound inputs.
        chosen: the chosen match; None if no match holds.
        auto: the decisions that chose inputs.
        trace: the trace, if one was recorded.
    """
    plan = refusal = match_id = explanation = output = None
    outcome: Outcome = "no_match"
    if chosen is not None:
        match_id, explanation = chosen.match_id, chosen.explanation
        plan, refusal, output = chosen.plan, chosen.refusal, chosen.value
        outcome = "value"
        if plan is not None:
            outcome, plan = "plan", with_warnings(plan, request.inventory)
        elif refusal is not None:
            outcome = "infeasible"
    return Decision(
        id=request.id,
        policy_name=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        outcome=outcome,
        match_id=match_id,
        explanation=explanation,
        output=output,
        plan=plan,
        fits_in_memory=None if plan is None else plan.fits_in_memory,
        quantization=quantization_name(inputs),
        auto=auto,
        trace=trace,
        request=request,
        refusal=refusal,
        catalogs=policy.catalogs,
    )
