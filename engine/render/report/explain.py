"""An explained decision: its trace, and the changes that would alter it, nearest first."""

from __future__ import annotations

import json
import math
import textwrap

from engine.base.paint import painter
from engine.base.printable import finished, printable
from engine.base.quantities import format_bytes
from engine.regress.sensitivity import Explanation, Flip
from engine.render import Screen
from engine.render import text as text_target

_LONGEST = 60
"""Characters of an output."""


def text(found: Explanation, screen: Screen) -> str:
    """Return the decision as `engine eval --explain` prints it, and the changes that would alter it."""
    paint = painter(screen.color)
    lines = [paint("What would flip the decision, nearest first", "1")]
    if not found.flips:
        lines.append(f"  nothing that was found: {found.moved} values were moved, one at a time")
    for flip in found.flips:
        lines.append(f"  {_distance(flip):>9}  {printable(_wording(flip))}")
        lines.append(f"             → {paint(printable(_outcome(flip)), '33')}{printable(_now(flip))}")
    if found.has_numbers:
        lines.append("  not compared: numbers and times in the output")
    for what in found.unmoved:
        lines += textwrap.wrap(
            f"not moved: {printable(what)}", 78, initial_indent="  ", subsequent_indent="    "
        )
    return text_target.render(found.decision, screen) + "\n" + finished("\n".join(lines) + "\n", screen.color)


def _outcome(flip: Flip) -> str:
    match = flip.match_to or "no match"
    if flip.output_from == flip.output_to or flip.match_from != flip.match_to:
        return match
    output = json.dumps(flip.output_to, ensure_ascii=False)
    return f"{match}: {output if len(output) <= _LONGEST else output[: _LONGEST - 1] + '…'}"


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
    if flip.unit == "device":
        return f"{flip.path.removesuffix('.count')}: {flip.flipped} devices instead of {flip.value}"
    relation = "≥" if flip.flipped > flip.value else "≤"
    return f"{flip.path} {relation} {_shown(flip, flip.flipped)}"


def _now(flip: Flip) -> str:
    if flip.distance is None or flip.unit == "device":
        return ""
    return f"   (now {_shown(flip, flip.value)})"


def _shown(flip: Flip, value: object) -> str:
    if flip.unit == "byte" and isinstance(value, int) and value >= 1024:
        return f"{value} ({format_bytes(value)})"
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return (value or "''") if isinstance(value, str) else repr(value)


def as_json(found: Explanation) -> str:
    """Return a JSON document."""
    return json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
