"""CEL's own conformance suite, on every runtime, through the engine's checker."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from engine.cel.checker import CelCheckError
from engine.cel.runtime import RUNTIMES
from engine.cel.types import DYN
from engine.cel.values import CelError
from tests.support.cel import conformance, declared_types, deviations, evaluate, same, tagged

SECTIONS: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _case in conformance():
    SECTIONS[f"{_case['file']}/{_case['section']}"].append(_case)

KNOWN = {text for texts in deviations().values() for text in texts}


def answers_as_the_suite(case: dict[str, Any], runtime: str) -> bool:
    values = {name: tagged(value) for name, value in (case.get("bindings") or {}).items()}
    types = dict.fromkeys(values, DYN) | declared_types(case)
    try:
        value = evaluate(case["expr"], runtime, values, types)
    except (CelCheckError, CelError):
        return "error" in case
    return "value" in case and same(value, tagged(case["value"]))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("section", SECTIONS)
def test_section(section: str, runtime: str) -> None:
    wrong = [case["expr"] for case in SECTIONS[section] if not answers_as_the_suite(case, runtime)]
    assert [text for text in wrong if text not in KNOWN] == []


def test_every_known_deviation_is_one_on_some_runtime() -> None:
    wrong = {
        case["expr"]
        for case in conformance()
        if case["expr"] in KNOWN and not all(answers_as_the_suite(case, runtime) for runtime in RUNTIMES)
    }
    assert wrong == KNOWN
