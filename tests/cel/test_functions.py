"""Every function and macro of the table does what its own example says, on every runtime."""

from __future__ import annotations

import pytest

from engine.cel.functions import MACROS, functions
from engine.cel.runtime import RUNTIMES
from tests.support.cel import evaluate

EXAMPLES = [function.example for function in functions().values()] + [macro.example for macro in MACROS]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_true(example: str, runtime: str) -> None:
    assert evaluate(example, runtime) is True


def test_every_function_says_what_it_does_and_where_it_comes_from() -> None:
    assert [f.name for f in functions().values() if not (f.description and f.source and f.overloads)] == []
