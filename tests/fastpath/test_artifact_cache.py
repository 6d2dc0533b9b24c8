"""Compiled policies on disk: used where they hold, and nothing worse than slower where they don't."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

import engine
from engine.fastpath import artifact_cache as cache
from engine.policy import compiler
from tests.conftest import TOP, Run

POLICY = """
apiVersion: engine/v1
kind: Policy
name: doubled
version: 1.0.0
inputs: [{name: n, type: int}]
rule:
  match:
    - output: n * 2
"""
PATCH = """\
apiVersion: engine/v1
kind: CatalogPatch
name: wide
version: 1.0.0
base: quantization@1
entries:
  int8: {bits_per_param: 16}
"""
ASKED = ("--input", "-", "--format", "json")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ENGINE_CACHE", str(folder))
    return folder


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "doubled.yaml"
    file.write_text(POLICY.strip())
    return file


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, compiling fails the test."""

    def compile_policy(*arguments: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "compile_policy", compile_policy)


def test_the_second_time_nothing_is_compiled(
    run: Run, kept: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("eval", "--policy", policy, *ASKED, stdin="n: 21")
    assert [file.suffix for file in kept.iterdir()] == [".program"]
    forbid(monkeypatch)
    second = run("eval", "--policy", policy, *ASKED, stdin="n: 21")
    assert first == second
    assert second.json["output"] == 42


def test_decisions_with_and_without_a_patch_in_turns_compile_once_each(
    run: Run, kept: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text(
        POLICY.strip()
        .replace("rule:", "catalogs: [quantization@1]\nrule:")
        .replace("n * 2", "catalogs.quantization['int8'].bits_per_param * n")
    )
    patch = tmp_path / "site" / "patch" / "wide" / "1.0.0.yaml"
    patch.parent.mkdir(parents=True)
    patch.write_text(PATCH)
    plain = ("eval", "--policy", policy, *ASKED)
    patched = (*plain, "--policies", tmp_path / "site")
    first = [run(*command, stdin="n: 21").ok().json["output"] for command in (plain, patched)]
    assert first == [8 * 21, 16 * 21]
    forbid(monkeypatch)
    assert [run(*command, stdin="n: 21").ok().json["output"] for command in (plain, patched)] == first


def test_without_the_cache(run: Run, kept: Path, policy: Path) -> None:
    assert run("eval", "--policy", policy, "--no-cache", *ASKED, stdin="n: 21").json["output"] == 42
    assert not kept.exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "another", "folder"])
def test_a_damaged_file_is_made_anew(run: Run, kept: Path, policy: Path, damage: str) -> None:
    run("eval", "--policy", policy, *ASKED, stdin="n: 21")
    (file,) = kept.iterdir()
    data = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        damaged = {
            "cut": data[:-7],
            "empty": b"",
            "flipped": data[:-1] + bytes([data[-1] ^ 1]),
            "another": b"something else altogether",
        }
        file.write_bytes(damaged[damage])
    ran = run("eval", "--policy", policy, *ASKED, stdin="n: 21")
    assert (ran.code, ran.json["output"], ran.err) == (0, 42, "")
    if damage != "folder":
        assert file.read_bytes() == data


def test_a_changed_policy_is_another(run: Run, kept: Path, policy: Path) -> None:
    run("eval", "--policy", policy, *ASKED, stdin="n: 21")
    policy.write_text(POLICY.strip().replace("n * 2", "n * 3"))
    assert run("eval", "--policy", policy, *ASKED, stdin="n: 21").json["output"] == 63


def test_a_changed_catalog_is_noticed(run: Run, kept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(TOP / "policies", folder)
    asked = (
        *("eval", "--inventory", "-", "--params", "200B", "--quantization", "bf16"),
        *("--format", "json", "--policies", folder, "--policy", "sharding@1"),
    )
    devices = "devices: [{kind: CudaGpu, memory: 80GiB, count: 8}]"
    before = run(*asked, stdin=devices).json
    catalog = folder / "catalog" / "accelerators" / "1.0.0.yaml"
    text = catalog.read_text()
    changed = text.replace("throughput_multiplier: 20.0, rank: 60", "throughput_multiplier: 40.0, rank: 60")
    catalog.write_text(changed)
    after = run(*asked, stdin=devices).json
    assert after["policy"]["digest"] != before["policy"]["digest"]
    estimates = [each["plan"]["estimated_tokens_per_sec"] for each in (before, after)]
    assert estimates[1] == 2 * estimates[0]


def test_a_folder_that_cannot_be_written(run: Run, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_CACHE", "/proc/no-such-folder")
    assert run("eval", "--policy", policy, *ASKED, stdin="n: 21").json["output"] == 42


def test_errors_name_their_places_with_a_cached_policy(run: Run, kept: Path, policy: Path) -> None:
    asked = ("eval", "--policy", policy, "--input", "-")
    first = run(*asked, stdin="n: 9223372036854775807")
    second = run(*asked, stdin="n: 9223372036854775807")
    assert first == second
    assert first.err.startswith(f"error: {policy}:8:17: integer overflow in n * 2")


def test_the_folder_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINE_CACHE", raising=False)
    for home in (None, "/somewhere"):
        if home is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", home)
        assert cache.folder() == platformdirs.user_cache_dir("shard-policy-engine", appauthor=False)


def test_old_files_go(run: Run, kept: Path, policy: Path) -> None:
    kept.mkdir()
    for number in range(130):
        file = kept / f"{number}.program"
        file.write_bytes(b"")
        os.utime(file, (number, number))
    run("eval", "--policy", policy, *ASKED, stdin="n: 21")
    left = {file.name for file in kept.iterdir()}
    assert len(left) == 100
    assert {f"{number}.program" for number in range(31, 130)} < left


def test_from_python(kept: Path, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.load_policy(str(policy))
    forbid(monkeypatch)
    loaded = engine.load_policy(str(policy))
    assert loaded.decide(engine.Request.from_inputs({"n": 4})).output == 8
    assert (loaded.name, loaded.version) == ("doubled", "1.0.0")


HEAVY = {
    *("jsonschema", "celpy", "lark", "rich", "click", "dataclasses", "msgspec"),
    *("engine.inventory.assemble", "engine.inventory.recognize", "engine.base.aliases"),
    *("engine.inventory.discovery", "engine.model.discovery", "engine.model.configuration"),
    "engine.model.tensors",
}
SCRIPT = """
import sys
from engine.cli.main import main
code = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
def test_the_usual_command_imports_little(kept: Path) -> None:
    command = [
        *(sys.executable, "-c", SCRIPT, "eval", "--inventory", "examples/8x-a100.yaml"),
        *("--params", "70B", "--quantization", "bf16", "--format", "json", "--policy", "sharding@1"),
    ]
    environment = {**os.environ, "ENGINE_CACHE": str(kept)}
    for _ in range(2):
        ran = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=True)
    assert '"match": "tensor-parallel"' in ran.stdout
    assert HEAVY & set(ran.stderr.split()) == set()
