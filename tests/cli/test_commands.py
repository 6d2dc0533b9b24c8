"""Names of commands."""

from __future__ import annotations

import pytest

from tests.conftest import Run


@pytest.mark.parametrize(
    ("name", "hint"),
    [("chekc", "did you mean 'check'?"), ("zzz", "engine --help lists the commands")],
)
def test_an_unknown_command_is_an_error_with_a_hint(run: Run, name: str, hint: str) -> None:
    ran = run(name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(f"unknown command '{name}'; {hint}\n")
