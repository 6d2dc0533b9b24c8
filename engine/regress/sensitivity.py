"""Sensitivity: the nearest values of a request's scalars, constants and catalog cells that flip a decision.

From the current value, growing steps search for another match in both directions; bisection between the last
unchanged and the first changed value then finds the exact int or double. A flip that reverts within one step
is missed; near the value, steps grow by a quarter. What is not moved is listed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

from engine.base.errors import EngineError
from engine.base.records import field, record, replace
from engine.catalogs.catalog import Catalog, CatalogEntry
from engine.cel import syntax as ast
from engine.cel.runtimes.compiled import CompiledRuntime
from engine.cel.times import Duration, Timestamp
from engine.cel.values import Value, to_json
from engine.decide.decision import Decision
from engine.decide.interpreter import Evaluator
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.policy.compiled import CompiledPolicy, Use, uses
from engine.regress.mutants import neighbours
from engine.regress.scalars import Scalar, scalars
from engine.regress.variants import ConstantExperiment
from engine.regress.vocabulary import vocabulary

_LARGEST = 2**62
_FAR = 2.0**40
_FAR_IN_SEARCH = 1024
"""The farthest value of a constant in a search, in multiples of its own."""
_FEW = (0.05, 0.25, 1.0, 8.0)
"""Distances that are tried where each decision is a search, relative to the value."""
_CLOSE = 0.01
"""Precision of a flip there, relative to the value."""
_MANY = 12
"""Other values from which on only those that lead to different decisions are reported."""
_GROWTH = 1.25
_MOST_LISTED = 8
_MOST_WORDS = 40
_MOST_SAMPLES = 3

Match = str | None


@record
class Answer:
    """What counts as the same decision: the match, and the texts and bools of the output.

    `output` has `NUMBER` in the place of numbers and times, which change with almost every input.
    """

    match: Match
    output: object = None
    whole: object = field(default=None, compare=False)
    """The output as JSON."""


NUMBER = "number"


@record(eq=False)
class Flip:
    """A value of one scalar that leads to another match or output.

    `distance` is relative to the current value; None if it is not a number. Outputs are None where they do
    not differ, numbers aside.
    """

    path: str
    value: Value
    flipped: Value
    match_from: Match
    match_to: Match
    distance: float | None
    unit: str = ""
    output_from: object = None
    output_to: object = None

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        outputs = {"output_from": self.output_from, "output_to": self.output_to}
        return {
            "path": self.path,
            "from": self.value,
            "to": self.flipped,
            "match_from": self.match_from,
            "match_to": self.match_to,
            "relative_distance": self.distance
            if self.distance is None or math.isfinite(self.distance)
            else None,
            **({} if self.output_from == self.output_to else outputs),
        }


@record(eq=False)
class Explanation:
    """A decision with its trace and the flips, nearest first.

    `moved` is the number of values that were moved, `unmoved` names what was not.
    """

    decision: Decision
    flips: tuple[Flip, ...]
    moved: int = 0
    unmoved: tuple[str, ...] = ()

    @property
    def has_numbers(self) -> bool:
        """True if the output has numbers or times; a change of these alone is no flip."""
        return _holds_number(answer_of(self.decision).output)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "decision": self.decision.to_dict(),
            "flips": [flip.to_dict() for flip in self.flips],
            "moved": self.moved,
            "unmoved": list(self.unmoved),
        }


def explain(
    policy: Policy,
    request: Request,
    *,
    runtime: str = "compiled",
    after: Callable[[], None] = lambda: None,
) -> Explanation:
    """Decide a request with a trace, and find the nearest changes that flip the decision.

    Args:
        policy: the policy.
        request: the request.
        runtime: the CEL runtime of the decision itself.
        after: called after each decision with another value.

    Raises:
        EngineError: the request cannot be decided.
    """
    decision = policy.decide(request, explain=True, runtime=runtime)
    prepared, _ = policy.prepared(request)
    search = _Sensitivity(policy, prepared, decision, after)
    flips = [*search.of_request(request), *search.of_constants(), *search.of_catalogs()]
    flips.sort(key=lambda flip: (flip.distance is None, flip.distance or 0.0, flip.path))
    return Explanation(decision, tuple(flips), search.moved, tuple(search.unmoved))


def answer_of(decision: Decision) -> Answer:
    """Return what counts as a flip: match and output; for a search, degrees or the binding requirement."""
    if decision.output is not None:
        whole = to_json(decision.output)
        return Answer(decision.match_id, _without_numbers(whole, decision.output), whole)
    if decision.refusal is not None:
        return Answer(f"{decision.match_id}: no plan, {decision.refusal.requirement or 'no candidate'}")
    if decision.plan is None or decision.plan.estimates is None:
        return Answer(decision.match_id)
    strategy = decision.plan.strategy
    named = {
        "tensor": strategy.tensor_parallel,
        "pipeline": strategy.pipeline_parallel,
        "data": strategy.data_parallel,
        "expert": strategy.expert_parallel or 1,
    }
    degrees = " × ".join(f"{name} {degree}" for name, degree in named.items() if degree > 1)
    return Answer(f"{decision.match_id}: {degrees or 'one device'}")


def _holds_number(output: object) -> bool:
    if isinstance(output, (list, dict)):
        return any(map(_holds_number, output.values() if isinstance(output, dict) else output))
    return output is NUMBER


def _without_numbers(json: object, value: object) -> object:
    """Return the JSON form of an output with numbers and times left out."""
    if isinstance(json, dict):
        inner = value if isinstance(value, dict) else {}
        return {key: _without_numbers(element, inner.get(key)) for key, element in json.items()}
    if isinstance(json, list):
        values = value if isinstance(value, list) else [None] * len(json)
        return [_without_numbers(element, one) for element, one in zip(json, values, strict=True)]
    is_number = isinstance(json, (int, float)) and not isinstance(json, bool)
    return NUMBER if is_number or isinstance(value, (Timestamp, Duration, float)) else json


class _Sensitivity:
    """The search for flips of one decision."""

    def __init__(
        self, policy: Policy, prepared: Request, decision: Decision, after: Callable[[], None]
    ) -> None:
        self.policy = policy
        self.after = after
        self.compiled = policy.compiled
        self.prepared = prepared
        self.decision = decision
        self.answer = answer_of(decision)
        self.moved = 0
        self.unmoved: list[str] = []
        self.searched = decision.refusal is not None or (
            decision.plan is not None and decision.plan.estimates is not None
        )
        self.evaluator = Evaluator(self.compiled, CompiledRuntime(self.compiled.objects))

    def flips(self, scalar: Scalar, decide: Callable[[Any], Answer]) -> Iterator[Flip]:
        """Yield the flips of one scalar."""
        self.moved += 1

        def decided(value: Any) -> Answer:
            self.after()
            return decide(value)

        yield from _flips(replace(scalar, coarse=self.searched), self.answer, decided)

    def of_request(self, request: Request) -> Iterator[Flip]:
        """Yield the flips of the request's values."""
        # Inputs chosen by another policy are chosen again when other inputs change.
        prepared, auto = self.prepared, self.decision.auto
        chosen = {name: prepared.inputs[name] for name in auto}
        typed = prepared.with_inputs(**{name: request.inputs[name] for name in auto})
        again = {scalar.path: scalar for scalar in scalars(typed, self.compiled)}
        moved = set()
        for scalar in scalars(prepared, self.compiled):
            base = scalar if scalar.path in chosen else again.get(scalar.path, scalar)
            moved.add(scalar.path)
            yield from self.flips(
                base, lambda changed: answer_of(self.policy.decide(changed, remedies=False))
            )
        heads = {path.partition(".")[0].partition("[")[0] for path in moved}
        left = [name for name, value in prepared.inputs.items() if name not in heads and value is not None]
        if left:
            self.unmoved.append(f"inputs {', '.join(left)}")
        absent = [name for name in self.compiled.inputs if prepared.inputs.get(name) is None]
        if absent:
            self.unmoved.append(f"inputs that the request leaves out: {', '.join(absent)}")

    def of_constants(self) -> Iterator[Flip]:
        """Yield the flips of the constants that decide."""
        compiled, evaluator = self.compiled, self.evaluator
        values = evaluator.encoded(evaluator.binder.bind(self.prepared))
        deciding = [name for name in _deciding(compiled) if compiled.constants[name].is_plain]
        experiment = None
        if self.searched:
            experiment = ConstantExperiment(self.policy, frozenset(deciding), self.prepared)
        other = [name for name, each in compiled.constants.items() if not each.is_plain]
        fixed = [name for name in _read(compiled) if name in other]
        if fixed:
            what = "constants that are maps, times, bytes, uints or lists of these"
            self.unmoved.append(f"{what}: {_listed(fixed)}")
        rest = [name for name in _read(compiled) if name not in deciding and name not in other]
        if rest:
            what = "constants that no condition reads" if self.searched else "constants"
            self.unmoved.append(f"{what}: {_listed(rest)}")

        def answer(name: str, value: Any) -> Answer:
            if experiment is not None:
                return answer_of(experiment.decide(name, value))
            changed = {**compiled.constants, name: replace(compiled.constants[name], value=value)}
            variant = evaluator.variant(replace(compiled, constants=changed))
            if compiled.outcome == "plan":
                return Answer(variant.chosen(values))
            return answer_of(variant.decide(self.prepared)[0])

        for name in deciding:
            if experiment is not None and name not in experiment.read:
                self.moved += 1  # any value gives the same answer
                continue
            constant = compiled.constants[name]
            others = self.others(constant.value)
            least = None if others or constant.value < 0 else 0  # sizes stay non-negative
            most = None
            if self.searched and not others:  # every step is a search
                most = _FAR_IN_SEARCH * max(abs(constant.value), 1)
            scalar = Scalar(
                f"constants.{name}",
                constant.value,
                lambda value: value,
                unit=constant.unit,
                others=others,
                least=least,
                most=most,
                few=not isinstance(constant.value, bool),
            )
            yield from self.flips(scalar, partial(answer, name))

    def of_catalogs(self) -> Iterator[Flip]:
        """Yield the flips of catalog cells, of the rows that the request names."""
        read = {
            node.field
            for use in uses(self.compiled)
            for node in use.expression.checked.root.walk()
            if isinstance(node, ast.Select)
        }
        cells = [
            (catalog, entry, column)
            for catalog in self.compiled.catalogs.values()
            for entry in catalog.entries.values()
            if entry.name in self.texts
            for column, cell in entry.values.items()
            if column in read and isinstance(cell, (bool, int, float, str))
        ]
        if self.searched:
            names = dict.fromkeys(catalog.name for catalog, _, _ in cells)
            if names:
                self.unmoved.append(f"cells of the catalogs {', '.join(names)}")
            return
        for catalog, entry, column in cells:
            value: Any = entry.values[column]
            others = self.others(value)
            scalar = Scalar(
                f"catalogs.{catalog.name}.{entry.name}.{column}",
                value,
                lambda value: value,
                others=others,
                least=None if others or value < 0 else 0,
                few=True,
            )
            yield from self.flips(scalar, partial(self.with_cell, catalog, entry, column))

    @cached_property
    def texts(self) -> frozenset[str]:
        """The texts in the bound inputs and in the policy: names of catalog entries are among them."""
        return frozenset([*_texts(self.evaluator.binder.bind(self.prepared)), *self.words])

    @cached_property
    def words(self) -> list[str]:
        """The policy's own texts."""
        return list(vocabulary([self.compiled]).texts)

    def others(self, value: Any) -> tuple[object, ...]:
        """Return the values to try for a constant or a cell that has no order."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return ()
        words = [word for word in self.words if word != value] if isinstance(value, str) else []
        return (*words[:_MOST_WORDS], *neighbours(value))

    def with_cell(self, catalog: Catalog, entry: CatalogEntry, column: str, value: object) -> Answer:
        """Decide with another value of a catalog's cell."""
        row = replace(entry, values={**entry.values, column: value})
        changed = replace(catalog, entries={**catalog.entries, entry.name: row})
        catalogs = {
            name: changed if known is catalog else known for name, known in self.compiled.catalogs.items()
        }
        variant = self.evaluator.with_catalogs(replace(self.compiled, catalogs=catalogs))
        return answer_of(variant.decide(self.prepared)[0])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for element in value.values():
            yield from _texts(element)
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element)


def _listed(names: list[str]) -> str:
    few = names[:_MOST_LISTED]
    more = f" and {len(names) - len(few)} more" if len(names) > len(few) else ""
    return ", ".join(few) + more


def _read(policy: CompiledPolicy) -> list[str]:
    """Return the constants that any expression but an explanation reads."""
    return _closure(policy, lambda use: use.match is None or use.expression is not use.match.explanation)


def _deciding(policy: CompiledPolicy) -> list[str]:
    """Return the constants that conditions and outputs read, directly or through variables."""
    return _closure(
        policy,
        lambda use: use.match is not None and use.expression in (use.match.condition, use.match.output),
    )


def _closure(policy: CompiledPolicy, matters: Callable[[Use], bool]) -> list[str]:
    """Return the constants that some expressions read, directly or through variables."""
    variables: dict[str, set[str]] = {}
    waiting: list[str] = []
    for use in uses(policy):
        names = list(use.expression.checked.free_names())
        if use.match is None:
            variables.setdefault(use.name, set()).update(names)
        elif matters(use):
            waiting += names
    read: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in read:
            read.add(name)
            waiting += variables.get(name, ())
    return [name for name in policy.constants if f"constants.{name}" in read]


def _flips(scalar: Scalar, answer: Answer, decide: Callable[[object], Answer]) -> Iterator[Flip]:
    def at(value: object) -> Answer | _Failed:
        try:
            return decide(scalar.with_value(value))
        except (EngineError, OverflowError, LookupError):
            return _FAILED

    def flip(value: object, to: Answer) -> Flip:
        distance = None
        if not scalar.others and scalar.time is None:
            distance = abs(value - scalar.value) / abs(scalar.value) if scalar.value else math.inf
        same = answer.output == to.output
        return Flip(
            scalar.path,
            scalar.shown(scalar.value),
            scalar.shown(value),
            answer.match,
            to.match,
            distance,
            scalar.unit,
            None if same else answer.whole,
            None if same else to.whole,
        )

    if scalar.others or not isinstance(scalar.value, (int, float)):
        seen: list[Answer] = []
        few = scalar.few or len(scalar.others) > _MANY
        for other in scalar.others:
            found = at(other)
            if isinstance(found, _Failed) or found == answer or (few and found in seen):
                continue
            if few and len(seen) == _MOST_SAMPLES:
                return
            seen.append(found)
            yield flip(other, found)
        return
    line = _Doubles(scalar) if isinstance(scalar.value, float) else _Ints(scalar)
    for direction in (-1, 1):
        value = _nearest(line, direction, answer, at)
        if value is not None:
            found = at(value)
            assert not isinstance(found, _Failed)
            yield flip(value, found)


class _Failed:
    """Marks a value for which no decision is possible."""


_FAILED = _Failed()


def _nearest(
    line: _Ints | _Doubles, direction: int, answer: Answer, at: Callable[[object], Answer | _Failed]
) -> object | None:
    """Return the nearest value with another match, or None."""
    same = line.start
    for further in line.steps(direction):
        found = at(line.value(further))
        if isinstance(found, _Failed):
            return None
        if found != answer:
            return line.value(_bisected(line, same, further, answer, at))
        same = further
    return None


def _bisected(
    line: _Ints | _Doubles, same: int, other: int, answer: Answer, at: Callable[[object], Answer | _Failed]
) -> int:
    """Return the first changed position between an unchanged and a changed one."""
    while abs(other - same) > 1 and not line.is_close(same, other):
        middle = (same + other) // 2
        found = at(line.value(middle))
        if isinstance(found, _Failed) or found == answer:
            same = middle
        else:
            other = middle
    return other


class _Ints:
    """Ints: every position is its value."""

    def __init__(self, scalar: Scalar) -> None:
        self.start: int = scalar.value
        self.coarse = scalar.coarse
        self.least = -_LARGEST if scalar.least is None else int(scalar.least)
        self.most = _LARGEST if scalar.most is None else int(scalar.most)

    def value(self, position: int) -> int:
        return position

    def is_close(self, first: int, second: int) -> bool:
        """True if a flip between two values is known well enough."""
        return self.coarse and abs(second - first) <= _CLOSE * abs(self.start)

    def steps(self, direction: int) -> Iterator[int]:
        """Yield positions at growing distances up to the bound."""
        end = self.most if direction > 0 else self.least
        size = abs(self.start)
        distances = _distances(1.0, size, float(_LARGEST))
        for distance in _few_distances(max(1.0, size)) if self.coarse else distances:
            if abs(end - self.start) <= distance:
                break
            yield self.start + direction * math.ceil(distance)
        if end != self.start:
            yield end


class _Doubles:
    """Doubles by rank: adjacent doubles are one position apart."""

    def __init__(self, scalar: Scalar) -> None:
        self.number: float = scalar.value
        self.coarse = scalar.coarse
        self.start = _position(scalar.value)
        self.span = max(1.0, abs(self.number)) * _FAR
        self.least = -self.span if scalar.least is None else scalar.least
        self.most = self.span if scalar.most is None else scalar.most

    def value(self, position: int) -> float:
        return _double(position)

    def is_close(self, first: int, second: int) -> bool:
        """True if a flip between two values is known well enough."""
        return self.coarse and abs(_double(second) - _double(first)) <= _CLOSE * abs(self.number)

    def steps(self, direction: int) -> Iterator[int]:
        """Yield positions at growing distances up to the bound."""
        end = self.most if direction > 0 else self.least
        size = abs(self.number) or 1.0
        distances = _distances(max(abs(self.number) * 2**-52, 1e-12), size, self.span)
        for distance in _few_distances(size) if self.coarse else distances:
            if abs(end - self.number) <= distance:
                break
            yield _position(self.number + direction * distance)
        if end != self.number:
            yield _position(end)


def _distances(least: float, size: float, most: float) -> Iterator[float]:
    """Yield growing distances: × 1.25 from a thousandth of the value to twice the value, × 2 elsewhere."""
    distance = least
    while distance < most:
        yield distance
        distance *= _GROWTH if size / 1000 < distance < 2 * size else 2.0


def _few_distances(size: float) -> Iterator[float]:
    """Yield growing distances, from 5 % of the value to 8 times the value."""
    return (size * factor for factor in _FEW)


def _position(value: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", value + 0.0))
    return int(bits) if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _double(position: int) -> float:
    (value,) = struct.unpack("<d", struct.pack("<q", abs(position)))
    return float(math.copysign(value, position)) if position else 0.0
