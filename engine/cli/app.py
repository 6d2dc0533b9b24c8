"""The commands behind `engine`, as click runs them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from engine._version import __version__
from engine.cli.exits import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, YES
from engine.errors import near

_COMMANDS = {
    "batch": "Decide many requests, one JSON line each.",
    "bench": "Measure what a policy costs on this machine.",
    "check": "Find faults in policies before anything is decided.",
    "diff": "Tell what would change between two policies.",
    "eval": "Decide one request and say why.",
    "explain": "Tell why, and what would flip the decision.",
    "inventory": "Read machines from what their tools print.",
    "model": "Read models from their configurations, or by name.",
    "policies": "List policies and catalogs, or show one.",
    "test": "Run policy tests.",
}

_EPILOG = """
\b
Examples:
  engine eval --inventory examples/8x-a100.yaml --params 70B \\
      --quantization bf16
  engine batch requests.jsonl > decisions.jsonl
  engine policies show sharding

\b
Exit codes: 0 yes, 1 a negative answer, 2 bad usage or bad input.
Shell completion (or zsh_source, fish_source):
  eval "$(_ENGINE_COMPLETE=bash_source engine)"
"""


class LazyGroup(click.Group):
    """Commands whose modules are imported when they are used, so that no command waits for another's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; its module is imported now."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"engine.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a hint where a near name exists."""
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            ctx.fail(f"no command '{args[0]}'; {near(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would make a negative answer of a reader that has gone."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # What Python would still flush at exit has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands for --help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def engine() -> None:
    """Decide how a model is sharded over accelerators, by rules in YAML."""


def run(arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code.

    Raises:
        EngineError: what is wrong with what it was given.
    """
    try:
        result = engine.main(args=arguments, prog_name="engine", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except click.Abort:
        return INTERRUPTED
    return result if isinstance(result, int) else YES
