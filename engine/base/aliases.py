"""Rows of catalogs by the names that tools and people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.base.errors import near
from engine.base.records import record

Row = Mapping[str, Any]

_NOISE = re.compile(r"nvidia|geforce|tesla|amd|instinct|habana|intel|google|cloud|\((?:r|tm)\)|[^a-z0-9]")
_SUFFIX = re.compile(r"(?:hbm\d?e?|oam|gpu|graphics|accelerator)*")
"""What makers append to a name without making another product of it.

A size or a board makes another: catalogs list those that a product has.
"""
_CUT = ("...", "…")
"""End of a name that a tool cut: the rest may make another product of it."""


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
        wanted = plain_name(start)
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
    return {
        plain_name(alias): entry for alias, entry in (*aliases.items(), *((each, each) for each in entries))
    }


def find_loosely(known: Mapping[str, str], name: str) -> str | None:
    """The entry that a name means among `plain_names`, whatever a maker appends to it."""
    if name.rstrip().endswith(_CUT):
        return None
    wanted = plain_name(name)
    if wanted in known:
        return known[wanted]
    starts = [alias for alias in known if alias and wanted.startswith(alias)]
    longest = max(starts, key=len, default="")
    if longest and _SUFFIX.fullmatch(wanted[len(longest) :]):
        return known[longest]
    return None


def same_name(a: str, b: str) -> bool:
    """Whether two names are one, however they are written."""
    return plain_name(a) == plain_name(b)


def plain_name(name: str) -> str:
    """Return a name without what makers and people write differently."""
    return _NOISE.sub("", name.casefold())
