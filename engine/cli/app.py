"""The commands of `engine`, run by click."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any

import click

from engine._version import __version__
from engine.base.errors import near
from engine.cli.exits import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, YES

_COMMANDS = {
    "batch": "Decide many requests: JSON Lines or Parquet.",
    "bench": "Benchmark a policy on this machine.",
    "calibrate": "Fit the speed model to measurements.",
    "check": "Lint policies, catalogs and suites.",
    "diff": "Compare the decisions of two policies.",
    "eval": "Choose a sharding plan and explain it.",
    "explain": "Explain a decision and the nearest changes that alter it.",
    "frontier": "Plot throughput per device against speed per user.",
    "inventory": "Detect, import, join and show inventories.",
    "lsp": "Run a language server for editors.",
    "map": "Map which plan wins where.",
    "model": "Show models from configs, weights or names.",
    "policies": "List, show and lock policies and catalogs.",
    "size": "Find the fewest or cheapest devices that meet goals.",
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
Exit codes: 0 success, 1 negative answer (infeasible, failed test,
finding, difference), 2 bad usage or bad input, 70 internal error (a bug)
or out of memory. ENGINE_DEBUG=1 shows the traceback of internal errors.

\b
Shell completion (or zsh_source, fish_source):
  eval "$(_ENGINE_COMPLETE=bash_source engine)"
"""


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"engine.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; suggest similar names for unknown ones."""
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            hint = near(args[0], _COMMANDS) or "engine --help lists the commands"
            ctx.fail(f"unknown command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the arguments or print help; keep the exit code of a broken pipe (click returns 1)."""
        try:
            return super().make_context(*arguments, **extra)
        except BrokenPipeError:
            raise click.exceptions.Exit(BROKEN_PIPE) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; keep the exit code of a broken pipe (click returns 1)."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            return BROKEN_PIPE

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for `--help` without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def engine() -> None:
    """Choose a sharding plan for an LLM on the hardware you have. Rules are YAML and CEL."""


def run(arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code.

    Raises:
        EngineError: The input is invalid.
    """
    try:
        result = engine.main(args=arguments, prog_name="engine", standalone_mode=False)
    except click.ClickException as error:
        from engine.base.printable import printable_lines

        shown = io.StringIO()
        error.show(shown)
        sys.stderr.write(printable_lines(shown.getvalue()))
        return BAD_INPUT
    except click.Abort:
        return INTERRUPTED
    return result if isinstance(result, int) else YES
