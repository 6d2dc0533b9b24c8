"""Compare the decisions of two policies on the same requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from engine.base.errors import EngineError
from engine.base.pool import in_order
from engine.base.records import field, record, replace
from engine.cel.values import to_json
from engine.decide.decision import Decision
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.documents.lines import Line, decode_line
from engine.regress.revisions import Side

ERROR = "error"
"""Match of a side that cannot decide."""


NUMBER = "number"
"""Stands for numbers and times in a change of outputs, which are not told apart."""


@record
class OutputChange:
    """A part of the output that changes: its path, and its JSON before and after, or `NUMBER`."""

    path: str
    before: str
    after: str


@record
class Change:
    """One kind of change: match, strategy and parts of the output, before and after."""

    match_from: str | None
    match_to: str | None
    strategy_from: str | None
    strategy_to: str | None
    outputs: tuple[OutputChange, ...] = ()

    @property
    def has_plans(self) -> bool:
        """True if one side has a plan."""
        return self.strategy_from is not None or self.strategy_to is not None


@record(frozen=False)
class Numbers:
    """Sums of a number in the output, before and after, over the requests of a group."""

    count: int = 0
    before: float = 0.0
    after: float = 0.0

    def add(self, other: Numbers) -> None:
        """Merge the numbers of another group."""
        self.count += other.count
        self.before += other.before
        self.after += other.after

    @property
    def means(self) -> tuple[float, float]:
        """The means before and after."""
        return self.before / self.count, self.after / self.count


@record(frozen=False)
class Group:
    """Requests with one kind of change; deltas of bytes and tokens/s are sums over those with plans."""

    count: int = 0
    total_bytes: int = 0
    estimate: float = 0.0
    estimates: int = 0
    example: str = ""
    """The shortest request as JSON; of equally long ones, the first in alphabetical order."""
    numbers: dict[str, Numbers] = field(default_factory=dict)
    """Numbers of the output that change, by path."""

    def add(self, other: Group) -> None:
        """Merge the requests of another group."""
        self.count += other.count
        self.total_bytes += other.total_bytes
        self.estimate += other.estimate
        self.estimates += other.estimates
        for path, numbers in other.numbers.items():
            self.numbers.setdefault(path, Numbers()).add(numbers)
        if not self.example or (len(other.example), other.example) < (len(self.example), self.example):
            self.example = other.example


@record(frozen=False)
class Difference:
    """Differences on a corpus."""

    total: int = 0
    """Number of requests, undecided ones included."""
    changed: int = 0
    errors: int = 0
    """Number of requests that neither policy can decide; they count as neither changed nor unchanged."""
    first_error: str = ""
    unreadable: int = 0
    """Number of lines that are not requests."""
    first_unreadable: str = ""
    groups: dict[Change, Group] = field(default_factory=dict)

    def add(self, other: Difference) -> None:
        """Merge the differences of another process."""
        self.total += other.total
        self.changed += other.changed
        self.errors += other.errors
        self.first_error = self.first_error or other.first_error
        self.unreadable += other.unreadable
        self.first_unreadable = self.first_unreadable or other.first_unreadable
        for change, group in other.groups.items():
            self.groups.setdefault(change, Group()).add(group)

    @property
    def decided(self) -> int:
        """Number of requests that at least one policy can decide."""
        return self.total - self.errors

    def sorted(self) -> list[tuple[Change, Group]]:
        """Return the groups, largest first."""
        return sorted(self.groups.items(), key=lambda item: (-item[1].count, item[1].example))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "total": self.total,
            "changed": self.changed,
            "errors": self.errors,
            "unreadable": self.unreadable,
            "groups": [_group(change, group) for change, group in self.sorted()],
        }


def _group(change: Change, group: Group) -> dict[str, object]:
    before: dict[str, object] = {"match": change.match_from}
    after: dict[str, object] = {"match": change.match_to}
    for output in change.outputs:
        numbers = group.numbers.get(output.path)
        for side, text, mean in ((before, output.before, 0), (after, output.after, 1)):
            parts = side.setdefault("output", {})
            assert isinstance(parts, dict)
            known = numbers is not None and text == NUMBER
            parts[output.path] = numbers.means[mean] if numbers is not None and known else _parsed(text)
    if not change.has_plans:
        return {"from": before, "to": after, "count": group.count, "example": json.loads(group.example)}
    return {
        "from": {**before, "strategy": change.strategy_from},
        "to": {**after, "strategy": change.strategy_to},
        "count": group.count,
        "total_memory_bytes_delta": group.total_bytes,
        "estimated_tokens_per_sec_delta": group.estimate,
        "example": json.loads(group.example),
    }


def _parsed(text: str) -> object:
    """Return the value of a part of an output; longer ones are kept as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@record
class DiffJob:
    """Compare two policies on lines of requests."""

    left: Side
    right: Side
    plain: bool
    """True if lines hold inputs of a custom policy instead of requests."""

    def start(self) -> Callable[[list[Line]], Difference]:
        """Return the function that compares both policies on some lines."""
        left, right = self.left.load(), self.right.load()
        read = left.request_of if self.plain else Request.from_dict

        def compare(lines: list[Line]) -> Difference:
            total = Difference()
            for line in lines:
                try:
                    mapping = decode_line(line.text)
                    request = read(mapping)
                except EngineError as error:
                    total.unreadable += 1
                    total.first_unreadable = total.first_unreadable or f"line {line.number}: {error.message}"
                    continue
                compared = compare_request(left, right, request, mapping)
                if compared.errors:
                    compared.first_error = f"line {line.number}: {compared.first_error}"
                total.add(compared)
            return total

        return compare


def difference(job: DiffJob, pieces: Iterable[list[Line]], jobs: int = 1) -> Iterable[Difference]:
    """Yield the differences chunk by chunk."""
    return in_order(job, pieces, jobs)


def compare_request(left: Policy, right: Policy, request: Request, mapping: object) -> Difference:
    """Compare both policies on one request; `mapping` is its source."""
    before, after = outcome(left, request), outcome(right, request)
    if isinstance(before, str) and isinstance(after, str):
        return Difference(1, errors=1, first_error=before)
    if not differs(before, after):
        return Difference(1)
    numbers: dict[str, Numbers] = {}
    change = replace(change_of(before, after), outputs=tuple(_output_changes(before, after, numbers)))
    group = Group(1, *_deltas(before, after), _example(mapping), numbers)
    return Difference(1, 1, groups={change: group})


Outcome = Decision | str
"""A decision, or an error message."""


def outcome(policy: Policy, request: Request) -> Outcome:
    """Decide a request; an error becomes its message."""
    try:
        return policy.decide(request, remedies=False)
    except EngineError as error:
        return error.message


def differs(before: Outcome, after: Outcome) -> bool:
    """Return True if outcome, match, output or plan differ; texts are not compared."""
    if isinstance(before, str) or isinstance(after, str):
        return isinstance(before, str) is not isinstance(after, str)
    return _essence(before) != _essence(after)


def _essence(decision: Decision) -> tuple[object, ...]:
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
    """Return match and strategy before and after."""
    return Change(_match(before), _match(after), _strategy(before), _strategy(after))


def _output_changes(before: Outcome, after: Outcome, numbers: dict[str, Numbers]) -> Iterator[OutputChange]:
    """Yield the parts of the output that change; of numbers, the values are added to `numbers`."""
    outputs = [None if isinstance(side, str) else to_json(side.output) for side in (before, after)]
    if isinstance(before, str) or isinstance(after, str) or outputs == [None, None]:
        return
    yield from _changes("output", outputs[0], outputs[1], numbers)


def _changes(path: str, before: object, after: object, numbers: dict[str, Numbers]) -> Iterator[OutputChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(f"{path}.{key}", before.get(key, _ABSENT), after.get(key, _ABSENT), numbers)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(f"{path}[{position}]", old, new, numbers)
    elif type(before) is not type(after) or before != after:
        if _is_number(before) and _is_number(after):
            assert isinstance(before, (int, float))
            assert isinstance(after, (int, float))
            numbers[path] = Numbers(1, before, after)
        yield OutputChange(path, _shown(before), _shown(after))


_ABSENT = object()
_LONGEST = 120


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """Return a value as JSON, shortened; all numbers are the same."""
    if value is _ABSENT:
        return "absent"
    if _is_number(value):
        return NUMBER
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _match(side: Outcome) -> str | None:
    return ERROR if isinstance(side, str) else side.match_id


def _strategy(side: Outcome) -> str | None:
    return None if isinstance(side, str) or side.plan is None else side.plan.strategy.kind


def _deltas(before: Outcome, after: Outcome) -> tuple[int, float, int]:
    """Return the deltas of bytes and tokens/s, and 1 if both sides have an estimate."""
    plans = [None if isinstance(side, str) else side.plan for side in (before, after)]
    if plans[0] is None or plans[1] is None:
        return 0, 0.0, 0
    more = plans[1].total_memory_bytes - plans[0].total_memory_bytes
    old, new = plans[0].estimated_tokens_per_sec, plans[1].estimated_tokens_per_sec
    return (more, 0.0, 0) if old is None or new is None else (more, new - old, 1)


def _example(mapping: object) -> str:
    """Return a request as one line, without the reference tool's `expected`."""
    if isinstance(mapping, dict):
        mapping = {name: value for name, value in mapping.items() if name != "expected"}
    return json.dumps(mapping, ensure_ascii=False, separators=(",", ":"))
