"""Processes that commands start: they end with the command, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.base.errors import EngineError, MissingInputError
from engine.base.pool import in_order
from tests.conftest import TOP

GOOD = {
    "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB", "count": 6}]},
    "model": {"params": "8B"},
    "quantization": "bf16",
}

_PATIENCE = 240.0
"""Seconds until something is taken for stuck: a busy machine starts processes slowly."""

_GRACE = 8.0
"""Seconds until a command's processes must be gone after it; less than their work takes."""


@contextmanager
def command(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """A command at work, and the two workers that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli.main", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=TOP,
        # A shell ignores Ctrl-C for jobs in the background, and they inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    workers: list[psutil.Process] = []
    try:
        end = time.monotonic() + _PATIENCE
        while len(workers) < 2:
            assert process.poll() is None, "it ended before it was stopped"
            assert time.monotonic() < end, "no workers"
            time.sleep(0.02)
            family = psutil.Process(process.pid).children(recursive=True)
            workers = [each for each in family if "spawn_main" in " ".join(each.cmdline())]
        yield process, family
    finally:
        for each in (process, *workers):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        assert process.stderr is not None
        process.stderr.close()
        process.wait()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """So many requests that no test waits for all of them."""
    path = tmp_path / "many.jsonl"
    line = json.dumps(GOOD) + "\n"
    path.write_text(line * 400_000)
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite whose cases take a long time together."""
    path = tmp_path / "sharding_test.yaml"
    suite = {
        "apiVersion": "engine/v1",
        "kind": "Suite",
        "policy": "sharding@1.0.0",
        "tests": [
            {"name": f"t{number}", "inputs": GOOD, "expect": {"match": "none"}} for number in range(4000)
        ],
    }
    path.write_text(json.dumps(suite))
    return path


def gone(processes: list[psutil.Process], grace: float = _GRACE) -> bool:
    """Whether processes end soon; what nobody has waited for is a zombie, which holds nothing."""
    end = time.monotonic() + grace
    while any(map(lives, processes)):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "early"),
    [
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGINT, False),
    ],
)
def test_workers_of_a_batch_die_with_it(number: int, early: bool, many: Path, tmp_path: Path) -> None:
    with command("batch", many, "--jobs", "2", "-o", tmp_path / "out.jsonl") as (process, family):
        if not early:
            wait_for(lambda: (tmp_path / "out.jsonl.part").stat().st_size > 0)
        os.kill(process.pid, number)
        # Workers that are being started first come to where they see that they are alone.
        assert gone(family, _PATIENCE if early else _GRACE)
        errors = process.communicate(timeout=_PATIENCE)[1]
        assert b"Traceback" not in errors or (early and number == signal.SIGKILL)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_workers_of_other_commands_die_with_them(many: Path, suite: Path) -> None:
    for arguments in (
        ("diff", "sharding@1.0.0", "sharding@2.0.0", "--requests", many, "--jobs", "2"),
        ("test", suite, "--jobs", "2"),
    ):
        with command(*arguments) as (process, family):
            time.sleep(3)
            os.kill(process.pid, signal.SIGKILL)
            assert gone(family), arguments[0]


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_command(many: Path, tmp_path: Path) -> None:
    """Whatever it was doing, even writing a result."""
    with command("batch", many, "--jobs", "2", "-o", tmp_path / "out.jsonl") as (process, family):
        wait_for(lambda: (tmp_path / "out.jsonl.part").stat().st_size > 0)
        worker = next(each for each in family if "spawn_main" in " ".join(each.cmdline()))
        worker.kill()
        errors = process.communicate(timeout=_PATIENCE)[1].decode()
    assert process.returncode == 2
    assert "error: one of the processes ended before its work was done\n" in errors
    assert "continue with --resume" in errors
    assert "Traceback" not in errors


ERRORS: dict[Any, Exception] = {
    "so": EngineError("so", hint="so not"),
    "none": MissingInputError("none", "x", hint="some"),
    "one": ZeroDivisionError("one"),
}


class Odd:
    """A job that stops in several ways."""

    def start(self) -> Callable[[Any], Any]:
        def run(piece: Any) -> Any:
            if piece == "stuck":
                while True:
                    # In one call, with the interpreter's lock held.
                    sum(range(10**9))
            if piece in ERRORS:
                raise ERRORS[piece]
            return piece

        return run


class Broken:
    def start(self) -> Callable[[Any], Any]:
        raise EngineError("no start")


@pytest.mark.slow
def test_results_come_in_order() -> None:
    assert list(in_order(Odd(), range(100), 3)) == list(range(100))
    assert list(in_order(Odd(), [], 3)) == []


@pytest.mark.slow
def test_errors_come_with_all_that_they_hold() -> None:
    for name, hint in (("so", "so not"), ("none", "some")):
        with pytest.raises(EngineError, match=name) as raised:
            list(in_order(Odd(), [name], 2))
        assert raised.value.hint == hint
    with pytest.raises(EngineError, match="no start"):
        list(in_order(Broken(), [1], 2))
    with pytest.raises(ZeroDivisionError, match="one") as other:
        list(in_order(Odd(), ["one"], 2))
    assert "in run" in other.value.__notes__[0]


@pytest.mark.slow
def test_a_worker_that_is_stuck_is_not_waited_for() -> None:
    start = time.monotonic()
    with pytest.raises(EngineError, match="so"):
        list(in_order(Odd(), ["so", "stuck", "stuck"], 3))
    assert time.monotonic() - start < _PATIENCE
    assert psutil.Process().children(recursive=True) == [] or all(
        "resource_tracker" in " ".join(each.cmdline()) for each in psutil.Process().children(recursive=True)
    )


@pytest.mark.slow
def test_workers_import_nothing_from_the_folder_at_hand(tmp_path: Path) -> None:
    for name in ("pickle", "multiprocessing", "pyarrow", "struct"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "in.jsonl").write_text((json.dumps(GOOD) + "\n") * 300)
    code = "import sys; sys.path.remove(''); from engine.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "batch", "in.jsonl", "--jobs", "2", "-o", "out.jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=_PATIENCE
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()
