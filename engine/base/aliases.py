"""Rows of catalogs by the names that tools and people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import near
from engine.records import record

Row = Mapping[str, Any]

_NOISE = re.compile(r"nvidia|geforce|tesla|amd|instinct|habana|intel|google|cloud|[^a-z0-9]")
_SUFFIX = re.compile(r"(?:\d+gb|hbm\d?e?|oam|sxm\d?|pcie|gpu)*")
"""What makers append to a name without making another product of it."""


@record(eq=False)
class Names:
    """A catalog's rows, and the names and aliases that mean them."""

    rows: Mapping[str, Row]
    aliases: Mapping[str, str]

    def exact(self, name: str) -> str | None:
        """The entry that a name means, word for word."""
        return name if name in self.rows else self.aliases.get(name)

    def loose(self, name: str) -> str | None:
        """The entry that a name means, however it is written: `NVIDIA H100 80GB HBM3`, `h100-sxm`."""
        return find_loosely(self.plain(), name)

    def starting(self, start: str) -> list[str]:
        """The entries of which a name begins so, however it is written; none for what says nothing."""
        wanted = _plain(start)
        entries = [entry for alias, entry in self.plain().items() if wanted and alias.startswith(wanted)]
        return list(dict.fromkeys(entries))

    def plain(self) -> dict[str, str]:
        """Entries by their names and aliases without what makers write differently."""
        return plain_names(self.rows, self.aliases)

    def nearest(self, name: str) -> str | None:
        """A hint that names the entries nearest to a name."""
        return near(name, [*self.rows, *self.aliases])


def plain_names(entries: Iterable[str], aliases: Mapping[str, str]) -> dict[str, str]:
    """Entries by their names and aliases, for `find_loosely`."""
    return {_plain(alias): entry for alias, entry in (*aliases.items(), *((each, each) for each in entries))}


def find_loosely(known: Mapping[str, str], name: str) -> str | None:
    """The entry that a name means among `plain_names`, whatever a maker appends to it."""
    wanted = _plain(name)
    if wanted in known:
        return known[wanted]
    starts = [alias for alias in known if alias and wanted.startswith(alias)]
    longest = max(starts, key=len, default="")
    if longest and _SUFFIX.fullmatch(wanted[len(longest) :]):
        return known[longest]
    return None


def same_name(a: str, b: str) -> bool:
    """Whether two names are one, however they are written."""
    return _plain(a) == _plain(b)


def _plain(name: str) -> str:
    return _NOISE.sub("", name.casefold())
