"""The decision as one self-contained HTML page: the diagram, the estimates, remedies and warnings."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from engine.base.printable import finished
from engine.decide.decision import Decision
from engine.plan import Plan
from engine.render import Screen, Target
from engine.render import as_svg as picture
from engine.render.sanitize import sanitised
from engine.render.text import (
    fleet_rows,
    goal_rows,
    group_rows,
    headline,
    help_tables,
    plan_rows,
    strategy_text,
)

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
svg { max-width: 100%; height: auto; }
h2 { font-size: 1.1rem; }
dl { display: grid; grid-template-columns: minmax(10rem, max-content) 1fr; gap: .2rem 1rem; }
dt { opacity: .65; } dd { margin: 0; overflow-wrap: anywhere; } li { margin: .2rem 0; }
@media (prefers-color-scheme: dark) { body { background: #14181f; color: #e8ebf0; } }
"""


def render(decision: Decision, screen: Screen) -> str:
    """Return the page.

    Raises:
        RenderError: The policy reads no inventory, so there is nothing to draw.
    """
    decision = sanitised(decision)
    drawn = picture.render(decision, screen)
    plan = decision.plan
    rows = {
        "policy": f"{decision.policy_name}@{decision.policy_version}",
        "digest": decision.policy_digest,
        "match": decision.match_id,
        "quantization": decision.quantization,
    }
    if plan is not None and not plan.further:
        rows |= {name.strip(): value for name, value in plan_rows(decision, plan)}
    groups = _groups(decision, plan) if plan is not None and plan.further else ""
    help_ = "".join(
        f"<h2>{title}</h2>{_list((row[0], ', '.join(filter(None, row[1:]))) for row in listed)}"
        for title, listed in help_tables(decision)
    )
    every = () if plan is None else dict.fromkeys(each for group in plan.groups for each in group.warnings)
    warnings = "".join(f"<li>{escape(each)}</li>" for each in every)
    return finished(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(headline(decision))}</title>"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{drawn}'
        f"{_list(rows.items())}{groups}{help_}"
        f"{f'<h2>Warnings</h2><ul>{warnings}</ul>' if warnings else ''}</body></html>\n"
    )


def _groups(decision: Decision, plan: Plan) -> str:
    """Return the estimates of each of several groups, and of all together."""
    parts = []
    for number, group in enumerate(plan.groups):
        title = escape(f"Group {number + 1}: {strategy_text(group.strategy)}")
        rows = ((name.strip(), value) for name, value in group_rows(decision, plan, number))
        parts.append(f"<h2>{title}</h2>{_list(rows)}")
    whole = (*fleet_rows(plan), *(("idle", str(each)) for each in plan.idle), *goal_rows(decision, plan))
    return "".join([*parts, f"<h2>All groups</h2>{_list(whole)}"])


def _list(rows: Iterable[tuple[str, str | None]]) -> str:
    """Return a description list of the rows that have a value."""
    listed = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value is not None)
    return f"<dl>{''.join(listed)}</dl>"


TARGET = Target("html", render, "html")
