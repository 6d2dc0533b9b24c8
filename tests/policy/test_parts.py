"""A policy as a folder of parts decides as the one file that they make."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import engine
from tests.conftest import TOP, Run

HEAD = """\
apiVersion: engine/v1
kind: Policy
name: rate
version: 1.0.0
inputs: [{name: weight, type: double, description: Kilograms.}]
rule:
  match:
    - {id: letter, condition: variables.light, output: '"letter"'}
"""
LIMITS = """\
apiVersion: engine/v1
kind: Part
description: What people tune.
constants:
  light: {value: 2.0, unit: kg, description: Up to this weight a letter.}
"""
RULES = """\
apiVersion: engine/v1
kind: Part
rule:
  variables:
    - {name: light, expression: weight <= constants.light}
  match:
    - {id: parcel, output: '"parcel"'}
    - {id: letter, description: Light things.}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = tmp_path / "rate" / "1.0.0"
    parts.mkdir(parents=True)
    (parts / "policy.yaml").write_text(HEAD)
    (parts / "limits.yaml").write_text(LIMITS)
    (parts / "rules.yaml").write_text(RULES)
    return tmp_path


def decide(folder: Path, weight: float) -> object:
    return engine.load_policy("rate@1", folder).decide(engine.Request({"weight": weight})).output


def test_parts_are_merged(folder: Path, run: Run) -> None:
    assert (decide(folder, 2.0), decide(folder, 2.1)) == ("letter", "parcel")
    assert run("check", folder).ok().out == "3 files checked, no findings\n"
    assert run("check", folder / "rate" / "1.0.0").ok().out == "3 files checked, no findings\n"
    listed = run("policies", "--policies", folder, "--format", "json").json
    assert ("rate", "1.0.0") in {(row["name"], row["version"]) for row in listed}
    shown = list(yaml.safe_load_all(run("policies", "show", "rate", "--policies", folder).ok().out))
    assert [each["kind"] for each in shown] == ["Policy", "Part", "Part"]


def test_a_folder_of_parts_is_a_reference(folder: Path) -> None:
    policy = engine.load_policy(str(folder / "rate" / "1.0.0"))
    assert policy.decide(engine.Request({"weight": 2.0})).output == "letter"


def test_a_change_of_a_part_changes_the_digest_and_the_decision(folder: Path) -> None:
    before = engine.load_policy("rate", folder).digest
    (folder / "rate" / "1.0.0" / "limits.yaml").write_text(LIMITS.replace("2.0", "3.0"))
    assert engine.load_policy("rate", folder).digest != before
    assert decide(folder, 2.5) == "letter"


def test_an_overlay_of_parts(folder: Path) -> None:
    file = folder / "mine" / "1.0.0.yaml"
    file.parent.mkdir()
    head = "apiVersion: engine/v1\nkind: Overlay\nname: mine\nversion: 1.0.0\nbase: rate@1\n"
    file.write_text(head + "constants: {light: 9}\n")
    assert engine.load_policy("mine", folder).decide(engine.Request({"weight": 8.0})).output == "letter"


def test_a_locked_folder_notices_changed_and_added_parts(folder: Path, run: Run) -> None:
    assert "3 versions locked" in run("policies", "lock", folder).ok().out
    limits = folder / "rate" / "1.0.0" / "limits.yaml"
    limits.write_text(LIMITS.replace("2.0", "3.0"))
    assert f"{limits}:1:1: E110" in run("check", folder).out
    limits.write_text(LIMITS)
    added = folder / "rate" / "1.0.0" / "more.yaml"
    added.write_text("apiVersion: engine/v1\nkind: Part\n")
    assert f"{added}:1:1: E110" in run("check", folder).out
    added.unlink()
    assert run("check", folder).code == 0
    limits.unlink()
    assert "was released, and is gone" in run("check", folder).out


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "message"),
    [
        ("rules", "<= constants.light", "<= constants.lght", "5:53", "E102 undeclared constant 'lght'"),
        ("rules", "name: light,", "nam: light,", "5:8", "E002 unknown field 'nam'"),
        ("rules", "kind: Part", "kind: Policy", "2:7", "E002 kind: expected 'Part', found 'Policy'"),
        ("rules", "id: parcel", "id: letter", "7:20", "E002 rule.match[0].output is stated in two parts"),
        ("limits", "unit: kg", "units: kg", "5:23", "E002 unknown field 'units'"),
        ("limits", "constants:", "constant:", "4:1", "E002 unknown field 'constant'"),
        (
            "policy",
            "name: rate",
            "name: rates",
            "3:7",
            "E114 name is rates, but the path of the file says rate",
        ),
        ("policy", "version: 1.0.0", "version: 1", "4:10", "E002 version: expected"),
    ],
)
def test_a_fault_is_reported_in_its_part(
    folder: Path, run: Run, file: str, old: str, new: str, place: str, message: str
) -> None:
    path = folder / "rate" / "1.0.0" / f"{file}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    ran = run("check", folder)
    assert ran.code == 1
    assert f"{path}:{place}: {message}" in ran.out


def test_a_comment_in_a_part_silences_a_finding(folder: Path, run: Run) -> None:
    path = folder / "rate" / "1.0.0" / "limits.yaml"
    unused = "  idle: {value: 1.0, unit: kg, description: Unused.}"
    path.write_text(LIMITS + unused + "\n")
    assert "W203" in run("check", folder).out
    path.write_text(LIMITS + unused + "  # engine: ignore W203\n")
    assert "no findings" in run("check", folder).out


def test_a_file_and_a_folder_of_one_version_are_ambiguous(folder: Path) -> None:
    (folder / "rate" / "1.0.0.yaml").write_text(HEAD)
    with pytest.raises(engine.PolicyError, match=r"'rate' 1.0.0 is a file and a folder of parts"):
        decide(folder, 1.0)


def test_a_folder_without_a_head_is_no_policy(folder: Path, run: Run) -> None:
    (folder / "rate" / "1.0.0" / "policy.yaml").unlink()
    with pytest.raises(engine.PolicyError, match="unknown policy 'rate'"):
        decide(folder, 1.0)
    ran = run("eval", "--policy", folder / "rate" / "1.0.0", "--input", TOP / "examples" / "quota-input.yaml")
    assert ran.code == 2
    assert "expected a folder NAME/VERSION with a file policy.yaml" in ran.err


@pytest.mark.slow
def test_sharding_in_parts_decides_as_the_file(tmp_path: Path) -> None:
    document = yaml.safe_load((TOP / "policies" / "sharding" / "2.0.0.yaml").read_text())
    candidate = document["rule"]["match"][0]["plan"]["candidate"]
    sections = {name: candidate.pop(name) for name in ("variables", "require", "prefer")}
    match = {"id": "search", "plan": {"candidate": {}}}
    parts: dict[str, object] = {
        name: {"rule": {"match": [{**match, "plan": {"candidate": {name: section}}}]}}
        for name, section in sections.items()
    }
    parts["constants"] = {"constants": document.pop("constants")}
    folder = tmp_path / "sharding" / "2.0.0"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    for name, part in parts.items():
        text = yaml.safe_dump({"apiVersion": "engine/v1", "kind": "Part", **part}, sort_keys=False)  # type: ignore[dict-item]
        (folder / f"{name}.yaml").write_text(text)
    whole, made = engine.load_policy("sharding@2.0.0"), engine.load_policy("sharding@2.0.0", tmp_path)
    assert made.digest != whole.digest
    for line in (TOP / "examples" / "history.jsonl").read_text().splitlines()[::6]:
        request = engine.Request.from_dict(yaml.safe_load(line))
        first, second = ({**policy.decide(request).to_dict(), "policy": None} for policy in (whole, made))
        assert first == second


@pytest.mark.parametrize("id_", ["[x]", "{a: 1}", "3"])
def test_an_id_that_is_no_text_is_refused(folder: Path, run: Run, id_: str) -> None:
    path = folder / "rate" / "1.0.0" / "rules.yaml"
    path.write_text(RULES.replace("id: parcel", f"id: {id_}"))
    ran = run("check", folder)
    assert f"{path}:7:12: E002 rule.match[1].id: expected text" in ran.out


def test_a_kind_that_is_no_text_is_refused(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "rate" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(HEAD.replace("kind: Policy", "kind: [Policy]"))
    assert f"{file}:2:7: E002" in run("check", tmp_path).out
    assert run("eval", "--policy", file).code == 2
