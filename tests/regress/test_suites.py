"""`engine test`: suites of a policy on another subject, what is found wrong, in every form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

import pytest

from engine.testing import check_suites, run_suites
from tests.conftest import TOP, Run

POLICY = """
apiVersion: engine/v1
kind: Policy
name: quota
version: 1.0.0
inputs:
  - {name: team, type: string}
  - {name: gpus, type: int}
  - {name: hours, type: double}
constants:
  free_gpus: {value: 4, unit: GPU, description: So many cost nothing.}
  rate: {value: 2.5, unit: EUR, description: Of a GPU for an hour.}
rule:
  variables:
    - {name: paid, expression: "math.greatest(gpus - constants.free_gpus, 0)"}
  match:
    - {id: unknown, condition: team == "", output: "-1.0", explanation: '"no team"'}
    - {id: free, condition: gpus <= constants.free_gpus && gpus >= 0, output: "0.0"}
    - {id: paid, condition: gpus > 0, output: double(variables.paid) * hours * constants.rate}
    - {id: refund, output: "double(gpus) * hours / 0.0 > 0.0 ? 1.0 : 2.0"}
"""
FIXTURES = """
apiVersion: engine/v1
kind: Fixtures
fixtures:
  gpus: {few: 4, many: 5, debt: -1}
"""
SUITE = """
apiVersion: engine/v1
kind: Suite
policy: quota@1.0.0
defaults: {team: red, hours: 2.0}
tests:
  - name: nobody
    inputs: {team: "", gpus: 3}
    expect: {match: unknown, output: -1.0, explanation: no team, outcome: value}
  - name: by count
    columns: [name, gpus, match, output]
    cases:
      - [none, 0, free, 0.0]
      - [four, few, free, 0.0]
      - [five, many, paid, {approx: 5.0, abs: 0.1}]
      - [owed, debt, refund, 2.0]
  - name: never free of charge
    matrix: {gpus: [5, 6, many], hours: [1.0, 2.0]}
    expect: {match: paid}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of policies with a suite."""
    own = tmp_path / "policies"
    (own / "quota" / "tests").mkdir(parents=True)
    (own / "quota" / "1.0.0.yaml").write_text(POLICY.lstrip())
    (own / "quota" / "tests" / "fixtures.yaml").write_text(FIXTURES.lstrip())
    (own / "quota" / "tests" / "quota_test.yaml").write_text(SUITE.lstrip())
    return own


def suite(folder: Path) -> Path:
    return folder / "quota" / "tests" / "quota_test.yaml"


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_all_passes(run: Run, folder: Path) -> None:
    ran = run("test", folder, "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["passed"], ran.json["failed"]) == (11, 0)
    names = [case["id"].partition("::")[2] for case in ran.json["cases"]]
    assert names[:5] == ["nobody", "by count[none]", "by count[four]", "by count[five]", "by count[owed]"]
    assert "never free of charge[many, 2.0]" in names
    assert run("test", folder, "--jobs", "2", "--format", "json").json["passed"] == 11


def test_a_failure_in_full(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "[five, many, paid, {approx: 5.0, abs: 0.1}]", "[five, many, free, 5.5]")
    ran = run("test", folder)
    assert ran.code == 1
    path = suite(folder)
    assert ran.out.startswith(
        f"FAIL {path}::by count[five]\n  {path}:14:9\n  match\n    - free\n    + paid\n"
        f"  output\n    - 5.5\n    + 5.0\n  again: engine test {path} -k 'by count[five]'\n\n"
        "10 passed, 1 failed in "
    )
    again = run("test", path, "-k", "by count[five]", "--format", "json")
    assert [case["passed"] for case in again.json["cases"]] == [False]
    assert again.json["cases"][0]["mismatches"] == [
        {"path": "match", "expected": "free", "found": "paid"},
        {"path": "output", "expected": 5.5, "found": 5.0},
    ]


def test_fail_fast(run: Run, folder: Path) -> None:
    rewrite(folder / "quota" / "1.0.0.yaml", 'output: "-1.0"', 'output: "-2.0"')
    rewrite(folder / "quota" / "1.0.0.yaml", 'output: "0.0"', 'output: "0.5"')
    assert run("test", folder, "--format", "json").json["failed"] == 3
    assert run("test", folder, "-x", "--format", "json").json["failed"] == 1


def test_junit(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "match: unknown", "match: free")
    root = xml.fromstring(run("test", folder, "--format", "junit").out.partition("\n")[2])
    (found,) = root
    assert (found.get("tests"), found.get("failures")) == ("11", "1")
    assert found[0].get("name") == "nobody"
    (failure,) = found[0]
    assert failure.get("message") == "match"
    assert "again: engine test" in (failure.text or "")


def test_tap(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "match: unknown", "match: free")
    lines = run("test", folder, "--format", "tap").out.splitlines()
    assert lines[:2] == ["TAP version 14", "1..11"]
    assert lines[2].startswith("not ok 1 - ")
    assert sum(line.startswith("ok ") for line in lines) == 10


def test_errors_as_expected(run: Run, folder: Path) -> None:
    more = """
  - name: too large
    inputs: {gpus: 9223372036854775807, hours: 1.0}
    expect: {match: paid}
  - name: too small
    inputs: {gpus: -9223372036854775808}
    expect: {match: refund}
  - name: no hours
    inputs: {gpus: 5, hours: null}
    expect: {error: has no hours}
  - name: another error
    inputs: {gpus: 5, hours: null}
    expect: {error: has no gpus}
  - name: no error
    inputs: {gpus: 5}
    expect: {error: anything}
"""
    suite(folder).write_text(SUITE + more)
    ran = run("test", folder, "--format", "json")
    failed = {case["id"].partition("::")[2]: case for case in ran.json["cases"] if not case["passed"]}
    assert set(failed) == {"another error", "no error"}
    assert "has no hours" in failed["another error"]["mismatches"][0]["found"]
    assert failed["no error"]["mismatches"] == [{"path": "error", "expected": "anything", "found": None}]


def test_an_error_that_nobody_expected(run: Run, folder: Path) -> None:
    rewrite(suite(folder), 'inputs: {team: "", gpus: 3}', 'inputs: {team: "", gpus: three}')
    ran = run("test", folder)
    assert ran.code == 1
    assert "ended in an error" in ran.out
    assert "gpus: expected" in ran.out
    assert "Traceback" not in ran.out


def test_golden_files(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "expect: {match: unknown,", "expect: {golden: golden/nobody.json, match: unknown,")
    golden = folder / "quota" / "tests" / "golden" / "nobody.json"
    assert run("test", folder).code == 1
    assert not golden.exists()
    ran = run("test", folder, "--update")
    assert ran.code == 0
    assert "UPDATED" in ran.out
    assert '+  "match": "unknown",' in ran.out
    assert json.loads(golden.read_text())["output"] == -1.0
    assert "policy" not in json.loads(golden.read_text())
    assert run("test", folder).code == 0
    rewrite(golden, '"no team"', '"nobody"')
    ran = run("test", folder)
    assert ran.code == 1
    assert '-  "explanation": "nobody",' in ran.out
    assert '+  "explanation": "no team",' in ran.out
    golden.write_text("{")
    assert run("test", folder).code == 1
    assert run("test", folder, "--update").code == 0


BROKEN = {
    "tests: expected a list": ("tests:", "tests: {}\nx:"),
    "has no input 'gpu'": ('inputs: {team: "", gpus: 3}', 'inputs: {team: "", gpu: 3}'),
    "did you mean 'gpus'?": ('inputs: {team: "", gpus: 3}', 'inputs: {team: "", gpu: 3}'),
    "unknown policy 'quotas'": ("quota@1.0.0", "quotas@1.0.0"),
    "has no version 2": ("quota@1.0.0", "quota@2"),
    "3 cells for 4 columns": ("[none, 0, free, 0.0]", "[none, 0, free]"),
    "column 'mach' is neither an input nor expected": ("gpus, match, output]", "gpus, mach, output]"),
    "two tests are called 'nobody'": ("- name: never free of charge\n", "- name: nobody\n"),
    "without expect passes whatever": ("expect: {match: paid}", "description: nothing"),
    "unknown field 'expects'": ("expect: {match: paid}", "expects: {match: paid}"),
    "no column says what is expected": ("[name, gpus, match, output]", "[name, gpus, team, hours]"),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_suite_never_passes(message: str, run: Run, folder: Path) -> None:
    old, new = BROKEN[message]
    if "two tests" in message:
        old, new = (
            SUITE[SUITE.index("  - name: never") :],
            SUITE[SUITE.index("  - name: nobody") : SUITE.index("  - name: by")],
        )
    rewrite(suite(folder), old, new)
    for form in ("text", "json", "junit", "tap"):
        ran = run("test", folder, "--format", form)
        assert ran.code == 2
        assert message in ran.out + ran.err
        assert "Traceback" not in ran.err
    assert f"{suite(folder)}:" in run("test", folder).out


def test_a_broken_policy(run: Run, folder: Path) -> None:
    rewrite(folder / "quota" / "1.0.0.yaml", "team ==", "tam ==")
    ran = run("test", folder)
    assert ran.code == 2
    assert f"{folder}/quota/1.0.0.yaml:16:" in ran.out


def test_nothing_collected(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ((tmp_path / "empty",), "no tests in"),
        ((folder, "-k", "nonsense"), "no case in"),
        ((tmp_path / "none",), "no such file or folder"),
    ):
        ran = run("test", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err


# --- coverage ----------------------------------------------------------------------------------------------


def missing(run: Run, folder: Path, *more: str) -> set[str]:
    ran = run("test", folder, "--coverage", "--format", "json", *more)
    return {each["point"] for each in ran.json["coverage"]["missing"]}


def test_coverage(run: Run, folder: Path) -> None:
    text = "refund: output: double(gpus) * hours / 0.0 > 0.0"
    assert missing(run, folder) == {f"{text} is true"}
    rewrite(
        suite(folder),
        "[owed, debt, refund, 2.0]",
        "[owed, debt, refund, 2.0]\n      - [credit, -2, refund, 2.0]",
    )
    assert run("test", folder, "--min-coverage", "100").code == 1
    assert run("test", folder, "--min-coverage", "90").code == 0


def test_each_operand_must_decide(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "      - [owed, debt, refund, 2.0]\n", "")
    found = missing(run, folder)
    assert "free: condition: gpus >= 0 is false by itself" in found
    assert "match refund chosen" in found
    assert "paid: condition: gpus > 0 is false" in found
    assert "free: condition: gpus <= constants.free_gpus is false by itself" not in found


def test_thresholds_from_all_sides(run: Run, folder: Path) -> None:
    rewrite(folder / "quota" / "tests" / "fixtures.yaml", "few: 4", "few: 3")
    assert "free: condition: gpus <= constants.free_gpus is at free_gpus" in missing(run, folder)


def test_coverage_over_several_processes(run: Run, folder: Path) -> None:
    one, two = missing(run, folder), missing(run, folder, "--jobs", "2")
    assert one == two


def test_macros_are_looked_into(run: Run, tmp_path: Path) -> None:
    policy, tests = tmp_path / "p.yaml", tmp_path / "p_test.yaml"
    policy.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\n"
        "inputs: [{name: xs, type: list(int)}]\nrule:\n  match:\n    - output: xs.filter(x, x > 0 && x < 9)\n"
    )
    tests.write_text(
        "apiVersion: engine/v1\nkind: Suite\npolicy: p.yaml\n"
        "tests: [{name: a, inputs: {xs: [5, -1]}, expect: {output: [5]}}]\n"
    )
    name = f"{Path('p')}"
    assert missing(run, tests) == {f"{name}/1: output: x < 9 is false by itself"}


def test_unreachable_points(run: Run, folder: Path) -> None:
    point = "refund: output: double(gpus) * hours / 0.0 > 0.0 is true"
    listed = f'unreachable: [{{point: "{point}", reason: gpus are below 0 here}}]\n'
    suite(folder).write_text(SUITE + listed)
    ran = run("test", folder, "--coverage", "--min-coverage", "100", "--format", "json")
    assert ran.code == 0
    assert ran.json["coverage"]["unreachable"] == [point]
    suite(folder).write_text(SUITE + listed.replace("refund: output", "refund: outputs"))
    ran = run("test", folder, "--coverage")
    assert ran.code == 1
    assert "listed as unreachable, and is not: refund: outputs" in ran.out


def test_the_page(run: Run, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "coverage.html"
    assert run("test", folder, "--html", page).code == 0
    text = page.read_text()
    for line in POLICY.strip().splitlines():
        words = (
            line.strip()
            .replace("&", "&amp;")
            .replace(">", "&gt;")
            .replace("<", "&lt;")
            .replace('"', "&quot;")
        )
        assert words.replace("'", "&#x27;") in text
    assert 'class="half"' in text
    assert "not seen: refund: output: double(gpus) * hours / 0.0 &gt; 0.0 is true" in text
    assert "http" not in text.replace("http-equiv", "")
    assert run("test", folder, "--html", tmp_path / "no" / "c.html").code == 2


# --- mutants -----------------------------------------------------------------------------------------------


def test_mutants(run: Run, folder: Path) -> None:
    ran = run("test", folder, "--mutate", "--format", "json")
    found = ran.json["mutation"]
    assert ran.code == 1
    assert found["killed"] > 20
    assert found["score"] == pytest.approx(100 * found["killed"] / (found["killed"] + found["survived"]))
    survivors = {each["mutant"]: each for each in found["survivors"]}
    # Both sides are 0 where four are free, so nothing tells the order of these two.
    weak = next(each for name, each in survivors.items() if name.startswith("variables.paid:"))
    assert weak["file"] == str(folder / "quota" / "1.0.0.yaml")
    assert weak["diff"][1].startswith("-    - {name: paid, expression:")
    assert weak["diff"][2].startswith("+    - {name: paid, expression:")
    assert run("test", folder, "--mutate", "-j", "2", "--format", "json").json["mutation"] == found


def test_equivalent_mutants(run: Run, folder: Path) -> None:
    first = run("test", folder, "--mutate", "--format", "json").json["mutation"]
    listed = [{"mutant": each["mutant"], "reason": "seen"} for each in first["survivors"]]
    suite(folder).write_text(SUITE + f"equivalent: {json.dumps(listed, ensure_ascii=False)}\n")
    ran = run("test", folder, "--mutate", "--format", "json")
    assert ran.code == 0
    assert ran.json["mutation"]["score"] == 100.0
    assert ran.json["mutation"]["equivalent"] == len(listed)
    listed.append({"mutant": "match free dropped", "reason": "it is not"})
    suite(folder).write_text(SUITE + f"equivalent: {json.dumps(listed, ensure_ascii=False)}\n")
    ran = run("test", folder, "--mutate")
    assert ran.code == 1
    assert "listed as equivalent, and is not: match free dropped" in ran.out


def test_mutants_of_tests_that_fail(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "match: unknown", "match: free")
    ran = run("test", folder, "--mutate")
    assert ran.code == 1
    assert "not mutated: the tests must pass first" in ran.err


def test_as_text_mutants_have_their_difference(run: Run, folder: Path) -> None:
    out = run("test", folder, "--mutate").out
    assert "mutants of quota@1.0.0:" in out
    assert "SURVIVED " in out
    assert "+    - {name: paid, expression:" in out


# --- from Python and pytest ---------------------------------------------------------------------------------


def test_from_python(folder: Path) -> None:
    assert len(run_suites(folder).results) == 11
    check_suites(folder, folder / "quota")
    rewrite(suite(folder), "match: unknown", "match: free")
    with pytest.raises(AssertionError, match="nobody"):
        check_suites(folder)
    with pytest.raises(AssertionError):
        check_suites(folder.parent / "policies" / "quota" / "1.0.0.yaml")


def pytest_on(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", str(folder), "-q", "-p", "no:cacheprovider", *more]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_pytest_collects_suites(folder: Path) -> None:
    (folder / "other_test.yaml").write_text("kind: SomethingElse\n")
    ran = pytest_on(folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "11 passed" in ran.stdout
    rewrite(suite(folder), "match: unknown", "match: free")
    ran = pytest_on(folder)
    assert ran.returncode == 1
    assert "10 passed" in ran.stdout
    assert "    - free\n    + unknown" in ran.stdout
    assert "1 passed" in pytest_on(folder, "-k", "four").stdout
    rewrite(suite(folder), "tests:", "test:")
    ran = pytest_on(folder)
    assert ran.returncode == 2
    assert "unknown field 'test'" in ran.stdout


def test_watching(folder: Path) -> None:
    command = [sys.executable, "-u", "-m", "engine.cli.main", "test", str(folder), "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP, env=dict(os.environ))
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("11 passed in ")
        rewrite(folder / "quota" / "1.0.0.yaml", 'output: "-1.0"', 'output: "-3.0"')
        start = time.monotonic()
        lines: list[str] = []
        while not (lines and "failed in" in lines[-1]) and time.monotonic() - start < 30:
            lines.append(process.stdout.readline())
        assert "    + -3.0\n" in lines
        assert "10 passed, 1 failed in" in lines[-1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_shipped_policies(run: Run) -> None:
    ran = run("test", TOP / "policies", "--coverage", "--min-coverage", "100", "--format", "json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    assert found["failed"] == 0
    assert len(found["coverage"]) == 4
    for each in found["coverage"]:
        assert (each["percent"], each["missing"], each["stale"]) == (100.0, [], [])


def test_the_shipped_policies_of_the_first_version_notice_every_change(run: Run) -> None:
    """Those of the others are many, each decided on a hundred searches: too long for here."""
    suites = [
        TOP / "policies" / "sharding" / "tests" / "plans_test.yaml",
        TOP / "policies" / "sharding" / "tests" / "strategy_test.yaml",
        TOP / "policies" / "quantization" / "tests" / "level_test.yaml",
    ]
    ran = run("test", *suites, "--mutate", "--format", "json")
    assert ran.code == 0, ran.err
    for each in ran.json["mutation"]:
        assert (each["score"], each["survivors"], each["stale"]) == (100.0, [], [])
        assert each["killed"] > 90
