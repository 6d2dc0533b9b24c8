"""Table of `npu-smi info`: Ascend chips with memory in use; also inside vllm-ascend's collect_env.

A card may hold several chips, each of which is a device. HBM is the memory of chips that have some.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader
from engine.inventory.seen import Lines, Seen

KIND = "AscendNpu"
_TITLE = re.compile(r"\|\s*npu-smi (?P<version>\S+)")
_CARD = re.compile(r"\|\s*(?P<card>\d{1,5})\s+(?P<name>[A-Za-z0-9][\w.-]*)\s*\|\s*(?P<health>[A-Za-z]+)\s*\|")
_CHIP = re.compile(
    r"\|\s*(?P<chip>\d{1,5})\s*(?P<device>\d{1,5})?\s*\|\s*(?P<address>[0-9A-Fa-f]{4}:[0-9A-Fa-f:.]+|NA)\s*\|(?P<rest>.*)\|"
)
_USAGE = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})")
_UNMARKED = "Ascend910"
"""Name that drivers print for the chips of Atlas A3 cards, which have a number of their own (Phy-ID)."""
_USABLE = {"OK", "Warning", "Alarm"}
_CUT_OFF = "the output is cut off; paste all of npu-smi info"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the chips of each table.

    Raises:
        DocumentError: a table has no chip, or a card no line of its chip; at its line.
    """
    text = text.narrow()
    starts = [number for number, line in enumerate(text.lines) if _TITLE.search(line)]
    for start, end in zip(starts, [*starts, len(text.lines)][1:], strict=True):
        yield _table(text, start, end, hardware)


def _table(text: Lines, start: int, end: int, hardware: Hardware) -> Seen:
    rows: list[tuple[int, re.Match[str], re.Match[str]]] = []
    for line in range(start + 1, end):
        card = _CARD.search(text.lines[line])
        if card is None:
            continue
        chip = _CHIP.search(text.lines[line + 1]) if line + 1 < end else None
        if chip is None:
            if "Process" in text.lines[line]:
                break
            raise text.fault("a card without the line of its chip", line, hint=_CUT_OFF)
        rows.append((line, card, chip))
    if not rows:
        raise text.fault("npu-smi's table has no chip", start, hint=_CUT_OFF)
    seen = Seen(KIND)
    single = len({card["card"] for _, card, _ in rows}) == len(rows)
    for line, card, chip in rows:
        number = int(chip["device"]) if chip["device"] else int(card["card"]) if single else len(seen.devices)
        if number in seen.devices:
            raise text.fault(f"device {number} is listed twice", line)
        device = seen.device(number, line + 1)
        known = hardware.product(card["name"]) is not None
        device.name = card["name"] if known else f"Ascend {card['name']}"
        if chip["device"] and card["name"] == _UNMARKED:
            device.name = f"{_UNMARKED} A3"
        usages = [(int(used), int(total)) for used, total in _USAGE.findall(chip["rest"]) if int(total)]
        if usages:
            used, total = usages[-1]
            device.memory_bytes, device.free_bytes = total * 2**20, max(total - used, 0) * 2**20
        if card["health"] in _USABLE - {"OK"}:
            seen.notes.append(f"NPU {number} reports {card['health']}; check its health before using it")
        if card["health"] not in _USABLE:
            device.available = False
            seen.notes.append(f"NPU {number} is {card['health']}; it is not available")
    return seen


READER = TextReader(
    name="npu-smi info",
    sources=("npu-smi",),
    sign=_TITLE,
    read=read,
    priority=Priority.OVERVIEW,
    hint=_CUT_OFF,
    example="""\
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.3                   Version: 23.0.3                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 96.1        38                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3159 / 65536         |
+===========================+===============+====================================================+
""",
    excuses=(
        Excuse(
            re.compile(r"^[ \t]*NPU ID +Chip ID", re.MULTILINE),
            "npu-smi info -m lists chips without their memory",
            "paste npu-smi info",
        ),
        Excuse(
            re.compile(
                r"DrvMngGetConsoleLogLevel failed|dcmi (?:module )?init(?:ialize)? failed|npu-smi: No such"
            ),
            "npu-smi could not reach the driver",
            "run it on the host, or mount /usr/local/dcmi and the driver into the container",
        ),
    ),
)
