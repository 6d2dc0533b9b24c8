"""Refusals that negotiate: against brute force over small worlds, and against decisions made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.decide.changes import changed
from engine.decide.decision import Decision
from engine.decide.negotiation import negotiated
from engine.decide.request import Request
from engine.plan.plan import Estimates, Plan, SearchEffort, Shard, ShardDevice, Strategy
from engine.plan.search import builder
from engine.plan.search.judging import Refusal
from engine.plan.search.tries import Tries, Try

DEMANDS: dict[str, Sequence[float | str]] = {
    "serving.context": (4, 3, 2, 1),
    "quantization": ("bf16", "fp8", "int4"),
    "serving.concurrency": (40, 20, 10),
    "serving.utilization": (0.9, 0.95),
    "serving.kv_dtype": ("auto", "fp8"),
}
"""By change, the value in the request and the values to try."""
CHANGES = tuple(DEMANDS)
Levels = tuple[int, ...]
"""For each change, 0 for the value in the request or the number of a value to try."""
Need = tuple[frozenset[int], ...]
"""For each change, the levels at which a plan is feasible."""


def levels_of(request: Request) -> Levels:
    serving = request.inputs["serving"]
    assert isinstance(serving, dict)
    return tuple(
        values.index(serving[name.partition(".")[2]] if "." in name else request.inputs[name])
        for name, values in DEMANDS.items()
    )


def decision(request: Request, feasible: bool, *, complete: bool = True) -> Decision:
    """A decision of which only the plan and the extent of the search matter."""
    seen = SearchEffort(1, complete=complete)
    shard = Shard(0, (0, 0), ShardDevice("CudaGpu", 0), 1)
    plan = Plan(Strategy("none"), (shard,), 1, None, True, estimates=Estimates(1), search=seen)
    refusal = None if feasible else Refusal("memory", None, seen)
    outcome = "plan" if feasible else "infeasible"
    common = (None, "p", "1.0.0", "", outcome, "m", None, None)
    return Decision(*common, plan if feasible else None, True, request=request, refusal=refusal)  # type: ignore[arg-type]


def asked() -> Request:
    serving = {name.partition(".")[2]: values[0] for name, values in DEMANDS.items() if "." in name}
    return Request({"serving": serving, "quantization": "bf16"})


@st.composite
def needs(draw: st.DrawFn) -> Need:
    """What one plan needs: of numbers some level or more, of names any of a set."""
    levels = []
    for values in DEMANDS.values():
        every = range(len(values))
        if isinstance(values[0], str):
            levels.append(draw(st.frozensets(st.sampled_from(every), min_size=1)))
        else:
            levels.append(frozenset(range(draw(st.sampled_from(every)), len(values))))
    return tuple(levels)


class World:
    """Plans that are feasible at some levels; half of the searches that find none may be incomplete."""

    def __init__(self, plans: Sequence[Need], *, complete: bool = True) -> None:
        self.plans = plans
        self.complete = complete

    def feasible(self, levels: Levels) -> bool:
        return any(
            all(level in need for level, need in zip(levels, plan, strict=True)) for plan in self.plans
        )

    def decide(self, request: Request, thorough: bool) -> Decision:
        levels = levels_of(request)
        complete = self.complete or thorough or sum(levels) % 2 == 0
        return decision(request, self.feasible(levels), complete=complete)

    def free(self, fixed: Sequence[int]) -> Iterator[Levels]:
        """All levels of the other changes."""
        ranges = [range(1) if n in fixed else range(len(values)) for n, values in enumerate(DEMANDS.values())]
        return product(*ranges)

    def conflicts(self, fixed: Sequence[int]) -> bool:
        return not any(map(self.feasible, self.free(fixed)))

    def first(self, number: int, base: Levels) -> int | None:
        """The first value that makes a plan feasible beside other changes."""
        for level in range(1, len(DEMANDS[CHANGES[number]])):
            if self.feasible((*base[:number], level, *base[number + 1 :])):
                return level
        return None


@settings(max_examples=30, deadline=None)
@given(st.lists(needs(), max_size=3).map(World))
def test_what_brute_force_finds(world: World) -> None:
    request, none = asked(), (0,) * len(CHANGES)
    if world.feasible(none):
        return
    tries = Tries(tuple(Try(name, name, values[1:], values[0]) for name, values in DEMANDS.items()), 1000, 3)
    found = negotiated(decision(request, False), request, tries, world.decide)

    singles = {name: world.first(number, none) for number, name in enumerate(CHANGES)}
    expected = {name: DEMANDS[name][level] for name, level in singles.items() if level is not None}
    assert {each.id: each.value for each in found.remedies} == expected

    assert found.conflict is not None
    conflict = [CHANGES.index(each.id) for each in found.conflict]
    sizes = [
        size
        for size in range(len(CHANGES) + 1)
        if any(map(world.conflicts, combinations(range(len(CHANGES)), size)))
    ]
    assert len(conflict) == sizes[0]
    assert world.conflicts(conflict)
    assert [each.value for each in found.conflict] == [DEMANDS[CHANGES[n]][0] for n in conflict]

    pairs = [] if expected else list(smallest_pairs(world))[:3]
    assert [{each.id: each.value for each in pair.changes} for pair in found.combinations] == pairs


@settings(max_examples=15, deadline=None)
@given(st.lists(needs(), max_size=3))
def test_searches_that_see_a_part_of_the_candidates(plans: list[Need]) -> None:
    request, world = asked(), World(plans, complete=False)
    if world.feasible((0,) * len(CHANGES)):
        return
    tries = Tries(tuple(Try(name, name, values[1:], values[0]) for name, values in DEMANDS.items()), 1000, 3)
    found = negotiated(decision(request, False), request, tries, world.decide)
    sure = negotiated(decision(request, False), request, tries, World(plans).decide)
    assert (found.remedies, found.combinations) == (sure.remedies, sure.combinations)
    # The set may be larger than the smallest one; that it conflicts is certain.
    assert found.conflict is not None
    assert sure.conflict is not None
    assert len(found.conflict) >= len(sure.conflict)
    assert world.conflicts([CHANGES.index(each.id) for each in found.conflict])


def smallest_pairs(world: World) -> Iterator[dict[str, object]]:
    """The pairs that help, in order: the smallest value of the dearer change, then that of the other."""
    for dearer, cheaper in ((b, a) for b in range(len(CHANGES)) for a in range(b)):
        for high in range(1, len(DEMANDS[CHANGES[dearer]])):
            base = tuple(high if n == dearer else 0 for n in range(len(CHANGES)))
            low = world.first(cheaper, base)
            if low is not None:
                yield {
                    CHANGES[cheaper]: DEMANDS[CHANGES[cheaper]][low],
                    CHANGES[dearer]: DEMANDS[CHANGES[dearer]][high],
                }
                break


def test_a_bound_on_candidates_leaves_the_conflict_open() -> None:
    request, world = asked(), World([])
    tries = Tries(tuple(Try(name, name, values[1:], values[0]) for name, values in DEMANDS.items()), 1, 3)
    found = negotiated(decision(request, False), request, tries, world.decide)
    assert (found.remedies, found.combinations, found.conflict) == ((), (), None)
    assert "conflict" not in found.to_dict()


# --- sharding 3.0.0 ----------------------------------------------------------------------------------------

POLICY = engine.load_policy("sharding@3")


def refused(inventory: str, model: str, quantization: str, **goals: object) -> Decision:
    found = engine.decide(  # type: ignore[call-overload]
        inventory=inventory, model=model, quantization=quantization, policy="sharding@3", **goals
    )
    assert isinstance(found, Decision)
    assert not found.feasible
    return found


@pytest.mark.parametrize(
    ("inventory", "model", "quantization", "goals"),
    [
        ("1xRTX-4090", "llama-3.1-8b", "bf16", {"context": 65536}),
        ("2xL4", "llama-3.1-8b", "bf16", {"context": 65536, "concurrency": 64, "input_tokens": 20000}),
        ("1xRTX-4090", "llama-3.1-8b", "bf16", {"context": 65536, "pin": {"tensor_parallel": 3}}),
    ],
)
def test_remedies_are_decided_again(
    inventory: str, model: str, quantization: str, goals: dict[str, object]
) -> None:
    decided = refused(inventory, model, quantization, **goals)
    request = decided.request
    assert request is not None
    for remedy in decided.remedies:
        plan = POLICY.decide(changed(request, remedy.change, remedy.value)).plan
        assert plan is not None
        assert plan.strategy == remedy.strategy
        assert plan.estimates is not None
        assert remedy.speed is not None
        assert remedy.speed.throughput_tokens_per_sec == plan.estimates.saturated_tokens_per_sec
    for pair in decided.combinations:
        alone = [changed(request, each.change, each.value) for each in pair.changes]
        assert not any(POLICY.decide(each, remedies=False).feasible for each in alone)
        both = changed(alone[0], pair.changes[1].change, pair.changes[1].value)
        plan = POLICY.decide(both).plan
        assert plan is not None
        assert plan.strategy == pair.strategy
    assert decided.remedies or decided.combinations
    assert decided.conflict
    speeds = [each.speed for each in (*decided.remedies, *decided.combinations)]
    assert max(speed.share or 0.0 for speed in speeds if speed is not None) == 1.0


def test_texts_are_the_policy_s_own() -> None:
    decided = refused("1xRTX-4090", "llama-3.1-8b", "bf16", context=65536)
    assert [each.text for each in decided.remedies] == [
        "KV cache as fp8",
        "context 32,768 tokens",
        "quantization fp8",
        "32.00 GiB of host memory",
        "+1 device on the same fabric",
    ]
    assert decided.conflict is not None
    assert [each.text for each in decided.conflict] == [
        "KV cache of type auto",
        "context 65,536 tokens",
        "quantization bf16",
        "",
        "1 device",
    ]


def test_a_remedy_found_in_a_sample_has_the_plan_of_the_whole_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the first 400 candidates over 23 devices, in rounds, are 23 stages; 22 are better."""
    monkeypatch.setattr(builder, "_MOST_AT_ONCE", 0)
    policy = engine.load_policy("sharding@2")
    gib = 2**30
    memory = (39 * gib, 39 * gib, 79 * gib, 79 * gib)
    request = Request.from_dict(
        {
            "inventory": {
                "devices": [{"kind": "CudaGpu", "name": "H100-SXM", "memory_bytes": size} for size in memory]
            },
            "model": {
                "params": 72_000_000_000,
                "layers": 84,
                "hidden_size": 4096,
                "attention_heads": 32,
                "kv_heads": 32,
                "head_dim": 128,
                "vocabulary": 32_000,
                "intermediate_size": 12_288,
                "embedding_params": 1_000_000_000,
                "experts": 8,
                "experts_per_token": 2,
                "expert_params": 57_600_000_000,
                "expert_intermediate_size": 768,
            },
            "quantization": "fp8",
            "serving": {"context": 32_768, "concurrency": 32, "objective": "balanced"},
        }
    )
    (remedy,) = (each for each in policy.decide(request).remedies if each.change == "devices")
    plan = policy.decide(changed(request, "devices", remedy.value), remedies=False).plan
    assert plan is not None
    assert (remedy.value, plan.strategy.pipeline_parallel) == (19, 22)
    assert remedy.strategy == plan.strategy


def test_2_0_0_lists_single_changes_only() -> None:
    found = engine.decide(
        inventory="1xRTX-4090", model="llama-3.1-8b", quantization="bf16", context=65536, policy="sharding@2"
    )
    assert [each.change for each in found.remedies] == ["quantization", "serving.context", "devices"]
    assert (found.combinations, found.conflict) == ((), None)
