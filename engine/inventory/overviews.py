"""Overviews: tables that several makers' tools print, with a row per device and its memory there or below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from engine.base.records import record
from engine.inventory.products import Hardware
from engine.inventory.seen import Lines, Seen


@record(eq=False)
class Overview:
    """The form of a tool's overview.

    Attributes:
        tool: the tool's name.
        kind: the kind of device.
        title: pattern of the line that an overview begins with.
        device: pattern of a device's row, with the groups `number` and `name`, and `address` if it has one.
        memory: pattern with the groups `used` and `total`, in MiB; or `used2` and `total2` in another form.
        rows: lines of a device, its own included, among which its memory is.
        named: returns the product's name from what the tool prints.
    """

    tool: str
    kind: str
    title: re.Pattern[str]
    device: re.Pattern[str]
    memory: re.Pattern[str]
    rows: int = 2
    named: Callable[[str], str] = str

    @property
    def cut_off(self) -> str:
        """The hint for an overview that ends too early."""
        return f"the output is cut off; paste all of {self.tool}"

    def read(self, text: Lines, hardware: Hardware) -> Iterator[Seen]:
        """Yield the devices of each overview.

        Raises:
            DocumentError: an overview has no device, or a device no memory; at its line.
        """
        text = text.narrow()
        starts = [number for number, line in enumerate(text.lines) if self.title.search(line)]
        for start, end in zip(starts, [*starts, len(text.lines)][1:], strict=True):
            seen = Seen(self.kind)
            for line in range(start + 1, end):
                if "Process" in text.lines[line]:
                    break
                self._add(seen, text, line, end)
            if not seen.devices:
                raise text.fault(f"{self.tool}'s overview without a device", start, hint=self.cut_off)
            yield seen

    def _add(self, seen: Seen, text: Lines, line: int, end: int) -> None:
        """Add the device of a line, if it has one."""
        match = self.device.search(text.lines[line].strip())
        if match is None:
            return
        memory = self.memory.search("\n".join(text.lines[line : min(line + self.rows, end)]))
        if memory is None or int(match["number"]) in seen.devices:
            message = "a device without its memory, or listed twice"
            raise text.fault(message, line, hint=self.cut_off)
        sizes = {name: int(value) * 2**20 for name, value in memory.groupdict().items() if value is not None}
        used, total = (sizes.get(name, sizes.get(f"{name}2", 0)) for name in ("used", "total"))
        device = seen.device(int(match["number"]), line + 1)
        device.name, device.address = self.named(match["name"]), match.groupdict().get("address")
        device.memory_bytes, device.free_bytes = total, max(total - used, 0)
