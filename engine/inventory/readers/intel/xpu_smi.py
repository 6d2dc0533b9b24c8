"""JSON of `xpu-smi discovery -j`: devices by number and name.

`engine inventory detect` also runs `xpu-smi discovery -d NUMBER -j`, which has the memory.
"""

from __future__ import annotations

from engine.base.jsontypes import Json
from engine.inventory.decoded import mapping, mappings, number_of, text_of
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.readers.intel.common import KIND
from engine.inventory.seen import Seen


def takes(value: Json) -> bool:
    """Test for a mapping with a list of devices."""
    return "device_list" in mapping(value)


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the devices, without their memory.

    Raises:
        DocumentError: a device has no number.
    """
    seen = Seen(KIND)
    for entry in mappings(mapping(value)["device_list"]):
        seen.device(number_of(entry, "device_id", "xpu-smi"), 1).name = text_of(entry.get("device_name"))
    return seen


READER = JsonReader(
    name="xpu-smi discovery -j",
    sources=("xpu-smi",),
    takes=takes,
    read=read,
    hint="xpu-smi discovery -j",
    example="""\
{"device_list": [{"device_id": 0, "device_name": "Intel(R) Data Center GPU Max 1550"}]}
""",
)
