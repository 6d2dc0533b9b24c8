"""FIFOs, devices and other things that are no regular files: refused, never waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TOP, Run

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "vocab_size": 100,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
INVENTORY = "devices: [{kind: CudaGpu, memory: 80GiB, count: 2}]\n"
ASK = ("--params", "7B", "--quantization", "bf16")


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """What hangs fails."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.parametrize("name", ["m.json", "m.yaml", "m.safetensors", "m.gguf", "m.safetensors.index.json"])
@pytest.mark.parametrize("what", ["fifo", "device", "folder"])
def test_models(name: str, what: str, run: Run, tmp_path: Path, fifo: Path) -> None:
    path = tmp_path / name
    if what == "fifo":
        fifo.rename(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    ran = run("model", "show", path)
    assert ran.code == 2
    expected = {"fifo": "a FIFO, expected a file", "device": "a device, expected a file", "folder": ""}[what]
    assert expected in ran.err
    assert "Traceback" not in ran.err


def test_a_folder_of_a_model(run: Run, tmp_path: Path, fifo: Path) -> None:
    fifo.rename(tmp_path / "config.json")
    assert "a FIFO, expected a file" in run("model", "show", tmp_path).err


@pytest.mark.parametrize(
    "shard", ["..", ".", "", "../x.safetensors", "/dev/zero", "a\\b.safetensors", "x", "C:x"]
)
def test_shards_that_an_index_may_not_name(shard: str, run: Run, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard}}))
    ran = run("model", "show", index)
    assert (ran.code, "names of files in the same folder" in ran.err) == (2, True)


def test_a_shard_that_is_a_fifo(run: Run, tmp_path: Path, fifo: Path) -> None:
    fifo.rename(tmp_path / "x.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "x.safetensors"}}))
    assert "a FIFO, expected a file" in run("model", "show", index).err


@pytest.mark.parametrize("text", ["[" * 100_000, '{"weight_map": ' * 50_000, "\x00", "{}", "[]", "\xff"])
def test_an_index_that_is_none(text: str, run: Run, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(text.encode("latin-1"))
    ran = run("model", "show", index)
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", *ASK, "--inventory", "FILE"),
        ("eval", "--request", "FILE"),
        ("eval", "--input", "FILE"),
        ("eval", *ASK, "--inventory", "8xH100-SXM", "--no-cache", "--policy", "./FILE"),
        ("eval", "--quantization", "bf16", "--inventory", "8xH100-SXM", "--model", "FILE"),
        ("inventory", "import", "FILE"),
        ("inventory", "show", "FILE"),
        ("inventory", "join", "a=FILE", "b=FILE"),
        ("check", "FILE"),
        ("test", "FILE"),
    ],
)
@pytest.mark.parametrize("what", ["fifo", "/dev/zero", "/dev/full"])
def test_other_files(
    arguments: tuple[str, ...],
    what: str,
    run: Run,
    tmp_path: Path,
    fifo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if what == "fifo":
        fifo.rename("odd.yaml")
    else:
        Path("odd.yaml").symlink_to(what)
    ran = run(*(each.replace("FILE", "odd.yaml") for each in arguments))
    assert ran.code in (1, 2)
    expected = "a FIFO, expected a file" if what == "fifo" else "a device, expected a file"
    assert expected in ran.out + ran.err


def test_a_version_that_is_a_fifo(run: Run, tmp_path: Path, fifo: Path) -> None:
    (tmp_path / "policies" / "quota").mkdir(parents=True)
    fifo.rename(tmp_path / "policies" / "quota" / "1.0.0.yaml")
    ran = run("eval", *ASK, "--policies", tmp_path / "policies", "--no-cache", "--policy", "quota")
    assert (ran.code, "a FIFO, expected a file" in ran.err) == (2, True)


@pytest.mark.parametrize("option", ["--inventory", "--model"])
def test_process_substitution(option: str, tmp_path: Path) -> None:
    """What the shell hands over as /dev/fd/63 is read; a model is not, as no FIFO is."""
    text = INVENTORY if option == "--inventory" else json.dumps(CONFIG)
    (tmp_path / "file").write_text(text)
    rest = "--params 7B" if option == "--inventory" else "--inventory 2xH100-SXM"
    engine = f"{sys.executable} -m engine.cli.main eval --quantization bf16"
    command = f"{engine} {rest} {option} <(sleep 0.2; cat {tmp_path}/file)"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=TOP, timeout=60)
    assert done.returncode == (0 if option == "--inventory" else 2), done.stderr
    assert ("a FIFO" in done.stderr) is (option == "--model")


def test_standard_input_by_its_other_name() -> None:
    command = [sys.executable, "-m", "engine.cli.main", "inventory", "show", "/dev/stdin"]
    done = subprocess.run(command, input=INVENTORY, capture_output=True, text=True, cwd=TOP, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["../../secret.yaml", "/SECRET", "q/link.yaml"])
def test_a_lock_names_files_of_its_folder_only(name: str, run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    folder = tmp_path / "a" / "policies"
    (folder / "q").mkdir(parents=True)
    (folder / "q" / "link.yaml").symlink_to(secret)
    name = name.replace("/SECRET", str(secret))
    (folder / "policies.lock").write_text(
        f"apiVersion: engine/v1\nkind: Lock\nfiles:\n  {json.dumps(name)}: sha256:{'0' * 64}\n"
    )
    ran = run("check", folder)
    assert ran.code == 1
    assert "hunter2" not in ran.out + ran.err
