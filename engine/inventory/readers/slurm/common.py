"""Generic resources (GRES) of Slurm's nodes, as its commands print them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import DocumentError
from engine.inventory.products import Hardware
from engine.inventory.seen import Lines, Seen

_GRES = re.compile(r"gpu(?::(?P<type>[A-Za-z][\w.-]*))?:(?P<count>\d{1,5})(?:\([^)]*\))?(?:,|\Z)")
_RANGE = re.compile(r"(?P<start>[\w.-]*?)\[(?P<list>[\d,-]{1,400})\]\Z")
_BARE_SIZE = re.compile(r"([-_]\d{1,3})\Z")
"""A size without its unit: `v100-32`."""
MOST_NODES = 10_000
MOST_DEVICES = 100_000


def node_names(text: str) -> Iterator[str]:
    """Yield the nodes of `gpu[01-04,07],login1`."""
    for part in re.findall(r"[^,\[\]]+(?:\[[^\]]*\])?", text):
        match = _RANGE.match(part)
        if match is None:
            yield part
            continue
        for piece in match["list"].split(","):
            first, _, last = piece.partition("-")
            if not first.isdecimal() or not (last or first).isdecimal() or len(last or first) > 6:
                continue
            for number in range(int(first), min(int(last or first), int(first) + MOST_NODES) + 1):
                yield f"{match['start']}{number:0{len(first)}d}"


def add_node(
    seen: Seen, node: str, gres: str, hardware: Hardware, text: Lines, line: int, *, available: bool
) -> None:
    """Add the GPUs of a node.

    Raises:
        DocumentError: a count is absurd; at its line.
    """
    for match in _GRES.finditer(gres):
        if len(seen.devices) + int(match["count"]) > MOST_DEVICES:
            raise text.fault(f"more than {MOST_DEVICES} devices", line)
        name = match["type"] and _BARE_SIZE.sub(r"\1GB", match["type"])
        row = hardware.product(name)
        for _ in range(int(match["count"])):
            device = seen.device(len(seen.devices), line + 1)
            device.name, device.node = name, node
            device.available = None if available else False
            seen.kind = seen.kind or (None if row is None else row["kind"])


def require_names(seen: Seen, hardware: Hardware, text: Lines) -> None:
    """Check that the devices have names that are known.

    Raises:
        DocumentError: Slurm does not state what its GPUs are, or by a name of the site; at the first device.
    """
    for device in seen.devices.values():
        if device.name is None or hardware.product(device.name) is None:
            what = (
                "does not state the type of its GPUs"
                if device.name is None
                else f"calls its GPUs '{device.name}'"
            )
            raise _unknown(text, device.line - 1, what)


def _unknown(text: Lines, line: int, what: str) -> DocumentError:
    hint = "describe the nodes in words (2x8xH100-SXM), or paste what the GPUs' tool prints on a node"
    return text.fault(f"Slurm {what}", line, hint=hint)
