"""The engine's own faults are no answers: exit 70 and one line; streams that are closed are no faults."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engine.bulk.batch
from engine.cli import quick
from engine.decide.policy import Policy
from engine.render import as_json as json_target
from tests.conftest import TOP, Run

ASKED = ("--inventory", "examples/8x-a100.yaml", "--params", "70B", "--quantization", "bf16")
REQUEST = {"inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]}, "quantization": "bf16"}
FAULT = re.compile(
    r"internal error: (?P<text>.*) "
    r"\((?P<kind>\w+) in (?P<place>engine/[\w/]+\.py:\d+|code outside the engine)\);"
    r" this is a bug; please report it with what you ran; ENGINE_DEBUG=1 shows the traceback\n\Z"
)


class PanicError(BaseException):
    """What libraries in Rust raise: no Exception."""


FAULTS = [
    *(TypeError("unsupported"), KeyError("a"), AttributeError("x"), AssertionError(), RecursionError("deep")),
    *(ValueError("a\nb\x1b[31m\u202e"), UnicodeDecodeError("utf-8", b"a", 0, 1, "bad"), StopIteration()),
    *(io.UnsupportedOperation("fileno"), NotImplementedError("x" * 5000), PanicError("panicked")),
    ExceptionGroup("several", [TypeError("one")]),
]


def break_deciding(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def decide(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Policy, "decide", decide)


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_fault_is_no_answer(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, form: str
) -> None:
    monkeypatch.chdir(TOP)
    monkeypatch.delenv("ENGINE_DEBUG", raising=False)
    break_deciding(monkeypatch, error)
    ran = run("eval", *ASKED, "--format", form)
    assert (ran.code, ran.out) == (70, "")
    match = FAULT.fullmatch(ran.err)
    assert match is not None, ran.err
    assert match["kind"] == type(error).__name__
    assert match["place"].startswith("engine/")
    assert len(ran.err) < 500
    assert ran.err[:-1].isprintable()


@pytest.mark.parametrize("command", ["explain", "test", "diff", "batch", "bench"])
def test_every_command(run: Run, monkeypatch: pytest.MonkeyPatch, command: str, tmp_path: Path) -> None:
    monkeypatch.chdir(TOP)
    monkeypatch.delenv("ENGINE_DEBUG", raising=False)

    def load(*_: object, **__: object) -> None:
        raise TypeError("broken")

    (tmp_path / "r.jsonl").write_text("{}\n")
    arguments: dict[str, tuple[str | Path, ...]] = {
        "explain": ASKED,
        "test": ("policies/sharding",),
        "diff": ("sharding@1", "sharding@2", "--requests", tmp_path / "r.jsonl"),
        "batch": (tmp_path / "r.jsonl",),
        "bench": ("sharding@1", "--requests", tmp_path / "r.jsonl"),
    }
    monkeypatch.setattr("engine.catalogs.store.Source.of", load)
    ran = run(command, *arguments[command])
    assert ran.code == 70, ran
    assert FAULT.search(ran.err), ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("setting", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_traceback_is_for_those_who_ask(
    run: Run, monkeypatch: pytest.MonkeyPatch, setting: str, shown: bool
) -> None:
    monkeypatch.chdir(TOP)
    monkeypatch.setenv("ENGINE_DEBUG", setting)
    break_deciding(monkeypatch, TypeError("broken"))
    ran = run("eval", *ASKED)
    assert ran.code == 70
    assert ("Traceback (most recent call last)" in ran.err) == shown
    assert FAULT.search(ran.err)


def test_out_of_memory_tells_of_the_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    break_deciding(monkeypatch, MemoryError())
    ran = run("eval", *ASKED)
    assert (ran.code, ran.out) == (70, "")
    assert ran.err.startswith("out of memory (MemoryError in engine/")
    assert "too large for this machine" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.slow
def test_with_memory_that_is_really_short(tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from engine.cli.main import main\n"
        "from engine.cli import quick\n"
        "def fill(*_):\n"
        "    kept = []\n"
        "    while True: kept.append([str(len(kept))])\n"
        "quick.run = fill\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)\n"
        "sys.exit(main(['eval']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (70, "")
    assert ran.stderr.startswith("out of memory")
    assert ran.stderr.count("\n") == 1


def test_what_ends_a_process_on_purpose_is_no_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "run", lambda _: sys.exit(5))
    with pytest.raises(SystemExit):
        run("eval")


class TestBatch:
    """A fault is one line's error."""

    @pytest.fixture
    def requests(self, tmp_path: Path) -> Path:
        file = tmp_path / "requests.jsonl"
        lines = [{"id": f"r{n}", **REQUEST, "model": {"params": "8B"}} for n in range(5)]
        file.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
        return file

    @pytest.mark.parametrize("where", ["decide", "render", "read"])
    @pytest.mark.parametrize(
        "error", [TypeError("broken"), MemoryError(), RecursionError(), PanicError("panicked")], ids=repr
    )
    def test_the_run_goes_on(
        self,
        run: Run,
        requests: Path,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
        error: BaseException,
    ) -> None:
        original = {
            "decide": Policy.decide,
            "render": json_target.line,
            "read": engine.bulk.batch.read_request,
        }[where]
        calls = iter(range(100))

        def third(*given: object, **named: object) -> object:
            if next(calls) == 2:
                raise error
            return original(*given, **named)  # type: ignore[operator]

        if where == "decide":
            monkeypatch.setattr(Policy, "decide", third)
        elif where == "render":
            forms = {**engine.bulk.batch._FORMS, "jsonl": (third, json_target.error_line)}
            monkeypatch.setattr(engine.bulk.batch, "_FORMS", forms)
        else:
            monkeypatch.setattr(engine.bulk.batch, "read_request", third)
        ran = run("batch", requests)
        assert ran.code == 70
        assert [each["id"] for each in ran.lines] == ["r0", "r1", "r2", "r3", "r4"]
        assert ["error" in each for each in ran.lines] == [False, False, True, False, False]
        found = ran.lines[2]["error"]
        assert (found["internal"], found["line"]) == (True, 3)
        assert type(error).__name__ in found["message"]
        assert ran.err == (
            "1 of 5 lines failed; first: line 3\n1 of them are internal errors; please report them\n"
        )

    def test_a_wrong_line_is_no_fault(self, run: Run, requests: Path) -> None:
        requests.write_text(f"{requests.read_text()}nonsense\n")
        ran = run("batch", requests)
        assert ran.code == 1
        assert "internal" not in ran.lines[5]["error"]

    def test_what_is_done_is_kept(
        self, run: Run, requests: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the run as a whole has the fault, --resume goes on."""
        out = tmp_path / "out.jsonl"
        run("batch", requests, "-o", out).ok()
        expected = out.read_bytes()
        out.unlink()
        original = engine.bulk.batch.answer_lines
        calls = iter(range(100))

        def second(*given: object) -> object:
            if next(calls) == 1:
                raise TypeError("broken")
            return original(*given)  # type: ignore[arg-type]

        monkeypatch.setattr("engine.cli.batch.CHUNK", 2)
        monkeypatch.setattr(engine.bulk.batch, "answer_lines", second)
        ran = run("batch", requests, "-o", out)
        assert ran.code == 70
        assert not out.exists()
        part = Path(f"{out}.part").read_bytes()
        assert expected.startswith(part)
        assert part.count(b"\n") == 2
        run("batch", requests, "-o", out, "--resume").ok()
        assert out.read_bytes() == expected


COMMANDS = {
    "eval --format json": (("eval", *ASKED, "--format", "json"), 0),
    "eval": (("eval", *ASKED), 0),
    "no such model": (("eval", *ASKED, "--params", "huge"), 2),
    "help": (("--help",), 0),
    "version": (("--version",), 0),
    "no command": (("nope",), 2),
    "policies show": (("policies", "show", "sharding"), 0),
    "check": (("check", "examples/policies/image-sources"), 0),
    "test": (("test", "examples/policies/image-sources"), 0),
    "model show": (("model", "show", "llama-3.1-70b"), 0),
    "batch": (("batch", "{requests}"), 0),
    "batch --jobs": (("batch", "{requests}", "--jobs", "2"), 0),
}


def shell(redirection: str, arguments: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    requests = folder / "requests.jsonl"
    requests.write_text(json.dumps({**REQUEST, "model": {"params": "8B"}}) + "\n")
    words = [each.format(requests=requests) for each in arguments]
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", sys.executable, "-m", "engine.cli.main", *words],
        cwd=TOP,
        env={**os.environ, "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_standard_output(name: str, tmp_path: Path) -> None:
    arguments, code = COMMANDS[name]
    for redirection in (">&-", "> /dev/full"):
        ran = shell(redirection, arguments, tmp_path)
        assert ran.returncode == 2
        assert "Traceback" not in ran.stderr
        assert "Exception ignored" not in ran.stderr
        if code == 0:
            reason = "Bad file descriptor" if redirection == ">&-" else "No space left on device"
            assert ran.stderr.splitlines()[-1] == f"error: cannot read or write: {reason}"


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_standard_error(name: str, tmp_path: Path) -> None:
    """What belongs there doesn't go to standard output instead."""
    arguments, code = COMMANDS[name]
    usual = shell("2> /dev/null", arguments, tmp_path)
    for redirection in ("2>&-", "2> /dev/full"):
        ran = shell(redirection, arguments, tmp_path)
        assert ran.returncode == usual.returncode == code
        if "test" not in name:  # tells how long it took
            assert ran.stdout == usual.stdout


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["<&-", "<&- 2>&-"])
@pytest.mark.parametrize("name", ["eval", "eval --format json", "batch", "batch --jobs"])
def test_a_closed_standard_input(name: str, redirection: str, tmp_path: Path) -> None:
    assert shell(redirection, COMMANDS[name][0], tmp_path).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("eval", "--inventory", "-", *ASKED[2:]), ("batch", "-")])
def test_reading_a_closed_standard_input(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = shell("<&-", arguments, tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: ")
    assert "ad file descriptor" in ran.stderr
    assert shell(">&- 2>&- <&-", arguments, tmp_path).returncode == 2


@pytest.mark.slow
def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What is meant for standard error would be written into it."""
    out = tmp_path / "out.jsonl"
    assert shell("<&- >&- 2>&-", ("batch", "{requests}", "-o", str(out)), tmp_path).returncode == 0
    assert [json.loads(line)["outcome"] for line in out.read_text().splitlines()] == ["plan"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["help", "eval", "eval --format json", "policies show", "batch"])
def test_a_reader_that_has_gone(name: str, tmp_path: Path) -> None:
    ran = shell("| true; exit ${PIPESTATUS[0]}", COMMANDS[name][0], tmp_path)
    assert ran.returncode in (0, 141)
    assert ran.stderr == ""
