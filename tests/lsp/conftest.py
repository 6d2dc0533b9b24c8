"""One server for all tests of this folder; each test has a folder of policies of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.editor import Editor

_NUMBERS = count()


@pytest.fixture(scope="session")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    root = tmp_path_factory.mktemp("workspace").resolve()
    editor = Editor(root)
    yield editor
    assert editor.close() == 0


@pytest.fixture
def folder(editor: Editor) -> Iterator[Path]:
    """A folder of policies in the editor's workspace, for one test."""
    path = editor.root / f"test-{next(_NUMBERS)}" / "policies"
    path.mkdir(parents=True)
    yield path
    editor.close_all()
    shutil.rmtree(path.parent)
