"""Build a request from arguments: `engine.decide.sources` in the words of the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from engine.decide.sources import LocatedRequest, Sources, find_model, read_sources

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.decide.request import Request

__all__ = ["Sources", "contradiction", "find_model", "machine_name", "read_request"]

_FLAGS = {
    "inventory": "describe the devices with --inventory FILE, e.g. --inventory 8xH100-SXM",
    "model": "name the model with --model, or its size with --params 70B",
    "quantization": "use --quantization bf16, or --quantization auto to let the engine choose",
}


def contradiction(sources: Sources) -> str | None:
    """Return what is wrong with arguments that contradict each other."""
    conflict = sources.conflict()
    if conflict is not None:
        return f"use either --{conflict[0]} or --{conflict[1]}, not both"
    return "standard input (-) can be read only once" if sources.reads_standard_input_twice() else None


def read_request(sources: Sources, catalogs: Catalogs) -> LocatedRequest:
    """Read the request that the arguments describe; flags win over files.

    Args:
        sources: the arguments.
        catalogs: the catalogs of the policy that decides.

    Raises:
        click.UsageError: arguments that contradict each other.
        EngineError: a file can't be read, or its content is invalid.
    """
    problem = contradiction(sources)
    if problem is not None:
        import click

        raise click.UsageError(problem)
    return read_sources(sources, catalogs, note=_note, hint=_hint)


def machine_name(request: Request) -> str:
    """Return what to call the devices of a request: the name of its inventory, else how many of what."""
    inventory = request.inventory
    if inventory is None:
        return "no devices"
    if inventory.name:
        return inventory.name
    names = [device.name or device.kind for device in inventory.devices]
    return " + ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


def _hint(name: str) -> str:
    return _FLAGS.get(name, f"set '{name}' in a file and pass it with --input FILE")


def _note(text: str) -> None:
    from engine.base.printable import printable_lines

    print(f"note: {printable_lines(text)}", file=sys.stderr)
