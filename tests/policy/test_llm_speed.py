"""Library llm-speed against measured servers, kernel tables and physics."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import pytest

import engine
from benchmarks.estimates import (
    Speed,
    compare,
    inputs_of,
    measured,
    quantile,
    regrets,
    size_regrets,
    tabled,
    worth_between,
)


@pytest.fixture(scope="module")
def speed() -> Speed:
    return Speed()


ROW: Mapping[str, Any] = {
    "catalog_name": "llama-3.1-70b",
    "accelerator": "H100-SXM",
    "precision": "fp8",
    "tensor_parallel": 4,
    "pipeline_parallel": 1,
    "data_parallel": 1,
    "expert_parallel": 1,
    "input_tokens": 2048,
    "output_tokens": 512,
    "concurrency": 32,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "throughput", "tpot", "early_ttft"),
    [
        ("measured, dense", (0.10, 0.35), (0.12, 0.35), 0.30),
        ("measured, MoE", (0.22, 0.55), (0.22, 0.55), 0.30),
    ],
)
def test_estimates_of_measured_servers_are_within_the_bars(
    speed: Speed, group: str, throughput: tuple[float, float], tpot: tuple[float, float], early_ttft: float
) -> None:
    errors = compare(measured(), speed)[group]
    for name, (median, ninth) in (("throughput", throughput), ("tpot", tpot)):
        sizes = [abs(error) for error in errors.by_quantity[name]]
        assert statistics.median(sizes) <= median
        assert quantile(sizes, 0.9) <= ninth
    assert statistics.median(map(abs, errors.early)) <= early_ttft
    assert sum(errors.held) / len(errors.held) >= 0.8


def test_estimates_of_kernel_tables_follow_them(speed: Speed) -> None:
    for name, errors in compare(tabled(), speed).items():
        assert statistics.median(map(abs, errors.by_quantity["tpot"])) < 0.16, name


@pytest.mark.slow
def test_choices_by_the_estimates_lose_little(speed: Speed) -> None:
    free, limited = zip(*regrets(speed, "vllm").values(), strict=True)
    assert statistics.fmean(free) <= 0.04
    assert quantile(free, 0.9) <= 0.12
    assert statistics.fmean(limited) <= 0.05
    assert quantile(limited, 0.9) <= 0.20


@pytest.mark.slow
def test_engine_size_loses_little_where_limits_fall_between_batches() -> None:
    _, between = zip(*size_regrets().values(), strict=True)
    assert statistics.fmean(between) <= 0.05
    assert quantile(between, 0.9) <= 0.20


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1000.0, 10.0), 0.0),
        ((1000.0, 20.0), 100.0),
        ((1000.0, 25.0), 140.0),
        ((150.0, 40.0), 140.0),
        ((1000.0, 40.0), 180.0),
    ],
)
def test_worth_between_points_reads_the_stricter_limit_linearly(
    limits: tuple[float, float], expected: float
) -> None:
    points = [(8, 100.0, 20.0, 100.0), (16, 200.0, 30.0, 180.0)]
    assert worth_between(points, limits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "quantity", "grows"),
    [
        ({"bandwidth_gbs": 5000.0}, "tpot_ms", False),
        ({"bf16_tflops": 2000.0}, "ttft_ms", False),
        ({"link_gbs": 100.0}, "ttft_ms", True),
        ({"concurrency": 64.0}, "tokens_per_sec", True),
        ({"concurrency": 64.0}, "tpot_ms", True),
        ({"capacity": 8.0}, "tokens_per_sec", False),
        ({"capacity": 8.0}, "ttft_ms", True),
        ({"prefix_hit": 0.5}, "ttft_ms", False),
        ({"input_tokens": 8192.0}, "tpot_ms", True),
        ({"draft_tokens": 3.0, "accepted_tokens": 2.5}, "tpot_ms", False),
        ({"native": False}, "ttft_ms", True),
    ],
)
def test_a_change_moves_an_estimate_the_physical_way(
    speed: Speed, change: dict[str, float], quantity: str, grows: bool
) -> None:
    inputs = inputs_of(ROW, "vllm")
    before, after = speed(inputs)[quantity], speed({**inputs, **change})[quantity]
    assert after > before if grows else after < before


def test_throughput_times_latency_is_the_number_of_requests_in_flight(speed: Speed) -> None:
    output = speed({**inputs_of(ROW, "vllm"), "capacity": 20.0})
    assert output["requests_per_sec"] * output["request_ms"] / 1000.0 == pytest.approx(32.0)
    assert output["ttft_ms"] + 511.0 * output["tpot_ms"] == pytest.approx(output["request_ms"])


def test_a_server_or_device_without_measurements_has_wider_bounds(speed: Speed) -> None:
    inputs = inputs_of(ROW, "vllm")
    low, high = speed(inputs)["tpot_factors"]
    for change in ({"server": "llama.cpp"}, {"generation": "cdna3"}):
        wider = speed({**inputs, **change})["tpot_factors"]
        assert wider[0] < low < 1 < high < wider[1]


def test_runtimes_agree(speed: Speed) -> None:
    inputs = inputs_of(ROW, "vllm")
    found = speed.policy.decide(engine.Request.from_inputs(inputs), runtime="cel-python").output
    assert isinstance(found, Mapping)
    expected = speed(inputs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value) if isinstance(value, float) else found[name] == value, name
