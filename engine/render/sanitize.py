"""Decisions with every shown text printable."""

from __future__ import annotations

from engine.base.printable import cleaned
from engine.base.records import replace
from engine.decide.decision import Decision


def sanitised(decision: Decision) -> Decision:
    """Return the decision with all shown texts printable, except those in its trace and inventory."""
    request = decision.request
    if request is not None and request.model is not None:
        request = request.with_inputs(model=cleaned(request.model))
    plain = replace(decision, output=None, auto={}, trace=None, request=None)
    return replace(
        cleaned(plain),
        output=decision.output,
        auto={name: sanitised(chooser) for name, chooser in decision.auto.items()},
        trace=decision.trace,
        request=request,
    )
