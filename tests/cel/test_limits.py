"""Limits of expressions: what the environment says of them holds for the whole process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import TOP

POLICY = """
apiVersion: engine/v1
kind: Policy
name: limited
version: 1.0.0
inputs: [{{name: n, type: int}}]
rule:
  match:
    - output: '{expression}'
"""


def decide(expression: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli.main", "eval", "--policy", "-", "--format", "json"]
    return subprocess.run(
        [*command, "--input", "tests/data/n.json"],
        input=POLICY.format(expression=expression),
        capture_output=True,
        text=True,
        cwd=TOP,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "name", "needed", "message"),
    [
        ("n + 1 + 2 + 3", "LENGTH", 13, "an expression of 13 characters, at most 12 are allowed"),
        ("n * (1 + (2 + n))", "DEPTH", 3, "nested deeper than 2 levels"),
        ('"12345" + "67890"', "VALUE_SIZE", 10, "a string longer than 9"),
        ("lists.range(7 + n)", "VALUE_SIZE", 8, "lists.range(8): more than 7 elements"),
        ("[[n, 2], [3]]", "RESULT_SIZE", 5, "a value of more than 4 elements"),
    ],
)
def test_a_limit_is_what_the_environment_says(expression: str, name: str, needed: int, message: str) -> None:
    variable = f"ENGINE_{name}" if name.endswith("SIZE") else f"ENGINE_EXPRESSION_{name}"
    ran = decide(expression, **{variable: str(needed)})
    assert ran.returncode == 0, ran.stderr
    ran = decide(expression, **{variable: str(needed - 1)})
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "<stdin>:9:" in ran.stderr


@pytest.mark.slow
def test_a_limit_that_is_no_number() -> None:
    ran = decide("n", ENGINE_EXPRESSION_DEPTH="deep")
    assert ran.returncode == 2
    assert ran.stderr == "error: ENGINE_EXPRESSION_DEPTH: expected a whole number from 1, found 'deep'\n"
