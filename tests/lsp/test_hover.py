"""Hover through the protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lsp.documents import POLICY, write
from tests.support.editor import Editor

pytestmark = pytest.mark.xdist_group("lsp")


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        (
            "+ constants.mo|st",
            ["constants.most: int = 600", "Unit: token", "Most tokens of a request.", "1.0.0.yaml:11"],
        ),
        ("  mo|st: {value", ["constants.most: int = 600", "Unit: token"]),
        (
            "&& use.sha|re",
            [
                "variables.share: double",
                "Unit: ratio",
                "double(asked) / constants.whole",
                "usage/1.0.0.yaml:11",
            ],
        ),
        ("&& us|e.share", ["library usage@1.0.0", "How much is used."]),
        ("{name: us|age@1", ["library usage@1.0.0"]),
        ("int(variables.re|st)", ["variables.rest: int", "variables.allowed - asked"]),
        ("- name: al|lowed", ["variables.allowed: int", "Unit: token", "Tokens that the plan allows."]),
        ("catalogs.plans[plan].to|kens", ["PlansEntry.tokens: int", "Unit: token", "catalog plans@1.0.0"]),
        ("catalogs.pl|ans[plan]", ["catalogs.plans", "What customers pay for."]),
        ("catalogs.plans[pl|an]", ["plan: string"]),
        ("condition: ask|ed <=", ["asked: int", "Tokens 🚀 asked for."]),
        ('"🚀".si|ze()', ["string.size() -> int"]),
        ("      condi|tion: asked", ["**condition**", "A CEL expression."]),
        ("    - id: wit|hin", []),
    ],
)
def test_hover_shows_type_unit_value_description_and_source(
    editor: Editor, folder: Path, mark: str, shown: list[str]
) -> None:
    policy = write(folder)
    editor.open(policy)
    text = editor.hover(policy, mark)
    assert [each for each in shown if each not in text] == []


def test_cell_of_a_catalog_is_an_expression(editor: Editor, folder: Path) -> None:
    catalog = folder / "catalog/chips/1.0.0.yaml"
    text = (
        "apiVersion: engine/v1\nkind: Catalog\nname: chips\nversion: 1.0.0\n"
        "describes: {type: Device, by: kind}\n"
        "fields: {chips: {type: int, unit: chip, minimum: 1, description: Chips of a device}}\n"
        "columns: {rank: {type: int, description: Higher is better.}}\n"
        "entries:\n  Tpu: {fields: [chips], rank: {expression: device.chips + 1}}\n"
    )
    assert editor.open(catalog, text) == []
    shown = editor.hover(catalog, "device.chi|ps")
    assert "Device.chips: int" in shown
    assert "Unit: chip" in shown
    assert editor.definition(catalog, "device.chi|ps") == "chips/1.0.0.yaml:6: chips"
    editor.send(catalog, text.replace("device.chips + 1", "device."))
    assert {"chips", "name"} <= editor.complete(catalog, "device.|}").keys()


def test_field_of_a_declared_type_is_shown(editor: Editor, folder: Path) -> None:
    policy = folder / "pods/1.0.0.yaml"
    text = (
        "apiVersion: engine/v1\nkind: Policy\nname: pods\nversion: 1.0.0\n"
        "types:\n  Pod:\n    fields:\n"
        "      cores: {type: double, unit: core, description: Cores that it asks for.}\n"
        "      limits: {fields: {memory: {type: int, unit: byte, description: Most memory.}}}\n"
        "inputs: [{name: pod, type: Pod}]\n"
        "rule:\n  match:\n    - output: pod.cores > 1.0 && pod.limits.memory > 1\n"
    )
    assert editor.open(policy, text) == []
    shown = editor.hover(policy, "pod.co|res")
    assert [each for each in ("Pod.cores: double", "Unit: core", "Cores that") if each not in shown] == []
    assert "Unit: byte" in editor.hover(policy, "pod.limits.mem|ory")
    assert editor.definition(policy, "pod.limits.mem|ory") == "pods/1.0.0.yaml:9: memory"
    assert {"cores", "limits"} <= editor.complete(policy, "output: pod.|cores").keys()


def test_hover_keeps_the_last_good_text_while_the_file_is_broken(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    editor.change(policy, POLICY.replace("inputs:\n", "inputs: [\n"))
    assert "constants.most: int = 600" in editor.hover(policy, "+ constants.mo|st")


def test_hover_finds_lines_that_moved_in_a_broken_file(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    editor.change(
        policy, POLICY.replace("inputs:\n", "description: >-\n  Two lines,\n  and a fault.\ninputs: [\n")
    )
    assert "constants.most: int = 600" in editor.hover(policy, "+ constants.mo|st")


def test_hover_reads_an_expression_as_it_is_while_the_schema_is_broken(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    text = POLICY.replace("asked <= variables.allowed", "constants.most > asked").replace(
        "    - id: over", "    - odd: over"
    )
    editor.change(policy, text)
    assert "constants.most: int = 600" in editor.hover(policy, "condition: constants.mo|st")


def test_hover_shows_text_of_a_document_as_text(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    text = POLICY.replace("Most tokens of a request.", "'![x](https://example.com/a.png) <b>'")
    policy.write_text(text)
    editor.open(policy)
    assert r"\!\[x\](https://example.com/a.png) \<b\>".replace(r"\!", "!") in editor.hover(
        policy, "constants.mo|st"
    )
