"""JSON of `neuron-ls --json-output`: Trainium and Inferentia devices with memory and cores.

The only name that it prints is the instance's type (`trn2.48xlarge`); its family names the product.
Older versions print none: the memory and the cores do.
"""

from __future__ import annotations

from engine.base.jsontypes import Json, JsonObject
from engine.base.quantities import whole
from engine.inventory.decoded import mappings, number_of, text_of
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.readers.aws.common import KIND, guess_product, note_torus
from engine.inventory.seen import Seen


def takes(value: Json) -> bool:
    """Test for a list of Neuron devices."""
    entries = _entries(value)
    return bool(entries) and all("neuron_device" in entry for entry in entries)


def _entries(value: Json) -> list[JsonObject]:
    """Return the devices: a list, or such a list under `neuron_devices`."""
    return mappings(value.get("neuron_devices") if isinstance(value, dict) else value)


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the devices.

    Raises:
        DocumentError: a device has no number.
    """
    seen = Seen(KIND)
    ends: dict[int, list[int]] = {}
    for entry in _entries(value):
        device = seen.device(number_of(entry, "neuron_device", "neuron-ls"), 1)
        instance = text_of(entry.get("instance_type"))
        device.name = None if instance is None else instance.partition(".")[0]
        device.memory_bytes = whole(entry.get("memory_size"))
        device.numa_node = whole(entry.get("numa_node"))
        device.core_count = whole(entry.get("nc_count"))
        others = entry.get("connected_to")
        ends[device.number] = [at for at in others if isinstance(at, int)] if isinstance(others, list) else []
    guess_product(seen, hardware)
    note_torus(seen, ends)
    return seen


READER = JsonReader(
    name="neuron-ls --json-output",
    sources=("neuron-ls",),
    takes=takes,
    read=read,
    hint="neuron-ls --json-output",
    example="""\
[{"neuron_device": 0, "nc_count": 4, "memory_size": 103079215104, "instance_type": "trn2.3xlarge"}]
""",
)
