"""`engine policies`: what is found where, and one of them as it decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from engine.cli.check import default_folder
from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option
from engine.documents import Document
from engine.errors import PolicyError, near
from engine.plan import signatures
from engine.policy import CompiledPolicy, Entry, PolicyStore, compile_policy
from engine.policy.generate import TooLongError, generate
from engine.policy.lock import LOCK, changed, digests, read_lock, write_lock

_EPILOG = """
\b
Examples:
  engine policies
  engine policies show sharding@1.0.0
  engine policies show accelerators --format json
  engine policies show sharding --python
  engine policies lock my-policies
  ENGINE_POLICIES=my-policies engine policies
"""


@click.group("policies", invoke_without_command=True, epilog=_EPILOG)
@policies_option
@format_option("text", "json")
@click.pass_context
def command(context: click.Context, policies: tuple[str, ...], form: str) -> int:
    """List policies and catalogs, or show one.

    A file in one of your own folders hides the shipped one of the same name and version.
    """
    context.obj = policies
    if context.invoked_subcommand is None:
        rows = _listed(PolicyStore(policies))
        click.echo(json.dumps(rows, indent=2) if form == "json" else _table(rows))
    return YES


@command.command("show")
@click.argument("reference", metavar="NAME")
@policies_option
@format_option("text", "json")
@click.option("--python", "as_python", is_flag=True, help="The policy as the Python that it is compiled to.")
@click.pass_context
def show(
    context: click.Context, reference: str, policies: tuple[str, ...], form: str, as_python: bool
) -> int:
    """Print a policy with the catalogs that it reads, or a catalog.

    NAME is name, name@1 or name@1.0.0. As text, these are the files as written, one YAML document each.
    """
    store = PolicyStore(policies or context.obj or ())
    entry = _found(store, reference)
    if as_python:
        if entry.kind == "catalog" or form == "json":
            raise click.UsageError("--python prints policies, as text")
        click.echo(_python(compile_policy(store.read(entry), store, signatures())).rstrip())
        return YES
    if entry.kind == "catalog":
        document = store.read(entry)
        click.echo(json.dumps(document.value, indent=2) if form == "json" else _source(document).rstrip())
        return YES
    policy = compile_policy(store.read(entry), store, signatures())
    click.echo(json.dumps(_resolved(policy), indent=2) if form == "json" else _sources(policy).rstrip())
    return YES


@command.command("lock")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Lock anew what has changed since it was locked.")
def lock(folder: Path | None, force: bool) -> int:
    """Write the digests of all versions in a folder to its policies.lock.

    What is locked is released: `engine check` tells of each change of it from then on. DIR is ./policies
    without one.
    """
    locked = read_lock(folder or default_folder())
    found = digests(locked.folder)
    kept = locked.digests
    altered = [name for name in kept if found.get(name) != kept[name]]
    if altered and not force:
        raise PolicyError([problem.coded("E110") for problem in changed(locked)])
    write_lock(locked, found)
    new = [name for name in found if name not in kept]
    click.echo(
        f"{locked.folder / LOCK}: {len(found)} versions, {len(new)} of them new, {len(altered)} changed"
    )
    return YES


def _python(policy: CompiledPolicy) -> str:
    """The function that the policy is compiled to.

    Raises:
        PolicyError: it is too long to be one.
    """
    try:
        return f"# {policy.name}@{policy.version}\n# {policy.digest}\n{generate(policy).source}"
    except TooLongError:
        raise PolicyError(
            f"policy {policy.name} is too long to be one function", hint="it is evaluated by expressions"
        ) from None


def _found(store: PolicyStore, reference: str) -> Entry:
    """The policy of that reference, else the catalog."""
    name = reference.partition("@")[0]
    if not any(store.entries("policy", name)) and any(store.entries("catalog", name)):
        return store.find("catalog", reference)
    if not any(store.entries("policy", name)):
        names = {entry.name for kind in ("policy", "catalog") for entry in store.entries(kind)}
        raise PolicyError(f"no policy or catalog '{name}'", hint=near(name, names))
    return store.find("policy", reference)


def _listed(store: PolicyStore) -> list[dict[str, Any]]:
    """Everything that is found, newest versions first, with where it is and whether another file hides it."""
    rows: list[dict[str, Any]] = []
    for kind in ("policy", "catalog"):
        seen: set[tuple[str, str]] = set()
        entries = []
        for entry in store.entries(kind):
            hidden = (entry.name, entry.version) in seen
            seen.add((entry.name, entry.version))
            entries.append((entry, hidden))
        entries.sort(key=lambda item: (item[0].name, [-part for part in item[0].order]))
        for entry, hidden in entries:
            rows.append(
                {
                    "kind": kind,
                    "name": entry.name,
                    "version": entry.version,
                    "file": str(entry.path),
                    "hidden": hidden,
                }
            )
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    """Names first, files last, so that long paths don't push anything away."""
    cells = [(row["kind"], f"{row['name']}@{row['version']}", row["file"], row["hidden"]) for row in rows]
    widths = [max(len(cell[column]) for cell in cells) for column in (0, 1)]
    return "\n".join(
        f"{kind:<{widths[0]}}  {name:<{widths[1]}}  {file}{'  (hidden)' if hidden else ''}"
        for kind, name, file, hidden in cells
    )


def _source(document: Document, note: str = "") -> str:
    return f"# {document.name}{note}\n{document.text.rstrip()}\n"


def _sources(policy: CompiledPolicy) -> str:
    """The texts of the policy and of its catalogs, as YAML documents of one stream."""
    texts = [_source(policy.document, f"\n# {policy.digest}")]
    texts += [_source(catalog.document) for catalog in policy.catalogs.values()]
    return "---\n".join(texts)


def _resolved(policy: CompiledPolicy) -> dict[str, Any]:
    """The policy's document with each catalog's document in the place of its reference."""
    catalogs = {name: catalog.document.value for name, catalog in policy.catalogs.items()}
    return {**policy.document.value, "catalogs": catalogs, "digest": policy.digest}
