"""What `rocm-smi --showtopo` prints: tables of weights, hops and link types, and NUMA nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from engine.errors import DocumentError
from engine.inventory.capture import Lines, Seen, SeenLink
from engine.quantities import whole

KIND = "RocmGpu"

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
    tables: dict[str, dict[tuple[int, int], str]] = {}
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
    seen.links = list(_links(tables, seen, str(hop_weight)))
    return seen


def _table(text: Lines, start: int, seen: Seen) -> dict[tuple[int, int], str]:
    header = text.lines[start + 1].split() if start + 1 < len(text.lines) else []
    if not header or not all(re.fullmatch(r"GPU\d+", token) for token in header):
        raise text.fault("a table without columns", start, hint="it is cut off: paste all of it")
    numbers = [int(token[3:]) for token in header]
    cells: dict[tuple[int, int], str] = {}
    for row, line in enumerate(range(start + 2, start + 2 + len(numbers))):
        tokens = text.lines[line].split() if line < len(text.lines) else []
        if not tokens or tokens[0] != f"GPU{numbers[row]}" or len(tokens) != len(numbers) + 1:
            label = f"GPU{numbers[row]}"
            message = f"the table has columns for {len(numbers)} devices; row {label} is missing or cut off"
            raise text.fault(message, min(line, len(text.lines) - 1), hint="paste all of it")
        seen.device(numbers[row], line + 1)
        for other, cell in zip(numbers, tokens[1:], strict=True):
            cells[numbers[row], other] = cell
    return cells


def _links(tables: dict[str, dict[tuple[int, int], str]], seen: Seen, hop_weight: str) -> Iterator[SeenLink]:
    """Direct xGMI links and ways over PCIe. Where only weights are given, those of one hop are xGMI."""
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


def _code(
    types: dict[tuple[int, int], str] | None,
    weights: dict[tuple[int, int], str] | None,
    pair: tuple[int, int],
    hop_weight: str,
) -> str | None:
    weight = None if weights is None else weights[pair]
    if types is not None and types[pair] != "XGMI":
        return types[pair]
    if weight is not None:
        return "XGMI" if weight == hop_weight else None
    return None if types is None else "XGMI"


def cards(text: str) -> Seen:
    """The devices of `rocm-smi --showproductname --showmeminfo vram --json`.

    Raises:
        DocumentError: it is no such JSON.
    """
    try:
        value = json.loads(text[text.index("{") :])
    except ValueError:
        raise DocumentError("rocm-smi: expected JSON") from None
    seen = Seen(KIND)
    for name, card in value.items() if isinstance(value, dict) else ():
        match = re.fullmatch(r"card(\d+)", str(name))
        if match is None or not isinstance(card, dict):
            continue
        device = seen.device(int(match[1]), 1)
        device.name = next((str(card[key]) for key in _NAMES if card.get(key) not in (None, "N/A", "")), None)
        total, used = card.get("VRAM Total Memory (B)"), card.get("VRAM Total Used Memory (B)")
        device.memory_bytes, used_bytes = whole(total), whole(used)
        if device.memory_bytes is not None and used_bytes is not None:
            device.free_bytes = max(device.memory_bytes - used_bytes, 0)
    return seen


_NAMES = ("Card Series", "Card series", "Card Model", "Card model")
