"""`engine diff A B`: what would change."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from engine.batch import CHUNK, chunks
from engine.cli.batch import size_of
from engine.cli.exits import NO, YES
from engine.cli.options import format_option, policies_option, screen
from engine.cli.progress import Progress
from engine.documents.files import open_binary
from engine.errors import DocumentError
from engine.executor import collect_rarely
from engine.regress.diff import Difference, DiffJob, difference
from engine.regress.revisions import Side, side
from engine.regress.search import as_test, search
from engine.render import diff as forms
from engine.render import tests
from engine.streams import is_plain, read

_EPILOG = """
\b
A and B are each name, name@1, name@1.0.0, a policy's file, a folder of
policies, or git:REV:path for a file or folder as it was in a revision.

\b
Examples:
  engine diff sharding@1.0.0 my-policies/sharding/1.1.0.yaml \\
      --requests history.jsonl
  engine diff git:main:policies policies --requests history.jsonl.gz \\
      --format markdown
  engine diff sharding@1.0.0 sharding@1.1.0 --policies my-policies --search
"""


@click.command("diff", epilog=_EPILOG)
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("--requests", metavar="FILE", help="Requests, as engine batch reads them; - is standard input.")
@click.option("--inputs", metavar="FILE", help="Any policy's inputs, one JSON line each.")
@click.option("--search", "searched", is_flag=True, help="Look for a request on which they differ.")
@click.option(
    "--examples", type=click.IntRange(1), default=10_000, show_default=True, help="Requests to try."
)
@click.option("--seed", type=int, help="Of the search, to have the same again.")
@click.option("--policy", default="sharding", show_default=True, help="The policy that is meant in folders.")
@click.option("--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@policies_option
@format_option("text", "json", "markdown")
def command(
    left: str,
    right: str,
    requests: str | None,
    inputs: str | None,
    searched: bool,
    examples: int,
    seed: int | None,
    policy: str,
    jobs: int,
    policies: tuple[str, ...],
    form: str,
) -> int:
    """Tell what would change between two policies.

    The exit code is 1 if anything does.
    """
    if sum(map(bool, (requests, inputs, searched))) != 1:
        raise click.UsageError("give one of --requests FILE, --inputs FILE and --search")
    collect_rarely()
    with side(left, policy, policies) as old, side(right, policy, policies) as new:
        if searched:
            return _search(old, new, examples, seed)
        found = _on_corpus(DiffJob(old, new, inputs is not None), requests or inputs or "", jobs)
        names = (_name(old), _name(new))
    if found.unreadable:
        print(f"{found.unreadable} lines are no requests; {found.first_unreadable}", file=sys.stderr)
    if not found.total:
        raise DocumentError(f"{requests or inputs}: no requests in it")
    if form == "text":
        click.echo(forms.text(found, names, tests.painter(screen().color)), nl=False)
    else:
        click.echo((forms.as_json if form == "json" else forms.markdown)(found, names), nl=False)
    return NO if found.changed else YES


def _name(which: Side) -> str:
    """A side as people call it: its text, with the policy's version where that leaves it open."""
    policy = which.load()
    name = f"{policy.name}@{policy.version}"
    return name if which.label == name else f"{which.label} ({name})"


def _on_corpus(job: DiffJob, file: str, jobs: int) -> Difference:
    job.left.load(), job.right.load()  # faults are told before a file is read
    found = Difference()
    with ExitStack() as stack:
        raw = sys.stdin.buffer if file == "-" else stack.enter_context(open_binary(file))
        size = size_of(raw)
        progress = stack.enter_context(Progress(size if is_plain(file) else None, False))
        for piece in difference(job, chunks(read(raw, file), CHUNK), jobs):
            found.add(piece)
            progress.advance(0, piece.total)
    return found


def _search(old: Side, new: Side, examples: int, seed: int | None) -> int:
    left, right = old.load(), new.load()
    if left.input_types != right.input_types:
        raise DocumentError(f"{old.label} and {new.label} read different inputs")
    found = search(left, right, examples=examples, seed=seed)
    if found is None:
        print(f"no difference in {examples} requests; that is no proof", file=sys.stderr)
        return YES
    print("# holds for A, fails for B; a test for a suite of A's policy", file=sys.stderr)
    click.echo(as_test(found), nl=False)
    return NO
