"""The plan as a page: the picture, and what else the decision says. One file, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from engine.decision import Decision
from engine.render import Screen
from engine.render import svg as picture
from engine.render.text import WOULD_HELP, estimate_rows, headline, remedy_rows

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
    """The page.

    Raises:
        RenderError: the policy reads no inventory, so there is nothing to draw.
    """
    drawn = picture.render(decision, screen)
    plan = decision.plan
    rows = {
        "policy": f"{decision.policy_name}@{decision.policy_version}",
        "digest": decision.policy_digest,
        "match": decision.match_id,
        "quantization": decision.quantization,
    }
    if plan is not None and plan.estimates is not None:
        rows |= dict(estimate_rows(plan.estimates, plan.strategy.data_parallel))
    elif plan is not None and plan.estimated_tokens_per_sec is not None:
        rows["estimate"] = f"{plan.estimated_tokens_per_sec:.1f} tokens/s"
    help_ = f"<h2>{WOULD_HELP}</h2>{_list(remedy_rows(decision.remedies))}" if decision.remedies else ""
    warnings = "".join(f"<li>{escape(each)}</li>" for each in (plan.warnings if plan is not None else ()))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(headline(decision))}</title>"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{drawn}'
        f"{_list(rows.items())}{help_}"
        f"{f'<h2>Warnings</h2><ul>{warnings}</ul>' if warnings else ''}</body></html>\n"
    )


def _list(rows: Iterable[tuple[str, str | None]]) -> str:
    """Names and what they are, without those that are nothing."""
    listed = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value is not None)
    return f"<dl>{''.join(listed)}</dl>"
