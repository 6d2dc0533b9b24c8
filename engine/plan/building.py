"""What a builder is, and what builders share.

A builder is a small pure function that turns evaluated arguments into a plan. It decides nothing: it may
refuse arguments that make no plan at all (lists of different lengths), but whether a plan is good is for the
policy to decide, and whether it could run is for the validator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from engine.base.records import record
from engine.cel.values import Value
from engine.plan.errors import BuilderError
from engine.plan.plan import Plan, Shard, ShardDevice, Strategy
from engine.policy.signature import BuilderSignature, Parameter

Arguments = Mapping[str, Value]
"""Evaluated arguments by name, of the types that the builder's signature declares."""

WHOLE_MODEL = (0, 0)
"""The layer range of shards that hold a part of every layer, or all of them."""

ESTIMATE = Parameter("double", "Tokens per second of one request.", required=False)
FITS = Parameter(
    "bool", "True if the plan fits the memory of all available devices together.", required=False
)
TOTAL = Parameter("int", "Memory that the model takes in total, in bytes.")
SHARD = Parameter("int", "Memory of each shard, in bytes.")
DEVICES = Parameter("list(Device)", "The device of each shard, in order.")


@record
class Builder:
    """A builder: what policies are checked against, its function, and an example."""

    signature: BuilderSignature
    build: Callable[[Arguments], Plan]
    example: str
    """A match's `plan`, in YAML, of a policy that reads an `inventory`."""


def make_shards(arguments: Arguments, ranges: list[tuple[int, int]]) -> tuple[Shard, ...]:
    """Return a shard for each of `devices`, with its range of layers and `shard_memory_bytes`."""
    read, memory = ShardDevice.from_value, arguments["shard_memory_bytes"]
    pairs = zip(arguments["devices"], ranges, strict=True)
    return tuple(
        [Shard(number, read(device), layers, memory) for number, (device, layers) in enumerate(pairs)]
    )


def make_plan(strategy: Strategy, shards: tuple[Shard, ...], total: int, arguments: Arguments) -> Plan:
    """Return the plan of these shards, with the estimate that the policy gives.

    Raises:
        BuilderError: the estimate is not a finite number.
    """
    estimate = arguments.get("estimated_tokens_per_sec")
    if estimate is not None and not math.isfinite(estimate):
        raise BuilderError("the estimate is not a finite number", "estimated_tokens_per_sec")
    return Plan(strategy, shards, total, estimate, arguments.get("fits_in_memory"))
