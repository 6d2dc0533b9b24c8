"""Builders by name: each module holds one `BUILDER` under its own name, and is discovered."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.plan.building import Builder
    from engine.policy.signature import BuilderSignature


class _Builders(Mapping[str, "Builder"]):
    """The builders; a module is imported when its builder is looked up."""

    def __getitem__(self, name: str) -> Builder:
        if name not in self._names():
            raise KeyError(name)
        module = f"{__name__}.{name}"
        __import__(module)
        builder: Builder = sys.modules[module].BUILDER
        return builder

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    @staticmethod
    def _names() -> list[str]:
        if not _names:
            for file in os.listdir(os.path.dirname(__file__)):
                stem, suffix = os.path.splitext(file)
                if suffix == ".py" and not stem.startswith("_"):
                    _names.append(stem)
            _names.sort()
        return _names


_names: list[str] = []

BUILDERS: Mapping[str, Builder] = _Builders()
"""By the names that policies use."""


def signatures() -> dict[str, BuilderSignature]:
    """Return the builders' signatures by name."""
    return {name: builder.signature for name, builder in BUILDERS.items()}
