"""A model as far as planning reads it."""

from __future__ import annotations

from typing import Any

from engine.records import record


@record
class Model:
    """The model that is to be served; `params` is its count of parameters."""

    params: int
    name: str | None = None

    def to_value(self) -> dict[str, Any]:
        """The fields as expressions read them."""
        return {"name": self.name, "params": self.params}
