"""What `rocm-smi` prints: tables of weights, hops and link types, NUMA nodes, products and memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.inventory.capture import Lines, Seen, SeenLink
from engine.quantities import whole

KIND = "RocmGpu"

Cells = dict[tuple[int, int], str]
"""Of a table of pairs, by the numbers of both devices."""

_TITLES = {
    "Weight between two GPUs": "weight",
    "Hops between two GPUs": "hops",
    "Link Type between two GPUs": "type",
}
_NUMA = re.compile(r"GPU\[(?P<number>\d+)\]\s*: \(Topology\) Numa Node: (?P<node>-?\d+)")


def topology(text: Lines, hop_weight: int) -> Seen | None:
    """The devices and links of the tables in a text; None where there are none.

    Args:
        text: what was printed.
        hop_weight: of one xGMI hop; the hops themselves are printed as 1 for every xGMI pair.

    Raises:
        DocumentError: a table that is cut off, or cells that are none; at its line.
    """
    tables: dict[str, Cells] = {}
    seen = Seen(KIND)
    for start, line in enumerate(text.lines):
        title = line.strip("= ")
        if title in _TITLES and "=" in line:
            tables[_TITLES[title]] = _table(text, start, seen)
    for number, content in enumerate(text.lines):
        match = _NUMA.search(content)
        if match and int(match["node"]) >= 0:
            seen.device(int(match["number"]), number + 1).numa_node = int(match["node"])
    if not tables:
        return None
    seen.links = list(links(tables, seen, str(hop_weight)))
    return seen


_SAYS = re.compile(r"GPU\[(?P<number>\d{1,5})\]\s*: (?P<name>[^:]+?)\s*:\s*(?P<value>.*\S)\s*\Z")


def described(text: Lines) -> Seen | None:
    """The devices of `--showproductname` and `--showmeminfo vram` in a text; None where there are none."""
    seen = Seen(KIND)
    used: dict[int, int] = {}
    for line, content in enumerate(text.lines):
        match = _SAYS.match(content.strip())
        if match is None:
            continue
        number, name, value = int(match["number"]), match["name"], match["value"]
        if name in _NAMES and value != "N/A" and not value.startswith("0x"):
            device = seen.device(number, line + 1)
            device.name = device.name or value
        elif name == _TOTAL:
            seen.device(number, line + 1).memory_bytes = whole(value)
        elif name == _USED:
            used[number] = whole(value) or 0
    for number, device in seen.devices.items():
        if device.memory_bytes is not None and number in used:
            device.free_bytes = max(device.memory_bytes - used[number], 0)
    return seen if seen.devices else None


def _table(text: Lines, start: int, seen: Seen) -> Cells:
    end = len(text.lines)
    below = (line for line in range(start + 1, end) if text.lines[line].strip())
    first = next(below, end)
    header = text.lines[first].split() if first < end else []
    if not header or not all(re.fullmatch(r"GPU\d+", token) for token in header):
        raise text.fault("a table without columns", start, hint="it is cut off: paste all of it")
    numbers = [int(token[3:]) for token in header]
    cells: Cells = {}
    for row in range(len(numbers)):
        line = next(below, end)
        tokens = text.lines[line].split() if line < end else []
        if not tokens or tokens[0] != f"GPU{numbers[row]}" or len(tokens) != len(numbers) + 1:
            label = f"GPU{numbers[row]}"
            message = f"the table has columns for {len(numbers)} devices; row {label} is missing or cut off"
            raise text.fault(message, min(line, end - 1), hint="paste all of it")
        seen.device(numbers[row], line + 1)
        for other, cell in zip(numbers, tokens[1:], strict=True):
            cells[numbers[row], other] = cell
    return cells


def links(tables: dict[str, Cells], seen: Seen, hop_weight: str) -> Iterator[SeenLink]:
    """Direct xGMI links and ways over PCIe. Where only weights are given, those of one hop are xGMI.

    Args:
        tables: of "type", "weight" and "hops", as far as they were printed.
        seen: gets a note of the pairs that nothing joins directly.
        hop_weight: of one xGMI hop.
    """
    types, weights = tables.get("type"), tables.get("weight")
    pairs = types or weights or tables["hops"]
    far = 0
    for first, second in pairs:
        if first >= second:
            continue
        code = _code(types, weights, (first, second), hop_weight)
        if code is None:
            far += 1
            continue
        yield SeenLink(first, second, code, 1 if code == "XGMI" else None)
    if far:
        seen.notes.append(f"{far} pairs are joined over other devices only, or it is not said by what")


_UNTOLD = {"0", "N/A"}
"""Weights that some drivers give every pair."""


def _code(types: Cells | None, weights: Cells | None, pair: tuple[int, int], hop_weight: str) -> str | None:
    weight = None if weights is None else weights.get(pair)
    if types is not None and (types.get(pair) != "XGMI" or weight in _UNTOLD):
        return types.get(pair)
    if weight is not None:
        return "XGMI" if weight == hop_weight else None
    return None if types is None else "XGMI"


def cards(value: Mapping[str, Any]) -> Seen:
    """The devices of `rocm-smi --showproductname --showmeminfo vram --json`."""
    seen = Seen(KIND)
    for name, card in value.items():
        match = re.fullmatch(r"card(\d{1,5})", str(name))
        if match is None or not isinstance(card, dict):
            continue
        device = seen.device(int(match[1]), 1)
        device.name = next((str(card[key]) for key in _NAMES if card.get(key) not in (None, "N/A", "")), None)
        device.memory_bytes, used_bytes = whole(card.get(_TOTAL)), whole(card.get(_USED))
        if device.memory_bytes is not None and used_bytes is not None:
            device.free_bytes = max(device.memory_bytes - used_bytes, 0)
    return seen


_NAMES = ("Card Series", "Card series", "Card Model", "Card model")
_TOTAL, _USED = "VRAM Total Memory (B)", "VRAM Total Used Memory (B)"
