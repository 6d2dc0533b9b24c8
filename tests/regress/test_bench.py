"""`engine bench`: what is measured is there, and is of this policy; how long it took is not tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.mark.slow
def test_the_shipped_policy(run: Run) -> None:
    found = run("bench", "sharding@1.0.0", "--format", "json").json
    assert found["policy"] == "sharding@1.0.0"
    assert found["requests"] == 30
    assert 0 < found["decide_us"]["p50"] <= found["decide_us"]["p99"]
    assert found["compile_us"] > 0
    names = {each["name"] for each in found["expressions"]}
    assert {"variables.needed", "single-device: condition", "pipeline-parallel: arguments.devices"} <= names
    needed = next(each for each in found["expressions"] if each["name"] == "variables.needed")
    assert needed["count"] == 30
    assert "policies/sharding/1.0.0.yaml:" in needed["place"]
    matches = {each["id"]: each["chosen"] for each in found["matches"]}
    assert list(matches)[:2] == ["nothing-available", "single-device"]
    assert sum(matches.values()) == 30
    assert all(each["us_per_decision"] > 0 for each in found["matches"] if each["chosen"])
    costs = [each["us_per_decision"] for each in found["expressions"]]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.slow
def test_as_text_it_fits_a_terminal(run: Run) -> None:
    ran = run("bench")
    ran.ok()
    assert "decide p99" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_any_policy_on_inputs_of_its_own(run: Run, tmp_path: Path) -> None:
    policy, inputs = tmp_path / "p.yaml", tmp_path / "in.jsonl"
    policy.write_text(
        "{apiVersion: engine/v1, kind: Policy, name: p, version: 1.0.0, "
        "inputs: [{name: n, type: int}], rule: {match: [{id: m, output: n + 1}]}}"
    )
    inputs.write_text('{"n": 1}\n{"n": 2}\n')
    found = run("bench", policy, "--inputs", inputs, "--format", "json").json
    assert [(each["name"], each["count"]) for each in found["expressions"]] == [("m: output", 2)]


def test_bad_files(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    for content, message in (("", "the file has no requests"), ("\n{}\n[1]\n", "line 3: ")):
        file.write_text(content)
        ran = run("bench", "--requests", file)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
    assert run("bench", "--requests", file, "--inputs", file).code == 2
    assert "no such file" in run("bench", "--requests", tmp_path / "none.jsonl").err
