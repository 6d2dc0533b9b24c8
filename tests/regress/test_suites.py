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

from engine.decide.policy import load_policy
from engine.regress.mutants import mutants
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
    ran.ok(quiet=True)
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
        f"  output\n    - 5.5\n    + 5.0\n  rerun: engine test {path} -k 'by count[five]'\n\n"
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
    assert "rerun: engine test" in (failure.text or "")


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
    rewrite(suite(folder), 'inputs: {team: "", gpus: 3}', 'inputs: {team: ""}')
    ran = run("test", folder)
    assert ran.code == 1
    assert "failed with an error" in ran.out
    assert "the request has no gpus" in ran.out
    assert "Traceback" not in ran.out


def test_an_input_of_another_type_breaks_the_suite_at_its_place(run: Run, folder: Path) -> None:
    rewrite(suite(folder), 'inputs: {team: "", gpus: 3}', 'inputs: {team: "", gpus: three}')
    ran = run("test", folder)
    assert ran.code == 2
    assert "gpus: expected a fixture or a whole number, found 'three'" in ran.out


def test_golden_files(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "expect: {match: unknown,", "expect: {golden: golden/nobody.json, match: unknown,")
    golden = folder / "quota" / "tests" / "golden" / "nobody.json"
    assert run("test", folder).code == 1
    assert not golden.exists()
    ran = run("test", folder, "--update")
    ran.ok()
    assert "UPDATED" in ran.out
    assert '+  "match": "unknown",' in ran.out
    assert json.loads(golden.read_text())["output"] == -1.0
    assert "policy" not in json.loads(golden.read_text())
    run("test", folder).ok()
    rewrite(golden, '"no team"', '"nobody"')
    ran = run("test", folder)
    assert ran.code == 1
    assert '-  "explanation": "nobody",' in ran.out
    assert '+  "explanation": "no team",' in ran.out
    golden.write_text("{")
    assert run("test", folder).code == 1
    run("test", folder, "--update").ok()


BROKEN = {
    "tests: expected a list": ("tests:", "tests: {}\nx:"),
    "has no input 'gpu'": ('inputs: {team: "", gpus: 3}', 'inputs: {team: "", gpu: 3}'),
    "did you mean 'gpus'?": ('inputs: {team: "", gpus: 3}', 'inputs: {team: "", gpu: 3}'),
    "unknown policy 'quotas'": ("quota@1.0.0", "quotas@1.0.0"),
    "has no version 2": ("quota@1.0.0", "quota@2"),
    "3 cells for 4 columns": ("[none, 0, free, 0.0]", "[none, 0, free]"),
    "column 'mach' is neither an input nor an expectation": ("gpus, match, output]", "gpus, mach, output]"),
    "two tests are named 'nobody'": ("- name: never free of charge\n", "- name: nobody\n"),
    "without expect always passes": ("expect: {match: paid}", "description: nothing"),
    "unknown field 'expects'": ("expect: {match: paid}", "expects: {match: paid}"),
    "no column holds an expectation": ("[name, gpus, match, output]", "[name, gpus, team, hours]"),
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
    run("test", folder, "--min-coverage", "90").ok()


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


@pytest.mark.slow
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
    ran.ok()
    assert ran.json["coverage"]["unreachable"] == [point]
    suite(folder).write_text(SUITE + listed.replace("refund: output", "refund: outputs"))
    ran = run("test", folder, "--coverage")
    assert ran.code == 1
    assert "listed as unreachable, but covered: refund: outputs" in ran.out


def test_the_page(run: Run, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "coverage.html"
    run("test", folder, "--html", page).ok()
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
    assert "not covered: refund: output: double(gpus) * hours / 0.0 &gt; 0.0 is true" in text
    assert "http" not in text.replace("http-equiv", "")
    assert run("test", folder, "--html", tmp_path / "no" / "c.html").code == 2


# --- parts of outputs --------------------------------------------------------------------------------------


def test_parts_of_an_output_are_expected_by_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\ninputs: [{name: n, type: int}]\n"
        'rule: {match: [{id: all, output: \'{"limit": n, "rules": [{"effect": "deny"}], "x": dyn(1.5)}\'}]}\n'
    )
    suite = tmp_path / "p_test.yaml"
    head = "apiVersion: engine/v1\nkind: Suite\npolicy: p.yaml\ntests:\n"
    suite.write_text(
        head
        + "  - {name: parts, inputs: {n: 3}, expect: {output.limit: 3, 'output.rules[0].effect': deny}}\n"
        + "  - {name: near, inputs: {n: 3}, expect: {output.x: {approx: 1.4, abs: 0.2}}}\n"
        + "  - {name: table, columns: [n, output.limit], cases: [[1, 1], [2, 2]]}\n"
    )
    run("test", suite).ok()
    suite.write_text(head + "  - {name: wrong, inputs: {n: 3}, expect: {output.limit: 4, output.most: 1}}\n")
    (case,) = run("test", suite, "--format", "json").json["cases"]
    found = [(each["path"], each["expected"], each["found"]) for each in case["mismatches"]]
    assert found == [("output.limit", 4, 3), ("output.most", 1, "(missing)")]
    suite.write_text(head + "  - {name: odd, inputs: {n: 3}, expect: {'output[a]': 4}}\n")
    ran = run("test", suite)
    assert ran.code == 2
    assert "is not a path" in ran.out


# --- mutants -----------------------------------------------------------------------------------------------


@pytest.mark.slow
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


DENY = """apiVersion: engine/v1
kind: Policy
name: deny
version: 1.0.0
inputs: [{name: role, type: string}, {name: admin, type: bool}, {name: until, type: timestamp}]
constants:
  roots: {value: [root, toor], unit: user, description: Users who may do anything.}
rule:
  match:
    - {id: admin, condition: admin, output: "'ALLOW'"}
    - {id: root, condition: role in constants.roots, output: "'ALLOW'", explanation: "'a ' + role"}
    - {id: late, condition: until < timestamp("2026-01-01T00:00:00Z"), output: "'DENY'"}
    - {id: dev, condition: "role in ['dev', 'ops']", output: "'AUDIT'"}
    - {id: other, output: "'DENY'"}
"""


def test_mutants_of_a_policy_change_outputs_texts_lists_and_bools(tmp_path: Path) -> None:
    (tmp_path / "deny.yaml").write_text(DENY)
    compiled = load_policy(str(tmp_path / "deny.yaml"), use_cache=False).compiled
    names = [mutant.name for mutant in mutants(compiled)]
    assert len(set(names)) == len(names)
    for expected in (
        "admin: condition: admin → !(admin)",
        "admin: output: 'ALLOW' → 'DENY'",
        "admin: output: 'ALLOW' → 'ALLOW~'",
        "other: output: 'DENY' → 'AUDIT'",
        "constants.roots: ['root', 'toor'] → ['root']",
        "constants.roots: ['root', 'toor'] → ['root~', 'toor']",
        "dev: condition: role in ['dev', 'ops'] → role in ['dev']",
        "dev: condition: role in ['dev', 'ops'] → role in ['dev~', 'ops']",
    ):
        assert expected in names
    assert any("00:00:01Z" in name for name in names if name.startswith("late: condition"))
    assert not any(name.startswith("root: explanation") for name in names)


@pytest.mark.slow
def test_mutants_of_outputs_that_no_case_compares_survive(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deny.yaml").write_text(DENY)
    suite = tmp_path / "deny_test.yaml"
    head = (
        "apiVersion: engine/v1\nkind: Suite\npolicy: deny.yaml\n"
        'defaults: {role: x, admin: false, until: "2026-01-01T00:00:00Z"}\ntests:\n  - name: t\n'
    )
    cases = [
        [True, "x", 0, "admin", "ALLOW"],
        [False, "root", 0, "root", "ALLOW"],
        [False, "toor", 0, "root", "ALLOW"],
    ]
    cases += [
        [False, "x", 0, "other", "DENY"],
        [False, "dev", 0, "dev", "AUDIT"],
        [False, "ops", 0, "dev", "AUDIT"],
    ]
    cases += [[False, "x", -1, "late", "DENY"]]

    def write(columns: list[str], take: slice) -> None:
        rows = [[case[0], case[1], f"20{26 + case[2]}-01-01T00:00:00Z", *case[3:][take]] for case in cases]
        suite.write_text(f"{head}    columns: {json.dumps(columns)}\n    cases: {json.dumps(rows)}\n")

    write(["admin", "role", "until", "match"], slice(0, 1))
    found = run("test", suite, "--mutate", "--format", "json").json["mutation"]
    survivors = {each["mutant"] for each in found["survivors"]}
    assert {"admin: output: 'ALLOW' → 'DENY'", "other: output: 'DENY' → 'AUDIT'"} <= survivors
    write(["admin", "role", "until", "match", "output"], slice(0, 2))
    found = run("test", suite, "--mutate", "--format", "json").json["mutation"]
    assert not [each["mutant"] for each in found["survivors"] if "output" in each["mutant"]]


@pytest.mark.slow
def test_equivalent_mutants(run: Run, folder: Path) -> None:
    first = run("test", folder, "--mutate", "--format", "json").json["mutation"]
    listed = [{"mutant": each["mutant"], "reason": "seen"} for each in first["survivors"]]
    suite(folder).write_text(SUITE + f"equivalent: {json.dumps(listed, ensure_ascii=False)}\n")
    ran = run("test", folder, "--mutate", "--format", "json")
    ran.ok()
    assert ran.json["mutation"]["score"] == 100.0
    assert ran.json["mutation"]["equivalent"] == len(listed)
    listed.append({"mutant": "match free dropped", "reason": "it is not"})
    suite(folder).write_text(SUITE + f"equivalent: {json.dumps(listed, ensure_ascii=False)}\n")
    ran = run("test", folder, "--mutate")
    assert ran.code == 1
    assert "listed as equivalent, but killed: match free dropped" in ran.out


def test_mutants_of_tests_that_fail(run: Run, folder: Path) -> None:
    rewrite(suite(folder), "match: unknown", "match: free")
    ran = run("test", folder, "--mutate")
    assert ran.code == 1
    assert "mutation testing skipped: the tests must pass first" in ran.err


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_shipped_policies(run: Run) -> None:
    ran = run("test", TOP / "policies", "--coverage", "--min-coverage", "100", "--format", "json")
    ran.ok()
    found: dict[str, Any] = ran.json
    assert found["failed"] == 0
    assert len(found["coverage"]) == 11
    for each in found["coverage"]:
        assert (each["percent"], each["missing"], each["stale"]) == (100.0, [], [])


@pytest.mark.slow
def test_the_shipped_policies_that_decide_quickly_notice_every_change(run: Run) -> None:
    """Changes of the others are many, each decided on a hundred searches: too long for here."""
    suites = [
        TOP / "policies" / "sharding" / "tests" / "plans_test.yaml",
        TOP / "policies" / "sharding" / "tests" / "strategy_test.yaml",
        TOP / "policies" / "quantization" / "tests" / "level_test.yaml",
        TOP / "policies" / "quantization" / "tests" / "bits3_test.yaml",
    ]
    ran = run("test", *suites, "--mutate", "--format", "json")
    ran.ok()
    for each in ran.json["mutation"]:
        assert (each["score"], each["survivors"], each["stale"]) == (100.0, [], [])
        assert each["killed"] > 90
