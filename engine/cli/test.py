"""`engine test`: policy regression tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from engine.base.errors import DocumentError
from engine.base.paint import painter
from engine.base.pool import collect_rarely
from engine.base.records import replace
from engine.cli.check import default_folder
from engine.cli.exits import BAD_INPUT, NO, YES
from engine.cli.options import format_option, policies_option, set_option
from engine.cli.progress import Progress
from engine.cli.terminal import screen
from engine.cli.watch import watch_suites
from engine.documents.writing import write_whole
from engine.regress import mutation
from engine.regress.mutants import mutants
from engine.regress.mutation import Mutation
from engine.regress.session import Session, by_policy, run
from engine.regress.suite import SUITES, find_suites
from engine.render.report import coverage
from engine.render.report import suites as tests

_EPILOG = """
\b
Suites are YAML files named NAME_test.yaml, next to the policies; see
docs/testing-policies.md.

\b
Examples:
  engine test
  engine test policies/sharding -k 'nvswitch'
  engine test --format junit > report.xml
  engine test --update
  engine test --coverage --html coverage.html --min-coverage 100
  engine test policies/sharding --mutate --jobs 4
"""


@click.command("test", epilog=_EPILOG)
@click.argument("paths", metavar="[PATH…]", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", "pattern", metavar="TEXT", default="", help="Run only cases with TEXT in their id.")
@click.option("--fail-fast", "-x", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Number of processes."
)
@click.option("--update", is_flag=True, help="Update golden files and print the diff.")
@click.option("--watch", "again", is_flag=True, help="Re-run affected suites on save; stop with Ctrl-C.")
@click.option(
    "--coverage", "watch", is_flag=True, help="Report which parts of the policies the tests exercise."
)
@click.option(
    "--min-coverage", type=click.FloatRange(0, 100), metavar="N", help="Fail below N percent coverage."
)
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the coverage as an HTML page."
)
@click.option(
    "--mutate", is_flag=True, help="Mutation testing: also run the tests on small changes of the policies."
)
@policies_option
@set_option
@format_option("text", "json", "junit", "tap")
def command(
    paths: tuple[Path, ...],
    pattern: str,
    fail_fast: bool,
    jobs: int,
    update: bool,
    again: bool,
    watch: bool,
    min_coverage: float | None,
    html: Path | None,
    mutate: bool,
    policies: tuple[str, ...],
    constants: dict[str, object],
    form: str,
) -> int:
    """Run policy tests.

    PATH is a suite or a folder (default: ./policies).
    """
    collect_rarely()
    roots = paths or (default_folder(),)
    if again:
        return watch_suites(roots, policies, pattern, painter(screen().color))
    folded = pattern.casefold()
    session = run(
        find_suites(roots),
        policies,
        constants=constants,
        wanted=lambda id_: folded in id_.casefold(),
        jobs=jobs,
        fail_fast=fail_fast,
        update=update,
        watch=watch or html is not None or min_coverage is not None,
    )
    if not session.results and not session.broken:
        raise DocumentError(_nothing(paths, pattern))
    if mutate and not session.failed and not session.broken:
        session = replace(session, mutations=_mutated(session, policies, jobs))
    if html is not None and session.coverages is not None:
        write_whole(html, coverage.page(session.coverages))
    click.echo(_text(session, form), nl=False)
    if mutate and session.mutations is None:
        print("mutation testing skipped: the tests must pass first", file=sys.stderr)
    return verdict(session, min_coverage)


def verdict(session: Session, least: float | None = None) -> int:
    """Return the exit code; a broken suite never counts as passed."""
    if session.broken:
        return BAD_INPUT
    if session.failed or any(covered.stale for covered in session.coverages or ()):
        return NO
    if least is not None and any(covered.percent() < least for covered in session.coverages or ()):
        return NO
    return NO if any(each.score < 100.0 or each.stale for each in session.mutations or ()) else YES


def _mutated(session: Session, folders: tuple[str, ...], jobs: int) -> tuple[Mutation, ...]:
    groups = by_policy(session.suites)
    total = sum(sum(1 for _ in mutants(suites[0].policy().compiled)) for suites in groups.values())
    with Progress(total, True, "mutants") as progress:
        return tuple(
            mutation.mutate(suites, folders, jobs=jobs, after=lambda: progress.advance(1))
            for suites in groups.values()
        )


def _nothing(paths: tuple[Path, ...], pattern: str) -> str:
    where = ", ".join(map(str, paths)) or "policies"
    if pattern:
        return f"no case in {where} matches -k {pattern!r}"
    return f"no tests in {where}: no file matches {SUITES}"


def _text(session: Session, form: str) -> str:
    if form == "text":
        paint = painter(screen().color)
        parts = [coverage.text(each, paint) for each in session.coverages or ()]
        parts += [coverage.mutation_text(each, paint) for each in session.mutations or ()]
        return "".join(f"{part}\n" for part in parts) + tests.text(session, paint)
    if session.broken:
        for error in session.broken:
            print(f"error: {error}", file=sys.stderr)
    if form == "json":
        return json.dumps(tests.to_dict(session), indent=2, ensure_ascii=False) + "\n"
    return tests.junit(session) if form == "junit" else tests.tap(session)
