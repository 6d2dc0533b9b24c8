"""Nothing printed for people acts on a terminal, a log or a page, whatever names documents have."""

from __future__ import annotations

import io
import json
import re
import unicodedata
import xml.etree.ElementTree as xml
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine.render
from engine.base.printable import cleaned, printable, printable_lines
from engine.decide.policy import load_policy
from engine.decide.request import Request
from engine.render import Screen, inventory, model
from engine.render.picture import svg
from tests.conftest import Run, examples

ATTACKS = (
    *("\x1b]52;c;aGk=\x07", "\x1b[2J\x1b[H", "\x9b31m", "\x9d52;c;aGk=\x9c", "\x7f\x08\x08", "a\rb"),
    *("x\n::error file=a::b", "::warning::x", " \t::add-mask::x", "##[group]x", "##vso[task.setvariable]x"),
    *(
        "x\nok 99 - all is well",
        "x # SKIP",
        "# TODO",
        "Bail out!\nBail out!",
        "</text><script>alert(1)</script>",
    ),
    *("\u202eevil", "\u2066a\u2069", "\u200e\u200f\u061c", "a\u200bb\ufeff", "a\u2028b\u2029c", "\U000e0041"),
    *("\ufffe\uffff", "a|b`c``d", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "]]>&amp;<!--"),
    *("'; rm -rf ~; '", "$(id)", "`id`", "%0A::error::", "a\x00b", "@team", "\\", "a\x85b\x0bc\x0cd\x1ce"),
)
TEXTS = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(st.sampled_from("".join(ATTACKS) + " ab1é漢"), min_size=1, max_size=40),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.lists(st.sampled_from(ATTACKS), min_size=2, max_size=4).map("".join),
)
SLOW = settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))


def safe(text: str, *, logs: bool = True) -> None:
    """By Unicode's own tables, not by the engine's: nothing unseen, and no command."""
    for character in set(text) - set("\n\t"):
        kind = unicodedata.category(character)
        # Numbers' signs of some scripts are of the category of what has no form, and have one.
        signs = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
        egyptian = "\U00013430" <= character <= "\U0001345f"
        unseen = kind in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in signs and not egyptian
        assert not unseen, f"U+{ord(character):04X} in {text!r}"
        assert character not in "\ufffe\uffff"
    if logs:
        for line in re.split(r"[\n\r]", text):
            assert not line.strip().startswith("::"), line
        assert "##[" not in text
        assert "##vso[" not in text


def request_of(name: str, model_name: str) -> dict[str, Any]:
    return {
        "inventory": {
            "devices": [
                {"kind": "CudaGpu", "memory": "80GiB", "name": name, "node": model_name, "device_id": number}
                for number in range(2)
            ]
        },
        "model": {"params": "7B", "name": model_name, "dtype": name},
        "quantization": "bf16",
    }


class Text(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.slow
@SLOW
@given(TEXTS, TEXTS)
def test_decisions(name: str, other: str) -> None:
    policy = load_policy("sharding@1.0.0")
    decision = policy.decide(Request.from_dict(request_of(name, other)), explain=True)
    for screen in (Screen(100), Screen(60, True)):
        text = engine.render.render(decision, "text", screen)
        safe(re.sub(r"\x1b\[[0-9;]*m", "", text) if screen.color else text)
    picture = engine.render.render(decision, "svg")
    safe(picture, logs=False)
    drawn = "".join(xml.fromstring(picture).itertext())
    assert printable(name)[:20] in drawn
    assert printable(other) in drawn
    page = Text()
    page.feed(engine.render.render(decision, "html"))
    safe(page.text)
    assert not page.tags & {"script", "img", "a"}
    written = engine.render.render(decision, "yaml")
    safe(written)
    assert yaml.safe_load(written) == json.loads(engine.render.render(decision, "json"))


@pytest.mark.slow
@SLOW
@given(TEXTS, TEXTS)
def test_inventories_and_models(name: str, other: str) -> None:
    request = Request.from_dict(request_of(name, other))
    assert request.inventory is not None
    assert request.model is not None
    for text in (
        inventory.text(request.inventory),
        inventory.as_yaml(request.inventory),
        model.text(request.model),
    ):
        safe(text)
    document = yaml.safe_load(inventory.as_yaml(request.inventory))
    assert document["devices"][0]["name"] == name
    assert len(inventory.text(request.inventory).splitlines()) == 3
    xml.fromstring(svg(request.inventory, name, other))


@pytest.mark.slow
@settings(SLOW, max_examples=examples(12))
@given(TEXTS, TEXTS)
def test_suites(run: Run, tmp_path_factory: Any, name: str, other: str) -> None:
    """Names of tests, explanations and errors in every form of `engine test`."""
    folder = tmp_path_factory.mktemp("suite")
    literal = json.dumps(json.dumps(other.replace("\x00", "")))
    (folder / "p.yaml").write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: p\nversion: 1.0.0\ninputs: [{name: x, type: string}]\n"
        f"rule:\n  match: [{{id: only, output: x, explanation: {literal}}}]\n"
    )
    tests = [
        {"name": name, "inputs": {"x": other}, "expect": {"output": other}},
        {"name": f"{name} 2", "inputs": {"x": other}, "expect": {"output": name + "!", "explanation": name}},
        {"name": f"{name} 3", "inputs": {"x": 3}, "expect": {"output": name}},
    ]
    suite = {"apiVersion": "engine/v1", "kind": "Suite", "policy": "p.yaml", "tests": tests}
    (folder / "p_test.yaml").write_text(json.dumps(suite))
    ran = run("test", folder)
    assert ran.code in (1, 2)
    safe(ran.out + ran.err)
    ran = run("test", folder, "--format", "tap")
    safe(ran.out + ran.err)
    lines = [line for line in ran.out.split("\n") if re.match(r"\s*(not )?ok\b", line)]
    assert len(lines) == int(ran.out.split("\n")[1].removeprefix("1.."))
    assert all(re.fullmatch(r"(not )?ok \d+ - (?:[^#\\]|\\[#\\])*", line) for line in lines), lines
    ran = run("test", folder, "--format", "junit")
    safe(ran.out + ran.err)
    cases = xml.fromstring(ran.out.partition("\n")[2]).findall(".//testcase")
    assert [case.get("name") for case in cases][:1] == [printable(name)] or len(cases) == 1


HOSTILE_FILE = "x\x1b]52;c;aGk=\x07\u202e\n::error::y.yaml"


@pytest.mark.parametrize("form", ["text", "github", "sarif"])
def test_findings(form: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / HOSTILE_FILE
    file.write_text('apiVersion: engine/v1\nkind: Policy\n"a\\e[31m\u202e::error::": 1\n')
    ran = run("check", file, "--format", form)
    assert ran.code == 1
    if form == "github":
        assert all(line.startswith(("::error file=", "::warning file=")) for line in ran.out.splitlines())
    safe(ran.out + ran.err, logs=form != "github")
    if form == "sarif":
        json.loads(ran.out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "--inventory", HOSTILE_FILE),
        ("eval", "--policy", HOSTILE_FILE, "--params", "7B"),
        ("eval", "--model", HOSTILE_FILE),
        ("eval", "--quantization", HOSTILE_FILE, "--inventory", "h100", "--params", "7B"),
        ("eval", "--inventory", "h100", "--format", HOSTILE_FILE),
        ("eval", f"--{HOSTILE_FILE}"),
        (HOSTILE_FILE,),
        ("test", HOSTILE_FILE),
        ("check", HOSTILE_FILE),
        ("diff", HOSTILE_FILE, HOSTILE_FILE, "--search"),
        ("batch", HOSTILE_FILE),
        ("policies", "show", HOSTILE_FILE),
        ("inventory", "import", HOSTILE_FILE),
    ],
)
def test_errors(arguments: tuple[str, ...], run: Run) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    safe(ran.out + ran.err)


@pytest.mark.parametrize(
    "text", ["kind: [\x1b]52;c;aGk=\x07", "devices: [{kind: '\u202e', mem: 1}]", "a: \u2028 [", "{\x9b"]
)
def test_excerpts(text: str, run: Run) -> None:
    ran = run("eval", "--inventory", "-", "--params", "7B", "--quantization", "bf16", stdin=text)
    assert ran.code == 2
    safe(ran.out + ran.err)


@pytest.mark.slow
@SLOW
@given(TEXTS)
def test_escapes(text: str) -> None:
    safe(printable_lines(text))
    assert "\n" not in printable(text)
    assert printable_lines(printable_lines(text)) == printable_lines(text)
    assert cleaned({"a": [text, (text,)]}) == {"a": [printable(text), (printable(text),)]}


def test_what_shows_stays() -> None:
    for text in ("NVIDIA H100 80GB HBM3", "é漢字 🚀 −5 °C", "a\\b::c", "#1 ## x", "٣ ש"):
        assert printable(text) == text
    stream = io.StringIO()
    stream.write(printable("\ud800"))
    assert stream.getvalue() == "\\ud800"
