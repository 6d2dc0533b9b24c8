"""Warnings about devices that a policy's catalogs do not know: their estimates rest on defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.plan.plan import Shard

_MOST_NAMES = 10_000
"""Names that are remembered; a stream of requests could bring any number."""


class UnknownDevices:
    """Finds the devices of plans that no row of the policy's catalog identifies. Thread-safe."""

    def __init__(self, catalog: str, plain: Mapping[str, str], catalogs: Catalogs) -> None:
        """Prepare for one policy.

        Args:
            catalog: the name of the catalog that identifies devices.
            plain: its rows by plain names (engine.base.aliases.plain_names).
            catalogs: the policy's catalogs, and where other versions of them are.
        """
        self._catalog = catalog
        self._plain = plain
        self._catalogs = catalogs
        self._known: dict[str, str | None] = {}

    def warnings(self, shards: tuple[Shard, ...]) -> tuple[str, ...]:
        """Return a warning for each name of a device that no row has, in the order of the shards."""
        known = self._known
        found: dict[str, None] = {}
        for shard in shards:
            name = shard.device.name
            if name is None:
                continue
            if name not in known:
                if len(known) > _MOST_NAMES:
                    known.clear()
                known[name] = self._warning(name, shard.device.kind)
            warning = known[name]
            if warning is not None:
                found[warning] = None
        return tuple(found)

    def _warning(self, name: str, kind: str) -> str | None:
        from engine.base.aliases import find_loosely  # deferred: start-up time

        if find_loosely(self._plain, name) is not None:
            return None
        names = self._catalogs(self._catalog)
        if not any(row.get("kind") == kind for row in names.rows.values()):
            return None  # of such devices, the catalog has no rows at all
        used = self._catalogs.used(self._catalog)
        warning = f"unknown device '{name}': not in catalog {used}; estimates use the defaults of {kind}"
        hint = self._catalogs.elsewhere(self._catalog, name, loosely=True)
        return warning if hint is None else f"{warning} ({hint})"
