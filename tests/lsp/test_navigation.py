"""Definition and references through the protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lsp.documents import POLICY, write
from tests.support.editor import Editor

pytestmark = pytest.mark.xdist_group("lsp")


@pytest.mark.parametrize(
    ("mark", "declared"),
    [
        ("+ constants.mo|st", "quota/1.0.0.yaml:11: most"),
        ("int(variables.re|st)", "quota/1.0.0.yaml:21: rest"),
        ("&& use.sha|re", "usage/1.0.0.yaml:11: share"),
        ("&& us|e.share", "usage/1.0.0.yaml:3: usage"),
        ("{name: us|age@1", "usage/1.0.0.yaml:3: usage"),
        ("[pl|ans@1]", "plans/1.0.0.yaml:3: plans"),
        ("catalogs.pl|ans[", "plans/1.0.0.yaml:3: plans"),
        ("catalogs.plans[plan].to|kens", "plans/1.0.0.yaml:7: tokens"),
        ("condition: as|ked", "quota/1.0.0.yaml:6: asked"),
        ("    - id: ov|er", ""),
    ],
)
def test_definition_is_where_a_name_is_declared(
    editor: Editor, folder: Path, mark: str, declared: str
) -> None:
    policy = write(folder)
    editor.open(policy)
    assert editor.definition(policy, mark) == declared


def test_definition_from_a_suite_is_the_match_or_the_policy(editor: Editor, folder: Path) -> None:
    write(folder)
    suite = folder / "quota/tests/quota_test.yaml"
    editor.open(suite)
    assert editor.definition(suite, "{match: wit|hin}") == "quota/1.0.0.yaml:23: within"
    assert editor.definition(suite, "policy: quo|ta@1") == "quota/1.0.0.yaml:3: quota"
    assert editor.definition(suite, "inputs: {as|ked: 1") == "quota/1.0.0.yaml:6: asked"


def test_definition_of_a_constant_in_an_overlay_is_in_its_base(editor: Editor, folder: Path) -> None:
    write(folder)
    overlay = folder / "quota-acme/1.0.0.yaml"
    text = "apiVersion: engine/v1\nkind: Overlay\nname: quota-acme\nversion: 1.0.0\n"
    editor.open(overlay, text + "base: quota@1\nconstants: {most: 700}\n")
    assert editor.definition(overlay, "{mo|st: 700") == "quota/1.0.0.yaml:11: most"
    assert editor.definition(overlay, "base: quo|ta@1") == "quota/1.0.0.yaml:3: quota"
    assert "constants.most: int = 700" in editor.hover(overlay, "{mo|st: 700")


def test_references_are_found_across_files(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    library = folder / "library/usage/1.0.0.yaml"
    editor.open(library)
    other = folder / "other/1.0.0.yaml"
    text = "apiVersion: engine/v1\nkind: Policy\nname: other\nversion: 1.0.0\n"
    text += "inputs: [{name: asked, type: int}]\nlibraries: [usage@1]\n"
    text += "rule:\n  match:\n    - output: usage.share * usage.share\n"
    editor.open(other, text)
    assert editor.references(library, "- name: sh|are") == [
        "other/1.0.0.yaml:9: share",
        "other/1.0.0.yaml:9: share",
        "quota/1.0.0.yaml:24: share",
        "usage/1.0.0.yaml:11: share",
    ]
    assert editor.references(policy, "constants.mo|st") == [
        "quota/1.0.0.yaml:11: most",
        "quota/1.0.0.yaml:20: most",
    ]
    assert len(editor.references(policy, "condition: as|ked")) == 3


def test_reference_in_a_faulty_expression_is_found(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    editor.send(policy, POLICY.replace("int(variables.rest)", "constants.most + variables.nothing"))
    assert "quota/1.0.0.yaml:25: most" in editor.references(policy, "  mo|st: {value")
