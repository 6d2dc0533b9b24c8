"""Fields of one configuration, by name."""

from __future__ import annotations

from collections.abc import Mapping

from engine.base.errors import Path, RequestError, quote
from engine.base.jsontypes import Json

_LARGEST = 2**40
"""Limit of any number in a configuration; larger ones are typos."""
MOST_LAYERS = 10_000
_DIGITS = 15
"""Digits of a number in quotes."""


class Fields:
    """Fields of a configuration, with the defaults of its class and the names that it uses for them.

    A field that is missing has its default; one that is null has none.
    """

    def __init__(
        self,
        value: Mapping[str, Json],
        defaults: Mapping[str, Json],
        path: Path,
        names: Mapping[str, str] | None = None,
        paths: Mapping[str, Path] | None = None,
    ) -> None:
        self.value = value
        self.defaults = defaults
        self.path = path
        self.names = names or {}
        """Names of the configuration's class for fields, by their usual names; several separated by `|`."""
        self.paths = paths or {}
        """Paths of fields that are not directly in the configuration's section."""

    def get(self, name: str) -> Json:
        """Return a field, or its default if it is missing; None without either."""
        options = self._options(name)
        for source in (self.value, self.defaults):
            for option in options:
                if option in source:
                    return source[option]
        return None

    def _options(self, name: str) -> tuple[str, ...]:
        """Return the names that configurations use for a field, the class's own first."""
        own = self.names.get(name)
        return (name,) if own is None else (*own.split("|"), name)

    def has(self, name: str) -> bool:
        """Return whether the configuration itself has a field that is not null."""
        return any(self.value.get(option) is not None for option in self._options(name))

    def place(self, name: str) -> Path:
        """Return the path of a field, under the name that the configuration uses."""
        option = next((option for option in self._options(name) if option in self.value), name)
        return (*self.paths.get(option, self.path), option)

    def number(self, *names: str, default: int | None = None, least: int = 1, most: int = _LARGEST) -> int:
        """Return a whole number; the first of several names for it that is present.

        Args:
            names: of the field, in the order of preference.
            default: its value if it is missing.
            least: smallest value allowed.
            most: largest value allowed.

        Raises:
            RequestError: it is missing without a default, or out of range.
        """
        present = (option for option in names if self.has(option))
        name = next(present, None) or next((name for name in names if self.get(name) is not None), names[0])
        value = self.get(name)
        if value is None:
            if default is None:
                message = f"the configuration has no {self._options(name)[0]}"
                raise RequestError(message, path=self.path, hint="it is needed to count parameters")
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _DIGITS:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            end = "" if most == _LARGEST else f" to {most}"
            place = self.place(name)
            message = f"{place[-1]}: expected a whole number from {least}{end}, found {quote(value)}"
            raise RequestError(message, path=place)
        return value

    def flag(self, name: str | bool) -> bool:
        """Return whether a flag is set; a bool instead of a name is returned unchanged."""
        return name if isinstance(name, bool) else self.get(name) is True

    def listed(self, name: str, size: int) -> list[Json] | None:
        """Return a list with one value per layer; None if there is none.

        Raises:
            RequestError: it has another length.
        """
        value = self.get(name)
        if not isinstance(value, list) or not value:
            return None
        if len(value) != size:
            message = f"{name}: expected {size} values, one per layer, found {len(value)}"
            raise RequestError(message, path=self.place(name))
        return value
