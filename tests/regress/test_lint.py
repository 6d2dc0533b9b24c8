"""`engine check`: each check's bad example is found, its good one is clean; forms, silencing, paths."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from engine.catalogs.lock import read_lock
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


@pytest.mark.slow
def test_the_shipped_policies_are_clean(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    ran = run("check")
    ran.ok(quiet=True)
    assert ran.out.endswith("checked, no findings\n")


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
        "  hint: a name, or text? Text needs quotes of its own inside of YAML's: '\"m\"'\n"
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
    run("check", bad, "--severity", "error").ok()
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


@pytest.mark.slow
def test_a_folder_with_other_files(run: Run, tmp_path: Path) -> None:
    shutil.copytree(
        TOP / "policies" / "quantization", tmp_path / "policies" / "quantization", ignore=lambda *_: {"tests"}
    )
    (tmp_path / "policies" / "compose.yaml").write_text("services: {}\n")
    run("check", tmp_path / "policies").ok()
    ran = run("check", tmp_path / "policies" / "compose.yaml")
    assert ran.code == 1
    assert "E002 missing kind" in ran.out
    (tmp_path / "policies" / "quantization" / "2.0.0.yaml").write_text("services: {}\n")
    assert run("check", tmp_path / "policies").code == 1


def test_nothing_to_check(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("check", tmp_path / "empty")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing to check" in ran.err
    assert "no such file or folder" in run("check", tmp_path / "none").err
    monkeypatch.chdir(tmp_path)
    assert "no folder ./policies" in run("check").err


@pytest.mark.slow
def test_the_shipped_lock_is_current(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(TOP / "policies", folder)
    (folder / "policies.lock").unlink()
    count = len(read_lock(TOP / "policies").digests)
    assert (
        run("policies", "lock", folder).out
        == f"{folder}/policies.lock: {count} versions locked ({count} new, 0 changed)\n"
    )
    assert (folder / "policies.lock").read_text() == (TOP / "policies" / "policies.lock").read_text()


@pytest.mark.slow
def test_the_lock(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    policy = folder / "p" / "1.0.0.yaml"
    policy.parent.mkdir(parents=True)
    policy.write_text(HEAD + "rule:\n  match:\n    - {id: a, output: n}\n")
    run("policies", "lock", folder).ok()
    assert run("check", folder).ok().out.endswith("no findings\n")
    policy.write_text(policy.read_text().replace("output: n", "output: n + 1"))
    found = run("check", policy, "--format", "json").json["findings"]
    assert [(each["code"], Path(each["file"]), each["line"]) for each in found] == [("E110", policy, 4)]
    ran = run("policies", "lock", folder)
    assert ran.code == 2
    assert "has been changed since" in ran.err
    run("policies", "lock", folder, "--force").ok()
    policy.rename(policy.with_name("1.1.0.yaml"))
    gone = run("check", folder, "--format", "json").json["findings"]
    assert {each["code"] for each in gone} == {"E110", "E114"}
    (folder / "policies.lock").write_text(
        json.dumps({"apiVersion": "engine/v1", "kind": "Lock", "files": []})
    )
    damaged = run("check", folder)
    assert (damaged.code, "files: expected a mapping" in damaged.out) == (1, True)


NESTED = """apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs: [{name: n, type: int}]
constants:
  five: {value: 5, unit: count, description: Five.}
rule:
  match:
    - id: outer
      condition: n > constants.five
      rule:
        match:
          - {id: inner, condition: CONDITION, output: "1"}
    - {id: last, output: "0"}
"""


@pytest.mark.parametrize(
    ("condition", "line"),
    [("n > constants.five + 1", 13), ("n == 1", 13), ("n > constants.five", None), ("n >= 0", None)],
)
def test_conditional_nested_rule_without_a_last_match_is_reported(
    run: Run, tmp_path: Path, condition: str, line: int | None
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(NESTED.replace("CONDITION", condition))
    found = [
        finding
        for finding in run("check", file, "--format", "json").json["findings"]
        if finding["code"] == "W202"
    ]
    assert [finding["line"] for finding in found] == ([] if line is None else [line])
    if found:
        assert "nested rule" in found[0]["message"]


def test_matches_that_a_conditional_nested_rule_always_takes_are_unreachable(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    text = NESTED.replace("CONDITION", "n > constants.five + 1")
    file.write_text(
        text.replace(
            "    - {id: last",
            '    - {id: later, condition: n > constants.five, output: "2"}\n    - {id: last',
        )
    )
    found = run("check", file, "--format", "json").json["findings"]
    assert "match 'later' can never be chosen" in next(f["message"] for f in found if f["code"] == "W201")


def test_comparisons_of_two_expressions_that_cover_everything_are_total(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    head = HEAD.replace("[{name: n, type: int}]", "[{name: n, type: int}, {name: m, type: int}]")
    file.write_text(
        head + "rule:\n  match:\n"
        "    - {id: a, condition: n <= m, output: n}\n"
        "    - {id: b, condition: m < n, output: m}\n"
    )
    run("check", file).ok()
    file.write_text(file.read_text().replace("m < n", "n == m"))
    codes = [each["code"] for each in run("check", file, "--format", "json").json["findings"]]
    assert codes == ["W202"]


def test_numbers_that_an_output_states_and_cells_of_a_table_are_no_magic_numbers(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    rows = "".join(
        f"    - {{id: r{i}, condition: n > {i} && n <= {i + 10}, "
        f'output: \'{{"price": {i}.5, "days": [3, 5]}}\'}}\n'
        for i in (2, 12, 22)
    )
    last = (
        '    - {id: last, output: \'n > 2 ? {"price": 9.5, "days": [7]} : {"price": -2.5, "days": [7]}\'}\n'
    )
    file.write_text(f"{HEAD}rule:\n  match:\n{rows}{last}")
    found = run("check", file, "--format", "json").json["findings"]
    assert [(each["code"], each["message"]) for each in found] == [("W207", "2 should be a constant")]


@pytest.mark.slow
def test_check_of_two_thousand_matches_takes_seconds(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    rows = "".join(
        f"    - {{id: r{i}, condition: n == {i} || n == {-i - 1} && n < 9, output: '{i}'}}\n"
        for i in range(2_000)
    )
    file.write_text(f"{HEAD}rule:\n  match:\n{rows}    - {{id: last, output: '0'}}\n")
    start = time.process_time()
    run("check", file).ok()
    assert time.process_time() - start < 10  # 3 s on a machine of its own


def settings(folder: Path, text: str) -> None:
    (folder / "engine.yaml").write_text(f"apiVersion: engine/v1\nkind: Settings\nchecks:\n{text}")


def test_settings_of_a_folder_change_severities(run: Run, tmp_path: Path) -> None:
    for name in ("drafts", "rates"):
        file = tmp_path / name / "p" / "1.0.0.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(
            HEAD.replace("name: p", f"name: {'p'}")
            + "constants: {c: {value: 5}}\nrule: {match: [{id: a, output: n > 7}]}\n"
        )

    def found() -> list[tuple[str, str, str]]:
        findings = run("check", tmp_path, "--format", "json").json["findings"]
        return [
            (Path(each["file"]).relative_to(tmp_path).parts[0], each["code"], each["severity"])
            for each in findings
            if each["code"] != "E109"
        ]

    warnings = [(code, "warning") for code in ("W203", "W206", "W207")]
    assert found() == [(name, *each) for name in ("drafts", "rates") for each in warnings]
    settings(
        tmp_path,
        "  severity: {W203: error, W206: ignore}\n"
        "  files: [{paths: ['drafts/**'], severity: {W203: ignore, W207: ignore}}]\n",
    )
    assert found() == [("rates", "W203", "error"), ("rates", "W207", "warning")]
    settings(tmp_path / "rates", "  severity: {W207: ignore}\n")
    assert found() == [("rates", "W203", "warning"), ("rates", "W206", "warning")]


def test_settings_with_an_unknown_check_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(HEAD + "rule: {match: [{id: a, output: n > 7}]}\n")
    settings(tmp_path, "  severity: {W999: error}\n")
    ran = run("check", tmp_path)
    assert ran.code == 2
    assert "engine.yaml:4:14: unknown check W999" in ran.err
    settings(tmp_path, "  severity: {E101: ignore}\n")
    ran = run("check", tmp_path)
    assert ran.code == 2
    assert "engine.yaml:4:" in ran.err


def test_sarif_has_relative_encoded_paths_and_pages(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my policies"
    folder.mkdir()
    (folder / "p.yaml").write_text(HEAD + "rule: {match: [{id: a, output: n > 7}]}\n")
    monkeypatch.chdir(tmp_path)
    for path in (folder, Path("my policies")):
        (log,) = run("check", path, "--format", "sarif").json["runs"]
        (result,) = log["results"]
        location = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert location == {"uri": "my%20policies/p.yaml", "uriBaseId": "%SRCROOT%"}
        (rule,) = log["tool"]["driver"]["rules"]
        assert rule["helpUri"].endswith("#docs/checks/W207.md")
        assert rule["helpUri"].startswith("pkg:pypi/shard-policy-engine@")
        assert "should be a constant" in rule["help"]["text"]
    monkeypatch.chdir(folder.parent.parent)
    other = tmp_path.parent / "elsewhere"
    other.mkdir(exist_ok=True)
    monkeypatch.chdir(other)
    (log,) = run("check", folder, "--format", "sarif").json["runs"]
    uri = log["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == f"file://{tmp_path}/my%20policies/p.yaml"


def test_suite_of_a_missing_policy_or_input_is_reported_without_a_run(run: Run, tmp_path: Path) -> None:
    suite = tmp_path / "p_test.yaml"
    head = "apiVersion: engine/v1\nkind: Suite\n"
    suite.write_text(
        f"{head}policy: nothing@7\ntests: [{{name: t, inputs: {{n: 1}}, expect: {{match: a}}}}]\n"
    )
    (found,) = run("check", suite, "--format", "json").json["findings"]
    assert (found["code"], found["line"]) == ("E116", 3)
    assert "unknown policy 'nothing'" in found["message"]
    (tmp_path / "p.yaml").write_text(HEAD + "rule: {match: [{id: a, output: n}]}\n")
    suite.write_text(
        f"{head}policy: p.yaml\ntests:\n  - {{name: t, inputs: {{m: 1}}, expect: {{match: a}}}}\n"
        "  - {name: u, columns: [n, mach], cases: [[1, a]]}\n"
    )
    found = run("check", suite, "--format", "json").json["findings"]
    assert [(each["code"], each["line"]) for each in found] == [("E116", 5), ("E116", 6), ("E116", 6)]
