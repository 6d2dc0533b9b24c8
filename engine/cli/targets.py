"""`--format` of a decision: any target of `engine.render`, built in or of an installed package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from engine.base.errors import EngineError, RequestError
from engine.catalogs.servers import server_names
from engine.render import Target, find_target, target_names, targets

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs
    from engine.decide.sources import LocatedRequest

_Command = TypeVar("_Command", bound=Callable[..., object])


if TYPE_CHECKING:
    _ParamType = click.ParamType[Target]
else:  # generic from click 8.5 on
    _ParamType = click.ParamType


class TargetType(_ParamType):
    """The name of a target; only the module of that target is imported."""

    name = "form"

    def convert(
        self, value: str | Target, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Return the target of that name.

        Raises:
            click.BadParameter: no target has that name, or an installed package's target cannot be loaded.
        """
        try:
            return value if isinstance(value, Target) else find_target(value)
        except EngineError as error:
            self.fail("; ".join(filter(None, (error.message, error.hint))), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that complete a word."""
        return [CompletionItem(name) for name in target_names() if name.startswith(incomplete)]


class _TargetOption(click.Option):
    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help, which lists the targets; they are imported only for it."""
        *names, last = target_names()
        self.help = f"Output format: {', '.join(names)} or {last}."
        return super().get_help_record(ctx)


def target_option(command: _Command) -> _Command:
    """Add `--format FORM`, with `text` as the default."""
    return click.option(
        "--format", "target", cls=_TargetOption, type=TargetType(), default="text", show_default=True
    )(command)


def imply_server(request: LocatedRequest, target: Target, catalogs: Catalogs) -> None:
    """Let a request name the server that a target starts, unless it names one.

    Args:
        request: the request.
        target: the target.
        catalogs: the catalogs of the policy that decides; the first of the target's servers that they know is
            implied.

    Raises:
        RequestError: it names one that the target does not start.
    """
    serving = request.request.inputs.get("serving")
    named = serving.get("server") if isinstance(serving, dict) else None
    if named is None:
        known = server_names(catalogs)
        implied = next((server for server in target.servers if server in known), target.servers[0])
        request.merge("serving", {"server": implied})
    elif named not in target.servers:
        started = " or ".join(target.servers)
        others = [other.name for other in targets() if named in other.servers]
        raise RequestError(
            f"--format {target.name} starts {started}, but the request names server {named}",
            hint=f"use --format {' or '.join(others)}" if others else f"use --target {target.servers[0]}",
        )
