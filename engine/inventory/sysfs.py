"""Accelerators that the kernel shows in /sys and /dev, for makers whose tool is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from engine.base.quantities import whole
from engine.inventory.kernel_files import entries_of, hexadecimal, text_of
from engine.inventory.products import Hardware, Row
from engine.inventory.reader import Detector
from engine.inventory.seen import Seen

_BUS = "sys/bus/pci/devices"
_ACCELERATOR = "1200"
"""Class of processing accelerators in the PCI standard."""


def find_devices(
    root: Path, hardware: Hardware, detectors: Sequence[Detector], reported: Set[str], notes: list[str]
) -> Iterator[Seen]:
    """Yield the accelerators on the PCI bus that programs can open, one `Seen` per kind.

    Args:
        root: of the file system.
        hardware: the catalogs `pci` and `products`.
        detectors: complete devices by what their makers' drivers show.
        reported: kinds that a tool has listed already.
        notes: receives what is on the bus and cannot be used.
    """
    kinds: dict[str, list[tuple[Path, Row]]] = {}
    for path in entries_of(root / _BUS):
        numbers = f"{hexadecimal(path / 'vendor')}:{hexadecimal(path / 'device')}"
        row = hardware.pci.rows.get(numbers)
        if row is not None and row["kind"] not in reported:
            kinds.setdefault(row["kind"], []).append((path, row))
        elif row is None and hexadecimal(path / "class").startswith(_ACCELERATOR):
            notes.append(f"unknown accelerator {numbers} on the PCI bus; add it to catalog pci")
    for kind, devices in kinds.items():
        row = devices[0][1]
        usable = devices[: _count_reachable(root, row, len(devices))]
        if len(usable) < len(devices):
            notes.append(
                f"{len(devices)} × '{row['words']}' on the PCI bus, but /dev gives access to {len(usable)}"
            )
        if usable:
            seen = _seen(kind, usable)
            for detector in detectors:
                if detector.describe is not None:
                    detector.describe(root, [path for path, _ in usable], seen, hardware)
            yield seen


def _seen(kind: str, devices: Sequence[tuple[Path, Row]]) -> Seen:
    seen = Seen(kind)
    for number, (path, row) in enumerate(devices):
        device = seen.device(number, 1)
        device.name = row["product"] or row["words"]
        device.numa_node = whole(text_of(path / "numa_node"))
    return seen


def _count_reachable(root: Path, row: Row, count: int) -> int:
    """Return how many of `count` devices have a file in /dev."""
    files = [file for pattern in row["nodes"] for file in (root / "dev").glob(pattern)]
    return count if files and row["shared"] else min(count, len(files))
