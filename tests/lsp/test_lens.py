"""Code lenses through the protocol: what a policy's suites decide by each match."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.lsp.counting import Counts
from tests.lsp.documents import POLICY, write
from tests.support.editor import PATIENCE, Editor

pytestmark = pytest.mark.xdist_group("lsp")


@pytest.mark.slow
def test_lens_counts_requests_and_tests_of_each_match(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.refreshed.clear()
    editor.open(policy)
    assert editor.lenses(policy) == {}  # a process counts them
    assert editor.refreshed.wait(PATIENCE)
    assert editor.lenses(policy) == {
        23: "decides 3 of 4 requests; 2 tests",
        26: "decides 1 of 4 requests; 1 test",
    }
    editor.refreshed.clear()
    editor.change(policy, POLICY.replace("asked <= variables.allowed", "asked <= 100"))
    editor.save(policy)
    assert editor.refreshed.wait(PATIENCE)
    assert editor.lenses(policy) == {
        23: "decides 2 of 4 requests; 2 tests",
        26: "decides 2 of 4 requests; 1 test",
    }


def test_title_names_none_and_one() -> None:
    counts = Counts(1, {"first": (1, 1)})
    assert counts.title("first") == "decides 1 of 1 request; 1 test"
    assert counts.title("other") == "decides none of 1 request"
