"""Targets: what `--format` accepts, one module per target, discovered and never listed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Literal

from engine.base.errors import RenderError, near
from engine.base.records import record, replace
from engine.decide.decision import Decision

ENTRY_POINTS = "engine.targets"
"""The entry point group in which installed packages offer targets of their own."""

EXAMPLE = "--inventory 8xH100-SXM --model llama-3.1-70b --quantization bf16"


@record
class Screen:
    """Limits of the terminal that shows a rendering: width in columns, and ANSI colors or none."""

    width: int = 80
    color: bool = False


@record(eq=False)
class Target:
    """One output form of a decision.

    A module registers a target by assigning it to `TARGET`. Its docstring documents the target: the first
    line is the summary, and all of it appears in docs/targets.md above the output of the example.
    """

    name: str
    """The value of `--format`. The module is named after it, with `_` for `-` and `.`."""
    render: Callable[[Decision, Screen], str]
    """Return a decision in this form, ending in a newline; raise RenderError if it cannot be expressed."""
    syntax: Literal["text", "sh", "json", "yaml", "svg", "html"]
    """The language of the output."""
    launches: bool = False
    """The output starts a server, or configures one."""
    servers: tuple[str, ...] = ()
    """The servers that it starts, by name in the catalog `servers`; the first is what the target implies."""
    shows_trace: bool = False
    """The output includes the trace of `--explain`."""
    example: str = EXAMPLE
    """Arguments of `engine eval` for a decision that the target can express."""

    @property
    def documentation(self) -> str:
        """The docstring of the module that defines `render`."""
        return (sys.modules[self.render.__module__].__doc__ or "").strip()

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return self.documentation.partition("\n")[0]


def find_target(name: str) -> Target:
    """Return the target of that name, importing no other target.

    Built-in targets come first. Entry points of installed packages are looked up only for other names.

    Raises:
        RenderError: no target has that name.
        EngineError: an installed package's target cannot be loaded.
    """
    target = _built_in(name) or _installed(name)
    if target is None:
        names = target_names()
        raise RenderError(f"unknown format '{name}'", hint=near(name, names) or f"known: {', '.join(names)}")
    return target


@cache
def targets() -> tuple[Target, ...]:
    """Return all built-in targets: plain forms, then launch targets, each ordered by name."""
    import pkgutil  # deferred: start-up time

    modules = (
        importlib.import_module(f"{package}.{module.name}")
        for package in _packages()
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
    )
    registered = filter(None, map(_registered, modules))
    return tuple(sorted(registered, key=lambda target: (target.launches, target.name)))


def target_names() -> tuple[str, ...]:
    """Return the names of all targets: the built-in ones, then those that installed packages offer."""
    from engine.base.discovery import entries  # deferred: start-up time

    built_in = [target.name for target in targets()]
    return tuple(dict.fromkeys((*built_in, *(entry.name for entry in entries(ENTRY_POINTS)))))


def _packages() -> tuple[str, str]:
    """The packages that hold built-in targets."""
    room = __name__.rpartition(".")[0]
    return room, f"{room}.launch"


def _built_in(name: str) -> Target | None:
    stem = name.replace("-", "_").replace(".", "_")
    if not (stem.isascii() and stem.isidentifier()) or stem.startswith("_"):
        return None
    room, launch = _packages()
    # A module named json or html would shadow the standard library's, hence as_json.
    for path in (f"{room}.as_{stem}", f"{room}.{stem}", f"{launch}.{stem}"):
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
            continue
        target = _registered(module)
        if target is not None and target.name == name:
            return target
    return None


def _registered(module: ModuleType) -> Target | None:
    target = getattr(module, "TARGET", None)
    return target if isinstance(target, Target) else None


def _installed(name: str) -> Target | None:
    """Load the target that an installed package registers under that name.

    Raises:
        EngineError: loading fails.
        RenderError: the entry point is not a target of that name.
    """
    from engine.base.discovery import guard, plugins  # deferred: start-up time

    for entry, loaded in plugins(ENTRY_POINTS, name):
        target = getattr(loaded, "TARGET", loaded)
        if not isinstance(target, Target) or target.name != name:
            package = "an installed package" if entry.dist is None else f"package {entry.dist.name}"
            raise RenderError(
                f"format '{name}' of {package}: {entry.value} is not a target of that name",
                hint="name a module whose TARGET is an engine.render.Target, or the Target itself",
            )
        return replace(target, render=guard(target.render, entry))
    return None
