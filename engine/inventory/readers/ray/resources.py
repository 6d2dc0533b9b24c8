"""Resources of a Ray cluster: `ray.cluster_resources()`, `ray.nodes()`' totals and `ray status`.

Ray counts GPUs; `accelerator_type:H100` names the product, and its amount is the number of nodes that have
it. Where the counts do not say how many GPUs each node has, nothing is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen

_GPUS = re.compile(
    r"['\"]GPU['\"]\s*:\s*(?P<count>\d{1,6})(?:\.\d+)?|^[ \t]*(?:[\d.]{1,12}/)(?P<total>\d{1,6})\.0 GPU\b",
    re.MULTILINE,
)
_TYPE = re.compile(
    r"['\"]accelerator_type:(?P<name>[\w.-]+)['\"]\s*:\s*(?P<nodes>\d{1,6})(?:\.\d+)?"
    r"|/(?P<total>\d{1,6})\.0 accelerator_type:(?P<status>[\w.-]+)"
)
_HINT = "describe the nodes in words: 2x8xH100-SXM"
_MOST = 100_000
_LONGEST = 2**20
_DEAD = re.compile(r"['\"]Alive['\"]: *[Ff]alse")


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the GPUs, divided evenly over the nodes of their type.

    Raises:
        DocumentError: the cluster has GPUs of no or of several types, or their number does not divide.
    """
    content = "\n".join(text.lines)[:_LONGEST]
    matches = list(_GPUS.finditer(content))
    counts = [count for match in matches if (count := int(match["count"] or match["total"]))]
    if not counts:
        return
    line = content.count("\n", 0, matches[0].start())
    is_list = "NodeID" in content
    if is_list and (len(set(counts)) > 1 or _DEAD.search(content)):
        raise text.fault("Ray lists nodes that differ", line, hint=_HINT)
    combine = sum if is_list else max  # of all nodes, or of total and available resources
    count = combine(counts)
    amounts: dict[str, list[int]] = {}
    for match in _TYPE.finditer(content):
        amount = int(match["nodes"] or match["total"])
        amounts.setdefault(match["name"] or match["status"], []).append(amount)
    types = {name: combine(listed) for name, listed in amounts.items()}
    known = {name: nodes for name, nodes in types.items() if hardware.product(name) is not None}
    if len(known) != 1 or len(types) != 1:
        what = "several types" if types else "no type"
        raise text.fault(
            f"Ray reports {count} GPUs of {what}, without saying which node has which", line, hint=_HINT
        )
    ((name, nodes),) = known.items()
    if not 0 < nodes <= count <= _MOST or count % nodes:
        message = f"Ray reports {count} GPUs on {nodes} nodes of type {name}, which do not divide evenly"
        raise text.fault(message, line, hint=_HINT)
    row = hardware.product(name)
    seen = Seen(None if row is None else row["kind"], generic_names=True, usual=True)
    for number in range(count):
        device = seen.device(number, line + 1)
        device.name = name
        device.node = f"node{number * nodes // count}" if nodes > 1 else None
    if nodes > 1:
        seen.notes.append(f"Ray reports {count} GPUs on {nodes} nodes; assuming {count // nodes} on each")
    yield seen


READER = TextReader(
    name="ray.cluster_resources()",
    sources=("ray",),
    sign=re.compile(
        r"['\"](?:accelerator_type:|object_store_memory['\"]|node:(?:__internal_head__|\d))"
        r"|^ *[\d.]{1,12}/[\d.]{1,12} (?:accelerator_type:|GPU\b)",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.LIST,
    hint=f"the cluster reports no GPUs; {_HINT}",
    use=Use.SELDOM,
    example="""\
{'CPU': 192.0, 'GPU': 16.0, 'accelerator_type:H100': 2.0, 'memory': 164282499072.0, 'node:172.17.131.19': 1.0}
""",
)
