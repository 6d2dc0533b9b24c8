"""`engine check`: each check's bad example is found, its good one is clean; forms, silencing, paths."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from engine.policy.checks import checks
from tests.conftest import DATA, TOP, Run

EXAMPLES = DATA / "checks"
HEAD = "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\ninputs: [{name: n, type: int}]\n"


def example(code: str, which: str) -> Path:
    alone = EXAMPLES / code / f"{which}.yaml"
    return alone if alone.exists() else EXAMPLES / code / which


@pytest.mark.parametrize("code", sorted(checks()))
def test_examples(code: str, run: Run) -> None:
    prove = ["--prove"] if code == "E115" else []
    bad = run("check", example(code, "bad"), "--format", "json", *prove)
    assert bad.code == 1
    assert {finding["code"] for finding in bad.json["findings"]} == {code}
    assert all(
        finding["line"] and finding["column"] and finding["message"] for finding in bad.json["findings"]
    )
    good = run("check", example(code, "good"), "--format", "json", *prove)
    assert (good.code, good.json["findings"]) == (0, [])


def test_every_check_has_examples_and_every_code_a_check() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(checks())
    sources = [path.read_text() for path in (TOP / "engine").rglob("*.py")]
    used = {code for source in sources for code in re.findall(r'"([EW]\d{3})"', source)}
    assert used == set(checks())


def test_the_shipped_policies_are_clean(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    ran = run("check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("checked, nothing found\n")


def test_all_faults_in_one_run(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        HEAD
        + "constants:\n  c: {value: 5}\n"
        + "rule:\n  variables:\n    - {name: v, expression: n + 1.0}\n"
        + "  match:\n    - {id: a, condition: n > 7 && m, output: n}\n"
        + "    - {id: a, condition: n, output: n +}\n"
    )
    found = run("check", file, "--format", "json").json["findings"]
    assert [(each["code"], each["line"], each["column"]) for each in found] == [
        ("W206", 7, 3),
        ("E104", 10, 31),
        ("E102", 12, 35),
        ("E108", 13, 12),
        ("E104", 13, 26),
        ("E101", 13, 39),
    ]


def test_as_text_it_has_a_caret_and_a_hint(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(HEAD + "rule:\n  match:\n    - output: m\n")
    ran = run("check", file)
    assert ran.out == (
        f"{file}:8:15: E102 undeclared reference to 'm'\n"
        "  |     - output: m\n"
        "  |               ^\n"
        "\n"
        "1 file checked: 1 error\n"
    )


@pytest.mark.parametrize(
    ("conditions", "unreachable"),
    [
        (["n > 5", "n > 6"], [2]),
        (["n > 5", "n >= 6"], [2]),
        (["n > 5", "n >= 5"], []),
        (["n > 5", "6 < n"], [2]),
        (["n > constants.c", "n > 9"], [2]),
        (["n > 9", "n > constants.c"], []),
        (["n > 5 || b", "b"], [2]),
        (["n > 5 || b", "b && n == 2"], [2]),
        (["b", "!b", "n > 5"], []),
        (["!(n > 5)", "n < 3"], [2]),
        (["n > 5 && n < 3"], [1]),
        (["n > 5 && n < 6"], [1]),
        (["x > 5.0 && x < 6.0"], []),
        (["x > 5.0", "x > 5.5"], [2]),
        (["b && !b"], [1]),
        (["false"], [1]),
        (["constants.c > 9"], []),
        (["n in [1, 2]", "n in [1, 2] && b"], [2]),
        (["n == 3", "n == 3 && n != 3"], [2]),
        (["n != 3", "n == 4"], [2]),
        (["b || !b", "n == 4"], [2, 3]),
        (["xs.exists(y, y > n)", "xs.exists(y, y > n)"], [2]),
        (["xs.exists(y, y > n)", "xs.exists(y, y > n + 1)"], []),
    ],
    ids=str,
)
def test_unreachable_matches(conditions: list[str], unreachable: list[int], run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    types = {"n": "int", "b": "bool", "x": "double", "xs": "list(int)"}
    inputs = f"inputs: [{', '.join(f'{{name: {name}, type: {type_}}}' for name, type_ in types.items())}]\n"
    matches = [f"    - {{id: m{i}, condition: '{c}', output: n}}\n" for i, c in enumerate(conditions, 1)]
    last = f"    - {{id: m{len(conditions) + 1}, output: n}}\n"
    text = HEAD.replace("inputs: [{name: n, type: int}]\n", inputs)
    text += "constants: {c: {value: 7, unit: count, description: Seven.}}\n"
    file.write_text(text + "rule:\n  match:\n" + "".join(matches) + last)
    found = run("check", file, "--format", "json").json["findings"]
    assert [
        int(re.findall(r"match 'm(\d)'", each["message"])[0]) for each in found if each["code"] == "W201"
    ] == unreachable


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        ("- output: n < 8  # engine: ignore W207", True),
        ("- output: n < 8  # engine: ignore W203, W207 (why not)", True),
        ("- output: n < 8  # engine: ignore W203", False),
        ("- output: n < 8  # W207", False),
        ("# engine: ignore W207\n    - output: n < 8", True),
        ("# engine: ignore W207\n    - output: >-\n        n\n        < 8", True),
        ("- {id: a, condition: n < 0, output: 'true'}  # engine: ignore W207\n    - output: n < 8", False),
    ],
)
def test_silencing(comment: str, silent: bool, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(HEAD + f"rule:\n  match:\n    {comment}\n")
    ran = run("check", file, "--format", "json")
    assert [finding["code"] for finding in ran.json["findings"]] == ([] if silent else ["W207"])


def test_errors_are_not_silenced(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(HEAD + "rule:\n  match:\n    - output: m  # engine: ignore E102\n")
    assert run("check", file).code == 1


def test_severity(run: Run) -> None:
    bad = example("W203", "bad")
    assert run("check", bad).code == 1
    assert run("check", bad, "--severity", "error").code == 0
    assert run("check", example("E102", "bad"), "--severity", "error").code == 1


def test_sarif(run: Run) -> None:
    log = run("check", example("W203", "bad"), example("E103", "bad"), "--format", "sarif").json
    assert log["version"] == "2.1.0"
    (found,) = log["runs"]
    rules = found["tool"]["driver"]["rules"]
    for result in found["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] > 1
    assert {result["level"] for result in found["results"]} == {"error", "warning"}


def test_github(run: Run) -> None:
    bad = example("E111", "bad")
    out = run("check", bad, "--format", "github").out
    assert out.startswith(f"::error file={bad},line=10,col=15,title=E111 outcome::outputs of one policy")
    assert len(out.splitlines()) == 1


def test_a_folder_with_other_files(run: Run, tmp_path: Path) -> None:
    shutil.copytree(TOP / "policies", tmp_path / "policies")
    (tmp_path / "policies" / "compose.yaml").write_text("services: {}\n")
    assert run("check", tmp_path / "policies").code == 0
    ran = run("check", tmp_path / "policies" / "compose.yaml")
    assert ran.code == 1
    assert "E002 the document has no kind" in ran.out
    (tmp_path / "policies" / "sharding" / "2.0.0.yaml").write_text("services: {}\n")
    assert run("check", tmp_path / "policies").code == 1


def test_nothing_to_check(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("check", tmp_path / "empty")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing to check" in ran.err
    assert "no such file or folder" in run("check", tmp_path / "none").err
    monkeypatch.chdir(tmp_path)
    assert "no folder ./policies here" in run("check").err


def test_the_lock(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(TOP / "policies", folder)
    (folder / "policies.lock").unlink()
    assert (
        run("policies", "lock", folder).out
        == f"{folder}/policies.lock: 15 versions, 15 of them new, 0 changed\n"
    )
    assert (folder / "policies.lock").read_text() == (TOP / "policies" / "policies.lock").read_text()
    policy = folder / "sharding" / "1.0.0.yaml"
    policy.write_text(policy.read_text().replace("100.0", "101.0"))
    for checked in (folder, policy):
        found = run("check", checked, "--format", "json").json["findings"]
        assert [(each["code"], Path(each["file"]), each["line"]) for each in found] == [("E110", policy, 5)]
    ran = run("policies", "lock", folder)
    assert ran.code == 2
    assert "has been changed since" in ran.err
    assert run("policies", "lock", folder, "--force").code == 0
    assert run("check", folder).code == 0
    policy.rename(policy.with_name("1.1.0.yaml"))
    gone = run("check", folder, "--format", "json").json["findings"]
    assert {each["code"] for each in gone} == {"E110", "E114"}
    (folder / "policies.lock").write_text(
        json.dumps({"apiVersion": "engine/v1", "kind": "Lock", "files": []})
    )
    assert run("check", folder).code == 1
    assert "files: expected a mapping" in run("check", folder).out
