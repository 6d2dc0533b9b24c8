"""CEL's own conformance suite, on every runtime, through the engine's checker."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from tests.support.cel import (
    all_conformance,
    answers_as_the_suite,
    conformance,
    deviations,
    not_offered,
    oracle_lacks,
)
from tests.support.runtimes import CEL_CPP, RUNTIMES

SECTIONS: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _case in conformance():
    SECTIONS[f"{_case['file']}/{_case['section']}"].append(_case)

KNOWN = {text for texts in deviations().values() for text in texts}


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("section", SECTIONS)
def test_section(section: str, runtime: str) -> None:
    cases = [case for case in SECTIONS[section] if runtime != CEL_CPP or not oracle_lacks(case)]
    wrong = [case["expr"] for case in cases if not answers_as_the_suite(case, runtime)]
    assert [text for text in wrong if text not in KNOWN] == []


def test_every_known_deviation_is_one_on_some_runtime() -> None:
    wrong = {
        case["expr"]
        for case in conformance()
        if case["expr"] in KNOWN and not all(answers_as_the_suite(case, runtime) for runtime in RUNTIMES)
    }
    assert wrong == KNOWN


def test_no_file_and_no_case_is_left_out_silently() -> None:
    cases = all_conformance()
    assert len({case["file"] for case in cases}) == 29
    assert len(cases) == 2456
    assert len(conformance()) + sum(not_offered(case) is not None for case in cases) == 2456
    assert len(conformance()) > 1_700
