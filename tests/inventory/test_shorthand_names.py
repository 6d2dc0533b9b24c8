"""Shorthand as people write it: spaces, names of drivers, and a number alone."""

from __future__ import annotations

import pytest

import engine
from tests.conftest import Run


@pytest.mark.parametrize(
    "text", ["2x GeForce RTX 3090", "2 x RTX-3090", "2×RTX 3090", " 2xRTX3090", "1xRTX-3090 + 1xRTX 3090"]
)
def test_names_may_have_spaces(text: str) -> None:
    written, usual = (
        engine.decide(inventory=each, params="8B", quantization="bf16").plan for each in (text, "2xRTX-3090")
    )
    assert written is not None
    assert usual is not None
    assert written.strategy == usual.strategy
    assert [shard.memory_bytes for shard in written.shards] == [shard.memory_bytes for shard in usual.shards]


def test_a_number_alone_gets_the_products_of_that_number(run: Run) -> None:
    ran = run("eval", "--inventory", "2x3090", "--params", "8B", "--quantization", "bf16")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "error: 2x3090: unknown product '3090'",
        "  hint: did you mean 'RTX-3090' or 'RTX-3090-Ti'?",
    ]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("2x2xH100-SXM+4xB200-SXM", ["node0"] * 2 + ["node1"] * 2 + ["node2"] * 4),
        ("2x1xH100-SXM+2x1xL40S", ["node0", "node1", "node2", "node3"]),
        ("1xL40S+2x1xH100-SXM", ["node0", "node1", "node2"]),
        ("1xA100-SXM-80GB+1xL40S", [None, None]),
    ],
)
def test_machines_of_one_part_are_not_those_of_another(text: str, nodes: list[str | None], run: Run) -> None:
    found = run("inventory", "show", text, "--format", "json").ok().json["devices"]
    assert [device.get("node") for device in found] == nodes
