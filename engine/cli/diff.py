"""`engine diff A B`: compare the decisions of two policies."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

from engine.base.errors import DocumentError, EngineError
from engine.base.paint import painter
from engine.base.pool import collect_rarely
from engine.base.printable import printable_lines
from engine.base.records import replace
from engine.bulk.batch import CHUNK, chunks
from engine.bulk.streams import is_plain, read
from engine.cli.batch import size_of
from engine.cli.exits import NO, YES
from engine.cli.options import format_option, policies_option, set_option
from engine.cli.progress import Progress
from engine.cli.terminal import screen
from engine.documents.files import open_binary
from engine.regress.diff import Difference, DiffJob, difference
from engine.regress.fuzz_diff import as_test, search
from engine.regress.revisions import Side, sides
from engine.render.report import diff as forms

_EPILOG = """
\b
A and B are NAME, NAME@1, NAME@1.0.0, a policy file, a folder of policies,
or git:REV:PATH for a file or folder at a git revision.

\b
Examples:
  engine diff sharding@1.0.0 my-policies/sharding/1.1.0.yaml \\
      --requests history.jsonl
  engine diff git:main:policies policies --requests history.jsonl.gz \\
      --format markdown
  engine diff sharding@1.0.0 sharding@1.1.0 --policies my-policies --search
  engine diff git:main:policies policies --policy quota --prove
"""


@click.command("diff", epilog=_EPILOG)
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("--requests", metavar="FILE", help="Requests in the format of engine batch; - for stdin.")
@click.option("--inputs", metavar="FILE", help="Inputs of a custom policy (JSON Lines).")
@click.option("--search", "searched", is_flag=True, help="Search for a request on which A and B differ.")
@click.option(
    "--prove",
    "proving",
    is_flag=True,
    help="Prove that A and B decide alike, or find a request on which they differ (extra: prove).",
)
@click.option(
    "--examples",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Number of requests to try with --search.",
)
@click.option("--seed", type=int, help="Random seed for --search.")
@click.option(
    "--policy",
    metavar="NAME",
    help="Policy to compare when A or B is a folder. [default: the only one that it holds, or sharding]",
)
@click.option(
    "--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Number of processes."
)
@policies_option
@set_option
@format_option("text", "json", "markdown")
def command(
    left: str,
    right: str,
    requests: str | None,
    inputs: str | None,
    searched: bool,
    proving: bool,
    examples: int,
    seed: int | None,
    policy: str | None,
    jobs: int,
    policies: tuple[str, ...],
    constants: dict[str, object],
    form: str,
) -> int:
    """Compare the decisions of two policies.

    The exit code is 1 if any decision differs. --set changes constants of B.
    """
    if sum(map(bool, (requests, inputs, searched, proving))) != 1:
        raise click.UsageError("use exactly one of --requests FILE, --inputs FILE, --search and --prove")
    collect_rarely()
    with sides(left, right, policy, policies) as (old, new):
        new = replace(new, constants=constants)
        if proving:
            return _prove(old, new, seed, form)
        if searched:
            return _search(old, new, examples, seed)
        found = _on_corpus(DiffJob(old, new, inputs is not None), requests or inputs or "", jobs)
        names = (_name(old), _name(new))
    if found.unreadable:
        first = printable_lines(str(found.first_unreadable))
        print(f"{found.unreadable} invalid lines skipped; first: {first}", file=sys.stderr)
    if found.errors:
        first = printable_lines(found.first_error)
        print(
            f"{found.errors} of {found.total} requests could not be decided; first: {first}", file=sys.stderr
        )
    if not found.total:
        raise DocumentError(f"{requests or inputs}: the file has no requests")
    if not found.decided:
        raise DocumentError(
            f"{requests or inputs}: neither policy can decide any of these requests",
            hint="the lines must hold the inputs that both policies declare",
        )
    if form == "text":
        click.echo(forms.text(found, names, painter(screen().color)), nl=False)
    else:
        click.echo((forms.as_json if form == "json" else forms.markdown)(found, names), nl=False)
    return NO if found.changed else YES


def _name(which: Side) -> str:
    """Return a side's label, with the policy's version if the label leaves it open."""
    policy = which.load()
    name = f"{policy.name}@{policy.version}"
    return name if which.label == name else f"{which.label} ({name})"


def _on_corpus(job: DiffJob, file: str, jobs: int) -> Difference:
    job.left.load(), job.right.load()  # report faults before reading a file
    found = Difference()
    with ExitStack() as stack:
        raw = sys.stdin.buffer if file == "-" else stack.enter_context(open_binary(file))
        size = size_of(raw)
        progress = stack.enter_context(Progress(size if is_plain(file) else None, False))
        for piece in difference(job, chunks(read(raw, file), CHUNK), jobs):
            found.add(piece)
            progress.advance(0, piece.total)
    return found


def _prove(old: Side, new: Side, seed: int | None, form: str) -> int:
    try:
        from engine.regress.prove_diff import prove_equal
    except ImportError:
        raise EngineError("z3 is not installed", hint="pip install 'shard-policy-engine[prove]'") from None
    left, right = old.load(), new.load()
    if left.input_types != right.input_types:
        raise DocumentError(f"{old.label} and {new.label} have different inputs")
    equality = prove_equal(left, right, seed=seed)
    if form == "json":
        click.echo(forms.equality_json(equality, (_name(old), _name(new))), nl=False)
    else:
        print(forms.equality_text(equality), file=sys.stderr, end="")
        if equality.found is not None:
            click.echo(as_test(equality.found), nl=False)
    return YES if equality.verdict == "equal" else NO


def _search(old: Side, new: Side, examples: int, seed: int | None) -> int:
    left, right = old.load(), new.load()
    if left.input_types != right.input_types:
        raise DocumentError(f"{old.label} and {new.label} have different inputs")
    searched = search(left, right, examples=examples, seed=seed)
    if searched.found is not None:
        print("# passes for A, fails for B; add it to a suite of A's policy", file=sys.stderr)
        click.echo(as_test(searched.found), nl=False)
        return NO
    if not searched.decided:
        raise DocumentError(
            f"none of {searched.tried:,} requests could be decided; first error: {searched.first_error}",
            hint="write requests that the policies accept and use --requests or --inputs",
        )
    undecided = searched.tried - searched.decided
    apart = f"; {undecided:,} more could not be decided by either policy" if undecided else ""
    print(f"no difference found in {searched.decided:,} requests (not a proof){apart}", file=sys.stderr)
    return YES
