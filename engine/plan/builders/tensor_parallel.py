"""Tensor parallel: a part of every layer on each device."""

from __future__ import annotations

from engine.plan.building import (
    DEVICES,
    ESTIMATE,
    FITS,
    SHARD,
    TOTAL,
    WHOLE_MODEL,
    Arguments,
    Builder,
    make_plan,
    make_shards,
)
from engine.plan.plan import Plan, Strategy
from engine.policy.signature import BuilderSignature


def build(arguments: Arguments) -> Plan:
    """Return the plan of one shard per device."""
    shards = make_shards(arguments, [WHOLE_MODEL] * len(arguments["devices"]))
    strategy = Strategy("tensor_parallel", tensor_parallel=len(shards))
    return make_plan(strategy, shards, arguments["total_memory_bytes"], arguments)


BUILDER = Builder(
    BuilderSignature(
        "tensor_parallel",
        "A part of every layer on each device.",
        {
            "devices": DEVICES,
            "shard_memory_bytes": SHARD,
            "total_memory_bytes": TOTAL,
            "estimated_tokens_per_sec": ESTIMATE,
            "fits_in_memory": FITS,
        },
    ),
    build,
    example="""
builder: tensor_parallel
arguments:
  devices: inventory.devices
  shard_memory_bytes: 16000000000 / size(inventory.devices)
  total_memory_bytes: '16000000000'
""",
)
