"""A package outside adds functions by an entry point, without a file of the engine being touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TOP

MODULE = """
from engine.cel.costs import CHARGING
from engine.cel.library import Library

LIBRARY = Library(__name__, "Grades", source="acme", namespace="acme")


@LIBRARY.function(
    "acme.grade",
    "acme.grade(int) -> string",
    description="The grade of a number.",
    example="acme.grade(3) == 'III'",
)
def grade(number):
    return "I" * number if number < 9 else [][number]


@LIBRARY.function(
    "doubled",
    "list(T).doubled() -> list(T)",
    types="int double",
    description="Every element twice as large.",
    example="[1].doubled() == [2]",
    cost=CHARGING,
)
def doubled(spend, values):
    spend(values)
    return [value * 2 for value in values]
"""
POLICY = """
apiVersion: engine/v1
kind: Policy
name: graded
version: 1.0.0
inputs: [{name: n, type: int}]
rule:
  match:
    - id: first
      condition: acme.grade(n) == "III" && size("abc") == n
      output: '[n].doubled().map(m, string(m))'
    - id: second
      output: '[acme.grade(n)]'
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages, as installed: a module and its dist-info."""
    site = tmp_path / "site"
    info = site / "acme_grades-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-grades\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[engine.functions]\nacme = acme_grades\n")
    (site / "acme_grades.py").write_text(MODULE)
    return site


def engine(site: Path | None, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    command = [sys.executable, "-m", "engine.cli.main", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=TOP, env=environment)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return str(file)


def test_check_function_of_a_package_passes(site: Path, policy: str) -> None:
    ran = engine(site, "check", policy)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [[], ["--explain"], ["--runtime", "cel-python"]], ids=["fast", "interpreter", "cel-python"]
)
def test_eval_function_of_a_package_gives_its_value(options: list[str], site: Path, policy: str) -> None:
    for number, output in ((3, ["6"]), (2, ["II"]), (3, ["6"])):
        asked = ("eval", "--policy", policy, "--input", "-", "--format", "json", *options)
        ran = engine(site, *asked, stdin=json.dumps({"n": number}))
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["output"] == output


@pytest.mark.slow
def test_eval_package_that_is_removed_reports_the_function(site: Path, policy: str) -> None:
    asked = ("eval", "--policy", policy, "--input", "-", "--format", "json")
    assert engine(site, *asked, stdin='{"n": 3}').returncode == 0
    ran = engine(None, *asked, stdin='{"n": 3}')
    assert ran.returncode == 2
    assert "undeclared" in ran.stderr


def test_check_package_that_does_not_load_is_named(site: Path, policy: str) -> None:
    (site / "acme_grades.py").write_text("import nothing_of_the_kind")
    ran = engine(site, "check", policy)
    assert ran.returncode == 1
    assert "entry point 'acme' of group engine.functions failed to load: ModuleNotFoundError" in ran.stdout


SIZE = """

@LIBRARY.function("size", "size(string) -> int", description="Another size.", example="size('') == 7")
def size(text):
    return 7
"""


def test_check_package_that_redefines_a_function_is_refused(site: Path, policy: str) -> None:
    with (site / "acme_grades.py").open("a") as file:
        file.write(SIZE)
    ran = engine(site, "check", policy)
    assert ran.returncode == 1
    assert "entry point 'acme' of group engine.functions failed to load" in ran.stdout
    assert "function 'size' is one of the engine already" in ran.stdout


def test_check_second_package_with_the_same_function_is_refused(site: Path, policy: str) -> None:
    with (site / "acme_grades-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("other = other_grades\n")
    (site / "other_grades.py").write_text(MODULE)
    Path(policy).write_text(POLICY.replace("string(m)", "string(unknown(m))"))
    ran = engine(site, "check", policy)
    assert ran.returncode == 1
    assert "entry point 'other' of group engine.functions failed to load" in ran.stdout
    assert "function 'acme.grade' is one of entry point 'acme' already" in ran.stdout


@pytest.mark.slow
def test_eval_digest_covers_the_package(site: Path, policy: str) -> None:
    def digest() -> str:
        asked = ("eval", "--policy", policy, "--input", "-", "--format", "json")
        found = json.loads(engine(site, *asked, stdin='{"n": 3}').stdout)
        return str(found["policy"]["digest"])

    first = digest()
    assert digest() == first
    with (site / "acme_grades.py").open("a") as file:
        file.write("\n# another release\n")
    second = digest()
    info = site / "acme_grades-1.0.dist-info" / "METADATA"
    info.write_text(info.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert len({first, second, digest()}) == 3


@pytest.mark.slow
def test_example_package_does_what_its_examples_say(tmp_path: Path) -> None:
    example = TOP / "examples" / "functions"
    with (example / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    info = tmp_path / "acme_functions-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    ((group, entries),) = project["entry-points"].items()
    (info / "entry_points.txt").write_text(
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in entries.items())
    )
    shutil.copy(example / "acme_functions.py", tmp_path)
    file = tmp_path / "policy.yaml"
    output = "acme.tier('search-1') == 1 && acme.tier('search') == 3 && [3, 9, 4].spread() == 6"
    file.write_text(POLICY.partition("rule:")[0] + f'rule: {{match: [{{output: "{output}"}}]}}\n')
    ran = engine(
        tmp_path, "eval", "--policy", str(file), "--input", "-", "--format", "json", stdin='{"n": 3}'
    )
    assert json.loads(ran.stdout)["output"] is True, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--runtime", "cel-python"]], ids=["compiled", "cel-python"])
def test_eval_exception_of_a_package_is_an_error_with_its_place(
    options: list[str], site: Path, policy: str
) -> None:
    ran = engine(site, "eval", "--policy", policy, "--input", "-", *options, stdin='{"n": 9}')
    assert ran.returncode == 2
    assert "acme.grade: IndexError: list index out of range" in ran.stderr
    assert "policy.yaml:13:" in ran.stderr
