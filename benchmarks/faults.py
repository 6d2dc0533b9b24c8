"""Injected faults: each function injects one kind of fault and returns the numbers of tries and failures."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))
ENGINE = [sys.executable, "-m", "engine.cli.main"]

Count = tuple[int, int]
"""Numbers of tries and failures."""


def kills(tries: int) -> Count:
    """Kill a batch at random times until it completes; the output must equal an uninterrupted one."""
    failures = done = 0
    with _corpus(20_000) as (source, expected):
        out = source.with_name("out.jsonl")
        while done < tries:
            out.unlink(missing_ok=True)
            while done < tries:
                jobs = random.choice(("1", "2"))
                process = _batch(source, "-o", out, "--resume", "--jobs", jobs)
                try:
                    process.wait(random.uniform(0.3, 4.0))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    done += 1
                    failures += _failed(out.exists(), f"{out} exists after a kill")
            final = _batch(source, "-o", out, "--resume")
            code = final.wait()
            whole = code == 0 and out.exists() and out.read_bytes() == expected
            failures += _failed(not whole, f"the output differs after kills, exit code {code}")
    return done, failures


def writers(tries: int) -> Count:
    """Start concurrent batches with one output; one completes it, the others leave it alone."""
    failures = 0
    with _corpus(5_000) as (source, expected):
        out = source.with_name("out.jsonl")
        for _ in range(tries):
            out.unlink(missing_ok=True)
            more = random.choice(((), ("--resume",)))
            runs = [_batch(source, "-o", out, *more) for _ in range(3)]
            codes = [process.wait() for process in runs]
            whole = 0 in codes and set(codes) <= {0, 2} and out.read_bytes() == expected
            failures += _failed(not whole, f"several writers ended with {codes}")
    return tries, failures


def full_disk(tries: int) -> Count:
    """Run batches on a full disk; they exit with 2 and resume once there is space."""
    failures = 0
    with _corpus(5_000) as (source, expected), _small_disk() as (disk, limit):
        for _ in range(tries):
            ending = random.choice(("jsonl", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"))
            room = random.randrange(200_000 if ending == "jsonl" else 20_000)
            out = disk / f"out.{ending}"
            with _filled(disk, room, limit):
                ran = _batch(source, "-o", out, limit=None if limit is None else room)
                errors = ran.communicate()[1]
            one = ran.returncode == 2 and errors.startswith("error: ") and "Traceback" not in errors
            failures += _failed(not one or out.exists(), f"{ending} on a full disk: {errors}")
            if ending == "jsonl":
                target = source.with_name("out.jsonl")
                for name in ("out.jsonl.part", "out.jsonl.resume.json"):
                    if (disk / name).exists():
                        target.with_name(name).write_bytes((disk / name).read_bytes())
                code = _batch(source, "-o", target, "--resume").wait()
                same = code == 0 and target.read_bytes() == expected
                failures += _failed(not same, f"resumed after a full disk: exit code {code}")
                target.unlink(missing_ok=True)
            for left in disk.iterdir():
                left.unlink()
    return tries, failures


def threads(tries: int) -> Count:
    """Decide in eight threads at once; every decision must equal that of a single thread."""
    import engine

    policy = engine.load_policy("sharding@1.0.0")
    requests = [_request(number) for number in range(97)]
    expected = [policy.decide(request).to_dict() for request in requests]
    failures: list[int] = []

    def work(start: int) -> None:
        for number in range(start, tries, 8):
            index = number % len(requests)
            if policy.decide(requests[index]).to_dict() != expected[index]:
                failures.append(number)

    workers = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return tries, len(failures)


def endurance(tries: int) -> Count:
    """Decide many requests in one process; after the first tenth its memory must not grow by 15 MiB."""
    import engine

    policy = engine.load_policy("sharding@1.0.0")
    before = 0
    for number in range(tries):
        policy.decide(_request(number))
        if number == tries // 10:
            before = psutil.Process().memory_info().rss
    growth = psutil.Process().memory_info().rss - before
    return tries, _failed(growth > 15 * 2**20, f"memory grew by {growth / 2**20:.1f} MiB")


def hostile(_: int) -> Count:
    """Run the hostile policies of the tests under check, eval and eval --explain, with limits."""
    command = [
        sys.executable,
        str(TOP / "benchmarks" / "hostile.py"),
        str(TOP / "tests" / "data" / "hostile"),
    ]
    ran = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, text=True)
    tries = len(re.findall(r"^\s+\S+\.yaml ", ran.stdout, re.MULTILINE))
    return tries, _failed(ran.returncode != 0, ran.stdout)


def _request(number: int) -> Any:
    import engine

    devices = [{"kind": "CudaGpu", "memory": "80GiB", "count": number % 8 + 1}]
    model = {"params": f"{number % 90 + 1}B"}
    return engine.Request.from_dict(
        {"inventory": {"devices": devices}, "model": model, "quantization": "bf16"}
    )


def pytest(*arguments: str, examples: int | None = None) -> Count:
    """Run tests; a test counts as one try, or as many as it draws examples."""
    environment = dict(os.environ) if examples is None else {**os.environ, "ENGINE_EXAMPLES": str(examples)}
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    ran = subprocess.run(command, cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", ran.stdout)}
    tries = sum(counts.values())
    failures = tries - counts.get("passed", 0)
    if ran.returncode != 0:
        print(ran.stdout, file=sys.stderr)
    return tries * (examples or 1), max(failures, int(ran.returncode != 0))


def _failed(condition: bool, message: str) -> int:
    if condition:
        print(message, file=sys.stderr)
    return int(condition)


def _batch(*arguments: str | Path, limit: int | None = None) -> subprocess.Popen[str]:
    command = [*ENGINE, "batch", *map(str, arguments)]
    if limit is not None:
        code = (
            "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        # Python ignores SIGXFSZ, so writes fail as on a full disk.
        command = [sys.executable, "-c", code, str(limit), *command]
    return subprocess.Popen(command, cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextmanager
def _corpus(count: int) -> Iterator[tuple[Path, bytes]]:
    """Create a file of requests in a temporary folder; return it and the expected output."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.jsonl")
        with source.open("w", encoding="utf-8") as file:
            for number in range(count):
                devices = [{"kind": "CudaGpu", "memory": "80GiB", "count": number % 8 + 1}]
                model = {"params": f"{number % 90 + 1}B"}
                request = {"id": number, "inventory": {"devices": devices}, "model": model}
                file.write(json.dumps({**request, "quantization": "bf16"}) + "\n")
        command = [*ENGINE, "batch", str(source)]
        yield source, subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, check=True).stdout


@contextmanager
def _small_disk() -> Iterator[tuple[Path, int | None]]:
    """Mount a file system of 8 MiB, or return a folder and a limit on file sizes."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
        if os.name == "posix" and subprocess.run(mount, capture_output=True).returncode == 0:
            try:
                yield Path(folder), None
            finally:
                subprocess.run(["umount", folder], check=True)
        else:
            print("cannot mount a tmpfs; limiting file sizes instead", file=sys.stderr)
            yield Path(folder), 0


@contextmanager
def _filled(disk: Path, room: int, limit: int | None) -> Iterator[None]:
    """Fill a disk up to a number of free bytes."""
    ballast = disk / "ballast"
    if limit is None:
        status = os.statvfs(disk)
        with ballast.open("wb") as file:
            file.write(b"\0" * max(0, status.f_bavail * status.f_frsize - room))
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


def timed(name: str, count: Count, since: float) -> str:
    """Return a line of the report."""
    tries, failures = count
    return f"{name:12} {tries:>10,} tries {failures:>6,} failures {time.monotonic() - since:8.0f} s"
