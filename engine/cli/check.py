"""`engine check`: lint policies, catalogs and suites."""

from __future__ import annotations

from pathlib import Path

import click

from engine.base.errors import PolicyError
from engine.base.records import replace
from engine.cli.exits import NO, YES
from engine.cli.options import format_option, policies_option
from engine.cli.terminal import screen
from engine.regress.lint import Report, check_paths
from engine.render.report import findings

_EPILOG = """
\b
Each finding has a code, documented in docs/checks. Silence a warning with
a comment on its line or on the line above:
  tp_extra: {value: 3}  # engine: ignore W203, W206
A file engine.yaml sets severities per folder and file.

\b
Examples:
  engine check
  engine check my-policies --severity error
  engine check my-policies/sharding/1.1.0.yaml --format github
  engine check --prove
  engine check my-policies/sharding/1.1.0.yaml --units
"""


@click.command("check", epilog=_EPILOG)
@click.argument("paths", metavar="[PATH…]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--severity",
    type=click.Choice(["warning", "error"]),
    default="warning",
    show_default=True,
    help="Minimum severity to report (and to fail on).",
)
@click.option("--prove", is_flag=True, help="Also prove properties with the SMT solver z3 (extra: prove).")
@click.option("--units", is_flag=True, help="Also report how many numbers have a known unit.")
@policies_option
@format_option("text", "json", "sarif", "github")
def command(
    paths: tuple[Path, ...], severity: str, prove: bool, units: bool, policies: tuple[str, ...], form: str
) -> int:
    """Lint policies, catalogs and suites, and report all findings in one run.

    PATH is a file or a folder (default: ./policies).
    """
    report = check_paths(paths or (default_folder(),), policies, prove=prove, units=units)
    if severity == "error":
        report = replace(report, findings=tuple(one for one in report.findings if one.severity == "error"))
    click.echo(_text(report, form), nl=False)
    return NO if report.findings else YES


def default_folder() -> Path:
    """Return the default folder of policies, `./policies`.

    Raises:
        PolicyError: The folder does not exist.
    """
    folder = Path("policies")
    if not folder.is_dir():
        raise PolicyError("no folder ./policies", hint="name a file or a folder")
    return folder


def _text(report: Report, form: str) -> str:
    if form == "text":
        return findings.text(report, color=screen().color)
    return {"json": findings.as_json, "sarif": findings.sarif, "github": findings.github}[form](report)
