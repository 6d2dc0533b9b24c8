"""Pipeline parallel: consecutive layers on each device, one stage after another."""

from __future__ import annotations

from engine.plan.building import (
    DEVICES,
    ESTIMATE,
    FITS,
    SHARD,
    TOTAL,
    Arguments,
    Builder,
    make_plan,
    make_shards,
)
from engine.plan.errors import BuilderError
from engine.plan.plan import Plan, Strategy
from engine.policy.signature import BuilderSignature, Parameter


def build(arguments: Arguments) -> Plan:
    """Return the plan of one stage per device.

    Raises:
        BuilderError: not one pair of layers per device.
    """
    ranges = arguments["layer_ranges"]
    if len(ranges) != len(arguments["devices"]):
        raise BuilderError(
            f"{len(ranges)} layer ranges for {len(arguments['devices'])} devices", "layer_ranges"
        )
    if any(len(pair) != 2 for pair in ranges):
        raise BuilderError("a layer range is a first and a last layer", "layer_ranges")
    shards = make_shards(arguments, [(first, last) for first, last in ranges])
    strategy = Strategy("pipeline_parallel", pipeline_parallel=len(shards))
    return make_plan(strategy, shards, arguments["total_memory_bytes"], arguments)


BUILDER = Builder(
    BuilderSignature(
        "pipeline_parallel",
        "Consecutive layers on each device, one stage after another.",
        {
            "devices": DEVICES,
            "shard_memory_bytes": SHARD,
            "layer_ranges": Parameter("list(list(int))", "The first and the last layer of each stage."),
            "total_memory_bytes": TOTAL,
            "estimated_tokens_per_sec": ESTIMATE,
            "fits_in_memory": FITS,
        },
    ),
    build,
    example="""
builder: pipeline_parallel
arguments:
  devices: inventory.devices
  shard_memory_bytes: 16000000000 / size(inventory.devices)
  layer_ranges: lists.range(size(inventory.devices)).map(stage, [8 * stage, 8 * stage + 7])
  total_memory_bytes: '16000000000'
""",
)
