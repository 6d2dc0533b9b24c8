"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from engine.cel.names import RUNTIMES
from engine.render import Screen

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NARROWEST, _WIDEST = 40, 120


def policies_option(command: _Command) -> _Command:
    """`--policies DIR`, as often as wanted."""
    return click.option(
        "--policies",
        "policies",
        type=click.Path(),
        multiple=True,
        metavar="DIR",
        envvar="ENGINE_POLICIES",
        help="Folder of your own policies and catalogs, in front of the shipped ones. [env: ENGINE_POLICIES]",
    )(command)


def policy_option(command: _Command) -> _Command:
    """`--policy REFERENCE`."""
    return click.option(
        "--policy",
        default="sharding",
        show_default=True,
        metavar="POLICY",
        help="name, name@1, name@1.0.0, or a policy's file.",
    )(command)


def format_option(*forms: str) -> Callable[[_Command], _Command]:
    """`--format FORM`; the first is the default."""
    listed = f"{', '.join(forms[:-1])} or {forms[-1]}"
    # Many forms in one metavar would make a line that is wider than a terminal.
    few = len("|".join(forms)) < 50
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        metavar=None if few else "FORM",
        default=forms[0],
        show_default=True,
        help="The form of the output." if few else f"The form of the output: {listed}.",
    )


def runtime_option(command: _Command) -> _Command:
    """`--runtime NAME`."""
    return click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        default=RUNTIMES[0],
        show_default=True,
        help="What evaluates CEL.",
    )(command)


def cache_option(command: _Command) -> _Command:
    """`--no-cache`."""
    return click.option(
        "--cache/--no-cache",
        "use_cache",
        default=True,
        help="Keep compiled policies in the user's cache folder, or in ENGINE_CACHE. [default: cache]",
    )(command)


def screen() -> Screen:
    """What standard output can show."""
    import shutil

    columns = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Screen(columns, color)
