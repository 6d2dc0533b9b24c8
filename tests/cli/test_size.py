"""`engine size`, `engine frontier` and `engine map`: every form, and what is wrong."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from referencing import Registry, Resource

from tests.conftest import TOP, Run

SVG = "{http://www.w3.org/2000/svg}"
MODEL = ("--model", "llama-3.1-70b", "--quantization", "fp8")
SMALL = ("--model", "llama-3.1-8b", "--quantization", "bf16")
GOALS = ("--slo", "ttft=1s,tpot=40ms", "--rate", "20/s")
SIZE = ("size", *MODEL, *GOALS, "--on", "8xH100-SXM,4xL40S,8xMI300X")
FRONTIER = ("frontier", *MODEL, "--inventory", "8xH100-SXM", "--slo", "ttft=1s,tpot=40ms")
MAP = ("map", *MODEL, "--inventory", "4xH100-SXM", "--x", "context=4k..32k", "--y", "concurrency=1..64")


def schema(name: str) -> jsonschema.Draft202012Validator:
    texts = {file.name: json.loads(file.read_text()) for file in (TOP / "schemas").glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        [(file, Resource.from_contents(value)) for file, value in texts.items()]
    )
    return jsonschema.Draft202012Validator(texts[f"{name}.schema.json"], registry=registry)


@pytest.mark.slow
def test_size_reports_options_and_why_others_cannot(run: Run) -> None:
    out = run(*SIZE).ok(quiet=True).out
    head, *_ = out.splitlines()
    assert "× H100-SXM (TP" in head
    for words in ("20 requests/s, TTFT ≤ 1000 ms, TPOT ≤ 40 ms", "utilization", "limited by", "8xMI300X"):
        assert words in out
    refused = out[out.index("Cannot meet the goals:") :]
    assert "4xL40S" in refused
    assert "nearest:" in refused
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.slow
def test_size_json_is_valid_and_ranked(run: Run) -> None:
    sizing = run(*SIZE, "--format", "json").ok().json
    schema("sizing").validate(sizing)
    feasible = [option["devices"] for option in sizing["options"] if option["feasible"]]
    assert feasible == sorted(feasible)
    assert [option["feasible"] for option in sizing["options"]] == [True, True, False]
    best = sizing["options"][0]
    low, high = best["bounds"]["throughput_tokens_per_sec"]
    assert low < best["throughput_tokens_per_sec"] < high
    assert best["price_per_hour"] is None


@pytest.mark.slow
def test_size_csv_has_a_line_for_each_option(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run(*SIZE, "--format", "csv").ok().out)))
    assert {row["machine"] for row in rows} == {"8xH100-SXM", "4xL40S", "8xMI300X"}
    assert [row["feasible"] for row in rows] == ["true", "true", "false"]


@pytest.mark.slow
def test_size_markdown_is_a_table(run: Run) -> None:
    lines = run(*SIZE, "--format", "markdown").ok().out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1


@pytest.mark.slow
def test_size_with_prices_states_the_currency_and_the_source(run: Run, tmp_path: Path) -> None:
    patch = tmp_path / "patch" / "acme-prices" / "1.0.0.yaml"
    patch.parent.mkdir(parents=True)
    row = '{per_hour: 2.5, currency: EUR, date: "2026-11-01", source: contract}'
    patch.write_text(
        "apiVersion: engine/v1\nkind: CatalogPatch\nname: acme-prices\nversion: 1.0.0\nbase: prices@1\n"
        f"entries: {{H100-SXM: {row}}}\n"
    )
    ran = run("size", *MODEL, *GOALS, "--on", "8xH100-SXM", "--policies", tmp_path, "--format", "json").ok()
    (option,) = ran.json["options"]
    assert ran.json["currency"] == "EUR"
    assert option["price_per_hour"] == 2.5 * option["devices"]
    assert ran.json["prices"][0]["source"] == "contract, 2026-11-01"
    text = run("size", *MODEL, *GOALS, "--on", "8xH100-SXM", "--policies", tmp_path).ok().out
    assert "EUR/h" in text


def test_size_without_quantization_lets_the_policy_choose(run: Run) -> None:
    sizing = run("size", "--model", "llama-3.1-8b", "--on", "1xL40S", "--format", "json").ok().json
    assert sizing["options"][0]["quantization"] not in (None, "auto")


def test_size_of_a_fleet_from_a_request(run: Run, tmp_path: Path) -> None:
    request = tmp_path / "request.yaml"
    request.write_text(
        "inventory: {devices: [{kind: CudaGpu, name: H100-SXM, memory: 80GiB, count: 4}]}\n"
        "model: {params: 8B}\nquantization: bf16\nserving: {max_tpot_ms: 40, request_rate: 5}\n"
    )
    sizing = run("size", "--request", request, "--format", "json").ok().json
    assert sizing["options"][0]["machine"] == "4 × H100-SXM"
    schema("sizing").validate(sizing)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*MODEL, *GOALS), "name what to choose from"),
        ((*MODEL, "--on", "8xH100-SXM", "--fleet", "8xH100-SXM"), "use either --on or --fleet"),
        ((*MODEL, "--on", "8xH100-SXM", "--slo", "ttft=0s"), "must be more than zero"),
        ((*MODEL, "--on", "8xH100-SXM", "--rate", "0/s"), "must be more than zero"),
        ((*MODEL, "--on", "8xH1000"), "unknown product"),
        ((*MODEL, "--on", "8xH100-SXM", "--price", "H100-SXM=2.49/h"), "has no currency"),
        ((*MODEL, "--on", "8xH100-SXM", "--price", "H100=2.49USD/h"), "no device of that name is offered"),
        (("--on", "8xH100-SXM"), "no model"),
        ((*SMALL, "--on", "8xH100-SXM", "--policy", "sharding@1"), "use a policy that does"),
        ((*SMALL, "--on", "8xH100-SXM", "--policy", "sharding@2"), "use a policy that does"),
    ],
)
def test_size_of_bad_input_says_what_is_wrong(arguments: tuple[str, ...], words: str, run: Run) -> None:
    ran = run("size", *arguments).ok(2)
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_size_that_nothing_meets_is_a_negative_answer(run: Run) -> None:
    ran = run("size", *MODEL, "--slo", "ttft=5ms", "--rate", "1/s", "--on", "8xH100-SXM").ok(1)
    assert ran.out.startswith("No machine meets the goals")
    assert "nearest: TTFT" in ran.out


@pytest.mark.slow
def test_frontier_in_every_form(run: Run) -> None:
    found = run(*FRONTIER, "--format", "json").ok().json
    schema("frontier").validate(found)
    assert found["chosen"]["meets"]
    text = run(*FRONTIER).ok(quiet=True).out
    assert "chosen" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    rows = list(csv.DictReader(io.StringIO(run(*FRONTIER, "--format", "csv").ok().out)))
    assert len(rows) == len(found["front"])
    table = run(*FRONTIER, "--format", "markdown").ok().out
    assert table.count("\n|") == len(found["front"]) + 2


def test_frontier_of_a_model_that_does_not_fit_is_a_negative_answer(run: Run) -> None:
    ran = run("frontier", "--model", "llama-3.1-405b", "--quantization", "bf16", "--inventory", "1xL4")
    assert ran.ok(1).out.startswith("No layout of llama-3.1-405b fits on 1xL4")


@pytest.mark.slow
def test_map_in_every_form(run: Run) -> None:
    found = run(*MAP, "--format", "json").ok().json
    schema("map").validate(found)
    assert found["rows"][0]["plans"][-1]["to"] == 32 * 1024
    text = run(*MAP).ok(quiet=True).out
    for plan in found["plans"]:
        assert plan in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--x", "contest=1k..2k"), "did you mean 'context'"),
        (("--x", "context=2k..1k"), "that grows"),
        (("--x", "concurrency=1..8"), "both axes are concurrency"),
        (("--y", "input=1..8", "--slo", "tpot=40ms"), "limits and rates need a concurrency"),
    ],
)
def test_map_of_bad_axes_says_what_is_wrong(arguments: tuple[str, ...], words: str, run: Run) -> None:
    assert words in run("map", *MODEL, "--inventory", "4xH100-SXM", *arguments).ok(2).err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [SIZE, FRONTIER, MAP], ids=["size", "frontier", "map"])
def test_picture_is_one_file_with_all_its_marks_inside(arguments: tuple[str, ...], run: Run) -> None:
    out = run(*arguments, "--format", "svg").ok().out
    assert "http" not in out.replace(SVG[1:-1], "")
    picture = ElementTree.fromstring(out)
    width, height = float(picture.get("width", "0")), float(picture.get("height", "0"))
    for text in picture.iter(f"{SVG}text"):
        if text.get("x") is not None:
            assert 0 <= float(text.get("x", "")) <= width
            assert 0 <= float(text.get("y", "")) <= height
    for rect in picture.iter(f"{SVG}rect"):
        if rect.get("width", "").endswith("%"):
            continue
        assert float(rect.get("x", "0")) + float(rect.get("width", "0")) <= width
    for circle in picture.iter(f"{SVG}circle"):
        assert 0 <= float(circle.get("cx", "")) <= width
        assert 0 <= float(circle.get("cy", "")) <= height


@pytest.mark.slow
def test_eval_shows_goals_and_the_concurrency_that_was_found(run: Run) -> None:
    out = run("eval", *MODEL, "--inventory", "8xH100-SXM", "--slo", "ttft=1s,tpot=40ms,p95").ok().out
    assert "of at most 1000 ms (p95)" in out
    assert "largest within the limits" in out
    decision = run(
        *("eval", *MODEL, "--inventory", "8xH100-SXM", "--slo", "ttft=1s,tpot=40ms,p95", "--format", "json")
    )
    schema("decision").validate(decision.ok().json)


def test_eval_of_limits_in_a_request_finds_the_concurrency(run: Run, tmp_path: Path) -> None:
    request = tmp_path / "request.yaml"
    request.write_text("serving: {max_tpot_ms: 40, max_ttft_ms: 1000}\n")
    ran = run("eval", *MODEL, "--inventory", "8xH100-SXM", "--request", request, "--format", "json").ok()
    assert ran.json["found_concurrency"]["found"] == "largest_within_limits"
