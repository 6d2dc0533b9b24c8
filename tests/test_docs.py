"""The generated pages are the code's, and what the pages say can be done can be done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import check_pages, cli_page, conformance_page, functions_page, targets_page
from tests.conftest import TOP, Run


def test_the_function_table_is_current() -> None:
    page = (TOP / "docs" / "functions.md").read_text(encoding="utf-8")
    assert page == functions_page(), "run python docs/generate.py"


@pytest.mark.slow
def test_the_conformance_page_is_current() -> None:
    page = (TOP / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert page == conformance_page(), "run python docs/generate.py"


@pytest.mark.slow
def test_targets_page_is_current() -> None:
    page = (TOP / "docs" / "targets.md").read_text(encoding="utf-8")
    assert page == targets_page(), "run python docs/generate.py"


def test_the_pages_of_checks_are_current() -> None:
    pages = check_pages()
    for name, page in pages.items():
        assert (TOP / "docs" / name).read_text(encoding="utf-8") == page, "run python docs/generate.py"
    assert len(list((TOP / "docs" / "checks").iterdir())) == len(pages)


def test_the_command_line_page_knows_every_option() -> None:
    """Word for word it depends on the version of click."""
    words = set((TOP / "docs" / "cli.md").read_text(encoding="utf-8").split())
    assert {word for word in cli_page().split() if word.startswith("-")} <= words


@pytest.mark.parametrize(
    "page", sorted([TOP / "README.md", *(TOP / "docs").rglob("*.md")]), ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([\w./-]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def normal(text: str) -> str:
    """Without what is another at every run."""
    return re.sub(r"in \d+\.\d\d s\b", "in … s", text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("calibration.md", 4),
        ("changing-a-threshold.md", 10),
        ("machines-and-models.md", 6),
        ("sharding-2.md", 20),
        ("sharding-3.md", 6),
        ("sizing.md", 6),
        ("types.md", 3),
        ("units.md", 3),
    ],
)
def test_a_chapter_prints_what_it_says(name: str, least: int, tmp_path: Path) -> None:
    page = (TOP / "docs" / name).read_text(encoding="utf-8")
    shutil.copytree(TOP / "policies", tmp_path / "policies")
    shutil.copytree(TOP / "examples", tmp_path / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = 0
    for kind, body in re.findall(r"```(console|yaml)\n(.*?)```", page, re.DOTALL):
        if kind == "yaml":
            name = body.removeprefix("# ").partition("\n")[0]
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(body, encoding="utf-8")
            continue
        printed = ""
        for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "PATH": path},
            )
            printed += f"$ {command}\n{done.stdout}"
            ran += 1
        assert normal(printed) == normal(body)
    assert ran > least


def test_the_suite_of_the_page_on_tests_passes(run: Run, tmp_path: Path) -> None:
    page = (TOP / "docs" / "testing-policies.md").read_text(encoding="utf-8")
    suite = next(
        block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Suite" in block
    )
    file = tmp_path / "page_test.yaml"
    file.write_text(suite, encoding="utf-8")
    ran = run("test", file)
    assert ran.code == 0, ran.out


def test_the_guides_policy_decides_as_the_guide_says(run: Run, tmp_path: Path) -> None:
    guide = (TOP / "docs" / "writing-policies.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"```yaml\n(# yaml-language-server.*?)```", guide, re.DOTALL)
    file = tmp_path / "placement" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(policy, encoding="utf-8")
    for answer, match, code in (
        ("model: {params: 3B}\nuser: night\n", "small", 0),
        ("model: {params: 30B}\nuser: day\n", "large", 0),
    ):
        ran = run(
            *("eval", "--policies", tmp_path, "--policy", "placement", "--input", "-", "--format", "json"),
            stdin=answer,
        )
        assert (ran.code, ran.json["match"]) == (code, match)


def test_the_first_page_prints_what_it_says(run: Run) -> None:
    """The output of the README's first command, in which … stands for what is left out."""
    page = (TOP / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"pip install \. && engine (eval .*)$", page, re.MULTILINE)
    said = page.split("The first decides how")[1].split("```\n")[1]
    ran = run(*command.replace("examples/", f"{TOP}/examples/").split())
    assert ran.code == 0, ran.err
    printed = iter(ran.out.splitlines())
    for line in said.splitlines():
        if line.strip() == "…":
            continue
        begins = line.rstrip("…")
        assert any(each == line or (line != begins and each.startswith(begins)) for each in printed), line
