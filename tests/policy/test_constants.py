"""Constants of stated types: maps, times, uints, bytes and lists of them, wherever constants are read."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.cel.runtimes.registry import RUNTIMES
from engine.cel.times import SECOND, Duration, Timestamp
from engine.cel.values import Uint
from engine.regress.mutants import mutants
from tests.conftest import Run

HEAD = "apiVersion: engine/v1\nkind: Policy\nname: {name}\nversion: 1.0.0\n"
CONSTANTS = """\
constants:
  window: {value: 90s, type: duration, description: Longest wait.}
  since: {value: 2026-01-01T00:00:00Z, type: timestamp, description: First day.}
  weights: {value: {a: 1.0, b: 2}, type: "map(string, double)", description: Weight by team.}
  mask: {value: 7, type: uint, unit: count, description: Highest flags.}
  heavy: {value: 2, type: double, unit: ratio, description: Weight of a heavy team.}
  names: {description: Names of teams., value: {a: Alpha, b: Beta}}
  levels: {value: {"1": low, "2": high}, type: "map(int, string)", description: Names of levels.}
  steps: {value: [1s, 2m], type: list(duration), description: Steps.}
  grid: {value: [[1, 2], [3]], type: list(list(int)), description: Grid.}
  raw: {value: aGk=, type: bytes, description: The bytes of hi.}
"""
POLICY = f"""\
{HEAD.format(name="limits")}\
inputs:
  - {{name: waited, type: duration, description: Time in the queue.}}
  - {{name: at, type: timestamp, description: Time of the request.}}
  - {{name: team, type: string, description: Who asks.}}
  - {{name: flags, type: uint, description: Flags.}}
  - {{name: n, type: int, description: A level.}}
{CONSTANTS}\
rule:
  match:
    - {{id: late, condition: waited > constants.window, output: '"late"'}}
    - {{id: early, condition: at < constants.since, output: '"early"'}}
    - {{id: masked, condition: flags > constants.mask, output: '"masked"'}}
    - id: heavy
      condition: team in constants.weights && constants.weights[team] >= constants.heavy
      output: constants.names[team]
    - id: alpha
      condition: team == "a" && constants.weights.a < constants.heavy
      output: constants.names.a
    - {{id: level, condition: n in constants.levels, output: 'constants.levels[n]'}}
    - {{id: step, condition: waited in constants.steps && constants.raw == b"hi", output: '"step"'}}
    - {{id: grid, condition: 'constants.grid.exists(row, n in row)', output: '"grid"'}}
    - {{id: rest, output: '"rest"'}}
"""
REQUEST = {"waited": "10s", "at": "2026-02-01T00:00:00Z", "team": "z", "flags": 1, "n": 9}
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "rest"),
    ({"waited": "90s"}, "rest"),
    ({"waited": "90.5s"}, "late"),
    ({"at": "2025-12-31T23:59:59Z"}, "early"),
    ({"flags": 8}, "masked"),
    ({"team": "b"}, "Beta"),
    ({"team": "a"}, "Alpha"),
    ({"n": 2}, "high"),
    ({"waited": "1s"}, "step"),
    ({"n": 3}, "grid"),
]


def put(folder: Path, text: str, name: str = "limits") -> Path:
    file = folder / name / "1.0.0.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, POLICY)
    (tmp_path / "in.json").write_text(json.dumps(REQUEST))
    return tmp_path


def output(policy: engine.Policy, changes: dict[str, Any], **options: Any) -> Any:
    return policy.decide(engine.Request({**REQUEST, **changes}), **options).output


def test_checks_find_nothing(run: Run, folder: Path) -> None:
    assert "no findings" in run("check", folder / "limits" / "1.0.0.yaml").ok().out


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_all_ways_to_decide_agree(folder: Path, changes: dict[str, Any], expected: str) -> None:
    for _ in ("compiled", "from the cache"):
        policy = engine.load_policy("limits@1", folder)
        assert output(policy, changes) == expected
    for runtime in RUNTIMES:
        assert output(policy, changes, runtime=runtime, explain=True) == expected


def test_values_are_of_their_types(folder: Path) -> None:
    constants = engine.load_policy("limits@1", folder).compiled.constants
    assert constants["window"].value == Duration(90 * SECOND)
    assert constants["since"].value == Timestamp.parse("2026-01-01T00:00:00Z")
    assert constants["levels"].value == {1: "low", 2: "high"}
    assert constants["raw"].value == b"hi"
    assert type(constants["mask"].value) is Uint
    assert type(constants["weights"].value["b"]) is float
    assert str(constants["names"].type) == "map(string, string)"


def test_an_output_does_not_alias_a_constant(tmp_path: Path) -> None:
    text = f"{HEAD.format(name='whole')}{CONSTANTS}rule: {{match: [{{output: constants.weights}}]}}\n"
    policy = engine.load_policy(str(put(tmp_path, text, "whole")))
    first = policy.decide(engine.Request({})).output
    assert first == {"a": 1.0, "b": 2.0}
    first["a"] = 9.0  # type: ignore[index, call-overload]
    assert policy.decide(engine.Request({})).output == {"a": 1.0, "b": 2.0}


def test_a_type_is_part_of_the_digest(folder: Path) -> None:
    before = engine.load_policy("limits@1", folder).digest
    put(folder, POLICY.replace("names: {", 'names: {type: "map(string, string)", '))
    assert engine.load_policy("limits@1", folder).digest != before


@pytest.mark.parametrize(
    ("constant", "line", "column", "message", "hint"),
    [
        ("{value: soon, type: duration}", 6, 14, "expected a duration like 90s or 1h30m, found 'soon'", None),
        ("{value: 2026-01-01, type: timestamp}", 6, 14, "2026-01-01' has no time zone", "T00:00:00Z"),
        ("{value: -1, type: uint}", 6, 14, "-1 does not fit a 64-bit uint", None),
        ("{value: 1.5, type: int}", 6, 14, "expected a whole number, found 1.5", None),
        ("{value: 3, type: string}", 6, 14, "expected text, found 3", None),
        ("{value: [a], type: duration}", 6, 14, "expected duration, found a list", None),
        ("{value: {a: 1.0, b: x}, type: 'map(string, double)'}", 6, 26, "expected a number, found 'x'", None),
        ('{value: {"1": a, x: b}, type: "map(int, string)"}', 6, 23, "a whole number as a key", None),
        ('{value: {"1": a, "01": b}, type: "map(int, string)"}', 6, 23, "the key 1 is there twice", None),
        (
            "{value: {a: 1.0, b: 2}}",
            6,
            14,
            "the values of the map are of several types",
            "map(string, double)",
        ),
        ("{value: {a: 1.0, b: x}}", 6, 14, "the values of the map are of several types", "map(string, dyn)"),
        ("{value: [1, 2.5]}", 6, 14, "elements of several types", "list(double)"),
        ("{value: 18446744073709551615}", 6, 14, "an int beyond 64 bits", "uint"),
        ("{value: 1, type: durations}", 6, 23, "'durations' is not a type", "did you mean 'duration'?"),
        ("{value: 1, type: Model}", 6, 23, "'Model' is not a type", None),
        ("{value: 1, type: optional_type(int)}", 6, 23, "exist only inside expressions", None),
        ("{value: {a: 1, a: 2}}", 6, 21, "duplicate key 'a'", "keep one"),
        ("{value: {1: a}}", 6, 15, "a key must be text, found 1", 'write "1" in quotes'),
        ("{value: {a: null}, type: dyn}", 6, 18, "expected", None),
    ],
)
def test_bad_values_have_a_place(
    tmp_path: Path, constant: str, line: int, column: int, message: str, hint: str | None
) -> None:
    text = f"{HEAD.format(name='bad')}constants:\n  x: {constant}\nrule: {{match: [{{output: 'true'}}]}}\n"
    with pytest.raises(engine.EngineError) as caught:
        engine.load_policy(str(put(tmp_path, text, "bad")))
    found = caught.value.problems[0]
    assert found.place is not None
    assert message in found.message
    assert hint is None or hint in (found.hint or "")
    assert (found.place.line, found.place.column) == (line, column)


def test_a_table_has_no_type(tmp_path: Path) -> None:
    table = "{type: int, table: {columns: {a: {type: int}}, rows: [[1]]}}"
    text = f"{HEAD.format(name='bad')}constants: {{x: {table}}}\n"
    with pytest.raises(engine.PolicyError, match="is a table: its columns have the types"):
        engine.load_policy(str(put(tmp_path, text + "rule: {match: [{output: 'true'}]}\n", "bad")))


def test_a_key_that_a_constant_lacks_is_found(run: Run, folder: Path) -> None:
    text = POLICY.replace("constants.weights.a <", "constants.weights.aa <")
    ran = run("check", put(folder, text))
    assert ran.code == 1
    assert "W221 constants.weights.aa may be absent" in ran.out
    assert "or give the constant that key" in ran.out


# --- other values --------------------------------------------------------------------------------------


def test_set(run: Run, folder: Path) -> None:
    asked = (
        "eval",
        "--policies",
        folder,
        "--policy",
        "limits",
        "--input",
        folder / "in.json",
        "--format",
        "json",
    )
    assert run(*asked).json["output"] == "rest"
    for setting, expected in (
        ("window=5s", "late"),
        ("since=2027-01-01T00:00:00Z", "early"),
        ("mask=0", "masked"),
        ("levels={'9': top}", "top"),
        ("steps=[10s]", "step"),
    ):
        assert run(*asked, "--set", setting).ok().json["output"] == expected
    found = run(*asked, "--set", "weights={z: 5}", "--set", "names={z: Zeta}").json
    assert (found["output"], found["policy"]["version"]) == ("Zeta", "1.0.0+set")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("window=soon", "constant 'window': expected a duration like 90s or 1h30m, found 'soon'"),
        ("weights={b: x}", "constant 'weights': expected a number, found 'x'\n  hint: its value is"),
        ("names=3", "constant 'names' is a map of strings, found 3"),
        ("names={a: 3}", "constant 'names' is a map of strings, found {\"a\": 3}"),
        ("mask=-1", "constant 'mask': -1 does not fit a 64-bit uint"),
    ],
)
def test_a_setting_of_another_type(run: Run, folder: Path, setting: str, message: str) -> None:
    ran = run(
        "eval", "--policies", folder, "--policy", "limits", "--input", folder / "in.json", "--set", setting
    )
    assert ran.code == 2
    assert ran.err.startswith(f"error: {message}")


def test_python_values(folder: Path) -> None:
    since = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    policy = engine.load_policy("limits@1", folder, constants={"since": since})
    assert output(policy, {}) == "early"
    policy = engine.load_policy("limits@1", folder, constants={"window": datetime.timedelta(seconds=5)})
    assert output(policy, {}) == "late"
    assert output(policy, {}, runtime="cel-python", explain=True) == "late"


OVERLAY = "apiVersion: engine/v1\nkind: Overlay\nname: mine\nversion: 1.0.0\nbase: limits@1\n"


def test_overlay(folder: Path) -> None:
    text = f"{OVERLAY}constants:\n  window: 5s\n  names: {{z: Zeta}}\n"
    put(folder, text + "add_constants: {more: {value: 1h, type: duration, description: More.}}\n", "mine")
    policy = engine.load_policy("mine", folder)
    assert output(policy, {}) == "late"
    assert policy.compiled.constants["names"].value == {"z": "Zeta"}
    assert policy.compiled.constants["more"].value == Duration(3600 * SECOND)


def test_an_overlay_of_another_type(folder: Path) -> None:
    put(folder, f"{OVERLAY}constants:\n  weights:\n    a: 1\n    b: x\n", "mine")
    with pytest.raises(engine.PolicyError) as caught:
        engine.load_policy("mine", folder)
    (found,) = caught.value.problems
    assert found.place is not None
    assert (found.message, found.place.line, found.place.column) == (
        "constant 'weights': expected a number, found 'x'",
        9,
        8,
    )


def test_constants_of_a_library(tmp_path: Path) -> None:
    head = HEAD.format(name="timing").replace("Policy", "Library")
    library = f"{head}{CONSTANTS}variables:\n"
    library += "  - {name: doubled, expression: constants.window + constants.window}\n"
    library += "  - {name: weight, expression: constants.weights.b}\n"
    put(tmp_path, library, "library/timing")
    output_ = "'[string(timing.doubled), string(timing.weight)]'"
    rule = f"libraries: [timing@1]\nrule: {{match: [{{output: {output_}}}]}}\n"
    put(tmp_path, HEAD.format(name="limits") + rule)
    assert engine.load_policy("limits", tmp_path).decide(engine.Request({})).output == ["180s", "2"]
    put(tmp_path, OVERLAY + "constants: {timing.window: 1m, timing.weights: {b: 3}}\n", "mine")
    for runtime in RUNTIMES:
        decision = engine.load_policy("mine", tmp_path).decide(engine.Request({}), runtime=runtime)
        assert decision.output == ["120s", "3"]
    put(tmp_path, OVERLAY + "constants:\n  timing.weights: {b: x}\n", "mine")
    with pytest.raises(engine.PolicyError) as caught:
        engine.load_policy("mine", tmp_path)
    (found,) = caught.value.problems
    assert found.place is not None
    assert (found.message, found.place.line, found.place.column) == (
        "constant 'timing.weights': expected a number, found 'x'",
        7,
        23,
    )


# --- what reads constants ------------------------------------------------------------------------------


def test_explain_says_what_it_does_not_move(run: Run, folder: Path) -> None:
    asked = ("explain", "--policies", folder, "--policy", "limits", "--input", folder / "in.json")
    shown = " ".join(run(*asked).ok().out.split())
    assert "constants that are maps, times, bytes, uints or lists of these: window, since, weights" in shown
    assert 'constants.window = "90s"' in shown


def test_proofs(run: Run, folder: Path) -> None:
    shown = run("check", "--prove", folder / "limits" / "1.0.0.yaml").out
    assert '"waited": "90.000000001s"' in shown
    assert "maybe   level can be chosen" in shown
    assert "    n in constants.levels\n" in shown


def test_proofs_know_constants_that_differ(run: Run, folder: Path) -> None:
    asked = ("diff", "limits@1.0.0", "limits@1.0.0", "--prove", "--policies", folder)
    assert "proved: A and B decide alike" in run(*asked).ok().err
    assert run(*asked, "--set", "window=91s").code == 1


def test_mutants(folder: Path) -> None:
    names = [each.name for each in mutants(engine.load_policy("limits@1", folder).compiled)]
    assert len(names) == len(set(names))
    for expected in (
        "constants.window: '90s' → '91s'",
        "constants.since: '2026-01-01T00:00:00Z' → '2025-12-31T23:59:59Z'",
        "constants.mask: 7 → 8",
        "constants.names.a: 'Alpha' → 'Alpha~'",
        "constants.weights.b: 2.0 → 2.1",
        "constants.levels.1: 'low' → 'low~'",
        "constants.steps: ['1s', '120s'] → ['120s']",
    ):
        assert expected in names


def test_the_page_and_the_overlay_show_values(run: Run, folder: Path, tmp_path: Path) -> None:
    page = run("policies", "page", "limits@1", "--policies", folder).ok().out
    assert "| `window` | `90s` |" in page
    assert "| `weights` | `{a: 1, b: 2}` |" in page
    assert "| `grid` | `[1, 2], [3]` |" in page
    run("policies", "overlay", "limits@1", tmp_path / "site", "--policies", folder, "--name", "mine").ok()
    text = (tmp_path / "site" / "mine" / "1.0.0.yaml").read_text()
    assert '#  weights: {"a": 1.0, "b": 2.0}  # Weight by team.\n' in text
    put(folder, text.replace("#constants:", "constants:").replace("#  window", "  window"), "mine")
    assert output(engine.load_policy("mine", folder), {}) == "rest"


TABLE = """\
inputs:
  - {name: waited, type: duration, description: Time in the queue.}
constants:
  window: {value: 90s, type: duration, description: Longest wait.}
  short: {value: 10s, type: duration, description: A short wait.}
rule:
  table:
    hit: unique
    columns:
      waited: {input: waited, type: duration}
      result: {type: string}
    rows:
      - ['< constants.short', now]
      - ['[constants.short..constants.window]', soon]
      - ['> constants.window', never]
"""


def test_tables_compare_times_with_constants(run: Run, tmp_path: Path) -> None:
    file = put(tmp_path, HEAD.format(name="queue") + TABLE, "queue")
    policy = engine.load_policy(str(file))
    found = [policy.decide(engine.Request({"waited": each})).output for each in ("9s", "10s", "90s", "91s")]
    assert found == ["now", "soon", "soon", "never"]
    put(tmp_path, (HEAD.format(name="queue") + TABLE).replace("'> constants.window'", "'> 80s'"), "queue")
    ran = run("check", file)
    assert ran.code == 1
    assert "E131 rows 2 and 3 overlap" in ran.out


def test_a_search_draws_times_near_constants(run: Run, folder: Path) -> None:
    other = put(
        folder, POLICY.replace("name: limits", "name: other").replace("value: 90s", "value: 91s"), "other"
    )
    ran = run("diff", folder / "limits" / "1.0.0.yaml", other, "--search", "--examples", "300")
    assert ran.code == 1
    assert "late" in ran.out
