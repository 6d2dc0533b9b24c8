"""`engine batch --ray`: a folder of requests on a Ray cluster on this machine."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from engine.bulk.batch import BatchJob
from engine.bulk.resume import identify, identify_folder, write_sidecar
from engine.cel.runtimes.registry import RUNTIMES
from tests.conftest import TOP, Run

PATIENCE = 400
"""Seconds until a run is taken for stuck: Ray starts slowly on a busy machine."""

SMALL = {"RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(100 * 2**20), "RAY_USAGE_STATS_ENABLED": "0"}

GOOD = {
    "inventory": {"devices": [{"kind": "CudaGpu", "count": 8, "memory": "80GiB"}]},
    "model": {"params": "70B"},
    "quantization": "bf16",
}


def text(name: str, count: int) -> str:
    lines = [json.dumps({**GOOD, "id": f"{name}-{number}"}) for number in range(count)]
    return "\n".join([*lines[: count // 2], '{"id": "bad"}', *lines[count // 2 :]]) + "\n"


def fleet(folder: Path, count: int) -> dict[str, str]:
    """Files of requests, and what `engine batch` should make of each."""
    (folder / "old").mkdir(parents=True)
    texts = {f"{name}.jsonl": text(name, count) for name in ("a", "b", "c", "d")}
    for name, content in texts.items():
        (folder / name).write_text(content)
    (folder / "old" / "e.jsonl.gz").write_bytes(gzip.compress(text("e", count).encode()))
    (folder / "README").write_text("not requests")
    return texts


def ray_batch(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine.cli.main", "batch", *map(str, arguments), "--ray"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TOP,
        env={**os.environ, **SMALL},
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_killed_worker(run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    texts = fleet(source, 600)
    table = [{**GOOD, "id": str(number)} for number in range(200)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), source / "t.parquet")
    policy = ("--policy", "sharding@1.0.0")
    expected = {name: run("batch", source / name, *policy).out for name in texts}
    process = ray_batch(source, "-o", out, *policy)
    killed = _kill_a_worker(Path(f"{out}.part"), process)
    _, errors = process.communicate(timeout=PATIENCE)
    assert killed, f"no worker was at work: {errors}"
    assert process.returncode == 1, errors
    assert errors.splitlines()[-1] == "5 of 3205 lines failed"
    for name, content in expected.items():
        assert (out / name).read_text() == content
    unpacked = gzip.decompress((out / "old" / "e.jsonl.gz").read_bytes()).decode().splitlines()
    assert [json.loads(line)["id"] for line in unpacked if "-" in json.loads(line)["id"]] == [
        f"e-{number}" for number in range(600)
    ]
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(out / "t.parquet").to_pylist()
    assert [row["id"] for row in rows] == [str(number) for number in range(200)]
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl", "old/e.jsonl.gz", "t.parquet"]
    assert not Path(f"{out}.part").exists()


def _kill_a_worker(part: Path, process: subprocess.Popen[str]) -> bool:
    """Kill one worker while it writes; the file's name holds its process id."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        for path in part.rglob("*.part-*"):
            try:
                os.kill(int(path.name.split(".part-")[1].split("-")[0]), signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
        time.sleep(0.002)
    return False


def every(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.jsonl*")]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_going_on_and_own_policies(run: Run, tmp_path: Path) -> None:
    """What is there already is left as it is; a policy that no node has installed is sent along."""
    source, out, policies = tmp_path / "in", tmp_path / "out", tmp_path / "policies"
    texts = fleet(source, 10)
    own = (
        (TOP / "policies" / "sharding" / "1.0.0.yaml").read_text().replace("version: 1.0.0", "version: 9.0.0")
    )
    (policies / "sharding").mkdir(parents=True)
    (policies / "sharding" / "9.0.0.yaml").write_text(own)
    part = Path(f"{out}.part")
    part.mkdir()
    (part / "a.jsonl").write_text("kept")
    arguments = ("batch", source, "-o", out, "--policies", policies)
    assert run(*arguments, "--ray").code == 2
    refused = run(*arguments, "--resume", "--ray")
    assert refused.code == 2
    assert "out.resume.json, which identifies the run, is missing" in refused.err
    job = BatchJob("sharding", (str(policies),), RUNTIMES[0], "jsonl")
    for names, message in ((["a.jsonl"], "the input has changed: b.jsonl"), (sorted(every(source)), "")):
        write_sidecar(out, identify(job, job.load(), identify_folder(source, names)))
        if message:
            refused = run(*arguments, "--resume", "--ray")
            assert (refused.code, message in refused.err) == (2, True), refused.err
    process = ray_batch(*arguments[1:], "--resume")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, errors
    assert (out / "a.jsonl").read_text() == "kept"
    expected = run("batch", source / "b.jsonl", "--policies", policies)
    assert (out / "b.jsonl").read_text() == expected.out
    assert expected.lines[0]["policy"]["version"] == "9.0.0"
    assert "bad" in texts["b.jsonl"]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_damaged_file(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl.gz").write_bytes(gzip.compress(text("a", 50).encode())[:60])
    process = ray_batch(source, "-o", tmp_path / "out")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith(f"error: {source}/a.jsonl.gz: ")
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_bad_usage(run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    cases = {
        ("batch", source, "--ray"): "--ray needs an --output folder",
        ("batch", source, "-o", out, "-j", "2", "--ray"): "--jobs applies to one machine",
        ("batch", "-o", out, source, "--ray", source): "expected an address, found a file; put --ray last",
        ("batch", source, "-o", out, "--ray"): "in: no .jsonl, .jsonl.gz, .jsonl.zst or .parquet file in it",
        ("batch", tmp_path / "x", "-o", out, "--ray"): "x: not a folder",
        ("batch", source, "-o", tmp_path, "--ray"): f"{tmp_path}: already exists",
    }
    for arguments, message in cases.items():
        if "already exists" in message:
            (source / "a.jsonl").write_text("")
        ran = run(*arguments)
        assert ran.code == 2, arguments
        assert message in ran.err
    (source / "t.parquet").write_bytes(b"")
    ran = run("batch", source, "-o", out, "--format", "ai-hwaccel", "--ray")
    assert ran.code == 2
    assert "Parquet output has columns" in ran.err


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_no_cluster_there(address: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text("a", 1))
    code = (
        "import sys; from engine.cli.main import main;"
        f"sys.exit(main(['batch', {str(tmp_path)!r}, '-o', {str(tmp_path / 'o')!r}, '--ray', {address!r}]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=TOP, timeout=PATIENCE
    )
    assert ran.returncode == 2
    assert f"error: no Ray at {address}: " in ran.stderr
    assert "Traceback" not in ran.stderr
