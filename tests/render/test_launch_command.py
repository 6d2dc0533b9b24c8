"""Commands as data: how flags and variables are printed, for a shell and without one."""

from __future__ import annotations

import pytest

from engine.render.launch import Command, Flag, Variable, argument_list, shell_command, shell_line

SERVE = Command(
    ("serve", Variable("$MODEL")),
    {"tensor-parallel-size": 8, "-ngl": 99, "eager": True, "name": "it's $5", "share": 0.9},
    {"VISIBLE": "0,1"},
)


def test_shell_command_prints_the_environment_and_a_flag_per_line() -> None:
    assert shell_command(SERVE) == (
        'VISIBLE=0,1 serve "$MODEL" \\\n'
        "  --tensor-parallel-size 8 \\\n"
        "  -ngl 99 \\\n"
        "  --eager \\\n"
        "  --name 'it'\"'\"'s $5' \\\n"
        "  --share 0.9\n"
    )


def test_shell_line_leaves_the_environment_out() -> None:
    assert shell_line(Command(("a", "b c"), {"d": Variable("$E:1")}, {"F": "1"})) == "a 'b c' --d \"$E:1\""


def test_argument_list_expands_every_argument_and_quotes_none() -> None:
    arguments = argument_list(SERVE, lambda word: f"<{word.text}>" if isinstance(word, Variable) else word)
    assert arguments == [
        *("serve", "<$MODEL>", "--tensor-parallel-size", "8", "-ngl", "99", "--eager"),
        *("--name", "it's $5", "--share", "0.9"),
    ]


@pytest.mark.parametrize(
    ("value", "printed"),
    [(1, "--f 1"), (1.0, "--f 1"), (0.125, "--f 0.125"), ("", "--f ''"), ("a,b", "--f a,b"), (True, "--f")],
)
def test_shell_line_prints_a_value(value: Flag, printed: str) -> None:
    assert shell_line(Command(("p",), {"f": value})) == f"p {printed}"
