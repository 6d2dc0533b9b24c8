"""The engine's own inventory, as people write it (`schemas/inventory.schema.json`).

Rates of `interconnects` are in GB/s; write `bandwidth_gbs`. `bandwidth_gbps` means the same, also GB/s.
"""

from __future__ import annotations

from engine.base.jsontypes import Json
from engine.inventory.inventory import Imported
from engine.inventory.native import read_inventory
from engine.inventory.products import Hardware
from engine.inventory.reader import DocumentReader, Use


def takes(value: Json) -> bool:
    """Test for a mapping with devices."""
    return isinstance(value, dict) and "devices" in value and "profiles" not in value


def read(value: Json, hardware: Hardware) -> Imported:
    """Return the inventory.

    Raises:
        RequestError: what is wrong, with paths.
    """
    return Imported(read_inventory(value))


READER = DocumentReader(
    name="engine inventory",
    sources=("inventory",),
    takes=takes,
    read=read,
    expected="an inventory with devices",
    hint="see schemas/inventory.schema.json",
    use=Use.DAILY,
    example="""\
devices:
  - {kind: CudaGpu, count: 8, memory: 80GiB, name: NVIDIA A100-SXM4-80GB}
interconnects:
  - {kind: NVSwitch, bandwidth_gbs: 600}
""",
)
