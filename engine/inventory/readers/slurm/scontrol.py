"""Nodes of `scontrol show node`: GPUs by their types in Gres; those of nodes that are down are not available.

Slurm's types are words of the site (`a100`), which rarely state memory or board.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader, Use
from engine.inventory.readers.slurm.common import add_node, require_names
from engine.inventory.seen import Lines, Seen

_NODE = re.compile(r"\s*NodeName=(?P<node>[\w.-]+)\s")
_GRES = re.compile(r"\bGres=(?P<gres>\S+)")
_STATE = re.compile(r"\bState=(?P<state>\S+)")
_ALLOCATED = re.compile(r"\bAllocTRES=\S*\bgres/gpu=(?P<count>\d{1,5})")
DOWN = re.compile(r"DOWN|DRAIN|FAIL|MAINT|NOT_RESPONDING|\*", re.IGNORECASE)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs of all nodes.

    Raises:
        DocumentError: their types are unknown; at the node's line.
    """
    seen = Seen(None, generic_names=True, usual=True)
    text = text.narrow()
    nodes: set[str] = set()
    starts = [number for number, line in enumerate(text.lines) if _NODE.match(line + " ")]
    for start, end in zip(starts, [*starts, len(text.lines)][1:], strict=True):
        block = "\n".join(text.lines[start:end])
        node, gres, state = (pattern.search(block + " ") for pattern in (_NODE, _GRES, _STATE))
        if node is not None and gres is not None and node["node"] not in nodes:
            nodes.add(node["node"])
            down = state is not None and DOWN.search(state["state"]) is not None
            if down and state is not None:
                seen.notes.append(f"node {node['node']} is {state['state']}; its devices are not available")
            used = _ALLOCATED.search(block)
            if used is not None and int(used["count"]):
                seen.notes.append(
                    f"{used['count']} GPUs of node {node['node']} are allocated to running jobs"
                )
            add_node(seen, node["node"], gres["gres"], hardware, text, start, available=not down)
    require_names(seen, hardware, text)
    if seen.devices:
        yield seen


READER = TextReader(
    name="scontrol show node",
    sources=("slurm",),
    sign=re.compile(r"^[ \t]*NodeName=\S+", re.MULTILINE),
    read=read,
    priority=Priority.LIST,
    hint="no node has GPUs in Gres; describe the nodes in words (2x8xH100-SXM)",
    use=Use.SELDOM,
    example="""\
NodeName=gpu01 Arch=x86_64 CoresPerSocket=56
   CPUAlloc=0 CPUEfctv=112 CPUTot=112 CPULoad=0.01
   Gres=gpu:h100:8(S:0-1)
   NodeAddr=gpu01 NodeHostName=gpu01 Version=23.02.6
   State=IDLE ThreadsPerCore=1
""",
    excuses=(
        Excuse(
            re.compile(r"^[ \t]*Gres=\(null\)", re.MULTILINE),
            "the node has no GPUs in Gres",
            "describe it in words: 8xH100-SXM",
        ),
    ),
)
