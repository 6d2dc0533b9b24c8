"""Broken input: the whole message, exit code 2, nothing on standard output, never a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import DATA, TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

CASES = [
    pytest.param(case, id=f"{file.stem}-{case['name'].replace(' ', '-')}")
    for file in sorted((DATA / "bad_input").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
ARGUMENTS = ("--params", "8B", "--quantization", "bf16")


def written(error: str) -> str:
    """The expected message, where it names a shipped file, names this machine's."""
    return error.replace("SHIPPED", str(TOP / "policies"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_message(case: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in case["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    ran = run(*case["args"], stdin=case.get("stdin", ""))
    assert ran.err == written(case["error"])
    assert (ran.code, ran.out) == (2, "")


def test_there_are_many() -> None:
    assert len(CASES) > 150


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x00\x01\x02\x03devices", "a binary file, expected YAML or JSON text"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8 text: byte 0x89"),
        (b"devices:\n  - caf\xe9\n", "i.yaml:2:8: not UTF-8 text: byte 0xe9"),
        (b"\xff\xfed\x00e\x00v\x00", "  | dev"),
        (b"[" * 10_000_000, "nested too deeply"),
        (b"a: [" + b"{a: " * 2_500_000, "nest"),
        (b"- " * 5_000_000, "nested"),
        (b"a" * (16 * 2**20 + 1), "larger than 16 MiB"),
        (b"x" * 1_000_000, "expected a mapping, found 'xxxx"),
        (b"a: " + b"'" * 3_000_001, "not valid YAML"),
        (b"devices: [" + b"1," * 100_000 + b"]", "devices[0]: expected a mapping, found 1"),
        (b"? " * 100_000, "a key must be text, found a collection"),
        (b"&a " * 1000 + b"1", "not valid YAML"),
        (b"%YAML 9.9\n---\ndevices: []\n", "not valid YAML"),
        (b"devices: [{kind: CudaGpu, memory: " + b"9" * 6000 + b"}]", "too many digits"),
    ],
    ids=range(16),
)
def test_hostile_file(data: bytes, message: str, run: Run, tmp_path: Path) -> None:
    for name in ("i.yaml", "-"):
        file = tmp_path / "i.yaml"
        file.write_bytes(data)
        ran = run("eval", "--inventory", file if name != "-" else "-", *ARGUMENTS, stdin=data)
        assert (ran.code, ran.out) == (2, "")
        assert message.replace("i.yaml", "<stdin>" if name == "-" else "i.yaml") in ran.err
        assert "Traceback" not in ran.err
        assert len(ran.err) < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"[" * 10_000_000, b'{"a":' * 2_000_000], ids=["lists", "mappings"])
def test_megabytes_of_brackets_as_json(data: bytes, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "i.json"
    file.write_bytes(data)
    ran = run("eval", "--inventory", file, *ARGUMENTS)
    assert (ran.code, ran.out) == (2, "")
    assert "nested" in ran.err


def refused(monkeypatch: pytest.MonkeyPatch, function: str, path: Path) -> None:
    """Let a function of `os` refuse one path, as it does where permissions are missing: root has them all."""
    original = getattr(os, function)

    def checked(each: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(each, str | os.PathLike) and os.fspath(each) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(each, *arguments, **keywords)

    monkeypatch.setattr(os, function, checked)


def test_an_unreadable_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "i.yaml"
    file.write_text("devices: []\n")
    file.chmod(0)
    refused(monkeypatch, "open", file)
    ran = run("eval", "--inventory", file, *ARGUMENTS)
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {file}: permission denied\n")


def test_an_unreadable_folder_of_policies(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this user can't list isn't reported as missing."""
    folder = tmp_path / "sharding"
    folder.mkdir(mode=0)
    refused(monkeypatch, "listdir", folder)
    ran = run("eval", "--inventory", TOP / "examples" / "laptop.yaml", "--policies", tmp_path, *ARGUMENTS)
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {folder}: permission denied\n")


def test_a_null_in_a_file_name(run: Run) -> None:
    ran = run("eval", "--inventory", "a\0b", *ARGUMENTS)
    assert ran.code == 2
    assert "null byte" in ran.err
