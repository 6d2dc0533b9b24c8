"""Plans: a strategy and its shards. All memory is in bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from engine.base.records import field, record
from engine.cel.values import ObjectValue

if TYPE_CHECKING:
    from engine.base.jsontypes import Json, JsonObject
    from engine.plan.dicts import (
        EstimatesDict,
        FleetDict,
        GroupLoadDict,
        PlanDict,
        SearchDict,
        ShardDict,
        StrategyDict,
        StrategyKind,
    )
    from engine.plan.search.idle import Idle


@record
class Strategy:
    """How the model is split: the degree of each kind of parallelism, 1 for none."""

    kind: StrategyKind
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int | None = None
    """Devices that routed experts are distributed over; None in a plan without that degree."""
    attention_data_parallel: int | None = None
    """Data-parallel ranks that share one set of routed experts (DP attention); None without that degree."""

    def to_dict(self) -> StrategyDict:
        """Return the JSON form (schemas/decision.schema.json)."""
        result: StrategyDict = {
            "kind": self.kind,
            "tensor_parallel": self.tensor_parallel,
            "pipeline_parallel": self.pipeline_parallel,
            "data_parallel": self.data_parallel,
        }
        if self.expert_parallel is not None:
            result["expert_parallel"] = self.expert_parallel
        if self.attention_data_parallel is not None:
            result["attention_data_parallel"] = self.attention_data_parallel
        return result


@record
class ShardDevice:
    """The device of a shard: its kind and the fields that identify it among devices of its kind.

    `index` is its position in the inventory, None for a device that is not in the inventory.
    """

    kind: str
    identity: Mapping[str, Json] = field(default_factory=dict)
    name: str | None = None
    index: int | None = None
    memory_bytes: int | None = None

    @classmethod
    def from_value(cls, value: Any) -> ShardDevice:
        """Read a CEL value of type Device; one that a policy constructed has no index and no memory."""
        if not isinstance(value, ObjectValue):
            value = SimpleNamespace(**value)
        index, fields = value.index, value.identity
        if len(fields) == 1 and fields[0] == "device_id":  # nearly all kinds
            identity = {"device_id": value.device_id}
        else:
            identity = {name: getattr(value, name) for name in fields}
        return cls(value.kind, identity, value.name, index, None if index is None else value.memory_bytes)

    def part(self, number: int) -> ShardDevice:
        """Return one of its chips or cores."""
        return ShardDevice(
            self.kind, {**self.identity, "part": number}, self.name, self.index, self.memory_bytes
        )

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        result: JsonObject = {"kind": self.kind, **self.identity}
        if self.name is not None:
            result["name"] = self.name
        return result

    def __str__(self) -> str:
        """Return text for people: `CudaGpu 0`, `Tpu 1 (chip_count 4, version V5p)`."""
        rest = [f"{name} {value}" for name, value in self.identity.items() if name != "device_id"]
        number = f" {self.identity['device_id']}" if "device_id" in self.identity else ""
        return f"{self.kind}{number}" + (f" ({', '.join(rest)})" if rest else "")


@record
class Shard:
    """The part of the model on one device; `layer_range` is its first and last layer."""

    shard_id: int
    device: ShardDevice
    layer_range: tuple[int, int]
    memory_bytes: int

    def to_dict(self) -> ShardDict:
        """Return the JSON form."""
        return {
            "shard_id": self.shard_id,
            "device": self.device.to_dict(),
            "layer_range": list(self.layer_range),
            "memory_bytes": self.memory_bytes,
        }


@record
class Estimates:
    """The policy's estimates of a plan's performance: times in milliseconds, rates in tokens/s.

    `parts_ms` is the breakdown of the time per output token, `binding` its largest part.
    """

    memory_bytes_per_device: int
    """Memory of the fullest device."""
    time_per_output_token_ms: float | None = None
    time_to_first_token_ms: float | None = None
    tokens_per_sec: float | None = None
    saturated_tokens_per_sec: float | None = None
    parts_ms: Mapping[str, float] | None = None
    binding: str | None = None
    context: int | None = None
    """The longest request that fits, in tokens."""
    concurrency: int | None = None
    """Requests of that length that a replica serves at the same time."""
    kv_capacity_tokens: int | None = None
    """KV cache capacity of a replica for requests of that length, in tokens."""
    kv_capacity_requests: int | None = None
    """KV cache capacity of a replica, in whole requests of that length."""
    loaded_time_to_first_token_ms: float | None = None
    """TTFT at the requested concurrency."""
    loaded_time_per_output_token_ms: float | None = None
    """TPOT at the requested concurrency."""
    goal_time_to_first_token_ms: float | None = None
    """TTFT that the request limits: at the requested percentile, else the mean under load."""
    goal_time_per_output_token_ms: float | None = None
    """TPOT that the request limits: at the requested percentile, else the mean under load."""
    requests_per_sec: float | None = None
    """Finished requests per second of all replicas at the requested concurrency."""
    bounds: Mapping[str, Sequence[float]] | None = None
    """Lower and upper bound of times and rates, by the name of the estimate."""
    basis: str | None = None
    """Origin of the times: modelled, calibrated or measured."""
    host_memory_bytes: int | None = None
    """Weights of a replica that stay in host memory."""
    host_memory_bytes_per_device: int | None = None
    """The same per device."""
    host_layers: int | None = None
    """Whole layers, or experts of whole layers, that stay there; 0 if parts of layers do."""

    def to_dict(self) -> EstimatesDict:
        """Return the JSON form."""
        result: EstimatesDict = {
            "time_per_output_token_ms": self.time_per_output_token_ms,
            "time_to_first_token_ms": self.time_to_first_token_ms,
            "tokens_per_sec": self.tokens_per_sec,
            "saturated_tokens_per_sec": self.saturated_tokens_per_sec,
            "memory_gib_per_device": self.memory_bytes_per_device / 2**30,
            "binding": self.binding,
            "parts_ms": None if self.parts_ms is None else dict(self.parts_ms),
            "context": self.context,
            "concurrency": self.concurrency,
            "kv_capacity_tokens": self.kv_capacity_tokens,
            "kv_capacity_requests": self.kv_capacity_requests,
        }
        if self.loaded_time_per_output_token_ms is not None:
            result["loaded"] = {
                "time_to_first_token_ms": self.loaded_time_to_first_token_ms,
                "time_per_output_token_ms": self.loaded_time_per_output_token_ms,
            }
            if self.goal_time_per_output_token_ms is not None:
                result["loaded"]["goal_time_to_first_token_ms"] = self.goal_time_to_first_token_ms
                result["loaded"]["goal_time_per_output_token_ms"] = self.goal_time_per_output_token_ms
            result["throughput_tokens_per_sec"] = self.saturated_tokens_per_sec
            result["requests_per_sec"] = self.requests_per_sec
        for name, (low, high) in sorted((self.bounds or {}).items()):
            part: dict[str, object] = cast("dict[str, object]", result)
            if name.startswith("loaded_"):
                part, name = cast("dict[str, object]", part["loaded"]), name.removeprefix("loaded_")
            part[f"{name}_low"], part[f"{name}_high"] = low, high
        if self.basis is not None:
            result["basis"] = self.basis
        if self.host_memory_bytes:
            result["host_memory"] = {
                "bytes": self.host_memory_bytes,
                "bytes_per_device": self.host_memory_bytes_per_device,
                "layers": self.host_layers,
            }
        return result


@record
class SearchEffort:
    """The extent of a search: the candidates that it scored, and whether these were all."""

    candidates: int
    complete: bool

    def to_dict(self) -> SearchDict:
        """Return the JSON form."""
        return {"candidates": self.candidates, "complete": self.complete}


@record
class Leftover:
    """Devices that may serve requests by further plans, as far as a plan leaves them unused."""

    devices: tuple[int, ...]
    """Their positions in the inventory."""
    alike: tuple[str, ...]
    """The device group of each."""
    concurrency: int
    """Concurrent requests that the plans share."""
    reason: str
    """Why they stay idle where the requests are served better without them."""


@record
class GroupLoad:
    """The part of the requests that one plan of several serves, and its estimates under this load."""

    share: float
    """Of all requests: the weight of the group for a load balancer."""
    concurrency: int
    throughput_tokens_per_sec: float | None
    requests_per_sec: float

    def to_dict(self) -> GroupLoadDict:
        """Return the JSON form."""
        return {
            "share": self.share,
            "concurrency": self.concurrency,
            "throughput_tokens_per_sec": self.throughput_tokens_per_sec,
            "requests_per_sec": self.requests_per_sec,
        }


@record
class Fleet:
    """The estimates of a plan and its further plans together; `groups` begins with the plan's own part."""

    groups: tuple[GroupLoad, ...]
    bounds: tuple[float, float] | None = None
    """Lower and upper bound of the throughput."""

    @property
    def concurrency(self) -> int:
        """Concurrent requests of all groups."""
        return sum(group.concurrency for group in self.groups)

    @property
    def requests_per_sec(self) -> float:
        """Finished requests per second of all groups."""
        return math.fsum(group.requests_per_sec for group in self.groups)

    @property
    def throughput_tokens_per_sec(self) -> float | None:
        """Output tokens per second of all groups."""
        rates = [group.throughput_tokens_per_sec for group in self.groups]
        known = [rate for rate in rates if rate is not None]
        return math.fsum(known) if len(known) == len(rates) else None

    def to_dict(self) -> FleetDict:
        """Return the JSON form."""
        result: FleetDict = {
            "concurrency": self.concurrency,
            "throughput_tokens_per_sec": self.throughput_tokens_per_sec,
            "requests_per_sec": self.requests_per_sec,
            "groups": [group.to_dict() for group in self.groups],
        }
        if self.bounds is not None:
            result["throughput_tokens_per_sec_low"], result["throughput_tokens_per_sec_high"] = self.bounds
        return result


@record
class Plan:
    """The placement of a model; `estimated_tokens_per_sec` is the policy's estimate for one request."""

    strategy: Strategy
    shards: tuple[Shard, ...]
    total_memory_bytes: int
    estimated_tokens_per_sec: float | None
    fits_in_memory: bool | None = None
    warnings: tuple[str, ...] = ()
    estimates: Estimates | None = None
    explanation: str | None = None
    """Why a search chose it."""
    search: SearchEffort | None = None
    server: str | None = None
    """The model server that it is for, by its name in the catalog `servers`."""
    idle: tuple[Idle, ...] = ()
    """The devices that it leaves idle, and why, for policies that say so."""
    leftover: Leftover | None = None
    """What further plans need to know, before they are made."""
    further: tuple[Plan, ...] = ()
    """Plans for other devices, which serve a part of the requests."""
    fleet: Fleet | None = None
    """The estimates of all of these plans together, if there are further ones."""
    before: tuple[Plan, ...] = ()
    """The groups before this one, where one of several is shown by itself."""

    @property
    def groups(self) -> tuple[Plan, ...]:
        """This plan and the further ones."""
        return (self, *self.further)

    def to_dict(self) -> PlanDict:
        """Return the JSON form."""
        result: PlanDict = {
            "strategy": self.strategy.to_dict(),
            "shards": [shard.to_dict() for shard in self.shards],
            "total_memory_bytes": self.total_memory_bytes,
            "estimated_tokens_per_sec": self.estimated_tokens_per_sec,
            "warnings": list(self.warnings),
        }
        if self.estimates is not None:
            result["estimates"] = self.estimates.to_dict()
        if self.server is not None:
            result["server"] = self.server
        if self.idle:
            result["idle"] = [each.to_dict() for each in self.idle]
        if self.further:
            result["further"] = [{**each.to_dict(), "explanation": each.explanation} for each in self.further]
        if self.fleet is not None:
            result["fleet"] = self.fleet.to_dict()
        return result
