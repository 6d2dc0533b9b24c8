"""Types of decoded JSON."""

from __future__ import annotations

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
"""Any decoded JSON value."""
JsonObject = dict[str, Json]
"""A decoded JSON object."""
