"""Builders: small pure functions that turn evaluated arguments into a plan. They decide nothing.

A builder may refuse arguments that make no plan at all (lists of different lengths); whether a plan is a
good one is the policy's business, whether it could run is the validator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.plan.errors import BuilderError
from engine.plan.search.signature import SEARCH
from engine.plan.types import Plan, Shard, ShardDevice, Strategy
from engine.policy.signature import BuilderSignature, Parameter
from engine.records import record

Arguments = Mapping[str, Any]

_WHOLE_MODEL = (0, 0)
"""The layer range of shards that hold a part of every layer, or all of them."""


@record
class Builder:
    """A builder's signature, which policies are checked against, and its function."""

    signature: BuilderSignature
    build: Callable[[Arguments], Plan]


def _searched_for(arguments: Arguments) -> Plan:
    raise BuilderError("this builder is called with what judges its candidates", "devices")


_ESTIMATE = Parameter("double", "Tokens per second of one request.", required=False)
_FITS = Parameter("bool", "The plan's bytes fit all available devices together.", required=False)
_TOTAL = Parameter("int", "Bytes that the model takes together.")
_SHARD = Parameter("int", "Bytes of each shard.")
_DEVICES = Parameter("list(Device)", "One device a shard, in order.")


def single_device(arguments: Arguments) -> Plan:
    """The whole model as one shard on one device."""
    device = ShardDevice.from_value(arguments["device"])
    memory = arguments["memory_bytes"]
    return _plan(Strategy("none"), (Shard(0, device, _WHOLE_MODEL, memory),), memory, arguments)


def tensor_parallel(arguments: Arguments) -> Plan:
    """A part of every layer on each device."""
    shards = _shards(arguments, [_WHOLE_MODEL] * len(arguments["devices"]))
    strategy = Strategy("tensor_parallel", tensor_parallel=len(shards))
    return _plan(strategy, shards, arguments["total_memory_bytes"], arguments)


def pipeline_parallel(arguments: Arguments) -> Plan:
    """Consecutive layers on each device, one stage after the other."""
    ranges = arguments["layer_ranges"]
    if len(ranges) != len(arguments["devices"]):
        raise BuilderError(
            f"{len(ranges)} layer ranges for {len(arguments['devices'])} devices", "layer_ranges"
        )
    if any(len(pair) != 2 for pair in ranges):
        raise BuilderError("a layer range is a first and a last layer", "layer_ranges")
    shards = _shards(arguments, [(first, last) for first, last in ranges])
    strategy = Strategy("pipeline_parallel", pipeline_parallel=len(shards))
    return _plan(strategy, shards, arguments["total_memory_bytes"], arguments)


def empty(arguments: Arguments) -> Plan:
    """No shard anywhere: not one replica can be placed."""
    return _plan(Strategy("data_parallel", data_parallel=0), (), 0, arguments)


def _shards(arguments: Arguments, ranges: list[tuple[int, int]]) -> tuple[Shard, ...]:
    made, memory = ShardDevice.from_value, arguments["shard_memory_bytes"]
    pairs = zip(arguments["devices"], ranges, strict=True)
    return tuple([Shard(number, made(each), layers, memory) for number, (each, layers) in enumerate(pairs)])


def _plan(strategy: Strategy, shards: tuple[Shard, ...], total: int, arguments: Arguments) -> Plan:
    estimate = arguments.get("estimated_tokens_per_sec")
    if estimate is not None and not math.isfinite(estimate):
        raise BuilderError("the estimate is not a finite number", "estimated_tokens_per_sec")
    return Plan(strategy, shards, total, estimate, arguments.get("fits_in_memory"))


def _builder(build: Callable[[Arguments], Plan], **parameters: Parameter) -> tuple[str, Builder]:
    description = (build.__doc__ or "").strip()
    return build.__name__, Builder(BuilderSignature(build.__name__, description, parameters), build)


BUILDERS: dict[str, Builder] = dict(
    (
        _builder(
            single_device,
            device=Parameter("Device", "The device."),
            memory_bytes=Parameter("int", "Bytes that the model takes."),
            estimated_tokens_per_sec=_ESTIMATE,
            fits_in_memory=_FITS,
        ),
        _builder(
            tensor_parallel,
            devices=_DEVICES,
            shard_memory_bytes=_SHARD,
            total_memory_bytes=_TOTAL,
            estimated_tokens_per_sec=_ESTIMATE,
            fits_in_memory=_FITS,
        ),
        _builder(
            pipeline_parallel,
            devices=_DEVICES,
            shard_memory_bytes=_SHARD,
            layer_ranges=Parameter("list(list(int))", "The first and the last layer of each stage."),
            total_memory_bytes=_TOTAL,
            estimated_tokens_per_sec=_ESTIMATE,
            fits_in_memory=_FITS,
        ),
        _builder(empty, fits_in_memory=_FITS),
        ("search", Builder(SEARCH, _searched_for)),
    )
)
"""By the names that policies use."""


def signatures() -> dict[str, BuilderSignature]:
    """The builders' signatures by name."""
    return {name: builder.signature for name, builder in BUILDERS.items()}
