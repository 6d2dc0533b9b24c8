"""A model as far as planning reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Model:
    """The model that is to be served; `params` is its count of parameters."""

    params: int
    name: str | None = None

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {"name": self.name, "params": self.params}
