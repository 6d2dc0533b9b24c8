"""The devices of a plan in words."""

from __future__ import annotations

from collections import Counter

from engine.plan import Plan


def devices_text(plan: Plan) -> str:
    """Return the devices of a plan by product: `4 × L40S`."""
    counts = Counter(shard.device.name or shard.device.kind for shard in plan.shards)
    return ", ".join(f"{count:,} × {name}" for name, count in counts.items())
