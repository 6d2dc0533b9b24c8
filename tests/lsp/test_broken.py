"""Texts as they are while somebody types: no request about them fails, whatever is cut off or put in."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from engine.base.errors import EngineError
from engine.lsp import convert
from engine.lsp.actions import actions
from engine.lsp.completion import complete
from engine.lsp.diagnostics import diagnose
from engine.lsp.hover import hover
from engine.lsp.navigation import definition, references
from engine.lsp.rename import rename
from engine.lsp.workspace import Workspace
from tests.lsp.documents import LIBRARY, POLICY, write

TYPED = (*tuple("{}]'\"\n\t🚀\u2028|\x00"), ": ", "- ", "&a ", "*a", "variables.", "\r\n")


def edits(text: str, count: int, seed: int) -> list[tuple[str, int]]:
    """Return a text cut off, with characters put in and taken out, and where."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        at = draw.randrange(len(text))
        tail = draw.choice(("", draw.choice(TYPED) + text[at:], text[at + draw.randrange(1, 40) :]))
        found.append((text[:at] + tail, at))
    return found


def ask(workspace: Workspace, path: str, line: int, character: int) -> None:
    """Make every request about a position; a rename may be refused."""
    shown = hover(workspace, path, line, character)
    if shown is not None:
        convert.hover_of(shown)
    convert.completion_of(complete(workspace, path, line, character))
    declared = definition(workspace, path, line, character)
    for place in (declared, *references(workspace, path, line, character)):
        if place is not None:
            convert.location(place, str)
    with suppress(EngineError):
        convert.workspace_edit(rename(workspace, path, line, character, "another"), str)


@pytest.mark.parametrize(
    ("name", "text"), [("quota/1.0.0.yaml", POLICY), ("library/usage/1.0.0.yaml", LIBRARY)]
)
def test_no_request_fails_on_a_half_written_text(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path.resolve() / "policies")
    path = str(tmp_path.resolve() / "policies" / name)
    workspace = Workspace()
    workspace.roots = [str(tmp_path.resolve())]
    for broken, at in edits(text, 40, seed=7):
        workspace.put(path, broken)
        for marked in (each for found in diagnose(workspace, path).values() for each in found):
            assert "internal error" not in marked.message
            convert.diagnostic(marked)
            for action in actions(marked):
                convert.code_action(action, str)
        line = text.count("\n", 0, at)
        for character in (0, 9, 30):
            workspace.within(lambda at=line, behind=character: ask(workspace, path, at, behind))
    workspace.put(path, text)
    assert not diagnose(workspace, path)[path]


def test_text_of_another_file_is_not_followed_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("apiVersion: engine/v1\nkind: Settings\n")
    inside = tmp_path / "workspace"
    inside.mkdir()
    (inside / "link.yaml").symlink_to(outside)
    workspace = Workspace()
    workspace.roots = [str(inside)]
    assert list(workspace.files()) == []
