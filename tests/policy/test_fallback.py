"""The fast path falls back on what it declares, and on nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import engine
from engine.decide.fast import FallbackError
from engine.fastpath import linked
from tests.conftest import Run

HEAD = "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\n"
POLICY = HEAD + "inputs: [{name: n, type: int}, {name: m, type: dyn}]\nrule: {match: [{output: 10 / n}]}\n"
INT = HEAD + "inputs: [{name: n, type: int}]\nrule: {match: [{output: 10 / n}]}\n"


def load(folder: Path, text: str) -> engine.Policy:
    file = folder / "p.yaml"
    file.write_text(text)
    return engine.load_policy(str(file), use_cache=False)


def test_fast_path_with_odd_input_required_raises_with_reason(tmp_path: Path) -> None:
    policy = load(tmp_path, INT)
    assert policy.decide(engine.Request({"n": 2})).output == 5
    with pytest.raises(FallbackError, match=r"p@1\.0\.0 fell back to the interpreter: n?.*not of type int"):
        policy.decide(engine.Request({"n": 2.0}))


def test_fast_path_with_odd_input_not_required_falls_back(tmp_path: Path, allow_fallback: None) -> None:
    assert load(tmp_path, INT).decide(engine.Request({"n": 2.0})).output == 5


def test_fast_path_with_cel_error_leaves_it_to_the_interpreter(tmp_path: Path) -> None:
    with pytest.raises(engine.EvaluationError, match="divide by zero"):
        load(tmp_path, INT).decide(engine.Request({"n": 0}))


def test_fast_path_without_support_for_a_type_is_no_fallback(tmp_path: Path) -> None:
    assert load(tmp_path, POLICY).decide(engine.Request({"n": 2, "m": {"a": 1}})).output == 5


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, ValueError, ZeroDivisionError])
def test_bug_in_the_fast_path_propagates(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(value: Any) -> Any:
        raise error("a bug")

    monkeypatch.setattr(linked, "_whole", broken)
    policy = load(tmp_path, INT)
    with pytest.raises(error, match="a bug"):
        policy.decide(engine.Request({"n": 2}))


@pytest.mark.slow
def test_bug_in_a_search_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.plan.search import builder

    def broken(*arguments: Any) -> Any:
        raise TypeError("a bug")

    monkeypatch.setattr(builder, "find_device_groups", broken)
    with pytest.raises(TypeError, match="a bug"):
        engine.decide(inventory="8xH100-SXM", model="llama-3.1-70b", quantization="bf16")


def test_fallback_on_the_command_line_is_an_internal_fault(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(INT)
    ran = run("eval", "--policy", file, "--input", "-", stdin="n: 2.0")
    assert "fell back to the interpreter" in ran.err
