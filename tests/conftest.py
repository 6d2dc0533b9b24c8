"""Fixtures that all tests share: the command line in this process, the reference data, markers."""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from engine.cli.exits import FRAMES
from engine.cli.main import main
from tests.support.runtimes import offered_oracle  # noqa: F401

# Other runs draw new examples each time; a CI build must not fail by what it happens to draw.
settings.register_profile("build", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("build")


def examples(default: int) -> int:
    """Return the number of examples of a property test: ENGINE_EXAMPLES if set, else half of `default`.

    Half keeps the test command below eight minutes on two cores; the nightly run sets more.
    """
    return int(os.environ.get("ENGINE_EXAMPLES", (default + 1) // 2))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Let `-n` keep the tests of an xdist group in one worker: Ray starts once."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that draw their input with `property`."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")


# Compiled policies are cached from one test to the next and shared by the workers of a run; the user's own
# cache stays untouched.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory()
    os.environ["ENGINE_CACHE"] = _CACHE.name
    _STATE = tempfile.TemporaryDirectory()
    os.environ["XDG_STATE_HOME"] = _STATE.name
# A decision that the interpreter had to make, where the fast path should have, is an error.
os.environ.setdefault("ENGINE_REQUIRE_FAST", "1")

# The command line sets the same limit; Hypothesis requires it to be equal before and after a test.
sys.setrecursionlimit(FRAMES)

TOP = Path(__file__).resolve().parent.parent
DATA = TOP / "tests" / "data"


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str
    command: tuple[str, ...] = field(default=(), compare=False)

    def ok(self, code: int = 0, *, quiet: bool = False) -> Ran:
        """Return the run itself, for chaining.

        Args:
            code: the expected exit code.
            quiet: require an empty standard error.

        Raises:
            AssertionError: another exit code, or output on standard error; shows command, code and output.
        """
        if self.code != code or (quiet and self.err):
            pytest.fail(
                f"$ engine {shlex.join(self.command)}\nexit code {self.code}, expected {code}"
                f"\n--- stdout\n{self.out}\n--- stderr\n{self.err}",
                pytrace=False,
            )
        return self

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
    """Run `engine` with these arguments in this process: `run("eval", "--params", "7B", stdin="…")`."""
    monkeypatch.delenv("ENGINE_POLICIES", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    if "first_version" not in request.fixturenames:
        monkeypatch.delenv("ENGINE_POLICY", raising=False)

    def call(*arguments: str | Path, stdin: str | bytes = b"") -> Ran:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        command = tuple(map(str, arguments))
        code = main(list(command))
        return Ran(code, *capsys.readouterr(), command=command)

    return call


@pytest.fixture
def allow_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter may decide what the fast path doesn't take."""
    monkeypatch.delenv("ENGINE_REQUIRE_FAST")


@pytest.fixture
def first_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sharding 1.0.0 the default policy: its reference answers are known."""
    monkeypatch.setenv("ENGINE_POLICY", "sharding@1.0.0")


@pytest.fixture(scope="session")
def plans() -> list[dict[str, Any]]:
    """Return the reference planner's requests and answers."""
    with gzip.open(DATA / "reference" / "plans.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
