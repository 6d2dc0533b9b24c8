"""One configuration's fields, asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path, RequestError, quote

_LARGEST = 2**40
"""Of any number in a configuration; more is a slip of the pen."""
MOST_LAYERS = 10_000


class Fields:
    """What a configuration says, and what its family leaves out of configurations."""

    def __init__(self, value: Mapping[str, Any], defaults: Mapping[str, int | bool], path: Path) -> None:
        self.value = value
        self.defaults = defaults
        self.path = path

    def get(self, name: str) -> Any:
        """The field as it stands there, None where it doesn't and isn't known."""
        value = self.value.get(name)
        return self.defaults.get(name) if value is None else value

    def number(self, *names: str, default: int | None = None, least: int = 1, most: int = _LARGEST) -> int:
        """A whole number; the first of several names for it that is there.

        Raises:
            RequestError: it is missing, and there is no default; or it can't be.
        """
        name = next((each for each in names if self.get(each) is not None), names[0])
        value = self.get(name)
        if value is None:
            if default is None:
                message = f"the configuration has no {name}"
                raise RequestError(message, path=self.path, hint="without it there is no counting parameters")
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            end = "" if most == _LARGEST else f" to {most}"
            message = f"{name}: expected a whole number from {least}{end}, found {quote(value)}"
            raise RequestError(message, path=(*self.path, name))
        return value

    def flag(self, name: str | bool) -> bool:
        """Whether a flag is set; of a fact instead of a name, that."""
        return name if isinstance(name, bool) else self.get(name) is True

    def listed(self, name: str, size: int) -> list[Any] | None:
        """A list of that size; None where there is none."""
        value = self.get(name)
        return value if isinstance(value, list) and len(value) == size else None
