"""Discovery of extensions: one object per module of a package, and entry points of installed packages."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from engine.base.errors import EngineError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import ModuleType

_P = ParamSpec("_P")
_T = TypeVar("_T")


def modules(package: str, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[ModuleType]:
    """Import and yield the modules below a package, in the order of their names.

    Args:
        package: its full name.
        wanted: tests the last part of a module's name; other modules are not imported.
    """
    parent = importlib.import_module(package)
    for found in pkgutil.iter_modules(parent.__path__, f"{package}."):
        if found.ispkg:
            yield from modules(found.name, wanted)
        elif wanted(found.name.rpartition(".")[2]):
            yield importlib.import_module(found.name)


def plugins(group: str, name: str | None = None) -> Iterator[tuple[EntryPoint, object]]:
    """Load the entry points of a group, in the order of their names.

    Args:
        group: for example `engine.readers`.
        name: load only the entry points of this name.

    Raises:
        EngineError: an entry point cannot be loaded.
    """
    for entry in entries(group):
        if name is not None and entry.name != name:
            continue
        try:
            loaded = entry.load()
        except Exception as error:  # a package outside may fail in any way
            raise plugin_error(entry, error) from error
        yield entry, loaded


def entries(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group without loading them, in the order of their names."""
    return _entries(group, tuple(sys.path))


@functools.lru_cache(maxsize=64)
def _entries(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Read the metadata of all installed packages: 10 ms, and a text may be offered to readers many times."""
    from importlib.metadata import entry_points  # deferred: start-up time

    return tuple(sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)))


def plugin_error(entry: EntryPoint, error: BaseException) -> EngineError:
    """Return the error to raise for a package whose code failed: it names the package, not the engine."""
    package = "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    reason = str(error).split("\n")[0][:200]
    return EngineError(
        f"{entry.group} '{entry.name}' of package {package} failed: {type(error).__name__}: {reason}",
        hint=f"update or uninstall {package}",
    )


def guard(function: Callable[_P, _T], entry: EntryPoint) -> Callable[_P, _T]:
    """Return a package's function whose faults are errors that name the package."""

    @functools.wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except EngineError:
            raise
        except Exception as error:
            raise plugin_error(entry, error) from error

    return guarded
