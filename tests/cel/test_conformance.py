"""CEL's own conformance suite, on every runtime, through the engine's checker."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from engine.cel.runtime import RUNTIMES
from tests.support.cel import answers_as_the_suite, conformance, deviations

SECTIONS: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _case in conformance():
    SECTIONS[f"{_case['file']}/{_case['section']}"].append(_case)

KNOWN = {text for texts in deviations().values() for text in texts}


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
