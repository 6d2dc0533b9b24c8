"""What would flip a decision: for each scalar of a request and each constant of its policy, the nearest value
to either side at which another match is chosen.

From the value, ever larger steps are tried until another match is chosen; between the last value that changes
nothing and the first that does, bisection finds the very value, to the last int or double. A flip that is
undone before the next step is passed over: about the value itself, steps grow by a quarter.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

from engine.cel.compiled_runtime import CompiledRuntime
from engine.decide import Decision, Policy
from engine.errors import EngineError
from engine.evaluate import Evaluator
from engine.policy.compiled import CompiledPolicy, uses
from engine.records import record, replace
from engine.regress.scalars import Scalar, scalars
from engine.request import Request

_LARGEST = 2**62
_FAR = 2.0**40
_GROWTH = 1.25

Match = str | None


@record(eq=False)
class Flip:
    """Another value of one scalar, with which another match is chosen.

    `distance` is relative, in parts of the value; None where it is no number.
    """

    path: str
    value: Any
    flipped: Any
    match_from: Match
    match_to: Match
    distance: float | None
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "path": self.path,
            "from": self.value,
            "to": self.flipped,
            "match_from": self.match_from,
            "match_to": self.match_to,
            "relative_distance": self.distance
            if self.distance is None or math.isfinite(self.distance)
            else None,
        }


def _finite(distance: float | None) -> float | None:
    return None if distance is None or math.isinf(distance) else distance


@record(eq=False)
class Explanation:
    """A decision with its trace, and what would flip it, the nearest first."""

    decision: Decision
    flips: tuple[Flip, ...]

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {"decision": self.decision.to_dict(), "flips": [flip.to_dict() for flip in self.flips]}


def explain(policy: Policy, request: Request, *, runtime: str = "compiled") -> Explanation:
    """Why a decision is as it is, and what would flip it.

    Raises:
        EngineError: the request can't be decided.
    """
    decision = policy.decide(request, explain=True, runtime=runtime)
    prepared, _ = policy.prepared(request)
    flips = [*_of_request(policy, request, prepared, decision), *_of_constants(policy, prepared, decision)]
    flips.sort(key=lambda flip: (flip.distance is None, flip.distance or 0.0, flip.path))
    return Explanation(decision, tuple(flips))


def answer_of(decision: Decision) -> Match:
    """What is told apart: the match, and of one that searches the degrees or what binds."""
    if decision.refusal is not None:
        return f"{decision.match_id}: no plan, {decision.refusal.requirement or 'no candidate'}"
    if decision.plan is None or decision.plan.estimates is None:
        return decision.match_id
    strategy = decision.plan.strategy
    named = {
        "tensor": strategy.tensor_parallel,
        "pipeline": strategy.pipeline_parallel,
        "data": strategy.data_parallel,
        "expert": strategy.expert_parallel or 1,
    }
    degrees = " × ".join(f"{name} {degree}" for name, degree in named.items() if degree > 1)
    return f"{decision.match_id}: {degrees or 'one device'}"


def _of_request(policy: Policy, request: Request, prepared: Request, decision: Decision) -> Iterator[Flip]:
    # What another policy chose is chosen anew where something else changes.
    chosen = {name: prepared.inputs[name] for name in decision.auto}
    typed = prepared.with_inputs(**{name: request.inputs[name] for name in decision.auto})
    for scalar in scalars(prepared, policy.compiled):
        own = scalar
        if scalar.path not in chosen:
            own = next((each for each in scalars(typed, policy.compiled) if each.path == scalar.path), scalar)
        yield from _flips(
            own, answer_of(decision), lambda asked: answer_of(policy.decide(asked, remedies=False))
        )


def _of_constants(policy: Policy, request: Request, decision: Decision) -> Iterator[Flip]:
    compiled = policy.compiled
    evaluator = Evaluator(compiled, CompiledRuntime(compiled.objects))
    values = evaluator.encoded(evaluator.binder.bind(request))
    searched = decision.refusal is not None or (
        decision.plan is not None and decision.plan.estimates is not None
    )
    deciding = _deciding(compiled)
    opened = policy.variant(compiled, frozenset(deciding)) if searched else policy

    def answer(name: str, value: Any) -> Match:
        """Of a policy that searches, with another value of a constant."""
        opened.set_constant(name, value)
        try:
            return answer_of(opened.decide(request, remedies=False))
        finally:
            opened.set_constant(name, compiled.constants[name].value)

    for name in deciding:
        constant = compiled.constants[name]
        others: tuple[Any, ...] = ()
        if isinstance(constant.value, bool):
            others = (not constant.value,)
        elif not isinstance(constant.value, (int, float)):
            continue

        def with_value(value: Any, name: str = name) -> Any:
            if searched:
                return name, value
            changed = {**compiled.constants, name: replace(compiled.constants[name], value=value)}
            return evaluator.variant(replace(compiled, constants=changed))

        least = None if others or constant.value < 0 else 0  # nobody makes a size negative
        scalar = Scalar(
            f"constants.{name}", constant.value, with_value, unit=constant.unit, others=others, least=least
        )
        if searched:
            yield from _flips(scalar, answer_of(decision), lambda changed: answer(*changed))
        else:
            yield from _flips(scalar, decision.match_id, lambda variant: variant.chosen(values))


def _deciding(policy: CompiledPolicy) -> list[str]:
    """The constants that conditions read, through variables too: no other changes which match is chosen."""
    variables: dict[str, set[str]] = {}
    waiting: list[str] = []
    for use in uses(policy):
        names = list(use.expression.checked.free_names())
        if use.match is None:
            variables.setdefault(use.name, set()).update(names)
        elif use.expression is use.match.condition:
            waiting += names
    read: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in read:
            read.add(name)
            waiting += variables.get(name, ())
    return [name for name in policy.constants if f"constants.{name}" in read]


def _flips(scalar: Scalar, match: Match, decide: Callable[[Any], Match]) -> Iterator[Flip]:
    def at(value: Any) -> Match | _Failed:
        try:
            return decide(scalar.with_value(value))
        except (EngineError, OverflowError, LookupError):
            return _FAILED

    def flip(value: Any, to: Match) -> Flip:
        distance = None
        if not scalar.others:
            distance = abs(value - scalar.value) / abs(scalar.value) if scalar.value else math.inf
        return Flip(scalar.path, scalar.value, value, match, to, distance, scalar.unit)

    if scalar.others or not isinstance(scalar.value, (int, float)):
        for other in scalar.others:
            found = at(other)
            if not isinstance(found, _Failed) and found != match:
                yield flip(other, found)
        return
    line = _Doubles(scalar) if isinstance(scalar.value, float) else _Ints(scalar)
    for direction in (-1, 1):
        value = _nearest(line, direction, match, at)
        if value is not None:
            found = at(value)
            assert not isinstance(found, _Failed)
            yield flip(value, found)


class _Failed:
    """No decision was to be had."""


_FAILED = _Failed()


def _nearest(
    line: _Ints | _Doubles, direction: int, match: Match, at: Callable[[Any], Match | _Failed]
) -> Any | None:
    """The value nearest to where the line begins with another match; None where there is none."""
    same = line.start
    for further in line.steps(direction):
        found = at(line.value(further))
        if isinstance(found, _Failed):
            return None
        if found != match:
            return line.value(_bisected(line, same, further, match, at))
        same = further
    return None


def _bisected(
    line: _Ints | _Doubles, same: int, other: int, match: Match, at: Callable[[Any], Match | _Failed]
) -> int:
    """Between a position that changes nothing and one that does, the first that does."""
    while abs(other - same) > 1:
        middle = (same + other) // 2
        found = at(line.value(middle))
        if isinstance(found, _Failed) or found == match:
            same = middle
        else:
            other = middle
    return other


class _Ints:
    """Ints as positions of themselves."""

    def __init__(self, scalar: Scalar) -> None:
        self.start: int = scalar.value
        self.least = -_LARGEST if scalar.least is None else int(scalar.least)
        self.most = _LARGEST if scalar.most is None else int(scalar.most)

    def value(self, position: int) -> int:
        return position

    def steps(self, direction: int) -> Iterator[int]:
        """Positions ever further away, to the end of the line."""
        end = self.most if direction > 0 else self.least
        for distance in _distances(1.0, abs(self.start), float(_LARGEST)):
            if abs(end - self.start) <= distance:
                break
            yield self.start + direction * math.ceil(distance)
        if end != self.start:
            yield end


class _Doubles:
    """Doubles as positions in their order: neighbours are one apart."""

    def __init__(self, scalar: Scalar) -> None:
        self.number: float = scalar.value
        self.start = _position(scalar.value)
        self.span = max(1.0, abs(self.number)) * _FAR
        self.least = -self.span if scalar.least is None else scalar.least
        self.most = self.span if scalar.most is None else scalar.most

    def value(self, position: int) -> float:
        return _double(position)

    def steps(self, direction: int) -> Iterator[int]:
        """Positions ever further away, to the end of the line."""
        end = self.most if direction > 0 else self.least
        least = max(abs(self.number) * 2**-52, 1e-12)
        for distance in _distances(least, abs(self.number) or 1.0, self.span):
            if abs(end - self.number) <= distance:
                break
            yield _position(self.number + direction * distance)
        if end != self.number:
            yield _position(end)


def _distances(least: float, size: float, most: float) -> Iterator[float]:
    """Ever larger distances: by a quarter from a thousandth of the value to twice as much, else doubled."""
    distance = least
    while distance < most:
        yield distance
        distance *= _GROWTH if size / 1000 < distance < 2 * size else 2.0


def _position(value: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", value + 0.0))
    return int(bits) if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _double(position: int) -> float:
    (value,) = struct.unpack("<d", struct.pack("<q", abs(position)))
    return float(math.copysign(value, position)) if position else 0.0
