"""Launch targets for plans of several groups: an output per group, with its part of the requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Literal

from engine.base.errors import RenderError
from engine.base.printable import printable
from engine.base.records import replace
from engine.decide.decision import Decision
from engine.plan import Plan
from engine.render.devices import devices_text
from engine.render.launch.placement import nodes_of
from engine.render.target import Screen

Render = Callable[[Decision, Screen], str]
Form = Literal["commands", "documents", "first", "none"]
"""How an output holds several groups: as commands one after the other, as YAML documents, only the first
with a comment that says so, or not at all."""


def by_group(form: Form) -> Callable[[Render], Render]:
    """Return a decorator for the render function of a target, which itself expresses one group.

    Args:
        form: how the output holds several groups.
    """

    def decorate(render: Render) -> Render:
        @wraps(render)
        def rendered(decision: Decision, screen: Screen) -> str:
            plan = decision.plan
            if plan is None or not plan.further:
                return render(decision, screen)
            if form == "none":
                raise RenderError(
                    f"this format holds one group of devices, but the plan has {len(plan.groups)}",
                    hint="plan one group by pinning its degrees with --pin, or use --format json",
                )
            numbers = range(1 if form == "first" else len(plan.groups))
            parts = []
            for number in numbers:
                text = render(_only(decision, plan, number), screen)
                parts.append(_headed(_comment(decision, plan, number, form), text, form))
            return ("" if form == "documents" else "\n").join(parts)

        return rendered

    return decorate


def _headed(comment: str, text: str, form: Form) -> str:
    line = printable(comment)
    return f"---\n# {line}\n{text}" if form == "documents" else f"# {line}\n{text}"


def _only(decision: Decision, plan: Plan, number: int) -> Decision:
    """Return the decision with one of its groups, which knows those before it."""
    group = plan.groups[number]
    own = replace(group, further=(), fleet=None, before=plan.groups[:number])
    explanation = decision.explanation if number == 0 else group.explanation
    return replace(decision, plan=own, explanation=explanation)


def _comment(decision: Decision, plan: Plan, number: int, form: Form) -> str:
    """Return what distinguishes a group: its devices, and its part of the requests."""
    group, inventory = plan.groups[number], decision.request.inventory if decision.request else None
    nodes = ", ".join(node for node in nodes_of(group.shards, inventory) if node is not None)
    where = f" on {nodes}" if nodes else ""
    share = "" if plan.fleet is None else f": {plan.fleet.groups[number].share:.1%} of the requests"
    others = "; this format holds no other group" if form == "first" else ""
    return f"group {number + 1} of {len(plan.groups)}, {devices_text(group)}{where}{share}{others}"
