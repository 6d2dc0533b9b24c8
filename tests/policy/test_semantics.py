"""Policies on any subject, with the meaning that cel-go's policy compiler gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import DATA, Run
from tests.support.runtimes import RUNTIMES

CASES = [
    pytest.param(folder, case, id=f"{folder.name}-{number}")
    for folder in sorted((DATA / "policies").iterdir())
    for number, case in enumerate(yaml.safe_load((folder / "tests.yaml").read_text(encoding="utf-8")))
]


@pytest.mark.usefixtures("offered_oracle")
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("folder", "case"), CASES)
def test_policy(folder: Path, case: dict[str, Any], runtime: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / folder.name / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_bytes((folder / "policy.yaml").read_bytes())
    ran = run(
        *("eval", "--policy", folder.name, "--policies", tmp_path, "--input", "-", "--format", "json"),
        *("--runtime", runtime),
        stdin=json.dumps(case["input"]),
    )
    if "error" in case:
        assert ran.code == 2
        assert ran.out == ""
        first = ran.err.splitlines()[0]
        assert f"1.0.0.yaml:{case['error']['line']}:" in first
        assert first.endswith(case["error"]["message"])
        return
    decision = ran.json
    if case.get("match", "") is None:
        assert (ran.code, decision["outcome"], decision["match"]) == (1, "no_match", None)
        assert decision["output"] is None
        return
    assert (ran.code, decision["outcome"], ran.err) == (0, "value", "")
    assert decision["output"] == case["output"]
    if "match" in case:
        assert decision["match"] == case["match"]
    assert decision["explanation"] == case.get("explanation")


def chain(length: int) -> str:
    """A policy whose variables each read the one before."""
    lines = ["    - {name: v0, expression: n}"]
    lines += [f"    - {{name: v{i}, expression: variables.v{i - 1} + 1}}" for i in range(1, length)]
    return "\n".join(
        [
            "apiVersion: engine/v1\nkind: Policy\nname: chain\nversion: 1.0.0",
            "inputs: [{name: n, type: int}]\nrule:\n  variables:",
            *lines,
            f"  match: [{{output: variables.v{length - 1}}}]\n",
        ]
    )


@pytest.mark.usefixtures("offered_oracle")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_long_chain_of_variables(runtime: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(chain(200))
    ran = run(
        "eval", "--policy", file, "--input", "-", "--format", "json", "--runtime", runtime, stdin="n: 1"
    )
    assert (ran.code, ran.json["output"]) == (0, 200)


def test_an_endless_chain_is_an_error(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "chain.yaml"
    file.write_text(chain(2000))
    ran = run("eval", "--policy", file, "--input", "-", "--runtime", "cel-python", stdin="n: 1")
    assert (ran.code, ran.out) == (2, "")
    assert "variable chain too deep: more than 500 variables" in ran.err
