"""Writes the pages that are made from the code: `python docs/generate.py`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from engine.cel.functions import MACROS, functions
from engine.cel.names import RUNTIMES
from engine.checking import check_paths
from engine.cli.app import engine
from engine.policy.checks import Check, checks
from engine.records import replace
from engine.render import findings

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "tests" / "data" / "checks"
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
    yield "Exit codes: 0 yes, 1 a negative answer (nothing that fits, no match, an error in a batch's line,"
    yield "a finding, a failed test, a difference), 2 bad usage or bad input. `NO_COLOR` and pipes get no"
    yield "colour."
    yield "This page is made by `python docs/generate.py`."
    for words in (
        ["engine"],
        ["engine", "eval"],
        ["engine", "batch"],
        ["engine", "bench"],
        ["engine", "check"],
        ["engine", "test"],
        ["engine", "diff"],
        ["engine", "explain"],
        ["engine", "inventory"],
        ["engine", "inventory", "detect"],
        ["engine", "inventory", "import"],
        ["engine", "inventory", "show"],
        ["engine", "model", "show"],
        ["engine", "policies"],
        ["engine", "policies", "show"],
        ["engine", "policies", "lock"],
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


def check_pages() -> dict[str, str]:
    """A page a check, and one that lists them."""
    pages = {"checks/README.md": "\n".join(_check_list()) + "\n"}
    for check in checks().values():
        pages[f"checks/{check.code}.md"] = "\n".join(_check(check)) + "\n"
    return pages


def _check_list() -> Iterator[str]:
    yield "# Checks"
    yield ""
    yield "What `engine check` finds. An error makes a policy unusable; a warning is silenced by a comment,"
    yield "on its line, on the line of its key, or on a line of its own above:"
    yield "`# engine: ignore W203, W206`. These pages are made by `python docs/generate.py`."
    yield ""
    yield "| code | name | severity | what is found |"
    yield "|---|---|---|---|"
    for check in checks().values():
        summary = _words(check)[0]
        yield f"| [{check.code}]({check.code}.md) | {check.name} | {check.severity} | {summary} |"


def _check(check: Check) -> Iterator[str]:
    summary, why = _words(check)
    yield f"# {check.code} {check.name}"
    yield ""
    yield f"**{summary}**"
    yield ""
    yield why
    examples = EXAMPLES / check.code
    for which in ("bad", "good"):
        yield ""
        yield f"## {which.capitalize()}"
        for path in example_files(examples, which):
            name = path.relative_to(examples / which) if path.parent != examples else Path("quota.yaml")
            yield ""
            yield f"```yaml\n# {name.as_posix()}\n{path.read_text(encoding='utf-8').rstrip()}\n```"
        if which == "bad":
            yield ""
            yield f"```\n{_checked(examples)}\n```"
    yield ""
    yield "## Silencing"
    yield ""
    if check.severity == "error":
        yield "An error can't be silenced: the policy would not decide, or not as it says."
    else:
        yield f"`# engine: ignore {check.code}` at the end of the line, or on a line of its own above it."


def _words(check: Check) -> tuple[str, str]:
    """The first line of the docstring of a check's module, and the rest."""
    name = next(n for n in _modules() if n.startswith(check.code.lower()))
    docstring = importlib.import_module(f"engine.policy.checks.{name}").__doc__ or ""
    summary, _, why = docstring.strip().partition("\n\n")
    return summary, why


def _modules() -> Iterator[str]:
    package = importlib.import_module("engine.policy.checks")
    return (module.name for module in pkgutil.iter_modules(package.__path__))


def example_files(examples: Path, which: str) -> list[Path]:
    """The files of a check's example: one file, or those of a folder."""
    alone = examples / f"{which}.yaml"
    if alone.exists():
        return [alone]
    return sorted(path for path in (examples / which).rglob("*") if path.is_file())


def _checked(examples: Path) -> str:
    """What is found in the bad example, as it is printed."""
    alone = (examples / "bad.yaml").exists()
    report = check_paths([examples / ("bad.yaml" if alone else "bad")], prove=examples.name == "E115")
    found = findings.text(replace(report, proofs=()))
    here = f"{examples}/bad.yaml" if alone else f"{examples}/bad/"
    return found.replace(here, "quota.yaml" if alone else "").rstrip().rpartition("\n\n")[0]


def pages() -> dict[str, str]:
    """All pages that are made here, by their paths in docs."""
    return {
        "functions.md": functions_page(),
        "cli.md": cli_page(),
        "conformance.md": conformance_page(),
        **check_pages(),
    }


if __name__ == "__main__":
    for name, page in pages().items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(page, encoding="utf-8")
