"""Completion through the protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lsp.documents import POLICY, SUITE, write
from tests.support.editor import Editor

pytestmark = pytest.mark.xdist_group("lsp")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("asked <= |", {"asked", "plan", "variables", "constants", "use", "catalogs", "size", "math"}),
        ("asked <= constants.|", {"most", "spare"}),
        ("asked <= constants.mo|", {"most"}),
        ("variables.|", {"allowed", "rest"}),
        ("use.|", {"share"}),
        ("catalogs.|", {"plans"}),
        ("catalogs.plans[plan].|", {"tokens", "channels"}),
        ('catalogs.plans["|', {"small", "large"}),
        ("math.|", {"ceil", "greatest"}),
        ("plan.|", {"startsWith", "size"}),
        ("catalogs.plans[plan].channels.|", {"map", "exists", "size", "join"}),
        ("catalogs.plans[plan].channels.exists(channel, channel.|", {"startsWith"}),
        ("catalogs.plans[plan].channels.exists(channel, cha|", {"channel"}),
        ("asked > 1 ? variables.|", {"allowed"}),
        ("(asked + size([asked, variables.|", {"rest"}),
    ],
)
def test_names_fields_functions_and_columns_are_offered(
    editor: Editor, folder: Path, written: str, offered: set[str]
) -> None:
    policy = write(folder)
    editor.open(policy)
    sound = "condition: asked <= variables.allowed && use.share < constants.spare"
    before = written.rstrip("|")
    editor.send(policy, POLICY.replace(sound, f"condition: {before}"))
    assert offered <= editor.complete(policy, f"condition: {written}").keys()
    editor.send(policy, POLICY.replace(sound, f"condition: >-\n        true &&\n        {before}"))
    assert offered <= editor.complete(policy, f"        {written}\n").keys()


def test_what_does_not_fit_is_not_offered(editor: Editor, folder: Path) -> None:
    policy = write(folder)
    editor.open(policy)
    editor.send(policy, POLICY.replace("+ constants.most", "+ constants.m"))
    assert editor.complete(policy, "+ constants.m|").keys() == {"most"}
    item = editor.complete(policy, "+ constants.m|")["most"]
    assert (item.detail, item.documentation) == ("int token = 600", "Most tokens of a request.")


@pytest.mark.parametrize(
    ("old", "new", "mark", "offered"),
    [
        ("    - id: over\n", "    - id: over\n      expl\n", "      expl|\n", {"explanation"}),
        ("rule:\n", "rule:\n  \n", "rule:\n  |\n", {"id", "table", "description"}),
        ("name: plan, type: string}", "name: plan, type: string, opt}", "opt|}", {"optional"}),
        ("name: plan, type: string}", "name: plan, type: str}", "type: str|}", {"string"}),
        ("[plans@1]", "[plans@1, ]", "[plans@1, |]", {"plans@1", "products@1"}),
        ("{name: usage@1,", "{name: us,", "{name: us|,", {"usage@1"}),
        (
            "    - id: within\n",
            "    - id: within\n      plan: {builder: s}\n",
            "builder: s|}",
            {"single_device"},
        ),
        ("version: 1.0.0\n", "version: 1.0.0\nconst\n", "\nconst|\n", set()),
        ("kind: Policy", "kind: P", "kind: P|", {"Policy"}),
    ],
)
def test_keys_and_values_are_offered_by_the_schema(
    editor: Editor, folder: Path, old: str, new: str, mark: str, offered: set[str]
) -> None:
    policy = write(folder)
    editor.open(policy)
    editor.send(policy, POLICY.replace(old, new, 1))
    found = editor.complete(policy, mark)
    assert offered <= found.keys()


def test_suite_offers_the_matches_of_its_policy(editor: Editor, folder: Path) -> None:
    write(folder)
    suite = folder / "quota/tests/quota_test.yaml"
    editor.open(suite)
    editor.send(suite, SUITE.replace("{match: within}", "{match: }"))
    assert {"within", "over"} <= editor.complete(suite, "{match: |}").keys()
    editor.send(suite, SUITE.replace("inputs: {asked: 1, plan: small}", "inputs: {as}"))
    assert "asked" in editor.complete(suite, "inputs: {as|}")
