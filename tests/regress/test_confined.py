"""Files that suites name: inside the suite's folder, through no link, and never anything else."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.documents.confined import ConfinedError, parts_of, read_below, write_below
from tests.conftest import Run

POLICY = """
apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs: [{name: x, type: int}]
rule:
  match: [{id: only, output: x + 1}]
"""
SECRET = "PASSWORD=hunter2"


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """What hangs fails."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of suites, and beside it files that are none of its business."""
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "p.yaml").write_text(POLICY)
    for name in ("secret.json", "secret.yaml"):
        (tmp_path / name).write_text(f"{SECRET}\n")
    return folder


def suite(folder: Path, golden: str, policy: str = "p.yaml") -> Path:
    path = folder / "p_test.yaml"
    path.write_text(
        f"apiVersion: engine/v1\nkind: Suite\npolicy: {json.dumps(policy)}\n"
        f"tests: [{{name: a, inputs: {{x: 1}}, expect: {{golden: {json.dumps(golden)}}}}}]\n"
    )
    return path


def refused(run: Run, path: Path, *options: str) -> str:
    """What a suite is refused with: never a secret, always a place."""
    ran = run("test", path, *options)
    assert ran.code == 2, ran.out + ran.err
    assert "hunter2" not in ran.out + ran.err
    assert re.search(rf"{re.escape(str(path))}:\d+:\d+: (golden|policy): ", ran.out), ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err
    return ran.out


NAMES = (
    *("../secret.json", "a/../../secret.json", "./../secret.json", "golden/../../../secret.json"),
    *(
        "/etc/hostname.json",
        "C:/x.json",
        "C:x.json",
        "..\\secret.json",
        "\\\\host\\share\\x.json",
        "a\\b.json",
    ),
    *("x\u0000.json", "x\n.json", "..", ".", "/", "golden/", "p.yaml", "p_test.yaml", ".json/"),
)


@pytest.mark.parametrize("options", [(), ("--update",)])
@pytest.mark.parametrize("name", NAMES)
def test_names_that_leave_the_folder(name: str, options: tuple[str, ...], run: Run, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    path = suite(folder, name)
    refused(run, path, *options)
    after = {each: each.read_bytes() for each in folder.parent.rglob("*") if each.is_file()}
    assert {**before, path: path.read_bytes()} == after


def test_an_absolute_name(run: Run, folder: Path) -> None:
    refused(run, suite(folder, str(folder.parent / "secret.json")), "--update")
    refused(run, suite(folder, str(folder / "golden.json")), "--update")
    assert not (folder / "golden.json").exists()


@pytest.mark.parametrize("options", [(), ("--update",)])
def test_links(options: tuple[str, ...], run: Run, folder: Path) -> None:
    """Of the file, of a folder on the way, of one that leads back inside, of one that leads nowhere."""
    (folder / "file.json").symlink_to("../secret.json")
    (folder / "out").symlink_to("..")
    (folder / "in").symlink_to(".")
    (folder / "nowhere.json").symlink_to("../new.json")
    (folder / "deep").mkdir()
    (folder / "deep" / "out").symlink_to("../..")
    for name in ("file.json", "out/secret.json", "in/golden.json", "nowhere.json", "deep/out/secret.json"):
        assert "a symbolic link" in refused(run, suite(folder, name), *options)
    assert (folder.parent / "secret.json").read_text() == f"{SECRET}\n"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["secret.json", "secret.yaml", "suites"]


@pytest.mark.parametrize("options", [(), ("--update",)])
def test_what_is_no_regular_file(options: tuple[str, ...], run: Run, folder: Path) -> None:
    os.mkfifo(folder / "fifo.json")
    (folder / "folder.json").mkdir()
    assert "a FIFO" in refused(run, suite(folder, "fifo.json"), *options)
    assert "a directory" in refused(run, suite(folder, "folder.json"), *options)
    assert "'p.yaml' is a regular file" in refused(run, suite(folder, "p.yaml/x.json"), *options)
    with (folder / "huge.json").open("wb") as file:
        file.truncate(1 << 40)
    assert "at most 16 MiB" in refused(run, suite(folder, "huge.json"), *options)


@pytest.mark.parametrize("cell", ["null", "3", "[]", "{}", "../secret.json"])
def test_a_cell_of_a_table(cell: str, run: Run, folder: Path) -> None:
    path = folder / "p_test.yaml"
    path.write_text(
        "apiVersion: engine/v1\nkind: Suite\npolicy: p.yaml\n"
        f"tests: [{{name: a, columns: [x, golden], cases: [[1, {cell}]]}}]\n"
    )
    refused(run, path, "--update")


@pytest.mark.slow
def test_what_may_be_named(run: Run, folder: Path) -> None:
    for name in ("golden.json", "./golden/a b.json", "golden//deep/ü.json", "..golden.json"):
        run("test", suite(folder, name), "--update").ok()
        assert json.loads((folder / name).read_text())["output"] == 2
        run("test", folder).ok()
    assert not list(folder.rglob("*.part"))


def test_the_folder_itself_may_be_a_link(run: Run, folder: Path) -> None:
    """It is what the user named."""
    (folder.parent / "link").symlink_to("suites")
    suite(folder, "golden.json")
    run("test", folder.parent / "link", "--update").ok()
    assert (folder / "golden.json").exists()


def test_a_link_that_appears_later(tmp_path: Path) -> None:
    """Neither followed nor written through, whatever a check before has seen."""
    inner, secret = tmp_path / "inner", tmp_path / "secret.json"
    inner.mkdir()
    secret.write_text(SECRET)
    (inner / "a.json").symlink_to(secret)
    for call in (lambda: read_below(inner, "a.json"), lambda: write_below(inner, "a.json", b"x")):
        with pytest.raises(ConfinedError, match="symbolic link"):
            call()
    assert secret.read_text() == SECRET


@pytest.mark.parametrize(
    "policy", ["../secret.yaml", "{}/secret.yaml", "out/secret.yaml", "link.yaml", "./p"]
)
def test_the_policy_of_a_suite(policy: str, run: Run, folder: Path) -> None:
    (folder / "out").symlink_to("..")
    (folder / "link.yaml").symlink_to("../secret.yaml")
    refused(run, suite(folder, "golden.json", policy.format(folder.parent)))


def test_the_policy_of_a_suite_may_be_near(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside it; below the working folder; in a folder of policies that it is in, or that is named."""
    path = suite(folder, "golden.json")
    inner = folder / "tests"
    inner.mkdir()
    moved = inner / "p_test.yaml"
    moved.write_text(path.read_text().replace("p.yaml", "../p.yaml"))
    refused(run, moved, "--update")
    run("test", moved, "--update", "--policies", folder).ok()
    monkeypatch.chdir(folder)
    run("test", moved).ok()


def test_fixtures_that_are_a_link(run: Run, folder: Path) -> None:
    path = suite(folder, "golden.json")
    (folder / "fixtures.yaml").symlink_to("../secret.yaml")
    ran = run("test", path)
    assert ran.code == 2
    assert "a symbolic link" in ran.out
    assert "hunter2" not in ran.out


def test_fixtures_that_are_a_fifo(run: Run, folder: Path) -> None:
    path = suite(folder, "golden.json")
    os.mkfifo(folder / "fixtures.yaml")
    ran = run("test", path)
    assert ran.code == 2
    assert "a FIFO" in ran.out


@pytest.mark.parametrize("command", ["test", "check"])
def test_links_found_in_a_folder(command: str, run: Run, folder: Path) -> None:
    """A folder's links to files outside of it are not read; those inside are, as Kubernetes mounts them."""
    suite(folder, "golden.json")
    (folder / "q_test.yaml").symlink_to("../secret.yaml")
    ran = run(command, folder)
    assert "hunter2" not in ran.out + ran.err
    assert "outside" in ran.out + ran.err
    (folder / "q_test.yaml").unlink()
    (folder / "data").mkdir()
    (folder / "p.yaml").rename(folder / "data" / "p.yaml")
    (folder / "p.yaml").symlink_to("data/p.yaml")
    run("test", folder, "--update").ok()
    (folder / "data" / "p.yaml").rename(folder / "data" / "p.txt")
    (folder / "p.yaml").unlink()
    (folder / "p.yaml").symlink_to("data/p.txt")
    run("check", folder).ok()


def test_parts_of_a_name() -> None:
    assert parts_of("./a//b.json") == ("a", "b.json")
