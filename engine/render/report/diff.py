"""The differences between two policies: as text, JSON, and Markdown for a pull request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.base.paint import Paint, is_colored
from engine.base.printable import finished, printable
from engine.base.quantities import format_bytes
from engine.regress.diff import Change, Difference, Group

if TYPE_CHECKING:
    from engine.regress.prove_diff import Equality


def text(found: Difference, names: tuple[str, str], paint: Paint) -> str:
    """Return how many decisions change, and each group of changes with its smallest example."""
    lines = [f"{paint(printable(names[0]), '1')} → {paint(printable(names[1]), '1')}", _headline(found)]
    for change, group in found.sorted():
        lines += ["", f"{group.count:>7}  {paint(_arrow(change), '33')}"]
        deltas = _deltas(group)
        if deltas:
            lines.append(f"         {deltas}")
        lines += [f"         {printable(words)}" for words in _outputs(change, group)]
        lines.append(f"         {printable(_short(group.example))}")
    return finished("\n".join(lines) + "\n", is_colored(paint))


def _headline(found: Difference) -> str:
    share = f" ({100 * found.changed / found.decided:.1f} %)" if found.decided else ""
    errors = f", {found.errors} requests that neither policy can decide" if found.errors else ""
    unreadable = f", {found.unreadable} invalid lines" if found.unreadable else ""
    return f"{found.changed} of {found.decided} decisions change{share}{errors}{unreadable}"


def _arrow(change: Change) -> str:
    left, right = change.match_from or "no match", change.match_to or "no match"
    matches = left if left == right else f"{left} → {right}"
    if change.strategy_from == change.strategy_to:
        words = matches if change.strategy_from is None else f"{matches}  ({change.strategy_from})"
    else:
        words = f"{matches}  ({change.strategy_from or 'no plan'} → {change.strategy_to or 'no plan'})"
    return printable(words)


def _outputs(change: Change, group: Group) -> Iterator[str]:
    """Yield each part of the output that changes; of numbers, their means."""
    for output in change.outputs:
        numbers = group.numbers.get(output.path)
        if numbers is None:
            yield f"{output.path}: {output.before} → {output.after}"
        else:
            before, after = numbers.means
            note = " on average" if numbers.count > 1 else ""
            yield f"{output.path}: {before:.6g} → {after:.6g}{note}"


def _deltas(group: Group) -> str:
    parts = []
    if group.total_bytes:
        sign = "+" if group.total_bytes > 0 else "-"
        parts.append(f"{sign}{format_bytes(abs(group.total_bytes))} in total")
    if group.estimates and group.estimate:
        parts.append(f"{group.estimate / group.estimates:+.1f} tok/s on average")
    return ", ".join(parts)


def _short(example: str, most: int = 400) -> str:
    return example if len(example) <= most else example[: most - 1] + "…"


def as_json(found: Difference, names: tuple[str, str]) -> str:
    """Return a JSON document."""
    value = {"from": names[0], "to": names[1], **found.to_dict()}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def equality_text(equality: Equality) -> str:
    """Return the verdict of a proof, and what it depends on."""
    lines = {
        "equal": ["proved: A and B decide alike for every request"],
        "different": ["# passes for A, fails for B; add it to a suite of A's policy"],
        "unknown": ["not proved, and no request found on which A and B differ"],
    }[equality.verdict]
    if equality.timeout:
        lines.append("the solver ran out of time")
    if equality.verdict != "different":
        if equality.abstract:
            lines.append("not modelled; the same unknown value in A and B:")
            lines += [f"  {printable(text)}" for text in equality.abstract]
        if equality.unmodelled:
            lines.append("not compared by the solver:")
            lines += [f"  {printable(text)}" for text in equality.unmodelled]
    return finished("\n".join(lines) + "\n")


def equality_json(equality: Equality, names: tuple[str, str]) -> str:
    """Return the verdict of a proof as a JSON document."""
    value = {
        "from": names[0],
        "to": names[1],
        "verdict": equality.verdict,
        "example": None if equality.found is None else equality.found.inputs,
        "abstract": list(equality.abstract),
        "unmodelled": list(equality.unmodelled),
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def markdown(found: Difference, names: tuple[str, str]) -> str:
    """Return a table of the changes, with collapsed examples."""
    lines = [f"### {_code(names[0])} → {_code(names[1])}", "", f"{_headline(found)}.", ""]
    if found.groups:
        plans = any(change.has_plans for change in found.groups)
        values = any(change.outputs for change in found.groups)
        heads = [
            "decisions",
            "change",
            *(["output"] if values else []),
            *(["bytes", "estimate"] if plans else []),
        ]
        lines += [
            f"| {' | '.join(heads)} |",
            "|--:|---|" + ("---|" if values else "") + ("--:|--:|" if plans else ""),
        ]
        for change, group in found.sorted():
            cells = [str(group.count), _escaped(_arrow(change))]
            if values:
                cells.append("<br>".join(_escaped(words) for words in _outputs(change, group)))
            if plans:
                total = format_bytes(abs(group.total_bytes)) if group.total_bytes else ""
                sign = "−" if group.total_bytes < 0 else "+" if group.total_bytes else ""
                mean = group.estimate / group.estimates if group.estimates else 0.0
                cells += [f"{sign}{total}", f"{mean:+.1f} tok/s" if mean else ""]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "<details><summary>Smallest request of each group</summary>", ""]
        for change, group in found.sorted():
            example = printable(group.example)
            fence = "`" * max(3, 1 + _longest_ticks(example))
            lines += [f"{_escaped(_arrow(change))}:", "", f"{fence}json", example, fence, ""]
        lines.append("</details>")
    return finished("\n".join(lines) + "\n")


_PLAIN = re.compile(r"(?:[A-Za-z0-9→ ()]|(?<=[A-Za-z0-9])[-_](?=[A-Za-z0-9]))*\Z")
"""Text without Markdown syntax."""


def _escaped(text: str) -> str:
    """Escape text for a paragraph or cell: as code unless plain, which disables links, mentions and HTML."""
    return text if _PLAIN.match(text) else _code(text.replace("|", "\\u007c"))


def _code(text: str) -> str:
    """Return text as inline code, with enough backticks around it."""
    text = printable(text)
    ticks = "`" * (1 + _longest_ticks(text))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def _longest_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
