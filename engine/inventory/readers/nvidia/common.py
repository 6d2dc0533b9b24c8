"""Terms that NVIDIA's readers share."""

from __future__ import annotations

from engine.base.quantities import parse_bytes
from engine.inventory.seen import Lines

KIND = "CudaGpu"
SOURCES = ("nvidia-smi",)
CUT_OFF = "the output is cut off; paste all of it"
UNKNOWN = {
    "",
    "n/a",
    "[n/a]",
    "[not supported]",
    "not supported",
    "unknown error",
    "[unknown error]",
    "[insufficient permissions]",
}
"""Cells that mean: the driver does not report it."""


def size(text: Lines, line: int, value: str, unit: str) -> int:
    """Return the bytes of `81559 MiB`, or of a bare number in its column's unit.

    Raises:
        DocumentError: it is no size; at its line.
    """
    try:
        return parse_bytes(value if not value.replace(".", "").isdecimal() else f"{value} {unit or 'MiB'}")
    except ValueError as error:
        raise text.fault(str(error), line, value, "sizes look like 81559 MiB") from None
