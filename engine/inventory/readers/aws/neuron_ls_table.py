"""Table of `neuron-ls`: Trainium and Inferentia devices with cores, memory and connections.

The instance's type, printed above the table, names the product.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.quantities import parse_bytes
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader
from engine.inventory.readers.aws.common import KIND, guess_product, note_torus
from engine.inventory.seen import Lines, Seen

_TYPE = re.compile(r"instance-type: *(?P<type>[\w.-]+)")
_CUT_OFF = "the output is cut off; paste all of neuron-ls, or neuron-ls --json-output"


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each table.

    Raises:
        DocumentError: a table has no device, or a row is damaged; at its line.
    """
    text = text.narrow()
    instance = next((match["type"] for line in text.lines if (match := _TYPE.search(line))), None)
    for start, line in enumerate(text.lines):
        if re.match(r"\s*\| *NEURON *\|", line):
            yield _table(text, start, instance, hardware)


def _table(text: Lines, start: int, instance: str | None, hardware: Hardware) -> Seen:
    upper = _cells(text.lines[start])
    lower = _cells(text.lines[start + 1]) if start + 1 < len(text.lines) else []
    if len(lower) != len(upper):
        raise text.fault("a table without columns", start, hint=_CUT_OFF)
    columns = [" ".join(pair).strip() for pair in zip(upper, lower, strict=True)]
    seen = Seen(KIND)
    ends: dict[int, list[int]] = {}
    for line in range(start + 2, len(text.lines)):
        content = text.lines[line].strip()
        if content.startswith("+"):
            continue
        cells = dict(zip(columns, _cells(content), strict=False))
        number = cells.get("NEURON DEVICE", "")
        if not content.startswith("|"):
            break
        if not number.isdecimal():
            continue
        device = seen.device(int(number), line + 1)
        device.name = None if instance is None else instance.partition(".")[0]
        cores, memory = cells.get("NEURON CORES", ""), cells.get("NEURON MEMORY", "")
        device.core_count = int(cores) if cores.isdecimal() and len(cores) < 6 else None
        try:
            device.memory_bytes = parse_bytes(memory.replace("GB", "GiB")) if memory else None
        except ValueError as error:
            raise text.fault(str(error), line, memory) from None
        listed = re.findall(r"\d{1,5}", cells.get("CONNECTED DEVICES", ""))
        ends[device.number] = [int(other) for other in listed]
    if not seen.devices:
        raise text.fault("neuron-ls's table has no device", start, hint=_CUT_OFF)
    guess_product(seen, hardware)
    note_torus(seen, ends)
    return seen


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


READER = TextReader(
    name="neuron-ls",
    sources=("neuron-ls",),
    sign=re.compile(r"^[ \t]*\| *NEURON *\|", re.MULTILINE),
    read=read,
    priority=Priority.OVERVIEW,
    hint=_CUT_OFF,
    example="""\
instance-type: trn1.2xlarge
instance-id: i-00000000000000000
+--------+--------+--------+---------+
| NEURON | NEURON | NEURON |   PCI   |
| DEVICE | CORES  | MEMORY |   BDF   |
+--------+--------+--------+---------+
| 0      | 2      | 32 GB  | 00:1e.0 |
+--------+--------+--------+---------+
""",
)
