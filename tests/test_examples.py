"""The example policies: no findings, suites that reach everything and notice every change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TOP, Run

POLICIES = TOP / "examples" / "policies"
NAMES = sorted(path.parent.name for path in POLICIES.glob("*/1.0.0.yaml") if path.parent.parent == POLICIES)


def test_examples_cover_ten_subjects() -> None:
    assert len(NAMES) >= 11


@pytest.mark.slow
def test_examples_have_no_findings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    run("check", "examples").ok(quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_suite_of_an_example_covers_it_and_notices_every_change(name: str, run: Run) -> None:
    ran = run("test", POLICIES / name, "--coverage", "--min-coverage", "100", "--mutate", "--format", "json")
    ran.ok()
    assert ran.json["mutation"]["survivors"] == []


@pytest.mark.parametrize("name", NAMES)
def test_example_stays_readable(name: str) -> None:
    text = (POLICIES / name / "1.0.0.yaml").read_text()
    assert len(text.splitlines()) <= 80
    assert Path(POLICIES / name / "tests" / f"{name}_test.yaml").exists()
