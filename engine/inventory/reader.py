"""Types of the readers: what a module under `readers/` registers as `READER`, and a maker's `DETECTOR`.

A reader owns its sign (how its text is recognised), its reading, its hint and an example; its documentation
is the docstring of its module. Modules are discovered (`engine.inventory.discovery`), never listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Protocol

from engine.base.jsontypes import Json
from engine.base.records import record
from engine.inventory.inventory import Imported
from engine.inventory.products import Hardware
from engine.inventory.seen import Lines, Seen


class Priority(IntEnum):
    """Rank of a reader: where two sections of a text describe one field of a device, the lower rank wins.

    Readers of one rank run in the order of their names.
    """

    TABLE = 10
    """Printed for programs (CSV, XML, JSON): whole names, exact sizes."""
    REPORT = 20
    """Printed for people, one field per line: whole names, sizes rounded to MiB."""
    OVERVIEW = 30
    """Boxes of fixed width: long names may be cut off."""
    LIST = 40
    """Names of devices, some of them generic; sizes only by chance."""
    LINKS = 50
    """Matrices of links and NUMA nodes: devices by number alone."""
    FALLBACK = 55
    """Lists of the bus and of portable APIs, with their own numbers: for devices that no tool lists."""
    HOST = 60
    """The machine around the devices: CPUs of its NUMA nodes."""


class Use(StrEnum):
    """How often people have a source at hand, for documentation."""

    DAILY = "every day"
    OFTEN = "often"
    SELDOM = "seldom"


@record
class Excuse:
    """A line in which a tool explains why it lists no device.

    Attributes:
        pattern: of the line.
        message: what the line means.
        hint: what to do; the commands whose output can be read if it is None.
    """

    pattern: re.Pattern[str]
    message: str
    hint: str | None = None


@record(eq=False)
class TextReader:
    """Reader of sections that a tool prints as text, wherever they are in a paste.

    Attributes:
        name: the command that prints the text.
        sources: values of `--from` that select it, with the other readers of its maker.
        sign: pattern that a text of this form contains (searched with re.MULTILINE).
        read: yields a `Seen` per section, or an `Imported` for a text that describes several machines; raises
            DocumentError, at its line, for one that is damaged.
        priority: its rank among the readers.
        hint: what to do if the sign is there and no device is.
        example: a text of this form.
        excuses: lines in which its tool explains why it lists no device.
        use: how often people have it at hand.
    """

    name: str
    sources: tuple[str, ...]
    sign: re.Pattern[str]
    read: Callable[[Lines, Hardware], Iterable[Seen | Imported]]
    priority: Priority
    hint: str
    example: str
    excuses: tuple[Excuse, ...] = ()
    use: Use = Use.OFTEN


@record(eq=False)
class JsonReader:
    """Reader of JSON that a tool prints about one machine.

    Attributes:
        name: the command that prints the JSON.
        sources: values of `--from` that select it, with the other readers of its maker.
        takes: tests the shape of a decoded document.
        read: returns the devices; raises DocumentError if one is damaged.
        hint: what to do if it lists no device.
        example: a text of this form.
        use: how often people have it at hand.
    """

    name: str
    sources: tuple[str, ...]
    takes: Callable[[Json], bool]
    read: Callable[[Json, Hardware], Seen]
    hint: str
    example: str
    use: Use = Use.OFTEN

    @property
    def priority(self) -> Priority:
        """JSON is printed for programs."""
        return Priority.TABLE


@record(eq=False)
class DocumentReader:
    """Reader of a YAML or JSON document that describes a whole inventory, of one machine or several.

    Attributes:
        name: the command or tool that writes the document.
        sources: values of `--from` that select it.
        takes: tests the shape of a decoded document.
        read: returns the inventory; raises RequestError, with paths, for what is wrong.
        expected: noun phrase for error messages.
        hint: what to do if `--from` names it and the document is something else.
        example: a document.
        excuses: lines in which its tool explains why it lists no device.
        use: how often people have it at hand.
    """

    name: str
    sources: tuple[str, ...]
    takes: Callable[[Json], bool]
    read: Callable[[Json, Hardware], Imported]
    expected: str
    hint: str
    example: str
    excuses: tuple[Excuse, ...] = ()
    use: Use = Use.OFTEN


Reader = TextReader | JsonReader | DocumentReader


class Tools(Protocol):
    """Runs a maker's tools with a time limit; problems become notes."""

    notes: list[str]

    def run(self, *command: str, name: str = "") -> str | None:
        """Run a tool and return its output; None if it is missing, hangs or fails.

        Args:
            command: the tool's name, or the absolute path of a program, and its arguments.
            name: what notes call it; the first word of the command by default.
        """
        ...

    def read(self, tool: str, read: Callable[[], Seen | None]) -> Seen | None:
        """Call `read`; turn its EngineError into a note that begins with the tool's name."""
        ...


@record(eq=False)
class Detector:
    """How `engine inventory detect` finds the devices of one maker.

    Attributes:
        maker: its name.
        rank: place of its devices in the inventory; inventories keep their order between releases.
        tools: what the notes report as not found; a tool of another operating system is left out.
        asks: tools as `engine inventory detect --help` lists them.
        find: runs the tools; None if they list no device.
        kind: of its devices.
        states_memory: the command whose output states the memory of its devices.
        describe: adds what the maker's kernel driver shows in /sys to devices found on the PCI bus:
            (root of the file system, folders of the devices by number, devices, catalogs).
    """

    maker: str
    rank: int
    tools: tuple[str, ...]
    asks: tuple[str, ...]
    find: Callable[[Tools, Hardware], Seen | None]
    kind: str = ""
    states_memory: str = ""
    describe: Callable[[Path, Sequence[Path], Seen, Hardware], None] | None = None
