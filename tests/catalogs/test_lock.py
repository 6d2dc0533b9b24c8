"""`policies.lock` in whatever folder the command is run, and names that are reserved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TOP, Run

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: {name}
version: 1.0.0
inputs: [{{name: {input}, type: int, description: A number.}}]
rule: {{match: [{{output: {input}}}]}}
"""


def put(folder: Path, name: str = "quota", input_: str = "n") -> Path:
    file = folder / name / "1.0.0.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(POLICY.format(name=name, input=input_))
    return file


def test_lock_inside_the_folder_locks_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    monkeypatch.chdir(tmp_path)
    ran = run("policies", "lock", ".")
    assert ran.code == 0, ran.err
    assert "quota/1.0.0.yaml: sha256:" in (tmp_path / "policies.lock").read_text()


@pytest.mark.parametrize("name", ["catalog", "library", "patch"])
def test_a_folder_may_be_called_like_a_kind(run: Run, tmp_path: Path, name: str) -> None:
    file = put(tmp_path / name)
    (tmp_path / "in.yaml").write_text("{n: 3}\n")
    assert run("policies", "lock", tmp_path / name).code == 0
    assert "\n  quota/1.0.0.yaml: sha256:" in (tmp_path / name / "policies.lock").read_text()
    assert run("check", tmp_path / name).code == 0
    ran = run("eval", "--policies", tmp_path / name, "--policy", "quota", "--input", tmp_path / "in.yaml")
    assert ran.out.startswith("3\n")
    file.write_text(file.read_text() + "# changed\n")
    assert "E110" in run("check", tmp_path / name).out


@pytest.mark.parametrize("name", ["catalog", "library", "patch"])
def test_a_policy_with_a_reserved_name_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    file = put(tmp_path, name)
    ran = run("check", tmp_path)
    assert ran.code == 1
    assert f"{file}:3:7: E108 '{name}' is a reserved name" in ran.out


def test_an_input_called_candidate_is_refused_where_the_policy_searches(run: Run, tmp_path: Path) -> None:
    assert run("check", put(tmp_path, "hiring", "candidate")).code == 0
    text = (TOP / "policies" / "sharding" / "2.0.0.yaml").read_text()
    file = tmp_path / "sharding.yaml"
    file.write_text(text.replace("inputs:\n", "inputs:\n  - {name: candidate, type: int}\n"))
    ran = run("check", file)
    assert "E108 'candidate' means the candidate of the search" in ran.out
