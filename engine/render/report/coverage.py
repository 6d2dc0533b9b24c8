"""Coverage and mutation results of a policy: as text, and as an annotated HTML page."""

from __future__ import annotations

import html
from collections import defaultdict

from engine.base.paint import Paint, is_colored
from engine.base.printable import cleaned, finished, printable
from engine.regress.coverage import KINDS, Coverage, Item
from engine.regress.mutation import Mutation, Verdict

_TITLES = {
    "match": "matches chosen",
    "condition": "conditions true and false",
    "operand": "operands that decide",
    "threshold": "thresholds met",
}


def text(found: Coverage, paint: Paint) -> str:
    """Return coverage by kind, and every uncovered item with its position."""
    name = f"{found.policy.name}@{found.policy.version}"
    lines = [f"coverage of {paint(name, '1')}: {_percent(found.percent(), paint)}"]
    for kind in KINDS:
        seen, wanted = found.of(kind)
        if wanted:
            lines.append(
                f"  {_TITLES[kind]:26} {seen:>4} of {wanted:<4} {_percent(found.percent(kind), paint)}"
            )
    missing = [item for item in found.items if item.missing]
    lines += [line for item in missing for line in _missing(item, found)]
    lines += [f"  listed as unreachable, but covered: {printable(name)}" for name in found.stale]
    return finished("\n".join(lines) + "\n", is_colored(paint))


def _percent(value: float, paint: Paint) -> str:
    shown = f"{int(value * 10) / 10:.1f} %"  # never 100.0 if something is missing
    return paint(shown, "32" if value == 100.0 else "33")


def _missing(item: Item, found: Coverage) -> list[str]:
    place = item.place(found.policy)
    return [printable(f"  {place.file}:{place.line}: not covered"), printable(f"    {item.name}")]


def mutation_text(found: Mutation, paint: Paint) -> str:
    """Return the mutation score, and every surviving mutant with its diff."""
    name = f"{found.policy.name}@{found.policy.version}"
    counts = ", ".join(
        f"{found.count(status)} {status}"
        for status in ("killed", "survived", "crashed", "equivalent")
        if found.count(status) or status in ("killed", "survived")
    )
    lines = [f"mutants of {paint(name, '1')}: {_percent(found.score, paint)}  {counts}"]
    for verdict in found.verdicts:
        if verdict.status in ("survived", "crashed"):
            lines += _mutant(verdict, paint)
    lines += [f"  listed as equivalent, but killed: {printable(name)}" for name in found.stale]
    return finished("\n".join(lines) + "\n", is_colored(paint))


def _mutant(verdict: Verdict, paint: Paint) -> list[str]:
    mutant = verdict.mutant
    name, place = printable(mutant.name), printable(str(mutant.place))
    styles = {"-": "31", "+": "32"}
    lines = ["", f"  {paint(verdict.status.upper(), '31')} {name}", f"  {place}"]
    if verdict.by is not None:
        lines.append(printable(f"  {verdict.by}"))
    for line in cleaned(list(mutant.diff)):
        lines.append(f"    {paint(line, styles[line[0]]) if line[:1] in styles else line}")
    return lines


_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --quiet: #777; --seen: #dff3e0;
  --half: #fff2c6; --missed: #fbd9d7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #161616; --quiet: #888;
  --seen: #16391c; --half: #4a3c08; --missed: #54201d; } }
body { color: var(--ink); background: var(--paper); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; } p { margin: .3rem 0 1rem; color: var(--quiet); }
table { border-collapse: collapse; margin: 1rem 0; } td { padding: .1rem 1rem .1rem 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { font: 13px/1.55 ui-monospace, monospace; white-space: pre-wrap; }
pre span.line { display: block; padding-left: 4.5em; text-indent: -4.5em; }
pre span.number { display: inline-block; width: 3.5em; margin-right: 1em; text-align: right; text-indent: 0;
  color: var(--quiet); user-select: none; }
mark { color: inherit; border-radius: 2px; } mark.seen { background: var(--seen); }
mark.half { background: var(--half); } mark.missed { background: var(--missed); }
small { display: block; text-indent: 0; color: var(--quiet); white-space: normal; }
"""


def page(coverages: tuple[Coverage, ...]) -> str:
    """Return an HTML page of the policies: covered in green, partly covered in yellow, uncovered in red."""
    bodies = "".join(_policy(found) for found in coverages)
    return finished(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Coverage</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{bodies}</body></html>\n"
    )


def _policy(found: Coverage) -> str:
    title = html.escape(f"{found.policy.name}@{found.policy.version}")
    rows = "".join(
        f'<tr><td>{_TITLES[kind]}</td><td class="number">{found.of(kind)[0]} of {found.of(kind)[1]}</td>'
        f'<td class="number">{int(found.percent(kind) * 10) / 10:.1f} %</td></tr>'
        for kind in KINDS
        if found.of(kind)[1]
    )
    lines = "".join(_lines(found))
    return (
        f"<h1>{title}: {int(found.percent() * 10) / 10:.1f} %</h1><p>{html.escape(found.policy.digest)}</p>"
        f"<table>{rows}</table><pre>{lines}</pre>"
    )


def _lines(found: Coverage) -> list[str]:
    """Return the lines of the policy's files, with uncovered items below their line."""
    items: dict[tuple[str, int], list[Item]] = defaultdict(list)
    for item in found.items:
        if item.seen or item.missing:
            place = item.place(found.policy)
            items[place.file, place.line].append(item)
    lines = []
    documents = (found.policy.document, *found.policy.libraries.values())
    sources = [source for document in documents for source in document.sources]
    for source in sources:
        if len(sources) > 1:
            lines.append(f'<span class="line"><b>{html.escape(source.name)}</b></span>')
        for number, line in enumerate(source.text.split("\n"), start=1):
            lines.append(_line(number, line, items.get((source.name, number), [])))
    return lines


def _line(number: int, line: str, here: list[Item]) -> str:
    missing = [item for item in here if item.missing]
    text = html.escape(line) or " "
    if here:
        style = "seen" if not missing else "half" if len(missing) < len(here) else "missed"
        indent = len(line) - len(line.lstrip())
        text = f'{" " * indent}<mark class="{style}">{html.escape(line.lstrip())}</mark>'
    notes = "".join(f"<small>not covered: {html.escape(item.name)}</small>" for item in missing)
    return f'<span class="line"><span class="number">{number}</span>{text}{notes}</span>'
