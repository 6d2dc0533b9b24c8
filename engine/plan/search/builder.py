"""The search itself: every candidate is judged, except those that must fail as one before them did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine.inventory import Inventory
from engine.plan.errors import BuilderError
from engine.plan.search.candidates import Candidate, Limits, Replicas, mixed, mixtures, splits
from engine.plan.search.judging import DEGREES, Judging, Refusal, Verdict
from engine.plan.search.topology import Alike, Slot, find_kinds
from engine.plan.types import Estimates, Plan, Shard, ShardDevice, Strategy, StrategyKind
from engine.records import replace


def search(arguments: Mapping[str, Any], judging: Judging, inventory: Inventory | None) -> Plan | Refusal:
    """The plan of the best candidate that the policy allows, with the policy's explanation; else a refusal.

    Args:
        arguments: what the policy gives the builder.
        judging: the policy's say on candidates.
        inventory: whose links between pairs are looked at.
    """
    found = _Search(arguments, judging, inventory)
    found.run()
    if found.best is None:
        return found.refusal()
    return found.plan(found.best)


class _Search:
    def __init__(self, arguments: Mapping[str, Any], judging: Judging, inventory: Inventory | None) -> None:
        self.judging = judging
        self.kinds = find_kinds(arguments, inventory)
        names = [f"{name.removesuffix('_parallel')}_degrees" for name in DEGREES]
        for name in names:
            if None in (arguments.get(name) or ()):
                raise BuilderError("a degree is null", name)
        given = [arguments.get(name) for name in names]
        self.limits = Limits(given, arguments["layers"], arguments["experts"])
        self.best: Candidate | None = None
        self.best_scores: tuple[Any, ...] = ()
        self.nearest: Candidate | None = None
        """Of the candidates that are refused, the one that fails the latest requirement."""
        self.nearest_failed = -1
        self.best_at = 0
        """Which of the verdicts, where they are kept, is that of the best."""

    def run(self) -> None:
        for kind in self.kinds.alike:
            for tensor in self.limits.degrees(0, kind.size):
                if "tensor_parallel" in self.pipelines(kind, tensor):
                    break
        for kinds in mixtures(self.kinds.whole):
            self.mixture(kinds)

    def mixture(self, kinds: tuple[Alike, ...]) -> None:
        if not (self.limits.allow(2, 1) and self.limits.allow(3, 1)):
            return
        for tensor in self.limits.degrees(0, min(kind.size for kind in kinds)):
            for number, chosen in enumerate(splits(kinds, tensor)):
                if not self.limits.allow(1, len(chosen)) or len(chosen) > self.limits.layers:
                    continue
                useless = self.judge(mixed(kinds, tensor, chosen))
                # The first is smallest and joined best: what fails it and only gets harder fails them all.
                if number == 0 and useless.issuperset(DEGREES):
                    return

    # Each of these gives the degrees in which it is useless to go on: those of a requirement that failed for
    # the smallest degrees within, and that only gets harder in all of those.

    def pipelines(self, kind: Alike, tensor: int) -> frozenset[str]:
        groups = len(kind.groups(tensor))
        degrees = self.limits.degrees(1, min(groups, self.limits.layers))
        return self.each(
            "pipeline_parallel",
            degrees,
            len(degrees) == 1,
            lambda p: self.replicas(Replicas(kind, tensor, p)),
        )

    def replicas(self, replicas: Replicas) -> frozenset[str]:
        degrees = self.limits.replica_degrees(len(replicas.replicas))
        return self.each(
            "data_parallel", degrees, len(degrees) == 1, lambda data: self.experts(replicas, data)
        )

    def experts(self, replicas: Replicas, data: int) -> frozenset[str]:
        degrees = self.limits.expert_degrees(replicas.tensor * data)
        final = len(degrees) == 1 and not self.limits.experts
        return self.each("expert_parallel", degrees, final, lambda e: self.judge(replicas.candidate(data, e)))

    @staticmethod
    def each(
        name: str, degrees: Sequence[int], final: bool, try_: Callable[[int], frozenset[str]]
    ) -> frozenset[str]:
        """`final`: there is one degree here, and no other where the outer degrees are larger."""
        for position, degree in enumerate(degrees):
            useless = try_(degree)
            if name in useless or (useless and final):
                return useless if position == 0 else _NONE
        return _NONE

    def judge(self, candidate: Candidate) -> frozenset[str]:
        """Judge one candidate; the degrees in which larger ones must fail, too."""
        judging = self.judging
        failed, scores = judging.judge(judging.candidate(candidate.fields))
        if judging.verdicts is not None:
            judging.verdicts.append(self.verdict(candidate, failed, scores))
        if scores is None:
            if failed > self.nearest_failed or (
                failed == self.nearest_failed
                and self.nearest is not None
                and _size(candidate) > _size(self.nearest)
            ):
                self.nearest, self.nearest_failed = candidate, failed
            return judging.requirements[failed].monotone
        if self.best is None or scores > self.best_scores:
            self.best, self.best_scores = candidate, scores
            self.best_at = len(judging.verdicts or ()) - 1
        return _NONE

    def verdict(self, candidate: Candidate, failed: int, scores: tuple[Any, ...] | None) -> Verdict:
        judging = self.judging
        if scores is None:
            return Verdict(candidate.devices, candidate.degrees, judging.requirements[failed].id)
        named = dict(zip(judging.scores, scores, strict=True))
        return Verdict(candidate.devices, candidate.degrees, None, named)

    # --- what comes of it -----------------------------------------------------------------------------------

    def refusal(self) -> Refusal:
        if self.nearest is None:
            nothing = "no device is available" if not self.kinds.alike else _TOO_FEW
            return Refusal(None, nothing)
        native = self.judging.candidate(self.nearest.fields)
        explanation = self.judging.refuse(native, self.nearest_failed)
        requirement = self.judging.requirements[self.nearest_failed].id
        return Refusal(requirement, explanation)

    def plan(self, candidate: Candidate) -> Plan:
        verdicts = self.judging.verdicts
        if verdicts is not None:
            verdicts[self.best_at] = replace(verdicts[self.best_at], chosen=True)
        explanation, results = self.judging.describe(self.judging.candidate(candidate.fields))
        shards = tuple(_shards(candidate, results["stage_layers"], results["stage_memory_bytes"]))
        estimates = {name: results.get(name) for name in _ESTIMATES}
        if estimates["parts_ms"] is not None:
            estimates["parts_ms"] = dict(sorted(estimates["parts_ms"].items()))
        memory = max(shard.memory_bytes for shard in shards)
        return Plan(
            _strategy(candidate),
            shards,
            sum(shard.memory_bytes for shard in shards),
            results.get("tokens_per_sec"),
            True,
            tuple(results.get("warnings", ())),
            Estimates(memory_bytes_per_device=memory, **estimates),
            explanation,
        )


def _size(candidate: Candidate) -> tuple[int, int]:
    """Devices of a replica, and of all: of candidates that fail for want of room, the larger is nearer."""
    tensor, pipeline, data, _ = candidate.degrees
    return tensor * pipeline, data


_NONE: frozenset[str] = frozenset()
_TOO_FEW = "there are not as many devices that are alike as the degrees ask for"
_ESTIMATES = (
    *("time_per_output_token_ms", "time_to_first_token_ms", "tokens_per_sec", "saturated_tokens_per_sec"),
    *("parts_ms", "binding", "context", "concurrency"),
)


def _strategy(candidate: Candidate) -> Strategy:
    tensor, pipeline, data, expert = candidate.degrees
    more = {"tensor_parallel": tensor > 1, "pipeline_parallel": pipeline > 1, "data_parallel": data > 1}
    kinds: list[StrategyKind] = ["tensor_parallel", "pipeline_parallel", "data_parallel"]
    used = [kind for kind in kinds if more[kind]]
    kind: StrategyKind = "none" if not used else used[0] if len(used) == 1 else "hybrid"
    return Strategy(kind, tensor, pipeline, data, expert)


def _shards(candidate: Candidate, layers: Sequence[int], memory: Sequence[int]) -> Iterator[Shard]:
    """Replica by replica, stage by stage, rank by rank."""
    ranges = list(_ranges(candidate.fields["stages"], layers, memory))
    number = 0
    for replica in candidate.replicas:
        for group, (first, last, bytes_) in zip(replica, ranges, strict=True):
            for slot in group.slots:
                yield Shard(number, _device(slot), (first, last), bytes_)
                number += 1


def _ranges(
    stages: Sequence[Mapping[str, Any]], layers: Sequence[int], memory: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """The first and last layer of each stage, and its bytes."""
    start = 0
    for stage, total, bytes_ in zip(stages, layers, memory, strict=True):
        even, more = divmod(total, stage["count"])
        for position in range(stage["count"]):
            own = even + (position < more)
            yield start, start + own - 1, bytes_
            start += own


def _device(slot: Slot) -> ShardDevice:
    device = ShardDevice.from_value(slot.device)
    return device if slot.part is None else device.part(slot.part)
