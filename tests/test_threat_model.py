"""The threat model names modules and tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.conftest import TOP

PAGE = (TOP / "docs" / "threat-model.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| promise"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_promise_names_modules_and_tests_that_exist(row: list[str]) -> None:
    _, modules, tests = row
    for name in re.findall(r"`([^`]+)`", modules):
        place = TOP / "engine" / name
        assert place.is_dir() or place.with_suffix(".py").is_file(), name
    names = re.findall(r"`([^`]+)`", tests)
    assert names
    for name in names:
        path, _, test = name.split(" ")[0].partition("::")
        assert (TOP / path).exists(), path
        assert not test or f"def {test}(" in (TOP / path).read_text(), name


def test_page_has_promises() -> None:
    assert len(ROWS) >= 18
