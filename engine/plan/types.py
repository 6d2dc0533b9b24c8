"""A plan: a strategy and its shards; all memory in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal

from engine.cel.values import ObjectValue
from engine.records import field, record

StrategyKind = Literal["none", "tensor_parallel", "pipeline_parallel", "data_parallel", "hybrid"]


@record
class Strategy:
    """How the model is split: the degree of each kind of parallelism, 1 for none."""

    kind: StrategyKind
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int | None = None
    """Devices that routed experts are spread over; None of a plan that knows nothing of them."""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it (schemas/decision.schema.json)."""
        result: dict[str, Any] = {
            "kind": self.kind,
            "tensor_parallel": self.tensor_parallel,
            "pipeline_parallel": self.pipeline_parallel,
            "data_parallel": self.data_parallel,
        }
        if self.expert_parallel is not None:
            result["expert_parallel"] = self.expert_parallel
        return result


@record
class ShardDevice:
    """The device of a shard: its kind and the fields that tell it from others of its kind.

    `index` is its position in the inventory, None for a device that the inventory doesn't have.
    """

    kind: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    index: int | None = None
    memory_bytes: int | None = None

    @classmethod
    def from_value(cls, value: Any) -> ShardDevice:
        """The device in a CEL value of type Device; one that a policy made has no index, no memory."""
        if not isinstance(value, ObjectValue):
            value = SimpleNamespace(**value)
        index, fields = value.index, value.identity
        if len(fields) == 1 and fields[0] == "device_id":  # nearly all kinds
            identity = {"device_id": value.device_id}
        else:
            identity = {name: getattr(value, name) for name in fields}
        return cls(value.kind, identity, value.name, index, None if index is None else value.memory_bytes)

    def part(self, number: int) -> ShardDevice:
        """One of its chips or cores."""
        return ShardDevice(
            self.kind, {**self.identity, "part": number}, self.name, self.index, self.memory_bytes
        )

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        named = {"name": self.name} if self.name is not None else {}
        return {"kind": self.kind, **self.identity, **named}

    def __str__(self) -> str:
        """For people: `CudaGpu 0`, `Tpu 1 (chip_count 4, version V5p)`."""
        rest = [f"{name} {value}" for name, value in self.identity.items() if name != "device_id"]
        number = f" {self.identity['device_id']}" if "device_id" in self.identity else ""
        return f"{self.kind}{number}" + (f" ({', '.join(rest)})" if rest else "")


@record
class Shard:
    """One part of the model on one device; `layer_range` holds the first and the last layer."""

    shard_id: int
    device: ShardDevice
    layer_range: tuple[int, int]
    memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "shard_id": self.shard_id,
            "device": self.device.to_dict(),
            "layer_range": list(self.layer_range),
            "memory_bytes": self.memory_bytes,
        }


@record
class Estimates:
    """How fast a plan serves, as the policy estimates it: times in milliseconds, rates in tokens/s.

    `parts_ms` is what the time of an output token is made of, `binding` the part that takes the most of it.
    """

    memory_bytes_per_device: int
    """Of the fullest one."""
    time_per_output_token_ms: float | None = None
    time_to_first_token_ms: float | None = None
    tokens_per_sec: float | None = None
    saturated_tokens_per_sec: float | None = None
    parts_ms: Mapping[str, float] | None = None
    binding: str | None = None
    context: int | None = None
    """Tokens of the longest request that there is memory for."""
    concurrency: int | None = None
    """Requests of that length at the same time, of a replica."""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "time_per_output_token_ms": self.time_per_output_token_ms,
            "time_to_first_token_ms": self.time_to_first_token_ms,
            "tokens_per_sec": self.tokens_per_sec,
            "saturated_tokens_per_sec": self.saturated_tokens_per_sec,
            "memory_gib_per_device": self.memory_bytes_per_device / 2**30,
            "binding": self.binding,
            "parts_ms": None if self.parts_ms is None else dict(self.parts_ms),
            "context": self.context,
            "concurrency": self.concurrency,
        }


@record
class Plan:
    """Where a model goes; `estimated_tokens_per_sec` is the policy's estimate for one request."""

    strategy: Strategy
    shards: tuple[Shard, ...]
    total_memory_bytes: int
    estimated_tokens_per_sec: float | None
    fits_in_memory: bool | None = None
    warnings: tuple[str, ...] = ()
    estimates: Estimates | None = None
    explanation: str | None = None
    """Why it was chosen among others, of a plan that was searched for."""

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        result = {
            "strategy": self.strategy.to_dict(),
            "shards": [shard.to_dict() for shard in self.shards],
            "total_memory_bytes": self.total_memory_bytes,
            "estimated_tokens_per_sec": self.estimated_tokens_per_sec,
            "warnings": list(self.warnings),
        }
        if self.estimates is not None:
            result["estimates"] = self.estimates.to_dict()
        return result
