"""What would change between two policies: for people, as JSON, and as Markdown for a pull request."""

from __future__ import annotations

import json

from engine.quantities import format_bytes
from engine.regress.diff import Change, Difference, Group
from engine.render.tests import Paint


def text(found: Difference, names: tuple[str, str], paint: Paint) -> str:
    """How many decisions change, and each kind of change with its smallest example."""
    lines = [f"{paint(names[0], '1')} → {paint(names[1], '1')}", _headline(found)]
    for change, group in found.sorted():
        lines += ["", f"{group.count:>7}  {paint(_arrow(change), '33')}"]
        deltas = _deltas(group)
        if deltas:
            lines.append(f"         {deltas}")
        lines.append(f"         {_short(group.example)}")
    return "\n".join(lines) + "\n"


def _headline(found: Difference) -> str:
    share = f" ({100 * found.changed / found.total:.1f} %)" if found.total else ""
    unreadable = f", {found.unreadable} lines unreadable" if found.unreadable else ""
    return f"{found.changed} of {found.total} decisions change{share}{unreadable}"


def _arrow(change: Change) -> str:
    left, right = change.match_from or "no match", change.match_to or "no match"
    matches = left if left == right else f"{left} → {right}"
    if change.strategy_from == change.strategy_to:
        return matches if change.strategy_from is None else f"{matches}  ({change.strategy_from})"
    return f"{matches}  ({change.strategy_from or 'no plan'} → {change.strategy_to or 'no plan'})"


def _deltas(group: Group) -> str:
    parts = []
    if group.total_bytes:
        sign = "+" if group.total_bytes > 0 else "-"
        parts.append(f"{sign}{format_bytes(abs(group.total_bytes))} in total")
    if group.estimates and group.estimate:
        parts.append(f"{group.estimate / group.estimates:+.1f} tokens/s on average")
    return ", ".join(parts)


def _short(example: str, most: int = 400) -> str:
    return example if len(example) <= most else example[: most - 1] + "…"


def as_json(found: Difference, names: tuple[str, str]) -> str:
    """One JSON document."""
    value = {"from": names[0], "to": names[1], **found.to_dict()}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def markdown(found: Difference, names: tuple[str, str]) -> str:
    """A table of the changes, with the examples folded away."""
    lines = [f"### `{names[0]}` → `{names[1]}`", "", f"{_headline(found)}.", ""]
    if found.groups:
        lines += ["| decisions | change | bytes | estimate |", "|--:|---|--:|--:|"]
        for change, group in found.sorted():
            total = format_bytes(abs(group.total_bytes)) if group.total_bytes else ""
            sign = "−" if group.total_bytes < 0 else "+" if group.total_bytes else ""
            mean = group.estimate / group.estimates if group.estimates else 0.0
            estimate = f"{mean:+.1f} tokens/s" if mean else ""
            arrow = _arrow(change).replace("|", "\\|")
            lines.append(f"| {group.count} | {arrow} | {sign}{total} | {estimate} |")
        lines += ["", "<details><summary>The smallest request of each</summary>", ""]
        for change, group in found.sorted():
            lines += [f"{_arrow(change)}:", "", "```json", group.example, "```", ""]
        lines.append("</details>")
    return "\n".join(lines) + "\n"
