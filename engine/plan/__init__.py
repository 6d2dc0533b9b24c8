"""Plans: their types, the builders that make them, the validator that warns."""

from engine.plan.builders import BUILDERS, Builder, signatures
from engine.plan.errors import BuilderError
from engine.plan.types import Estimates, Plan, Shard, ShardDevice, Strategy
from engine.plan.validator import device_memory, with_warnings

__all__ = [
    "BUILDERS",
    "Builder",
    "BuilderError",
    "Estimates",
    "Plan",
    "Shard",
    "ShardDevice",
    "Strategy",
    "device_memory",
    "signatures",
    "with_warnings",
]
