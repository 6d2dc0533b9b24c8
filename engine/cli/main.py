"""`engine`: its commands, and the one place where their results and errors become exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from engine._version import __version__
from engine.errors import EngineError, near

YES, NO, BAD_INPUT = 0, 1, 2
"""Exit codes: done or yes; a negative answer; bad usage or bad input."""

FRAMES = 10_000
"""Python's recursion limit here: a variable that reads another is a dozen frames deeper."""

_INTERRUPTED = 130
_BROKEN_PIPE = 141

_COMMANDS = {
    "batch": "Decide many requests, one JSON line each.",
    "eval": "Decide one request and say why.",
    "policies": "List policies and catalogs, or show one.",
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
            return _BROKEN_PIPE

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands for --help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def engine() -> None:
    """Decide how a model is sharded over accelerators, by rules in YAML."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), FRAMES))
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        result = engine.main(args=arguments, prog_name="engine", standalone_mode=False)
    except EngineError as error:
        _report(error)
        return BAD_INPUT
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except OSError as error:
        print(f"error: can't read or write: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    return result if isinstance(result, int) else YES


def _report(error: EngineError) -> None:
    for problem in error.problems[:_MOST_PROBLEMS]:
        print(f"error: {problem.render()}", file=sys.stderr)
    rest = len(error.problems) - _MOST_PROBLEMS
    if rest > 0:
        print(f"error: and {rest} more", file=sys.stderr)


_MOST_PROBLEMS = 20

if __name__ == "__main__":
    sys.exit(main())
