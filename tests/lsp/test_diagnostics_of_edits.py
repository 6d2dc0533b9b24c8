"""Rename and code actions through the protocol: edits that the editor applies."""

from __future__ import annotations

from pathlib import Path

import pytest
from pygls.exceptions import JsonRpcException

from tests.lsp.documents import LIBRARY, POLICY, SUITE, write
from tests.support.editor import Editor

pytestmark = pytest.mark.xdist_group("lsp")

OVERLAY = """\
apiVersion: engine/v1
kind: Overlay
name: quota-acme
version: 1.0.0
base: quota@1
constants: {most: 700}
matches:
  - id: large
    before: over
    condition: asked > constants.most
    output: "-2"
"""
REASONS = """\
equivalent:
  - mutant: "constants.most: 600 → 601"
    reason: constants.most is never reached.
"""
LIBRARY_SUITE = """\
apiVersion: engine/v1
kind: Suite
policy: library/usage@1
unreachable:
  - {point: "variables.share: never", reason: None.}
tests:
  - name: half
    columns: [asked, output.share]
    cases: [[500, 0.5]]
  - {name: whole, inputs: {asked: 1000}, expect: {output: {share: 1.0}}}
"""


def test_constant_is_renamed_in_all_files_of_the_policy(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    suite, overlay = folder / "quota/tests/quota_test.yaml", folder / "quota-acme/1.0.0.yaml"
    suite.write_text(SUITE + REASONS)
    overlay.parent.mkdir()
    overlay.write_text(OVERLAY)
    editor.open(policy)
    assert editor.rename(policy, "+ constants.mo|st", "limit") == {
        "quota/1.0.0.yaml": POLICY.replace("most:", "limit:").replace("constants.most", "constants.limit"),
        "quota-acme/1.0.0.yaml": OVERLAY.replace("most", "limit"),
        "tests/quota_test.yaml": SUITE + REASONS.replace("constants.most", "constants.limit"),
    }
    assert policy.read_text() == POLICY


def test_variable_of_a_library_is_renamed_in_its_policies_and_suites(editor: Editor, folder: Path) -> None:
    write(folder)
    library, suite = folder / "library/usage/1.0.0.yaml", folder / "library/usage/tests/usage_test.yaml"
    suite.parent.mkdir()
    suite.write_text(LIBRARY_SUITE)
    editor.open(library)
    assert editor.rename(library, "- name: sh|are", "portion") == {
        "usage/1.0.0.yaml": LIBRARY.replace("name: share", "name: portion"),
        "quota/1.0.0.yaml": POLICY.replace("use.share", "use.portion"),
        "tests/usage_test.yaml": LIBRARY_SUITE.replace("share", "portion"),
    }


def test_macro_variable_of_the_same_name_stays(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    policy.write_text(POLICY.replace("int(variables.rest)", "[1].map(most, most)[0] + constants.most"))
    editor.open(policy)
    (renamed,) = editor.rename(policy, "  mo|st: {value", "limit").values()
    assert "[1].map(most, most)[0] + constants.limit" in renamed


@pytest.mark.parametrize(
    ("mark", "name", "reason"),
    [
        ("+ constants.mo|st", "spare", "duplicate key"),
        ("+ constants.mo|st", "in", "reserved word"),
        ("+ constants.mo|st", "two words", "not a name"),
        ("condition: as|ked", "wanted", "only constants and variables"),
        ("catalogs.plans[plan].to|kens", "units", "only constants and variables"),
        ("int(variables.re|st)", "allowed", "declared twice"),
    ],
)
def test_rename_that_would_be_wrong_is_refused(
    editor: Editor, folder: Path, mark: str, name: str, reason: str
) -> None:
    policy = write(folder)
    editor.open(policy)
    with pytest.raises(JsonRpcException, match=reason):
        editor.rename(policy, mark, name)
    assert "constants.most" in editor.hover(policy, "+ constants.mo|st")


def test_rename_in_a_broken_file_is_refused(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    editor.change(policy, POLICY.replace("inputs:\n", "inputs: [\n"))
    with pytest.raises(JsonRpcException, match="has errors: correct them first"):
        editor.rename(policy, "+ constants.mo|st", "limit")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("constants.spare\n", "constants.spar\n"),
        ("use.share <", "use.shar <"),
        ("variables.allowed &&", "variables.alowed &&"),
        ("name: plan, type: string", "name: plan, type: strng"),
        ("condition: asked", "conditon: asked"),
        ("asked == variables.allowed", "asked = variables.allowed"),
        ("[plans@1]", "[plan@1]"),
        ('"🚀".size()', '"🚀".sizes()'),
    ],
)
def test_hint_is_offered_as_an_edit(editor: Editor, folder: Path, right: str, wrong: str) -> None:
    policy, sound = write(folder), POLICY.replace("asked <=", "asked ==")
    editor.open(policy)
    assert right in sound
    found = editor.change(policy, sound.replace(right, wrong))
    assert sound in [text for each in found for text in editor.actions(policy, each).values()]


def test_warning_can_be_silenced_by_an_edit(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    unused = "constants:\n  unused: {value: 1, unit: ratio, description: Nothing.}\n"
    (found,) = editor.change(policy, POLICY.replace("constants:\n", unused))
    (edited,) = editor.actions(policy, found).values()
    assert editor.change(policy, edited) == []
