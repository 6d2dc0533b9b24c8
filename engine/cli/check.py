"""`engine check`: faults of policies, before anything is decided."""

from __future__ import annotations

from pathlib import Path

import click

from engine.checking import Report, check_paths
from engine.cli.exits import NO, YES
from engine.cli.options import format_option, policies_option, screen
from engine.errors import PolicyError
from engine.records import replace
from engine.render import findings

_EPILOG = """
\b
Every fault has a code, and a page in docs/checks. A warning is silenced by
a comment on its line, or on a line above it:
  tp_extra: {value: 3}  # engine: ignore W203, W206

\b
Examples:
  engine check
  engine check my-policies --severity error
  engine check my-policies/sharding/1.1.0.yaml --format github
  engine check --prove
"""


@click.command("check", epilog=_EPILOG)
@click.argument("paths", metavar="[PATH…]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--severity",
    type=click.Choice(["warning", "error"]),
    default="warning",
    show_default=True,
    help="The least that is reported, and makes the exit code 1.",
)
@click.option("--prove", is_flag=True, help="Look deeper, with the SMT solver z3 (extra: prove).")
@policies_option
@format_option("text", "json", "sarif", "github")
def command(paths: tuple[Path, ...], severity: str, prove: bool, policies: tuple[str, ...], form: str) -> int:
    """Find faults in policies, catalogs and suites, all of them in one run.

    PATH is a file or a folder; without one it is ./policies.
    """
    report = check_paths(paths or (default_folder(),), policies, prove=prove)
    if severity == "error":
        report = replace(report, findings=tuple(each for each in report.findings if each.severity == "error"))
    click.echo(_text(report, form), nl=False)
    return NO if report.findings else YES


def default_folder() -> Path:
    """The folder of policies that is meant where none is named.

    Raises:
        PolicyError: there is none here.
    """
    folder = Path("policies")
    if not folder.is_dir():
        raise PolicyError("no folder ./policies here", hint="name a file or a folder")
    return folder


def _text(report: Report, form: str) -> str:
    if form == "text":
        return findings.text(report, color=screen().color)
    return {"json": findings.as_json, "sarif": findings.sarif, "github": findings.github}[form](report)
