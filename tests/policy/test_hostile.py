"""Policies that are made to be slow or huge end with an answer or one message, soon and in little memory.

Most run with a tenth of the budget, so that what a step is worth is held to a tenth of the time.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from engine.cel.costs import CHARGING, FLAT, Price
from engine.cel.declarations import functions
from tests.support.hostile import KINDS, policy

Run = object
FILES = sorted(Path(__file__).parents[1].joinpath("data", "hostile").glob("*.yaml"))
INPUT = json.dumps({"x": 3, "s": "abc"})
SECONDS = 4.0
"""CPU time of one command, with a tenth of the budget."""
BYTES = 500 << 20


def reset_peak() -> int:
    """Forget the peak of the memory that this process has used, and return what it uses now; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Return the peak of this process's memory in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture(params=[*FILES, *KINDS], ids=lambda each: getattr(each, "stem", each))
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if isinstance(request.param, Path):
        return request.param
    file = tmp_path / "hostile.yaml"
    file.write_text(KINDS[request.param](), encoding="utf-8")
    return file


@pytest.mark.slow
def test_ends_soon(hostile: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("ENGINE_STEPS", "1000000")
    evaluate = ("eval", "--policy", hostile, "--input", "-", "--no-cache")
    before = reset_peak()
    for command in (("check", hostile), evaluate, (*evaluate, "--explain")):
        start = time.process_time()
        ran = run(*command, stdin=INPUT)
        assert ran.code in (0, 1, 2), command
        assert "Traceback" not in ran.out + ran.err
        assert time.process_time() - start < SECONDS, command
    assert peak() - before < BYTES


def test_every_function_has_a_cost() -> None:
    for name, function in functions().items():
        cost = function.definition.cost
        assert cost in (FLAT, CHARGING) or isinstance(cost, Price), name


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["compiled", "cel-python"])
@pytest.mark.parametrize(
    "output",
    [
        "variables.v16.contains('zz')",
        "variables.v16.indexOf('zz') < 0",
        "variables.v16.replace('zz', 'y') == ''",
        "variables.v16.split('zz').size() > 0",
        "variables.v16.matches('zz')",
        "variables.v16 + 'z' == s",
        "[variables.v16, s].join('-') == s",
        "'%s-%s'.format([variables.v16, s]) == s",
        "variables.v16.substring(1) == s",
        "variables.v16.upperAscii() == s",
        "variables.v16.reverse() == s",
        "strings.quote(variables.v16.substring(2)) == s",
        "bytes(variables.v16) == b'a'",
        "lists.range(20000) == lists.range(20000).map(q, q + x - 3)",
        "lists.range(20000).map(q, [q]).flatten().size() > 0",
        "lists.range(20000).reverse()[0] > 0",
        "lists.range(20000).distinct().size() > 0",
        "lists.range(20000).sort().size() > 0",
        "x - 4 in lists.range(20000)",
        "lists.range(20000).slice(1, 19999).size() > 0",
        "lists.range(20000).sum() > 0",
        "lists.range(20000).max() > 0",
        "[lists.range(20000)].flatten(1).size() > 0",
        "sets.contains(lists.range(20000), [x])",
        "sets.equivalent(lists.range(2000).map(q, string(q)), lists.range(2000).map(q, string(q)))",
        "sets.intersects([dyn(1.5)], lists.range(20000))",
        "regex.replace(variables.v13, 'z', 'y') != s",
        "regex.extractAll(variables.v8, 'ab').size() > 0",
        "variables.v8.findAll('a.*z|a').size() >= 0",
        "base64.encode(bytes(variables.v13)).size() > 0",
        "url('/' + variables.v5 + '?' + variables.v5).getQuery().size() > 0",
    ],
)
def test_what_functions_read_and_make_is_counted(
    output: str,
    runtime: str,
    run,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One call fits the budget, and many of them by one macro do not."""
    big = ["s + s + s + s", *(f"variables.v{n} + variables.v{n}" for n in range(13))]
    big += [f"variables.v13 + '{n}'" for n in range(3)]
    file = tmp_path / "policy.yaml"
    evaluate = ("eval", "--policy", file, "--input", "-", "--no-cache", "--runtime", runtime)
    file.write_text(policy(output, big))
    assert run(*evaluate, stdin=INPUT).code == 0
    file.write_text(policy(f"lists.range(2000).map(q, {output}).size()", big))
    monkeypatch.setenv("ENGINE_STEPS", "1000000")
    ran = run(*evaluate, stdin=INPUT)
    assert ran.code == 2
    assert "evaluation budget exceeded (1,000,000 steps); raise ENGINE_STEPS" in ran.err
