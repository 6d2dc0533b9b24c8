"""Serving goals: limits on TTFT and TPOT, and a request rate, from text to the concurrency that meets them.

A policy's requirements decide what meets a goal. If a request sets a limit and no concurrency, the largest
concurrency with a feasible plan is found by bisection; if it sets a rate, the smallest that serves it. Both
rely on latency that grows with concurrency, as that of every server does.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from engine.base.errors import RequestError, near
from engine.base.records import replace
from engine.decide.changes import with_serving
from engine.decide.found import Found, FoundHow
from engine.decide.remedies import Remedied, Speed
from engine.plan.plan import SearchEffort

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.decide.decision import Decision
    from engine.decide.request import Request
    from engine.plan.plan import Estimates

LIMITS = ("max_ttft_ms", "max_tpot_ms")
"""Fields of `serving` that limit a time."""
RATE, CONCURRENCY, PERCENTILE = "request_rate", "concurrency", "percentile"
MOST_CONCURRENCY = 1_000_000_000
"""The largest concurrency that a request may set (schemas/request.schema.json)."""
PERCENTILES = (50, 75, 90, 95, 99)
"""The percentiles that a request may set (schemas/request.schema.json)."""

_WORDS = {"ttft": "max_ttft_ms", "tpot": "max_tpot_ms", "itl": "max_tpot_ms"}
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0}
_PER_SECOND = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*)\Z")
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*/\s*(?P<unit>[a-z]+)\Z")
_EXAMPLE = "ttft=1s,tpot=40ms or ttft=1s,tpot=40ms,p99"
_CLOSE = 1.001
"""The nearest feasible limit is found to 0.1 %."""
_FARTHEST = 2.0**24
"""Limits beyond this multiple of what was asked for are not worth mentioning."""
_ROUNDED = (1e-300, 1e300)
"""Numbers between these are rounded to four digits; what is beyond is left as it is."""


def parse_slo(text: str) -> dict[str, object]:
    """Return the fields of `serving` that `ttft=1s,tpot=40ms,p99` means.

    Raises:
        ValueError: another form, a time of zero, a goal twice; the message says which.
    """
    fields: dict[str, object] = {}
    for part in text.split(","):
        word = part.strip().casefold()
        name, equals, value = (piece.strip() for piece in word.partition("="))
        if re.fullmatch(r"p\d+(\.\d+)?", word):
            field, number = PERCENTILE, float(_percentile(word[1:]))
        elif not equals or name not in _WORDS:
            hint = f"; {near(name, _WORDS)}" if name and equals else ""
            raise ValueError(f"expected goals such as {_EXAMPLE}, found '{part.strip()}'{hint}")
        else:
            field, number = _WORDS[name], duration_ms(value)
        if field in fields:
            raise ValueError(f"'{part.strip()}' repeats a goal; state each one once")
        fields[field] = int(number) if field == PERCENTILE else number
    if not any(field in fields for field in LIMITS):
        raise ValueError(f"a percentile needs a limit: write goals such as {_EXAMPLE}")
    return fields


def duration_ms(text: str) -> float:
    """Return the milliseconds of `40ms`, `1.5s` or `500us`.

    Raises:
        ValueError: no unit, an unknown one, or a time of zero.
    """
    match = _DURATION.match(text)
    if match is None or match["unit"] not in _UNITS_MS:
        raise ValueError(f"'{text}' is not a time: write it with its unit, like 40ms or 1.5s")
    milliseconds = float(match["number"]) * _UNITS_MS[match["unit"]]
    if not 0.0 < milliseconds < math.inf:
        raise ValueError(f"'{text}': a limit must be more than zero")
    return milliseconds


def parse_rate(text: str) -> float:
    """Return the requests per second of `20/s`, `1200/min` or `5000/h`.

    Raises:
        ValueError: another form, or a rate of zero.
    """
    match = _RATE.match(text.strip().casefold())
    if match is None or match["unit"] not in _PER_SECOND:
        raise ValueError(f"'{text}' is not a rate of requests: write it like 20/s or 1200/min")
    rate = float(match["number"]) / _PER_SECOND[match["unit"]]
    if not 0.0 < rate < math.inf:
        raise ValueError(f"'{text}': a rate must be more than zero")
    return rate


def goal_fields(slo: str | Mapping[str, object] | None, rate: str | float | None) -> dict[str, object]:
    """Return the fields of `serving` that the arguments `slo` and `rate` of `engine.decide` mean.

    Args:
        slo: `"ttft=1s,tpot=40ms,p99"`, or `{"ttft": "1s", "tpot": 40, "percentile": 99}` with numbers in
            milliseconds.
        rate: `"20/s"`, or a number of requests per second.

    Raises:
        RequestError: another form, or a goal that no system can have.
    """
    fields: dict[str, object] = {}
    try:
        if isinstance(slo, str):
            fields |= parse_slo(slo)
        elif slo is not None:
            fields |= _mapped(slo)
        if isinstance(rate, str):
            fields[RATE] = parse_rate(rate)
        elif rate is not None:
            if isinstance(rate, bool) or not 0.0 < rate < math.inf:
                raise ValueError(f"'{rate}': a rate must be more than zero")
            fields[RATE] = float(rate)
    except ValueError as error:
        raise RequestError(f"slo or rate: {error}") from None
    return fields


def _mapped(slo: Mapping[str, object]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in slo.items():
        if name == PERCENTILE:
            fields[PERCENTILE] = _percentile(str(value))
            continue
        field = _WORDS.get(name, name)
        if field not in LIMITS:
            raise ValueError(f"unknown goal '{name}'; {near(name, (*_WORDS, PERCENTILE))}")
        fields[field] = duration_ms(value if isinstance(value, str) else f"{value}ms")
    return fields


def _percentile(text: str) -> int:
    for percentile in PERCENTILES:
        if text == str(percentile):
            return percentile
    known = ", ".join(f"p{percentile}" for percentile in PERCENTILES)
    raise ValueError(f"'p{text}' is not a percentile that is estimated; expected one of {known}")


# --- concurrency -------------------------------------------------------------------------------------------


def serving_of(request: Request) -> Mapping[str, object]:
    """Return the serving goals of a request."""
    serving = request.inputs.get("serving")
    return serving if isinstance(serving, dict) else {}


def leaves_concurrency_open(request: Request) -> bool:
    """Return True if a request sets a limit or a rate, and no concurrency."""
    serving = serving_of(request)
    return serving.get(CONCURRENCY) is None and has_goals(request)


def has_goals(request: Request) -> bool:
    """Return True if a request sets a limit or a rate."""
    serving = serving_of(request)
    return any(serving.get(name) is not None for name in (*LIMITS, RATE))


def check(request: Request) -> None:
    """Refuse goals that contradict each other.

    Raises:
        RequestError: a rate and a concurrency.
    """
    serving = serving_of(request)
    if serving.get(CONCURRENCY) is not None and serving.get(RATE) is not None:
        raise RequestError(
            "serving: request_rate and concurrency exclude each other",
            path=("serving", RATE),
            hint="drop concurrency: the smallest that serves the rate is found",
        )


def largest(most: int, feasible: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that is feasible, 0 if 1 is not; feasibility ends once."""
    good, step = 0, 1
    while step <= most and feasible(step):
        good, step = step, step * 2
    bad = min(step, most + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if feasible(middle) else (good, middle)
    return good


def smallest(low: int, high: int, feasible: Callable[[int], bool]) -> int:
    """Return the smallest number above `low` that is feasible; `high` is, and feasibility begins once."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if feasible(middle) else (middle, high)
    return high


class Finder:
    """Finds the concurrency of one request; each concurrency is decided once.

    Args:
        request: the request, without a concurrency.
        decide: decides a request, without remedies.
    """

    def __init__(self, request: Request, decide: Callable[[Request], Decision]) -> None:
        self.request = request
        self.decide = decide
        self.rate = cast("float | None", serving_of(request).get(RATE))
        self._decisions: dict[tuple[int, bool], Decision] = {}
        self._best: tuple[float, Decision] | None = None

    def at(self, concurrency: int, *, rate: bool = True) -> Decision:
        """Return the decision at a concurrency, with or without the rate."""
        key = (concurrency, rate and self.rate is not None)
        if key not in self._decisions:
            changed = with_serving(self.request, CONCURRENCY, concurrency)
            if not key[1] and self.rate is not None:
                changed = with_serving(changed, RATE, None)
            self._decisions[key] = self.decide(changed)
        return self._decisions[key]

    def find(self) -> tuple[Decision, Found | None]:
        """Return the decision at the concurrency that meets the goals, else that at the nearest one."""
        if self.rate is not None:
            found = self.smallest()
            return (self.best_rate()[1], None) if found is None else (self.at(found), self._found(found))
        most = self.largest()
        return (self.at(most), self._found(most)) if most else (self.at(1), None)

    def largest(self) -> int:
        """Return the largest concurrency within the limits, 0 if there is none."""
        return largest(MOST_CONCURRENCY, lambda count: self.at(count, rate=False).feasible)

    def smallest(self) -> int | None:
        """Return the smallest concurrency that serves the rate within the limits, if one does."""
        low = 0
        for concurrency in self._grid():
            if self.at(concurrency).feasible:
                return smallest(low, concurrency, lambda count: self.at(count).feasible)
            low = concurrency
        return None

    def best_rate(self) -> tuple[float, Decision]:
        """Return the highest rate within the limits, to 0.1 %, in requests/s, and its decision.

        The best plan at a concurrency without a rate need not be the one with the highest rate.
        """
        if self._best is None:
            grid = list(self._grid())
            best = max((self.at(each, rate=False) for each in grid or [1]), key=_rate)
            for concurrency in grid:
                best = self._faster(concurrency, best)
            self._best = _rate(best), best
        return self._best

    def _faster(self, concurrency: int, best: Decision) -> Decision:
        """Return the plan with the highest rate at a concurrency, if that is higher than the best one's."""
        low, high = _rate(best), cast("float", self.rate)
        middle = low * _CLOSE
        while low and middle < high:
            changed = with_serving(self.request, CONCURRENCY, concurrency)
            decision = self.decide(with_serving(changed, RATE, middle))
            if decision.feasible:
                low, best = _rate(decision), decision
            elif middle <= low * _CLOSE:
                break
            else:
                high = middle
            middle = max(math.sqrt(low) * math.sqrt(high), low * _CLOSE)
        return best

    def _grid(self) -> Iterator[int]:
        """Yield the powers of two within the limits, then the largest concurrency, unless it is one."""
        good, count = 0, 1
        while count <= MOST_CONCURRENCY and (self.at(count).feasible or self.at(count, rate=False).feasible):
            yield count
            good, count = count, count * 2
        if good and (most := self.largest()) > good:
            yield most

    def _found(self, value: int) -> Found:
        """Return a concurrency with what the chosen layout fails at one more request, if it fails then."""
        how: FoundHow = "largest_within_limits" if self.rate is None else "smallest_for_rate"
        plan = self.at(value).plan
        if plan is None or how == "smallest_for_rate" or value == MOST_CONCURRENCY:
            return Found(value, how)
        strategy = plan.strategy
        degrees = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
        pin = {name: getattr(strategy, name) for name in degrees if getattr(strategy, name) is not None}
        beyond = self.decide(with_serving(self.request, CONCURRENCY, value + 1).with_inputs(pin=pin))
        if beyond.refusal is None:
            return Found(value, how)
        return Found(value, how, beyond.refusal.requirement, beyond.explanation)


_LONGER = (1.5, 4.0)
"""How many times longer requests may take beside others than one alone."""


class Changes:
    """Decides changes of a request with a rate that no concurrency serves, each one at a few concurrencies.

    At equal latency, the concurrency grows with the rate; and where memory limits it, with the devices.

    Args:
        request: the request, with the concurrency of the highest rate.
        best: the highest rate that is served, in requests/s.
    """

    def __init__(self, request: Request, best: float) -> None:
        self.concurrency = cast(int, serving_of(request)[CONCURRENCY])
        self.devices = _available(request)
        self.best = best

    def decide(self, request: Request, decide: Callable[[Request], Decision]) -> Decision:
        """Return the decision of a changed request, at the first concurrency that serves its rate.

        Args:
            request: the changed request.
            decide: decides a request, without remedies.
        """
        rate = cast("float | None", serving_of(request).get(RATE))
        refused = decision = decide(request)
        if rate is None or decision.feasible:
            return decision
        if not self.best:
            return self._from_one(request, rate, decide) or decision
        searches = [_searched(decision)]
        for concurrency in self._concurrencies(rate, _available(request)):
            if decision.feasible:
                return decision
            decision = decide(with_serving(request, CONCURRENCY, concurrency))
            searches.append(_searched(decision))
        if decision.feasible or refused.refusal is None:
            return decision
        candidates, complete = (
            sum(each.candidates for each in searches),
            all(each.complete for each in searches),
        )
        return replace(refused, refusal=replace(refused.refusal, search=SearchEffort(candidates, complete)))

    def _from_one(
        self, request: Request, rate: float, decide: Callable[[Request], Decision]
    ) -> Decision | None:
        """Return a decision that serves the rate of a request of which nothing was served before its change.

        The concurrencies that are tried are that of the rate at the latency of one request, and multiples.
        """
        alone = decide(with_serving(with_serving(request, CONCURRENCY, 1), RATE, None))
        if not alone.feasible or not _rate(alone):
            return None
        for longer in _LONGER:
            concurrency = max(1, round(rate / _rate(alone) * longer))
            if concurrency > MOST_CONCURRENCY:
                return None
            decision = decide(with_serving(request, CONCURRENCY, concurrency))
            if decision.feasible:
                return decision
        return None

    def _concurrencies(self, rate: float, devices: int) -> list[int]:
        served = self.concurrency * rate / self.best
        fitting = self.concurrency * devices / max(1, self.devices)
        numbers = (fitting, 2.0 * fitting, served / 2.0, served, 2.0 * served)
        counts = {max(1, round(each)) for each in numbers if each <= MOST_CONCURRENCY}
        return sorted(counts - {self.concurrency})


def _available(request: Request) -> int:
    inventory = request.inventory
    return 0 if inventory is None else sum(each.available for each in inventory.devices)


def _searched(decision: Decision) -> SearchEffort:
    searched = decision.plan if decision.refusal is None else decision.refusal
    return (searched and searched.search) or SearchEffort(1, complete=True)


def _rate(decision: Decision) -> float:
    return requests_per_sec(decision) or 0.0


def requests_per_sec(decision: Decision) -> float | None:
    """Return the estimated requests per second of a decision's plan."""
    plan = decision.plan
    return None if plan is None or plan.estimates is None else plan.estimates.requests_per_sec


def check_policy(policy: str, *, reads: bool) -> None:
    """Refuse goals for a policy that does not read any.

    Args:
        policy: name and version.
        reads: whether it reads `serving`.

    Raises:
        RequestError: it does not.
    """
    if not reads:
        raise RequestError(
            f"policy {policy} estimates no latency under load, so it cannot meet limits or a rate",
            hint="use a policy that does: --policy sharding@3",
        )


def check_estimates(decision: Decision) -> None:
    """Refuse a plan of a policy that does not estimate what the goals are about.

    Raises:
        RequestError: the policy estimates no latency under load, or does not read the rate.
    """
    plan, request = decision.plan, decision.request
    if plan is None or request is None or not has_goals(request):
        return
    estimates, serving = plan.estimates, serving_of(request)
    policy = f"policy {decision.policy_name}@{decision.policy_version}"
    if estimates is None or estimates.loaded_time_per_output_token_ms is None:
        raise RequestError(
            f"{policy} estimates no latency under load, so it cannot meet limits or a rate",
            hint="use a policy that does: --policy sharding@3",
        )
    if serving.get(PERCENTILE) is not None and estimates.goal_time_per_output_token_ms is None:
        raise RequestError(f"{policy} estimates no percentiles", hint="drop the percentile from the goals")
    late = [
        name
        for name, time in goal_times(estimates).items()
        if (limit := serving.get(name)) is not None and (time is None or time > cast(float, limit))
    ]
    rate = cast("float | None", serving.get(RATE))
    if late or (rate is not None and (estimates.requests_per_sec or 0.0) < rate):
        raise RequestError(
            f"{policy} does not read serving.{late[0] if late else RATE}", hint="use --policy sharding@3"
        )


def goal_times(estimates: Estimates | None) -> dict[str, float | None]:
    """Return the times that the limits limit, in ms, by the limits' names."""
    if estimates is None:
        return dict.fromkeys(LIMITS)
    ttft, tpot = estimates.goal_time_to_first_token_ms, estimates.goal_time_per_output_token_ms
    return {
        "max_ttft_ms": estimates.loaded_time_to_first_token_ms if ttft is None else ttft,
        "max_tpot_ms": estimates.loaded_time_per_output_token_ms if tpot is None else tpot,
    }


# --- the nearest goals that can be met ---------------------------------------------------------------------


def nearest(request: Request, decide: Callable[[Request], Decision]) -> list[Remedied]:
    """Return, for each goal that stands in the way, the nearest value that can be met.

    Args:
        request: an infeasible request, with its concurrency.
        decide: decides a request, without remedies.

    Returns:
        One change for each goal that makes a plan feasible by itself; one of all limits if none does.
    """
    serving = serving_of(request)
    limits = [name for name in LIMITS if serving.get(name) is not None]
    changes = []
    for name in limits:
        asked = float(cast(float, serving[name]))
        changed = _relaxed(request, decide, {name: asked})
        if changed is not None:
            factor, decision = changed
            changes.append(_remedied(name, rounded_up(asked * factor), decision, asked))
    if changes or len(limits) < 2:
        return changes
    asked_all = {name: float(cast(float, serving[name])) for name in limits}
    changed = _relaxed(request, decide, asked_all)
    if changed is None:
        return []
    plan = changed[1].plan
    assert plan is not None
    times = goal_times(plan.estimates)
    values: dict[str, Json] = {
        name: max(asked, rounded_up(times[name] or asked)) for name, asked in asked_all.items()
    }
    return [Remedied("limits", "serving", values, plan.strategy, speed=Speed.of(plan))]


def _remedied(name: str, value: float, decision: Decision, asked: float) -> Remedied:
    plan = decision.plan
    assert plan is not None
    return Remedied(name, f"serving.{name}", value, plan.strategy, asked, speed=Speed.of(plan))


def _relaxed(
    request: Request, decide: Callable[[Request], Decision], asked: Mapping[str, float]
) -> tuple[float, Decision] | None:
    """Return the smallest factor on some limits, to 0.1 %, that makes a plan feasible, and the decision.

    A plan that meets looser limits meets those of its own times, too, and often no other meets closer ones:
    that is tried first, since each try is a search.
    """

    def at(factor: float) -> Decision:
        changed = request
        for name, value in asked.items():
            changed = with_serving(changed, name, rounded_up(value * factor))
        return decide(changed)

    def met(decision: Decision, factor: float) -> float:
        times = goal_times(None if decision.plan is None else decision.plan.estimates)
        needed = [(times[name] or math.inf) / value for name, value in asked.items()]
        return max(1.0, min(factor, max(needed)))

    low, high = 1.0, _FARTHEST
    decision = at(high)
    if not decision.feasible:
        return None
    high = met(decision, high)
    closest = True
    while high / low > _CLOSE:
        middle = high / _CLOSE if closest else math.sqrt(low * high)
        closest = not closest
        tried = at(middle)
        if tried.feasible:
            high, decision = met(tried, middle), tried
        else:
            low = middle
    return high, decision


def rounded_up(value: float) -> float:
    """Return a positive number rounded up to four significant digits."""
    if not _ROUNDED[0] < value < _ROUNDED[1]:
        return min(value, sys.float_info.max)
    digits = 3 - math.floor(math.log10(value))
    return math.ceil(value * 10.0**digits) / 10.0**digits if digits >= 0 else float(math.ceil(value))


def rounded_down(value: float) -> float:
    """Return a positive number rounded down to four significant digits, as `rounded_up` does."""
    if not _ROUNDED[0] < value < _ROUNDED[1]:
        return min(value, sys.float_info.max)
    digits = 3 - math.floor(math.log10(value))
    return math.floor(value * 10.0**digits) / 10.0**digits


def slower(request: Request, best: float, decision: Decision) -> list[Remedied]:
    """Return the highest rate that can be served, if that is any."""
    asked = cast("float | None", serving_of(request).get(RATE))
    if asked is None or best <= 0.0 or decision.plan is None:
        return []
    value = rounded_down(best)
    plan = decision.plan
    speed = Speed.of(plan)
    return [Remedied(RATE, f"serving.{RATE}", value, plan.strategy, asked, speed=speed)]
