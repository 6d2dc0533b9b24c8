"""`engine calibrate`: readers of measurements, the fit, the patch, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from engine.bulk.calibration.discovery import read_measurements, readers
from engine.bulk.calibration.estimates import Estimator, estimate
from engine.bulk.calibration.measurement import Text
from engine.bulk.calibration.solve import Point, inverse, solve
from tests.conftest import DATA, Run

FILES = DATA / "calibration"
TRUE = {"layer_us": 110.0, "compute": 0.6, "first_token_ms": 25.0}
"""Constants of a server that the shipped ones do not describe."""
ROW = "vllm on H100-SXM"
LOADS = [(512, 512, 1), (1024, 1024, 1), (8192, 256, 1), (1024, 1024, 4), (1024, 1024, 16), (1024, 1024, 64)]
LOADS += [(4096, 512, 2), (4096, 512, 8), (4096, 512, 32), (256, 1024, 128), (2048, 2048, 32), (8192, 512, 8)]
HEADER = (
    "model,accelerator,precision,server,tensor_parallel,input_tokens,output_tokens,concurrency,"
    "time_to_first_token_ms,time_per_output_token_ms,output_tokens_per_sec"
)
LINE = "llama-3.1-8b,H100-SXM,bf16,vllm,1,1024,1024,16,72.4,7.91,2004.6"


def request(load: tuple[int, int, int], model: str = "llama-3.1-8b") -> dict[str, Any]:
    """Return the arguments of `engine.decide` for a load on one H100."""
    prompt, output, concurrency = load
    return {
        "inventory": "1xH100-SXM",
        "model": model,
        "quantization": "bf16",
        "server": "vllm",
        "pin": "tp=1,pp=1,dp=1,ep=1",
        "input_tokens": prompt,
        "output_tokens": output,
        "concurrency": concurrency,
    }


def loaded(**arguments: Any) -> dict[str, Any]:
    """Return a plan's estimates."""
    estimates = engine.decide(**arguments).to_dict()["plan"]["estimates"]
    assert isinstance(estimates, dict)
    return estimates


def patched(folder: Path, cells: dict[str, float]) -> str:
    """Write a patch by hand; return its folder of policies."""
    path = folder / "patch" / "by-hand" / "1.0.0.yaml"
    path.parent.mkdir(parents=True)
    patch = {"apiVersion": "engine/v1", "kind": "CatalogPatch", "name": "by-hand", "version": "1.0.0"}
    path.write_text(yaml.safe_dump({**patch, "base": "calibrations@1", "entries": {ROW: cells}}))
    return str(folder)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return rows that a server with other constants would measure, as CSV, with noise of 2 %."""
    folder = patched(tmp_path_factory.mktemp("true"), TRUE)
    noise = random.Random(7)
    rows = []
    for load in LOADS:
        found = loaded(**request(load), policies=folder)
        ttft = found["loaded"]["time_to_first_token_ms"] * noise.gauss(1, 0.02)
        tpot = found["loaded"]["time_per_output_token_ms"] * noise.gauss(1, 0.02)
        rate = load[2] * load[1] / (ttft + (load[1] - 1) * tpot) * 1000
        rows.append(["llama-3.1-8b", "H100-SXM", "bf16", "vllm", 1, *load, ttft, tpot, rate])
    path = tmp_path_factory.mktemp("rows") / "measured.csv"
    text = io.StringIO()
    csv.writer(text).writerows([HEADER.split(","), *rows])
    path.write_text(text.getvalue())
    return path


# --- readers


@pytest.mark.parametrize("name", readers())
def test_reader_of_its_example_alone_takes_it(name: str) -> None:
    reader = readers()[name]
    text = Text("example", reader.example)
    assert [other.name for other in readers().values() if other.takes(text)] == [reader.name]
    found = list(reader.read(text))
    assert found
    assert all(each.reader == reader.name for each in found)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("vllm_bench.json", {"concurrency": 16.0, "input_tokens": 1024.0, "output_tokens": 1024.0}),
        ("vllm_bench.jsonl", {"concurrency": 1.0, "server": "vllm"}),
        (
            "sglang_bench.jsonl",
            {"server": "sglang", "quantization": "fp8", "model": "deepseek-ai/DeepSeek-V3"},
        ),
        ("profile_export_aiperf.json", {"concurrency": 16.0, "model": "meta-llama/Llama-3.1-8B-Instruct"}),
        ("profile_export_genai_perf.json", {"concurrency": 16.0, "model": "llama-3.1-8b"}),
        (
            "llama_bench.json",
            {"server": "llama.cpp", "input_tokens": 512.0, "accelerator": "NVIDIA GeForce RTX 4090"},
        ),
        ("llama_bench.md", {"server": "llama.cpp", "input_tokens": 512.0}),
        (
            "vllm_server.log",
            {"kv_tokens": 434592, "weights_gib": 14.9889, "graphs_gib": 0.62, "quantization": "bf16"},
        ),
        ("vllm_metrics.txt", {"server": "vllm", "concurrency": 16.0, "input_tokens": 1024.0}),
        ("sglang_metrics.txt", {"server": "sglang", "concurrency": 8.0, "output_tokens": 1000.0}),
    ],
)
def test_reader_of_a_file_returns_its_fields(file: str, expected: dict[str, Any]) -> None:
    first = next(read_measurements(str(FILES / file)))
    assert {name: getattr(first, name) for name in expected} == expected


def test_readers_of_one_run_in_several_formats_agree() -> None:
    files = (
        "vllm_bench.json",
        "profile_export_aiperf.json",
        "profile_export_genai_perf.json",
        "vllm_metrics.txt",
    )
    found = [next(read_measurements(str(FILES / file))) for file in files]
    assert len({round(each.ttft_ms or 0, 1) for each in found}) == 1
    assert len({round(each.tpot_ms or 0, 2) for each in found}) == 1


def test_llama_bench_of_one_run_is_alike_in_json_and_markdown() -> None:
    json_, table = (
        list(read_measurements(str(FILES / file))) for file in ("llama_bench.json", "llama_bench.md")
    )
    assert [(each.ttft_ms, each.tpot_ms, each.input_tokens) for each in json_] == [
        (each.ttft_ms, each.tpot_ms, each.input_tokens) for each in table
    ]
    assert json_[0].ttft_ms == pytest.approx(512 / 9843.2 * 1000)
    assert json_[2].tpot_ms == pytest.approx(1000 / 102.4)


def test_vllm_bench_without_concurrency_uses_littles_law(tmp_path: Path) -> None:
    value = json.loads((FILES / "vllm_bench.json").read_text()) | {"max_concurrency": None}
    path = tmp_path / "open.json"
    path.write_text(json.dumps(value))
    found = next(read_measurements(str(path)))
    assert found.concurrency == pytest.approx(16, rel=0.01)
    assert "Little's law" in found.notes[0]


# --- the fit


def test_solve_of_exact_points_returns_their_constants() -> None:
    true = (0.3, -0.2)
    slopes = [(1.0, 0.0), (0.2, 0.8), (0.5, 0.5), (0.0, 1.0)] * 50
    points = [Point(-sum(s * t for s, t in zip(row, true, strict=True)), row, 1.0) for row in slopes]
    found = solve(points, (1.0, 1.0), (0.0, 0.0))
    assert found.logs == pytest.approx(true, abs=0.01)
    assert min(found.learned) > 0.9


def test_solve_of_points_that_say_nothing_keeps_the_shipped_constants() -> None:
    found = solve([Point(0.5, (0.0, 0.0), 1.0)] * 9, (0.5, 0.1), (0.0, 0.0))
    assert found.logs == (0.0, 0.0)
    assert found.learned == pytest.approx((0.0, 0.0))


def test_solve_of_one_outlier_is_bent_little() -> None:
    points = [Point(-0.1, (1.0,), 1.0)] * 11
    found = solve([*points, Point(-3.0, (1.0,), 1.0)], (1.0,), (0.0,))
    assert found.logs[0] == pytest.approx(0.1, abs=0.02)


def test_inverse_of_a_matrix_times_it_is_one() -> None:
    matrix = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]]
    found = inverse(matrix)
    product = [[sum(matrix[i][k] * found[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    assert [value for line in product for value in line] == pytest.approx(
        [1, 0, 0, 0, 1, 0, 0, 0, 1], abs=1e-12
    )


@pytest.mark.slow
def test_estimator_with_a_row_estimates_as_with_a_patch(tmp_path: Path) -> None:
    estimator = Estimator("sharding@3")
    decided = engine.decide(**request(LOADS[4]), policy=estimator.policy)
    assert decided.request is not None
    changed = estimate(estimator.with_row(ROW, TRUE), decided.request)
    assert not isinstance(changed, str)
    from_patch = loaded(**request(LOADS[4]), policies=patched(tmp_path, TRUE))
    assert changed.values["tpot"] == from_patch["loaded"]["time_per_output_token_ms"]
    assert changed.values["throughput"] == from_patch["throughput_tokens_per_sec"]
    assert changed.values["tpot"] != loaded(**request(LOADS[4]))["loaded"]["time_per_output_token_ms"]


# --- the command


@pytest.fixture(scope="module")
def folder(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of policies with a calibration from `measured`."""
    from engine.cli.main import main

    folder = tmp_path_factory.mktemp("site")
    out = folder / "patch" / "acme" / "1.0.0.yaml"
    assert main(["calibrate", "--measurements", str(measured), "--out", str(out)]) == 0
    return folder


@pytest.mark.slow
def test_calibrate_of_rows_predicts_loads_that_it_has_not_seen(folder: Path, tmp_path: Path) -> None:
    true = patched(tmp_path, TRUE)
    for load in [(2048, 256, 1), (2048, 512, 24), (512, 1024, 48), (6000, 400, 4)]:
        expected = loaded(**request(load), policies=true)["throughput_tokens_per_sec"]
        assert loaded(**request(load), policies=str(folder))["throughput_tokens_per_sec"] == pytest.approx(
            expected, rel=0.05
        )
        assert abs(loaded(**request(load))["throughput_tokens_per_sec"] / expected - 1) > 0.05


@pytest.mark.slow
def test_calibrated_estimate_says_so_and_others_do_not(folder: Path) -> None:
    assert loaded(**request(LOADS[0]), policies=str(folder))["basis"] == "calibrated"
    assert loaded(**request(LOADS[0]))["basis"] == "modelled"
    other = {**request(LOADS[0]), "inventory": "1xH200-SXM"}
    assert loaded(**other, policies=str(folder)) == loaded(**other)
    server = {**request(LOADS[0]), "server": "sglang"}
    assert loaded(**server, policies=str(folder)) == loaded(**server)


@pytest.mark.slow
def test_calibration_patch_is_checked_and_locked_like_any_document(folder: Path, run: Run) -> None:
    run("check", folder).ok()
    run("policies", "lock", folder).ok()
    path = folder / "patch" / "acme" / "1.0.0.yaml"
    text = path.read_text()
    value = yaml.safe_load(text)
    assert (value["kind"], value["name"], value["version"]) == ("CatalogPatch", "acme", "1.0.0")
    assert value["entries"][ROW]["rows"] == len(LOADS)
    path.write_text(text.replace("1.0.0\n", "1.0.0\n", 1) + "# changed\n")
    assert "E110" in run("check", folder).ok(1).out
    path.write_text(text)


@pytest.mark.slow
def test_calibrate_prints_errors_before_and_after_and_what_is_not_identified(
    measured: Path, run: Run
) -> None:
    found = run("calibrate", "--measurements", measured, "--format", "json").ok().json["fits"][0]
    throughput = found["errors"]["throughput"]
    assert throughput["before"]["median"] > 0.1
    assert throughput["left_out"]["median"] < 0.05
    fitted = {constant["name"]: constant["fitted"] for constant in found["constants"]}
    assert fitted["layer_us"] == pytest.approx(TRUE["layer_us"], rel=0.1)
    text = (
        run("calibrate", "--measurements", FILES / "vllm_metrics.txt", "--inventory", "1xH100-SXM").ok().out
    )
    assert "not identified" in text


@pytest.mark.slow
def test_calibrate_of_a_benchmark_takes_the_plan_from_the_log_beside_it(run: Run) -> None:
    bench, log = FILES / "vllm_bench.jsonl", FILES / "vllm_server.log"
    found = run("calibrate", "--measurements", bench, "--measurements", log, "--inventory", "2xH100-SXM").ok()
    assert "does not state parallel degrees" not in found.err
    assert "434,592 tokens in" in found.out
    alone = run("calibrate", "--measurements", bench, "--inventory", "2xH100-SXM").ok()
    assert "does not state parallel degrees; assuming the policy's" in alone.err


@pytest.mark.slow
def test_calibrate_does_not_overwrite_a_patch(measured: Path, folder: Path, run: Run) -> None:
    out = folder / "patch" / "acme" / "1.0.0.yaml"
    assert "the file exists" in run("calibrate", "--measurements", measured, "--out", out).ok(2).err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "hello\n", "a.txt:1:1: not a file of measurements"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", f"{HEADER},speed\n{LINE},1\n", "unknown column 'speed'"),
        ("a.csv", f"{HEADER}\n{LINE}\n{LINE[:40]}\n", "a.csv:3:1: expected 11 cells"),
        (
            "a.csv",
            f"{HEADER}\n{LINE.replace('2004.6', '-5')}\n",
            "a.csv:2:58: output_tokens_per_sec: expected a number",
        ),
        ("a.csv", f"{HEADER}\n{LINE.replace('72.4,7.91,2004.6', ',,')}\n", "neither a time nor a rate"),
        ("a.csv", f"{HEADER}\n{LINE.replace(',16,', ',,')}\n", "concurrency: is missing"),
        ("a.csv", f"{HEADER}\n{LINE.replace('H100-SXM', 'H101')}\n", "unknown accelerator 'H101'"),
        ("a.csv", f"{HEADER}\n{LINE.replace('llama-3.1-8b', 'lama-9')}\n", "unknown model 'lama-9'"),
        ("a.csv", f"{HEADER}\n{LINE.replace('bf16', 'bf17')}\n", "unknown quantization 'bf17'"),
        ("a.csv", f"{HEADER}\n{LINE.replace('vllm', 'vlm')}\n", "unknown server 'vlm'"),
        ("a.csv", f"{HEADER}\n{LINE.replace('2004.6', '9004.6')}\n", "the row contradicts itself"),
        ("a.csv", f"{HEADER}\n{LINE}\n{LINE.replace('72.4,7.91,2004.6', ',15,')}\n", "contradicts"),
        ("a.csv", f"{HEADER}\n{LINE.replace(',1,1024', ',,1024')}\n", "the parallel degrees are unknown"),
        ("a.csv", "model,concurrency,output_tokens_per_sec\nx,1,5\n", "no column 'input_tokens'"),
        ("a.csv", f"{HEADER}\n{LINE.replace(',1,1024', ',100000,1024')}\n", "make 100,000 devices"),
        ("a.csv", f"{HEADER}\n{LINE.replace('16,72.4,7.91', '1e15,,')}\n", "a.csv:2:1: "),
    ],
)
def test_calibrate_of_bad_rows_says_what_and_where(
    name: str, text: str, words: str, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert words in run("calibrate", "--measurements", path).ok(2).err


@pytest.mark.parametrize(
    ("file", "cut", "words"),
    [
        ("vllm_bench.json", 400, "vllm_bench.json:"),
        ("sglang_bench.jsonl", 2500, "the line may be cut off"),
        ("profile_export_aiperf.json", 1500, "profile_export_aiperf.json:"),
        ("llama_bench.md", 700, "the table may be cut off"),
        ("vllm_server.log", 700, "no line 'GPU KV cache size"),
        ("vllm_metrics.txt", 1000, "vllm_metrics.txt"),
    ],
)
def test_calibrate_of_half_a_file_is_an_error(
    file: str, cut: int, words: str, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / file
    path.write_text((FILES / file).read_text()[:cut])
    assert words in run("calibrate", "--measurements", path, "--inventory", "8xH200-SXM").ok(2).err


def test_calibrate_of_a_log_alone_has_no_rate(run: Run) -> None:
    found = run("calibrate", "--measurements", FILES / "vllm_server.log", "--inventory", "1xH100-SXM").ok(2)
    assert "no time and no rate" in found.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"output_throughput": 0}, "output_throughput: expected a number above 0, found 0"),
        ({"completed": 0}, "completed: expected a number above 0"),
        ({"mean_tpot_ms": "fast"}, "mean_tpot_ms: expected a number, found 'fast'"),
        ({"total_output_tokens": None}, "total_output_tokens: is missing"),
    ],
)
def test_calibrate_of_a_bad_field_names_it(
    change: dict[str, object], words: str, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(json.loads((FILES / "vllm_bench.json").read_text()) | change, indent=1))
    found = run("calibrate", "--measurements", path, "--inventory", "1xH100-SXM").ok(2)
    assert words in found.err
    assert "bench.json:" in found.err


def test_calibrate_of_speculative_decoding_refuses_it(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text(
        (FILES / "sglang_bench.jsonl").read_text().replace('"accept_length": null', '"accept_length": 2.4')
    )
    assert (
        "speculative decoding"
        in run("calibrate", "--measurements", path, "--inventory", "8xH200-SXM").ok(2).err
    )


@pytest.mark.slow
def test_calibrate_of_a_policy_without_the_catalog_is_an_error(measured: Path, run: Run) -> None:
    found = run("calibrate", "--measurements", measured, "--policy", "sharding@2").ok(2)
    assert "reads no catalog calibrations" in found.err


@pytest.mark.slow
def test_calibrate_keeps_bandwidth_below_the_datasheet(measured: Path, run: Run) -> None:
    rows = measured.read_text().replace(",H100-SXM,", ",H100-PCIE,")  # the rates of a faster product
    found = run("calibrate", "--measurements", "-", "--format", "json", stdin=rows).ok().json["fits"][0]
    fitted = {constant["name"]: constant["fitted"] for constant in found["constants"]}
    assert fitted["bandwidth"] is not None
    assert fitted["bandwidth"] <= 1.0
    assert not math.isnan(found["errors"]["throughput"]["left_out"]["median"])


@pytest.mark.slow
def test_calibrated_estimates_as_text_name_their_basis(folder: Path, run: Run) -> None:
    asked = ("eval", "--inventory", "1xH100-SXM", "--model", "llama-3.1-8b", "--quantization", "bf16")
    assert "basis         calibrated" in run(*asked, "--policies", folder).ok().out
    assert "basis" not in run(*asked).ok().out


@pytest.mark.slow
def test_calibrate_of_two_servers_writes_a_row_for_each(measured: Path, tmp_path: Path, run: Run) -> None:
    lines = measured.read_text().splitlines()[:7]
    both = [*lines, *(line.replace(",vllm,", ",trtllm,") for line in lines[1:])]
    out = tmp_path / "patch.yaml"
    run("calibrate", "--measurements", "-", "--out", out, stdin="\n".join(both)).ok()
    value = yaml.safe_load(out.read_text())
    assert list(value["entries"]) == [ROW, "tensorrt-llm on H100-SXM"]
    assert value["name"] == "patch"


@pytest.mark.slow
def test_calibrate_of_measurements_again_starts_from_the_patch(
    folder: Path, measured: Path, run: Run
) -> None:
    found = run("calibrate", "--measurements", measured, "--policies", folder, "--format", "json").ok().json
    assert found["fits"][0]["errors"]["throughput"]["before"]["median"] < 0.05
