"""What tools say of a machine, before it is put together: devices by their numbers, links by pairs, notes."""

from __future__ import annotations

import re

from engine.errors import DocumentError, Place
from engine.records import field, record


@record(frozen=False, eq=False)
class SeenDevice:
    """One device as far as one tool described it; None is what it didn't say."""

    number: int
    name: str | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None
    numa_node: int | None = None
    driver_version: str | None = None
    cpus: str | None = None
    """The CPUs that it is near, as `0-15,32-47`."""
    core_count: int | None = None
    line: int = 1


@record
class SeenLink:
    """Two devices' numbers, the code of what joins them, and how many links of it."""

    a: int
    b: int
    code: str
    count: int | None = None


@record(frozen=False, eq=False)
class Seen:
    """All that one text says."""

    kind: str | None = None
    """Of its devices, where the tool tells: it is the tool of one maker."""
    devices: dict[int, SeenDevice] = field(default_factory=dict)
    links: list[SeenLink] = field(default_factory=list)
    numa_cpus: dict[int, str] = field(default_factory=dict)
    """CPUs of each NUMA node that has any."""
    numa_nodes: int = 0
    numa_memory: dict[str, int] = field(default_factory=dict)
    """Bytes of all NUMA nodes together: their size, and what is free."""
    notes: list[str] = field(default_factory=list)

    def device(self, number: int, line: int) -> SeenDevice:
        """The device of that number, made where it is first met."""
        if number not in self.devices:
            self.devices[number] = SeenDevice(number, line=line)
        return self.devices[number]

    def divided(self, number: int) -> None:
        """Note that a device is divided into parts, which are not counted as devices."""
        note = f"GPU {number} is divided by MIG: the whole device is taken, not its parts"
        if note not in self.notes:
            self.notes.append(note)

    def add(self, other: Seen) -> None:
        """What another section says; of what both say, the one that came first counts."""
        self.kind = self.kind or other.kind
        for number, device in other.devices.items():
            own = self.device(number, device.line)
            for each in _DESCRIBED:
                if getattr(own, each) is None:
                    setattr(own, each, getattr(device, each))
        self.links = self.links or other.links
        if not self.numa_cpus:
            self.numa_cpus, self.numa_nodes = other.numa_cpus, other.numa_nodes
            self.numa_memory = other.numa_memory
        self.notes += other.notes


_DESCRIBED = ("name", "memory_bytes", "free_bytes", "numa_node", "driver_version", "cpus", "core_count")

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


_MARGIN = re.compile(
    r"> ?"  # quoted, as in a mail or an issue
    r"|\d{4}-\d\d-\d\dT[0-9:.]{8,20}(?:Z|[+-]\d\d:\d\d)(?: |$)"  # kubectl logs --timestamps
    r"|[\w.-]{1,99} +\|(?: |$)"  # docker compose logs
)


def plain(text: str) -> str:
    """A text without what styles it on a terminal, or a log puts before each of its lines.

    nvidia-smi underlines its matrix's head in files, too.
    """
    return _without_margin(_ESCAPES.sub("", text))


def _without_margin(text: str) -> str:
    """The text without what stands before all of its lines; as it is where one line has nothing there."""
    if _MARGIN.match(text) is None:
        return text
    lines = text.split("\n")
    margins = [_MARGIN.match(line) for line in lines]
    if any(margin is None and line.strip() for margin, line in zip(margins, lines, strict=True)):
        return text
    return "\n".join(
        line[margin.end() :] if margin else line for margin, line in zip(margins, lines, strict=True)
    )


_WIDEST = 1_000


@record
class Lines:
    """A text's lines with its name, for messages."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str, name: str) -> Lines:
        """The lines of a text; what a terminal adds (colours, carriage returns) is dropped."""
        return cls(name, tuple(line.rstrip("\r") for line in plain(text).split("\n")))

    def narrow(self) -> Lines:
        """The same without lines that are longer than any that tools print for people.

        Patterns that look for words in a line take as long as its square.
        """
        return Lines(self.name, tuple(line if len(line) <= _WIDEST else "" for line in self.lines))

    def fault(
        self, message: str, line: int, word: str | None = None, hint: str | None = None
    ) -> DocumentError:
        """An error at a line, counted from 0, and at a word in it."""
        source = self.lines[line] if line < len(self.lines) else ""
        column = max(source.find(word), 0) + 1 if word else len(source) - len(source.lstrip()) + 1
        return DocumentError(message, place=Place(self.name, line + 1, column, source), hint=hint)
