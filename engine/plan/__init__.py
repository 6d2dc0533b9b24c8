"""Plans: their types, the builders that make them, the validator that warns."""

from engine.plan.builders import BUILDERS, Builder, BuilderError, signatures
from engine.plan.types import Plan, Shard, ShardDevice, Strategy
from engine.plan.validator import with_warnings

__all__ = [
    "BUILDERS",
    "Builder",
    "BuilderError",
    "Plan",
    "Shard",
    "ShardDevice",
    "Strategy",
    "signatures",
    "with_warnings",
]
