"""Launch targets: commands and files that start a server with a plan, one module with a TARGET each."""

from engine.render.launch.catalogs import load_rows
from engine.render.launch.command import (
    Command,
    Flag,
    Flags,
    Variable,
    argument_list,
    shell_command,
    shell_line,
    shell_script,
)
from engine.render.launch.launch import MODEL, Launch, prepare
from engine.render.launch.placement import Group, Share

__all__ = [
    "MODEL",
    "Command",
    "Flag",
    "Flags",
    "Group",
    "Launch",
    "Share",
    "Variable",
    "argument_list",
    "load_rows",
    "prepare",
    "shell_command",
    "shell_line",
    "shell_script",
]
