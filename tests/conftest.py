"""What all tests share: the command line run in this process, the reference data."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from engine.cli.exits import FRAMES
from engine.cli.main import main

# Elsewhere every run draws anew; a build must not fail by what it happens to draw.
settings.register_profile("build", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("build")


def examples(usual: int) -> int:
    """How many examples a property is tried on: `usual`, or as many as ENGINE_EXAMPLES says."""
    return int(os.environ.get("ENGINE_EXAMPLES", usual))


# Compiled policies of one test serve the next, and the user's cache is left alone.
_CACHE = tempfile.TemporaryDirectory()
os.environ["ENGINE_CACHE"] = _CACHE.name

# As the command line does; hypothesis wants it to be the same before and after a test.
sys.setrecursionlimit(FRAMES)

TOP = Path(__file__).resolve().parent.parent
DATA = TOP / "tests" / "data"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Run:
    """Runs `engine` with these arguments: `run("eval", "--params", "7B", stdin="…")`."""
    monkeypatch.delenv("ENGINE_POLICIES", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    if "first_version" not in request.fixturenames:
        monkeypatch.delenv("ENGINE_POLICY", raising=False)

    def call(*arguments: str | Path, stdin: str | bytes = b"") -> Ran:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return call


@pytest.fixture
def first_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command decides by sharding 1.0.0 unless told otherwise, whose answers are known one by one."""
    monkeypatch.setenv("ENGINE_POLICY", "sharding@1.0.0")


@pytest.fixture(scope="session")
def plans() -> list[dict[str, Any]]:
    """The reference planner's requests and answers."""
    with gzip.open(DATA / "reference" / "plans.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
