"""Terms that the readers of AWS's devices share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.inventory.products import Hardware
from engine.inventory.seen import Seen

KIND = "AwsNeuron"


def guess_product(seen: Seen, hardware: Hardware) -> None:
    """Name devices without a name by their memory, if one product of the kind has it."""
    for device in seen.devices.values():
        if device.name is not None or device.memory_bytes is None:
            continue
        entries = [
            entry
            for entry, row in hardware.products.rows.items()
            if row["kind"] == KIND and row["memory_mib"] and row["memory_mib"] * 2**20 == device.memory_bytes
        ]
        fitting = [
            entry for entry in entries if device.core_count in (None, hardware.products.rows[entry]["parts"])
        ]
        named = fitting if len(fitting) == 1 else entries
        if len(named) == 1:
            device.name = named[0]
            note = f"the text names no product; assuming {named[0]}, by the memory"
            if note not in seen.notes:
                seen.notes.append(note)


def note_torus(seen: Seen, ends: Mapping[int, Sequence[int]]) -> None:
    """Note how NeuronLink connects the devices, and devices that the text does not list."""
    degrees = {len(set(others)) for others in ends.values()}
    if len(ends) > 1 and len(degrees) == 1 and degrees != {0}:
        seen.notes.append(f"NeuronLink connects each device to {degrees.pop()} others")
    missing = {other for others in ends.values() for other in others} - seen.devices.keys()
    if missing:
        seen.notes.append(f"{len(missing)} connected devices are not listed; the list may be cut off")
