"""Warnings about a plan that could not run. The validator never changes the plan."""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.quantities import format_bytes
from engine.inventory import Inventory
from engine.plan.plan import Plan, Shard, ShardDevice


def with_warnings(plan: Plan, inventory: Inventory | None) -> Plan:
    """Return the plan with warnings about what would keep it from running."""
    warnings = _separate_device_warnings(plan.shards) if plan.shards else None
    if warnings is None:
        warnings = list(_warnings(plan, inventory))
    elif plan.strategy.kind == "pipeline_parallel":
        warnings += _layer_warnings(plan.shards)
    if not warnings:
        return plan
    # Not `replace`: in a batch, half of all plans come by here.
    return Plan(
        strategy=plan.strategy,
        shards=plan.shards,
        total_memory_bytes=plan.total_memory_bytes,
        estimated_tokens_per_sec=plan.estimated_tokens_per_sec,
        fits_in_memory=plan.fits_in_memory,
        warnings=(*warnings, *plan.warnings),
        estimates=plan.estimates,
        explanation=plan.explanation,
        search=plan.search,
        server=plan.server,
        idle=plan.idle,
        leftover=plan.leftover,
    )


def _separate_device_warnings(shards: tuple[Shard, ...]) -> list[str] | None:
    """Return the warnings if every shard has its own device of the inventory; None if one has not."""
    warnings: list[str] = []
    taken: set[int] = set()
    for shard in shards:
        device = shard.device
        index, memory, held = device.index, device.memory_bytes, shard.memory_bytes
        if index is None or memory is None or index in taken:
            return None
        taken.add(index)
        if held > memory:
            warnings.append(_too_large(f"shard {shard.shard_id} needs", held, device, memory))
    return warnings


def _too_large(what: str, held: int, device: ShardDevice, memory: int) -> str:
    return f"{what} {format_bytes(held)}, device {device} has {format_bytes(memory)}"


def _warnings(plan: Plan, inventory: Inventory | None) -> Iterator[str]:
    if not plan.shards and plan.total_memory_bytes > 0:
        yield f"no shard holds the model's {format_bytes(plan.total_memory_bytes)}"
    for shards in _by_device(plan.shards).values():
        if "part" not in shards[0].device.identity:
            yield from _device_warnings(shards, device_memory(shards[0].device, inventory))
    if plan.strategy.kind == "pipeline_parallel":
        yield from _layer_warnings(plan.shards)


def _by_device(shards: tuple[Shard, ...]) -> dict[object, list[Shard]]:
    """Group shards by device, in the order of their first shard."""
    devices: dict[object, list[Shard]] = {}
    for shard in shards:
        device = shard.device
        key: object = device.index if device.index is not None else (device.kind, *device.identity.items())
        if "part" in device.identity:
            key = (key, device.identity["part"])
        devices.setdefault(key, []).append(shard)
    return devices


def device_memory(device: ShardDevice, inventory: Inventory | None) -> int | None:
    """Return a device's memory in bytes; if a policy named it by kind, that of the first of its kind."""
    if device.index is not None or inventory is None:
        return device.memory_bytes
    alike = (d.memory_bytes for d in inventory.devices if d.kind == device.kind and d.available)
    return next(alike, None)


def _device_warnings(shards: list[Shard], memory: int | None) -> Iterator[str]:
    device = shards[0].device
    held = sum(shard.memory_bytes for shard in shards)
    if len(shards) > 1:
        numbers = ", ".join(str(shard.shard_id) for shard in shards[:4]) + (" …" if len(shards) > 4 else "")
        yield f"device {device} is used {len(shards)} times, by shards {numbers}"
    if memory is None:
        yield f"device {device} is not in the inventory: nothing is known of its memory"
    elif held > memory:
        what = f"shard {shards[0].shard_id} needs" if len(shards) == 1 else f"{len(shards)} shards need"
        yield _too_large(what, held, device, memory)


def _layer_warnings(shards: tuple[Shard, ...]) -> Iterator[str]:
    expected = 0
    for shard in shards:
        first, last = shard.layer_range
        if last < first:
            yield f"shard {shard.shard_id} has no layers: its range is {first} to {last}"
            continue
        if first > expected:
            yield f"layers {expected} to {first - 1} are on no shard before shard {shard.shard_id}"
        elif first < expected:
            yield f"layers {first} to {min(expected - 1, last)} are on shard {shard.shard_id} a second time"
        expected = max(expected, last + 1)
