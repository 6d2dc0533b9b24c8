"""Devices and links as tools report them, before assembly: devices by number, links by pairs, notes."""

from __future__ import annotations

from engine.base.errors import DocumentError, Place
from engine.base.records import field, record
from engine.inventory.margins import plain

__all__ = ["Lines", "Seen", "SeenDevice", "SeenLink", "plain"]


@record(frozen=False, eq=False)
class SeenDevice:
    """One device as far as one tool reports it; None for what it leaves out."""

    number: int
    name: str | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None
    numa_node: int | None = None
    driver_version: str | None = None
    cpus: str | None = None
    """CPUs near it: `0-15,32-47`."""
    core_count: int | None = None
    available: bool | None = None
    """False if the tool reports it as lost, faulty or divided into partitions."""
    uuid: str | None = None
    """Identifier that no other device has; it is compared, and recorded for partitions only."""
    address: str | None = None
    """PCI address, which no other device of its machine has; it is compared, never recorded."""
    partition: str | None = None
    """Profile of a partition (`1g.10gb`); None for a whole device."""
    node: str | None = None
    """Machine that contains it, in lists of several."""
    usable_bytes: int | None = None
    """The part of a shared memory that its runtime says it may use."""
    line: int = 1


@record
class SeenLink:
    """A link between two devices by their numbers: the tool's code for it, and the count."""

    a: int
    b: int
    code: str
    count: int | None = None


@record(frozen=False, eq=False)
class Seen:
    """Everything that one section, text or tool reports."""

    kind: str | None = None
    """Kind of its devices, if only one maker's tool prints such a section."""
    common_name: tuple[str, str] | None = None
    """Kind and name that a report states for the first device only."""
    devices: dict[int, SeenDevice] = field(default_factory=dict)
    links: list[SeenLink] = field(default_factory=list)
    numa_cpus: dict[int, str] = field(default_factory=dict)
    """CPUs of each NUMA node that has some."""
    numa_nodes: int = 0
    numa_memory: dict[str, int] = field(default_factory=dict)
    """Bytes of all NUMA nodes together: "size" and "free"."""
    notes: list[str] = field(default_factory=list)
    partitions: list[SeenDevice] = field(default_factory=list)
    """Partitions of its devices, each with the number of its device."""
    numbering: str | None = None
    """Order of the numbers if it is not that of the driver's tool: `fastest` is CUDA's own."""
    generic_names: bool = False
    """Names are those of a family (`A100`), of which memory and board may differ."""
    usual: bool = False
    """Links are not reported; those that are usual for the product are assumed."""
    portable: bool = False
    """A portable interface numbers its devices: they stay of its kind unless all are of one maker's."""
    origin: str = ""
    """Name of the reader that saw the section."""

    def device(self, number: int, line: int) -> SeenDevice:
        """Return the device of a number; add it if it is new."""
        if number not in self.devices:
            self.devices[number] = SeenDevice(number, line=line)
        return self.devices[number]

    def divide(self, number: int) -> None:
        """Mark a device as divided: its partitions can be used, the whole cannot."""
        self.devices[number].available = False
        note = f"GPU {number} is divided by MIG; it is not available as a whole"
        if note not in self.notes:
            self.notes.append(note)

    def add(self, other: Seen) -> None:
        """Merge another section; where both report a field, the earlier section wins."""
        self.kind = self.kind or other.kind
        self.common_name = self.common_name or other.common_name
        for number, device in other.devices.items():
            merged = self.device(number, device.line)
            for name in _FIELDS:
                if getattr(merged, name) is None:
                    setattr(merged, name, getattr(device, name))
        self.links = self.links or other.links
        self._add_partitions(other.partitions)
        self.numbering = self.numbering or other.numbering
        self.generic_names = self.generic_names or other.generic_names
        self.usual = self.usual or other.usual
        self.portable = self.portable or other.portable
        if not self.numa_cpus:
            self.numa_cpus, self.numa_nodes = other.numa_cpus, other.numa_nodes
        self.numa_memory = self.numa_memory or other.numa_memory
        self.notes += other.notes

    def _add_partitions(self, partitions: list[SeenDevice]) -> None:
        """Add partitions; where both sections list them, in the same order, they complete each other."""
        numbers = [[part.number for part in parts] for parts in (self.partitions, partitions)]
        if numbers[0] != numbers[1]:
            self.partitions = self.partitions or partitions
            return
        for part, other in zip(self.partitions, partitions, strict=True):
            part.memory_bytes, part.free_bytes = part.memory_bytes or other.memory_bytes, part.free_bytes
            part.free_bytes = other.free_bytes if part.free_bytes is None else part.free_bytes
            if other.uuid is not None:
                part.partition, part.uuid = other.partition, other.uuid


_FIELDS = (
    *("name", "memory_bytes", "free_bytes", "numa_node", "driver_version", "cpus", "core_count"),
    *("available", "uuid", "address", "node", "usable_bytes"),
)

_WIDEST = 1_000


@record
class Lines:
    """Lines of a text, with its name for messages."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str, name: str) -> Lines:
        """Return the lines of a text without what a terminal adds (colours, carriage returns)."""
        return cls(name, tuple(line.rstrip("\r") for line in plain(text).split("\n")))

    def narrow(self) -> Lines:
        """Blank lines that are longer than any that tools print for people.

        Patterns that search a line take time in the square of its length.
        """
        return Lines(self.name, tuple(line if len(line) <= _WIDEST else "" for line in self.lines))

    def fault(
        self, message: str, line: int, word: str | None = None, hint: str | None = None
    ) -> DocumentError:
        """Return an error at a line, counted from 0, and at a word in it."""
        source = self.lines[line] if line < len(self.lines) else ""
        column = max(source.find(word), 0) + 1 if word else len(source) - len(source.lstrip()) + 1
        return DocumentError(message, place=Place(self.name, line + 1, column, source), hint=hint)
