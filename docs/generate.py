"""Writes the pages that are made from the code: `python docs/generate.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from engine.cel.functions import MACROS, functions
from engine.cel.names import RUNTIMES
from engine.cli.app import engine

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))


def functions_page() -> str:
    """Every function and macro that expressions may use, by its source."""
    return "\n".join(_functions()) + "\n"


def _functions() -> Iterator[str]:
    yield "# Functions"
    yield ""
    yield "Everything that an expression may call. Each example is true; tests evaluate it on every runtime."
    yield "Single capitals in a signature stand for any type. This page is made by `python docs/generate.py`."
    yield ""
    yield "## Macros"
    yield ""
    yield from _table(
        (f"`{_cell(macro.form)}`", macro.description, macro.source, f"`{_cell(macro.example)}`")
        for macro in MACROS
    )
    for source in dict.fromkeys(function.source for function in functions().values()):
        yield ""
        yield f"## {source}"
        yield ""
        yield from _table(
            (
                "<br>".join(f"`{_cell(overload.signature)}`" for overload in function.overloads),
                function.description,
                function.source,
                f"`{_cell(function.example)}`",
            )
            for function in functions().values()
            if function.source == source
        )


def _table(rows: Iterator[tuple[str, str, str, str]]) -> Iterator[str]:
    yield "| signature | what it gives | source | example |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "\\n")


def conformance_page() -> str:
    """How many cases of CEL's conformance suite each runtime passes, by section."""
    return "\n".join(_conformance()) + "\n"


def _conformance() -> Iterator[str]:
    from tests.support.cel import answers_as_the_suite, conformance, deviations

    yield "# Conformance"
    yield ""
    yield "Cases of CEL's own conformance suite that each runtime passes, through the engine's checker,"
    yield "without those on optionals and two-variable macros, which the engine doesn't offer."
    yield "This page is made by `python docs/generate.py`."
    yield ""
    yield f"| section | cases | {' | '.join(RUNTIMES)} |"
    yield f"|---|--:|{'--:|' * len(RUNTIMES)}"
    passed: dict[str, list[list[bool]]] = {}
    for case in conformance():
        verdicts = [answers_as_the_suite(case, name) for name in RUNTIMES]
        passed.setdefault(f"{case['file']}/{case['section']}", []).append(verdicts)
    for section, cases in sorted(passed.items()):
        counts = " | ".join(str(sum(column)) for column in zip(*cases, strict=True))
        yield f"| {section} | {len(cases)} | {counts} |"
    everything = [verdicts for cases in passed.values() for verdicts in cases]
    totals = " | ".join(f"**{sum(column)}**" for column in zip(*everything, strict=True))
    yield f"| **all** | **{len(everything)}** | {totals} |"
    yield ""
    yield "What is missing, and why:"
    for reason, texts in deviations().items():
        yield ""
        yield f"- {reason}:"
        yield from (f"  - `{_cell(text)}`" for text in texts)


def cli_page() -> str:
    """The help of every command."""
    return "\n".join(_commands()) + "\n"


def _commands() -> Iterator[str]:
    yield "# The command line"
    yield ""
    yield "Data goes to standard output, everything else to standard error; `-` is standard input."
    yield "Exit codes: 0 yes, 1 a negative answer (nothing that fits, no match, a line of a batch that has an"
    yield "error), 2 bad usage or bad input. `NO_COLOR` and pipes get no colour."
    yield "This page is made by `python docs/generate.py`."
    for words in (
        ["engine"],
        ["engine", "eval"],
        ["engine", "batch"],
        ["engine", "bench"],
        ["engine", "policies"],
        ["engine", "policies", "show"],
    ):
        yield ""
        yield f"## `{' '.join(words)}`"
        yield ""
        yield "```"
        yield _help(words).rstrip()
        yield "```"


def _help(words: list[str]) -> str:
    command: click.Command = engine
    context = _context(command, words[0], None)
    for word in words[1:]:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command, context = found, _context(found, word, context)
    return command.get_help(context)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return command.make_context(name, [], parent, resilient_parsing=True, terminal_width=80)


PAGES = {"functions.md": functions_page, "cli.md": cli_page, "conformance.md": conformance_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
