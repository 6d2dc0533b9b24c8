"""The devices that a plan leaves idle, with the policy's reasons."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from engine.base.records import record

if TYPE_CHECKING:
    from engine.base.jsontypes import JsonObject
    from engine.cel.values import Value


@record
class Idle:
    """Devices of a kind that a plan does not use, and why; `total` counts all usable ones of the kind."""

    kind: str
    devices: tuple[tuple[str | None, int | None], ...]
    """Node and id of each, as far as the inventory has them."""
    total: int
    reason: str

    def to_dict(self) -> JsonObject:
        """Return the JSON form."""
        devices: list[JsonObject] = []
        for node, device_id in self.devices:
            named = {"node": node, "device_id": device_id}
            devices.append({name: value for name, value in named.items() if value is not None})
        return {"kind": self.kind, "devices": [*devices], "total": self.total, "reason": self.reason}

    def __str__(self) -> str:
        """Return text for people: `8 of 24 CudaGpu (node2 0–7): the degrees are pinned`."""
        where = ", ".join(_ranges(node, [each for _, each in group]) for node, group in self._nodes())
        count = f"{len(self.devices):,} of {self.total:,} {self.kind}"
        return f"{count} ({where}): {self.reason}" if where else f"{count}: {self.reason}"

    def _nodes(self) -> list[tuple[str | None, list[tuple[str | None, int | None]]]]:
        return [(node, list(group)) for node, group in groupby(self.devices, key=lambda each: each[0])]


def idle_devices(
    devices: Sequence[Value], used: Collection[int], reasons: Sequence[Mapping[str, str]]
) -> tuple[Idle, ...]:
    """Return the devices that a plan does not use, by kind, of the kinds that the policy has a reason for.

    Args:
        devices: the devices that the search could use.
        used: the identities of the objects of those that the plan uses.
        reasons: the policy's `kind` and `reason`.
    """
    found = []
    for each in reasons:
        alike = [device for device in devices if field_of(device, "kind") == each["kind"]]
        idle = [device for device in alike if id(device) not in used]
        if idle:
            named = tuple((field_of(device, "node"), field_of(device, "device_id")) for device in idle)
            found.append(Idle(each["kind"], named, len(alike), each["reason"]))
    return tuple(found)


def field_of(device: Value, name: str) -> Value:
    """Return a field of a device, which a policy may have constructed as a map; None if it has none."""
    return device.get(name) if isinstance(device, dict) else getattr(device, name, None)


def _ranges(node: str | None, ids: Collection[int | None]) -> str:
    """Return ids in ranges, after their node: `node2 0–7, 9`."""
    known = sorted({each for each in ids if each is not None})
    runs: list[str] = []
    for _, group in groupby(enumerate(known), key=lambda each: each[1] - each[0]):
        run = [each for _, each in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}")
    return " ".join(filter(None, (node, ", ".join(runs))))
