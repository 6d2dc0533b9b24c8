"""Sizing: the fewest or cheapest devices that serve a rate within limits on latency.

For each machine, every layout of one instance is taken to the largest concurrency within the limits. Its rate
there says how many instances the goal needs. The layout that needs the fewest devices is an option; it is
described at the load that the goal puts on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from engine.base.errors import RequestError
from engine.base.records import record
from engine.decide import goals
from engine.decide.capacity.instances import Carried, Instances, Key, strategy_words
from engine.decide.capacity.machines import Machine, several
from engine.decide.capacity.prices import Prices
from engine.decide.policy import Policy
from engine.decide.request import Request

if TYPE_CHECKING:
    from engine.base.jsontypes import JsonObject
    from engine.plan.search.survey import Layout, Survey

_MACHINES_JOINED = (2, 4, 8)
"""Numbers of machines that are tried together if one of them is too small for an instance."""
_FULL = 0.999
"""Share of the highest rate that counts as full load."""
_TOKENS_PRICED = 1_000_000
_SECONDS_PER_HOUR = 3600


@record
class Nearest:
    """The nearest limits that a machine can meet with one request in flight."""

    limits: tuple[tuple[str, float, float], ...]
    """Field of `serving`, nearest value and the value in the goals, in ms."""
    layout: Layout
    """The layout that meets them."""

    def __str__(self) -> str:
        """Return text for people: `TTFT 99.2 ms (+892 %)`."""
        words = {"max_ttft_ms": "TTFT", "max_tpot_ms": "TPOT"}
        return " and ".join(
            f"{words[name]} {value:g} ms ({100 * (value / asked - 1):+.3g} %)"
            for name, value, asked in self.limits
        )


@record
class Option:
    """One machine with the layout that needs the fewest devices, or why it cannot meet the goals."""

    machine: Machine
    quantization: str | None
    feasible: bool
    binding: str | None = None
    """Requirement that limits the load of an instance, or that keeps the machine from meeting the goals."""
    explanation: str | None = None
    layout: Layout | None = None
    """Layout of one instance, with its estimates at the load that the goals put on it."""
    instances: int = 0
    machines: int = 0
    devices: int = 0
    """Devices that the instances use."""
    devices_charged: int = 0
    """Devices that prices apply to: those used, or all of the machines."""
    concurrency: int = 0
    """Requests in flight at that load, over all instances."""
    requests_per_sec: float = 0.0
    """The rate of the goals; without one, the rate at full load."""
    capacity_requests_per_sec: float = 0.0
    """The highest rate of these instances within the limits."""
    price_per_hour: float | None = None
    price_per_million_tokens: float | None = None
    """Price of a million output tokens at the rate."""
    nearest: Nearest | None = None

    @property
    def utilization(self) -> float:
        """The share of their highest rate that the instances serve."""
        capacity = self.capacity_requests_per_sec
        return self.requests_per_sec / capacity if capacity else 0.0

    @property
    def plan(self) -> str:
        """Degrees in short, over all instances."""
        return "" if self.layout is None else strategy_words(self.layout.strategy, self.instances)

    def total(self, name: str) -> float | None:
        """Return an estimated rate, added up over all instances: `saturated_tokens_per_sec`."""
        value = None if self.layout is None else getattr(self.layout.estimates, name)
        return None if value is None else value * self.instances

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        result: JsonObject = {
            "machine": self.machine.name,
            "product": self.machine.product,
            "quantization": self.quantization,
            "feasible": self.feasible,
            "binding": self.binding,
            "explanation": self.explanation,
        }
        if self.nearest is not None:
            result["nearest"] = {name: value for name, value, _ in self.nearest.limits}
        layout = self.layout
        if layout is None:
            return result
        estimates = layout.estimates
        bounds = estimates.bounds or {}
        result |= {
            "devices": self.devices,
            "machines": self.machines,
            "instances": self.instances,
            "server": layout.server,
            "strategy": cast("JsonObject", layout.strategy.to_dict()),
            "plan": self.plan,
            "concurrency": self.concurrency,
            "requests_per_sec": self.requests_per_sec,
            "capacity_requests_per_sec": self.capacity_requests_per_sec,
            "utilization": self.utilization,
            "throughput_tokens_per_sec": self.total("saturated_tokens_per_sec"),
            "time_to_first_token_ms": estimates.loaded_time_to_first_token_ms,
            "time_per_output_token_ms": estimates.loaded_time_per_output_token_ms,
            "goal_time_to_first_token_ms": goals.goal_times(estimates)["max_ttft_ms"],
            "goal_time_per_output_token_ms": goals.goal_times(estimates)["max_tpot_ms"],
            "basis": estimates.basis,
            "bounds": {
                name: [end * (self.instances if name.endswith("_per_sec") else 1) for end in bounds[known]]
                for name, known in _BOUNDS.items()
                if known in bounds
            },
            "price_per_hour": self.price_per_hour,
            "price_per_million_tokens": self.price_per_million_tokens,
        }
        return result


_BOUNDS = {
    "throughput_tokens_per_sec": "saturated_tokens_per_sec",
    "requests_per_sec": "requests_per_sec",
    "time_to_first_token_ms": "loaded_time_to_first_token_ms",
    "time_per_output_token_ms": "loaded_time_per_output_token_ms",
}


@record
class Sizing:
    """The options for a model and its goals, the best first."""

    model: str
    policy: str
    serving: JsonObject
    """The goals, as fields of `serving`."""
    options: tuple[Option, ...]
    currency: str | None = None
    prices: tuple[tuple[str, float, str], ...] = ()
    """Name, price per hour and source of the prices that were used."""
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Option | None:
        """The first option, if it meets the goals: the cheapest if all have prices, else by devices."""
        return self.options[0] if self.options and self.options[0].feasible else None

    def to_dict(self) -> JsonObject:
        """Return the JSON form (schemas/sizing.schema.json)."""
        return {
            "model": self.model,
            "policy": self.policy,
            "serving": self.serving,
            "currency": self.currency,
            "prices": [
                {"name": name, "per_hour": amount, "source": source} for name, amount, source in self.prices
            ],
            "options": [option.to_dict() for option in self.options],
        }


def size(
    policy: Policy,
    request: Request,
    machines: Sequence[Machine],
    *,
    prices: Prices | None = None,
    whole_machines: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> Sizing:
    """Return the options for a request's goals.

    Args:
        policy: the policy that decides.
        request: the request without an inventory. Without a rate, each option is one machine at full load.
        machines: what may be chosen from.
        prices: prices of devices and machines.
        whole_machines: charge prices of devices for all devices of a machine, not only for those used.
        progress: called after each machine.

    Raises:
        RequestError: the policy estimates no latency under load, or the request is invalid.
        EvaluationError: an expression of the policy ended in an error.
    """
    prices = Prices({}) if prices is None else prices
    options = []
    for machine in machines:
        sizer = _Sizer(policy, request, machine, prices, whole_machines=whole_machines)
        options.append(sizer.option())
        progress()
    used = tuple((name, price.per_hour, price.source) for name, price in sorted(prices.used.items()))
    model = request.model
    return Sizing(
        model="" if model is None else model.name or f"{model.params:,} parameters",
        policy=f"{policy.name}@{policy.version}",
        serving=cast("JsonObject", dict(goals.serving_of(request))),
        options=tuple(_ranked(options, has_rate=goals.serving_of(request).get(goals.RATE) is not None)),
        currency=prices.currency if used else None,
        prices=used,
        notes=tuple(dict.fromkeys(note for machine in machines for note in machine.notes)),
    )


def _ranked(options: Iterable[Option], *, has_rate: bool) -> list[Option]:
    """Return the options, the best first; machines that cannot meet the goals come last."""
    options = list(options)
    feasible = [option for option in options if option.feasible]
    priced = all(option.price_per_hour is not None for option in feasible)

    def order(option: Option) -> tuple[float, float]:
        if not option.feasible:
            return math.inf, 0.0
        if option.price_per_million_tokens is not None and priced:
            return option.price_per_million_tokens, option.devices
        per_device = option.capacity_requests_per_sec / option.devices
        return (option.devices, -per_device) if has_rate else (-per_device, option.devices)

    return sorted(options, key=order)


class _Sizer:
    """Sizes one machine."""

    def __init__(
        self, policy: Policy, request: Request, machine: Machine, prices: Prices, *, whole_machines: bool
    ) -> None:
        self.policy = policy
        self.request = request
        self.machine = machine
        self.prices = prices
        self.whole_machines = whole_machines
        self.rate = cast("float | None", goals.serving_of(request).get(goals.RATE))
        self.joined = 1
        """Machines that were joined to hold one instance."""
        self.devices = 1
        """Devices of one machine."""

    def option(self) -> Option:
        """Return the machine's option."""
        instances = self.instances(self.machine)
        brackets = instances.brackets()
        if not brackets:
            survey = instances.without_limits()
            if not survey.layouts:
                for count in _MACHINES_JOINED:
                    machine = several(self.machine, count, self.policy.catalogs)
                    if machine is None:
                        break
                    instances = self.instances(machine)
                    brackets = instances.brackets()
                    self.joined = count
                    if brackets:
                        break
                else:
                    self.joined = 1
        if not brackets:
            return self.refusal(instances)
        return self.best(instances, brackets)

    def instances(self, machine: Machine) -> Instances:
        return Instances(self.policy, self.request.with_inputs(inventory=machine.inventory))

    def refusal(self, instances: Instances) -> Option:
        """Return an option that no concurrency makes feasible."""
        instances = self.instances(self.machine)
        refused = instances.at(1).refusal
        found = nearest(instances.without_limits(), goals.serving_of(self.request))
        if found is not None:
            refused = instances.at(1, found.layout.key).refusal
        return Option(
            self.machine,
            _quantization(instances),
            feasible=False,
            binding=None if refused is None else refused.requirement,
            explanation=None if refused is None else refused.explanation,
            nearest=found,
        )

    def best(self, instances: Instances, brackets: Mapping[Key, tuple[int, int]]) -> Option:
        """Return the option of the layout that needs the fewest devices, or carries most if they are few."""
        self.devices = instances.at(1).devices // self.joined
        known = {
            key: layout
            for key, (low, _) in brackets.items()
            if (layout := instances.layout(low, key)) is not None
        }
        # At twice the concurrency an instance serves at most twice the rate.
        order = sorted(known, key=lambda key: self.worth(known[key], 2.0), reverse=True)
        best: Carried | None = None
        for key in order:
            if best is not None and self.worth(known[key], 2.0) < self.worth(best.layout):
                continue
            carried = instances.carried(key, brackets[key])
            if best is None or self.worth(carried.layout) > self.worth(best.layout):
                best = carried
        assert best is not None  # there is a bracket
        _check(self.policy, best.layout, self.request)
        return self.described(instances, best)

    def worth(self, layout: Layout, factor: float = 1.0) -> tuple[float, ...]:
        """Return what orders layouts: fewest devices for the rate, or the highest rate of the machine."""
        rate = factor * (layout.estimates.requests_per_sec or 0.0)
        if self.rate is None or not self.machine.countable:
            total = layout.capacity * rate
            if self.rate is None or total < self.rate:
                return 0.0, total, -layout.devices
        count = math.ceil(self.rate / rate) if rate else math.inf
        return 1.0, -float(self.charged(layout, count)), rate / layout.devices

    def charged(self, layout: Layout, count: float) -> float:
        """Return the devices that so many instances are charged for."""
        if not self.whole_machines:
            return layout.devices * count
        return self.machines(layout, count) * self.devices

    def machines(self, layout: Layout, count: float) -> float:
        """Return the machines that hold so many instances; one that spans several shares none of them."""
        if not self.machine.countable:
            return 1
        if self.joined > 1:
            return count * math.ceil(layout.devices / self.devices)
        per_machine = max(1, layout.capacity)
        return count if math.isinf(count) else -(-int(count) // per_machine)

    def described(self, instances: Instances, carried: Carried) -> Option:
        """Return the option of a layout that carries that much."""
        layout = carried.layout
        capacity = max(1, layout.capacity)
        needed = capacity if self.rate is None else math.ceil(self.rate / carried.rate)
        beyond = instances.beyond(carried).refusal
        feasible, binding = True, None if beyond is None else beyond.requirement
        explanation = None if beyond is None else beyond.explanation
        if not self.machine.countable and needed > capacity:
            feasible, binding = False, "devices"
            assert self.rate is not None
            total = capacity * carried.rate
            explanation = (
                f"{self.machine.name} serve {total:.3g} requests/s within the limits, "
                f"{100 * (1 - total / self.rate):.3g} % less than the rate"
            )
            needed = capacity
        rate = carried.rate * needed if self.rate is None or not feasible else self.rate
        # At full load, more requests in flight than it takes would only wait.
        share = rate / needed if self.rate is not None else carried.rate * _FULL
        loaded = instances.serving(carried, share)
        machines = int(self.machines(layout, needed))
        devices = layout.devices * needed
        charged = int(self.charged(layout, needed))
        price = self.price(machines, charged)
        tokens = (loaded.layout.estimates.saturated_tokens_per_sec or 0.0) * rate / loaded.rate
        return Option(
            self.machine,
            _quantization(instances),
            feasible=feasible,
            binding=binding,
            explanation=explanation,
            layout=loaded.layout,
            instances=needed,
            machines=machines,
            devices=devices,
            devices_charged=charged,
            concurrency=loaded.concurrency * needed,
            requests_per_sec=rate,
            capacity_requests_per_sec=carried.rate * needed,
            price_per_hour=price,
            price_per_million_tokens=None
            if price is None or not tokens
            else price / (tokens * _SECONDS_PER_HOUR) * _TOKENS_PRICED,
        )

    def price(self, machines: int, devices: int) -> float | None:
        """Return the price per hour: of whole machines if their type has one, else of devices."""
        machine = self.prices.find(self.machine.type)
        if machine is not None:
            return machine.per_hour * machines
        device = self.prices.find(self.machine.product)
        return None if device is None else device.per_hour * devices


def nearest(survey: Survey, serving: object) -> Nearest | None:
    """Return the nearest limits that a layout meets, out of a survey without limits.

    Args:
        survey: the layouts of one request in flight, whatever their latency.
        serving: the goals.

    Returns:
        One limit if relaxing it alone is enough, the smaller change of two; else both, with the smallest
        common factor. None if nothing fits, or there is no limit.
    """
    goals_ = cast("dict[str, float]", serving)
    limits = {name: float(goals_[name]) for name in goals.LIMITS if goals_.get(name) is not None}
    times = [goals.goal_times(layout.estimates) for layout in survey.layouts]
    if not limits or not times:
        return None

    def excess(candidate: dict[str, float | None]) -> list[tuple[str, float, float]]:
        late = []
        for name, asked in limits.items():
            time = candidate[name]
            if time is None or time > asked:
                late.append((name, goals.rounded_up(time or math.inf), asked))
        return late

    def order(late: list[tuple[str, float, float]]) -> tuple[int, float]:
        return len(late), max((value / asked for _, value, asked in late), default=0.0)

    late, layout = min(
        zip(map(excess, times), survey.layouts, strict=True), key=lambda found: order(found[0])
    )
    return Nearest(tuple(late), layout) if late else None


def _quantization(instances: Instances) -> str | None:
    value = instances.request.inputs.get("quantization")
    return value if isinstance(value, str) else None


def _check(policy: Policy, layout: Layout, request: Request) -> None:
    """Refuse a policy that does not estimate what sizing compares."""
    estimates = layout.estimates
    name = f"policy {policy.name}@{policy.version}"
    if estimates.loaded_time_per_output_token_ms is None or estimates.requests_per_sec is None:
        raise RequestError(
            f"{name} estimates no latency under load, so it cannot size",
            hint="use a policy that does: --policy sharding@3",
        )
    if goals.serving_of(request).get(goals.PERCENTILE) and estimates.goal_time_per_output_token_ms is None:
        raise RequestError(f"{name} estimates no percentiles", hint="drop the percentile from the goals")
