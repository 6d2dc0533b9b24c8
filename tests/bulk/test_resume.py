"""`engine batch --output`: one writer, a whole file or none, and runs that are resumed as what they were."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import zstandard

import engine.bulk.batch
import engine.bulk.output
from tests.conftest import TOP, Run

GOOD = {
    "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
    "model": {"params": "8B"},
    "quantization": "bf16",
}

pytestmark = pytest.mark.usefixtures("first_version")


def requests(count: int, **more: Any) -> str:
    """Requests, every seventh of which is not JSON, with blank lines in between."""
    lines = [json.dumps({**GOOD, "id": n, **more}) if n % 7 else "not JSON" for n in range(count)]
    return "\n\n".join(lines) + "\n"


class Case:
    """A run over 600 requests that was interrupted at the 400th."""

    def __init__(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.source, self.out = folder / "in.jsonl", folder / "out.jsonl"
        self.part, self.sidecar = Path(f"{self.out}.part"), Path(f"{self.out}.resume.json")
        self.policies = folder / "policies"
        shutil.copytree(TOP / "policies", self.policies)
        self.source.write_text(requests(600))
        self.monkeypatch = monkeypatch

    def interrupt(self, error: type[BaseException] = KeyboardInterrupt) -> Any:
        decide = engine.bulk.batch.decide_line

        def interrupted(policy: Any, line: Any, runtime: str, plain: bool = False) -> Any:
            if b'"id": 400}' in line.text:
                raise error
            return decide(policy, line, runtime, plain)

        self.monkeypatch.setattr(engine.bulk.batch, "decide_line", interrupted)
        try:
            return self.batch()
        finally:
            self.monkeypatch.setattr(engine.bulk.batch, "decide_line", decide)

    def batch(self, *arguments: str | Path) -> Any:
        policies = ("--policies", self.policies, "--policy", "sharding@1.0.0")
        return self.run("batch", self.source, "-o", self.out, *policies, *arguments)

    def whole(self) -> str:
        return self.run("batch", self.source, "--policies", self.policies, "--policy", "sharding@1.0.0").out

    def refused(self, *arguments: str | Path, message: str) -> None:
        """It isn't resumed, for that reason, and everything is left as it is."""
        before = [path.read_bytes() for path in (self.part, self.sidecar) if path.exists()]
        ran = self.batch("--resume", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert "cannot resume: " in ran.err or "damaged" in ran.err
        assert "hint: omit --resume to start over" in ran.err
        assert not self.out.exists()
        assert [path.read_bytes() for path in (self.part, self.sidecar) if path.exists()] == before


@pytest.fixture
def stopped(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = Case(run, tmp_path, monkeypatch)
    ran = case.interrupt()
    assert ran.code == 130
    assert f"{case.part} keeps 256 finished lines; continue with --resume" in ran.err
    assert case.part.read_bytes().count(b"\n") == 256
    return case


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_stopped_run_is_resumed(jobs: str, stopped: Case) -> None:
    assert json.loads(stopped.sidecar.read_text())["output"]["lines"] == 256
    expected = stopped.whole()
    assert stopped.batch("--resume", "--jobs", jobs).code == 1
    assert stopped.out.read_text() == expected
    assert not stopped.part.exists()
    assert not stopped.sidecar.exists()


def test_what_is_behind_the_noted_lines_is_done_again(stopped: Case) -> None:
    expected = stopped.whole()
    with stopped.part.open("a") as file:
        file.write('{"id": 7}\n' * 1000 + "{")
    assert stopped.batch("--resume").code == 1
    assert stopped.out.read_text() == expected


@pytest.mark.slow
def test_nothing_to_resume_is_a_run_from_the_beginning(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(run, tmp_path, monkeypatch)
    for _ in range(2):
        assert case.batch("--resume").code == 1
        assert case.out.read_text() == case.whole()
    case.part.touch()
    assert case.batch("--resume").code == 1


@pytest.mark.slow
def test_another_policy_is_refused(stopped: Case) -> None:
    stopped.refused("--policy", "sharding@2.0.0", message="from sharding@1.0.0 (sha256:")


@pytest.mark.parametrize("file", ["sharding/1.0.0.yaml", "catalog/accelerators/1.0.0.yaml"])
def test_a_changed_policy_or_catalog_is_refused(file: str, stopped: Case) -> None:
    path = stopped.policies / file
    # The text that a description begins with, which both kinds of files have.
    text = path.read_text()
    start = text.index("\ndescription:") + len("\ndescription:")
    word = next(each for each in text[start:].split() if each.isalpha())
    path.write_text(text[:start] + text[start:].replace(word, f"{word} changed", 1))
    stopped.refused(message="the policy has changed")


def test_changed_options_are_refused(stopped: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped.refused("--runtime", "cel-python", message="the runtime has changed from ")
    stopped.refused("--format", "ai-hwaccel", message="the format has changed from jsonl to")
    monkeypatch.setenv("ENGINE_STEPS", "123456")
    stopped.refused(message="the environment has changed from no settings to ENGINE_STEPS=")


def test_another_input_is_refused(stopped: Case) -> None:
    text = stopped.source.read_text()
    for other in (requests(50), "", text + "\n", text[:-3] + "}\n\n", text.replace('"id": 599', '"id": 598')):
        stopped.source.write_text(other)
        stopped.refused(message="the input has changed from ")
    stopped.source.write_text(text)
    moved = stopped.source.with_name("moved.jsonl")
    stopped.source.rename(moved)
    stopped.source = moved
    expected = stopped.whole()
    assert stopped.batch("--resume").code == 1
    assert stopped.out.read_text() == expected


def test_a_changed_part_is_refused(stopped: Case) -> None:
    content = stopped.part.read_bytes()
    for other in (content[:1000], content[:-1], b"x" + content[1:], content.replace(b"80", b"81", 1)):
        stopped.part.write_bytes(other)
        stopped.refused(message="the file has changed since it was written")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        "[" * 100_000,
        '{"version": 1}',
        '{"version": 99}',
        "\0\0\0",
        '{"version": []}',
    ],
)
def test_a_damaged_sidecar_is_refused(text: str, stopped: Case) -> None:
    stopped.sidecar.write_text(text)
    stopped.refused(message="")


@pytest.mark.slow
@pytest.mark.parametrize("field", ["engine", "policy", "options", "input", "output"])
@pytest.mark.parametrize("value", [None, [], {}, "x", -1])
def test_an_odd_sidecar_is_refused(field: str, value: Any, stopped: Case) -> None:
    document = json.loads(stopped.sidecar.read_text())
    document[field] = value
    stopped.sidecar.write_text(json.dumps(document))
    stopped.refused(message="")


def test_a_missing_sidecar_is_refused(stopped: Case) -> None:
    stopped.sidecar.unlink()
    stopped.refused(message="out.jsonl.resume.json, which identifies the run, is missing")
    assert stopped.batch().code == 1
    assert stopped.out.read_text() == stopped.whole()


def test_what_cannot_be_read_again(run: Run, tmp_path: Path) -> None:
    ran = run("batch", "-", "-o", tmp_path / "out.jsonl", "--resume", stdin=requests(2))
    assert ran.code == 2
    assert "standard input cannot be read again" in ran.err


def test_an_internal_fault_keeps_the_part(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one that nobody expects, in what runs the lines rather than in a line."""
    case = Case(run, tmp_path, monkeypatch)

    class Fault(BaseException):
        pass

    answer = engine.bulk.batch.answer_lines

    def faulty(policy: Any, lines: Any, *further: Any) -> Any:
        if any(b'"id": 400}' in line.text for line in lines):
            raise Fault
        return answer(policy, lines, *further)

    monkeypatch.setattr(engine.bulk.batch, "answer_lines", faulty)
    assert case.batch().code == 70
    monkeypatch.setattr(engine.bulk.batch, "answer_lines", answer)
    expected = case.whole()
    assert case.batch("--resume").code == 1
    assert case.out.read_text() == expected


def test_the_input_is_not_written_over(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "out.jsonl.part"
    source.write_text(requests(3))
    for more in ((), ("--resume",)):
        ran = run("batch", source, "-o", tmp_path / "out.jsonl", *more)
        assert ran.code == 2
        assert "refusing to overwrite it" in ran.err
        assert source.read_text() == requests(3)


def test_a_part_that_is_a_link_is_not_followed(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    source, part = tmp_path / "in.jsonl", tmp_path / "out.jsonl.part"
    source.write_text(requests(3))
    part.symlink_to(mine)
    assert run("batch", source, "-o", tmp_path / "out.jsonl").code == 2
    part.unlink()
    os.mkfifo(part)
    assert run("batch", source, "-o", tmp_path / "out.jsonl").code == 2
    assert mine.read_text() == "precious"


# --- several writers, kills


def start(*arguments: str | Path, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine.cli.main", "batch", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOP, **more
    )


@pytest.mark.slow
@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_two_runs_never_write_one_output(resume: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(requests(6000))
    expected = run("batch", source).out
    runs = [start(source, "-o", out, *resume) for _ in range(4)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in runs]
    assert out.read_text() == expected
    refused = [errors for errors, code in ended if code == 2]
    assert len(refused) >= 1, ended
    assert all("another run is writing this file" in errors for errors in refused)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_run_is_resumed(
    jobs: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(requests(3000))
    expected = run("batch", source).out
    for least in (1, 100_000, 1_000_000):
        process = start(source, "-o", out, "--resume", "--jobs", jobs)
        while process.poll() is None and not (
            Path(f"{out}.part").exists() and Path(f"{out}.part").stat().st_size >= least
        ):
            time.sleep(0.005)
        process.kill()
        process.communicate()
        if process.returncode == 1:
            break
        assert not out.exists()
    ran = run("batch", source, "-o", out, "--resume")
    assert ran.code == 1
    assert out.read_text() == expected


@pytest.mark.slow
def test_sigterm_keeps_what_is_done(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(requests(100_000))
    part = Path(f"{out}.part")
    process = start(source, "-o", out)
    while not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 143
    assert errors.startswith("stopped: ")
    assert json.loads(Path(f"{out}.resume.json").read_text())["output"]["bytes"] == part.stat().st_size > 0


# --- full disks


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes, as on a disk that is full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 100, 5_000, 300_000])
def test_a_full_disk_keeps_what_is_done(
    room: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(run, tmp_path, monkeypatch)
    expected = case.whole()
    with files_up_to(room):
        ran = case.batch()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {case.out}: file too large\n")
    assert not case.out.exists()
    if room == 300_000:
        assert "finished lines; continue with --resume" in ran.err
    assert case.batch("--resume").code == 1
    assert case.out.read_text() == expected


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst", "parquet"])
@pytest.mark.parametrize("room", [0, 100, 3_000])
def test_a_full_disk_and_packed_outputs(room: int, ending: str, run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / f"out.{ending}"
    source.write_text(requests(3000))
    with files_up_to(room):
        ran = run("batch", source, "-o", out)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {out}: file too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("ending", ["", ".gz", ".zst", ".parquet"])
def test_a_device_that_is_full(ending: str, run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / f"full{ending}"
    source.write_text(requests(2000))
    out.symlink_to("/dev/full")
    command = [sys.executable, "-m", "engine.cli.main", "batch", str(source), "-o", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=TOP)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"error: {out}: no space left on device\n"
    assert out.is_symlink()


def test_devices_stay_devices(run: Run, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "null"
    source.write_text(requests(20))
    out.symlink_to(os.devnull)
    assert run("batch", source, "-o", out).code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "null"]
    assert out.is_symlink()


def test_packed_outputs_are_the_same_each_time(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(requests(300))
    expected = run("batch", source).out.encode()
    for ending, unpack in (("gz", gzip.decompress), ("zst", unzstd)):
        outs = [tmp_path / f"{name}.jsonl.{ending}" for name in ("one", "two")]
        for out in outs:
            assert run("batch", source, "-o", out).code == 1
        assert unpack(outs[0].read_bytes()) == expected
        assert outs[0].read_bytes() == outs[1].read_bytes()
    out = tmp_path / "out.parquet"
    assert run("batch", source, "-o", out).code == 1
    assert pyarrow.parquet.read_table(out).num_rows == 300


def unzstd(data: bytes) -> bytes:
    return b"".join(zstandard.ZstdDecompressor().read_to_iter(data))
