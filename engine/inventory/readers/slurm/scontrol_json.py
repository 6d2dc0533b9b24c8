"""JSON of `scontrol show node --json`: GPUs of the nodes by their types in `gres`."""

from __future__ import annotations

from engine.base.jsontypes import Json
from engine.inventory.decoded import mapping, mappings
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader
from engine.inventory.readers.slurm.common import add_node, require_names
from engine.inventory.readers.slurm.scontrol import DOWN
from engine.inventory.seen import Lines, Seen


def takes(value: Json) -> bool:
    """Test for a mapping with nodes that have generic resources."""
    nodes = mappings(mapping(value).get("nodes"))
    return bool(nodes) and all("gres" in node and "name" in node for node in nodes)


def read(value: Json, hardware: Hardware) -> Seen:
    """Return the GPUs of all nodes.

    Raises:
        DocumentError: their types are unknown.
    """
    seen = Seen(None, generic_names=True, usual=True)
    text = Lines("scontrol", ())
    for node in mappings(mapping(value).get("nodes")):
        name, states = str(node["name"]), node.get("state")
        state = "+".join(map(str, states)) if isinstance(states, list) else str(states or "")
        if DOWN.search(state):
            seen.notes.append(f"node {name} is {state}; its devices are not available")
        add_node(seen, name, str(node["gres"]), hardware, text, 0, available=not DOWN.search(state))
    require_names(seen, hardware, text)
    return seen


READER = JsonReader(
    name="scontrol show node --json",
    sources=("slurm",),
    takes=takes,
    read=read,
    hint="no node has GPUs in gres; describe the nodes in words (2x8xH100-SXM)",
    example="""\
{"nodes": [{"name": "gpu01", "gres": "gpu:h100:8(S:0-1)", "state": ["IDLE"]}]}
""",
)
