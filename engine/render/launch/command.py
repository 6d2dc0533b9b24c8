"""Commands as data, and the one place that prints them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from engine.base.printable import printable
from engine.base.records import field, record


@record
class Variable:
    """Text with shell variables that the shell of the command expands: `$MODEL`, `$HEAD:5000`."""

    text: str


Flag = int | float | str | Variable | Literal[True]
"""A flag's value; True for a flag without a value."""

Flags = Mapping[str, Flag]
"""Values by the names of flags: `{"tensor-parallel-size": 8, "enable-expert-parallel": True, "-ngl": 99}`.

A name without a leading dash is a long option.
"""


@record
class Command:
    """A program's words, its flags, and the environment variables to set."""

    program: tuple[str | Variable, ...]
    flags: Flags
    environment: Mapping[str, str] = field(default_factory=dict)
    comments: tuple[str, ...] = ()
    """Lines above the command in a script."""
    before: tuple[str | Variable, ...] = ()
    """A program that must end well first, on the same node."""


def shell_command(command: Command) -> str:
    """Return a command for a shell: the environment and the program, then one flag per line."""
    variables = [f"{name}={value}" for name, value in command.environment.items()]
    lines = [f"# {printable(line)}\n" for line in command.comments]
    if command.before:
        lines.append(" ".join([*variables, *map(_quote, command.before)]) + " &&\n")
    program = " ".join([*variables, *map(_quote, command.program)])
    return "".join([*lines, " \\\n  ".join([program, *_shell_flags(command.flags)]), "\n"])


def shell_script(commands: Sequence[Command]) -> str:
    """Return commands for shells, on one node or several, separated by empty lines."""
    return "\n".join(map(shell_command, commands))


def shell_line(command: Command) -> str:
    """Return a command for a shell on one line, without its environment."""
    return " ".join([*map(_quote, command.program), *_shell_flags(command.flags)])


def argument_list(command: Command, expand: Callable[[str | Variable], str]) -> list[str]:
    """Return a command as a list of arguments, for what starts programs without a shell.

    Args:
        command: the command; its environment is left out.
        expand: returns an argument as the starting program expects it.
    """
    arguments = [expand(word) for word in command.program]
    for name, value in command.flags.items():
        arguments.append(expand(_spelled(name)))
        if value is not True:
            arguments.append(expand(_text(value)))
    return arguments


def _shell_flags(flags: Flags) -> list[str]:
    return [
        _spelled(name) if value is True else f"{_spelled(name)} {_quote(_text(value))}"
        for name, value in flags.items()
    ]


def _spelled(name: str) -> str:
    return name if name.startswith("-") else f"--{name}"


def _text(value: Flag) -> str | Variable:
    if isinstance(value, str | Variable):
        return value
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quote(word: str | Variable) -> str:
    return f'"{word.text}"' if isinstance(word, Variable) else shlex.quote(word)
