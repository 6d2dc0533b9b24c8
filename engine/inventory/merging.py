"""One machine from the sections that its tools printed: by kind and number, the better source first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.base.errors import RequestError
from engine.base.records import field, record
from engine.inventory import numa
from engine.inventory.inventory import Imported
from engine.inventory.machines import differ
from engine.inventory.products import Hardware
from engine.inventory.reader import Priority
from engine.inventory.seen import Seen


@record(frozen=False, eq=False)
class Machine:
    """What was seen of one machine: one `Seen` per kind of device, and the machine around them."""

    parts: list[Seen] = field(default_factory=list)
    host: Seen = field(default_factory=Seen)
    common_name: tuple[str, str] | None = None
    whole: Imported | None = None
    """A whole inventory that a reader returned: nodes of a cluster."""

    def has_devices(self) -> bool:
        """Test whether any device was seen."""
        return any(part.devices for part in self.parts)

    def part(self, kind: str | None) -> Seen:
        """Return what was seen of a kind; sections without a kind belong to the only other kind."""
        for part in self.parts:
            if part.kind == kind or (len(self.parts) == 1 and None in (part.kind, kind)):
                part.kind = part.kind or kind
                return part
        self.parts.append(Seen(kind))
        return self.parts[-1]

    def join(self, other: Machine, files: tuple[str, str], hardware: Hardware) -> None:
        """Add what another file says about the same machine.

        Raises:
            RequestError: it describes another machine.
        """
        for part in other.parts:
            present = self.part(part.kind)
            _refuse_another_machine(present, part, *files, hardware)
            present.add(part)
        self.host.add(other.host)
        if other.common_name is not None:
            self.common_name = other.common_name
        if self.common_name is not None:
            self._name_devices(*self.common_name)

    def place_devices(self) -> None:
        """Set NUMA nodes by the CPUs near each device."""
        for part in self.parts:
            part.numa_cpus = part.numa_cpus or self.host.numa_cpus
            part.numa_memory = part.numa_memory or self.host.numa_memory
            numa.place_devices(part)

    def _name_devices(self, kind: str, name: str) -> None:
        """Name all devices without a name as a report names the first."""
        if any(part.kind not in (None, kind) for part in self.parts):
            return
        seen = self.part(kind)
        unnamed = [device for device in seen.devices.values() if device.name is None]
        for device in unnamed or ([] if seen.devices else [seen.device(0, 1)]):
            device.name = name
        note = f"'{name}' is reported for the first device only; assuming it for all"
        if len(unnamed) != 1 and note not in seen.notes:
            seen.notes.append(note)


def merge(sections: Sequence[tuple[Seen, Priority]], hardware: Hardware) -> Machine:
    """Return the machine that sections of one text describe, in the order of their readers."""
    machine = Machine()
    fallbacks: list[Seen] = []
    ordered: list[Seen] = []
    for section, priority in sections:
        if section.common_name is not None:
            machine.common_name = machine.common_name or section.common_name
        if not section.devices:
            machine.host.add(section)
        elif priority is Priority.FALLBACK:
            fallbacks.append(section)
        else:
            ordered.append(section)
    for section in ordered:
        _set_kind(section, hardware)
    _update(ordered)
    for section in sorted(ordered, key=lambda section: section.numbering is not None):
        _add(machine.part(section.kind), section, hardware)
    for section in _first_of_each(fallbacks, hardware):
        _complete(machine, section)
    return machine


def _update(sections: Sequence[Seen]) -> None:
    """Set what changes between snapshots by one tool, in the first of them, to what the last says."""
    firsts: dict[tuple[str, str | None], Seen] = {}
    for section in sections:
        first = firsts.setdefault((section.origin, section.kind), section)
        if first is section:
            continue
        for number, device in section.devices.items():
            known = first.devices.get(number)
            if known is None:
                continue
            if device.free_bytes is not None and known.free_bytes not in (None, device.free_bytes):
                known.free_bytes = device.free_bytes
                first.notes.append("the text has several snapshots; what is free is that of the last")
            if device.available is False:
                known.available = False


def _add(part: Seen, section: Seen, hardware: Hardware) -> None:
    """Add a section; one that numbers devices differently only completes those that it numbers alike."""
    if part.devices and part.numbering != section.numbering:
        theirs, ours = _names(section), _names(part)
        alike = all(
            number in ours and not (name and ours[number] and differ(name, ours[number] or "", hardware))
            for number, name in theirs.items()
        )
        if not alike or (len(set(ours.values())) > 1 and theirs.keys() != ours.keys()):
            part.notes.append(
                f"{section.origin} numbers the devices differently; the numbers are those of {part.origin}"
            )
            return
        section.numbering = None
    part.origin = part.origin or section.origin
    part.add(section)


def _names(seen: Seen) -> dict[int, str | None]:
    return {number: device.name for number, device in seen.devices.items()}


def _set_kind(section: Seen, hardware: Hardware) -> None:
    """Set the kind of a section to that of its products, if they are of one kind."""
    rows = [hardware.product(device.name) for device in section.devices.values()]
    kinds = {row["kind"] for row in rows if row is not None}
    if len(kinds) == 1 and (section.kind is None or None not in rows):
        section.kind, section.portable = kinds.pop(), False


def _first_of_each(fallbacks: Iterable[Seen], hardware: Hardware) -> list[Seen]:
    """Return the first section of each kind: portable APIs list the same devices again."""
    kept: dict[str | None, Seen] = {}
    for section in fallbacks:
        _set_kind(section, hardware)
        kept.setdefault(section.kind, section)
    return list(kept.values())


def _complete(machine: Machine, section: Seen) -> None:
    """Add a list of the bus or of a portable API: names of unnamed devices, or all if no tool lists any."""
    listed = [part for part in machine.parts if part.devices]
    if not listed:
        machine.parts = [part for part in machine.parts if part.devices]
    present = [part for part in listed if part.kind == section.kind and part.origin != section.origin]
    if present and len(present[0].devices) == len(section.devices):
        names = Counter(device.name for device in section.devices.values())
        if len(names) == 1 and all(device.name is None for device in present[0].devices.values()):
            for device in present[0].devices.values():
                device.name = next(iter(names))
        return
    if listed and not all(part.origin.startswith("fallback") for part in listed):
        return
    section.origin = f"fallback {section.origin}"
    machine.parts.append(section)


def _refuse_another_machine(seen: Seen, section: Seen, first: str, name: str, hardware: Hardware) -> None:
    """Check that a file describes the same machine as those before it.

    Raises:
        RequestError: links or products differ.
    """
    hint = "import each machine separately, then run: engine inventory join"
    if seen.links and section.links and seen.links != section.links:
        raise RequestError(f"{first} and {name} describe different machines: their links differ", hint=hint)
    for number in sorted(seen.devices.keys() & section.devices.keys()):
        names = [part.devices[number].name for part in (seen, section)]
        if names[0] and names[1] and differ(names[0], names[1], hardware):
            raise RequestError(
                f"{first} and {name} describe different machines: device {number} is '{names[0]}' in one "
                f"and '{names[1]}' in the other",
                hint=hint,
            )
