"""How far a search goes: a budget in candidates, coarse rounds first, devices in any order."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.inventory import Inventory
from engine.inventory.order import device_ranks, refine
from engine.plan.search import builder
from engine.plan.search.budget import CandidateBudget, Spent
from engine.plan.search.grain import FINE, GRAINS, thin
from tests.conftest import examples
from tests.plan.test_search import GIB, OBJECTIVES, POLICY, requests

LARGE = {
    "params": 70_553_706_496,
    "embedding_params": 2_101_346_304,
    "layers": 80,
    "hidden_size": 8192,
    "attention_heads": 64,
    "kv_heads": 8,
    "head_dim": 128,
    "vocabulary": 128256,
    "intermediate_size": 28672,
}
NAMES = ("H100-SXM", "A100-SXM-80GB", "L40S", "RTX-4090", "A10", "L4", "H200-SXM", "B200-SXM")


def machines(count: int, sizes: int, names: int, nodes: int, seed: int) -> list[dict[str, Any]]:
    """Devices of so many sizes and products, over so many nodes, in a random order."""
    drawn = random.Random(seed)
    found = [
        {
            "kind": "CudaGpu",
            "name": NAMES[number % names],
            "memory_bytes": (24 + number % sizes) * GIB,
            "node": f"n{drawn.randrange(nodes)}",
        }
        for number in range(count)
    ]
    drawn.shuffle(found)
    return found


def decide(devices: list[dict[str, Any]], **asked: Any) -> engine.Decision:
    request = {"inventory": {"devices": devices}, "model": LARGE, "quantization": "bf16", **asked}
    return POLICY.decide(engine.Request.from_dict(request))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "sizes", "names", "nodes"), [(256, 60, 4, 40), (1024, 40, 1, 128), (1024, 40, 8, 200)]
)
def test_many_unlike_devices_are_decided(count: int, sizes: int, names: int, nodes: int) -> None:
    """Where there are more candidates than the policy allows the best so far is the answer, and says so."""
    most = 8000
    decision = decide(machines(count, sizes, names, nodes, 1))
    assert decision.plan is not None
    found = decision.to_dict()["search"]
    assert found["complete"] is False
    assert found["candidates"] <= most
    (warning,) = [each for each in decision.plan.warnings if "search" in each]
    assert warning == (
        f"search stopped after {found['candidates']:,} candidates, others may be better; "
        "the policy's most_candidates allows more"
    )


@pytest.mark.slow
def test_a_refusal_says_that_the_search_was_cut() -> None:
    decision = decide(machines(256, 60, 4, 40, 1), serving={"context": 131072, "concurrency": 1_000_000})
    assert decision.outcome == "infeasible"
    assert decision.to_dict()["search"]["complete"] is False
    assert "search stopped after" in (decision.explanation or "")


def test_a_search_of_few_devices_is_complete() -> None:
    plan = decide(machines(8, 1, 1, 1, 1)).plan
    assert plan is not None
    assert plan.search is not None
    assert plan.search.complete
    assert plan.warnings == ()


def test_the_environment_caps_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_CANDIDATES", "5")
    decision = decide(machines(8, 1, 1, 1, 1))
    assert decision.to_dict()["search"] == {"candidates": 5, "complete": False}
    text = decision.explanation if decision.plan is None else decision.plan.warnings[-1]
    assert "ENGINE_CANDIDATES allows more" in (text or "")


def test_a_budget_is_a_number(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_CANDIDATES", "many")
    result = run("eval", "--inventory", "1xH100-SXM", "--model", "llama-3.1-8b", "--quantization", "bf16")
    assert result.code == 2
    assert "ENGINE_CANDIDATES: expected a whole number from 1" in result.err


def test_parts_share_a_budget() -> None:
    budget = CandidateBudget(1000, 1.0)
    budget.share(2)
    for _ in range(500):
        budget.spend(1)
    with pytest.raises(Spent):
        budget.spend(1)
    budget.share(1)
    budget.spend(17)  # three times eight stages hold them
    assert budget.left == 1000 - 500 - 3


def test_each_round_tries_what_the_one_before_did_and_more() -> None:
    numbers = range(1, 300)
    before: set[int] = set()
    for grain in GRAINS:
        now = set(thin(numbers, grain))
        assert before <= now
        assert {1, 2, 299} <= now
        before = now
    assert before == set(numbers)
    assert thin(range(1, 20), GRAINS[0]) == [1, 2, 3, 4, 6, 8, 12, 16, 19]
    assert GRAINS[-1] is FINE


@pytest.mark.slow
@given(asked=requests())
@settings(max_examples=examples(30), deadline=None)
def test_rounds_find_what_one_pass_finds(asked: dict[str, Any]) -> None:
    request = engine.Request.from_dict(asked)
    before, most = POLICY.decide(request).to_dict(), builder._MOST_AT_ONCE
    try:
        builder._MOST_AT_ONCE = 0
        assert POLICY.decide(request).to_dict() == before
    finally:
        builder._MOST_AT_ONCE = most


@st.composite
def linked(draw: st.DrawFn) -> dict[str, Any]:
    """Requests over unlike nodes with links between some pairs; half of them ask for too much."""
    devices = [
        {
            "kind": "CudaGpu",
            "name": draw(st.sampled_from(["H100-SXM", "RTX-3090"])),
            "memory_bytes": draw(st.sampled_from([24, 24, 48])) * GIB,
            "node": draw(st.sampled_from(["a", "a", "b"])),
        }
        for _ in range(draw(st.integers(2, 7)))
    ]
    for device in devices:
        if draw(st.integers(0, 3)) == 0:
            device["free_bytes"] = draw(st.sampled_from([8, 16])) * GIB
    pairs = [
        (a, b) for a in range(len(devices)) for b in range(a) if devices[a]["node"] == devices[b]["node"]
    ]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    links = [
        {"a": a, "b": b, "kind": "NVLink", "bandwidth_gbs": draw(st.sampled_from([50, 50, 100]))}
        for a, b in chosen
    ]
    model = {**LARGE, "params": draw(st.sampled_from([8, 14, 70, 200])) * 10**9}
    serving = {
        "objective": draw(st.sampled_from(OBJECTIVES)),
        "context": draw(st.sampled_from([4096, 65536])),
        "concurrency": draw(st.sampled_from([1, 32])),
    }
    return {
        "inventory": {"devices": devices, "links": links},
        "model": model,
        "quantization": draw(st.sampled_from(["bf16", "fp8"])),
        "serving": serving,
    }


def renumbered(inventory: dict[str, Any], order: list[int]) -> dict[str, Any]:
    """The same devices and links, the devices in that order."""
    place = {old: new for new, old in enumerate(order)}
    links = [{**each, "a": place[each["a"]], "b": place[each["b"]]} for each in inventory.get("links", ())]
    return {**inventory, "devices": [inventory["devices"][old] for old in order], "links": links}


def comparable(decision: engine.Decision) -> Any:
    """A decision without the numbers of its devices."""
    found = decision.to_dict()
    if decision.plan is not None:
        shards = [
            (
                each.device.kind,
                each.device.name,
                each.device.memory_bytes,
                each.layer_range,
                each.memory_bytes,
            )
            for each in decision.plan.shards
        ]
        found["plan"]["shards"] = sorted(Counter(shards).items(), key=repr)
    return found


@pytest.mark.slow
@given(asked=st.one_of(linked(), requests()), drawn=st.randoms(use_true_random=False))
@settings(max_examples=examples(25), deadline=None)
def test_the_order_of_devices_changes_nothing(asked: dict[str, Any], drawn: random.Random) -> None:
    """The whole decision, its remedies included."""
    order = list(range(len(asked["inventory"]["devices"])))
    drawn.shuffle(order)
    other = {**asked, "inventory": renumbered(asked["inventory"], order)}
    first, second = (POLICY.decide(engine.Request.from_dict(each)) for each in (asked, other))
    assert comparable(second) == comparable(first)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
def test_the_order_of_many_devices_changes_nothing(seed: int) -> None:
    devices = machines(100, 20, 5, 20, 1)
    shuffled = list(devices)
    random.Random(seed).shuffle(shuffled)
    for serving in ({}, {"context": 131072, "concurrency": 1_000_000}):
        first, second = (comparable(decide(each, serving=serving)) for each in (devices, shuffled))
        assert second == first


def test_remedies_add_to_one_of_as_many_kinds_in_any_order() -> None:
    """As many 24 as 48 GiB devices: more of the larger are added, whichever come first."""
    devices = [
        {"kind": "CudaGpu", "name": name, "memory_bytes": gib * GIB}
        for name, gib in (("RTX-4090", 24), ("L40S", 48))
        for _ in range(2)
    ]
    found = [decide(each, serving={"context": 8192}).remedies for each in (devices, devices[::-1])]
    assert found[0] == found[1]


def test_ranks_tell_devices_apart_by_links_only_where_nothing_else_does() -> None:
    """A path of four: both ends are alike, and both of the middle are."""
    inventory = engine.Request.from_dict(
        {
            "inventory": {
                "devices": [{"kind": "CudaGpu", "memory_bytes": GIB}] * 4,
                "links": [{"a": a, "b": a + 1, "kind": "NVLink"} for a in range(3)],
            },
            "model": LARGE,
            "quantization": "bf16",
        }
    ).inventory
    assert isinstance(inventory, Inventory)
    ranks = device_ranks(inventory)
    assert ranks[0] == ranks[3] < ranks[1] == ranks[2]
    assert refine({0: 0, 1: 0, 2: 0}, {0: [("x", 1)], 1: [("x", 0)]}) == {0: 1, 1: 1, 2: 0}
