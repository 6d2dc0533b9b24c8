"""Diagnostics through the protocol: what `engine check` reports, of the texts in the editor."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types

from engine.regress.lint import check_paths
from tests.lsp.documents import LIBRARY, POLICY, SUITE, write
from tests.support.editor import Editor

pytestmark = pytest.mark.xdist_group("lsp")


def marked(editor: Editor, path: Path, diagnostic: types.Diagnostic) -> str:
    """Return the text that a diagnostic underlines."""
    line = editor.texts[path.as_uri()].splitlines()[diagnostic.range.start.line]
    units = line.encode("utf-16-le")
    return units[2 * diagnostic.range.start.character : 2 * diagnostic.range.end.character].decode(
        "utf-16-le"
    )


def messages(found: list[types.Diagnostic]) -> list[str]:
    return [each.message.partition("\n")[0] for each in found]


def test_unsaved_fault_is_reported_while_the_saved_file_is_sound(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    assert editor.open(policy) == []
    (found,) = editor.change(policy, POLICY.replace("constants.spare", "constants.spar"))
    assert found.message == "undeclared constant 'spar'\nhint: did you mean 'spare'?"
    assert (found.code, found.source, found.severity) == ("E102", "engine", types.DiagnosticSeverity.Error)
    assert marked(editor, policy, found) == "spar"
    assert editor.change(policy, POLICY) == []
    assert policy.read_text() == POLICY


def test_positions_count_utf_16_units(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    assert editor.capabilities.position_encoding == types.PositionEncodingKind.Utf16
    editor.open(policy)
    (found,) = editor.change(policy, POLICY.replace("int(variables.rest)", "int(variables.rst)"))
    assert marked(editor, policy, found) == "rst"
    assert found.range.start.character == len('      output: \'"xx".size() + int(variables.')


def test_line_ends_of_windows_are_the_same_lines(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    text = POLICY.replace("+ constants.most", "+ constants.mst").replace("\n", "\r\n")
    (found,) = editor.change(policy, text)
    assert marked(editor, policy, found) == "mst"
    assert found.range.start.line == 19


def test_change_of_a_library_is_seen_by_the_policy_that_reads_it(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    library = folder / "library/usage/1.0.0.yaml"
    editor.open(policy)
    editor.open(library)
    editor.send(library, LIBRARY.replace("name: share", "name: portion"))
    assert messages(editor.diagnostics(policy)) == ["library 'use' has no variable 'share'"]
    editor.send(library, LIBRARY)
    assert editor.diagnostics(policy) == []


def test_part_is_checked_with_the_other_parts(editor: Editor, folder: Path) -> None:
    write(folder)
    parts = folder / "halves/1.0.0"
    parts.mkdir(parents=True)
    head = "apiVersion: engine/v1\nkind: Policy\nname: halves\nversion: 1.0.0\n"
    head += "rule:\n  match: [{output: constants.one}]\n"
    (parts / "policy.yaml").write_text(head)
    part = parts / "numbers.yaml"
    text = (
        "apiVersion: engine/v1\nkind: Part\nconstants:\n  one: {value: 1, unit: ratio, description: One.}\n"
    )
    assert editor.open(part, text) == []
    editor.send(part, text.replace("one:", "two:"))
    assert "undeclared constant 'one'" in messages(editor.diagnostics(parts / "policy.yaml"))


def test_suite_is_checked_against_the_policy_as_it_is_open(editor: Editor, folder: Path) -> None:
    policy, suite = write(folder), folder / "quota/tests/quota_test.yaml"
    editor.open(policy)
    assert editor.open(suite) == []
    (found,) = editor.change(suite, SUITE.replace("{match: within}", "{match: withn}"))
    assert found.message.startswith("policy quota@1.0.0 has no match 'withn'")
    editor.change(suite, SUITE)
    editor.send(policy, POLICY.replace("id: over", "id: beyond"))
    assert messages(editor.diagnostics(suite)) == ["policy quota@1.0.0 has no match 'over'"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "apiVersion: engine/v1\nkind: [",
        "apiVersion: engine/v1\nkind: Policy\n\tname: x\n",
        "apiVersion: engine/v1\nkind: Policy\nname: x\nversion: 1.0.0\nrule: {match: [{output: '((('}]}\n",
        "apiVersion: engine/v1\nkind: Policy\nname: x\nversion: 1.0.0\nrule: {match: [{output: 'a.'}]}\n",
        "apiVersion: engine/v1\nkind: Policy\nrule: {match: 3, variables: [null]}\n",
        "apiVersion: engine/v1\nkind: Library\nname: x\nversion: 1.0.0\nvariables: {}\n",
        "apiVersion: engine/v1\nkind: Suite\npolicy: ../../../../etc/passwd\ntests: []\n",
        "apiVersion: engine/v1\nkind: 🚀\n",
        "apiVersion: engine/v1\n" + "- " * 500,
        "apiVersion: engine/v1\nkind: Policy\nx: \x00\n",
        "apiVersion: engine/v1\nkind: Policy\nname: x\nversion: 1.0.0\nrule: {match: [{output: '"
        + "(" * 400
        + "'}]}\n",
    ],
)
def test_broken_text_is_reported_and_ends_nothing(editor: Editor, folder: Path, text: str) -> None:
    policy = write(folder)
    editor.open(policy)
    found = editor.change(policy, text)
    assert all("internal error" not in each.message for each in found)
    assert found
    assert editor.change(policy, POLICY) == []


def test_yaml_of_something_else_is_left_alone(editor: Editor, folder: Path) -> None:
    policy, other = write(folder), folder / "compose.yaml"
    editor.show(other, "services: {web: {image: nginx}}\n")
    editor.send(other, "services: {web: [")
    editor.open(policy)
    assert other.as_uri() not in editor.published_about


@pytest.mark.slow
def test_every_example_of_a_check_is_reported_as_the_command_does(editor: Editor) -> None:
    data = Path(__file__).parents[1] / "data" / "checks"
    for bad in sorted(data.glob("E1*/bad.yaml")):
        expected = {(each.code, each.problem.message) for each in check_paths([bad]).findings}
        published = {(each.code, each.message.partition("\nhint: ")[0]) for each in editor.open(bad)}
        assert published == expected, bad
        editor.close_file(bad)
