"""Sections of a text by the machine that they describe: two machines in one text are no single inventory.

Identifiers, PCI addresses, products and the hosts in prompts and headings tell machines apart. Two snapshots
of one machine agree in all of them.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence

from engine.base.errors import RequestError
from engine.inventory.products import Hardware
from engine.inventory.seen import Lines, Seen, SeenDevice

_HINT = "save the output of each machine in its own file, then run: engine inventory join NAME=FILE NAME=FILE"

_HOST = re.compile(
    r"(?:\([^()\n]{1,40}\) *)?\[?[\w.-]{1,64}@(?P<prompt>[\w.-]{1,99})(?:[ :][^\n]{0,200}?)?[#$%>](?: |$)"
    r"|(?:[#$%>] *)?ssh (?:-\S+ )*(?:[\w.-]{1,64}@)?(?P<ssh>[A-Za-z0-9][\w.-]{0,99})(?: |$)"
    r"|(?P<ansible>[A-Za-z0-9][\w.-]{0,99}) \| [A-Z]+ \|"
    r"|(?:[#=*>-]{2,} *)?(?P<heading>[A-Za-z][\w.-]{0,99}|\d{1,3}(?:\.\d{1,3}){3}):?(?: *[#=*<-]{2,})?\s*\Z"
)
"""Lines that name the machine whose output follows: `[root@node1 ~]#`, `ssh node1 …`, `node1:`."""
_MOMENTS = frozenset(
    {"before", "after", "idle", "loaded", "now", "then", "later", "again", "first", "second"}
)
"""Headings of snapshots, not of hosts."""


class _Marks:
    """Lines that may name a host: those that surely do, and headings, which may name anything."""

    def __init__(self, text: Lines) -> None:
        self.sure: list[tuple[int, str]] = []
        self.all: list[tuple[int, str]] = []
        asked = False
        for number, line in enumerate(text.lines):
            stripped = line.strip() if len(line) < _WIDEST else ""
            if asked and _NAME.match(stripped):
                self.sure.append((number, stripped))
                self.all.append(self.sure[-1])
            asked = _ASKED.search(stripped) is not None
            match = _HOST.match(stripped) if stripped else None
            if match is None:
                continue
            heading = match["heading"]
            if heading is None:
                self.sure.append((number, match["prompt"] or match["ssh"] or match["ansible"]))
                self.all.append(self.sure[-1])
            elif heading.casefold() not in _MOMENTS and stripped != heading:
                self.all.append((number, heading))

    def host_of(self, line: int, *, certain: bool) -> str | None:
        """Return the host that the last mark before a line names; None if there is none."""
        marks = self.sure if certain else self.all
        at = bisect.bisect_left(marks, (line + 1, ""))
        return marks[at - 1][1] if at else None


_WIDEST = 300
_ASKED = re.compile(r"[#$%>] *hostname(?: -\w+)*\Z")
"""A command whose next line is the name of the host."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}\Z")


def refuse_several(text: Lines, sections: Sequence[Seen], hardware: Hardware) -> None:
    """Check that all sections of a text describe one machine: like the first of each tool.

    Raises:
        RequestError: two describe different ones; the hint says how to join them.
    """
    marks = _Marks(text)
    firsts: dict[str, Seen] = {}
    for section in sections:
        for first in firsts.values():
            reason = _difference(first, section, marks, hardware)
            if reason is not None:
                raise RequestError(f"{text.name} has the output of several machines: {reason}", hint=_HINT)
        if section.devices:
            firsts.setdefault(section.origin, section)


def _difference(first: Seen, second: Seen, marks: _Marks, hardware: Hardware) -> str | None:
    """Return what tells two sections apart as of two machines; None if nothing does."""
    common = sorted(first.devices.keys() & second.devices.keys())
    if not common or (first.kind and second.kind and first.kind != second.kind):
        return None
    pairs = [(first.devices[number], second.devices[number]) for number in common]
    if _same(pairs, "uuid"):
        return None
    for one, other in pairs:
        reason = next(_differing(one, other, first, second, hardware), None)
        if reason is not None:
            return reason
    alike = first.origin == second.origin
    if alike and first.links and second.links and first.links != second.links:
        return "their links differ"
    names = [marks.host_of(device.line - 1, certain=not alike) for device in pairs[0]]
    if None not in names and names[0] != names[1]:
        return f"{names[0]} and {names[1]}"
    if alike and first.devices.keys() != second.devices.keys() and not _same(pairs, "address"):
        return f"{len(first.devices)} devices in one, {len(second.devices)} in the other"
    return None


def _same(pairs: Sequence[tuple[SeenDevice, SeenDevice]], field: str) -> bool:
    """Test whether all devices have the same identifier in both sections."""
    return all(getattr(one, field) and getattr(one, field) == getattr(other, field) for one, other in pairs)


def _differing(
    one: SeenDevice, other: SeenDevice, first: Seen, second: Seen, hardware: Hardware
) -> Iterator[str]:
    number = f"device {one.number}"
    if first.numbering != second.numbering:
        return
    if one.uuid and other.uuid and one.uuid != other.uuid:
        yield f"{number} is {one.uuid} in one and {other.uuid} in the other"
    if one.address and other.address and one.address != other.address:
        yield f"{number} is at PCI address {one.address} in one and {other.address} in the other"
    if (
        one.name
        and other.name
        and differ(one.name, other.name, hardware, alike=first.origin == second.origin)
    ):
        yield f"{number} is '{one.name}' in one and '{other.name}' in the other"
    sizes = (one.memory_bytes, other.memory_bytes)
    if first.origin == second.origin and None not in sizes and sizes[0] != sizes[1]:
        yield f"{number} has two sizes of memory"


def differ(one: str, other: str, hardware: Hardware, *, alike: bool = False) -> bool:
    """Test whether two names are of different products; unknown ones are compared as one tool prints them."""
    products = [hardware.entry(name) for name in (one, other)]
    if None in products:
        return alike and one != other
    return products[0] != products[1]
