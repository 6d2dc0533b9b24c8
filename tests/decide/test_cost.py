"""Objective `cost`: the most tokens for the price, with a site's prices; without them, a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import engine

pytestmark = pytest.mark.slow

PATCH = """\
apiVersion: engine/v1
kind: CatalogPatch
name: prices-of-a-test
version: 1.0.0
base: prices@1
entries:
"""
MIXED = {
    "devices": [
        {"kind": "CudaGpu", "name": "A100-SXM4-80GB", "memory": "80GiB", "count": 2},
        {"kind": "CudaGpu", "name": "H100-SXM", "memory": "80GiB", "count": 2},
    ]
}


def decided(folder: Path, prices: dict[str, tuple[float, str]], **request: Any) -> engine.Decision:
    patch = folder / "patch" / "prices-of-a-test" / "1.0.0.yaml"
    patch.parent.mkdir(parents=True)
    rows = [
        f"  {name}: {{per_hour: {per_hour}, currency: {currency}, date: 2026-11-01, source: a test}}\n"
        for name, (per_hour, currency) in prices.items()
    ]
    patch.write_text(PATCH + "".join(rows), encoding="utf-8")
    return engine.decide(
        policies=[folder], quantization="bf16", objective="cost", **{"inventory": MIXED, **request}
    )


def products(decision: engine.Decision) -> set[str]:
    assert decision.plan is not None
    return {shard.device.name for shard in decision.plan.shards}


def test_the_cheaper_product_is_chosen(tmp_path: Path) -> None:
    prices = {"A100-SXM-80GB": (0.5, "USD"), "H100-SXM": (9.0, "USD")}
    assert products(decided(tmp_path, prices, model="llama-3.1-8b")) == {"A100-SXM4-80GB"}


def test_dear_devices_are_left_idle(tmp_path: Path) -> None:
    decision = decided(tmp_path, {"H100-SXM": (2.5, "EUR")}, inventory="8xH100-SXM", model="llama-3.1-70b")
    assert decision.plan is not None
    assert len(decision.plan.shards) < 8


def test_several_currencies_are_refused(tmp_path: Path) -> None:
    prices = {"A100-SXM-80GB": (1.0, "USD"), "H100-SXM": (2.0, "EUR")}
    decision = decided(tmp_path, prices, model="llama-3.1-8b")
    assert (decision.outcome, decision.explanation) == (
        "infeasible",
        "the objective cost compares prices in one currency, found USD, EUR",
    )


def test_a_price_of_zero_is_none(tmp_path: Path) -> None:
    decision = decided(tmp_path, {"H100-SXM": (0.0, "USD")}, inventory="8xH100-SXM", model="llama-3.1-70b")
    assert (decision.outcome, decision.refusal and decision.refusal.requirement) == ("infeasible", "priced")
