"""Overlays and --set: a policy with a few changes is a policy as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from tests.conftest import TOP, Run

BASE = """\
apiVersion: engine/v1
kind: Policy
name: rate
version: 1.0.0
inputs:
  - {name: weight, type: double, description: Kilograms.}
  - {name: region, type: string, default: eu, description: Where it goes.}
constants:
  light: {value: 2.0, unit: kg, description: Up to this weight a letter.}
  free: {value: [eu], description: Regions without customs.}
rule:
  variables:
    - name: heavy
      expression: weight > constants.light
  match:
    - id: customs
      condition: '!(region in constants.free)'
      output: '"customs"'
    - id: parcel
      condition: variables.heavy
      output: '"parcel"'
    - id: letter
      output: '"letter"'
"""

HEAD = "apiVersion: engine/v1\nkind: Overlay\nname: {name}\nversion: 1.0.0\nbase: {base}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "rate", BASE)
    return tmp_path


def put(folder: Path, name: str, text: str) -> Path:
    file = folder / name / "1.0.0.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def overlay(folder: Path, text: str, *, name: str = "mine", base: str = "rate@1") -> Path:
    return put(folder, name, HEAD.format(name=name, base=base) + text)


def decide(folder: Path, name: str, weight: float, **inputs: object) -> str:
    policy = engine.load_policy(name, folder)
    output = policy.decide(engine.Request({"weight": weight, **inputs})).output
    assert isinstance(output, str)
    return output


def test_an_overlay_changes_a_constant(folder: Path) -> None:
    overlay(folder, "constants: {light: 5, free: [eu, uk]}\n")
    assert decide(folder, "rate", 3.0) == "parcel"
    assert decide(folder, "mine", 3.0) == "letter"
    assert decide(folder, "mine", 3.0, region="uk") == "letter"
    assert decide(folder, "mine", 3.0, region="us") == "customs"


def test_an_overlay_has_a_name_a_version_and_a_digest(folder: Path) -> None:
    file = overlay(folder, "constants: {light: 5}\n")
    base, made = engine.load_policy("rate", folder), engine.load_policy("mine", folder)
    assert (made.name, made.version) == ("mine", "1.0.0")
    first = made.digest
    assert first != base.digest
    file.write_text(file.read_text().replace("5", "6"))
    assert engine.load_policy("mine", folder).digest not in (first, base.digest)
    file.write_text(file.read_text().replace("6", "5"))
    assert engine.load_policy("mine", folder).digest == first
    put(folder, "rate", BASE + "# changed\n")
    assert engine.load_policy("mine", folder).digest != first


def test_matches_are_disabled_replaced_and_added(folder: Path) -> None:
    overlay(
        folder,
        """\
add_constants:
  huge: {value: 30.0, unit: kg, description: From this weight on a pallet.}
matches:
  - disable: customs
  - before: parcel
    id: pallet
    condition: weight > constants.huge
    output: '"pallet"'
  - after: pallet
    id: nothing
    condition: weight == 0.0
    output: '"nothing"'
  - {replace: letter, output: '"post"'}
variables:
  - {replace: heavy, expression: weight >= constants.light}
inputs:
  region: {default: us}
""",
    )
    answers = {0.0: "nothing", 1.0: "post", 2.0: "parcel", 31.0: "pallet"}
    assert {weight: decide(folder, "mine", weight) for weight in answers} == answers
    assert decide(folder, "rate", 31.0) == "parcel"


def test_overlays_stack_and_the_outermost_wins(folder: Path) -> None:
    overlay(folder, "constants: {light: 5}\nmatches: [{disable: customs}]\n", name="inner")
    overlay(folder, "constants: {light: 7}\n", name="outer", base="inner")
    assert decide(folder, "outer", 6.0, region="us") == "letter"
    assert decide(folder, "inner", 6.0, region="us") == "parcel"


def test_set_comes_last(folder: Path, run: Run) -> None:
    overlay(folder, "constants: {light: 5}\n")
    (folder / "in.json").write_text('{"weight": 8.0}')
    asked = (
        "eval",
        "--policies",
        folder,
        "--policy",
        "mine",
        "--input",
        folder / "in.json",
        "--format",
        "json",
    )
    assert run(*asked).json["output"] == "parcel"
    found = run(*asked, "--set", "light=9", "--set", "free=[eu]").json
    assert found["output"] == "letter"
    assert found["policy"]["version"] == "1.0.0+set"
    assert found["policy"]["digest"] != engine.load_policy("mine", folder).digest
    assert run(*asked).json["output"] == "parcel"


def test_load_policy_takes_constants(folder: Path) -> None:
    policy = engine.load_policy("rate", folder, constants={"light": 9})
    assert policy.decide(engine.Request({"weight": 8.0})).output == "letter"
    assert policy.decide(engine.Request({"weight": 8.0}), explain=True).output == "letter"
    assert policy.decide(engine.Request({"weight": 8.0}), runtime="cel-python").output == "letter"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ligth=3", "rate@1.0.0 has no constant 'ligth'\n  hint: did you mean 'light'?"),
        ("light=heavy", "constant 'light' is a double, found 'heavy'\n  hint: its value is 2.0"),
        ("light=true", "constant 'light' is a double, found true"),
        ("free=eu", "constant 'free' is a list of strings, found 'eu'\n  hint: its value is [\"eu\"]"),
        ("free=[1]", "constant 'free' is a list of strings, found [1]"),
        ("light", "expected NAME=VALUE, found 'light'"),
        ("light=", "expected a number, text, true or false, a list or a map"),
        ("light={a: 1}", "constant 'light' is a double, found {\"a\": 1}\n  hint: its value is 2.0"),
        ("light=[", "not valid YAML"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(folder: Path, run: Run, setting: str, message: str) -> None:
    (folder / "in.json").write_text('{"weight": 8.0}')
    ran = run(
        *("eval", "--policies", folder, "--policy", "rate"),
        *("--input", folder / "in.json", "--set", setting),
    )
    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("constants: {ligth: 3.0}", "6:13", "rate@1.0.0 has no constant 'ligth'"),
        ("constants: {light: abc}", "6:20", "constant 'light' is a double, found 'abc'"),
        ("add_constants: {light: {value: 1.0}}", "6:17", "rate@1.0.0 has a constant 'light'"),
        ("inputs: {wait: {default: 1.0}}", "6:10", "rate@1.0.0 has no input 'wait'"),
        ("inputs: {weight: {default: much}}", "6:28", "default: expected a number, found 'much'"),
        ("matches: [{disable: letters}]", "6:21", "rate@1.0.0 has no match 'letters'"),
        ("matches: [{disable: letter, id: x}]", "6:29", "a match that is disabled has no id"),
        ("matches: [{id: x, output: '\"x\"'}]", "6:11", "a change of a match has one of disable, replace"),
        ("matches: [{disable: letter, after: parcel}]", "6:11", "found disable and after"),
        ("matches: [{after: parcel, output: '\"x\"'}]", "6:11", "a match that is added needs an id"),
        ("variables: [{replace: light, expression: 'true'}]", "6:23", "rate@1.0.0 has no variable 'light'"),
        ("variables: [{add: heavy, expression: 'true'}]", "6:19", "rate@1.0.0 has a variable 'heavy'"),
        ("variables: [{expression: 'true'}]", "6:13", "has one of replace and add, found none"),
        ("requirements: [{disable: memory}]", "6:26", "rate@1.0.0 has no requirement 'memory'"),
        ("scores: [{disable: speed}]", "6:20", "rate@1.0.0 has no score 'speed'"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_where_it_is(
    folder: Path, run: Run, text: str, place: str, message: str
) -> None:
    file = overlay(folder, text + "\n")
    ran = run("check", file)
    assert ran.code == 1
    assert f"{file}:{place}: E1" in ran.out
    assert message in ran.out


def test_an_error_in_an_added_expression_is_in_the_overlay(folder: Path, run: Run) -> None:
    file = overlay(folder, "matches:\n  - replace: parcel\n    condition: variables.heav\n")
    assert f"{file}:8:26: E102 undeclared variable 'heav'" in run("check", file).out


def test_a_constant_that_breaks_the_base_is_reported_in_the_base(folder: Path) -> None:
    overlay(folder, "variables: [{replace: heavy, expression: '1'}]\n")
    with pytest.raises(engine.PolicyError) as caught:
        engine.load_policy("mine", folder)
    assert caught.value.place is not None
    assert caught.value.place.file == str(folder / "rate" / "1.0.0.yaml")
    assert caught.value.place.line == 20


@pytest.mark.parametrize(
    ("base", "place", "message"),
    [
        ("rates@1", "mine", "unknown policy 'rates'"),
        ("rate@2", "mine", "policy 'rate' has no version 2"),
        ("mine", "mine", "overlays are based on each other: mine@1.0.0 → mine@1.0.0"),
        ("other", "other", "overlays are based on each other: mine@1.0.0 → other@1.0.0 → mine@1.0.0"),
    ],
)
def test_a_base_that_cannot_be_found_is_refused(
    folder: Path, run: Run, base: str, place: str, message: str
) -> None:
    overlay(folder, "", name="other", base="mine")
    file = overlay(folder, "", base=base)
    ran = run("check", file)
    assert f"{file.parent.parent}/{place}/1.0.0.yaml:5:7: E121 {message}" in ran.out


def test_warnings_of_the_base_are_reported_with_the_base_only(folder: Path, run: Run) -> None:
    put(
        folder,
        "rate",
        BASE.replace("constants:\n", "constants:\n  idle: {value: 1, unit: kg, description: x}\n"),
    )
    file = overlay(folder, "constants: {light: 5}\n")
    assert run("check", file).ok().out == "1 file checked, no findings\n"
    assert run("check", folder).out.count("W203") == 1


def test_an_overlay_is_locked(folder: Path, run: Run) -> None:
    file = overlay(folder, "constants: {light: 5}\n")
    assert run("policies", "lock", folder).ok().out.endswith("2 versions locked (2 new, 0 changed)\n")
    file.write_text(file.read_text().replace("5", "6"))
    assert "E110" in run("check", folder).out


def test_an_overlay_is_listed_and_shown(folder: Path, run: Run) -> None:
    overlay(folder, "constants: {light: 5}\n")
    rows = run("policies", "--policies", folder, "--format", "json").json
    assert {"mine", "rate"} <= {row["name"] for row in rows}
    shown = run("policies", "show", "mine", "--policies", folder).ok().out
    assert "kind: Overlay" in shown
    assert "kind: Policy" in shown
    resolved = run("policies", "show", "mine", "--policies", folder, "--format", "json").json
    assert resolved["constants"]["light"] == {
        "value": 5.0,
        "unit": "kg",
        "description": "Up to this weight a letter.",
    }


SUITE = """\
apiVersion: engine/v1
kind: Suite
policy: mine@1
tests:
  - name: weights
    columns: [name, weight, region, match, output]
    cases:
      - [light, 5.0, eu, letter, letter]
      - [lighter, 4.9, eu, letter, letter]
      - [heavy, 5.5, eu, parcel, parcel]
      - [far, 1.0, us, customs, customs]
"""


def test_an_overlay_has_suites_coverage_and_mutants(folder: Path, run: Run) -> None:
    file = overlay(folder, "constants: {light: 5}\n")
    (folder / "mine" / "tests").mkdir()
    (folder / "mine" / "tests" / "mine_test.yaml").write_text(SUITE)
    ran = run("test", folder, "--coverage", "--mutate", "--format", "json")
    coverage = ran.json["coverage"]
    assert coverage["policy"] == "mine@1.0.0"
    assert coverage["percent"] == 100.0
    assert not any("light" in each for each in ran.json["mutation"]["survivors"])
    html = folder / "coverage.html"
    run("test", folder, "--html", html).ok()
    assert str(file) in html.read_text()
    assert str(folder / "rate" / "1.0.0.yaml") in html.read_text()


def test_mutants_of_an_overlay_show_the_line_that_they_change(folder: Path) -> None:
    from engine.regress.mutants import mutants

    overlay(folder, "constants: {light: 5}\nmatches:\n  - replace: parcel\n    condition: weight > 6.0\n")
    found = {mutant.name: mutant for mutant in mutants(engine.load_policy("mine", folder).compiled)}
    by_constant = found["constants.light: 5.0 → 5.1"]
    assert by_constant.diff[-1] == "+constants: {light: 5.1}"
    assert by_constant.place is not None
    assert by_constant.place.file == str(folder / "mine" / "1.0.0.yaml")
    edits = [mutant.diff[-1] for mutant in found.values() if "parcel: condition" in mutant.name]
    assert "+    condition: weight >= 6.0" in edits


def test_tests_diff_batch_and_bench_take_settings(folder: Path, run: Run) -> None:
    overlay(folder, "constants: {light: 5}\n")
    (folder / "mine" / "tests").mkdir()
    (folder / "mine" / "tests" / "mine_test.yaml").write_text(SUITE)
    assert run("test", folder).code == 0
    assert run("test", folder, "--set", "light=5.5").code == 1
    lines = folder / "in.jsonl"
    lines.write_text('{"weight": 3.0}\n{"weight": 9.0}\n')
    ran = run(
        "diff",
        "rate",
        "rate",
        "--policies",
        folder,
        "--inputs",
        lines,
        "--set",
        "light=4",
        "--format",
        "json",
    )
    assert ran.code == 1
    assert (ran.json["total"], ran.json["changed"]) == (2, 1)
    found = run(
        "bench", "rate", "--policies", folder, "--inputs", lines, "--set", "light=4", "--format", "json"
    )
    assert found.json["policy"] == "rate@1.0.0+set"


@pytest.mark.slow
def test_batch_and_explain_take_settings(run: Run, tmp_path: Path) -> None:
    asked = {"inventory": "8xH100-SXM", "model": {"params": "70B"}, "quantization": "bf16"}
    request = tmp_path / "request.json"
    asked["inventory"] = {"devices": [{"kind": "CudaGpu", "memory": "80GiB", "count": 8}]}
    request.write_text(json.dumps(asked) + "\n")
    pinned = ("--policy", "sharding@2.0.0", "--set", "default_objective=economy")
    (line,) = run("batch", request, *pinned).lines
    (plain,) = run("batch", request, "--policy", "sharding@2.0.0").lines
    assert line["policy"]["version"] == "2.0.0+set"
    assert line["plan"]["strategy"] != plain["plan"]["strategy"]
    parallel = run("batch", request, *pinned, "--jobs", "2").ok().lines
    assert parallel == [line]
    found = run("explain", "--request", request, *pinned, "--format", "json").json
    assert found["decision"]["policy"]["version"] == "2.0.0+set"


def test_an_overlay_of_sharding_changes_requirements_and_scores(tmp_path: Path) -> None:
    overlay(
        tmp_path,
        """\
requirements:
  - disable: fabric
  - before: memory
    id: no-pipelines
    condition: candidate.pipeline_parallel == 1
    explanation: '"no pipelines here"'
  - {replace: compiled-degree, match: search, condition: 'true'}
scores:
  - before: accelerated
    id: few-devices
    score: -candidate.devices
  - {disable: speed}
""",
        base="sharding@2.0.0",
    )
    inventory = {"devices": [{"kind": "CudaGpu", "memory": "80GiB", "count": 8}]}
    request = engine.Request.from_dict(
        {"inventory": inventory, "model": {"params": "70B"}, "quantization": "bf16"}
    )
    decision = engine.load_policy("mine", tmp_path).decide(request, explain=True)
    assert decision.plan is not None
    assert decision.plan.strategy.tensor_parallel == 2
    assert decision.plan.strategy.pipeline_parallel == 1
    assert (
        decision.to_dict()["plan"] == engine.load_policy("mine", tmp_path).decide(request).to_dict()["plan"]
    )


def test_the_overlay_of_the_documentation_decides_as_the_copied_policy(tmp_path: Path) -> None:
    text = (TOP / "policies" / "sharding" / "1.0.0.yaml").read_text()
    number = "tp_min_interconnect_bw: {value: 100.0"
    put(
        tmp_path,
        "copied",
        text.replace(number, number.replace("100", "150")).replace("name: sharding", "name: copied"),
    )
    overlay(tmp_path, "constants: {tp_min_interconnect_bw: 150}\n", base="sharding@1.0.0")
    policies = [engine.load_policy(name, tmp_path) for name in ("copied", "mine")]
    for line in (TOP / "examples" / "history.jsonl").read_text().splitlines():
        request = engine.Request.from_dict(json.loads(line))
        first, second = ({**policy.decide(request).to_dict(), "policy": None} for policy in policies)
        assert first == second


def test_a_constant_of_the_base_without_a_value_is_reported_there(folder: Path, run: Run) -> None:
    base = put(folder, "rate", BASE.replace("{value: 2.0, unit: kg,", "{unit: kg,"))
    overlay(folder, "constants: {light: 5}\n")
    assert f"{base}:9:10: E002 constants.light has no field 'value'" in run("check", folder).out
