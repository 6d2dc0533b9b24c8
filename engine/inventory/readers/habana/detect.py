"""Detection of Gaudi devices: `hl-smi`, whose table has the form of nvidia-smi's."""

from __future__ import annotations

from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.nvidia.query_gpu import tables_in
from engine.inventory.seen import Lines, Seen

_KIND = "Gaudi"


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    table = tools.run("hl-smi", "--query-aip=index,name,memory.total,memory.free", "--format=csv")
    if table is None:
        return None
    return tools.read("hl-smi", lambda: next(tables_in(Lines.of(table, "hl-smi"), _KIND), None))


DETECTOR = Detector(
    maker="Habana",
    rank=30,
    tools=("hl-smi",),
    asks=("hl-smi",),
    find=find,
    kind="Gaudi",
    states_memory="hl-smi",
)
