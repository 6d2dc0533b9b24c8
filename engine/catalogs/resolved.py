"""The catalogs of one command: what readers, policies and launch targets see alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.base.errors import EngineError
from engine.catalogs.store import PolicyStore

if TYPE_CHECKING:
    from engine.base.aliases import Names
    from engine.inventory.products import Hardware


class Catalogs:
    """One resolved set of catalogs: those that a policy reads in its versions, the newest of all others.

    A catalog is read when it is first needed, and is an error only then.
    """

    __slots__ = ("_names", "folders", "references")

    def __init__(self, folders: Sequence[str] = (), references: Mapping[str, str] | None = None) -> None:
        """Describe a set.

        Args:
            folders: folders of policies that take precedence over the shipped ones.
            references: by name, the references of catalogs that a policy reads: `{"products": "products@1"}`.
        """
        self.folders = tuple(folders)
        self.references = dict(references or {})
        self._names: dict[str, Names] = {}

    def __reduce__(self) -> tuple[type[Catalogs], tuple[tuple[str, ...], dict[str, str]]]:
        return Catalogs, (self.folders, self.references)

    def __call__(self, name: str) -> Names:
        """Return the rows of a catalog, and the names that mean them.

        Raises:
            PolicyError: it is missing or faulty, or lacks a column that the shipped one has.
            DocumentError: it can't be read.
        """
        if name not in self._names:
            from engine.catalogs.hardware import load_names  # deferred: start-up time

            self._names[name] = load_names(self.references.get(name, name), self.folders)
        return self._names[name]

    def has(self, name: str) -> bool:
        """Return True if there is a catalog of that name."""
        return next(PolicyStore(self.folders).entries("catalog", name), None) is not None

    def hardware(self) -> Hardware:
        """Return what is known of hardware."""
        from engine.inventory.products import Hardware  # deferred: start-up time

        return Hardware(self, lambda name: self.elsewhere("products", name, loosely=True))

    def used(self, name: str) -> str:
        """Return the catalog that is used for a name: `products@1.0.0`.

        Raises:
            PolicyError: there is none.
        """
        entry = PolicyStore(self.folders).find("catalog", self.references.get(name, name))
        return f"{entry.name}@{entry.version}"

    def elsewhere(self, name: str, row: str, *, loosely: bool = False) -> str | None:
        """Return a hint where a row can be found that the set's catalog does not have; None if nowhere.

        Args:
            name: the catalog.
            row: the row's name or alias.
            loosely: find it by a vendor's spelling.
        """
        from engine.catalogs.hardware import names_in  # deferred: start-up time

        reference = self.references.get(name)
        store = PolicyStore(self.folders)
        try:
            for patch in store.patches():
                value = store.read(patch).value
                if value["base"].partition("@")[0] == name and _has(names_in(value), row, loosely):
                    patched = f"patch {patch.name}@{patch.version} of {value['base']}"
                    return f"'{row}' is in {patched}; the policy reads {reference}"
            used = None if reference is None else store.find("catalog", reference)
            newest_first = sorted(store.entries("catalog", name), key=lambda entry: entry.order, reverse=True)
            for entry in newest_first:
                if used is not None and entry.order <= used.order:
                    break
                if _has(names_in(store.read(entry).value), row, loosely):
                    return f"'{row}' is in {entry.name}@{entry.version}; the policy reads {reference}"
        except EngineError:
            return None
        return None


def _has(names: Names, row: str, loosely: bool) -> bool:
    return (names.loose(row) if loosely else names.exact(row)) is not None
