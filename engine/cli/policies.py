"""`engine policies`: list, show, describe, lock, start, import and vendor policies and catalogs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypedDict

import click

from engine.base.errors import PolicyError, near, quote
from engine.base.printable import printable, printable_lines
from engine.catalogs.lock import LOCK, changed, digests, read_lock, table_paths, write_lock
from engine.catalogs.store import KIND_FOLDERS, RESERVED_NAMES, Entry, PolicyStore, Snapshot, part_files
from engine.cli.check import default_folder
from engine.cli.exits import YES
from engine.cli.options import format_option, policies_option
from engine.documents import Document, read_document
from engine.documents.writing import write_whole
from engine.fastpath.generate import TooLongError, generate
from engine.plan import signatures
from engine.policy import CompiledPolicy, compile_policy
from engine.policy.imports import import_policy
from engine.policy.starts import new_overlay, new_policy

_EPILOG = """
\b
Examples:
  engine policies
  engine policies show sharding@1.0.0
  engine policies show accelerators --format json
  engine policies show sharding --python
  engine policies page pod-security --policies my-policies > pod-security.md
  engine policies lock my-policies
  engine policies new quota my-policies
  engine policies overlay sharding@2 my-policies --name sharding-acme
  engine policies import cel-policies/k8s my-policies
  engine policies vendor sharding vendored
  ENGINE_POLICIES=my-policies engine policies
"""


@click.group("policies", invoke_without_command=True, epilog=_EPILOG)
@policies_option
@format_option("text", "json")
@click.pass_context
def command(context: click.Context, policies: tuple[str, ...], form: str) -> int:
    """List, show, describe, lock, start, import and vendor policies and catalogs.

    A file in a --policies folder hides the shipped one of the same name and version.
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
@click.option("--python", "as_python", is_flag=True, help="Show the Python code that the policy compiles to.")
@click.pass_context
def show(
    context: click.Context, reference: str, policies: tuple[str, ...], form: str, as_python: bool
) -> int:
    """Print a policy with the libraries and catalogs it reads, a library, or a catalog.

    NAME is NAME, NAME@1 or NAME@1.0.0, after library/ or catalog/ if a policy has the same name. Text
    output is the files as written, one YAML document each.
    """
    store = PolicyStore(policies or context.obj or ())
    entry = _found(store, reference)
    if as_python:
        if entry.kind in ("catalog", "patch") or form == "json":
            raise click.UsageError("--python works for policies only, with --format text")
        click.echo(_python(compile_policy(store.read(entry), store, signatures())).rstrip())
        return YES
    if entry.kind in ("catalog", "patch"):
        document = store.catalog(entry) if entry.kind == "catalog" else store.read(entry)
        click.echo(json.dumps(document.value, indent=2) if form == "json" else _source(document).rstrip())
        return YES
    policy = compile_policy(store.read(entry), store, signatures())
    click.echo(json.dumps(_resolved(policy), indent=2) if form == "json" else _sources(policy).rstrip())
    return YES


@command.command("page")
@click.argument("reference", metavar="NAME")
@policies_option
@click.pass_context
def page(context: click.Context, reference: str, policies: tuple[str, ...]) -> int:
    """Print a policy as a page in Markdown: inputs with their types, constants, decisions in order.

    NAME is NAME, NAME@1 or NAME@1.0.0.
    """
    from engine.render import policy_page  # deferred: start-up time

    store = PolicyStore(policies or context.obj or ())
    entry = store.find("policy", reference)
    click.echo(policy_page.page(compile_policy(store.read(entry), store, signatures())), nl=False)
    return YES


@command.command("lock")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Re-lock changed versions.")
def lock(folder: Path | None, force: bool) -> int:
    """Freeze released versions: write the digests of all versions in a folder to policies.lock.

    From then on, `engine check` reports any change to a locked version. DIR defaults to ./policies.
    """
    locked = read_lock(folder or default_folder())
    found = digests(locked.folder)
    kept = locked.digests
    altered = [name for name in kept if found.get(name) != kept[name]]
    if altered and not force:
        raise PolicyError([problem.coded("E110") for problem in changed(locked)])
    write_lock(locked, found)
    new = [name for name in found if name not in kept]
    where = printable(str(locked.folder / LOCK))
    click.echo(f"{where}: {len(found)} versions locked ({len(new)} new, {len(altered)} changed)")
    return YES


@command.command("vendor")
@click.argument("reference", metavar="NAME")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@policies_option
@click.pass_context
def vendor(context: click.Context, reference: str, folder: Path, policies: tuple[str, ...]) -> int:
    """Copy a policy with all that it reads into DIR: its base, libraries, catalogs and choosers.

    The copy decides as the original, with an equal digest: engine eval --policies DIR --policy NAME.
    """
    store = Snapshot(policies or context.obj or ())
    files: dict[str, bytes] = {}
    _collect(store, store.find("policy", reference), files)
    _write(folder, files)
    return YES


@command.command("new")
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def new(name: str, folder: Path | None) -> int:
    """Write a commented policy to start from, and its suite. DIR defaults to ./policies."""
    _check_name(name)
    texts = new_policy(name)
    _write(folder or Path("policies"), {path: text.encode() for path, text in texts.items()})
    return YES


@command.command("import")
@click.argument("policy", metavar="POLICY", type=click.Path(path_type=Path))
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="The environment: variables and functions.")
@click.option("--tests", type=click.Path(path_type=Path), help="The tests.")
@click.option("--name", help="Name of the policy. [default: its own]")
@policies_option
@click.pass_context
def import_(
    context: click.Context,
    policy: Path,
    folder: Path | None,
    config: Path | None,
    tests: Path | None,
    name: str | None,
    policies: tuple[str, ...],
) -> int:
    """Convert a policy in CEL's policy format, with its environment and tests, to a policy and a suite.

    POLICY is a file, or a folder with policy.yaml, config.yaml and tests.yaml. Nothing is written if a part
    cannot be imported, or if the policy has an error. DIR defaults to ./policies.
    """
    if policy.is_dir():
        config = config or _beside(policy, "config.yaml")
        tests = tests or _beside(policy, "tests.yaml")
        policy = policy / "policy.yaml"
    imported = import_policy(
        read_document(policy),
        None if config is None else read_document(config),
        None if tests is None else read_document(tests),
        PolicyStore(policies or context.obj or ()),
        signatures(),
        name,
    )
    for note in imported.notes:
        click.echo(f"note: {note}", err=True)
    _write(folder or Path("policies"), {path: text.encode() for path, text in imported.files.items()})
    return YES


def _beside(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).exists() else None


@command.command("overlay")
@click.argument("base", metavar="BASE")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--name", help="Name of the overlay. [default: BASE-site]")
@policies_option
@click.pass_context
def overlay(
    context: click.Context, base: str, folder: Path | None, name: str | None, policies: tuple[str, ...]
) -> int:
    """Write an overlay of a policy, with everything that it can change as comments.

    BASE is NAME, NAME@1 or NAME@1.0.0; NAME alone means the newest major version. DIR defaults to ./policies.
    """
    store = PolicyStore(policies or context.obj or ())
    entry = store.find("policy", base)
    reference = base if "@" in base else f"{entry.name}@{entry.version.partition('.')[0]}"
    chosen = name or f"{entry.name}-site"
    _check_name(chosen)
    compiled = compile_policy(store.read(entry), store, signatures())
    texts = new_overlay(compiled, reference, chosen)
    _write(folder or Path("policies"), {path: text.encode() for path, text in texts.items()})
    return YES


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or name in RESERVED_NAMES:
        hint = "use lowercase letters, digits, - and _"
        raise PolicyError(f"{quote(name)} is no name of a policy", hint=hint)


def _collect(store: PolicyStore, entry: Entry, files: dict[str, bytes]) -> None:
    """Add the files of a policy and of all that it reads, by their paths in a folder of policies."""
    _add(store, entry, files)
    policy = compile_policy(store.read(entry), store, signatures())
    for kind, reference in policy.reads:
        _add(store, store.find(kind, reference), files)
    for catalog in policy.catalogs.values():
        version = catalog.version.partition("+")[0]
        _add(store, store.find("catalog", f"{catalog.name}@{version}"), files)
        if version != catalog.version:
            for patch in store.patches():
                _add(store, patch, files)
    for declared in policy.document.value.get("inputs", ()):
        if "auto" in declared:
            _collect(store, store.find("policy", declared["auto"]), files)


def _add(store: PolicyStore, entry: Entry, files: dict[str, bytes]) -> None:
    base = "/".join(filter(None, (KIND_FOLDERS[entry.kind], entry.name)))
    paths = part_files(entry.path) if Path(entry.path).is_dir() else [entry.path]
    for path in paths:
        below = Path(path).relative_to(Path(entry.path).parent).as_posix()
        files[f"{base}/{below}"] = store.content(path)
    if entry.kind in ("policy", "library"):
        source = Path(entry.path)
        for table in table_paths(store.read(entry), source):
            below = table.relative_to(source.parent).as_posix()
            files[f"{base}/{below}"] = table.read_bytes()


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder, none over another.

    Raises:
        PolicyError: a file is there with another content.
    """
    for name, content in files.items():
        target = folder / name
        if target.exists() and target.read_bytes() != content:
            raise PolicyError(
                f"{target}: a file is there already", hint="name another folder, or move it away"
            )
    for name, content in files.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PolicyError(f"{target.parent}: {error.strerror}") from None
        if not target.exists():
            write_whole(target, content.decode())
        click.echo(printable(str(target)))


def _python(policy: CompiledPolicy) -> str:
    """Return the source of the function that the policy compiles to.

    Raises:
        PolicyError: The policy exceeds the code-generation limit.
    """
    try:
        head = f"# {printable(policy.name)}@{printable(policy.version)}\n# {policy.digest}"
        return printable_lines(f"{head}\n{generate(policy).source}")
    except TooLongError:
        raise PolicyError(
            f"policy {policy.name} exceeds the code-generation limit", hint="it runs on the interpreter"
        ) from None


def _found(store: PolicyStore, reference: str) -> Entry:
    """Find a policy, or else a library, catalog or patch, by reference."""
    kind, slash, name = reference.rpartition("/")
    for each in KIND_FOLDERS:
        if (not slash or KIND_FOLDERS[each] == kind) and any(store.entries(each, name.partition("@")[0])):
            return store.find(each, name)
    names = {entry.name for each in KIND_FOLDERS for entry in store.entries(each)}
    raise PolicyError(f"no policy, library or catalog '{name}'", hint=near(name, names))


class _Row(TypedDict):
    """A policy or catalog; a hidden one has the name and version of one in an earlier folder."""

    kind: str
    name: str
    version: str
    file: str
    hidden: bool


def _listed(store: PolicyStore) -> list[_Row]:
    """Return a row per policy and catalog, newest versions first, with its file and whether it is hidden."""
    rows: list[_Row] = []
    for kind in KIND_FOLDERS:
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


def _table(rows: list[_Row]) -> str:
    """Return rows of kind, name and file; long paths come last."""
    cells = [
        (
            row["kind"],
            printable(f"{row['name']}@{row['version']}"),
            printable(row["file"]) + ("  (hidden)" if row["hidden"] else ""),
        )
        for row in rows
    ]
    widths = [max(len(cell[column]) for cell in cells) for column in (0, 1)]
    return "\n".join(f"{kind:<{widths[0]}}  {name:<{widths[1]}}  {file}" for kind, name, file in cells)


def _source(document: Document, note: str = "") -> str:
    return printable_lines(f"# {printable(document.name)}{note}\n{document.text.rstrip()}\n")


def _sources(policy: CompiledPolicy) -> str:
    """Return the policy's and its catalogs' texts as one YAML stream."""
    texts = [_source(policy.document, f"\n# {policy.digest}")]
    texts += [_source(library) for library in policy.libraries.values()]
    texts += [_source(catalog.document) for catalog in policy.catalogs.values()]
    return "---\n".join(texts)


def _resolved(policy: CompiledPolicy) -> dict[str, object]:
    """Return the policy's document with each catalog reference replaced by the catalog's document."""
    catalogs = {name: catalog.document.value for name, catalog in policy.catalogs.items()}
    return {**policy.document.value, "catalogs": catalogs, "digest": policy.digest}
