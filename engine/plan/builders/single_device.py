"""The whole model as one shard on one device."""

from __future__ import annotations

from engine.plan.building import ESTIMATE, FITS, WHOLE_MODEL, Arguments, Builder, make_plan
from engine.plan.plan import Plan, Shard, ShardDevice, Strategy
from engine.policy.signature import BuilderSignature, Parameter


def build(arguments: Arguments) -> Plan:
    """Return the plan of one shard."""
    device = ShardDevice.from_value(arguments["device"])
    memory = arguments["memory_bytes"]
    return make_plan(Strategy("none"), (Shard(0, device, WHOLE_MODEL, memory),), memory, arguments)


BUILDER = Builder(
    BuilderSignature(
        "single_device",
        "The whole model as one shard on one device.",
        {
            "device": Parameter("Device", "The device."),
            "memory_bytes": Parameter("int", "Memory that the model takes, in bytes.", unit="byte"),
            "estimated_tokens_per_sec": ESTIMATE,
            "fits_in_memory": FITS,
        },
    ),
    build,
    example="""
builder: single_device
arguments:
  device: inventory.devices[0]
  memory_bytes: '16000000000'
""",
)
