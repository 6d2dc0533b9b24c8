"""Runtimes by name. Importing this module imports none of them.

The runtime `cel-python` is the folder `cel_python` beside this module; its `RUNTIME` is the class, and the
class's docstring its documentation. Tests add oracles with `register_runtime`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.base.errors import RuntimeUnavailableError, near

if TYPE_CHECKING:
    from engine.cel.celtypes import ObjectType
    from engine.cel.runtimes.protocol import Runtime

    Factory = Callable[[Mapping[str, ObjectType]], Runtime]

DEFAULT = "compiled"
"""The runtime that is used unless another is asked for."""

_registered: dict[str, Factory] = {}


def _discover() -> tuple[str, ...]:
    with os.scandir(os.path.dirname(__file__)) as entries:
        names = {each.name.replace("_", "-") for each in entries if each.name[0] != "_" and each.is_dir()}
    return (DEFAULT, *sorted(names - {DEFAULT}))


RUNTIMES = _discover()
"""The engine's own runtimes, the default first."""


def register_runtime(name: str, factory: Factory) -> None:
    """Add a runtime for this process, which is not offered on the command line."""
    _registered[name] = factory


def create_runtime(name: str, objects: Mapping[str, ObjectType]) -> Runtime:
    """Create the runtime of that name, for expressions over these object types.

    Raises:
        RuntimeUnavailableError: there is no such runtime.
    """
    if name in _registered:
        return _registered[name](objects)
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(f"unknown runtime '{name}'", hint=near(name, RUNTIMES))
    module = f"engine.cel.runtimes.{name.replace('-', '_')}"
    __import__(module)
    factory: Factory = sys.modules[module].RUNTIME
    return factory(objects)
