"""Every function and macro of the table does what its own example says, on every runtime."""

from __future__ import annotations

import pytest

from engine.cel import hints
from engine.cel.declarations import functions, macros
from engine.cel.runtimes import registry
from tests.support.cel import evaluate
from tests.support.runtimes import CPP_LACKS, RUNTIMES, runtimes_of

EXAMPLES = [
    *(
        (function.definition.example, runtime)
        for function in functions().values()
        for runtime in runtimes_of(function.definition)
    ),
    *(
        (macro.example, runtime)
        for library, macro in macros()
        for runtime in (registry.RUNTIMES if library.module in CPP_LACKS else RUNTIMES)
    ),
]


@pytest.mark.parametrize(("example", "runtime"), EXAMPLES)
def test_example_is_true(example: str, runtime: str) -> None:
    assert evaluate(example, runtime) is True


def test_every_function_says_what_it_does_and_where_it_comes_from() -> None:
    assert [
        f.name for f in functions().values() if not (f.definition.description and f.source and f.overloads)
    ] == []


def test_hints_are_about_functions_that_are_not_offered() -> None:
    assert functions().keys().isdisjoint({*hints._NOT_OFFERED, *hints._SAME})
