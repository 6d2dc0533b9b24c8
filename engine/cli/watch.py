"""`engine test --watch`: re-run affected suites on save."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from engine.base.errors import EngineError
from engine.base.paint import Paint
from engine.regress.session import run
from engine.regress.suite import find_suites, read_suite
from engine.render.report import suites as tests

_PAUSE = 0.1
"""Seconds between two polls of the files."""


def watch_suites(roots: Sequence[Path], folders: Sequence[str], pattern: str, paint: Paint) -> int:
    """Run all suites, then re-run those that depend on a saved file, until Ctrl-C."""
    folded = pattern.casefold()
    before: dict[Path, float] = {}
    while True:
        suites = {path: _files(path, folders) for path in find_suites(roots)}
        now = _ages({file for files in suites.values() for file in files})
        changed = {file for file in now.keys() | before.keys() if now.get(file) != before.get(file)}
        touched = [path for path, files in suites.items() if changed & files]
        if touched:
            session = run(touched, folders, wanted=lambda id_: folded in id_.casefold())
            click.echo(tests.text(session, paint), nl=False)
        before = now
        time.sleep(_PAUSE)


def _files(path: Path, folders: Sequence[str]) -> set[Path]:
    """Return the files that a suite depends on: its own, golden files, the policy and its catalogs."""
    try:
        suite = read_suite(path, folders)
        policy = suite.policy().compiled
    except EngineError:
        # A broken suite may be fixed by any file near it.
        return {path, *path.parent.rglob("*.yaml"), *path.parent.parent.glob("*.yaml")}
    goldens = [path.parent / case.expect["golden"] for case in suite.cases if "golden" in case.expect]
    documents = [
        policy.document,
        *policy.libraries.values(),
        *(catalog.document for catalog in policy.catalogs.values()),
    ]
    read = (Path(source.name) for document in documents for source in document.sources)
    return {*suite.files, *goldens, *read}


def _ages(files: Iterable[Path]) -> dict[Path, float]:
    ages: dict[Path, float] = {}
    for file in files:
        try:
            ages[file] = file.stat().st_mtime_ns
        except OSError:
            continue
    return ages
