"""Formulas of catalogs: arithmetic over names, and text that is none."""

from __future__ import annotations

import pytest

from engine.model.formula import FormulaError, evaluate

NAMES = {"hidden": 64, "heads": 4, "bias": 1, "none": 0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 * hidden + heads", 132),
        ("hidden // heads - 1", 15),
        ("ceil(hidden + 1, heads)", 17),
        ("hidden if bias and not none else 0", 64),
        ("none or 4 * hidden", 256),
        ("max(hidden, heads) % 10", 4),
    ],
)
def test_evaluate_a_formula_returns_its_value(text: str, value: int) -> None:
    assert evaluate(text, NAMES.__getitem__) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "hidden // none",
            "2 ** 9999999",
            "hidden.real",
            "__import__('os')",
            "'a' * 3",
            "[1]",
            "lambda: 1",
            "f'{hidden}'",
        ),
        *("hidden +", "", "(" * 500, "open(1)", "hidden := 3", "1.5", "max(hidden, key=heads)", "x" * 3_000),
    ],
)
def test_evaluate_other_text_is_an_error(text: str) -> None:
    with pytest.raises(FormulaError):
        evaluate(text, NAMES.__getitem__)
