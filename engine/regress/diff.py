"""What would change: two policies on the same requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from engine.batch import decode_line
from engine.decide import Decision, Policy
from engine.errors import EngineError
from engine.executor import in_order
from engine.records import field, record
from engine.regress.revisions import Side
from engine.request import Request
from engine.streams import Line

ERROR = "error"
"""What a side gives where it can't decide."""


@record
class Change:
    """One kind of change: from which match and strategy to which."""

    match_from: str | None
    match_to: str | None
    strategy_from: str | None
    strategy_to: str | None


@record(frozen=False)
class Group:
    """The requests with one kind of change; bytes and tokens per second are sums over those with plans."""

    count: int = 0
    total_bytes: int = 0
    estimate: float = 0.0
    estimates: int = 0
    example: str = ""
    """The request as JSON: the shortest, of equals the first in the alphabet."""

    def add(self, other: Group) -> None:
        """Requests that were seen elsewhere, too."""
        self.count += other.count
        self.total_bytes += other.total_bytes
        self.estimate += other.estimate
        self.estimates += other.estimates
        if not self.example or (len(other.example), other.example) < (len(self.example), self.example):
            self.example = other.example


@record(frozen=False)
class Difference:
    """What changes on a corpus."""

    total: int = 0
    changed: int = 0
    unreadable: int = 0
    """Lines that are no requests."""
    first_unreadable: str = ""
    groups: dict[Change, Group] = field(default_factory=dict)

    def add(self, other: Difference) -> None:
        """What changes elsewhere, too."""
        self.total += other.total
        self.changed += other.changed
        self.unreadable += other.unreadable
        self.first_unreadable = self.first_unreadable or other.first_unreadable
        for change, group in other.groups.items():
            self.groups.setdefault(change, Group()).add(group)

    def sorted(self) -> list[tuple[Change, Group]]:
        """The groups, the largest first."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].count, item[1].example))

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "total": self.total,
            "changed": self.changed,
            "unreadable": self.unreadable,
            "groups": [_group(change, group) for change, group in self.sorted()],
        }


def _group(change: Change, group: Group) -> dict[str, Any]:
    return {
        "from": {"match": change.match_from, "strategy": change.strategy_from},
        "to": {"match": change.match_to, "strategy": change.strategy_to},
        "count": group.count,
        "total_memory_bytes_delta": group.total_bytes,
        "estimated_tokens_per_sec_delta": group.estimate,
        "example": json.loads(group.example),
    }


@record
class DiffJob:
    """Compares two policies on lines of requests."""

    left: Side
    right: Side
    plain: bool
    """The lines hold inputs of any kind, rather than requests."""

    def start(self) -> Callable[[list[Line]], Difference]:
        """The function that compares on some lines."""
        left, right = self.left.load(), self.right.load()
        read = Request.from_inputs if self.plain else Request.from_dict

        def compare(lines: list[Line]) -> Difference:
            found = Difference()
            for line in lines:
                try:
                    mapping = decode_line(line.text)
                    request = read(mapping)
                except EngineError as error:
                    found.unreadable += 1
                    found.first_unreadable = found.first_unreadable or f"line {line.number}: {error.message}"
                    continue
                found.add(compared(left, right, request, mapping))
            return found

        return compare


def difference(job: DiffJob, pieces: Iterable[list[Line]], jobs: int = 1) -> Iterable[Difference]:
    """What changes, piece by piece."""
    return in_order(job, pieces, jobs)


def compared(left: Policy, right: Policy, request: Request, mapping: Any) -> Difference:
    """What changes for one request; `mapping` is what it was read from."""
    before, after = outcome(left, request), outcome(right, request)
    if not differs(before, after):
        return Difference(1)
    group = Group(1, *_deltas(before, after), _example(mapping))
    return Difference(1, 1, groups={change_of(before, after): group})


Outcome = Decision | str
"""A decision, or the message of the error that there is instead."""


def outcome(policy: Policy, request: Request) -> Outcome:
    """What a policy makes of a request."""
    try:
        return policy.decide(request, remedies=False)
    except EngineError as error:
        return error.message


def differs(before: Outcome, after: Outcome) -> bool:
    """Whether anything but words is another: the outcome, the match, the output, the plan."""
    if isinstance(before, str) or isinstance(after, str):
        return isinstance(before, str) is not isinstance(after, str)
    return _essence(before) != _essence(after)


def _essence(decision: Decision) -> tuple[Any, ...]:
    plan = decision.plan
    return (
        decision.outcome,
        decision.match_id,
        decision.output,
        decision.fits_in_memory,
        decision.quantization,
        plan and (plan.strategy, plan.shards, plan.total_memory_bytes, plan.estimated_tokens_per_sec),
    )


def change_of(before: Outcome, after: Outcome) -> Change:
    """From which match and strategy to which."""
    return Change(_match(before), _match(after), _strategy(before), _strategy(after))


def _match(side: Outcome) -> str | None:
    return ERROR if isinstance(side, str) else side.match_id


def _strategy(side: Outcome) -> str | None:
    return None if isinstance(side, str) or side.plan is None else side.plan.strategy.kind


def _deltas(before: Outcome, after: Outcome) -> tuple[int, float, int]:
    """Bytes and tokens per second more, and whether both sides have an estimate."""
    plans = [None if isinstance(side, str) else side.plan for side in (before, after)]
    if plans[0] is None or plans[1] is None:
        return 0, 0.0, 0
    more = plans[1].total_memory_bytes - plans[0].total_memory_bytes
    old, new = plans[0].estimated_tokens_per_sec, plans[1].estimated_tokens_per_sec
    return (more, 0.0, 0) if old is None or new is None else (more, new - old, 1)


def _example(mapping: Any) -> str:
    """A request as one line, without what the reference tool expected of it."""
    if isinstance(mapping, dict):
        mapping = {name: value for name, value in mapping.items() if name != "expected"}
    return json.dumps(mapping, ensure_ascii=False, separators=(",", ":"))
