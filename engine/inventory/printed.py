"""What tools print: JSON and its decoding, text, and running a tool for either."""

from __future__ import annotations

import json

from engine.base.errors import DocumentError
from engine.base.jsontypes import Json
from engine.inventory.products import Hardware
from engine.inventory.reader import JsonReader, TextReader, Tools
from engine.inventory.seen import Lines, Seen


def parse_json(text: str, tool: str) -> Json:
    """Decode the JSON in a tool's output; whatever precedes it, such as a warning, is skipped.

    Args:
        text: the output.
        tool: its name, for messages.

    Raises:
        DocumentError: there is no JSON.
    """
    for start in sorted({text.find("["), text.find("{")} - {-1}):
        try:
            value: Json = json.loads(text[start:])
        except (ValueError, RecursionError):
            continue
        return value
    raise DocumentError(f"{tool}: expected JSON")


def parse_printed(tools: Tools, hardware: Hardware, reader: JsonReader, *command: str) -> Seen | None:
    """Run a tool and return the devices in its JSON; None if it is missing, fails or lists none."""
    text = tools.run(*command)
    if text is None:
        return None

    def read() -> Seen | None:
        value = parse_json(text, command[0])
        return reader.read(value, hardware) if reader.takes(value) else None

    return tools.read(command[0], read)


def read_printed_text(tools: Tools, hardware: Hardware, reader: TextReader, *command: str) -> Seen | None:
    """Run a tool and return the devices in its text; None if it is missing, fails or lists none."""
    text = tools.run(*command)
    if text is None:
        return None
    lines = Lines.of(text, command[0])

    def read() -> Seen | None:
        found = (section for section in reader.read(lines, hardware) if isinstance(section, Seen))
        return next(found, None)

    return tools.read(command[0], read)
