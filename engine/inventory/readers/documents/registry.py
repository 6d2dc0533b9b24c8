"""Registry of the ai-hwaccel tool: a JSON document with `profiles` (`schemas/registry.schema.json`)."""

from __future__ import annotations

from engine.base.jsontypes import Json
from engine.inventory.inventory import Imported
from engine.inventory.native import read_inventory
from engine.inventory.products import Hardware
from engine.inventory.reader import DocumentReader, Use


def takes(value: Json) -> bool:
    """Test for a mapping with profiles."""
    return isinstance(value, dict) and "profiles" in value


def read(value: Json, hardware: Hardware) -> Imported:
    """Return the inventory.

    Raises:
        RequestError: what is wrong, with paths.
    """
    return Imported(read_inventory(value))


READER = DocumentReader(
    name="ai-hwaccel --json",
    sources=("registry",),
    takes=takes,
    read=read,
    expected="a registry with profiles",
    hint="ai-hwaccel writes a registry",
    use=Use.SELDOM,
    example="""\
{
  "schema_version": 3,
  "profiles": [
    {"accelerator": {"CudaGpu": {"device_id": 0}}, "available": true, "memory_bytes": 85899345920}
  ],
  "system_io": {"interconnects": [{"kind": "NVLink", "bandwidth_gbps": 300.0}]}
}
""",
)
