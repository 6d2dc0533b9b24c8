"""Why, and what would flip it: the decision with its trace, and the flips, the nearest first."""

from __future__ import annotations

import json
import math

from engine.quantities import format_bytes
from engine.regress.sensitivity import Explanation, Flip
from engine.render import Screen
from engine.render import text as text_target
from engine.render.tests import painter


def text(found: Explanation, screen: Screen) -> str:
    """The decision as `engine eval --explain` prints it, and what would flip it."""
    paint = painter(screen.color)
    lines = [paint("What would flip it, the nearest first", "1")]
    if not found.flips:
        lines.append("  no single value: whatever one of them is, this match is chosen")
    for flip in found.flips:
        lines.append(f"  {_distance(flip):>9}  {_wording(flip)}")
        lines.append(f"             → {paint(flip.match_to or 'no match', '33')}{_now(flip)}")
    return text_target.render(found.decision, screen) + "\n" + "\n".join(lines) + "\n"


def _distance(flip: Flip) -> str:
    if flip.distance is None or math.isinf(flip.distance):
        return ""
    sign = "+" if flip.flipped > flip.value else "−"
    percent = 100 * flip.distance
    if percent >= 1000:
        return f"×{flip.flipped / flip.value:.3g}"
    return f"{sign}{percent:.1f} %" if percent >= 0.1 else f"{sign}<0.1 %"


def _wording(flip: Flip) -> str:
    if flip.distance is None:
        return f"{flip.path} {_shown(flip, flip.flipped)} instead of {_shown(flip, flip.value)}"
    if flip.path.endswith(".count"):
        return f"{flip.path.removesuffix('.count')}: {flip.flipped} devices instead of {flip.value}"
    relation = "≥" if flip.flipped > flip.value else "≤"
    return f"{flip.path} {relation} {_shown(flip, flip.flipped)}"


def _now(flip: Flip) -> str:
    if flip.distance is None or flip.path.endswith(".count"):
        return ""
    return f"   (now {_shown(flip, flip.value)})"


def _shown(flip: Flip, value: object) -> str:
    if flip.unit == "byte" and isinstance(value, int) and value >= 1024:
        return f"{value} ({format_bytes(value)})"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def as_json(found: Explanation) -> str:
    """One JSON document."""
    return json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
