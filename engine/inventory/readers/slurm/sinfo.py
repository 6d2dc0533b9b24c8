"""Table of `sinfo` with the column GRES: GPUs of the nodes by their types.

`sinfo -N -o "%N %G %t"` lists a node per line; other forms list ranges of nodes (`gpu[01-04]`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader, Use
from engine.inventory.readers.slurm.common import MOST_NODES, add_node, node_names, require_names
from engine.inventory.seen import Lines, Seen

_HEAD = re.compile(r"(?=.*\bGRES\b)(?=.*\bNODE(?:LIST|_?S|HOSTS)?\b)[A-Z_:/()\[\] 0-9-]+\Z")
_ROW = re.compile(
    r"\s*(?P<nodes>[A-Za-z][\w.,\[\]-]{0,200})\s+(?P<gres>gpu:\S{1,200}:\d{1,3}(?:\([^()\s]*\))?)"
    r"(?:\s+(?P<state>[a-z]{2,12}[*~#!%$@^-]?))?\s*\Z"
)
_DOWN = re.compile(r"down|drain|drng|fail|maint|\*", re.IGNORECASE)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs of all nodes; a node in several partitions counts once.

    Raises:
        DocumentError: their types are unknown, or a list of nodes is absurd; at its line.
    """
    text = text.narrow()
    for start, line in enumerate(text.lines):
        head = line.split()
        if not _HEAD.match(line.strip()) or "NODELIST" not in head or "GRES" not in head:
            continue
        seen = Seen(None, generic_names=True, usual=True)
        nodes: set[str] = set()
        for number in range(start + 1, len(text.lines)):
            cells = text.lines[number].split()
            if len(cells) != len(head):
                break
            row = dict(zip(head, cells, strict=True))
            down = _DOWN.search(row.get("STATE", "")) is not None
            for node in node_names(row["NODELIST"]):
                if len(nodes) > MOST_NODES:
                    raise text.fault(f"more than {MOST_NODES} nodes", number)
                if node not in nodes:
                    nodes.add(node)
                    add_node(seen, node, row["GRES"], hardware, text, number, available=not down)
        require_names(seen, hardware, text)
        if seen.devices:
            yield seen
            return
    headless = _headless(text, hardware)
    if headless.devices:
        yield headless


def _headless(text: Lines, hardware: Hardware) -> Seen:
    """Return the GPUs of rows without a heading (`sinfo -h`): nodes, GPUs and a state, in this order."""
    seen = Seen(None, generic_names=True, usual=True)
    nodes: set[str] = set()
    for number, line in enumerate(text.lines):
        row = _ROW.match(line)
        if row is None:
            continue
        for node in node_names(row["nodes"]):
            if len(nodes) > MOST_NODES:
                raise text.fault(f"more than {MOST_NODES} nodes", number)
            if node not in nodes:
                nodes.add(node)
                available = _DOWN.search(row["state"] or "") is None
                add_node(seen, node, row["gres"], hardware, text, number, available=available)
    require_names(seen, hardware, text)
    return seen


READER = TextReader(
    name='sinfo -N -o "%N %G %t"',
    sources=("slurm",),
    sign=re.compile(
        r"^[ \t]*(?:[A-Z_]+ +)*(?:NODELIST +(?:[A-Z_]+ +)*GRES|GRES +(?:[A-Z_]+ +)*NODELIST)\b"
        r"|^[ \t]*[A-Za-z][\w.,\[\]-]{0,200} +gpu:\S{1,200}:\d{1,3}(?:\(\S*\))?(?: +[a-z]+\S?)?[ \t]*$",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.LIST,
    hint='sinfo -N -o "%N %G %t" lists the GPUs of each node; or describe the nodes in words (2x8xH100-SXM)',
    use=Use.SELDOM,
    example="""\
NODELIST GRES STATE
gpu[01-02] gpu:h100:8 idle
""",
    excuses=(
        Excuse(
            re.compile(r"^[ \t]*PARTITION +AVAIL +TIMELIMIT +NODES +STATE +NODELIST", re.MULTILINE),
            "sinfo lists nodes without their GPUs",
            'sinfo -N -o "%N %G %t", or words: 2x8xH100-SXM',
        ),
    ),
)
