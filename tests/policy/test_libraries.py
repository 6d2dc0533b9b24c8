"""Libraries: variables and constants under an alias, as fast and as checked as the policy's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from tests.conftest import TOP, Run

UNITS = """\
apiVersion: engine/v1
kind: Library
name: units
version: 1.0.0
inputs: [{name: grams, type: double, unit: g, description: A weight.}]
constants: {per_kg: {value: 1000.0, unit: g, description: Grams per kilogram.}}
variables:
  - {name: kg, expression: grams / constants.per_kg, type: double, unit: kg}
"""

PHYSICS = """\
apiVersion: engine/v1
kind: Library
name: physics
version: 1.0.0
inputs:
  - {name: grams, type: double, description: A weight.}
  - {name: speed, type: double, description: Meters per second.}
libraries: [units@1]
constants:
  half: {value: 0.5, unit: ratio, description: Factor of kinetic energy.}
variables:
  - {name: energy, expression: constants.half * units.kg * variables.square, unit: J}
  - {name: square, expression: speed * speed}
  - {name: unused, expression: speed / 0.0}
"""

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: shipping
version: 1.0.0
inputs:
  - {name: grams, type: double, description: A weight.}
  - {name: kmh, type: double, description: Kilometers per hour.}
libraries:
  - {name: physics@1, as: p, with: {speed: variables.ms}}
constants:
  kmh_per_ms: {value: 3.6, unit: ratio, description: One meter per second in kilometers per hour.}
  most: {value: 10.0, unit: J, description: Most that is slow.}
rule:
  variables:
    - {name: ms, expression: kmh / constants.kmh_per_ms}
  match:
    - {id: slow, condition: p.energy < constants.most, output: p.energy}
    - {id: fast, output: -p.energy}
"""


def put(folder: Path, kind: str, name: str, text: str) -> Path:
    file = folder / kind / name / "1.0.0.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "library", "units", UNITS)
    put(tmp_path, "library", "physics", PHYSICS)
    put(tmp_path, "", "shipping", POLICY)
    return tmp_path


SLOW = engine.Request({"grams": 500.0, "kmh": 7.2})
"""Half a kilogram at 2 m/s: 1 J."""


@pytest.mark.parametrize("how", [{}, {"explain": True}, {"runtime": "cel-python"}])
def test_a_policy_reads_the_variables_of_a_library(folder: Path, how: dict[str, object]) -> None:
    decision = engine.load_policy("shipping", folder).decide(SLOW, **how)  # type: ignore[arg-type]
    assert (decision.match_id, decision.output) == ("slow", pytest.approx(1.0))


def test_a_library_is_part_of_one_function_and_what_is_unused_is_left_out(folder: Path, run: Run) -> None:
    code = run("policies", "show", "shipping", "--policies", folder, "--python").ok().out
    assert code.count("def ") == 1
    assert "square" in code
    assert "unused" not in code


def test_the_digest_covers_libraries_and_the_cache_notices_a_change(folder: Path) -> None:
    first = engine.load_policy("shipping", folder)
    put(folder, "library", "units", UNITS.replace("1000.0", "100.0"))
    second = engine.load_policy("shipping", folder)
    assert second.digest != first.digest
    assert second.decide(SLOW).output == pytest.approx(-10.0)
    put(folder, "library", "units", UNITS)
    assert engine.load_policy("shipping", folder).digest == first.digest
    assert engine.load_policy("shipping", folder).decide(SLOW).output == pytest.approx(1.0)


def test_an_overlay_and_a_setting_change_constants_of_libraries(folder: Path) -> None:
    head = "apiVersion: engine/v1\nkind: Overlay\nname: mine\nversion: 1.0.0\nbase: shipping@1\n"
    file = put(folder, "", "mine", head + "constants: {p.half: 5, p.units.per_kg: 500.0}\n")
    assert engine.load_policy("mine", folder).decide(SLOW).output == pytest.approx(-20.0)
    one = engine.load_policy("mine", folder, constants={"p.half": 0.5})
    assert one.decide(SLOW).output == pytest.approx(2.0)
    file.write_text(head + "constants: {p.haf: 5}\n")
    with pytest.raises(engine.PolicyError, match="no library has a constant") as caught:
        engine.load_policy("mine", folder)
    assert str(caught.value.place) == f"{file}:6:13"
    assert caught.value.hint == "did you mean 'p.half'?"
    file.write_text(head + "constants: {p.half: much}\n")
    with pytest.raises(engine.PolicyError, match=r"constant 'p.half' is a double, found 'much'"):
        engine.load_policy("mine", folder)


def test_an_overlay_uses_another_version_of_a_library_or_one_more(folder: Path) -> None:
    newer = folder / "library" / "physics" / "2.0.0.yaml"
    newer.write_text(PHYSICS.replace("version: 1.0.0", "version: 2.0.0").replace("0.5", "1.0"))
    head = "apiVersion: engine/v1\nkind: Overlay\nname: mine\nversion: 1.0.0\nbase: shipping@1\n"
    file = put(folder, "", "mine", head + "libraries: [physics@2]\n")
    assert engine.load_policy("mine", folder).decide(SLOW).output == pytest.approx(2.0)
    file.write_text(head + "libraries: [{name: physics@2, with: {speed: '3.0'}}]\n")
    assert engine.load_policy("mine", folder).decide(SLOW).output == pytest.approx(4.5)
    file.write_text(head + "libraries: [units@1]\nmatches: [{replace: slow, output: units.kg}]\n")
    assert engine.load_policy("mine", folder).decide(SLOW).output == pytest.approx(0.5)


@pytest.mark.slow
def test_an_assertion_reads_a_library(folder: Path, run: Run) -> None:
    suite = folder / "shipping" / "tests" / "shipping_test.yaml"
    suite.parent.mkdir()
    text = SUITE.format(policy="shipping@1", speed="kmh", expect="match")
    asserted = "assert:\n  - {name: slow, holds: 'match != \"slow\" || p.energy < 10.0'}\n"
    suite.write_text(text + "      - [slow, 500.0, 7.2, slow]\n" + asserted)
    ran = run("check", folder, "--prove")
    assert "undeclared" not in ran.out + ran.err
    assert "slow" in ran.out
    assert "E115" not in ran.out


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "where", "line", "message"),
    [
        ("", "shipping", "physics@1", "phyiscs@1", "shipping", 9, "E120 unknown library 'phyiscs'"),
        ("", "shipping", "physics@1", "physics@2", "shipping", 9, "E120 library 'physics' has no version 2"),
        (
            "",
            "shipping",
            "as: p,",
            "as: kmh,",
            "shipping",
            9,
            "E108 'kmh' means something else in expressions",
        ),
        ("", "shipping", "as: p,", "as: variables,", "shipping", 9, "E108 'variables' means something else"),
        ("", "shipping", "as: p,", "as: Device,", "shipping", 9, "E108 'Device' means something else"),
        (
            "",
            "shipping",
            ", with: {speed: variables.ms}",
            "",
            "shipping",
            9,
            "needs the input 'speed' of type 'double'",
        ),
        (
            "",
            "shipping",
            "speed: variables.ms",
            "speed: variables.ms, mass: grams",
            "shipping",
            9,
            "E120 library physics@1.0.0 has no input 'mass'",
        ),
        (
            "",
            "shipping",
            "speed: variables.ms",
            "speed: '2'",
            "shipping",
            9,
            "E104 speed: expected 'double', the expression gives 'int'",
        ),
        (
            "",
            "shipping",
            "speed: variables.ms",
            "speed: variables.mss",
            "shipping",
            9,
            "E102 undeclared variable 'mss'",
        ),
        (
            "",
            "shipping",
            "speed: variables.ms",
            "speed: p.energy",
            "shipping",
            9,
            "E107 variables depend on each other",
        ),
        (
            "",
            "shipping",
            "output: -p.energy",
            "output: -p.enrgy",
            "shipping",
            18,
            "E102 library 'p' has no variable 'enrgy'",
        ),
        (
            "",
            "shipping",
            "name: grams, type: double",
            "name: grams, type: int",
            "shipping",
            9,
            "needs the input 'grams' of type 'double', found 'int'",
        ),
        (
            "library",
            "units",
            "grams / constants",
            "gram / constants",
            "library/units",
            8,
            "E102 undeclared reference to 'gram'",
        ),
        (
            "library",
            "units",
            "type: double, unit: kg",
            "type: int, unit: kg",
            "library/units",
            8,
            "E104 expression: expected 'int', the expression gives 'double'",
        ),
        ("library", "units", "type: double, unit: kg", "type: doubel", "library/units", 8, "E102"),
        (
            "library",
            "units",
            "variables:",
            "libraries: [physics@1]\nvariables:",
            "library/units",
            7,
            "E120 libraries use each other: physics@1.0.0 → units@1.0.0",
        ),
        (
            "library",
            "units",
            "variables:",
            "catalogs: [nothing@1]\nvariables:",
            "library/units",
            7,
            "E112 unknown catalog 'nothing'",
        ),
        (
            "library",
            "physics",
            "name: square",
            "name: speed",
            "library/physics",
            6,
            "E108 'speed' is an input and a variable",
        ),
        (
            "library",
            "physics",
            "speed * speed",
            "variables.energy",
            "library/physics",
            12,
            "E107 variables depend on each other: energy → square → energy",
        ),
        (
            "library",
            "physics",
            "speed * speed",
            "kmh",
            "library/physics",
            13,
            "E102 undeclared reference to 'kmh'",
        ),
    ],
)
def test_a_fault_is_reported_where_it_is(
    folder: Path,
    run: Run,
    kind: str,
    name: str,
    old: str,
    new: str,
    where: str,
    line: int,
    message: str,
) -> None:
    file = folder / kind / name / "1.0.0.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    ran = run("check", folder / "shipping")
    assert ran.code == 1
    assert f"{folder}/{where}/1.0.0.yaml:{line}:" in ran.out
    assert message in ran.out


def test_two_libraries_of_one_alias_are_ambiguous(folder: Path, run: Run) -> None:
    file = folder / "shipping" / "1.0.0.yaml"
    file.write_text(POLICY.replace("libraries:\n", "libraries:\n  - {name: units@1, as: p}\n"))
    assert f"{file}:10:5: E108 two libraries are called 'p'" in run("check", file).out
    file.write_text(POLICY.replace("libraries:\n", "libraries:\n  - units@1\n"))
    assert "no findings" in run("check", file).out


def test_libraries_read_the_catalogs_of_the_policy(folder: Path, run: Run) -> None:
    put(folder, "library", "units", UNITS.replace("variables:", "catalogs: [quantization@1]\nvariables:"))
    put(folder, "", "shipping", POLICY.replace("libraries:", "catalogs: [quantization@2]\nlibraries:"))
    ran = run("check", folder / "shipping")
    message = "library units@1.0.0 reads quantization@1.0.0, the policy reads quantization@2.0.0"
    assert f"E120 {message}" in ran.out
    text = UNITS.replace("variables:", "catalogs: [quantization@2]\nvariables:")
    bits = "double(catalogs.quantization['bf16'].group)"
    put(
        folder,
        "library",
        "units",
        text.replace("grams / constants.per_kg", f'"{bits} * grams / constants.per_kg"'),
    )
    put(folder, "", "shipping", POLICY)
    assert engine.load_policy("shipping", folder).decide(SLOW).output == pytest.approx(1.0)


def test_an_error_of_evaluation_is_in_the_librarys_line(folder: Path) -> None:
    put(folder, "library", "physics", PHYSICS.replace("speed * speed", "'[speed][int(speed)]'"))
    with pytest.raises(engine.EvaluationError) as caught:
        engine.load_policy("shipping", folder).decide(SLOW)
    assert str(caught.value.place).startswith(f"{folder}/library/physics/1.0.0.yaml:13:")


def test_the_trace_names_the_librarys_file_and_line(folder: Path, run: Run) -> None:
    decision = engine.load_policy("shipping", folder).decide(SLOW, explain=True).to_dict()
    places = {each["name"]: each.get("place") for each in decision["trace"]["variables"]}
    assert places == {
        "ms": None,
        "p.speed": f"{folder}/shipping/1.0.0.yaml:9",
        "p.units.kg": f"{folder}/library/units/1.0.0.yaml:8",
        "p.square": f"{folder}/library/physics/1.0.0.yaml:13",
        "p.energy": f"{folder}/library/physics/1.0.0.yaml:12",
    }


SUITE = """\
apiVersion: engine/v1
kind: Suite
policy: {policy}
tests:
  - name: energies
    columns: [name, grams, {speed}, {expect}]
    cases:
"""


def test_a_library_has_a_suite_of_its_own(folder: Path, run: Run) -> None:
    put(folder, "library", "physics", PHYSICS.replace("  - {name: unused, expression: speed / 0.0}\n", ""))
    suite = folder / "library" / "physics" / "tests" / "physics_test.yaml"
    suite.parent.mkdir()
    text = SUITE.format(policy="library/physics@1", speed="speed", expect="output")
    suite.write_text(text + "      - [slow, 500.0, 2.0, {energy: 1.0, square: 4.0}]\n")
    assert run("test", folder, "--coverage").ok().out.startswith("coverage of physics@1.0.0: 100.0 %")
    suite.write_text(text + "      - [slow, 500.0, 2.0, {energy: 1.5, square: 4.0}]\n")
    assert run("test", folder).code == 1


def test_coverage_and_mutants_name_the_librarys_lines(folder: Path, run: Run) -> None:
    conditional = "speed > 100.0 ? 0.0 : speed * speed"
    put(folder, "library", "physics", PHYSICS.replace("speed * speed", f"'{conditional}'"))
    suite = folder / "shipping" / "tests" / "shipping_test.yaml"
    suite.parent.mkdir()
    text = SUITE.format(policy="shipping@1", speed="kmh", expect="match")
    suite.write_text(text + "      - [slow, 500.0, 7.2, slow]\n      - [fast, 500.0, 72.0, fast]\n")
    ran = run("test", folder, "--coverage").ok(0)
    assert f"{folder}/library/physics/1.0.0.yaml:13: not covered" in ran.out
    assert "variables.p.square: speed > 100.0 is true" in ran.out
    found = run("test", folder, "--mutate", "--format", "json").json["mutation"]
    places = {(each["file"], each["line"]) for each in found["survivors"]}
    assert (f"{folder}/library/physics/1.0.0.yaml", 13) in places
    assert "constants.p.units.per_kg: 1000.0 → 1000.1" in {each["mutant"] for each in found["survivors"]}


def test_explain_moves_constants_of_libraries(folder: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"grams": 500.0, "kmh": 7.2}')
    ran = run(
        *("explain", "--policies", folder, "--policy", "shipping", "--input", tmp_path / "in.json"),
        *("--format", "json"),
    ).ok()
    assert "constants.p.half" in {flip["path"] for flip in ran.json["flips"]}


def test_a_nested_rule_reads_libraries(folder: Path) -> None:
    nested = POLICY.replace(
        "    - {id: fast, output: -p.energy}\n",
        "    - id: fast\n      rule:\n        variables: [{name: e, expression: p.energy * 2.0}]\n"
        "        match: [{output: variables.e + p.energy}]\n",
    )
    put(folder, "", "shipping", nested)
    policy = engine.load_policy("shipping", folder)
    fast = engine.Request({"grams": 500.0, "kmh": 36.0})
    assert policy.decide(fast).output == pytest.approx(75.0)
    assert policy.decide(fast, explain=True).output == pytest.approx(75.0)


CANDIDATES = """\
apiVersion: engine/v1
kind: Library
name: widths
version: 1.0.0
inputs:
  - {name: candidate, type: Candidate, description: The layout.}
  - {name: layers, type: int, description: Layers of the model.}
  - {name: per_token, type: double, description: Time per token.}
variables:
  - {name: width, expression: double(candidate.tensor_parallel) + variables.none}
  - {name: none, expression: double(layers - layers)}
  - {name: ms, expression: per_token + variables.none}
"""


@pytest.mark.slow
def test_a_library_of_candidates_decides_as_the_policys_own_variable(tmp_path: Path) -> None:
    put(tmp_path, "library", "widths", CANDIDATES)
    text = (
        (TOP / "policies" / "sharding" / "2.0.0.yaml")
        .read_text()
        .replace("name: sharding\nversion: 2.0.0", "name: mine\nversion: 1.0.0")
    )
    width = "            - name: tp\n              expression: double(candidate.tensor_parallel)\n"
    assert width in text
    inputs = "{layers: variables.layers, per_token: variables.token_ms}"
    listed = f"          libraries:\n            - {{name: widths@1, with: {inputs}}}\n"
    changed = text.replace("        candidate:\n", "        candidate:\n" + listed)
    changed = changed.replace("_output_token_ms: variables.token_ms", "_output_token_ms: widths.ms")
    assert "widths.ms" in changed
    put(
        tmp_path,
        "",
        "mine",
        changed.replace(width, width.replace("double(candidate.tensor_parallel)", "widths.width")),
    )
    policies = engine.load_policy("sharding@2.0.0"), engine.load_policy("mine", tmp_path)
    for line in (TOP / "examples" / "history.jsonl").read_text().splitlines()[::4]:
        request = engine.Request.from_dict(json.loads(line))
        first, second = ({**policy.decide(request).to_dict(), "policy": None} for policy in policies)
        assert first == second
    explained = policies[1].decide(request, explain=True).to_dict()
    assert {**explained, "policy": None, "trace": None} == {**first, "trace": None}


def test_a_library_is_listed_shown_checked_and_locked(folder: Path, run: Run) -> None:
    rows = run("policies", "--policies", folder, "--format", "json").json
    assert ("library", "physics", "1.0.0") in {(row["kind"], row["name"], row["version"]) for row in rows}
    assert "kind: Library" in run("policies", "show", "physics", "--policies", folder).ok().out
    assert "name: units" in run("policies", "show", "shipping", "--policies", folder).ok().out
    run("policies", "lock", folder).ok()
    assert "library/units/1.0.0.yaml" in (folder / "policies.lock").read_text()
    put(folder, "library", "units", UNITS + "# changed\n")
    assert "E110" in run("check", folder).out


def test_a_library_that_is_checked_alone_reports_its_own_faults(folder: Path, run: Run) -> None:
    file = put(folder, "library", "units", UNITS.replace("grams / ", "grms / "))
    assert f"{file}:8:28: E102 undeclared reference to 'grms'" in run("check", file).out


def test_a_librarys_file_is_a_policy_of_its_own(folder: Path) -> None:
    policy = engine.load_policy(str(folder / "library" / "units" / "1.0.0.yaml"))
    assert policy.decide(engine.Request({"grams": 500.0})).output == {"kg": 0.5}


def test_a_library_among_policies_is_reported(folder: Path, run: Run) -> None:
    file = put(folder, "", "units", UNITS)
    with pytest.raises(engine.PolicyError, match="a library, expected a policy"):
        engine.load_policy("units", folder)
    assert f"{file}:2:7: E114 a library is library/NAME/VERSION.yaml" in run("check", file).out
