"""Mistakes that authors make, and what `engine check` and `engine test` say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import DATA, Run

MISTAKES = DATA / "mistakes"
LISTED: dict[str, list[dict[str, Any]]] = yaml.safe_load((MISTAKES / "mistakes.yaml").read_text("utf-8"))


SITE: dict[str, Any] = yaml.safe_load((MISTAKES / "site.yaml").read_text("utf-8"))


def write(folder: Path, changed: str = "", old: str = "", new: str = "") -> Path:
    """Write the policy and its suite, one of them with a mistake."""
    files = {"policy": folder / "rate" / "1.0.0.yaml", "suite": folder / "rate" / "tests" / "rate_test.yaml"}
    for name, file in files.items():
        text = (MISTAKES / f"{name}.yaml").read_text(encoding="utf-8")
        if name == changed:
            assert old in text
            text = text.replace(old, new, 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return files[changed or "policy"]


def test_without_a_mistake_there_is_nothing_to_say(run: Run, tmp_path: Path) -> None:
    write(tmp_path)
    assert run("check", tmp_path).code == 0
    assert run("test", "--policies", tmp_path, tmp_path).code == 0


@pytest.mark.parametrize(
    ("changed", "mistake"),
    [(changed, each) for changed, listed in LISTED.items() for each in listed],
    ids=[each["name"] for listed in LISTED.values() for each in listed],
)
def test_a_mistake(changed: str, mistake: dict[str, Any], run: Run, tmp_path: Path) -> None:
    file = write(tmp_path, changed, mistake["old"], mistake["new"])
    if mistake.get("test"):
        ran = run("test", "--policies", tmp_path, tmp_path)
        said = ran.out + ran.err
    else:
        ran = run("check", file, "--format", "json")
        said = "\n".join(
            f"{each['message']}\n{each['hint']}"
            for each in ran.json["findings"]
            if each["code"] == mistake["code"]
        )
    assert ran.code == 1
    assert [part for part in mistake["says"] if part not in said] == [], said or ran.out


def test_a_changed_release(run: Run, tmp_path: Path) -> None:
    write(tmp_path)
    run("policies", "lock", tmp_path).ok(quiet=True)
    write(tmp_path, "policy", "value: 60,", "value: 90,")
    ran = run("check", tmp_path, "--format", "json")
    assert "E110" in {each["code"] for each in ran.json["findings"]}


TOGETHER = ("rate", "rate-acme", "library")
"""Folders whose files read each other."""


def write_site(folder: Path, mistake: dict[str, Any]) -> None:
    """Write the site; for a mistake, the files that have to do with it."""
    changed = mistake.get("file", "").partition("/")[0]
    for name, text in SITE["files"].items():
        owner = name.partition("/")[0]
        if changed not in ("", owner) and not {changed, owner} <= set(TOGETHER):
            continue
        if name == mistake.get("file"):
            assert mistake["old"] is None or mistake["old"] in text
            text = (
                mistake["new"] if mistake["old"] is None else text.replace(mistake["old"], mistake["new"], 1)
            )
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def test_the_site_without_a_mistake(run: Run, tmp_path: Path) -> None:
    write_site(tmp_path, {})
    assert run("check", tmp_path).ok(quiet=True).out.endswith("no findings\n")
    assert run("test", "--policies", tmp_path, tmp_path).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("mistake", SITE["mistakes"], ids=lambda each: each["name"])
def test_a_mistake_is_reported_once(mistake: dict[str, Any], run: Run, tmp_path: Path) -> None:
    write_site(tmp_path, mistake)
    ran = run("check", tmp_path, "--format", "json").ok(1, quiet=True)
    findings = ran.json["findings"]
    main = [each for each in findings if each["severity"] == "error"] or findings
    assert [(each["code"], f"{each['line']}:{each['column']}") for each in main] == [
        (mistake["code"], mistake["place"])
    ], findings
    said = f"{main[0]['message']}\n{main[0]['hint']}"
    assert [part for part in mistake["says"] if part not in said] == [], said
