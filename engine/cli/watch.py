"""`engine test --watch`: runs the suites that a saved file touches, as long as somebody looks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from engine.errors import EngineError
from engine.regress.session import run
from engine.regress.suite import find_suites, read_suite
from engine.render import tests

_PAUSE = 0.1
"""Seconds between two looks at the files."""


def watch_suites(roots: Sequence[Path], folders: Sequence[str], pattern: str, paint: tests.Paint) -> int:
    """Run all suites, and then, each time that a file is saved, those that read it. Ends with Ctrl-C."""
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
    """What a suite's results depend on: its own files, golden ones too, the policy and its catalogs."""
    try:
        suite = read_suite(path, folders)
        policy = suite.policy().compiled
    except EngineError:
        # Until it is mended, whatever stands near it may mend it.
        return {path, *path.parent.rglob("*.yaml"), *path.parent.parent.glob("*.yaml")}
    goldens = [path.parent / case.expect["golden"] for case in suite.cases if "golden" in case.expect]
    documents = [policy.document, *(catalog.document for catalog in policy.catalogs.values())]
    return {*suite.files, *goldens, *(Path(document.name) for document in documents)}


def _ages(files: Iterable[Path]) -> dict[Path, float]:
    ages: dict[Path, float] = {}
    for file in files:
        try:
            ages[file] = file.stat().st_mtime_ns
        except OSError:
            continue
    return ages
