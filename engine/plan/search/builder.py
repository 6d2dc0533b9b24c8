"""Score candidates and keep the best; skip those that must fail a requirement that a smaller one failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import neg
from typing import TYPE_CHECKING

from engine.base.records import replace
from engine.cel.values import Value
from engine.inventory import Inventory
from engine.plan.errors import BuilderError
from engine.plan.plan import Estimates, Leftover, Plan, SearchEffort, Shard, ShardDevice, Strategy
from engine.plan.search.budget import CandidateBudget, Spent
from engine.plan.search.candidates import Candidate, Limits, Replicas, mixed, mixtures, splits
from engine.plan.search.grain import FINE, GRAINS, thin
from engine.plan.search.idle import field_of, idle_devices
from engine.plan.search.judging import (
    ATTENTION,
    DATA,
    DEGREES,
    EXPERT,
    PIPELINE,
    TENSOR,
    Judging,
    Refusal,
    Verdict,
)
from engine.plan.search.survey import Layout, Survey
from engine.plan.search.topology import DeviceGroup, Slot, find_device_groups

if TYPE_CHECKING:
    from engine.plan.building import Arguments
    from engine.plan.dicts import StrategyKind


def search(
    arguments: Arguments, judging: Judging, inventory: Inventory | None, effort: float = 1.0
) -> Plan | Refusal:
    """Return the plan of the best feasible candidate, with the policy's explanation; else a refusal.

    Args:
        arguments: the builder's arguments.
        judging: the functions by which the policy filters and scores candidates.
        inventory: the inventory, for its links between pairs.
        effort: the fraction of the candidate budget that may be spent.

    Raises:
        BuilderError: the arguments do not describe a search.
    """
    run = _Search(arguments, judging, inventory, effort)
    run.run()
    if run.best is None:
        return run.refusal()
    return run.plan(run.best)


def survey(arguments: Arguments, judging: Judging, inventory: Inventory | None) -> Survey:
    """Return all feasible layouts of one instance; see engine.plan.search.survey.

    Args:
        arguments: the builder's arguments.
        judging: the functions by which the policy filters and scores candidates.
        inventory: the inventory, for its links between pairs.

    Raises:
        BuilderError: the arguments do not describe a search.
    """
    run = _Search(arguments, judging, inventory, 1.0, single=True)
    run.run()
    layouts = tuple(run.layout(candidate) for candidate in run.feasible)
    return Survey(layouts, None if layouts else run.refusal(), sum(arguments["ranks"]))


class _Search:
    def __init__(
        self,
        arguments: Arguments,
        judging: Judging,
        inventory: Inventory | None,
        effort: float,
        *,
        single: bool = False,
    ) -> None:
        self.judging = judging
        self.devices: Sequence[Value] = arguments["devices"]
        self.alike: Sequence[str] = arguments["alike"]
        self.kinds = find_device_groups(arguments, inventory)
        pinned = {name: f"{name.removesuffix('_parallel')}_degrees" for name in DEGREES}
        for argument in pinned.values():
            if None in (arguments.get(argument) or ()):
                raise BuilderError("a degree is null", argument)
        self.packed: dict[tuple[int, int, int], Replicas] = {}
        """By device group, tensor and pipeline degree; the rounds share them."""
        self.budget = CandidateBudget(arguments.get("most_candidates"), effort)
        self.grain = FINE
        self.judged: dict[_Place, frozenset[str]] = {}
        """By place, the degrees that need not be increased."""
        degrees = {name: arguments.get(argument) for name, argument in pinned.items()}
        shared = bool(arguments.get("shared_experts"))
        self.limits = Limits(degrees, arguments["layers"], arguments["experts"], shared=shared, single=single)
        self.feasible: list[Candidate] = []
        """All feasible candidates, if there may be only one instance."""
        self.best: Candidate | None = None
        self.best_scores: tuple[Value, ...] | None = None
        self.best_place: _Place = ()
        self.nearest: Candidate | None = None
        """The infeasible candidate that fails the latest requirement."""
        self.nearness = (-1, 0, 0)
        """The number of the requirement that it fails, and its size."""
        self.nearest_place: _Place = ()
        self.best_at = 0
        """The index of the best candidate's verdict, if verdicts are recorded."""

    def run(self) -> None:
        """Score all candidates, or as many as the budget allows.

        With many devices, coarse steps of degrees come first and finer ones later, so that the best at the
        time the budget is spent is the best of a sample of everything.
        """
        many = sum(kind.size for kind in self.kinds.whole) > _MOST_AT_ONCE
        for grain in GRAINS if many else (FINE,):
            self.grain = grain
            try:
                self.round()
            except Spent:
                self.budget.cut = True
                return

    def round(self) -> None:
        """Score the candidates of one grain; before the last round, parts leave budget for each other."""
        parts = [partial(self.equal, number) for number in self.grain.every(range(len(self.kinds.alike)))]
        for number, kinds in mixtures(self.kinds.whole, self.grain.most_pairs):
            parts.append(partial(self.mixture, number, kinds))
        for done, part in enumerate(parts):
            self.budget.share(1 if self.grain is FINE else len(parts) - done)
            try:
                part()
            except Spent:
                if self.budget.left <= 0:
                    raise

    def equal(self, number: int) -> None:
        kind = self.kinds.alike[number]
        for tensor in self.degrees(TENSOR, kind.size):
            if "tensor_parallel" in self.pipelines(number, tensor):
                return

    def mixture(self, number: int, kinds: tuple[DeviceGroup, ...]) -> None:
        if not all(self.limits.allow(name, 1) for name in (DATA, EXPERT, ATTENTION)):
            return
        for tensor in self.degrees(TENSOR, min(kind.size for kind in kinds)):
            for way, chosen in splits(kinds, tensor, self.grain):
                if not self.limits.allow(PIPELINE, len(chosen)) or len(chosen) > self.limits.layers:
                    continue
                place = (1, number, tensor, way)
                useless = self.judge(place, partial(mixed, kinds, tensor, chosen))
                # The first is smallest and joined best: what fails it and only gets harder fails them all.
                if way == 0 and useless.issuperset(_SIZES):
                    return

    def degrees(self, name: str, most: int) -> Sequence[int]:
        """Return the degrees to try in this round: all of those that are pinned."""
        degrees = self.limits.degrees(name, most)
        return degrees if self.limits.is_pinned(name) else thin(degrees, self.grain)

    # Each of these returns the degrees that need not be increased: the requirement that failed for the
    # smallest inner degrees only gets harder to meet when they grow.

    def pipelines(self, number: int, tensor: int) -> frozenset[str]:
        most = min(len(self.kinds.alike[number].groups(tensor)), self.limits.layers)
        final = len(self.limits.degrees(PIPELINE, most)) == 1
        for position, pipeline in enumerate(self.degrees(PIPELINE, most)):
            useless = self.replicas(number, tensor, pipeline)
            if useless and (final or PIPELINE in useless):
                return useless if position == 0 else _NONE
        return _NONE

    def replicas(self, number: int, tensor: int, pipeline: int) -> frozenset[str]:
        replicas = self.packed.get((number, tensor, pipeline))
        if replicas is None:
            replicas = Replicas(self.kinds.alike[number], tensor, pipeline)
            self.packed[number, tensor, pipeline] = replicas
        degrees = self.limits.replica_degrees(replicas.count)
        final = len(degrees) == 1
        if not self.limits.is_pinned(DATA):
            degrees = thin(degrees, self.grain)
        for position, data in enumerate(degrees):
            useless = self.ranks(number, replicas, data)
            if useless and (final or DATA in useless):
                return useless if position == 0 else _NONE
        return _NONE

    def ranks(self, number: int, replicas: Replicas, data: int) -> frozenset[str]:
        if not self.limits.shared:
            return self.experts(number, replicas, data, None)
        degrees = self.limits.attention_degrees(data)
        final = len(degrees) == 1 and not self.limits.experts
        for position, attention in enumerate(degrees):
            useless = self.experts(number, replicas, data, attention)
            if useless and (final or ATTENTION in useless):
                return useless if position == 0 else _NONE
        return _NONE

    def experts(self, number: int, replicas: Replicas, data: int, attention: int | None) -> frozenset[str]:
        tensor, pipeline = replicas.tensor, replicas.pipeline
        degrees = self.limits.expert_degrees(tensor * (data if attention is None else attention))
        final = len(degrees) == 1 and not self.limits.experts
        for position, expert in enumerate(degrees):
            if attention is None:
                place: _Place = (0, number, tensor, pipeline, data, expert)
            else:
                place = (0, number, tensor, pipeline, data, attention, expert)
            useless = self.judged.get(place)
            if useless is None:
                useless = self.judge_new(place, replicas.candidate(data, expert, attention))
            if useless and (final or EXPERT in useless):
                return useless if position == 0 else _NONE
        return _NONE

    def judge(self, place: _Place, make: Callable[[], Candidate]) -> frozenset[str]:
        """Score a candidate, once; return the degrees of which larger values must fail, too."""
        if place in self.judged:
            return self.judged[place]
        return self.judge_new(place, make())

    def judge_new(self, place: _Place, candidate: Candidate) -> frozenset[str]:
        """Score a candidate; return the degrees of which larger values must fail, too.

        Among equally good candidates the first by its place wins, whatever the order of scoring.
        """
        self.budget.spend(len(candidate.stages))
        judging = self.judging
        native = judging.candidate(candidate.values)
        failed, scores = judging.judge(native, self.best_scores)
        if judging.verdicts is not None:
            names = judging.scores if scores is None or judging.labels is None else judging.labels(native)
            judging.verdicts.append(self.verdict(candidate, failed, names, scores))
        useless = _NONE if scores is not None else judging.requirements[failed].monotone
        self.judged[place] = useless
        if scores is None:
            nearness = (failed, *_size(candidate))
            if (*nearness, *map(neg, place)) > (*self.nearness, *map(neg, self.nearest_place)):
                self.nearest, self.nearness, self.nearest_place = candidate, nearness, place
            return useless
        if self.limits.single:
            self.feasible.append(candidate)
        if self.best_scores is None or (scores, self.best_place) > (self.best_scores, place):
            self.best, self.best_scores, self.best_place = candidate, scores, place
            self.best_at = len(judging.verdicts or ()) - 1
        return useless

    def verdict(
        self, candidate: Candidate, failed: int, names: tuple[str, ...], scores: tuple[Value, ...] | None
    ) -> Verdict:
        if scores is None:
            return Verdict(candidate.devices, candidate.degrees, self.judging.requirements[failed].id)
        named = {name: score for name, score in zip(names, scores, strict=True) if name}
        return Verdict(candidate.devices, candidate.degrees, None, named)

    # --- results --------------------------------------------------------------------------------------------

    def refusal(self) -> Refusal:
        if self.nearest is None:
            nothing = "no device is available" if not self.kinds.alike else _TOO_FEW
            return Refusal(None, nothing, self.effort())
        native = self.judging.candidate(self.nearest.values)
        failed = self.nearness[0]
        explanation = self.judging.refuse(native, failed)
        if self.budget.cut:
            explanation = f"{explanation or 'none is allowed'}; {self.left_out()}"
        return Refusal(self.judging.requirements[failed].id, explanation, self.effort())

    def effort(self) -> SearchEffort:
        return SearchEffort(len(self.judged), not self.budget.cut)

    def left_out(self) -> str:
        """Return a warning that the search was cut short, with the setting that raises the limit."""
        more = "the policy's most_candidates" if self.budget.by_policy else "ENGINE_CANDIDATES"
        return (
            f"search stopped after {len(self.judged):,} candidates, others may be better; {more} allows more"
        )

    def layout(self, candidate: Candidate) -> Layout:
        _, results = self.judging.describe(self.judging.candidate(candidate.values))
        return Layout(
            strategy=_strategy(candidate, shared=self.limits.shared),
            devices=candidate.ranks,
            capacity=self.capacity(candidate),
            estimates=_estimates(results, max(results["stage_memory_bytes"])),
            server=results.get("server"),
            warnings=tuple(results.get("warnings", ())),
        )

    def capacity(self, candidate: Candidate) -> int:
        """Return how many instances like a candidate fit on the devices."""
        tensor, pipeline, data, _, _ = candidate.degrees
        for number, kind in enumerate(self.kinds.alike):
            replicas = self.packed.get((number, tensor, pipeline))
            if candidate.kinds == (kind,) and replicas is not None:
                return replicas.count // data
        return 1

    def plan(self, candidate: Candidate) -> Plan:
        verdicts = self.judging.verdicts
        if verdicts is not None:
            verdicts[self.best_at] = replace(verdicts[self.best_at], chosen=True)
        explanation, results = self.judging.describe(self.judging.candidate(candidate.values))
        shards = tuple(_shards(candidate, results["stage_layers"], results["stage_memory_bytes"]))
        memory = max(shard.memory_bytes for shard in shards)
        warnings = tuple(results.get("warnings", ()))
        return Plan(
            strategy=_strategy(candidate, shared=self.limits.shared),
            shards=shards,
            total_memory_bytes=sum(shard.memory_bytes for shard in shards),
            estimated_tokens_per_sec=results.get("tokens_per_sec"),
            fits_in_memory=True,
            warnings=(*warnings, self.left_out()) if self.budget.cut else warnings,
            estimates=_estimates(results, memory),
            explanation=explanation,
            search=self.effort(),
            server=results.get("server"),
            idle=idle_devices(self.devices, _used(candidate), results.get("idle", ())),
            leftover=self.leftover(results),
        )

    def leftover(self, results: Mapping[str, Value]) -> Leftover | None:
        """Return the devices of further plans; None if the policy wants none."""
        places = results.get("further_devices", ())
        indices = [field_of(self.devices[place], "index") for place in places]
        if not places or None in indices:
            return None
        alike = tuple(self.alike[place] for place in places)
        concurrency, reason = results.get("further_concurrency", 1), results.get("further_reason", "")
        return Leftover(tuple(indices), alike, concurrency, reason)


def _used(candidate: Candidate) -> set[int]:
    """Return the identities of the devices that a candidate uses."""
    groups = (group for replica in candidate.replicas for group in replica)
    return {id(slot.device.value) for group in groups for slot in group.slots}


def _size(candidate: Candidate) -> tuple[int, int]:
    """Return the devices of a replica, and the replicas: of two that lack memory, the larger is nearer."""
    tensor, pipeline, data, _, _ = candidate.degrees
    return tensor * pipeline, data


_Place = tuple[int, ...]
"""The position of a candidate in the full enumeration, whatever is scored, in whatever order."""
_MOST_AT_ONCE = 64
"""Ranks up to which a search tries all degrees at once, without coarse rounds first."""
_NONE: frozenset[str] = frozenset()
_SIZES = frozenset({TENSOR, PIPELINE, DATA, EXPERT})
_TOO_FEW = "there are not as many devices that are alike as the degrees ask for"
_ESTIMATES = (
    *("time_per_output_token_ms", "time_to_first_token_ms", "tokens_per_sec", "saturated_tokens_per_sec"),
    *("parts_ms", "binding", "context", "concurrency", "kv_capacity_tokens", "kv_capacity_requests"),
    *("loaded_time_to_first_token_ms", "loaded_time_per_output_token_ms", "requests_per_sec"),
    *("goal_time_to_first_token_ms", "goal_time_per_output_token_ms"),
    *("bounds", "basis", "host_memory_bytes", "host_memory_bytes_per_device", "host_layers"),
)


def _estimates(results: Mapping[str, Value], memory: int) -> Estimates:
    """Return a policy's results as estimates; `memory` is that of the fullest device, in bytes."""
    estimates = {name: results.get(name) for name in _ESTIMATES}
    if estimates["parts_ms"] is not None:
        estimates["parts_ms"] = dict(sorted(estimates["parts_ms"].items()))
    return Estimates(memory_bytes_per_device=memory, **estimates)


def _strategy(candidate: Candidate, *, shared: bool) -> Strategy:
    tensor, pipeline, data, expert, attention = candidate.degrees
    split: dict[StrategyKind, bool] = {
        "tensor_parallel": tensor > 1,
        "pipeline_parallel": pipeline > 1,
        "data_parallel": data > 1,
    }
    used = [kind for kind, is_used in split.items() if is_used]
    kind: StrategyKind = "none" if not used else used[0] if len(used) == 1 else "hybrid"
    return Strategy(kind, tensor, pipeline, data, expert, attention if shared else None)


def _shards(candidate: Candidate, layers: Sequence[int], memory: Sequence[int]) -> Iterator[Shard]:
    """Yield the shards, replica by replica, stage by stage, rank by rank."""
    ranges = list(_ranges(candidate.stages, layers, memory))
    number = 0
    for replica in candidate.replicas:
        for group, (first, last, bytes_) in zip(replica, ranges, strict=True):
            for slot in group.slots:
                yield Shard(number, _device(slot), (first, last), bytes_)
                number += 1


def _ranges(
    stages: Sequence[Mapping[str, int]], layers: Sequence[int], memory: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield the first and the last layer of each stage, and its bytes."""
    start = 0
    for stage, total, bytes_ in zip(stages, layers, memory, strict=True):
        even, extra = divmod(total, stage["count"])
        for position in range(stage["count"]):
            count = even + (position < extra)
            yield start, start + count - 1, bytes_
            start += count


def _device(slot: Slot) -> ShardDevice:
    device = ShardDevice.from_value(slot.device.value)
    return device if slot.part is None else device.part(slot.part)
