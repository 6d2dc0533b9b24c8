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

    def to_dict(self) -> dict[str, Any]:
        """As programs read it (schemas/decision.schema.json)."""
        return {
            "kind": self.kind,
            "tensor_parallel": self.tensor_parallel,
            "pipeline_parallel": self.pipeline_parallel,
            "data_parallel": self.data_parallel,
        }


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
class Plan:
    """Where a model goes; `estimated_tokens_per_sec` is the policy's estimate for one request."""

    strategy: Strategy
    shards: tuple[Shard, ...]
    total_memory_bytes: int
    estimated_tokens_per_sec: float | None
    fits_in_memory: bool | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "strategy": self.strategy.to_dict(),
            "shards": [shard.to_dict() for shard in self.shards],
            "total_memory_bytes": self.total_memory_bytes,
            "estimated_tokens_per_sec": self.estimated_tokens_per_sec,
            "warnings": list(self.warnings),
        }
