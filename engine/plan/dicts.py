"""The JSON form of plans, as `to_dict()` returns it (schemas/decision.schema.json)."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from engine.base.jsontypes import JsonObject

StrategyKind = Literal["none", "tensor_parallel", "pipeline_parallel", "data_parallel", "hybrid"]


class StrategyDict(TypedDict):
    """How the model is split."""

    kind: StrategyKind
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    expert_parallel: NotRequired[int]
    attention_data_parallel: NotRequired[int]


class ShardDict(TypedDict):
    """The part of the model on one device; `device` holds its kind, what identifies it, and its name."""

    shard_id: int
    device: JsonObject
    layer_range: list[int]
    memory_bytes: int


class EstimatesDict(TypedDict):
    """Estimates of performance: times in ms, rates in tokens/s, memory in GiB."""

    time_per_output_token_ms: float | None
    time_to_first_token_ms: float | None
    tokens_per_sec: float | None
    saturated_tokens_per_sec: float | None
    memory_gib_per_device: float
    binding: str | None
    parts_ms: dict[str, float] | None
    context: int | None
    concurrency: int | None
    kv_capacity_tokens: int | None
    kv_capacity_requests: int | None
    loaded: NotRequired[LoadedDict]
    throughput_tokens_per_sec: NotRequired[float | None]
    requests_per_sec: NotRequired[float | None]
    basis: NotRequired[str]
    host_memory: NotRequired[HostMemoryDict]


class HostMemoryDict(TypedDict):
    """Weights that stay in host memory, in bytes, and the whole layers among them."""

    bytes: int
    bytes_per_device: int | None
    layers: int | None


class LoadedDict(TypedDict):
    """Estimated times at the requested concurrency, in ms."""

    time_to_first_token_ms: float | None
    time_per_output_token_ms: float | None
    goal_time_to_first_token_ms: NotRequired[float | None]
    goal_time_per_output_token_ms: NotRequired[float | None]


class SearchDict(TypedDict):
    """The extent of a search."""

    candidates: int
    complete: bool


class VerdictDict(TypedDict):
    """The result for one candidate of a search: the requirement that it fails, or its scores."""

    devices: str
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    expert_parallel: int
    attention_data_parallel: NotRequired[int]
    failed: NotRequired[str]
    scores: NotRequired[JsonObject]
    chosen: NotRequired[bool]


class GroupLoadDict(TypedDict):
    """The part of the requests that one plan of several serves."""

    share: float
    concurrency: int
    throughput_tokens_per_sec: float | None
    requests_per_sec: float


class FleetDict(TypedDict):
    """The estimates of a plan and its further plans together."""

    concurrency: int
    throughput_tokens_per_sec: float | None
    requests_per_sec: float
    groups: list[GroupLoadDict]
    throughput_tokens_per_sec_low: NotRequired[float]
    throughput_tokens_per_sec_high: NotRequired[float]


class PlanDict(TypedDict):
    """A plan."""

    strategy: StrategyDict
    shards: list[ShardDict]
    total_memory_bytes: int
    estimated_tokens_per_sec: float | None
    warnings: list[str]
    estimates: NotRequired[EstimatesDict]
    server: NotRequired[str]
    idle: NotRequired[list[JsonObject]]
    further: NotRequired[list[FurtherPlanDict]]
    fleet: NotRequired[FleetDict]


class FurtherPlanDict(PlanDict):
    """A plan for other devices, and why it was chosen."""

    explanation: str | None
