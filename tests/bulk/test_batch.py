"""`engine batch`: lines in, lines out."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard

import engine.bulk.batch
from engine.documents.lines import LONGEST_LINE, read_lines
from tests.conftest import TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

GOOD = {
    "id": "a",
    "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
    "model": {"params": "8B"},
    "quantization": "bf16",
}


def lines(*values: object) -> str:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def test_order_and_ids_are_kept(run: Run) -> None:
    requests = [{**GOOD, "id": number, "model": {"params": number * 10**9}} for number in range(1, 30)]
    ran = run("batch", "-", stdin=lines(*requests))
    ran.ok(quiet=True)
    assert [line["id"] for line in ran.lines] == list(range(1, 30))
    assert [line["plan"]["total_memory_bytes"] for line in ran.lines] == [
        number * 10**9 * 2 + number * 10**9 * 2 // 5 for number in range(1, 30)
    ]


def test_bad_lines_become_errors_and_the_rest_goes_on(run: Run) -> None:
    broken = json.loads(json.dumps(GOOD))
    broken["inventory"]["devices"][0]["kind"] = "CudaGpuu"
    ran = run(
        "batch",
        "-",
        stdin=lines(
            GOOD,
            "",
            '{"id": "cut", "inventory": ',
            {**broken, "id": "kind"},
            {**GOOD, "id": 7, "model": {"params": -1}},
            {"id": "few"},
            [1, 2],
            '{"id": NaN}',
            '{"id": "x", "id": "y"}',
            "[" * 100_000,
            {**GOOD, "id": "huge", "model": {"params": 2**62}},
            {**GOOD, "id": True},
            "nonsense",
            {**GOOD, "id": "last"},
        ),
    )
    assert ran.code == 1
    assert ran.err == "11 of 13 lines failed; first: line 3\n"
    assert [line["id"] for line in ran.lines] == (
        ["a", None, "kind", 7, "few", None, None, None, None, "huge", None, None, "last"]
    )
    errors = [line["error"] for line in ran.lines if "error" in line]
    assert [error["line"] for error in errors] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert [error["path"] for error in errors] == [
        *(None, "inventory.devices[0].kind", "model.params", None, None, None, None, None, None, "id", None)
    ]
    assert errors[1]["message"] == (
        "inventory.devices[0].kind: 'CudaGpuu' is not in catalog accelerators@1.0.0"
    )
    assert errors[1]["hint"] == "did you mean 'CudaGpu'?"
    assert "integer overflow" in errors[8]["message"]
    assert errors[8]["place"].partition(".yaml:")[2].count(":") == 1


def test_the_reference_form_has_its_own_errors(run: Run) -> None:
    line = {"id": "r", "registry": {"profiles": []}, "model_params": "many", "quantization": "Int8"}
    ran = run("batch", "-", "--format", "ai-hwaccel", stdin=lines(line, {**line, "model_params": 10**9}))
    first, second = ran.lines
    assert first["error"]["path"] == "model_params"
    assert second["plan"]["strategy"] == {"DataParallel": {"num_replicas": 0}}


def test_auto(run: Run) -> None:
    (line,) = run("batch", "-", stdin=lines({**GOOD, "quantization": "auto"})).lines
    assert (line["quantization"], line["auto"]["quantization"]["match"]) == ("fp16", "gpu")


def test_an_empty_file_is_no_error(run: Run) -> None:
    ran = run("batch", "-", stdin="")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.slow
def test_a_line_that_is_too_long_is_skipped_whole(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text(lines(GOOD) + '{"id": "' + "x" * (LONGEST_LINE * 2) + '"}\n' + lines({**GOOD, "id": "b"}))
    ran = run("batch", file)
    assert ran.code == 1
    assert [line["id"] for line in ran.lines] == ["a", None, "b"]
    assert ran.lines[1]["error"] == {"message": "a line of more than 16 MiB", "line": 2, "path": None}


def test_no_newline_at_the_end(run: Run) -> None:
    assert [line["id"] for line in run("batch", "-", stdin=json.dumps(GOOD)).lines] == ["a"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text(lines(GOOD) * 200_000)
    tracemalloc.start()
    with file.open("rb") as source:
        assert sum(1 for _ in read_lines(source)) == 200_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.slow
def test_a_bar_on_a_terminal_leaves_the_data_alone(tmp_path: Path) -> None:
    file, out = tmp_path / "requests.jsonl", tmp_path / "decisions.jsonl"
    file.write_text(lines(*({**GOOD, "id": number} for number in range(300))))
    code = (
        "import sys, engine.cli.progress as progress; from engine.cli.main import main; "
        "progress._PATIENCE = 0.0; sys.exit(main(sys.argv[1:]))"
    )
    terminal, other_end = pty.openpty()
    with out.open("wb") as data:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "batch", file],
            stdout=data,
            stderr=other_end,
            cwd=TOP,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        )
        os.close(other_end)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # how Linux tells that the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(terminal)
        assert process.wait() == 0
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == list(range(300))
    assert b"300 decisions" in shown
    assert b"CudaGpu" not in shown


def mixed(count: int) -> str:
    """Good lines, and every seventh a bad one."""
    return lines(*({**GOOD, "id": n, "quantization": "int9" if n % 7 == 0 else "int8"} for n in range(count)))


@pytest.mark.slow
def test_several_processes_keep_the_order(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(mixed(300))
    alone, together = run("batch", file), run("batch", file, "--jobs", "3")
    assert together == alone
    assert (alone.code, len(alone.lines)) == (1, 300)


def test_compressed_files(run: Run, tmp_path: Path) -> None:
    plain, packed, out = (tmp_path / name for name in ("r.jsonl", "r.jsonl.gz", "d.jsonl.gz"))
    plain.write_text(mixed(20))
    packed.write_bytes(gzip.compress(mixed(20).encode()))
    ran = run("batch", packed, "--output", out)
    assert (ran.code, ran.out) == (1, "")
    assert gzip.decompress(out.read_bytes()).decode() == run("batch", plain).out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.jsonl.gz", "r.jsonl", "r.jsonl.gz"]


def test_an_output_is_whole_or_not_there(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "decisions.jsonl"
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(os.urandom(5000).hex().encode() + mixed(500).encode())[:-3000])
    ran = run("batch", cut, "--output", out)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {cut}: compressed file ended before")
    assert not out.exists()
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_that_is_not_compressed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plain.jsonl.gz"
    file.write_text(mixed(2))
    ran = run("batch", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {file}: not a gzipped file (b'{{\"')\n"


def test_an_output_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    ran = run("batch", "-", "--output", tmp_path / "nowhere" / "d.jsonl", stdin=mixed(1))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {tmp_path}/nowhere/d.jsonl: no such file or directory\n"


# --- packed files, and going on


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_packed_in_and_out(ending: str, run: Run, tmp_path: Path) -> None:
    plain, packed = tmp_path / "in.jsonl", tmp_path / f"in.jsonl{ending}"
    plain.write_text("".join(json.dumps({**GOOD, "id": n}) + "\n" for n in range(50)))
    data = plain.read_bytes()
    packed.write_bytes(gzip.compress(data) if ending == ".gz" else zstandard.compress(data))
    expected = run("batch", plain).out
    assert run("batch", packed).out == expected
    out = tmp_path / f"out.jsonl{ending}"
    run("batch", packed, "--output", out).ok()
    unpacked = gzip.decompress(out.read_bytes()) if ending == ".gz" else unpack(out)
    assert unpacked.decode() == expected


def unpack(path: Path) -> bytes:
    with zstandard.open(path, "rb") as file:
        content: bytes = file.read()
        return content


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_damaged_packed_file(ending: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"in.jsonl{ending}"
    data = (json.dumps(GOOD) + "\n").encode() * 50
    packed = gzip.compress(data) if ending == ".gz" else zstandard.compress(data)
    for broken in (packed[:20], packed[: len(packed) // 2], b"nothing of the kind"):
        file.write_bytes(broken)
        ran = run("batch", file, "--output", tmp_path / "out.jsonl")
        assert ran.code == 2, broken
        assert ran.err.startswith(f"error: {file}: ")
        assert not (tmp_path / "out.jsonl").exists()


def test_an_interrupted_run_leaves_whole_lines(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({**GOOD, "id": n}) + "\n" for n in range(600)))
    expected = run("batch", source).out
    decide = engine.bulk.batch.decide_line

    def interrupted(policy: Any, line: Any, runtime: str, plain: bool) -> Any:
        if line.number == 400:
            raise KeyboardInterrupt
        return decide(policy, line, runtime, plain)

    monkeypatch.setattr(engine.bulk.batch, "decide_line", interrupted)
    ran = run("batch", source, "--output", out)
    assert (ran.code, out.exists()) == (130, False)
    assert "continue with --resume" in ran.err
    kept = Path(f"{out}.part").read_text()
    assert kept.endswith("\n")
    assert expected.startswith(kept)
    monkeypatch.setattr(engine.bulk.batch, "decide_line", decide)
    run("batch", source, "--output", out, "--resume").ok()
    assert out.read_text() == expected


def test_resuming_needs_a_plain_output(run: Run, tmp_path: Path) -> None:
    assert run("batch", "-", "--resume").code == 2
    assert run("batch", "-", "--resume", "--output", tmp_path / "x.gz").code == 2


# --- policies on any subject --------------------------------------------------------------------------------

QUOTA = """apiVersion: engine/v1
kind: Policy
name: quota
version: 1.0.0
inputs: [{name: team, type: string}, {name: devices, type: int}]
constants: {limit: {value: 8, unit: device, description: Devices per team.}}
rule:
  match:
    - {id: within, condition: devices <= constants.limit, output: '{"grant": devices, "team": team}'}
    - {id: cut, output: '{"grant": constants.limit, "team": team}'}
"""


def test_batch_of_inputs_decides_a_policy_on_any_subject(run: Run, tmp_path: Path) -> None:
    policy, lines = tmp_path / "quota.yaml", tmp_path / "inputs.jsonl"
    policy.write_text(QUOTA)
    lines.write_text('{"id": "a", "team": "x", "devices": 3}\n{"team": "y", "devices": 9}\n{"team": "z"}\n')
    ran = run("batch", lines, "--inputs", "--policy", policy)
    assert ran.code == 1
    first, second, third = ran.lines
    assert (first["id"], first["match"], first["output"]) == ("a", "within", {"grant": 3, "team": "x"})
    assert (second["id"], second["match"]) == (None, "cut")
    assert third["error"]["line"] == 3
    assert "has no devices" in third["error"]["message"]
    assert run("batch", lines, "--inputs", "--policy", policy, "-j", "2").lines == ran.lines


def test_values_have_no_fields_of_plans(run: Run, tmp_path: Path) -> None:
    policy, lines = tmp_path / "quota.yaml", tmp_path / "inputs.jsonl"
    policy.write_text(QUOTA)
    lines.write_text('{"team": "x", "devices": 3}\n')
    (line,) = run("batch", lines, "--inputs", "--policy", policy).ok().lines
    assert sorted(line) == ["explanation", "id", "match", "outcome", "output", "policy"]


def test_inputs_without_the_flag_or_the_policy_say_so(run: Run, tmp_path: Path) -> None:
    policy, lines = tmp_path / "quota.yaml", tmp_path / "inputs.jsonl"
    policy.write_text(QUOTA)
    lines.write_text('{"team": "x", "devices": 3}\n')
    ran = run("batch", lines, "--policy", policy)
    assert ran.code == 2
    assert "reads inputs of its own (team, devices): add --inputs" in ran.err
    ran = run("batch", lines)
    assert "not a request: expected inventory, model and quantization, found 'team', 'devices'" in ran.out
    assert "--policy" in ran.lines[0]["error"]["hint"]
    subject = tmp_path / "subject.yaml"
    subject.write_text("team: x\ndevices: 3\n")
    for command in ("eval", "explain"):
        ran = run(command, "--input", subject)
        assert (ran.code, ran.out) == (2, "")
        assert f"{subject}:1:1: policy sharding has no input 'team'" in ran.err
        assert "--policy names another policy" in ran.err


def test_misspelt_inputs_are_errors(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "quota.yaml"
    policy.write_text(QUOTA)
    ran = run("eval", "--policy", policy, "--input", "-", stdin='{"team": "x", "devices": 3, "teem": 4}')
    assert ran.code == 2
    assert "policy quota has no input 'teem'" in ran.err
